"""Columns of the record types in Spark, and how a batch of records becomes them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .. import _core
from .._errors import UsageError
from .._schemas import RTYPES, rtype_of

if TYPE_CHECKING:
    import pyarrow as pa

    from .._batch import Batch

#: What DBN's integers become: Spark has no unsigned types. Numbers of 64 bits keep their bits.
_INTEGERS = {
    "<i1": "tinyint",
    "<u1": "smallint",
    "<i2": "smallint",
    "<u2": "int",
    "<i4": "int",
    "<u4": "bigint",
    "<i8": "bigint",
    "<u8": "bigint",
}
#: Other names of schemas.
ALSO = {"bbo": "mbp-1"}
#: Columns of a bar; prices count 1e-9, ts_event is where its interval begins.
BAR_COLUMNS = (
    "symbol string, time timestamp, ts_event bigint, trades bigint, open bigint, high bigint, "
    "low bigint, close bigint, volume bigint, vwap bigint"
)


def schema_of(name: str) -> str:
    """The DBN schema that a user's word names."""
    schema = ALSO.get(name, name)
    rtype_of(schema)
    return schema


@functools.cache
def record_columns(schema: str) -> str:
    """The columns of a DBN record as Spark writes a schema, ``time`` before them.

    Prices and times are DBN's whole numbers, undefined ones null; ``time`` is ``ts_event`` as a
    timestamp, rounded down to the microseconds that Spark has.
    """
    fields, _ = _core.dtype_fields(RTYPES[schema])
    columns = ["time timestamp"]
    for name, form, _, kind in fields:
        if name == "length":
            continue
        columns.append(f"{name} {'string' if kind == 'text' else _INTEGERS[form]}")
        if name == "instrument_id":
            columns.append("symbol string")
    return ", ".join(columns)


@functools.cache
def arrow_schema(columns: str) -> pa.Schema:
    """The Arrow schema of columns as Spark writes them."""
    import pyarrow as pa

    types = {
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "string": pa.string(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    pairs = (column.split() for column in columns.split(", "))
    return pa.schema([(name, types[kind]) for name, kind in pairs])


def record_batch(batch: Batch, before: dict[str, Any], columns: str) -> pa.RecordBatch:
    """A batch as the columns of :func:`record_columns`, with columns of the caller's before them.

    ``columns`` names all of them. A value of ``before`` is an array, or one value for all rows.
    """
    import pyarrow as pa

    schema = arrow_schema(columns)
    rows = pa.record_batch(batch.arrow(prices="int"))
    arrays = []
    for field in schema:
        if field.name in before:
            array = _as_array(before[field.name], len(batch), field.type)
        elif field.name == "time":
            array = rows.column("ts_event").cast(field.type, safe=False)
        else:
            array = rows.column(field.name)
        if array.type != field.type:  # 64 bits keep their bits, whatever their sign
            array = array.cast(field.type, safe=False)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as_array(value: Any, rows: int, kind: pa.DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if isinstance(value, pa.Array):
        return value
    if isinstance(value, np.ndarray):
        return pa.array(value)
    return pa.repeat(pa.scalar(value, kind), rows)


def one_row(values: dict[str, Any], columns: str) -> pa.RecordBatch:
    """A single row; what ``values`` does not name is null."""
    import pyarrow as pa

    schema = arrow_schema(columns)
    arrays = [pa.array([values.get(field.name)], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def need(condition: bool, text: str) -> None:
    """Raises a usage error unless the condition holds."""
    if not condition:
        raise UsageError(text)
