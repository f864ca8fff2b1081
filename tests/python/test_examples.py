"""The example programs, run as the docs say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, command

import millrace


def run(name: str, *arguments: str | Path) -> list[str]:
    path = ROOT / "examples" / "python" / name
    done = subprocess.run(
        [sys.executable, path, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_vwap(capture: Path) -> None:
    lines = run("vwap.py", capture)
    bars = millrace.bars(millrace.replay(capture), "24h").numpy()
    volumes = {line.split()[0]: int(line.split()[2]) for line in lines}
    feed = millrace.replay(capture)
    for _ in feed.batches("trades"):
        pass
    assert volumes == {feed.symbols[int(b["instrument_id"])]: int(b["volume"]) for b in bars}


def test_top_of_book(capture: Path) -> None:
    lines = run("top_of_book.py", capture, "AAAA")
    feed = millrace.replay(capture, symbols=["AAAA"])
    tops = list(feed.messages(millrace.Bbo))
    assert len(lines) == len(tops) + 1
    assert lines[-1] == f"digest {feed.digest} balance 0"


@pytest.mark.server
def test_consumer(capture: Path, redis_server: str) -> None:
    stream = f"redis://{redis_server}/example"
    command("replay", capture, "--schema", "trades", "--sink", stream)
    lines = run("consumer.py", f"{stream}?group=example")
    volumes: dict[str, int] = {}
    for trade in millrace.replay(capture).messages(millrace.Trade):
        volumes[trade.symbol] = volumes.get(trade.symbol, 0) + trade.size
    assert {line.split()[0]: int(line.split()[1]) for line in lines} == volumes
    assert run("consumer.py", f"{stream}?group=example") == []  # everything was committed
