"""CSV files read in the background: rows or batches, a schema, a policy for bad rows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import _core
from ._arguments import at_least, path_of, shown, text_of
from ._closing import Closing
from ._errors import FormatError, UsageError, core_errors
from ._position import Checkpoint, Position
from ._running import refuse_foreign
from ._sources import identity_of
from ._streams import TURN_S, Waiter

Row = dict[str, Any]


class BadRow(FormatError):
    """A row that does not fit the schema: where it begins, why, and its cells."""

    def __init__(self, path: str, line: int, why: str, row: list[str]) -> None:
        one_line = "".join(char if char.isprintable() else "?" for char in why)
        super().__init__(f"{path}: line {line}: {one_line}")
        self.line = line
        self.row = row


class CsvRows(Closing):
    """Rows of a CSV file. Made by :func:`read_csv`; iterate it with ``async for`` or ``for``.

    An iteration goes on where the one before was left.
    """

    def __init__(
        self,
        path: Path,
        schema: Mapping[str, Callable[[str], Any]] | None,
        on_error: str | Callable[[BadRow], None],
        delimiter: str,
        max_waiting: int,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        if not callable(on_error) and on_error not in ("raise", "skip"):
            raise UsageError(f"on_error={on_error!r}: 'raise', 'skip' or a function")
        if (
            len(text_of("delimiter", delimiter)) != 1
            or not delimiter.isascii()
            or delimiter in '"\r\n'
        ):
            raise UsageError(f"delimiter={delimiter!r}: one ASCII character, no quote or line end")
        at_least("max_waiting", max_waiting, 1, whole=True)
        schema = {} if schema is None else schema
        if not isinstance(schema, Mapping):
            raise UsageError(f"schema={shown(schema)}: functions by column, as {{'price': float}}")
        self._closed = False
        self._path = str(path)
        self._on_error = on_error
        self._of: dict[str, Any] | None = None
        self._checkpoint = (
            None
            if checkpoint is None
            else Checkpoint(path_of("checkpoint", checkpoint), self._identity())
        )
        self._done = 0 if self._checkpoint is None else self._checkpoint.rows_of("csv")
        with core_errors():
            self._file = _core.CsvFile(self._path, delimiter, max_waiting, self._done)
        self._converters = self._converters_of(schema)
        self._waiter = Waiter(self._file)
        self._run: Iterator[Row] = iter(())  # rows in hand ...
        self._bad: tuple[int, str, list[str]] | None = None  # ... and the one behind them
        self._delivered = 0
        #: Rows that were read and did not fit, so far.
        self.bad_rows = 0

    def _identity(self) -> dict[str, Any]:
        if self._of is None:
            self._of = identity_of([self._path], {})
        return self._of

    def _converters_of(
        self, schema: Mapping[str, Callable[[str], Any]]
    ) -> tuple[Callable[[str], Any] | None, ...]:
        names = self._file.columns
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise FormatError(f"{self._path}: two columns are called {twice[0]!r}; rename one")
        for name, given in schema.items():
            if not callable(given):
                raise UsageError(f"schema: {given!r} of {name!r} turns no text into a value")
        for name in schema if names else ():
            if name not in names:
                raise FormatError(
                    f"{self._path}: has no column {name!r}; it has {', '.join(names)}"
                )
        return tuple(None if (kind := schema.get(name)) is str else kind for name in names)

    # ---- runs of rows ----

    def _take(self) -> bool:
        """Gets the next rows in hand. False when there are none now."""
        if self._closed:
            return False
        with core_errors():
            taken = self._file.take(self._converters)
        if taken is None:
            return False
        rows, self._bad = taken
        self._run = iter(rows)
        return True

    def _refuse(self) -> None:
        """Deals with the row behind those that were handed out."""
        if self._bad is None:
            return
        (line, why, row), self._bad = self._bad, None
        self.bad_rows += 1
        self._done += 1
        bad = BadRow(self._path, line, why, row)
        if callable(self._on_error):
            self._on_error(bad)
        elif self._on_error == "raise":
            self.close()
            raise bad

    def _at_end(self) -> bool:
        """True when nothing more will come; raises when that is for a reason."""
        if self._closed:
            return True
        if not self._file.ended() or self._file.ready() > 0:
            return False
        self.close()
        damage = self._file.damage()
        if damage:
            raise FormatError(f"{self._path}: {damage}; the rows up to there are good")
        return True

    def _begin(self) -> None:
        refuse_foreign(self._file)
        self._file.start(self._converters)

    async def _next_run(self) -> bool:
        self._begin()
        self._refuse()
        while not self._take():
            if self._at_end():
                return False
            await self._waiter.wait(1, None)
        return True

    def _next_run_blocking(self) -> bool:
        self._begin()
        self._refuse()
        while not self._take():
            if self._at_end():
                return False
            self._file.wait(1, -1.0)
        return True

    def _counted(self, rows: int) -> None:
        self._done += rows
        self._delivered += rows

    # ---- the consumer ----

    async def __aiter__(self) -> AsyncIterator[Row]:
        began = time.perf_counter()
        while True:
            for row in self._run:
                self._done += 1
                self._delivered += 1
                yield row
            if time.perf_counter() - began > TURN_S:
                await asyncio.sleep(0)
                began = time.perf_counter()
            if not await self._next_run():
                return

    def __iter__(self) -> Iterator[Row]:
        while True:
            for row in self._run:
                self._done += 1
                self._delivered += 1
                yield row
            if not self._next_run_blocking():
                return

    def batches(self) -> CsvBatches:
        """Lists of rows, as they are read: ``async for`` or ``for``."""
        return CsvBatches(self)

    @property
    def counters(self) -> dict[str, int]:
        """Rows read so far = delivered + bad + waiting."""
        read = self._file.read_count()
        gone = self._delivered + self.bad_rows
        return {
            "read": read,
            "delivered": self._delivered,
            "bad": self.bad_rows,
            "waiting": read - gone,
        }

    @property
    def position(self) -> Position:
        """Rows handed out, counted from the first behind the header, bad ones included."""
        return Position(self._identity(), {"csv": self._done})

    async def commit(self) -> Position:
        """Says that every row handed out so far is done, and keeps it in the checkpoint."""
        return await asyncio.to_thread(self._commit, self.position)

    def commit_sync(self) -> Position:
        """The same without asyncio."""
        return self._commit(self.position)

    def _commit(self, position: Position) -> Position:
        if self._checkpoint is None:
            raise UsageError("nowhere to commit to; read with checkpoint='FILE'")
        self._checkpoint.write(position)
        return position

    def close(self) -> None:
        """Ends the reading."""
        if not self._closed:
            self._closed = True
            self._waiter.detach()
            if not self._file.foreign():
                self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_waiter"):
            self.close()


class CsvBatches:
    """Lists of the rows of a :class:`CsvRows`."""

    def __init__(self, rows: CsvRows) -> None:
        self._rows = rows
        self._turn_began = 0.0

    def _in_hand(self) -> list[Row]:
        batch = list(self._rows._run)
        self._rows._counted(len(batch))
        return batch

    def __aiter__(self) -> AsyncIterator[list[Row]]:
        return self

    async def __anext__(self) -> list[Row]:
        if time.perf_counter() - self._turn_began > TURN_S:
            await asyncio.sleep(0)
            self._turn_began = time.perf_counter()
        while not (batch := self._in_hand()):
            if not await self._rows._next_run():
                raise StopAsyncIteration
        return batch

    def __iter__(self) -> Iterator[list[Row]]:
        return self

    def __next__(self) -> list[Row]:
        while not (batch := self._in_hand()):
            if not self._rows._next_run_blocking():
                raise StopIteration
        return batch


def read_csv(
    path: str | os.PathLike[str],
    schema: Mapping[str, Callable[[str], Any]] | None = None,
    *,
    on_error: str | Callable[[BadRow], None] = "raise",
    delimiter: str = ",",
    max_waiting: int = 4096,
    checkpoint: str | os.PathLike[str] | None = None,
) -> CsvRows:
    """Rows of a CSV file with a header, as dicts, read by a thread while you process them.

    The file may be compressed by gzip or zstd. ``schema`` says what turns a column's text into a
    value, as ``{"price": float}``; other columns stay text. A row whose quotes do not match, with
    too few or too many fields, or with a value that does not convert, is a :class:`BadRow`:
    raised, skipped and counted, or given to a function, in its place among the others. At most
    about ``max_waiting`` rows are read ahead. With a ``checkpoint``, reading resumes behind the
    last :meth:`CsvRows.commit`.
    """
    return CsvRows(path_of("path", path), schema, on_error, delimiter, max_waiting, checkpoint)
