"""Batches: rows of one record type, to be read as NumPy, Arrow, Polars, pandas or objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import _core
from ._arguments import shown
from ._errors import FormatError, UsageError
from ._frames import pandas_of
from ._schemas import RTYPES, dtype_of, rtype_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

#: What a batch is told to show prices as.
_PRICES = ("float", "int")
_PREFIX = 8  # "DBN", the version, the length of the metadata behind them


class ArrowBatch:
    """Columns by the Arrow PyCapsule interface, for pyarrow, Polars, DuckDB and others."""

    __slots__ = ("_floats", "_raw")

    def __init__(self, raw: _core.RawBatch, floats: bool) -> None:
        self._raw = raw
        self._floats = floats

    def __arrow_c_schema__(self) -> object:
        return self._raw.arrow_schema(self._floats)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._raw.arrow_array(self._floats)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._raw.arrow_stream(self._floats)

    def __len__(self) -> int:
        return len(self._raw)


class Batch:
    """Rows of one schema, in order. It stays valid for as long as it is kept, also past its feed.

    Columns have DBN's names and values: prices are whole numbers of 1e-9, times are nanoseconds
    since the Unix epoch in UTC.
    """

    __slots__ = ("_raw", "schema")

    #: The schema's name, as ``"mbo"``.
    schema: str

    def __init__(self, raw: _core.RawBatch, schema: str) -> None:
        self._raw = raw
        self.schema = schema

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"<millrace.Batch of {len(self)} {self.schema} rows from row {self.first_row}>"

    @property
    def first_row(self) -> int:
        """Number of the first row among all rows of this schema, from 0."""
        return self._raw.first_row

    @property
    def lost_before(self) -> int:
        """Rows between the batch before and this one that were dropped because nobody took them."""
        return self._raw.lost_before

    @property
    def nbytes(self) -> int:
        """Size of the records in bytes."""
        return self._raw.nbytes

    @property
    def symbols(self) -> dict[int, str]:
        """Symbols of the feed by ``instrument_id``."""
        return self._raw.symbols()

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The records as a read-only structured array, without a copy."""
        rows: np.ndarray[Any, np.dtype[Any]] = self._raw.bytes_view()
        return rows.view(dtype_of(self._raw.record_type))

    def arrow(self, *, prices: str = "float") -> ArrowBatch:
        """Columns for any library that speaks Arrow, without needing pyarrow.

        ``prices="int"`` keeps whole numbers of 1e-9. What DBN marks as undefined is null.
        """
        return ArrowBatch(self._raw, _floats(prices))

    def __arrow_c_schema__(self) -> object:
        return self.arrow().__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.arrow().__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.arrow().__arrow_c_stream__(requested_schema)

    def polars(self, *, prices: str = "float") -> pl.DataFrame:
        """The columns of :meth:`arrow` as a Polars data frame."""
        import polars

        return polars.DataFrame(self.arrow(prices=prices))

    def pandas(self, *, prices: str = "float") -> pd.DataFrame:
        """The columns of :meth:`arrow` as a pandas data frame; needs pandas alone."""
        kind = self._raw.record_type
        return pandas_of(self.numpy(), kind, self.symbols, _floats(prices))

    def raw(self) -> bytes:
        """The records as DBN has them, one after the other: a DBN fragment."""
        return self._raw.raw()

    def __iter__(self) -> Iterator[Any]:
        """One object a row."""
        return iter(self._raw.messages())


def decode_dbn(data: bytes, schema: str, *, symbols: dict[int, str] | None = None) -> Batch:
    """A batch of the ``schema`` records in ``data``, DBN of version 3.

    ``data`` is a fragment, records alone, or a complete stream, metadata first, as the payload of
    a broker's message. Records of other types are passed over; a record cut short at the end is
    left out. ``symbols`` names instruments by their ids.
    """
    record_type = rtype_of(schema)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise UsageError(f"data={type(data).__name__}: bytes")
    names = {} if symbols is None else symbols
    if not isinstance(names, dict) or not all(
        isinstance(number, int) and 0 <= number < 2**32 and isinstance(name, str)
        for number, name in names.items()
    ):
        raise UsageError(f"symbols={shown(symbols)}: names by instrument, as {{1: 'AAPL'}}")
    return Batch(_core.batch_from_bytes(bytes(records_in(data)), record_type, names), schema)


def records_in(data: bytes | bytearray | memoryview) -> memoryview:
    """The records of DBN, without its metadata where it begins with such."""
    view = memoryview(data).cast("B")
    if bytes(view[:3]) != b"DBN":
        return view
    if bytes(view[3:4]) != b"\x03" or len(view) < _PREFIX:
        raise FormatError("DBN of another version than 3; millrace convert makes it one of 3")
    return view[_PREFIX + int.from_bytes(view[4:_PREFIX], "little") :]


def restore_message(raw: bytes, symbol: str | None) -> Any:
    """A message from its bytes: how messages are unpickled."""
    return _core.message_from_bytes(raw, symbol)


def _floats(prices: str) -> bool:
    if prices not in _PRICES:
        raise UsageError(f"prices={prices!r}: 'float' or 'int'")
    return prices == "float"


def schema_names() -> list[str]:
    """Names of all schemas."""
    return list(RTYPES)
