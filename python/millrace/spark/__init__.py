"""Spark: captures, DBN files and Kafka topics as tables and streams (docs/spark.md).

Needs pyspark 4.1 or later and pyarrow, here and where the workers are, and this package there too.
Nothing of it is imported by ``import millrace``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._reason import reason
from .bars import bars_of
from .check import checked, verdict
from .kafka import catalogue, envelopes, records
from .parquet import write_parquet
from .source import MillraceSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "MillraceSource",
    "bars_of",
    "catalogue",
    "checked",
    "envelopes",
    "reason",
    "records",
    "register",
    "verdict",
    "write_parquet",
]

#: What a session needs for it.
_SETTINGS = {
    "spark.sql.python.filterPushdown.enabled": "true",  # Spark refuses sources that could, without
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # other readers know no INT96
    "spark.sql.session.timeZone": "UTC",
}


def register(spark: SparkSession) -> None:
    """Makes ``format("millrace")`` known to a session, and sets what it needs; dates are UTC's."""
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    spark.dataSource.register(MillraceSource)
