"""What a feed and its iterators share: the C++ side, its channels, and what of each is handed out.

Neither needs to know the other: a feed makes iterators of it, and they take their rows from it.
"""

from __future__ import annotations

import time
from typing import Any

from . import _core
from ._errors import MillraceError, core_errors, error_of, warn
from ._sources import Source

#: A live feed of which nothing has come for so long is told of, as by `millrace live`.
PATIENCE_S = 5.0


class Running:
    """A source at work. It begins with the first iterator that is used, and ends once."""

    def __init__(self, source: Source, symbols: list[str], *, in_step: bool, in_part: bool) -> None:
        self.source = source
        self._symbols = symbols  # that were asked for
        self._in_part = in_part  # from a start or to an end that was asked for
        self.told = False  #: whether warnings were given, or are not wanted
        self._may_be_silent = source.live  # nothing has come so far, and nobody was told
        self._began = 0.0
        self.in_step = in_step  # with its one iterator
        self.closed = False
        # Of all iterators there ever were, by number: what they come by, the name of what they
        # bring, the rows that were handed out, and whether they are closed.
        self.channels: list[_core.Channel] = []
        self.names: list[str] = []
        self.done: list[int] = []
        self.ended: list[bool] = []
        with core_errors():
            self.core: _core.Core = source.make()

    def open(self, name: str, **config: Any) -> int:
        """Makes a channel, and returns its number."""
        with core_errors():
            self.channels.append(self.core.open(**config))
        self.names.append(name)
        self.done.append(0)
        self.ended.append(False)
        return len(self.channels) - 1

    def close_channel(self, number: int) -> None:
        """Lets the feed go on without it. What it handed out counts, what comes after does not."""
        if not self.closed and not self.ended[number]:
            self.fold()
        self.ended[number] = True
        self.channels[number].close()

    def start(self) -> None:
        """Begins, where that has not been done."""
        refuse_foreign(self.core)
        if not self.closed and not self.core.started():
            self._began = time.monotonic()
            with core_errors():
                self.core.start()

    def check_end(self) -> None:
        """Of a source from which nothing more will come: raises when that is for a reason.

        What a reader of the rows would overlook is told of, once.
        """
        problem = self.core.problem()
        if problem is not None:
            raise error_of(*problem)
        if not self.told:
            self.told = True
            for line in self._remarks():
                warn(line)

    def _remarks(self) -> list[str]:
        title = self.source.title
        lines = self.core.remarks(title)
        if not self.source.live and (missing := self.symbols_missing()):
            lines.append(f"{title}: no such symbol in it: {', '.join(missing)}")
        if self._in_part and not any(self._rows(channel) for channel in self.channels):
            lines.append(f"{title}: no row from start= to end=; times without a zone are UTC")
        return lines

    @staticmethod
    def _rows(channel: _core.Channel) -> int:
        counters = channel.counters()
        return counters["produced"] + counters["skipped"]

    def symbols_missing(self) -> list[str]:
        """Of the symbols that were asked for, those that have not appeared."""
        return self.core.symbols_missing(self._symbols) if self._symbols else []

    def patience(self) -> float | None:
        """For how many seconds to wait before :meth:`look_for_silence`; None: whatever it takes."""
        return PATIENCE_S if self._may_be_silent else None

    def look_for_silence(self) -> None:
        """Tells, once, of lines that have brought no packet so far."""
        if not self._may_be_silent:
            return
        if self.core.progress()[0] > 0 or self.closed:
            self._may_be_silent = False
        elif time.monotonic() - self._began >= PATIENCE_S:
            self._may_be_silent = False
            warn(
                f"{self.source.title}: no packet has come so far; does the exchange send, are "
                "address and port right, is the interface up, does a firewall let them through?"
            )

    # ---- what was handed out ----

    def done_rows(self) -> list[int | None]:
        """Rows handed out, by channel; None where no more will be, and the others decide alone."""
        return [
            None if ended and self.source.url else done
            for done, ended in zip(self.done, self.ended, strict=True)
        ]

    def processed(self, done: list[int | None], *, commit: bool) -> str:
        """Tells a broker's source what is done; where that goes on, as its server calls it."""
        refuse_foreign(self.core)
        with core_errors():
            return self.core.processed(done, commit)

    def fold(self) -> None:
        """Lets a broker's source know what was handed out, while that can still be told."""
        if any(self.done) and self.source.url and not self.core.foreign():
            self.core.processed(self.done_rows(), False)

    def stop(self) -> None:
        """Ends it for good; counts and books stay readable."""
        self.fold()
        self.closed = True
        self.core.stop()


def refuse_foreign(source: _core.Core | _core.CsvFile) -> None:
    """What has a thread lives in the process that started it."""
    if source.foreign():
        raise MillraceError(
            "this feed was made before a fork and lives in the parent; make one here"
        )
