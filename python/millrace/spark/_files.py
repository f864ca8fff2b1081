"""One file to Arrow batches, in an executor: its records, bars, book snapshots or ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._errors import FormatError, MillraceError, UsageError, error_of
from .._feed import Feed
from .._research import Bars
from .._sources import is_dbn
from ._columns import arrow_schema, one_row, record_batch
from ._lacking import doubts, made_wrong
from ._options import Reading

if TYPE_CHECKING:
    import pyarrow as pa

    from .._batch import Batch

_ROWS = 65_536
_BLOCK = 8_192  # of a file's records, which segments take in turns


def _feed_of(path: str, reading: Reading) -> Feed:
    """The file as a feed."""
    if is_dbn(path):
        if reading.symbols:
            raise UsageError("a DBN file gives all its records; choose by where, not by symbols")
        if reading.date is not None:
            raise UsageError("a DBN file tells the day of its records; leave date out")
        return Feed(path, start=reading.start, end=reading.end)
    options: dict[str, Any] = dict(reading.limits)
    if reading.date is not None:
        options["date"] = reading.date
    feed = Feed(
        path,
        venue=reading.venue,
        symbols=reading.symbols,
        start=reading.start,
        end=reading.end,
        **options,
    )
    feed._running.told = True  # rows say it; of a folder's files each may have some of the symbols
    return feed


def read_file(path: str, name: str, reading: Reading, segment: int = 0) -> Iterator[pa.RecordBatch]:
    """All of a file, or a segment. A damaged one gives what is good, and then fails or says so."""
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
            yield problem_row(name, str(named), reading)


def read_range(
    path: str, name: str, first: int, end: int, reading: Reading
) -> Iterator[pa.RecordBatch]:
    """Rows ``first`` to ``end``, without that one, counted from 0; those of :func:`count_rows`."""
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
        yield problem_row(name, str(_named(path, error)), reading)
        return
    raise FormatError(f"{path}: {at} records, of which there were {end}; was it replaced?")


def problem_row(name: str, problem: str, reading: Reading) -> pa.RecordBatch:
    """The row that says what is wrong with a file."""
    return one_row({"file": name, "problem": problem}, reading.columns)


def count_rows(path: str, reading: Reading) -> int:
    """Records of the file, and with ``report`` one row more where it is damaged.

    Of a DBN file that ends inside a record, which somebody may be writing: those so far.
    """
    rows = 0
    may_grow = path.endswith(".dbn")
    try:
        with _feed_of(path, reading) as feed:
            for batch in _batches(feed, reading.kind, reading, may_grow=may_grow):
                rows += len(batch)
    except MillraceError as error:
        if may_grow and "ends inside" in str(error):
            return rows
        if not _is_reported(error, reading):
            raise _named(path, error) from None
        rows += 1
    return rows


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
    return error_of(error.code, text if path in text else f"{path}: {text}")


def _records(path: str, name: str, reading: Reading, segment: int = 0) -> Iterator[pa.RecordBatch]:
    """Records of a segment, which runs the whole session and hands on every so many-th block."""
    import numpy as np

    with _feed_of(path, reading) as feed:
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
    with _feed_of(path, reading) as feed:
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
    with _feed_of(path, reading) as feed:
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
    """A row that says what became of every message of the file, and what is wrong with it."""
    if is_dbn(path):
        raise UsageError("a DBN file holds records and has no ledger")
    records = 0
    problem: MillraceError | None = None
    with _feed_of(path, reading) as feed:
        try:
            for batch in _batches(feed, "mbo", reading):
                records += len(batch)
        except MillraceError as error:
            if not reading.report:
                raise
            problem = _named(path, error)
        stats = feed.stats()
        row = {
            "file": name,
            "venue": stats.get("venue"),
            "digest": feed.digest,
            "messages": stats.get("messages"),
            "records": records,
            "balance": stats.get("balance"),
            "stats": json.dumps(stats),
            "problem": None if problem is None else str(problem),
        }
    yield one_row(row, reading.columns)
