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

#: What is counted of a stream, as :class:`millrace.Check` has it.
_COUNTS = (
    *("batches", "records", "missing", "conflated", "left_out", "late", "duplicates"),
    *("superseded", "restarts", "damaged", "open"),
)
CHECK_COLUMNS = (
    "stream bigint, epoch bigint, symbol string, "
    + "".join(f"{name} bigint, " for name in _COUNTS)
    + "holes string, quality string, verdict string"
)
#: Verdicts, each weaker than those before it.
_VERDICTS = ("complete", "conflated", "lost", "incomplete")


def checked(messages: DataFrame) -> DataFrame:
    """A row for each stream of a topic, of a Kafka source's rows (a table).

    Of ``missing`` records, which never came and which ``holes`` names, envelopes tell that the
    sender ``conflated`` or ``left_out`` so many; ``late`` ones came after later ones;
    ``duplicates`` came again; ``superseded`` ones are of a sender that had begun anew, which
    ``restarts`` counts. ``damaged`` counts messages, whose records are missing for it; ``open`` is
    1 without an end mark. ``verdict`` is that of :class:`millrace.Check`.
    """
    return envelopes(messages).groupBy("stream").applyInArrow(_check_stream, CHECK_COLUMNS)


def _check_stream(rows: pa.Table) -> pa.Table:
    """Verdicts go by the order in which batches came; a symbol's are in one partition."""
    import pyarrow as pa

    in_order = rows.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_pylist()
    good = [row for row in in_order if row["whole"]]
    damaged = len(in_order) - len(good)
    arrival = Checker()
    for row in good:
        arrival.add(row)
    found = arrival.result()
    values = {name: getattr(found, name) for name in _COUNTS}
    values |= {
        "stream": in_order[0]["stream"],
        "epoch": max(row["epoch"] for row in in_order),
        "symbol": in_order[0]["symbol"],
        "batches": found.batches + damaged,
        "damaged": found.damaged + damaged,
        # In order of their numbers, so that what came late is in no hole.
        "holes": ", ".join(f"{hole.first}-{hole.last}" for hole in check(good).holes),
        "quality": found.quality,
        "verdict": found.verdict if damaged == 0 else "incomplete",
    }
    return pa.Table.from_batches([one_row(values, CHECK_COLUMNS)])


def verdict(found: DataFrame, sent: Mapping[str, Any] | None = None) -> str:
    """What the rows of :func:`checked` come to: complete, conflated, lost (and counted) or
    incomplete, as :class:`millrace.Check` has the words; the weakest of the streams' verdicts.

    ``sent`` is the sender's account, the entry of its sink in ``--json``: with it what is missing
    of the records that it made is held against what it counted, also behind the last that came.
    """
    if sent is None:
        verdicts = {row.verdict for row in found.select("verdict").distinct().collect()}
        return max(verdicts, key=_VERDICTS.index, default="complete")
    row = found.groupBy().sum(*_COUNTS).first()
    return _compared({name: int(row[f"sum({name})"] or 0) for name in _COUNTS}, sent)[1]
