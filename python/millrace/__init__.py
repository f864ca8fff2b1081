"""Millrace: market data feeds and exact order books, at C++ speed.

>>> import millrace
>>> feed = millrace.Feed("sim://?messages=1000&symbols_count=3")
>>> sum(len(batch) for batch in feed.batches("mbo")) > 1000
True
"""

from ._batch import ArrowBatch, Batch, decode_dbn
from ._book import Book, Level, Order, Top
from ._check import Check, Checker, Hole, check
from ._core import (
    Bbo,
    Definition,
    Depth,
    Gap,
    Imbalance,
    Mbo,
    Quality,
    Reconnect,
    Statistics,
    Status,
    Trade,
)
from ._csv import BadRow, CsvRows, read_csv
from ._errors import (
    BackendError,
    ConfigError,
    FileError,
    FormatError,
    InterfaceError,
    MillraceError,
    MillraceWarning,
    NoPosition,
    PrivilegeError,
    ResourceError,
    UsageError,
)
from ._feed import Feed, replay
from ._plots import plot_book, plot_latency
from ._position import Position
from ._research import Bars, bars, books_at, to_arrow, to_csv, to_dbn, to_parquet
from ._schemas import dtype
from ._streams import BatchStream, MessageStream
from ._tcp import TcpCounts, TcpServer, serve_tcp

__version__ = "0.1.0"

__all__ = [
    "ArrowBatch",
    "BackendError",
    "BadRow",
    "Bars",
    "Batch",
    "BatchStream",
    "Bbo",
    "Book",
    "Check",
    "Checker",
    "ConfigError",
    "CsvRows",
    "Definition",
    "Depth",
    "Feed",
    "FileError",
    "FormatError",
    "Gap",
    "Hole",
    "Imbalance",
    "InterfaceError",
    "Level",
    "Mbo",
    "MessageStream",
    "MillraceError",
    "MillraceWarning",
    "NoPosition",
    "Order",
    "Position",
    "PrivilegeError",
    "Quality",
    "Reconnect",
    "ResourceError",
    "Statistics",
    "Status",
    "TcpCounts",
    "TcpServer",
    "Top",
    "Trade",
    "UsageError",
    "__version__",
    "bars",
    "books_at",
    "check",
    "decode_dbn",
    "dtype",
    "plot_book",
    "plot_latency",
    "read_csv",
    "replay",
    "serve_tcp",
    "to_arrow",
    "to_csv",
    "to_dbn",
    "to_parquet",
]
