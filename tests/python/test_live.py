"""Live multicast over loopback, held against the exchange that sent it."""

from __future__ import annotations

import asyncio
import random
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import BUILD, command_json

import millrace

pytestmark = pytest.mark.server


def groups() -> list[str]:
    """Two groups that no other test uses at the same time."""
    third, port = random.randrange(1, 255), random.randrange(20_000, 60_000)
    return [f"239.253.{third}.{n}:{port}" for n in (1, 2)]


def exchange(where: list[str], messages: int, capture: Path) -> subprocess.Popen:
    lines = [word for group in where for word in ("--multicast", group)]
    return subprocess.Popen(
        [BUILD / "millrace", "sim", *lines, "--interface", "lo", "--messages", str(messages)]
        + ["--symbols", "10", "--rate", "20000", "--loss", "0.02", "--capture", capture],
        stderr=subprocess.DEVNULL,
    )


def urls(where: list[str]) -> list[str]:
    return [f"udp://{group}?iface=lo" for group in where]


@pytest.mark.parametrize("backend", ["io_uring", "recvmmsg"])
def test_live_rows_and_books_are_those_of_the_capture(backend: str, tmp_path: Path) -> None:
    where, capture = groups(), tmp_path / "sent.pcapng"

    async def main() -> tuple[int, str, dict]:
        feed = millrace.Feed(urls(where), venue="nasdaq-itch50", backend=backend, overflow="block")
        async with feed:
            stream = feed.batches("mbo", max_wait=0.002)
            feed.start()
            await asyncio.to_thread(feed.stats)  # answered once the lines are open
            sender = exchange(where, 20_000, capture)
            rows = 0
            async for batch in stream:
                assert batch.first_row == rows and batch.lost_before == 0
                rows += len(batch)
            sender.wait(60)
            return rows, feed.digest, feed.stats()

    rows, digest, stats = asyncio.run(main())
    assert stats["balance"] == 0 and stats["backend"] == backend
    given_up = [gap for gap in stats["gaps"] if gap["ended"] == "given_up"]
    if given_up:  # a host too busy loses packets on both lines; then the feed must say so
        assert stats["quality"]["live"] == 0
        pytest.skip(f"this host lost packets of both lines: {len(given_up)} gaps")
    assert digest == command_json("replay", capture)["digest"]
    assert rows == sum(map(len, millrace.replay(capture).batches("mbo")))


@pytest.mark.parametrize("mode", ["run_to_completion", "threads"])
def test_a_live_feed_is_balanced_whenever_it_is_asked(mode: str, tmp_path: Path) -> None:
    """Also in the middle of what was received together, and of a packet that finds no room."""
    where = groups()
    options = {"mode": mode, "overflow": "block", "buffer_bytes": 1 << 18}
    feed = millrace.Feed(urls(where), venue="nasdaq-itch50", **options)
    with feed:
        stream = feed.batches("mbo", max_rows=100, max_wait=0.001)
        feed.start()
        feed.stats()  # answered once the lines are open
        sender = exchange(where, 20_000, tmp_path / "sent.pcapng")
        asked = 0
        for _ in stream:
            stats = feed.stats()
            assert stats["balance"] == 0, stats
            asked += 1
        sender.wait(60)
    assert asked > 100


def test_a_config_file_is_a_feed(tmp_path: Path) -> None:
    where, capture, config = groups(), tmp_path / "sent.pcapng", tmp_path / "feed.toml"
    config.write_text(
        '[[feed]]\nname = "demo"\nvenue = "nasdaq-itch50"\n'
        f'[[feed.line]]\nname = "A"\ngroups = ["{where[0]}"]\ninterface = "lo"\n'
        f'[[feed.line]]\nname = "B"\ngroups = ["{where[1]}"]\ninterface = "lo"\n'
        '[feed.receive]\nidle = "wait"\n[feed.limits]\norders = 100000\nlevels = 50000\n'
    )
    feed = millrace.Feed(config)
    seen: list[millrace.Trade] = []

    @feed.on(millrace.Trade)
    async def on_trade(trade: millrace.Trade) -> None:
        seen.append(trade)

    async def main() -> None:
        run = asyncio.create_task(feed.run())
        await asyncio.sleep(0)  # it has begun
        await asyncio.to_thread(feed.stats)
        sender = exchange(where, 10_000, capture)
        await run
        sender.wait(60)

    asyncio.run(main())
    assert len(seen) == sum(map(len, millrace.replay(capture).batches("trades")))
    assert feed.stats()["name"] == "demo"


def test_what_a_live_feed_refuses(tmp_path: Path) -> None:
    config = tmp_path / "feed.toml"
    config.write_text("[[feed]]\n")
    with pytest.raises(millrace.ConfigError, match=r"feed\.toml"):
        millrace.Feed(config)
    with pytest.raises(millrace.FileError, match="absent"):
        millrace.Feed(tmp_path / "absent.toml")
    feed = millrace.Feed("udp://239.1.1.1:5000?iface=nosuch0", venue="nasdaq-itch50")
    with pytest.raises(millrace.InterfaceError, match="nosuch0"):
        next(feed.batches("mbo"))


@pytest.mark.parametrize("source", ["udp://239.1.1.9:5009?iface=lo", "soup://127.0.0.1:9"])
@pytest.mark.parametrize("in_loop", [False, True])
def test_lines_that_bring_nothing_are_told_of_once(
    source: str, in_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace._running.PATIENCE_S", 0.1)
    feed = millrace.Feed(source, venue="nasdaq-itch50")
    closing = threading.Timer(0.5, feed.close)
    closing.start()

    async def wait() -> int:
        return sum([len(batch) async for batch in feed.batches("mbo")])

    with pytest.warns(millrace.MillraceWarning, match="no packet has come so far; does") as told:
        rows = asyncio.run(wait()) if in_loop else sum(map(len, feed.batches("mbo")))
    assert rows == 0 and len(told) == 1
    closing.join()
