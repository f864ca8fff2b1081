"""What a file that could be read to its end does not give, though it was asked for."""

from __future__ import annotations

from typing import Any

#: Limits of a session, by the fault that counts how often there was no room.
_LIMITS = {"orders_full": "orders", "levels_full": "levels", "books_full": "instruments"}
#: How gaps end of which nothing made good.
_LOST = ("given_up", "session_end", "open")
#: Schemas of which a day of trading has records.
_OF_TRADING = ("mbo", "trades", "tbbo", "mbp-1", "mbp-10")


def made_wrong(stats: dict[str, Any], schema: str, rows: int, is_cut: bool) -> str:
    """Why rows are wrong or none, in a line; empty when they are what the file holds.

    ``stats`` are those of the feed at its end, ``rows`` what it gave, of a part of the file when
    ``is_cut``.
    """
    if "ledger" not in stats:
        held = stats["records"]
        none = held > 0 and rows == 0 and not is_cut and schema in _OF_TRADING
        return f"none of its {held} records is of the schema {schema}" if none else ""
    for fault, limit in _LIMITS.items():
        times = stats["faults"][fault]
        if times > 0:
            return f"no room {times} times, so that books are wrong; raise the option {limit}"
    malformed = sum(line["malformed"] for line in stats["lines"]) + stats["ledger"]["malformed"]
    silent = stats["messages"] == 0 and stats["ledger"]["decoded"] == 0
    if silent and (malformed > 0 or stats["gaps"]):
        return f"nothing in it reads as {stats['venue']}; name another venue"
    return ""


def doubts(stats: dict[str, Any]) -> str:
    """What of a capture books had to do without, or could not believe; empty when nothing."""
    return "; ".join(line for line in (_never_came(stats), _contradictions(stats)) if line)


def _contradictions(stats: dict[str, Any]) -> str:
    faults = stats.get("faults", {})
    found = ", ".join(f"{times} {fault}" for fault, times in faults.items() if times > 0)
    return f"contradictions: {found}" if found else ""


def _never_came(stats: dict[str, Any]) -> str:
    lost = [gap for gap in stats.get("gaps", ()) if gap["ended"] in _LOST]
    if not lost:
        return ""
    count = sum(gap["last"] - gap["first"] + 1 for gap in lost)
    first = lost[0]
    return f"{count} messages never came; the first gap is {first['first']} to {first['last']}"
