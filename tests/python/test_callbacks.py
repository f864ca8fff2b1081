"""Callbacks: every message once by every policy and loop, exceptions, cancelling, threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest
import uvloop

import millrace

SIM = "sim://?messages=30000&symbols_count=7"
LOOPS = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])


def run(main, factory=asyncio.new_event_loop):
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def trades() -> list[millrace.Trade]:
    return list(millrace.Feed(SIM).messages(millrace.Trade))


@LOOPS
@pytest.mark.parametrize("overflow", ["block", "drop_oldest"])
def test_what_callbacks_get_and_what_was_dropped_is_everything(factory, overflow: str) -> None:
    feed = millrace.Feed(SIM, overflow=overflow, buffer_bytes=1 << 20)
    got: list[int] = []

    @feed.on(millrace.Mbo)
    async def on_order(order: millrace.Mbo) -> None:
        if len(got) % 5000 == 0:
            await asyncio.sleep(0.02)  # now and then too slow for the feed
        got.append(order.sequence)

    run(feed.run(), factory)
    rows = sum(map(len, millrace.Feed(SIM).batches("mbo")))
    [counters] = feed.stats()["streams"]
    assert counters["produced"] == rows == len(got) + counters["dropped"]
    assert counters["delivered"] == len(got)
    assert overflow == "drop_oldest" or counters["dropped"] == 0
    assert counters["waiting"] == counters["conflated"] == counters["discarded"] == 0
    assert [s for s in got if s] == sorted(s for s in got if s)


@LOOPS
def test_conflated_callbacks_account_for_every_record(factory) -> None:
    feed = millrace.Feed(SIM, overflow="conflate")
    got: dict[int, millrace.Bbo] = {}
    calls = 0

    @feed.on(millrace.Bbo)
    def on_top(top: millrace.Bbo) -> None:
        nonlocal calls
        calls += 1
        got[top.instrument_id] = top

    run(feed.run(), factory)
    everything = list(millrace.Feed(SIM).messages(millrace.Bbo))
    [counters] = feed.stats()["streams"]
    assert counters["produced"] == len(everything) == calls + counters["conflated"]
    assert got == {top.instrument_id: top for top in everything}  # each one's newest came


@LOOPS
def test_a_cancelled_run_ends_and_the_feed_can_be_run_to_its_end_by_others(factory) -> None:
    async def main() -> tuple[int, int, dict]:
        feed = millrace.Feed(SIM)
        rest = feed.batches("mbo")
        seen = 0

        @feed.on(millrace.Mbo)
        async def on_order(order: millrace.Mbo) -> None:
            nonlocal seen
            seen += 1
            if seen == 1000:
                await asyncio.sleep(1000)

        task = asyncio.create_task(feed.run())
        await asyncio.sleep(0)  # its iterator is made before the other is used
        rows = len(await anext(rest))
        while seen < 1000 and not task.done():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rows += sum([len(batch) async for batch in rest])
        return seen, rows, feed.stats()["streams"][1]

    seen, rows, counters = run(main(), factory)
    assert seen == 1000  # the one that was being handled when the run was cancelled
    assert rows == sum(map(len, millrace.Feed(SIM).batches("mbo")))
    assert counters["produced"] + counters["discarded"] == rows
    assert counters["delivered"] >= seen


def test_an_exception_in_an_async_callback_goes_to_the_error_callbacks() -> None:
    feed = millrace.Feed(SIM)
    failed: list[tuple[str, millrace.Trade]] = []

    @feed.on(millrace.Trade)
    async def on_trade(trade: millrace.Trade) -> None:
        await asyncio.sleep(0)
        raise ValueError(str(trade.sequence))

    @feed.on_error
    async def on_error(error: Exception, trade: millrace.Trade) -> None:
        await asyncio.sleep(0)
        failed.append((str(error), trade))

    run(feed.run())
    assert failed == [(str(trade.sequence), trade) for trade in trades()]


def test_an_error_callback_that_fails_ends_the_run() -> None:
    for is_async in (True, False):
        feed = millrace.Feed(SIM)

        @feed.on(millrace.Trade)
        def on_trade(trade: millrace.Trade) -> None:
            raise ValueError("first")

        @feed.on_error
        def on_error(error: Exception, trade: millrace.Trade) -> None:
            raise RuntimeError("second") from error

        with pytest.raises(RuntimeError, match="second"):
            run(feed.run()) if is_async else feed.run_sync()


def test_callbacks_in_a_thread_while_the_main_thread_looks_at_the_books() -> None:
    feed = millrace.Feed(SIM)
    seen: list[millrace.Trade] = []
    feed.on(millrace.Trade)(seen.append)
    thread = threading.Thread(target=feed.run_sync)
    thread.start()
    looks = 0
    while thread.is_alive():
        book = feed.book("AAAA", orders=False)
        assert book is None or book.quality == "live"
        looks += 1
    thread.join()
    assert seen == trades() and looks > 0


def test_callbacks_and_their_feed_are_freed() -> None:
    class Owner:
        def __init__(self) -> None:
            self.feed = millrace.Feed(SIM)
            self.feed.on(millrace.Trade)(self.on_trade)

        def on_trade(self, trade: millrace.Trade) -> None:
            self.last = trade

    owner = Owner()
    run(owner.feed.run())
    gone = weakref.ref(owner), weakref.ref(owner.feed)
    del owner
    gc.collect()
    assert [one() for one in gone] == [None, None]
