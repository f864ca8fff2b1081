"""Batches: the same rows by every way of iterating, as views that outlive everything else."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import command, command_json

import millrace

SIM = "sim://?messages=20000&symbols_count=7"


def rows_of(batches: list[millrace.Batch]) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in batches])


async def collect(feed: millrace.Feed, **options) -> list[millrace.Batch]:
    return [batch async for batch in feed.batches("mbo", **options)]


def test_asyncio_and_plain_loops_give_the_same_rows(capture: Path) -> None:
    plain = list(millrace.replay(capture).batches("mbo"))
    awaited = asyncio.run(collect(millrace.replay(capture)))
    assert sum(map(len, plain)) > 30_000
    assert rows_of(plain).tobytes() == rows_of(awaited).tobytes()


def test_batches_hold_at_most_max_rows_and_number_their_rows_without_a_hole() -> None:
    batches = list(millrace.Feed(SIM).batches("mbo", max_rows=100))
    assert max(map(len, batches)) == 100
    at = 0
    for batch in batches:
        assert batch.first_row == at
        assert batch.lost_before == 0
        at += len(batch)
    assert at == sum(map(len, millrace.Feed(SIM).batches("mbo", max_rows=3_333)))


def test_digest_and_counts_are_the_commands(capture: Path) -> None:
    expected = command_json("replay", capture)
    feed = millrace.replay(capture)
    for _ in feed.batches("trades"):
        pass
    assert feed.digest == expected["digest"]
    stats = feed.stats()
    for key in ("packets", "messages", "by_type", "lines", "gaps", "drops", "balance", "quality"):
        assert stats[key] == expected[key], key


def test_numpy_is_a_view_and_cannot_be_written() -> None:
    batch = next(iter(millrace.Feed(SIM).batches("mbo")))
    one, other = batch.numpy(), batch.numpy()
    assert one.ctypes.data == other.ctypes.data
    assert one.dtype.itemsize == 56 and one.nbytes == batch.nbytes
    assert not one.flags.writeable
    with pytest.raises(ValueError):
        one["price"][0] = 1


def test_a_batch_outlives_its_iterator_and_its_feed() -> None:
    feed = millrace.Feed(SIM)
    stream = feed.batches("mbo", max_rows=500)
    kept = [next(stream) for _ in range(4)]
    arrays = [batch.numpy() for batch in kept]
    copies = [array.copy() for array in arrays]
    for _ in stream:  # the rest goes through the same memory
        pass
    feed.close()
    del feed, stream, kept
    gc.collect()
    other = [batch.numpy() for batch in millrace.Feed(SIM + "&seed=99").batches("mbo")]
    for array, copy in zip(arrays, copies, strict=True):
        assert array.tobytes() == copy.tobytes()
    assert other


def test_keeping_every_batch_never_stops_a_blocking_feed() -> None:
    feed = millrace.Feed(SIM, buffer_bytes=1 << 20)
    batches = list(feed.batches("mbo", max_rows=64))
    assert sum(map(len, batches)) == batches[-1].first_row + len(batches[-1])
    assert len(batches) > 300


def test_several_iterators_each_get_every_row(capture: Path) -> None:
    async def both() -> tuple[int, int, int]:
        feed = millrace.replay(capture)
        streams = [feed.batches("mbo", max_rows=n) for n in (17, 4096)] + [feed.batches("trades")]

        async def count(stream: millrace.BatchStream) -> int:
            return sum([len(batch) async for batch in stream])

        return tuple(await asyncio.gather(*map(count, streams)))

    small, large, trades = asyncio.run(both())
    assert small == large
    assert trades == sum(map(len, millrace.replay(capture).batches("trades")))
    assert 0 < trades < small


def test_rows_are_the_same_as_messages(capture: Path) -> None:
    rows = rows_of(list(millrace.replay(capture).batches("trades")))
    messages = list(millrace.replay(capture).messages(millrace.Trade))
    assert len(rows) == len(messages)
    assert b"".join(message.raw for message in messages) == rows.tobytes()


def test_symbols_limit_the_rows(capture: Path) -> None:
    everything = millrace.replay(capture)
    frames = [batch.pandas() for batch in everything.batches("trades")]
    wanted = sorted(everything.symbols.values())[:2]
    expected = sum(int(frame["symbol"].isin(wanted).sum()) for frame in frames)
    some = millrace.replay(capture, symbols=wanted)
    assert sum(map(len, some.batches("trades"))) == expected
    assert sorted(some.symbols.values()) == wanted


def test_start_and_end_cut_by_receive_time(capture: Path) -> None:
    rows = rows_of(list(millrace.replay(capture).batches("mbo")))
    times = np.unique(rows["ts_recv"])
    start, end = int(times[len(times) // 4]), int(times[len(times) // 2])
    expected = rows[(rows["ts_recv"] >= start) & (rows["ts_recv"] < end)]
    got = rows_of(list(millrace.replay(capture, start=start, end=end).batches("mbo")))
    assert got.tobytes() == expected.tobytes()
    assert 0 < len(got) < len(rows)


def test_a_binaryfile_needs_its_day_and_gives_the_commands_rows(tmp_path: Path) -> None:
    path, theirs = tmp_path / "day.bin", tmp_path / "day.dbn"
    command("sim", "--binaryfile", path, "--messages", "5000", "--symbols", "3")
    with pytest.raises(millrace.UsageError, match="date="):
        millrace.replay(path)
    command("convert", path, "--date", "2024-01-02", "--output", theirs)
    own = rows_of(list(millrace.replay(path, date="2024-01-02").batches("mbo")))
    assert own.tobytes() == rows_of(list(millrace.Feed(theirs).batches("mbo"))).tobytes()
    middle = int(own["ts_event"][len(own) // 2])
    late = rows_of(list(millrace.replay(path, date="2024-01-02", start=middle).batches("mbo")))
    assert len(late) == int((own["ts_event"] >= middle).sum())


def test_packets_tell_their_day_themselves(capture: Path) -> None:
    with pytest.raises(millrace.UsageError, match="leave date= out"):
        millrace.replay(capture, date="2024-01-02")


def test_an_iterator_made_too_late_is_an_error(capture: Path) -> None:
    feed = millrace.replay(capture)
    next(iter(feed.batches("mbo")))
    with pytest.raises(millrace.UsageError, match="before the first is used"):
        feed.batches("trades")


def test_threads_may_share_an_iterator() -> None:
    stream = millrace.Feed(SIM).batches("mbo", max_rows=50)
    counts = [0, 0, 0]

    def work(which: int) -> None:
        for batch in stream:
            counts[which] += len(batch)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == sum(map(len, millrace.Feed(SIM).batches("mbo")))


def seen(source: Path, **options) -> dict:
    """All that a replay shows: rows, messages, what it counted, and books on the way."""
    feed = millrace.replay(source, **options)
    mbo, deep = feed.batches("mbo"), feed.batches("mbp-10")
    messages = feed.messages(millrace.Trade, millrace.Gap, millrace.Quality)
    with ThreadPoolExecutor() as pool:
        trades = pool.submit(list, messages)
        levels = pool.submit(collect_rows, deep)
        rows = collect_rows(mbo)
        out = {"rows": rows.tobytes(), "levels": levels.result().tobytes()}
        out["messages"] = [str(one) for one in trades.result()]
    stats = feed.stats()
    assert stats["balance"] == 0
    if "end" not in options:  # behind that packets may have been read that nobody looked at
        by_the_clock = ("seconds", "messages_per_second", "streams")
        out |= {key: value for key, value in stats.items() if key not in by_the_clock}
    return out


def collect_rows(stream: millrace.BatchStream) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in stream])


def test_packets_handled_together_show_what_each_alone_shows(
    capture: Path, plain_capture: Path
) -> None:
    for options in (
        {},
        {"symbols": ["AAAA", "BAAA"]},
        {"start": "2024-01-02T14:30:00.2", "end": "2024-01-02T14:30:00.9"},
    ):
        assert seen(plain_capture, **options) == seen(capture, **options)
    at = [f"2024-01-02T14:30:00.{digit}00000001" for digit in range(1, 10)]
    names = ["AAAA", "CAAA"]
    expected = millrace.books_at(capture, at, names)
    assert millrace.books_at(plain_capture, at, names) == expected


def test_a_replay_is_balanced_whenever_it_is_asked(plain_capture: Path) -> None:
    feed = millrace.replay(plain_capture, buffer_bytes=1)
    batches = feed.batches("mbo", max_rows=100)
    moments = set()
    for _ in batches:
        stats = feed.stats()
        assert stats["balance"] == 0
        moments.add(stats["messages"])
    assert len(moments) > 5
