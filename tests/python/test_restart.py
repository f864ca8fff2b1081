"""A sender that begins anew, into the stream that it had filled before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import command_json

import millrace

pytestmark = pytest.mark.server


def test_books_begin_anew_with_their_sender(redis_server: str, capture: Path) -> None:
    base = f"redis://{redis_server}/restart"
    for _ in range(2):
        command_json("replay", capture, "--sink", base)
        time.sleep(1)  # epochs count seconds
    feed = millrace.Feed(base)
    rows = sum(len(batch.numpy()) for batch in feed.batches("mbo"))
    once = millrace.replay(capture)
    assert rows == 2 * sum(len(batch.numpy()) for batch in once.batches("mbo"))
    assert feed.digest == once.digest
    stats = feed.stats()
    assert stats["balance"] == 0 and stats["source"]["restarts"] == stats["source"]["streams"]
