"""Bars of trades in SQL: the definition of docs/python.md, for tables and streams of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Trades that count in a bar: those with a price, a size and a time.
COUNTS = "price IS NOT NULL AND size BETWEEN 1 AND 4294967294 AND ts_event IS NOT NULL"
#: A bar's columns, of the trades of its interval.
OF_TRADES = {
    "trades": "count(*)",
    "open": "min_by(price, struct(sequence, record))",
    "high": "max(price)",
    "low": "min(price)",
    "close": "max_by(price, struct(sequence, record))",
    "volume": "sum(size)",
    "turnover": "sum(CAST(price AS DECIMAL(19,0)) * CAST(size AS DECIMAL(10,0)))",
}
#: floor(turnover / volume); ``div`` rounds to zero, the definition down.
VWAP = "CAST(turnover div volume - IF(turnover % volume < 0, 1, 0) AS BIGINT)"


def bars_of(trades: DataFrame, interval: str = "1 minute") -> DataFrame:
    """Bars by symbol of rows of the schema ``trades``, from files or from Kafka.

    On a stream, give the rows a watermark first; a bar comes once it has passed the interval's end.
    """
    from pyspark.sql import functions as F

    columns = [F.expr(text).alias(name) for name, text in OF_TRADES.items()]
    made = trades.where(COUNTS).groupBy(F.window("time", interval), "symbol").agg(*columns)
    start = "window.start AS time", "unix_micros(window.start) * 1000 AS ts_event"
    prices = "open", "high", "low", "close", "volume"
    return made.selectExpr("symbol", *start, "trades", *prices, f"{VWAP} AS vwap")
