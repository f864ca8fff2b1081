"""SoupBinTCP lines over loopback, from a simulator that is killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import BUILD, command, command_json

import millrace

pytestmark = pytest.mark.server

VENUE = "nasdaq-itch50"
ROOM = {"orders": 200_000, "levels": 100_000, "instruments": 64}


def day(messages: int) -> list[str]:
    return ["--messages", str(messages), "--symbols", "10", "--seed", "5"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The simulator as a SoupBinTCP server, always of the same day."""

    def __init__(self, messages: int, *more: str, at_once: bool = True) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._words = [
            "--serve",
            f"soup={self.address}",
            *(["--flat-out"] if at_once else []),
            "--linger",
            "100",
            *day(messages),
            *more,
        ]
        self.start()

    def start(self) -> None:
        command = [BUILD / "millrace", "sim", *self._words]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def serving(messages: int, *more: str, at_once: bool = True) -> Iterator[Server]:
    server = Server(messages, *more, at_once=at_once)
    try:
        yield server
    finally:
        server.kill()


def captured(messages: int, folder: Path, *more: str) -> tuple[int, str]:
    """Rows and digest of that day, from a capture of it."""
    capture = folder / "day.pcapng"
    command("sim", "--capture", capture, *day(messages), *more)
    rows = sum(map(len, millrace.replay(capture).batches("mbo")))
    return rows, command_json("replay", capture)["digest"]


def test_a_server_killed_and_started_again_misses_and_repeats_nothing(tmp_path: Path) -> None:
    # At a pace: what was sent all at once before the second kill would not miss the server.
    messages, pace = 200_000, ["--rate", "100000"]
    kills = [10_000, 40_000]
    rows, digest = captured(messages, tmp_path, *pace)
    with serving(messages, *pace, at_once=False) as server:
        feed = millrace.Feed(f"soup://{server.address}", venue=VENUE, overflow="block", **ROOM)
        seen, killed, back = 0, [], []

        @feed.on(millrace.Mbo)
        def on_order(order: millrace.Mbo) -> None:
            nonlocal seen
            seen += 1
            if len(killed) == len(back) < len(kills) and seen >= kills[len(killed)]:
                killed.append(seen)
                server.kill()
                server.start()

        @feed.on_reconnect
        async def on_reconnect(event: millrace.Reconnect) -> None:
            back.append((event.line, event.count, seen))

        asyncio.run(asyncio.wait_for(feed.run(), 120))
    assert (seen, feed.digest) == (rows, digest)
    assert [one[:2] for one in back] == [(0, 1), (0, 2)]
    assert all(at >= kill for (*_, at), kill in zip(back, killed, strict=True))
    stats = feed.stats()
    assert stats["balance"] == 0 and stats["gaps"] == []
    with pytest.raises(millrace.NoPosition):
        feed.position  # noqa: B018


def test_a_config_file_with_a_login_and_two_lines(tmp_path: Path) -> None:
    rows, digest = captured(20_000, tmp_path)
    login = ("--username", "joe", "--password", "secret")
    with serving(20_000, *login) as one, serving(20_000, *login) as other:
        config = tmp_path / "feed.toml"
        config.write_text(
            f'[[feed]]\nname = "tcp"\nvenue = "{VENUE}"\n'
            f'[[feed.line]]\nname = "A"\nsoup = "{one.address}"\n'
            'username = "joe"\npassword = "secret"\n'
            f'[[feed.line]]\nname = "B"\nsoup = "{other.address}"\n'
            'username = "joe"\npassword = "secret"\n'
            "[feed.receive]\nidle = 'wait'\n[feed.limits]\norders = 100000\nlevels = 50000\n"
        )
        urls = [f"soup://{server.address}" for server in (one, other)]
        user = {"username": "joe", "password": "secret"}
        for feed in (millrace.Feed(config), millrace.Feed(urls, venue=VENUE, **user, **ROOM)):
            assert sum(map(len, feed.batches("mbo", overflow="block"))) == rows
            assert feed.digest == digest and feed.stats()["balance"] == 0


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("soup://127.0.0.1", "write soup://"),
        ("soup://127.0.0.1:5000/day", "write soup://"),
        ("soup://joe:secret@127.0.0.1:5000", "username= and password="),
        ("soup://127.0.0.1:99999", "no number from 0"),
        (["soup://127.0.0.1:5000", "sim://"], "different kinds"),
    ],
)
def test_mistakes_are_told_in_one_line(url, text) -> None:
    with pytest.raises(millrace.UsageError, match=text) as caught:
        millrace.Feed(url, venue=VENUE)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
