"""The checker of streams, held against sets of record numbers; CRC-32C by its check value."""

from __future__ import annotations

import random

import pytest

import millrace
from millrace import _core


def envelope(stream: int, first: int, records: int, **more) -> dict:
    return {"stream": stream, "epoch": 1, "first_record": first, "records": records, **more}


def stream_of(chance: random.Random, stream: int) -> list[dict]:
    """Batches that follow each other from record 1 on."""
    rows, first = [], 1
    for _ in range(chance.randrange(5, 40)):
        records = chance.randrange(1, 9)
        rows.append(envelope(stream, first, records, quality=0))
        first += records
    return rows


def numbers(row: dict) -> set[tuple[int, int]]:
    return {(row["stream"], row["first_record"] + i) for i in range(row["records"])}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_missing_and_what_came_twice_is_what_sets_of_numbers_say(seed: int) -> None:
    chance = random.Random(seed)
    sent = [row for stream in range(3) for row in stream_of(chance, stream)]
    came = [row for row in sent if chance.random() > 0.2]
    came += [row for row in came if chance.random() < 0.1]
    chance.shuffle(came)
    made = set().union(*map(numbers, sent))
    got = set().union(*map(numbers, came))
    found = millrace.check(came, sent={"made": len(made), "dropped": len(made - got)})
    assert found.records == len(got)
    assert found.missing == len(made - got)
    assert found.duplicates == sum(row["records"] for row in came) - len(got)
    assert found.verdict == ("lost" if found.missing else "complete")
    in_holes = {(hole.stream, n) for hole in found.holes for n in range(hole.first, hole.last + 1)}
    last = {stream: max(n for s, n in got if s == stream) for stream, _ in got}
    assert in_holes == {(s, n) for s, n in made - got if n < last.get(s, 0)}


def test_verdicts_by_the_senders_account() -> None:
    rows = [envelope(1, 1, 10), envelope(1, 16, 5)]
    assert millrace.check(rows).verdict == "incomplete" and not millrace.check(rows)
    assert millrace.check(rows, sent={"made": 20, "conflated": 5}).verdict == "conflated"
    assert millrace.check(rows, sent={"made": 20, "conflated": 3, "dropped": 2}).verdict == "lost"
    assert millrace.check(rows, sent={"made": 20, "conflated": 4}).verdict == "incomplete"
    # What was lost behind the last batch shows in no envelope.
    whole = [envelope(1, 1, 20)]
    assert millrace.check(whole)
    assert millrace.check(whole, sent={"made": 20, "acknowledged": 20})
    behind = millrace.check(whole, sent={"made": 23, "unsent": 3})
    assert (behind.verdict, behind.missing, behind.holes) == ("lost", 3, [])
    with pytest.raises(millrace.UsageError, match="20 records came of 19"):
        millrace.check(whole, sent={"made": 19})


def test_verdicts_by_what_the_sender_told_in_envelopes() -> None:
    first = envelope(1, 1, 10)
    found = millrace.check([first, envelope(1, 16, 5, left_out=5, why=1)])
    assert (found.verdict, found.missing, found.conflated) == ("conflated", 5, 5)
    found = millrace.check([first, envelope(1, 16, 5, left_out=5, why=2)])
    assert (found.verdict, found.left_out) == ("lost", 5)
    assert millrace.check([first, envelope(1, 16, 5, left_out=4, why=2)]).verdict == "incomplete"
    assert millrace.check([first, envelope(1, 16, 0, left_out=5, why=1)]).open == 0
    anew = millrace.Checker()
    for row in (first, envelope(1, 16, 5), envelope(1, 11, 5), first | {"epoch": 2}, first):
        anew.add(row)
    found = anew.result()
    assert (found.verdict, found.missing, found.late) == ("complete", 0, 5)
    assert (found.restarts, found.superseded, found.duplicates) == (1, 10, 0)


def test_a_changed_payload_is_damaged() -> None:
    assert _core.crc32c(b"123456789") == 0xE3069283  # the check value of its definition
    row = envelope(1, 1, 3, crc32c=0xE3069283, payload=b"123456789")
    assert millrace.check([row])
    altered = millrace.check([row | {"payload": b"123456780"}])
    assert (altered.verdict, altered.damaged, altered.records) == ("incomplete", 1, 0)
    cut = millrace.check([row | {"payload": b"DBN\x03"}])
    assert cut.damaged == 1


def test_rows_as_brokers_and_tables_have_them() -> None:
    """Kafka's headers and Redis's fields are text; tables have signed numbers."""
    stream = 2**64 - 5
    text = {name: str(n).encode() for name, n in envelope(stream, 1, 4).items()}
    signed = envelope(stream - 2**64, 5, 4)
    found = millrace.check([text, signed])
    assert found and found.streams == 1 and found.records == 8
    for wrong in ({}, {"stream": "x"}, envelope(1, 1, 2**32), envelope(2**64, 1, 1)):
        with pytest.raises(millrace.FormatError, match="no envelope of ours"):
            millrace.check([wrong])
    assert millrace.check([envelope(1, 0, 4)]).damaged == 1


def test_one_batch_after_the_other() -> None:
    checker = millrace.Checker()
    assert checker.add(envelope(1, 1, 4, quality=1)) == "next"
    assert checker.add(envelope(1, 7, 4)) == "gap"
    assert checker.add(envelope(1, 7, 4)) == "duplicate"
    assert checker.add(envelope(1, 9, 4)) == "overlap"
    assert checker.add(envelope(1, 13, 1, crc32c=1), b"x") == "damaged"
    found = checker.result()
    assert found.holes == [millrace.Hole(1, 1, 5, 6)]
    assert (found.records, found.missing, found.duplicates) == (10, 2, 6)
    assert (found.damaged, found.quality, found.batches) == (1, "recovering", 5)
    late = millrace.Checker(from_start=False)
    assert [late.add(envelope(1, first, 4)) for first in (101, 105, 113)] == ["next", "next", "gap"]
