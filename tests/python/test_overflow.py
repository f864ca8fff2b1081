"""Slow consumers: every policy, with exact counts."""

from __future__ import annotations

import time

import numpy as np
import pytest

import millrace

MESSAGES = 60_000
SIM = f"sim://?messages={MESSAGES}&symbols_count=9"


def total(schema: str) -> int:
    return sum(map(len, millrace.Feed(SIM).batches(schema)))


def wait_until_finished(feed: millrace.Feed) -> None:
    feed.start()
    deadline = time.monotonic() + 60
    while not feed.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    assert feed.finished


def test_block_holds_the_source_up_and_loses_nothing() -> None:
    feed = millrace.Feed(SIM, overflow="block", buffer_bytes=1 << 20)
    stream = feed.batches("mbo", max_rows=256)
    feed.start()
    before = -1
    while (now := stream.counters["produced"]) != before or now == 0:
        before = now
        time.sleep(0.2)
    assert not feed.finished
    assert 0 < now < total("mbo")
    assert feed.lag == now == stream.counters["waiting"]
    assert feed.stats()["balance"] == 0  # answered while it waits
    rows = sum(map(len, stream))
    assert rows == total("mbo")
    assert stream.counters["dropped"] == 0


def test_drop_oldest_counts_every_row_it_drops() -> None:
    feed = millrace.Feed(SIM, overflow="drop_oldest", buffer_bytes=1 << 20)
    stream = feed.batches("mbo", max_rows=256)
    wait_until_finished(feed)
    counters = stream.counters
    assert counters["produced"] == total("mbo")
    assert counters["dropped"] > 0
    assert counters["waiting"] == counters["produced"] - counters["dropped"]
    batches = list(stream)
    lost = sum(batch.lost_before for batch in batches)
    got = sum(map(len, batches))
    assert lost == counters["dropped"] == stream.counters["dropped"]
    assert got + lost == counters["produced"]
    assert batches[0].first_row == lost  # the oldest went
    newest = list(millrace.Feed(SIM).batches("mbo"))[-1].numpy()[-1]
    assert batches[-1].numpy()[-1] == newest


def test_memory_grows_while_the_queue_fills_and_stays_below_the_limit() -> None:
    limit = 8 << 20
    feed = millrace.Feed(SIM + "&rate=60000&pace=2", overflow="drop_oldest", buffer_bytes=limit)
    stream = feed.batches("mbo", max_rows=256)
    before = stream.counters["buffer_bytes"]
    wait_until_finished(feed)
    counters = stream.counters
    assert counters["grows"] >= 1
    assert before < counters["buffer_bytes"] <= limit
    assert counters["produced"] == counters["waiting"] + counters["dropped"]


def test_a_feed_that_drops_goes_on_while_its_rows_are_read() -> None:
    feed = millrace.Feed(SIM, overflow="drop_oldest", buffer_bytes=1 << 20)
    stream = feed.batches("mbo", max_rows=64)
    at = 0
    for number, batch in enumerate(stream):
        assert batch.first_row == at + batch.lost_before
        at = batch.first_row + len(batch)
        if number % 16 == 0:
            time.sleep(0.002)
    counters = stream.counters
    assert counters["produced"] == counters["delivered"] + counters["dropped"]
    assert at == counters["produced"]


def test_conflate_keeps_each_instruments_newest_record() -> None:
    full = [batch.numpy().copy() for batch in millrace.Feed(SIM).batches("mbp-1")]
    rows = np.concatenate(full)
    newest = {int(row["instrument_id"]): row for row in rows}
    feed = millrace.Feed(SIM, overflow="conflate")
    stream = feed.batches("mbp-1")
    wait_until_finished(feed)
    got = np.concatenate([batch.numpy() for batch in stream])
    assert len(got) == len(newest)
    for row in got:
        assert row == newest[int(row["instrument_id"])]
    counters = stream.counters
    assert counters["produced"] == len(rows)
    assert counters["conflated"] == len(rows) - len(newest)
    assert counters["delivered"] == len(newest)


def test_conflate_accounts_for_every_row_also_while_being_read() -> None:
    feed = millrace.Feed(SIM, overflow="conflate")
    stream = feed.batches("mbp-1", max_rows=3)
    delivered = sum(map(len, stream))
    counters = stream.counters
    assert delivered == counters["delivered"]
    assert counters["produced"] == delivered + counters["conflated"]


def test_rows_for_a_closed_iterator_are_counted_as_discarded() -> None:
    feed = millrace.Feed(SIM)
    first, second = feed.batches("mbo", max_rows=100), feed.batches("mbo")
    taken = len(next(first))
    first.close()
    rest = sum(map(len, second))
    counters = first.counters
    assert rest == total("mbo")
    assert counters["produced"] + counters["discarded"] == rest
    assert counters["delivered"] == taken


@pytest.mark.parametrize("rows", [1, 7, 4096, 100_000])
def test_max_rows_of_any_size(rows: int) -> None:
    small = "sim://?messages=5000&symbols_count=3"
    assert sum(map(len, millrace.Feed(small).batches("mbo", max_rows=rows))) == sum(
        map(len, millrace.Feed(small).batches("mbo"))
    )
