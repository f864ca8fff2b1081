"""Research: whole feeds as tables and files, bars of trades, books at a time."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import _core
from ._arguments import When, list_of, path_of, symbols_of, text_of, time_of
from ._batch import Batch
from ._book import Book, book_of
from ._errors import FileError, UsageError, core_errors
from ._feed import Feed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DAY = 24 * _UNITS["h"]
_ROWS = 65_536


def to_arrow(feed: Feed, schema: str = "mbo", *, prices: str = "float") -> pa.Table:
    """All rows of a schema as a pyarrow table. Runs the feed to its end."""
    import pyarrow as pa

    batches = list(_record_batches(feed, schema, prices))
    return pa.Table.from_batches(batches) if batches else pa.table({})


def to_parquet(
    feed: Feed,
    path: str | os.PathLike[str],
    schema: str = "mbo",
    *,
    prices: str = "float",
    compression: str = "zstd",
) -> int:
    """Writes all rows of a schema to a Parquet file, by pyarrow; returns how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = path_of("path", path)
    part = target.with_name(target.name + ".part")  # whole or not there
    batches = _record_batches(feed, schema, prices)
    first = next(batches, None)
    if first is None:
        raise UsageError(f"{feed!r} has no {schema} rows to write")
    rows = 0
    try:
        with pq.ParquetWriter(part, first.schema, compression=compression) as writer:
            for batch in itertools.chain([first], batches):
                writer.write_batch(batch)
                rows += batch.num_rows
        part.replace(target)
    except FileError:
        raise
    except OSError as error:
        why = error.strerror or str(error).splitlines()[0]
        raise FileError(f"{target}: {why}; nothing was written") from None
    except pa.ArrowException as error:
        raise UsageError(f"{target}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return rows


def to_csv(feed: Feed, path: str | os.PathLike[str], schema: str = "mbo") -> int:
    """Writes all rows of a schema as CSV, as ``millrace convert`` does; returns how many.

    The name ends in ``.csv``, behind which ``.gz`` or ``.zst`` compresses.
    """
    return _to_file(feed, path, schema)


def to_dbn(feed: Feed, path: str | os.PathLike[str], schema: str = "mbo") -> int:
    """Writes all rows of a schema to a DBN file (``.dbn``, ``.dbn.zst``); returns how many."""
    return _to_file(feed, path, schema)


def _to_file(feed: Feed, path: str | os.PathLike[str], schema: str) -> int:
    name = str(path_of("path", path))
    rows = 0
    stream = _feed_of(feed).batches(schema, max_rows=_ROWS)
    first = next(stream, None)  # with which a broker's stream tells its data set
    with core_errors():
        file = _core.RecordFile(name, schema, feed._core.dataset())
        for batch in itertools.chain([] if first is None else [first], stream):
            file.write(batch._raw)
            rows += len(batch)
        file.close()
    return rows


def _record_batches(feed: Feed, schema: str, prices: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    shape: Any = None
    for batch in _feed_of(feed).batches(schema, max_rows=_ROWS):
        columns = pa.record_batch(batch.arrow(prices=prices))
        # One set of symbols a batch is one dictionary a batch; files and tables want one type.
        at = columns.schema.get_field_index("symbol")
        columns = columns.set_column(at, "symbol", columns.column(at).cast(pa.string()))
        shape = shape or columns.schema
        yield columns.cast(shape)


def interval_ns(text: str) -> int:
    """Nanoseconds of ``"1m"``, ``"5s"``, ``"1h"``.

    >>> from millrace._research import interval_ns
    >>> interval_ns("5s")
    5000000000
    """
    number = text_of("interval", text).rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS.get(text[len(number) :])
    length = int(number) * unit if unit and number.isascii() and number.isdigit() else 0
    if length == 0 or _DAY % length != 0:
        raise UsageError(
            f"interval={text!r}: a whole number of ns, us, ms, s, m or h that divides a day, "
            "as 1s, 1m, 1h"
        )
    return length


class Bars:
    """Bars of trades: open, high, low, close, volume, VWAP. Add batches, then take :meth:`numpy`.

    The definition is the project's one (docs/python.md): UTC intervals of ``ts_event``, open and
    close by sequence, VWAP rounded down to 1e-9.
    """

    def __init__(self, interval: str = "1m") -> None:
        with core_errors():
            self._bars = _core.Bars(interval_ns(interval))
        self._symbols: dict[int, str] = {}

    def add(self, trades: Batch) -> None:
        """Adds a batch of the schema ``trades``."""
        if trades.schema != "trades":
            raise UsageError(f"bars are made of trades, not of {trades.schema}")
        self._bars.add(trades._raw)
        self._symbols = trades.symbols

    @property
    def passed_over(self) -> int:
        """Trades without a price or a size, as an auction that traded nothing."""
        return self._bars.passed_over

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The bars so far, by instrument and time; prices count 1e-9."""
        import numpy as np

        fields = [("ts_event", "<u8"), ("instrument_id", "<u4"), ("trades", "<u4")]
        fields += [(name, "<i8") for name in ("open", "high", "low", "close")]
        fields += [("volume", "<u8"), ("vwap", "<i8")]
        return np.frombuffer(self._bars.raw(), np.dtype(fields))

    def pandas(self) -> Any:
        """The bars with symbols, UTC times and float prices."""
        import pandas as pd

        rows = self.numpy()
        data = {"ts_event": pd.to_datetime(rows["ts_event"].astype("int64"), utc=True)}
        data["symbol"] = [self._symbols.get(int(one)) for one in rows["instrument_id"]]
        for name in ("open", "high", "low", "close", "vwap"):
            data[name] = rows[name] / 1e9
        data["volume"], data["trades"] = rows["volume"], rows["trades"]
        return pd.DataFrame(data)


def bars(feed: Feed, interval: str = "1m") -> Bars:
    """Bars of all trades of a feed. Runs it to its end."""
    out = Bars(interval)
    for batch in _feed_of(feed).batches("trades", max_rows=_ROWS):
        out.add(batch)
    return out


def _feed_of(feed: Feed) -> Feed:
    if not isinstance(feed, Feed):
        raise UsageError(f"{feed!r} is no feed; make one by millrace.replay(...)")
    return feed


def books_at(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    times: Iterable[When],
    symbols: Iterable[str],
    **options: Any,
) -> list[tuple[int, list[Book]]]:
    """Books of a capture as they were at some times: (time, books), in order of time.

    A book at a time shows every packet received before it, and is its last state where the
    capture ends earlier. The options are those of :func:`replay`.
    """
    names = symbols_of(symbols)
    wanted = sorted(time_of("times", time) for time in list_of("times", times, ["2024-01-02"]))
    feed = Feed(source, symbols=names, **options)
    with feed, core_errors():
        feed._core.snap_at(wanted, names)
        feed._core.start()
        images = feed._core.snapshots()
        feed._running.check_end()
    return [
        (time, [book_of(image) for image in at if image is not None])
        for time, at in zip(wanted, images, strict=True)
    ]
