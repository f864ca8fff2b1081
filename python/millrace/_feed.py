"""Feeds: one object for captures, live multicast, config files and the simulator."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from . import _core
from ._arguments import When, at_least, path_of, symbols_of, text_of, time_of
from ._book import Book, book_of
from ._closing import Closing
from ._errors import MillraceError, NoPosition, UsageError, core_errors
from ._position import Checkpoint, Position
from ._running import Running, refuse_foreign
from ._schemas import EVENTS, MADE, SCHEMA_OF, dtype_of, rtype_of
from ._sources import Source, source_of
from ._streams import BatchStream, MessageStream

Callback = TypeVar("Callback", bound=Callable[..., Any])

_OVERFLOWS = ("block", "drop_oldest", "conflate")
#: Schemas whose newest record says all there is to know; others cannot be conflated.
_STATES = frozenset({"mbp-1", "mbp-10", "status", "definition", "imbalance"})
_ALWAYS, _NEVER = -(2**63), 2**63  # times that bound nothing
_SLAB_BYTES = 256 * 1024
_MIXED_SLAB_BYTES = 512 * 1024


class Feed(Closing):
    """A stream of market data with its books.

    ``source`` is a capture file (or several), a DBN or CSV file (rows as they are, no books), a
    ``udp://group:port?iface=name`` or ``soup://address:port`` URL (or one for each redundant
    line), the URL of a stream of ours (``kafka://host:port/topic``, ``redis://host:port/key``,
    ``amqp://host:port/queue``), a config file (``*.toml``), or ``sim://``, an exchange simulator.
    It starts when it is first iterated; make all iterators of a capture before that.

    ``overflow`` says what happens to rows that nobody takes: ``"block"`` holds the source up,
    ``"drop_oldest"`` throws the oldest away, ``"conflate"`` keeps only each instrument's newest.
    Whatever is thrown away is counted. Files block unless told otherwise, live feeds drop. An
    iterator's queue takes at most ``buffer_bytes``, less as long as less will do; what was of no
    use for ``buffer_quiet`` seconds is given back.

    ``books="batch"`` keeps the feed in step with its one iterator, so that :meth:`book` shows
    books as of the end of the batch in hand; otherwise it shows them as of now.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        venue: str | None = None,
        symbols: Iterable[str] | None = None,
        start: When = None,
        end: When = None,
        overflow: str | None = None,
        buffer_bytes: int = 64 << 20,
        buffer_quiet: float = 60.0,
        books: str = "now",
        checkpoint: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        if books not in ("now", "batch"):
            raise UsageError(f"books={books!r}: 'now' or 'batch'")
        _check_overflow(overflow)
        at_least("buffer_bytes", buffer_bytes, 1, whole=True)
        at_least("buffer_quiet", buffer_quiet, 0)
        venue = "" if venue is None else text_of("venue", venue)
        common: dict[str, Any] = {"venue": venue, "symbols": symbols_of(symbols)}
        if start is not None:
            common["start"] = time_of("start", start)
        if end is not None:
            common["end"] = time_of("end", end)
        if common.get("start", _ALWAYS) >= common.get("end", _NEVER):
            raise UsageError(f"start={start!r} is not before end={end!r}: no row lies between")
        with core_errors():
            self._source: Source = source_of(source, common, options)
            self._checkpoint = self._open_checkpoint(checkpoint)
        self._running = Running(
            self._source,
            common["symbols"],
            in_step=books == "batch",
            in_part=start is not None or end is not None,
        )
        self._core = self._running.core
        self._overflow = overflow or ("drop_oldest" if self._source.live else "block")
        self._buffer_bytes = buffer_bytes
        self._buffer_quiet = buffer_quiet
        self._streams: weakref.WeakSet[BatchStream | MessageStream] = weakref.WeakSet()
        self._identity: dict[str, Any] | None = None
        self._handlers: dict[type[Any], list[Callable[[Any], Any]]] = {}
        self._error_handlers: list[Callable[[Exception, Any], Any]] = []

    def _open_checkpoint(self, path: str | os.PathLike[str] | None) -> Checkpoint | None:
        if path is None:
            return None
        if self._source.has_group:
            raise UsageError(
                "the server keeps the place of a group or queue; leave checkpoint= out"
            )
        self._check_position()
        checkpoint = Checkpoint(path_of("checkpoint", path), self._source.identity())
        self._source.at = checkpoint.at
        return checkpoint

    # ---- iterating ----

    def batches(
        self,
        schema: str = "mbo",
        *,
        max_rows: int = 4096,
        max_wait: float = 0.005,
        overflow: str | None = None,
    ) -> BatchStream:
        """Batches of one schema: at most ``max_rows`` rows each.

        A batch that is not full is handed out ``max_wait`` seconds after its first row was there.
        """
        at_least("max_rows", max_rows, 1, whole=True)
        at_least("max_wait", max_wait, 0)
        rtype = rtype_of(schema, MADE)
        size = dtype_of(rtype).itemsize
        rows = max(1, _SLAB_BYTES // size // max_rows) * max_rows
        slab_bytes = rows * size
        if self._running.in_step:
            slab_bytes += 1 << 20  # the rest of the packet that filled the batch
        number = self._open([schema], [rtype], overflow, slab_bytes, schema)
        stream = BatchStream(self._running, number, schema, max_rows, max_wait)
        self._streams.add(stream)
        return stream

    def messages(self, *types: type[Any], max_wait: float = 0.0) -> MessageStream:
        """One object a record, of these types, in the feed's order."""
        _check_types(types, "feed.messages")
        schemas = [SCHEMA_OF[one] for one in types if one in SCHEMA_OF]
        at_least("max_wait", max_wait, 0)
        rtypes = [one.RTYPE for one in types]
        number = self._open(schemas, rtypes, None, _MIXED_SLAB_BYTES, "messages")
        stream = MessageStream(self._running, number, max_wait)
        self._streams.add(stream)
        return stream

    def _open(
        self,
        schemas: list[str],
        rtypes: list[int],
        overflow: str | None,
        slab_bytes: int,
        stream: str,
    ) -> int:
        """Makes a channel, and returns its number."""
        refuse_foreign(self._core)
        if self._running.closed:
            raise MillraceError("this feed is closed")
        _check_overflow(overflow)
        overflow = overflow or self._overflow
        if overflow == "conflate" and (len(rtypes) != 1 or schemas[0] not in _STATES):
            what = schemas[0] if schemas else "events"
            raise UsageError(
                f"{what} cannot be conflated, every record counts; {', '.join(sorted(_STATES))} can"
            )
        if self._running.in_step and self._running.channels:
            raise UsageError("books='batch' keeps in step with one iterator; this feed has one")
        if self._core.started() and not (self._source.live or self._source.url):
            raise UsageError("this feed has begun; make all its iterators before the first is used")
        return self._running.open(
            stream,
            schemas=schemas,
            record_types=rtypes,
            overflow=overflow,
            slab_bytes=slab_bytes,
            slabs_max=max(8, self._buffer_bytes // slab_bytes),
            skip_rows=self._skipped(stream),
            lockstep=self._running.in_step,
            instruments=65_536,
            quiet_seconds=self._buffer_quiet,
        )

    # ---- callbacks ----

    def on(self, *types: type[Any]) -> Callable[[Callback], Callback]:
        """Decorator: calls the function, plain or ``async``, with each message of these types.

        Callbacks run one at a time, in the feed's order, while :meth:`run` or :meth:`run_sync`
        runs; an ``async`` one is awaited before the next message is looked at.
        """
        _check_types(types, "@feed.on")

        def register(callback: Callback) -> Callback:
            _check_callback(callback)
            for one in types:
                self._handlers.setdefault(one, []).append(callback)
            return callback

        return register

    def on_gap(self, callback: Callback) -> Callback:
        """Calls ``callback(gap)`` when messages ``gap.first`` to ``gap.last`` are lost for good."""
        return self.on(_core.Gap)(callback)

    def on_quality(self, callback: Callback) -> Callback:
        """Calls ``callback(change)`` when a book's quality changes: see ``change.quality``."""
        return self.on(_core.Quality)(callback)

    def on_reconnect(self, callback: Callback) -> Callback:
        """Calls ``callback(event)`` when ``event.line``, lost before, is there again (TCP).

        What the server still has is asked for again, so that no message is missing.
        """
        return self.on(_core.Reconnect)(callback)

    def on_error(self, callback: Callback) -> Callback:
        """Calls ``callback(error, message)`` when a callback raised; without, the run ends."""
        _check_callback(callback)
        self._error_handlers.append(callback)
        return callback

    async def run(self) -> None:
        """Calls the callbacks until the feed ends."""
        stream = self._handled()
        done, number = self._running.done, stream.number
        try:
            async for run in stream._runs():
                for at, message in run:
                    before, done[number] = done[number], at
                    for callback in self._handlers.get(type(message), ()):
                        try:
                            result = callback(message)
                            if inspect.isawaitable(result):
                                await result
                        except Exception as error:
                            done[number] = before
                            await self._failed(error, message)
                            done[number] = at
        finally:
            stream.close()

    def run_sync(self) -> None:
        """The same in a script without asyncio; callbacks must be plain functions."""
        for callbacks in self._handlers.values():
            for callback in callbacks:
                if inspect.iscoroutinefunction(callback):
                    raise UsageError("run_sync() calls plain functions; use await feed.run()")
        stream = self._handled()
        done, number = self._running.done, stream.number
        before = 0
        try:
            for message in stream:
                for callback in self._handlers.get(type(message), ()):
                    try:
                        callback(message)
                    except Exception as error:
                        at, done[number] = done[number], before
                        if not self._error_handlers:
                            raise
                        for handler in self._error_handlers:
                            handler(error, message)
                        done[number] = at
                before = done[number]
        finally:
            stream.close()

    def _handled(self) -> MessageStream:
        if not self._handlers:
            raise UsageError("nothing to call: register callbacks with @feed.on(millrace.Trade)")
        return self.messages(*self._handlers)

    async def _failed(self, error: Exception, message: Any) -> None:
        if not self._error_handlers:
            raise error
        for handler in self._error_handlers:
            result = handler(error, message)
            if inspect.isawaitable(result):
                await result

    # ---- looking at the feed ----

    def book(self, symbol: str, *, orders: bool = True) -> Book | None:
        """A copy of the symbol's book, as of now or of the batch in hand; None while it has none.

        ``orders=False`` leaves the queues out, which is much less for a deep book.
        """
        refuse_foreign(self._core)
        image = self._core.book(text_of("symbol", symbol), orders)
        return None if image is None else book_of(image)

    def books(self) -> list[Book]:
        """All books at one moment, without their queues."""
        refuse_foreign(self._core)
        return [book_of(image) for image in self._core.books()]

    def stats(self) -> dict[str, Any]:
        """The whole ledger, as ``millrace replay --json`` has it, and Python's own.

        ``streams`` has the counters of all iterators, in the order in which they were made.
        """
        refuse_foreign(self._core)
        with core_errors():
            stats: dict[str, Any] = json.loads(self._core.stats_json())
        stats["streams"] = [channel.counters() for channel in self._running.channels]
        return stats

    @property
    def digest(self) -> str:
        """The digest of all books, as the command prints it."""
        refuse_foreign(self._core)
        return self._core.digest()

    @property
    def symbols(self) -> dict[int, str]:
        """Symbols by ``instrument_id``, as far as they have appeared."""
        return self._core.symbols()

    @property
    def symbols_missing(self) -> list[str]:
        """Of ``symbols=``, those that have not appeared; at the end of a file a warning says so."""
        refuse_foreign(self._core)
        return self._running.symbols_missing()

    @property
    def lag(self) -> int:
        """Rows that are there and were not taken, of the iterator that is furthest behind."""
        return max((stream.counters["waiting"] for stream in list(self._streams)), default=0)

    @property
    def lag_seconds(self) -> float:
        """Live: age of the newest packet handled. Files: 0."""
        last = self._core.progress()[1]
        return max(0.0, time.time() - last / 1e9) if self._source.live and last else 0.0

    @property
    def progress(self) -> float:
        """How much of the files has been read, from 0 to 1."""
        _, _, done, total = self._core.progress()
        return 1.0 if total == 0 and self.finished else min(1.0, done / max(1, total))

    @property
    def finished(self) -> bool:
        """True when nothing more will come; rows may still be waiting."""
        return self._core.finished()

    # ---- where it stands ----

    @property
    def position(self) -> Position:
        """What was handed out, and where to resume. Raises :class:`NoPosition` for raw UDP."""
        self._check_position()
        return self._place_of(self._running.done_rows(), commit=False)

    async def commit(self) -> Position:
        """Says that everything handed out so far is done.

        It is kept in the checkpoint, or by the group of a stream's server, when this returns.
        Messages and rows that were handed out after the call are no part of it.
        """
        self._check_commit()
        done = self._running.done_rows()
        return await asyncio.to_thread(self._commit, done)

    def commit_sync(self) -> Position:
        """The same without asyncio."""
        self._check_commit()
        return self._commit(self._running.done_rows())

    def _check_commit(self) -> None:
        self._check_position()
        if self._source.has_group and self._running.closed:
            raise MillraceError(f"{self._source.title}: this feed is closed; commit before that")
        if self._checkpoint is None and not self._source.has_group:
            more = " or name a group (?group=NAME)" if self._source.has_groups else ""
            raise UsageError(f"nowhere to commit to; make the feed with checkpoint='FILE'{more}")

    def _commit(self, done: list[int | None]) -> Position:
        position = self._place_of(done, commit=True)
        if self._checkpoint is not None:
            self._checkpoint.write(position)
        return position

    def _check_position(self) -> None:
        if not self._source.resumable:
            raise NoPosition(
                f"{self._source.title}: has no position to resume; nobody keeps what was sent, or "
                "how far it was read"
            )

    def _place_of(self, done: list[int | None], *, commit: bool) -> Position:
        rows: dict[str, int] = {}
        for name, kept, count in zip(self._running.names, self._running.done, done, strict=False):
            own = self._skipped(name) + (kept if count is None else count)
            rows[name] = min(own, rows.get(name, own))
        at = ""
        if self._source.url:
            at = self._running.processed(done, commit=commit and self._source.has_group)
        if self._identity is None:
            self._identity = self._source.identity()
        return Position(self._identity, rows, at or self._source.at)

    def _skipped(self, stream: str) -> int:
        """Rows of a file that were done when this feed was made, and do not come again."""
        if self._checkpoint is None or self._source.url:
            return 0
        return self._checkpoint.rows_of(stream)

    # ---- beginning and end ----

    def start(self) -> None:
        """Starts the feed now; iterating does it too."""
        if self._running.closed:
            raise MillraceError("this feed is closed")
        self._running.start()

    def close(self) -> None:
        """Stops the feed. Batches that were handed out stay valid, counts and books readable."""
        if self._running.closed:
            return
        self._running.stop()
        for stream in list(self._streams):
            stream.close()

    async def aclose(self) -> None:
        """The same, without holding the event loop up while the feed's thread ends."""
        if not self._running.closed:
            await asyncio.to_thread(self.close)

    def __iter__(self) -> Iterator[Any]:
        """Batches of ``mbo``."""
        return iter(self.batches())

    def __repr__(self) -> str:
        return f"<millrace.Feed {self._source.title}>"


def _check_overflow(overflow: str | None) -> None:
    if overflow is not None and overflow not in _OVERFLOWS:
        raise UsageError(f"overflow={overflow!r}: one of {', '.join(_OVERFLOWS)}")


def _check_types(types: tuple[Any, ...], call: str) -> None:
    if not types:
        raise UsageError(f"name the types of messages, as {call}(millrace.Trade)")
    made = (*SCHEMA_OF, *EVENTS.values())
    for one in types:
        if not isinstance(one, type) or one not in made:
            names = ", ".join(kind.__name__ for kind in made)
            raise UsageError(f"{one!r} is no message that a feed makes; there are {names}")


def _check_callback(callback: Any) -> None:
    if not callable(callback):
        raise UsageError(f"{callback!r} cannot be called")


def replay(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    venue: str | None = None,
    symbols: Iterable[str] | None = None,
    start: When = None,
    end: When = None,
    **options: Any,
) -> Feed:
    """A capture as a feed: pcap, pcapng or BinaryFILE, plain, gzip or zstd; one or several.

    ``start`` and ``end`` bound the rows by receive time (books are made from the beginning all the
    same): a datetime, an ISO text, or nanoseconds since the Unix epoch. ``pace=1`` replays as
    captured; the other options are those of :class:`Feed`.
    """
    return Feed(source, venue=venue, symbols=symbols, start=start, end=end, **options)
