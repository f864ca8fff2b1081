"""Records as Parquet that readers can skip through: by date, venue and bucket of symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PARTITIONS = ("date", "venue", "bucket")


def write_parquet(
    rows: DataFrame, path: str, *, venue: str, buckets: int = 16, mode: str = "append"
) -> None:
    """Writes rows of this package below ``path``: ``date=.../venue=.../bucket=N/``.

    ``bucket`` is the CRC-32 of the symbol, modulo ``buckets``. Within a file rows go by symbol and
    time, so that the statistics of a symbol's row groups tell the others' to be skipped.
    """
    bucket = f"CAST(crc32(CAST(symbol AS BINARY)) % {buckets} AS INT) AS bucket"
    placed = rows.selectExpr("*", "CAST(time AS DATE) AS date", f"'{venue}' AS venue", bucket)
    sort = [*PARTITIONS, "symbol", "ts_event"]
    if "record" in rows.columns:
        sort.append("record")
    files = placed.repartition(*PARTITIONS).sortWithinPartitions(*sort)
    files.write.mode(mode).partitionBy(*PARTITIONS).parquet(path)
