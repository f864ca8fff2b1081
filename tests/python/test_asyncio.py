"""In an event loop: waiting, waking, cancelling, sharing the loop, signals, forks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop

import millrace

SIM = "sim://?messages=20000&symbols_count=7"
PACED = "sim://?messages=400000&symbols_count=5&rate=2000&pace=1"  # lasts minutes


def new_loops() -> list:
    return [asyncio.new_event_loop, uvloop.new_event_loop]


def run(main, factory=asyncio.new_event_loop):
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def count(feed: millrace.Feed, **options) -> int:
    return sum([len(batch) async for batch in feed.batches("mbo", **options)])


@pytest.mark.parametrize("factory", new_loops())
def test_every_loop_gets_all_rows(factory) -> None:
    expected = sum(map(len, millrace.Feed(SIM).batches("mbo")))
    assert run(count(millrace.Feed(SIM)), factory) == expected


@pytest.mark.parametrize("factory", new_loops())
def test_a_waiting_consumer_is_woken_for_the_first_rows(factory) -> None:
    async def main() -> list[float]:
        async with millrace.Feed(PACED) as feed:
            times = []
            began = time.perf_counter()
            async for _ in feed.batches("mbo", max_rows=4096, max_wait=0.0):
                times.append(time.perf_counter() - began)
                if len(times) == 20:
                    return times
        raise AssertionError

    times = run(main(), factory)
    assert times[-1] < 10  # at 2,000 messages a second full batches would take far longer


def test_max_wait_gathers_rows_and_then_hands_out_what_is_there() -> None:
    async def main() -> list[int]:
        async with millrace.Feed(PACED) as feed:
            sizes = []
            async for batch in feed.batches("mbo", max_rows=100_000, max_wait=0.2):
                sizes.append(len(batch))
                if len(sizes) == 4:
                    return sizes
        raise AssertionError

    sizes = run(main())
    assert max(sizes[1:]) > 100  # 0.2 s at 2,000 messages a second, on however busy a machine


class Ticker:
    """Counts the turns that the event loop gives to others."""

    def __init__(self) -> None:
        self._turns = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._turns += 1

    def stop(self) -> int:
        self._task.cancel()
        return self._turns


def test_a_fast_feed_leaves_the_loop_to_others() -> None:
    async def main() -> tuple[int, int]:
        other = Ticker()
        rows = await count(millrace.Feed("sim://?messages=200000&symbols_count=9"), max_rows=64)
        return rows, other.stop()

    rows, ticks = run(main())
    assert rows > 200_000
    assert ticks > 10


def test_rows_that_never_run_out_leave_the_loop_to_others(monkeypatch) -> None:
    """Fewer rows than a list holds are always there, so that nothing has to be waited for."""
    monkeypatch.setattr(millrace._streams, "TURN_S", 0.0)

    async def main() -> tuple[int, int]:
        lists = 0
        other = Ticker()
        stream = millrace.Feed("sim://?messages=50000&symbols_count=9").messages(millrace.Mbo)
        monkeypatch.setattr(stream, "_max_rows", 1_000_000_000)
        monkeypatch.setattr(stream, "_limit", lambda: 64)
        async for _ in stream.lists():
            lists += 1
        return lists, other.stop()

    lists, ticks = run(main())
    assert lists > 500
    assert ticks >= lists - 1


def test_a_cancelled_wait_loses_no_row() -> None:
    async def main() -> int:
        feed = millrace.Feed("sim://?messages=3000&symbols_count=3&rate=3000&pace=1")
        stream = feed.batches("mbo", max_rows=4096, max_wait=0.0)
        rows = 0
        while True:
            try:
                batch = await asyncio.wait_for(anext(stream), 0.0005)
            except asyncio.TimeoutError:
                continue
            except StopAsyncIteration:
                return rows
            assert batch.first_row == rows
            rows += len(batch)

    expected = sum(map(len, millrace.Feed("sim://?messages=3000&symbols_count=3").batches("mbo")))
    assert run(main()) == expected


def test_leaving_the_loop_and_the_feed_stops_its_threads() -> None:
    async def main() -> None:
        async with millrace.Feed(PACED) as feed:
            async for _ in feed.batches("mbo"):
                break
        assert feed.finished

    run(main())
    gc.collect()
    names = []
    for comm in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # of another test, ending meanwhile
            names.append(comm.read_text().strip())
    assert names and "millrace-feed" not in names


def test_one_iterator_in_two_loops_one_after_the_other() -> None:
    feed = millrace.Feed(SIM)
    stream = feed.batches("mbo", max_rows=100)
    first = asyncio.run(anext_of(stream))
    second = asyncio.run(anext_of(stream))
    assert second.first_row == len(first)


async def anext_of(stream: millrace.BatchStream) -> millrace.Batch:
    return await anext(stream)


def test_tasks_may_share_an_iterator() -> None:
    async def main() -> list[int]:
        stream = millrace.Feed(SIM).batches("mbo", max_rows=50)

        async def work() -> int:
            return sum([len(batch) async for batch in stream])

        return await asyncio.gather(work(), work(), work())

    counts = run(main())
    assert sum(counts) == sum(map(len, millrace.Feed(SIM).batches("mbo")))


def test_closing_the_feed_ends_who_waits() -> None:
    async def main() -> int:
        feed = millrace.Feed(PACED)
        task = asyncio.create_task(count(feed))
        await asyncio.sleep(0.2)
        await feed.aclose()
        return await asyncio.wait_for(task, 5)

    assert run(main()) >= 0


@pytest.mark.parametrize("way", ["asyncio", "plain", "callbacks"])
def test_ctrl_c_ends_at_once(way: str) -> None:
    program = {
        "plain": "for _ in feed.batches('mbo', max_rows=1000000, max_wait=1000): pass",
        "asyncio": (
            "async def main():\n"
            "    async for _ in feed.batches('mbo', max_rows=1000000, max_wait=1000): pass\n"
            "asyncio.run(main())"
        ),
        "callbacks": (
            "@feed.on(millrace.Definition)\ndef ignore(_): pass\nasyncio.run(feed.run())"
        ),
    }[way]
    begin = f"import asyncio, millrace\nfeed = millrace.Feed({PACED!r})\nprint('on', flush=True)\n"
    text = begin + program
    child = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "on\n"
    time.sleep(0.7)
    sent = time.perf_counter()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert time.perf_counter() - sent < 5  # an interpreter that ends, on however busy a machine


def _use_in_child(feed: millrace.Feed, stream: millrace.BatchStream) -> None:
    results = []
    for use in (lambda: next(stream), lambda: feed.digest, lambda: feed.batches("mbo")):
        try:
            use()
            results.append(False)
        except millrace.MillraceError as error:
            results.append("fork" in str(error))
    own = sum(map(len, millrace.Feed(SIM).batches("mbo")))
    os._exit(0 if all(results) and own > 20_000 else 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_made_before_a_fork_and_not_begun_stays_with_the_parent(capture: Path) -> None:
    """Where files are read is one place for both: each would get a part of them."""
    expected = sum(map(len, millrace.replay(capture).batches("mbo")))
    table = capture.with_name("rows.csv")
    table.write_text("a\n" + "1\n" * 100_000)
    feed, rows = millrace.replay(capture), millrace.read_csv(table)
    stream = feed.batches("mbo")

    def in_child() -> None:
        _use_in_child(feed, stream)

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert sum(map(len, stream)) == expected and len(list(rows)) == 100_000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork_the_child_is_told_and_can_make_its_own() -> None:
    feed = millrace.Feed(PACED)
    stream = feed.batches("mbo")
    next(stream)
    child = multiprocessing.get_context("fork").Process(target=_use_in_child, args=(feed, stream))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert len(next(stream)) > 0  # the parent's goes on
    feed.close()


@pytest.mark.parametrize("factory", new_loops())
def test_whoever_waits_sees_that_somebody_else_has_closed_it(factory) -> None:
    async def drain(stream: millrace.BatchStream) -> None:
        async for _ in stream:
            pass

    async def main() -> None:
        for way in ("stream.close", "stream.aclose", "feed.close", "feed.aclose"):
            feed = millrace.Feed(PACED)
            stream = feed.batches("imbalance")  # of which hardly any come
            waiting = asyncio.create_task(drain(stream))
            await asyncio.sleep(0.2)
            name, method = way.split(".")
            closed = getattr({"stream": stream, "feed": feed}[name], method)()
            if closed is not None:
                await closed
            await asyncio.wait_for(waiting, 5)
            feed.close()

    run(main(), factory)


def test_an_iterator_that_is_let_go_leaves_no_reader_in_the_loop() -> None:
    async def main() -> None:
        for _ in range(20):
            stream = millrace.Feed(SIM).batches("mbo", max_rows=10)
            await anext(stream)
            del stream
        gc.collect()
        assert await count(millrace.Feed(SIM)) > 20_000

    run(main())


def test_the_library_holds_the_loop_less_than_a_millisecond_at_a_time() -> None:
    """Thread CPU time of each step of the iterator, as the loop runs it."""

    async def main() -> list[int]:
        feed = millrace.Feed("sim://?messages=300000&symbols_count=20")
        stream = feed.batches("mbo", max_rows=4096)
        worst = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                step = stream.__anext__()
                used = 0
                while True:
                    began = time.thread_time_ns()
                    try:
                        future = step.send(None)
                    except StopIteration:
                        used = max(used, time.thread_time_ns() - began)
                        break
                    used = max(used, time.thread_time_ns() - began)
                    if future is not None:
                        future._asyncio_future_blocking = False
                        await future
                    else:
                        await asyncio.sleep(0)
                worst.append(used)
        return worst

    steps = sorted(run(main()))
    assert len(steps) > 50
    assert steps[len(steps) * 99 // 100] < 1_000_000


def test_letting_go_of_much_memory_takes_others_time() -> None:
    """As an event loop would, of 64 MB that nobody has read, and of books."""

    def cpu_of_letting_go() -> int:
        feed = millrace.Feed("sim://?messages=300000", overflow="drop_oldest")
        stream = feed.batches("mbp-10")
        feed.start()
        while not feed.finished:
            time.sleep(0.01)
        assert stream.counters["buffer_bytes"] > 48 << 20
        began = time.thread_time_ns()
        stream.close()
        del stream, feed
        return time.thread_time_ns() - began

    # What the machine adds falls elsewhere each time.
    assert min(cpu_of_letting_go() for _ in range(3)) < 1_000_000
