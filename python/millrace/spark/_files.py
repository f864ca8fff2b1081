"""One file to Arrow batches, in an executor: its records, bars, book snapshots or ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._arguments import nanoseconds
from .._errors import FormatError, MillraceError, UsageError, error_of
from .._feed import Feed
from .._research import Bars, interval_ns
from ._columns import (
    BAR_COLUMNS,
    arrow_schema,
    need,
    one_row,
    record_batch,
    record_columns,
    schema_of,
)
from ._lacking import doubts, made_wrong

if TYPE_CHECKING:
    import pyarrow as pa

    from .._batch import Batch

#: Kinds of rows that are not records.
_LEDGER_COLUMNS = (
    "venue string, digest string, messages bigint, records bigint, balance bigint, stats string"
)
_LIMITS: tuple[str, ...] = ("instruments", "orders", "levels")
_ROWS = 65_536
_BLOCK = 8_192  # of a file's records, which segments take in turns


@dataclass(frozen=True)
class Reading:
    """What to read from each file: the options of ``spark.read.format("millrace")``."""

    kind: str = "mbo"
    venue: str | None = None
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    date: str | None = None
    interval: str = "1m"
    every_ms: int = 1000
    segments: int = 1  # of each file, a task each
    report: bool = False
    limits: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, options: dict[str, str]) -> Reading:
        """From Spark's options, whose names are in lower case; unknown ones are refused."""
        known = {"schema", "venue", "symbols", "start", "end", "date", "interval", "every_ms"}
        known |= {"bad_files", "segments", *_LIMITS}
        wrong = sorted(set(options) - known)
        need(not wrong, f"no option is called {wrong and wrong[0]!r}; there are {sorted(known)}")
        kind = options.get("schema", "mbo")
        if kind not in ("bars", "books", "ledger"):
            kind = schema_of(kind)
        interval_ns(options.get("interval", "1m"))
        for when in filter(None, (options.get("start"), options.get("end"))):
            nanoseconds(when)  # refused here, and not by every task
        bad = options.get("bad_files", "fail")
        need(bad in ("fail", "report"), f"bad_files={bad!r}: fail or report")
        numbers = {"every_ms": "1000", "segments": "1"}
        for name in numbers:
            text = numbers[name] = options.get(name, numbers[name])
            need(text.isdigit() and int(text) > 0, f"{name}={text!r}: a whole number, from 1")
        segments = int(numbers["segments"])
        whole = kind in ("bars", "books", "ledger")
        need(segments == 1 or not whole, f"{kind} are made of whole files; leave segments out")
        limits = {name: options[name] for name in _LIMITS if name in options}
        for name, text in limits.items():
            need(text.isdigit(), f"{name}={text!r}: a whole number")
        return cls(
            kind=kind,
            venue=options.get("venue"),
            symbols=_symbols_of(options),
            start=options.get("start"),
            end=options.get("end"),
            date=options.get("date"),
            interval=options.get("interval", "1m"),
            every_ms=int(numbers["every_ms"]),
            segments=segments,
            report=bad == "report",
            limits={name: int(text) for name, text in limits.items()},
        )

    @property
    def columns(self) -> str:
        """All columns, as Spark writes a schema."""
        if self.kind == "bars":
            columns = f"file string, {BAR_COLUMNS}"
        elif self.kind == "ledger":
            columns = f"file string, {_LEDGER_COLUMNS}"
        elif self.kind == "books":
            columns = f"file string, snapshot bigint, {record_columns('mbp-10')}"
        else:
            columns = f"file string, record bigint, {record_columns(self.kind)}"
        return columns + ", problem string" if self.report else columns

    def feed(self, path: str) -> Feed:
        """The file as a feed."""
        options: dict[str, Any] = dict(self.limits)
        if self.date is not None:
            options["date"] = self.date
        if path.endswith((".dbn", ".dbn.zst")):
            return Feed(path, start=self.start, end=self.end)
        feed = Feed(
            path, venue=self.venue, symbols=self.symbols, start=self.start, end=self.end, **options
        )
        feed._running.told_missing = True  # of a folder's files each may have some of the symbols
        return feed


def read_file(path: str, reading: Reading, segment: int = 0) -> Iterator[pa.RecordBatch]:
    """All of a file, or a segment. A damaged one gives what is good, and then fails or says so."""
    name = Path(path).name
    kinds = {"bars": _bars, "books": _books, "ledger": _ledger}
    try:
        if reading.kind in kinds:
            yield from kinds[reading.kind](path, name, reading)
        else:
            yield from _records(path, name, reading, segment)
    except MillraceError as error:
        named = _named(path, error)
        if not reading.report:
            raise named from None
        if segment == 0:
            yield one_row({"file": name, "problem": str(named)}, reading.columns)


def read_range(path: str, first: int, end: int, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Rows ``first`` to ``end``, without that one, counted from 0; those of :func:`count_rows`."""
    name = Path(path).name
    at = 0
    try:
        for batch in _records(path, name, reading):
            begin, at = at, at + batch.num_rows
            if at > first:
                yield batch.slice(max(0, first - begin), end - max(begin, first))
            if at >= end:  # what lies behind may be half written, and is not looked at
                return
    except MillraceError as error:
        if not _is_reported(error, reading) or at != end - 1:
            raise _named(path, error) from None
        yield one_row({"file": name, "problem": str(_named(path, error))}, reading.columns)
        return
    raise FormatError(f"{path}: {at} records, of which there were {end}; was it replaced?")


def count_rows(path: str, reading: Reading) -> int:
    """Records of the file, and with ``report`` one row more where it is damaged.

    Of a DBN file that ends inside a record, which somebody may be writing: those so far.
    """
    rows = 0
    may_grow = path.endswith(".dbn")
    try:
        with reading.feed(path) as feed:
            for batch in _batches(feed, reading.kind, reading, may_grow=may_grow):
                rows += len(batch)
    except MillraceError as error:
        if may_grow and "ends inside" in str(error):
            return rows
        if not _is_reported(error, reading):
            raise _named(path, error) from None
        rows += 1
    return rows


def _symbols_of(options: dict[str, str]) -> tuple[str, ...]:
    """Those asked for; none for all of them, which an empty list is not."""
    names = tuple(name for name in options.get("symbols", "").split(",") if name)
    if "symbols" in options and not names:
        raise UsageError("symbols is empty; name some, as AAPL,MSFT, or leave the option out")
    return names


def _is_reported(error: MillraceError, reading: Reading) -> bool:
    """Whether a row of a stream says it: damage stays, but what is not to be had may come back."""
    return reading.report and isinstance(error, FormatError)


def _batches(
    feed: Feed, schema: str, reading: Reading, *, may_grow: bool = False
) -> Iterator[Batch]:
    """All batches, and an error behind them where they are not all that the file should give."""
    rows = 0
    for batch in feed.batches(schema, max_rows=_ROWS):
        rows += len(batch)
        yield batch
    stats = feed.stats()
    is_cut = may_grow or reading.start is not None or reading.end is not None
    problem = made_wrong(stats, schema, rows, is_cut)
    if reading.report and not problem:
        problem = doubts(stats)  # books say so of themselves; a job need not fail for it
    if problem:
        raise FormatError(problem)


def _named(path: str, error: MillraceError) -> MillraceError:
    """The error, with the file that it is of."""
    text = str(error)
    return error_of(error.code, text if Path(path).name in text else f"{path}: {text}")


def _records(path: str, name: str, reading: Reading, segment: int = 0) -> Iterator[pa.RecordBatch]:
    """Records of a segment, which runs the whole session and hands on every so many-th block."""
    import numpy as np

    with reading.feed(path) as feed:
        for batch in _batches(feed, reading.kind, reading):
            first, end = batch.first_row, batch.first_row + len(batch)
            blocks = range(first // _BLOCK, (end - 1) // _BLOCK + 1)
            own = [block for block in blocks if block % reading.segments == segment]
            if not own:
                continue
            before = {"file": name, "record": np.arange(first + 1, end + 1)}
            rows = record_batch(batch, before | _no_problem(reading), reading.columns)
            if reading.segments == 1:
                yield rows
                continue
            for block in own:
                begin = max(block * _BLOCK, first)
                yield rows.slice(begin - first, min((block + 1) * _BLOCK, end) - begin)


def _no_problem(reading: Reading) -> dict[str, Any]:
    return {"problem": None} if reading.report else {}


def _bars(path: str, name: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    problem: MillraceError | None = None
    made = Bars(reading.interval)
    with reading.feed(path) as feed:
        try:
            for batch in _batches(feed, "trades", reading):
                made.add(batch)
        except MillraceError as error:
            problem = error  # after the bars of the trades before it
        rows, symbols = made.numpy(), feed.symbols
    schema = arrow_schema(reading.columns)
    start = pa.array(rows["ts_event"].astype("int64"))
    columns: dict[str, Any] = {
        "file": pa.repeat(pa.scalar(name), len(rows)),
        "symbol": pa.array([symbols.get(int(one)) for one in rows["instrument_id"]], pa.string()),
        "time": start.cast(pa.timestamp("ns", tz="UTC")),
        "ts_event": start,
        "problem": pa.nulls(len(rows), pa.string()),
    }
    for column in ("trades", "open", "high", "low", "close", "volume", "vwap"):
        columns[column] = pa.array(rows[column].astype("int64"))
    arrays = [columns[one.name].cast(one.type, safe=False) for one in schema]
    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    if problem is not None:
        raise problem


def _books(path: str, name: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """The ten best levels of each book that changed, as they were every so many milliseconds."""
    import numpy as np
    import pyarrow as pa

    every = reading.every_ms * 10**6
    pending: pa.RecordBatch | None = None  # of the interval that is not over
    problem: MillraceError | None = None
    latest = 0
    with reading.feed(path) as feed:
        try:
            for batch in _batches(feed, "mbp-10", reading):
                # In the feed's order, where a packet that was held may come with an earlier time.
                times = np.maximum.accumulate(batch.numpy()["ts_recv"].astype("int64"))
                times = np.maximum(times, latest)
                latest = int(times[-1])
                before = {"file": name, "snapshot": (times // every + 1) * every}
                rows = record_batch(batch, before | _no_problem(reading), reading.columns)
                if pending is not None:
                    rows = pa.concat_batches([pending, rows])
                rows = _last_of_each(rows, every)
                over = np.searchsorted(
                    rows.column("snapshot").to_numpy(), latest // every * every + 1
                )
                if over > 0:
                    yield rows.slice(0, over)
                pending = rows.slice(over)
        except MillraceError as error:
            problem = error  # after the books as they were then
    if pending is not None and pending.num_rows > 0:
        yield pending
    if problem is not None:
        raise problem


def _last_of_each(rows: pa.RecordBatch, every: int) -> pa.RecordBatch:
    """The last row of each instrument and snapshot, in order of snapshots."""
    import numpy as np

    snapshots = rows.column("snapshot").to_numpy()
    keys = (snapshots - snapshots[0]) // every << 32 | rows.column("instrument_id").to_numpy()
    _, from_end = np.unique(keys[::-1], return_index=True)
    return rows.take(rows.num_rows - 1 - from_end)


def _ledger(path: str, name: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """A row that says what became of every message of the file."""
    if path.endswith((".dbn", ".dbn.zst")):
        raise UsageError(f"{name}: a DBN file holds records and has no ledger")
    records = 0
    with reading.feed(path) as feed:
        for batch in feed.batches("mbo", max_rows=_ROWS):
            records += len(batch)
        stats = feed.stats()
        row = {
            "file": name,
            "venue": stats.get("venue"),
            "digest": feed.digest,
            "messages": stats.get("messages"),
            "records": records,
            "balance": stats.get("balance"),
            "stats": json.dumps(stats),
        }
    yield one_row(row, reading.columns)
