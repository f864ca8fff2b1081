"""Records as Parquet that readers can skip through: by date, venue and bucket of symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._columns import need

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_BUCKETS_MOST = 65_536  # folders a day and venue
PARTITIONS = ("date", "venue", "bucket")


def write_parquet(
    rows: DataFrame, path: str, *, venue: str, buckets: int = 16, mode: str = "append"
) -> None:
    """Writes rows of this package below ``path``: ``date=.../venue=.../bucket=N/``.

    ``bucket`` is the CRC-32 of the symbol, modulo ``buckets``. Within a file rows go by symbol and
    time, so that the statistics of a symbol's row groups tell the others' to be skipped.
    """
    from pyspark.sql import functions as F

    need(0 < buckets <= _BUCKETS_MOST, f"buckets={buckets!r}: a number from 1 to {_BUCKETS_MOST}")
    need(bool(venue), "venue is empty; name one, as XNAS")
    absent = [name for name in ("symbol", "time", "ts_event") if name not in rows.columns]
    need(not absent, f"rows without {', '.join(absent)} have no place in it; write records or bars")
    key = F.coalesce("symbol", F.lit(""))
    placed = rows.withColumns(
        {
            "date": F.col("time").cast("date"),
            # With nothing of the symbol behind it, lest Spark sees a constant: that it would leave
            # out of the order below, which then is not by all partitions, and sort by those alone.
            "venue": F.concat(F.lit(venue), F.substring(key, 1, 0)),
            "bucket": (F.crc32(key.cast("binary")) % buckets).cast("int"),
        }
    )
    sort = [*PARTITIONS, "symbol", "ts_event"]
    if "record" in rows.columns:
        sort.append("record")
    files = placed.repartition(*PARTITIONS).sortWithinPartitions(*sort)
    files.write.mode(mode).partitionBy(*PARTITIONS).parquet(path)
