"""What was processed, and where to resume."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import millrace


def rows(batches: list[millrace.Batch]) -> bytes:
    return b"".join(np.asarray(batch.numpy()).tobytes() for batch in batches)


def test_a_replay_resumes_behind_what_was_committed(capture: Path, tmp_path: Path) -> None:
    everything = rows(list(millrace.replay(capture).batches("mbo", max_rows=1000)))
    kept = tmp_path / "position.json"
    done = []
    runs = 0
    while True:
        runs += 1
        feed = millrace.replay(capture, checkpoint=kept)
        stream = feed.batches("mbo", max_rows=1000)
        got = []
        for batch in stream:
            got.append(batch)
            if len(got) == 9:
                break
            if len(got) == 8:
                feed.commit_sync()  # the ninth batch is handed out and never committed
        if len(got) < 9:
            done += got
            break
        done += got[:8]
        feed.close()
    assert runs > 3
    assert rows(done) == everything


def test_position_counts_what_was_handed_out(capture: Path) -> None:
    feed = millrace.replay(capture)
    stream = feed.batches("mbo", max_rows=100)
    rows = len(next(stream)) + len(next(stream))
    assert feed.position.rows == {"mbo": rows}


def test_messages_resume_in_asyncio(capture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "position.json"
    expected = list(millrace.replay(capture).messages(millrace.Trade))

    async def first(count: int) -> list:
        out = []
        async with millrace.replay(capture, checkpoint=kept) as feed:
            async for message in feed.messages(millrace.Trade):
                out.append(message)
                if len(out) == count:
                    await feed.commit()
                    break
        return out

    begin = asyncio.run(first(321))
    rest = list(millrace.replay(capture, checkpoint=kept).messages(millrace.Trade))
    assert begin + rest == expected


@pytest.mark.parametrize("is_async", [True, False])
def test_a_commit_in_a_callback_is_of_the_messages_up_to_that_one(
    is_async: bool, capture: Path, tmp_path: Path
) -> None:
    expected = list(millrace.replay(capture).messages(millrace.Trade))
    feed = millrace.replay(capture, checkpoint=tmp_path / "kept")
    got: list[millrace.Trade] = []

    @feed.on(millrace.Trade)
    def on_trade(trade: millrace.Trade) -> None:
        got.append(trade)
        if len(got) == 77:
            feed.commit_sync()
        if len(got) == 99:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        asyncio.run(feed.run()) if is_async else feed.run_sync()
    assert feed.position.rows == {"messages": 98}  # the last one was not dealt with
    again = millrace.replay(capture, checkpoint=tmp_path / "kept")
    assert got[:77] + list(again.messages(millrace.Trade)) == expected


def test_a_commit_is_of_what_was_out_when_it_was_called(capture: Path, tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        feed = millrace.replay(capture, checkpoint=tmp_path / "kept")
        stream = feed.batches("mbo", max_rows=100, max_wait=9)
        await anext(stream)
        commit = asyncio.create_task(feed.commit())
        await asyncio.sleep(0)  # it was called ...
        await anext(stream)  # ... before this
        return (await commit).rows["mbo"], feed.position.rows["mbo"]

    assert asyncio.run(main()) == (100, 200)


def test_of_conflated_rows_the_replaced_ones_are_done_too(capture: Path) -> None:
    feed = millrace.replay(capture, overflow="conflate")
    stream = feed.batches("mbp-1", max_rows=10_000)
    feed.start()
    while not feed.finished:
        time.sleep(0.01)
    next(stream)
    assert feed.position.rows == {"mbp-1": stream.counters["produced"]}


def test_killed_at_any_moment_nothing_is_twice_or_missing(capture: Path, tmp_path: Path) -> None:
    """A program that writes what it did and commits both in one step, killed by force."""
    kept, out = tmp_path / "position.json", tmp_path / "sequences"
    program = (
        "import millrace, sys, time\n"
        f"feed = millrace.replay({str(capture)!r}, checkpoint={str(kept)!r})\n"
        f"out = open({str(out)!r}, 'a')\n"
        "done = feed._checkpoint.rows_of('trades')\n"
        "for batch in feed.batches('trades', max_rows=50):\n"
        "    for row in batch.numpy(): out.write(f\"{done} {row['sequence']}\\n\"); done += 1\n"
        "    out.flush(); feed.commit_sync(); print(done, flush=True); time.sleep(0.01)\n"
    )
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            child.stdout.readline()
        child.kill()
        child.communicate()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    done = dict(line.split() for line in out.read_text().splitlines() if line.count(" ") == 1)
    expected = [b.numpy()["sequence"] for b in millrace.replay(capture).batches("trades")]
    assert [int(done[str(i)]) for i in range(len(done))] == np.concatenate(expected).tolist()


def test_a_checkpoint_of_something_else_is_refused(capture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "position.json"
    feed = millrace.replay(capture, checkpoint=kept)
    next(feed.batches("mbo"))
    feed.commit_sync()
    with pytest.raises(millrace.UsageError, match="another source"):
        millrace.replay(capture, checkpoint=kept, symbols=["AAAA"])
    kept.write_text("{")
    with pytest.raises(millrace.FormatError, match="no checkpoint"):
        millrace.replay(capture, checkpoint=kept)
    with pytest.raises(millrace.UsageError, match="checkpoint="):
        other = millrace.replay(capture)
        next(other.batches("mbo"))
        other.commit_sync()


def test_raw_udp_has_no_position_and_says_so() -> None:
    feed = millrace.Feed("udp://239.255.9.9:5999?iface=lo", venue="nasdaq-itch50")
    with pytest.raises(millrace.NoPosition, match="no position"):
        _ = feed.position


@pytest.mark.parametrize("rows", [{"mbo": -5}, {"mbo": "x"}, {"mbo": None}, {"mbo": 1.5}, [7]])
def test_a_checkpoint_that_says_no_rows_is_none_of_ours(capture, tmp_path: Path, rows) -> None:
    path = tmp_path / "kept.json"
    feed = millrace.replay(capture, checkpoint=path)
    next(feed.batches("mbo"))
    feed.commit_sync()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rows": rows}))
    with pytest.raises(millrace.FormatError, match="no checkpoint of ours"):
        millrace.replay(capture, checkpoint=path)
