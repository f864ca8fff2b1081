"""Topics that ``millrace live`` and ``replay`` fill (docs/streams.md), as tables and streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import _batch, _core
from .._errors import FormatError
from .._schemas import RTYPES
from ._columns import arrow_schema, need, record_batch, record_columns, schema_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame

_ENVELOPE = (
    *("stream", "epoch", "first_record", "records"),
    *("quality", "left_out", "why", "crc32c"),
)
_KEY_COLUMNS = "stream bigint, epoch bigint, record bigint, quality smallint"
#: Columns of :func:`envelopes`.
ENVELOPE_COLUMNS = (
    "partition int, offset bigint, symbol string, stream bigint, epoch bigint, "
    "first_record bigint, records bigint, quality smallint, left_out int, why smallint, "
    "whole smallint"
)
_CATALOGUE = (
    "shard string, run string, symbol string, stream decimal(20,0), epoch bigint, "
    "last_record bigint, last_sequence bigint, quality string"
)
_NO_ENTRY = (
    "millrace: a message that is no entry of a catalogue; is the topic TOPIC.catalogue, "
    "which a sink with shard=NAME fills?"
)


def records(messages: DataFrame, schema: str = "mbo") -> DataFrame:
    """The records of one schema, a row each, of a Kafka source's rows.

    The source must have been told ``includeHeaders``. A record is named by ``stream``, ``epoch``
    and ``record``: what comes twice has the same three. A message that is damaged gives no rows,
    so that its records are missing for :func:`millrace.spark.checked`.
    """
    columns = f"{_KEY_COLUMNS}, {record_columns(schema_of(schema))}"
    rows = _columns_of(messages, "key", "value", "headers")
    return rows.mapInArrow(_Decoder(schema_of(schema), columns), columns)


def envelopes(messages: DataFrame) -> DataFrame:
    """What travels with each message, and whether its payload is ``whole`` (1 or 0)."""
    rows = _columns_of(messages, "partition", "offset", "key", "value", "headers")
    return rows.mapInArrow(_read_envelopes, ENVELOPE_COLUMNS)


def catalogue(messages: DataFrame) -> DataFrame:
    """Who writes which stream, how far it is and how exact its book was there: the newest of each.

    Of the rows of a Kafka source of the topic ``TOPIC.catalogue`` (a table). ``stream`` is that of
    :func:`records`, :func:`envelopes` and :func:`millrace.spark.checked`.
    """
    from pyspark.sql import functions as F

    kept = _columns_of(messages, "key", "value", "offset").where("value IS NOT NULL")
    newest = kept.groupBy("key").agg(F.max_by("value", "offset").alias("value"))
    entry = F.from_json(F.col("value").cast("string"), _CATALOGUE)
    ours = F.when(entry["stream"].isNotNull() & entry["last_record"].isNotNull(), entry)
    entries = newest.select(ours.otherwise(F.raise_error(F.lit(_NO_ENTRY))).alias("entry"))
    keeps_its_bits = f"CAST(IF(stream < {2**63}BD, stream, stream - {2**64}BD) AS BIGINT)"
    return entries.select("entry.*").withColumn("stream", F.expr(keeps_its_bits))


def _columns_of(messages: DataFrame, *names: str) -> DataFrame:
    absent = [name for name in names if name not in messages.columns]
    need(
        not absent,
        f"rows without {', '.join(absent)} are no messages of Kafka; "
        'read them by format("kafka"), with its option includeHeaders=true',
    )
    return messages.select(*names)


class _Decoder:
    """A function of Arrow batches that Spark can send to its workers."""

    def __init__(self, schema: str, columns: str) -> None:
        self._schema = schema
        self._columns = columns

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows > 0:
                yield self._decode(batch)

    def _decode(self, messages: pa.RecordBatch) -> pa.RecordBatch:
        """All messages as one batch of records: a column is cheaper to make once than often."""
        import numpy as np
        import pyarrow as pa

        envelope = _envelope_columns(messages)
        fragments, numbers, origin = [], [], []
        for row, value in enumerate(messages.column("value")):
            if not _is_whole(value, envelope, row):
                continue
            fragments.append(records_in(value))
            places = np.flatnonzero(_rtypes(fragments[-1]) == RTYPES[self._schema])
            numbers.append(places + envelope["first_record"][row])
            origin.append(np.full(len(places), row))
        rows = _batch.decode_dbn(b"".join(fragments), self._schema)
        of = np.concatenate(origin) if origin else np.zeros(0, dtype=np.int64)
        before: dict[str, Any] = {n: envelope[n][of] for n in ("stream", "epoch", "quality")}
        before["record"] = np.concatenate(numbers) if numbers else of
        before["symbol"] = messages.column("key").cast(pa.string()).take(pa.array(of))
        return record_batch(rows, before, self._columns)


def _read_envelopes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    schema = arrow_schema(ENVELOPE_COLUMNS)
    for batch in batches:
        columns: dict[str, Any] = dict(_envelope_columns(batch))
        values = batch.column("value")
        columns["whole"] = [int(_is_whole(values[row], columns, row)) for row in range(len(batch))]
        columns["symbol"] = batch.column("key").cast(pa.string())
        for name in ("partition", "offset"):
            columns[name] = batch.column(name)
        arrays = [pa.array(columns[one.name]).cast(one.type, safe=False) for one in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _envelope_columns(messages: pa.RecordBatch) -> dict[str, np.ndarray[Any, Any]]:
    """The envelopes of messages as columns of int64; numbers of 64 bits keep their bits."""
    import numpy as np

    headers = messages.column("headers")
    flat = headers.flatten()
    names, values = (flat.field(n).to_pylist() for n in ("key", "value"))
    ends = headers.offsets.to_numpy() - headers.offsets[0].as_py()
    columns = {name: np.zeros(len(messages), dtype=np.uint64) for name in _ENVELOPE}
    for row in range(len(messages)):
        found = 0
        for at in range(ends[row], ends[row + 1]):
            number = _number_in(values[at]) if names[at] in columns else None
            if number is not None:
                columns[names[at]][row] = number
                found += 1
        if found != len(_ENVELOPE):
            raise FormatError(
                "a message without our envelope; was the topic filled by millrace, and is the "
                "source's option includeHeaders true?"
            )
    return {name: column.view(np.int64) for name, column in columns.items()}


def _number_in(text: bytes | None) -> int | None:
    """A number of 64 bits as envelopes have it; none where it is something else."""
    fits = text and text.isdigit() and len(text) <= 20 and int(text) < 2**64
    return int(text) if text and fits else None


def _is_whole(value: pa.Scalar, envelope: dict[str, np.ndarray[Any, Any]], row: int) -> bool:
    """Whether a message is what was sent: as StreamChecker has it."""
    if not value.is_valid or _core.crc32c(value.as_py()) != envelope["crc32c"][row]:
        return False
    return len(_rtypes(records_in(value))) == int(envelope["records"][row])


def records_in(value: pa.Scalar) -> memoryview:
    """The records of a complete DBN stream of version 3, without its metadata."""
    stream = memoryview(value.as_buffer())
    if bytes(stream[:4]) != b"DBN\x03":
        raise FormatError("a payload that is no DBN of version 3; was the sink's payload dbn?")
    return _batch.records_in(stream)


def _rtypes(records: memoryview) -> np.ndarray[Any, Any]:
    """The record types, in order; one that is cut short at the end is left out."""
    import numpy as np

    octets = np.frombuffer(records, np.uint8)
    size = int(octets[0]) * 4 if len(octets) else 0
    if size and len(octets) % size == 0 and (octets[::size] == octets[0]).all():
        return octets[1::size]  # all of one length, as nearly always
    found, at = [], 0
    while at + 2 <= len(octets) and octets[at] > 0 and at + int(octets[at]) * 4 <= len(octets):
        found.append(octets[at + 1])
        at += int(octets[at]) * 4
    return np.array(found, dtype=np.uint8)
