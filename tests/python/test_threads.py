"""The feed's threads and Python's lock; the descriptor by which they wake a waiting consumer."""

from __future__ import annotations

import ctypes
import select
import threading
import time

import millrace

ENDLESS = "sim://?messages=5000000&symbols_count=5&rate=50000&pace=1"


def readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def test_a_feed_goes_on_while_another_thread_keeps_the_gil() -> None:
    with millrace.Feed(ENDLESS, overflow="drop_oldest") as feed:
        stream = feed.batches("mbo")
        next(stream)
        before = stream.counters["produced"]
        began = time.monotonic()
        ctypes.PyDLL(None).usleep(300_000)  # PyDLL, unlike CDLL, does not let go of it
        after = stream.counters["produced"]
        assert after - before > 5_000 * (time.monotonic() - began)


def test_who_waits_for_rows_does_not_keep_the_gil() -> None:
    with millrace.Feed("udp://239.255.9.8:5998?iface=lo", venue="nasdaq-itch50") as feed:
        stream = feed.batches("mbo")
        waiter = threading.Thread(target=lambda: list(stream))
        waiter.start()
        time.sleep(0.05)
        turns = 0
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            turns += 1
        assert waiter.is_alive() and turns > 1_000
    waiter.join(10)
    assert not waiter.is_alive()


def test_the_descriptor_is_written_only_when_somebody_waits() -> None:
    feed = millrace.Feed("sim://?messages=20000&symbols_count=5", overflow="drop_oldest")
    stream = feed.batches("mbo")
    channel = stream._channel
    feed.start()
    while not feed.finished:
        time.sleep(0.01)
    assert stream.counters["produced"] > 10_000 and not readable(channel.event)
    with millrace.Feed(ENDLESS, overflow="drop_oldest") as feed:
        stream = feed.batches("mbo")
        channel = stream._channel
        assert channel.arm(100)
        feed.start()
        assert select.select([channel.event], [], [], 10)[0] and channel.ready() >= 100
        assert not channel.arm(1) and not readable(channel.event)  # they are there already
        time.sleep(0.1)
        assert channel.ready() > 1_000 and not readable(channel.event)
