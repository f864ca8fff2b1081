"""Buffers follow the rate, and the feed's threads ask for no memory while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import test_live

import millrace


def counters(feed: millrace.Feed) -> dict[str, int]:
    return feed.stats()["streams"][0]


def test_buffers_grow_with_the_rate_and_shrink_again() -> None:
    """Nobody reads at first; then somebody keeps up with what comes."""
    slab = 1 << 18
    feed = millrace.Feed(
        "sim://?messages=600000&symbols_count=9&rate=60000&pace=1",
        overflow="drop_oldest",
        buffer_quiet=0.1,
    )
    with feed:
        stream = feed.batches("mbo", max_rows=256)
        feed.start()
        before = counters(feed)["buffer_bytes"]
        deadline = time.monotonic() + 60
        while counters(feed)["grows"] < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        grown = counters(feed)
        assert grown["grows"] >= 3 and grown["buffer_bytes"] >= 4 * before
        at = 0
        for batch in stream:
            assert batch.first_row == at + batch.lost_before
            at = batch.first_row + len(batch)
            shrunk = stream.counters
            if shrunk["shrinks"] >= 1 and shrunk["buffer_bytes"] <= before + slab:
                break
            assert not feed.finished, shrunk
        assert counters(feed)["shrinks"] >= 1
    assert feed.stats()["balance"] == 0


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("counting") / "allocations.so"
    source = Path(__file__).with_name("allocations.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


#: Run with the counting library: what each thread asked for between the first rows and the last.
PROGRAM = """
import ctypes, json, pathlib, sys, threading
import millrace

def allocations():
    of = ctypes.CDLL(None).allocations_of
    tasks = pathlib.Path("/proc/self/task").iterdir()
    named = {(task / "comm").read_text().strip(): of(int(task.name)) for task in tasks}
    return named | {"python": of(threading.get_native_id())}  # of several called that, this one

feed = millrace.Feed(sys.argv[1:], venue="nasdaq-itch50", mode="threads", overflow="drop_oldest")
stream = feed.batches("mbo")
feed.start()
feed.stats()  # answered once the lines are open
print("ready", flush=True)
rows = len(next(stream))
before = after = allocations()
for batch in stream:
    rows += len(batch)
    mine = bytes(1 << 20)
    if not feed.finished:
        after = allocations()
threads = {name: after[name] - before[name] for name in before if name in after}
print(json.dumps({"rows": rows, "threads": threads, "seen": feed.stats()["streams"][0]}))
"""


@pytest.mark.server
def test_the_feeds_threads_ask_for_no_memory_while_rows_come(
    counting: Path, tmp_path: Path
) -> None:
    where = test_live.groups()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *test_live.urls(where)],
        env=os.environ | {"LD_PRELOAD": str(counting)},
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout.readline() == "ready\n"
        test_live.exchange(where, 40_000, tmp_path / "sent.pcapng").wait(60)
        done = json.loads(program.communicate(timeout=60)[0])
    threads = done["threads"]
    assert done["rows"] + done["seen"]["dropped"] == done["seen"]["produced"] > 30_000
    assert threads.pop("python") > 0  # what that one asks for is counted
    hot = {name: asked for name, asked in threads.items() if name != "millrace-memory"}
    assert set(hot) >= {"millrace-feed", "millrace-rx-A", "millrace-rx-B"}, threads
    assert not any(hot.values()), hot
