"""One file to Arrow batches, in an executor: its records, bars, book snapshots or ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import MillraceError, UsageError
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

if TYPE_CHECKING:
    import pyarrow as pa

#: Kinds of rows that are not records.
_LEDGER_COLUMNS = (
    "venue string, digest string, messages bigint, records bigint, balance bigint, stats string"
)
_LIMITS: tuple[str, ...] = ("instruments", "orders", "levels")
_ROWS = 65_536


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
    report: bool = False
    limits: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, options: dict[str, str]) -> Reading:
        """From Spark's options, whose names are in lower case; unknown ones are refused."""
        known = {"schema", "venue", "symbols", "start", "end", "date", "interval", "every_ms"}
        known |= {"bad_files", *_LIMITS}
        wrong = sorted(set(options) - known)
        need(not wrong, f"no option is called {wrong and wrong[0]!r}; there are {sorted(known)}")
        kind = options.get("schema", "mbo")
        if kind not in ("bars", "books", "ledger"):
            kind = schema_of(kind)
        interval_ns(options.get("interval", "1m"))
        bad = options.get("bad_files", "fail")
        need(bad in ("fail", "report"), f"bad_files={bad!r}: fail or report")
        every = options.get("every_ms", "1000")
        need(every.isdigit() and int(every) > 0, f"every_ms={every!r}: a whole number, from 1")
        limits = {name: int(options[name]) for name in _LIMITS if name in options}
        return cls(
            kind=kind,
            venue=options.get("venue"),
            symbols=tuple(name for name in options.get("symbols", "").split(",") if name),
            start=options.get("start"),
            end=options.get("end"),
            date=options.get("date"),
            interval=options.get("interval", "1m"),
            every_ms=int(every),
            report=bad == "report",
            limits=limits,
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
        return Feed(
            path, venue=self.venue, symbols=self.symbols, start=self.start, end=self.end, **options
        )


def read_file(path: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """All of a file. A damaged one gives what is good, and then fails or says so in a row."""
    name = Path(path).name
    kinds = {"bars": _bars, "books": _books, "ledger": _ledger}
    try:
        yield from kinds.get(reading.kind, _records)(path, name, reading)
    except MillraceError as error:
        text = str(error) if name in str(error) else f"{path}: {error}"
        if not reading.report:
            raise MillraceError(text) from None
        yield one_row({"file": name, "problem": text}, reading.columns)


def read_range(path: str, first: int, end: int, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Records ``first`` to ``end``, without that one, counted from 0."""
    for batch in _records(path, Path(path).name, reading, end):
        at = batch.column("record")[0].as_py() - 1
        if at + batch.num_rows > first:
            yield batch.slice(max(0, first - at), end - max(at, first))


def count_records(path: str, reading: Reading) -> int:
    """Records of the file; of one that is still being written, so far."""
    rows = 0
    try:
        with reading.feed(path) as feed:
            for batch in feed.batches(reading.kind, max_rows=_ROWS):
                rows += len(batch)
    except MillraceError:
        if not path.endswith(".dbn"):  # a DBN file may grow; its last record may be half there
            raise
    return rows


def _records(
    path: str, name: str, reading: Reading, end: int | None = None
) -> Iterator[pa.RecordBatch]:
    import numpy as np

    with reading.feed(path) as feed:
        for batch in feed.batches(reading.kind, max_rows=_ROWS):
            if end is not None and batch.first_row >= end:
                return
            first = batch.first_row + 1
            before = {"file": name, "record": np.arange(first, first + len(batch))}
            yield record_batch(batch, before | _no_problem(reading), reading.columns)


def _no_problem(reading: Reading) -> dict[str, Any]:
    return {"problem": None} if reading.report else {}


def _bars(path: str, name: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    problem: MillraceError | None = None
    made = Bars(reading.interval)
    with reading.feed(path) as feed:
        try:
            for batch in feed.batches("trades", max_rows=_ROWS):
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
    latest = 0
    with reading.feed(path) as feed:
        for batch in feed.batches("mbp-10", max_rows=_ROWS):
            # In the feed's order, in which a packet that was held may come with an earlier time.
            times = np.maximum.accumulate(batch.numpy()["ts_recv"].astype("int64"))
            times = np.maximum(times, latest)
            latest = int(times[-1])
            before = {"file": name, "snapshot": (times // every + 1) * every}
            rows = record_batch(batch, before | _no_problem(reading), reading.columns)
            if pending is not None:
                rows = pa.concat_batches([pending, rows])
            rows = _last_of_each(rows, every)
            over = np.searchsorted(rows.column("snapshot").to_numpy(), latest // every * every + 1)
            if over > 0:
                yield rows.slice(0, over)
            pending = rows.slice(over)
    if pending is not None and pending.num_rows > 0:
        yield pending


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
