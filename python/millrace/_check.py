"""The consumer's side of the ledger: is a stream from a broker complete, and if not, what is gone.

Needs nothing but the envelopes that travel with batches (docs/streams.md), from wherever: Kafka's
headers, Redis's fields, a table's rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import _core
from ._arguments import list_of
from ._errors import FormatError, UsageError

#: What an envelope must have for its stream to be checked, by its most.
_LIMITS = {"stream": 2**64, "epoch": 2**32, "first_record": 2**64, "records": 2**32}
#: And what it may have, by which the sender tells of what it has left out.
_TOLD = {"left_out": 2**16, "why": 2**8}
_QUALITIES = ("live", "recovering", "stale", "suspect")
#: What the checker of C++ calls streams, in our words.
_VERDICTS = {
    "complete": "complete",
    "conflated": "conflated",
    "counted": "lost",
    "broken": "incomplete",
}
#: What a sink says of records that it has left out.
_LEFT_OUT = ("ring_full", "dropped", "conflated", "unsent")


class Hole(NamedTuple):
    """Records of a stream that never came, by their numbers."""

    stream: int
    epoch: int
    first: int
    last: int


@dataclass(frozen=True)
class Check:
    """What :func:`check` found. It is true when every record came, and whole.

    ``verdict`` is ``"complete"``; ``"conflated"`` or ``"lost"`` when all that is missing is what
    the sender counted as left out (by conflation alone, or also otherwise), in envelopes or in its
    account; else ``"incomplete"``.
    """

    verdict: str
    batches: int
    streams: int
    records: int  #: that came, each counted once
    missing: int  #: numbers passed over, and what the sender made beyond the last that came
    conflated: int  #: of the numbers passed over, those of which envelopes say that they were
    left_out: int  #: and those that envelopes say were left out otherwise
    late: int  #: records that came after later ones; they are not missing
    duplicates: int  #: records that came again
    superseded: int  #: records of a sender that had begun anew
    restarts: int  #: times that one began anew
    open: int  #: streams without an end mark, which may lack more
    damaged: int  #: batches whose payload or envelope is not what was sent
    holes: list[Hole] = field(repr=False)  #: in order of stream, epoch and number
    quality: str  #: the worst of the records' books

    def __bool__(self) -> bool:
        return self.verdict == "complete"


class Checker:
    """Checks a stream while it is read: one :meth:`add` a batch, in the order in which they come.

    ``from_start=False`` takes whatever of a stream comes first for its beginning, as a consumer
    that joins later must.
    """

    def __init__(self, *, from_start: bool = True) -> None:
        self._core = _core.Checker(from_start)
        self._from_start = from_start
        self._worst = 0
        self._holes: list[Hole] = []

    def add(self, envelope: Mapping[str, Any], payload: bytes | None = None) -> str:
        """What a batch is: ``next``, ``gap``, ``late``, ``duplicate``, ``overlap``, ``superseded``,
        ``end`` or ``damaged``.

        ``next`` is what was to come; before a ``gap`` records are missing, and a ``late`` one
        brings such; a ``duplicate`` came before, of an ``overlap`` a part did; a ``superseded`` one
        is of a sender that has begun anew since; an ``end`` mark has no records. Values may be
        numbers or decimal text. Without the payload its checksum is not looked at.
        """
        numbers = {name: _number(envelope, name, most) for name, most in _LIMITS.items()}
        crc = 0 if payload is None else _number(envelope, "crc32c", 2**32)
        stream, epoch = numbers["stream"], numbers["epoch"]
        last = self._core.last_record(stream, epoch)
        told = {n: _number(envelope, n, most) if n in envelope else 0 for n, most in _TOLD.items()}
        verdict = self._core.add(**numbers, **told, crc32c=crc, payload=payload)
        known = last > 0 or self._from_start
        behind = verdict == "end" and known and last + 1 < numbers["first_record"]
        if verdict == "gap" or behind:
            self._holes.append(Hole(stream, epoch, last + 1, numbers["first_record"] - 1))
        if "quality" in envelope:
            self._worst = max(self._worst, _number(envelope, "quality", len(_QUALITIES)))
        return verdict

    def result(self, sent: Mapping[str, Any] | None = None) -> Check:
        """Of all batches so far. ``sent`` is the sender's account of them, as of :func:`check`."""
        totals = self._core.totals()
        missing = totals["missing"]
        verdict = _VERDICTS[self._core.completeness()]
        if sent is not None:
            missing, verdict = _compared(totals, sent)
        return Check(
            verdict=verdict,
            streams=self._core.streams(),
            **{name: count for name, count in totals.items() if name != "missing"},
            missing=missing,
            open=self._core.open(),
            holes=sorted(self._holes),
            quality=_QUALITIES[self._worst],
        )


def check(rows: Iterable[Mapping[str, Any]], *, sent: Mapping[str, Any] | None = None) -> Check:
    """Whether batches are all that their streams had: complete, conflated, or lost and counted.

    Each row is the envelope of one batch: ``stream``, ``epoch``, ``first_record``, ``records``,
    and where they are there ``quality`` and ``payload`` (bytes, held against ``crc32c``), by
    ``row[name]`` and ``name in row``. Rows may come in any order, as out of a table.

    A stream does not tell how it ended. ``sent`` is what the sender says it did: the entry of its
    ``sinks`` in ``millrace replay --json``, with ``made`` and what was left out.

    >>> import millrace
    >>> rows = [dict(stream=7, epoch=1, first_record=n, records=5) for n in (1, 6, 16)]
    >>> found = millrace.check(rows)
    >>> found.verdict, found.missing, [(hole.first, hole.last) for hole in found.holes]
    ('incomplete', 5, [(11, 15)])
    >>> millrace.check(rows, sent={"made": 20, "acknowledged": 15, "conflated": 5}).verdict
    'conflated'
    """
    checker = Checker()
    for row in sorted(list_of("rows", rows, [{"stream": 7}]), key=_place):
        # Rows of tables have no get().
        checker.add(row, row["payload"] if "payload" in row else None)  # noqa: SIM401
    return checker.result(sent)


def _compared(totals: Mapping[str, int], sent: Mapping[str, Any]) -> tuple[int, str]:
    """What is missing of what was made, and whether it is what the sender counted."""
    made = _number(sent, "made", 2**64)
    left_out = {name: _number(sent, name, 2**64) if name in sent else 0 for name in _LEFT_OUT}
    missing = made - totals["records"]
    if missing < 0:
        raise UsageError(f"{totals['records']} records came of {made} made: of another sender?")
    if totals["damaged"] or missing != sum(left_out.values()):
        return missing, "incomplete"
    if missing == 0:
        return missing, "complete"
    return missing, "conflated" if missing == left_out["conflated"] else "lost"


def _place(row: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(_number(row, name, _LIMITS[name]) for name in ("stream", "epoch", "first_record"))


def _number(row: Mapping[str, Any], name: str, most: int) -> int:
    try:
        number = int(row[name])
    except (KeyError, ValueError, TypeError):
        raise FormatError(f"no envelope of ours: {name} is missing or no number") from None
    # Tables without unsigned types hold the upper half of a 64-bit number as a negative one.
    if most == 2**64 and -(2**63) <= number < 0:
        number += 2**64
    if not 0 <= number < most:
        raise FormatError(f"no envelope of ours: {name} is {number}")
    return number
