"""Whether topics are complete: the checker of :mod:`millrace` as an aggregation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._check import Checker, _compared, check
from ._columns import one_row
from .kafka import envelopes

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

CHECK_COLUMNS = (
    "stream bigint, epoch bigint, symbol string, batches bigint, records bigint, missing bigint, "
    "duplicates bigint, damaged bigint, late bigint, holes string, quality string, verdict string"
)
_TOTALS = ("batches", "records", "missing", "duplicates", "damaged")


def checked(messages: DataFrame) -> DataFrame:
    """A row for each stream and epoch of a topic, of a Kafka source's rows (a table).

    ``missing`` records never came, and ``holes`` names them; ``duplicates`` came again; ``late``
    ones came after later ones. ``damaged`` counts messages whose records are missing for it.
    """
    streams = envelopes(messages).groupBy("stream", "epoch")
    return streams.applyInArrow(_check_stream, CHECK_COLUMNS)


def _check_stream(rows: pa.Table) -> pa.Table:
    import pyarrow as pa

    in_order = rows.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_pylist()
    good = [row for row in in_order if row["whole"]]
    arrival = Checker()
    for row in good:
        arrival.add(row)
    passed_over = arrival.result().missing
    found = check(good)
    first = in_order[0]
    damaged = len(in_order) - len(good)
    values = {
        "stream": first["stream"],
        "epoch": first["epoch"],
        "symbol": first["symbol"],
        "batches": len(in_order),
        "records": found.records,
        "missing": found.missing,
        "duplicates": found.duplicates,
        "damaged": damaged,
        "late": passed_over - found.missing,
        "holes": ", ".join(f"{hole.first}-{hole.last}" for hole in found.holes),
        "quality": found.quality,
        "verdict": found.verdict if damaged == 0 else "incomplete",
    }
    return pa.Table.from_batches([one_row(values, CHECK_COLUMNS)])


def verdict(found: DataFrame, sent: Mapping[str, Any]) -> str:
    """What the rows of :func:`checked` come to, beside what their sender says that it sent.

    ``sent`` is the entry of its sink in ``--json``; the words are those of
    :class:`millrace.Check`: complete, conflated, lost (and counted), incomplete.
    """
    row = found.groupBy().sum(*_TOTALS).first()
    totals = {name: int(row[f"sum({name})"] or 0) for name in _TOTALS}
    return _compared(totals, sent)[1]
