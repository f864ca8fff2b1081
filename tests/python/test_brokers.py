"""Streams of Kafka and Redis as feeds, against the real servers."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import databento
import pytest
import redis
import servers
from conftest import command_json

import millrace

pytestmark = pytest.mark.server
KINDS = ["redis", "kafka"]
NAMES = itertools.count()


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest) -> str:
    """URL of a stream that nobody else uses."""
    where = request.getfixturevalue(f"{request.param}_server")
    return f"{request.param}://{where}/stream-{next(NAMES)}"


def publish(capture: Path, base: str, *more: str, batch: int = 64) -> dict:
    """Sends a capture's records; returns what the sender counted."""
    report = command_json("replay", capture, "--sink", f"{base}?batch={batch}", *more)
    return report["sinks"][0]


def by_symbol(feed: millrace.Feed, schema: str = "mbo") -> dict[str, bytes]:
    """Each symbol's rows, without what a feed calls the symbol."""
    rows: defaultdict[str, list] = defaultdict(list)
    for batch in feed.batches(schema):
        array = batch.numpy().copy()
        names = [batch.symbols[i] for i in array["instrument_id"].tolist()]
        array["instrument_id"] = 0
        for name, row in zip(names, array, strict=True):
            rows[name].append(row.tobytes())
    return {name: b"".join(each) for name, each in rows.items()}


def cut(rows: dict[str, bytes]) -> set[bytes]:
    """All records of :func:`by_symbol`."""
    size = millrace.dtype("mbo").itemsize
    return {each[i : i + size] for each in rows.values() for i in range(0, len(each), size)}


def group(base: str, name: str = "g") -> str:
    # A member that was killed is gone when it has said nothing for as long as the server allows.
    kafka = "session.timeout.ms=6000&heartbeat.interval.ms=500"
    return f"{base}?group={name}&{'consumer=c' if base.startswith('redis') else kafka}"


def test_rows_and_books_are_those_of_the_capture(base: str, capture: Path) -> None:
    sent = publish(capture, base)
    feed = millrace.Feed(base)
    rows = by_symbol(feed)
    replay = millrace.replay(capture)
    assert rows == by_symbol(replay)
    assert feed.digest == replay.digest
    stats = feed.stats()
    assert stats["balance"] == 0 and stats["quality"]["recovering"] == 0
    source = stats["source"]
    assert source["records"] == sent["acknowledged"] == stats["streams"][0]["delivered"]
    assert source["missing"] == source["duplicates"] == source["damaged"] == 0
    assert source["behind"] == 0
    theirs = replay.book("AAAA")
    ours = feed.book("AAAA")
    assert (ours.digest, ours.top, ours.quality) == (theirs.digest, theirs.top, "live")


def test_messages_and_batches_of_several_schemas(base: str, capture: Path) -> None:
    publish(capture, base, "--schema", "mbo,trades")
    feed = millrace.Feed(base, symbols=["AAAA", "BAAA"])
    trades = list(feed.messages(millrace.Trade))
    expected = millrace.replay(capture, symbols=["AAAA", "BAAA"]).messages(millrace.Trade)
    assert sorted((t.symbol, t.sequence, t.price, t.size) for t in trades) == sorted(
        (t.symbol, t.sequence, t.price, t.size) for t in expected
    )
    assert by_symbol(millrace.Feed(base), "trades") == by_symbol(millrace.replay(capture), "trades")


def test_what_was_not_committed_comes_again_and_nothing_else(base: str, capture: Path) -> None:
    publish(capture, base)
    expected = by_symbol(millrace.replay(capture))
    total = sum(map(len, expected.values())) // millrace.dtype("mbo").itemsize
    for _ in range(3):
        with millrace.Feed(group(base)) as feed:
            for number, _ in enumerate(feed.batches("mbo", max_rows=500, max_wait=9)):
                if number == 4:
                    position = feed.commit_sync()
                if number == 7:
                    break  # three more were handed out, and are never committed
            assert position.rows["mbo"] == 2500 and position.at
        assert feed.stats()["source"]["records"] >= 2500
    with millrace.Feed(group(base)) as feed:
        rest = sum(map(len, feed.batches("mbo")))
        feed.commit_sync()
    # Each time the broker's batches were committed that lay whole in the 2,500 rows.
    assert total - 3 * 2500 <= rest <= total - 3 * (2500 - 64)
    with millrace.Feed(group(base)) as feed:
        assert sum(map(len, feed.batches("mbo"))) == 0


def test_without_a_group_a_checkpoint_keeps_the_place(
    base: str, capture: Path, tmp_path: Path
) -> None:
    publish(capture, base)
    kept = tmp_path / "place.json"
    seen: list[bytes] = []

    async def some(batches: int) -> str:
        async with millrace.Feed(base, checkpoint=kept) as feed:
            stream = feed.batches("mbo", max_rows=300, max_wait=9)
            for _ in range(batches):
                array = (await anext(stream)).numpy().copy()
                array["instrument_id"] = 0
                seen.extend(row.tobytes() for row in array)
            position = await feed.commit()
            assert feed.position.at == position.at
            return position.at

    places = [asyncio.run(some(5)) for _ in range(3)]
    assert len(set(places)) == 3
    rest = by_symbol(millrace.Feed(base, checkpoint=kept))
    assert set(seen) | cut(rest) == cut(by_symbol(millrace.replay(capture)))
    # The place is what the URL takes, too.
    again = by_symbol(millrace.Feed(f"{base}?from={places[-1]}"))
    assert again == rest


def test_a_consumer_killed_at_any_moment_misses_nothing(
    base: str, capture: Path, tmp_path: Path
) -> None:
    """A program that writes what it does and commits it afterwards, killed by force."""
    publish(capture, base, "--schema", "trades", batch=8)
    out = tmp_path / "done"
    program = (
        "import asyncio, millrace, time\n"
        f"feed = millrace.Feed({group(base)!r})\n"
        f"out = open({str(out)!r}, 'a')\n"
        "@feed.on(millrace.Trade)\n"
        "async def on_trade(trade):\n"
        "    out.write(f'{trade.symbol} {trade.sequence}\\n'); out.flush()\n"
        "    await feed.commit()\n"
        "    print(trade.sequence, flush=True)\n"
        "asyncio.run(feed.run())\n"
    )
    for lines in (5, 11, 30):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(lines):
            assert child.stdout.readline()
        child.kill()
        child.communicate()
    feed = millrace.Feed(group(base))
    done = set(out.read_text().splitlines())
    with feed:
        rest = {f"{trade.symbol} {trade.sequence}" for trade in feed.messages(millrace.Trade)}
    everything = {
        f"{t.symbol} {t.sequence}" for t in millrace.replay(capture).messages(millrace.Trade)
    }
    assert done | rest == everything
    assert len(done & rest) <= 3 * 8  # each time what lay in a batch that was not whole


def test_records_that_are_missing_are_told_in_their_place(redis_server: str, capture: Path) -> None:
    base = f"redis://{redis_server}/holes-{next(NAMES)}"
    sent = publish(capture, base)
    server = redis.Redis(port=int(redis_server.split(":")[1]))
    key = base.rsplit("/", 1)[1]
    entries = server.xrange(key)
    of_it = [(name, fields) for name, fields in entries if fields[b"symbol"] == b"AAAA"]
    name, gone = of_it[2]
    server.xdel(key, name)
    first, count = int(gone[b"first_record"]), int(gone[b"records"])
    gaps: list[millrace.Gap] = []
    changes: dict[str, int] = {}
    feed = millrace.Feed(base)
    feed.on_gap(gaps.append)

    @feed.on_quality
    def on_quality(change: millrace.Quality) -> None:
        changes[change.symbol] = change.quality

    feed.run_sync()
    assert [(gap.symbol, gap.first, gap.last) for gap in gaps] == [
        ("AAAA", first, first + count - 1)
    ]
    assert changes["AAAA"] == 1 and feed.book("AAAA").quality == "recovering"
    assert feed.stats()["source"]["missing"] == count
    rows = [{name.decode(): v for name, v in f.items()} for _, f in server.xrange(key)]
    found = millrace.check([row | {"payload": row["data"]} for row in rows], sent=sent)
    assert (found.verdict, found.missing, found.damaged) == ("incomplete", count, 0)
    assert [(hole.first, hole.last) for hole in found.holes] == [(first, first + count - 1)]
    whole = [{n.decode(): v for n, v in f.items()} for _, f in entries]
    assert millrace.check([row | {"payload": row["data"]} for row in whole], sent=sent)


def test_a_feed_that_joins_later_does_not_call_its_books_exact(base: str, capture: Path) -> None:
    publish(capture, base)
    with millrace.Feed(base) as feed:
        stream = feed.batches("mbo", max_rows=500)
        next(stream), next(stream)
        place = feed.position.at
    late = millrace.Feed(f"{base}?from={place}")
    for _ in late.batches("mbo"):
        pass
    assert late.stats()["quality"]["live"] == 0 and late.stats()["source"]["missing"] == 0
    assert late.book("AAAA").quality == "recovering"


def test_waiting_for_more_ends_at_once_when_it_is_told_to(base: str, capture: Path) -> None:
    publish(capture, base)

    async def main() -> int:
        feed = millrace.Feed(f"{base}?follow=1")
        rows = 0
        async with feed:
            async for batch in feed.batches("mbo", max_wait=0.05):
                rows += len(batch)
                if rows >= expected:
                    break
        return rows

    expected = sum(map(len, millrace.replay(capture).batches("mbo")))
    assert asyncio.run(asyncio.wait_for(main(), 60)) == expected


def fails(make: Callable[[], millrace.Feed], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        feed = make()
        next(feed.batches("mbo"))
        feed.commit_sync()


def test_what_such_feeds_refuse(base: str, capture: Path, tmp_path: Path) -> None:
    publish(capture, base)
    kept = tmp_path / "kept.json"
    usage = millrace.UsageError
    fails(lambda: millrace.Feed(base), usage, r"checkpoint='FILE' or name a group")
    fails(lambda: millrace.Feed(group(base), checkpoint=kept), usage, "leave checkpoint= out")
    fails(lambda: millrace.Feed(f"{base}?nosuch=1"), usage, "nosuch")
    fails(lambda: millrace.Feed([base, base]), usage, "one stream")
    fails(lambda: millrace.Feed(base, pace=1), usage, "no option 'pace'")
    kind = base.split(":")[0]
    gone = f"{kind}://127.0.0.1:{servers.free_port()}/x"
    fails(lambda: millrace.Feed(gone), millrace.ResourceError, "127.0.0.1")
    feed = millrace.Feed(group(base, "h"))
    next(feed.batches("mbo"))
    feed.close()
    with pytest.raises(millrace.MillraceError, match="closed"):
        feed.commit_sync()


def test_a_stream_becomes_a_dbn_file(base: str, capture: Path, tmp_path: Path) -> None:
    publish(capture, base)
    path = tmp_path / "stream.dbn.zst"
    rows = millrace.to_dbn(millrace.Feed(base), path)
    assert by_symbol(millrace.Feed(path)) == by_symbol(millrace.replay(capture))
    store = databento.DBNStore.from_file(path)
    assert (store.dataset, len(store.to_ndarray())) == ("XNAS.ITCH", rows)
