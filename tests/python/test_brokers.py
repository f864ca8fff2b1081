"""Streams of Kafka, Redis and RabbitMQ as feeds, against the real servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import databento
import pytest
import redis
from conftest import command_json

import millrace

pytestmark = pytest.mark.server
NAMES = itertools.count()


@dataclass
class Stream:
    """A stream that nobody else uses, and how programs name it."""

    kind: str
    where: str
    number: int = field(default_factory=lambda: next(NAMES))

    def url(self, **more: str | int) -> str:
        """Read by whoever wants; what was read is the reader's to remember."""
        rest = f"stream-{self.number}"
        return self._url(rest, {"type": "stream"} | more if self.kind == "amqp" else more)

    def group(self, name: str = "g") -> str:
        """The server remembers: a group, or with RabbitMQ a queue."""
        if self.kind == "amqp":
            return self._url(f"queue-{self.number}", {})
        # A member that was killed is gone when it has said nothing for that long.
        kafka = {"session.timeout.ms": 1000, "heartbeat.interval.ms": 100}
        return self.url(group=name, **({"consumer": "c"} if self.kind == "redis" else kafka))

    def sinks(self, batch: int) -> list[str]:
        if self.kind != "amqp":
            return [self.url(batch=batch)]
        return [
            self._url(f"to-{one}", {"batch": batch, "queue": one, "type": kind})
            for kind, one in (
                ("stream", f"stream-{self.number}"),
                ("quorum", f"queue-{self.number}"),
            )
        ]

    def _url(self, rest: str, options: dict[str, str | int]) -> str:
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"{self.kind}://{self.where}/{rest}" + (f"?{query}" if query else "")


@pytest.fixture(params=["redis", "kafka", "rabbitmq"])
def base(request: pytest.FixtureRequest) -> Stream:
    kind = request.param if request.param != "rabbitmq" else "amqp"
    return Stream(kind, request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def one(redis_server: str) -> Stream:
    """The same for what has nothing to do with the kind of broker."""
    return Stream("redis", redis_server)


def publish(capture: Path, base: Stream, *more: str, batch: int = 64) -> dict:
    """Sends a capture's records; returns what the sender counted."""
    sinks = [word for sink in base.sinks(batch) for word in ("--sink", sink)]
    report = command_json("replay", capture, *sinks, *more)
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


def test_rows_and_books_are_those_of_the_capture(base: Stream, capture: Path) -> None:
    sent = publish(capture, base)
    feed = millrace.Feed(base.url())
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


def test_messages_and_batches_of_several_schemas(one: Stream, capture: Path) -> None:
    publish(capture, one, "--schema", "mbo,trades")
    feed = millrace.Feed(one.url(), symbols=["AAAA", "BAAA"])
    trades = list(feed.messages(millrace.Trade))
    expected = millrace.replay(capture, symbols=["AAAA", "BAAA"]).messages(millrace.Trade)
    assert sorted((t.symbol, t.sequence, t.price, t.size) for t in trades) == sorted(
        (t.symbol, t.sequence, t.price, t.size) for t in expected
    )
    assert by_symbol(millrace.Feed(one.url()), "trades") == by_symbol(
        millrace.replay(capture), "trades"
    )


def test_what_was_not_committed_comes_again_and_nothing_else(base: Stream, capture: Path) -> None:
    publish(capture, base)
    expected = by_symbol(millrace.replay(capture))
    total = sum(map(len, expected.values())) // millrace.dtype("mbo").itemsize
    for _ in range(3):
        with millrace.Feed(base.group()) as feed:
            for number, _ in enumerate(feed.batches("mbo", max_rows=500, max_wait=9)):
                if number == 4:
                    position = feed.commit_sync()
                if number == 7:
                    break  # three more were handed out, and are never committed
            assert position.rows["mbo"] == 2500
            assert position.at or base.kind == "amqp"  # a queue has no places to name
        assert feed.stats()["source"]["records"] >= 2500
    with millrace.Feed(base.group()) as feed:
        rest = sum(map(len, feed.batches("mbo")))
        feed.commit_sync()
    # Each time the broker's batches were committed that lay whole in the 2,500 rows.
    assert total - 3 * 2500 <= rest <= total - 3 * (2500 - 64)
    with millrace.Feed(base.group()) as feed:
        assert sum(map(len, feed.batches("mbo"))) == 0


def test_without_a_group_a_checkpoint_keeps_the_place(
    base: Stream, capture: Path, tmp_path: Path
) -> None:
    publish(capture, base)
    kept = tmp_path / "place.json"
    seen: list[bytes] = []

    async def some(batches: int) -> str:
        async with millrace.Feed(base.url(), checkpoint=kept) as feed:
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
    rest = by_symbol(millrace.Feed(base.url(), checkpoint=kept))
    assert set(seen) | cut(rest) == cut(by_symbol(millrace.replay(capture)))
    # The place is what the URL takes, too.
    again = by_symbol(millrace.Feed(base.url(**{"from": places[-1]})))
    assert again == rest


def test_a_consumer_killed_at_any_moment_misses_nothing(
    base: Stream, capture: Path, tmp_path: Path
) -> None:
    """A program that writes what it does and commits it afterwards, killed by force."""
    publish(capture, base, "--schema", "trades", batch=8)
    out = tmp_path / "done"
    program = (
        "import asyncio, millrace, time\n"
        f"feed = millrace.Feed({base.group()!r})\n"
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
    feed = millrace.Feed(base.group())
    done = set(out.read_text().splitlines())
    with feed:
        rest = {f"{trade.symbol} {trade.sequence}" for trade in feed.messages(millrace.Trade)}
    everything = {
        f"{t.symbol} {t.sequence}" for t in millrace.replay(capture).messages(millrace.Trade)
    }
    assert done | rest == everything
    assert len(done & rest) <= 3 * 8  # each time what lay in a batch that was not whole


def test_records_that_are_missing_are_told_in_their_place(
    one: Stream, redis_server: str, capture: Path
) -> None:
    sent = publish(capture, one)
    server = redis.Redis(port=int(redis_server.split(":")[1]))
    key = f"stream-{one.number}"
    entries = server.xrange(key)
    of_it = [(name, fields) for name, fields in entries if fields[b"symbol"] == b"AAAA"]
    name, gone = of_it[2]
    server.xdel(key, name)
    first, count = int(gone[b"first_record"]), int(gone[b"records"])
    gaps: list[millrace.Gap] = []
    changes: dict[str, int] = {}
    feed = millrace.Feed(one.url())
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


def test_a_feed_that_joins_later_does_not_call_its_books_exact(base: Stream, capture: Path) -> None:
    publish(capture, base)
    with millrace.Feed(base.url()) as feed:
        stream = feed.batches("mbo", max_rows=500)
        next(stream), next(stream)
        place = feed.position.at
    late = millrace.Feed(base.url(**{"from": place}))
    for _ in late.batches("mbo"):
        pass
    assert late.stats()["quality"]["live"] == 0 and late.stats()["source"]["missing"] == 0
    assert late.book("AAAA").quality == "recovering"


def test_waiting_for_more_ends_at_once_when_it_is_told_to(base: Stream, capture: Path) -> None:
    publish(capture, base)

    async def main() -> int:
        feed = millrace.Feed(base.url(follow=1))
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


def test_what_such_feeds_refuse(base: Stream, capture: Path, tmp_path: Path) -> None:
    publish(capture, base)
    kept = tmp_path / "kept.json"
    usage = millrace.UsageError
    way = "'FILE'$" if base.kind == "amqp" else r"or name a group \(\?group="
    fails(lambda: millrace.Feed(base.url()), usage, way)
    fails(lambda: millrace.Feed(base.group(), checkpoint=kept), usage, "leave checkpoint= out")
    fails(lambda: millrace.Feed(base.url(nosuch=1)), usage, "nosuch")
    fails(lambda: millrace.Feed([base.url(), base.url()]), usage, "one stream")
    fails(lambda: millrace.Feed(base.url(), pace=1), usage, "no option 'pace'")
    feed = millrace.Feed(base.group("h"))
    next(feed.batches("mbo"))
    feed.close()
    with pytest.raises(millrace.MillraceError, match="closed"):
        feed.commit_sync()


def test_a_stream_becomes_a_dbn_file(one: Stream, capture: Path, tmp_path: Path) -> None:
    publish(capture, one)
    path = tmp_path / "stream.dbn.zst"
    rows = millrace.to_dbn(millrace.Feed(one.url()), path)
    assert by_symbol(millrace.Feed(path)) == by_symbol(millrace.replay(capture))
    store = databento.DBNStore.from_file(path)
    assert (store.dataset, len(store.to_ndarray())) == ("XNAS.ITCH", rows)


def test_a_connection_outlives_a_consumer_that_takes_long(
    rabbitmq_server: str, capture: Path
) -> None:
    base = Stream("amqp", rabbitmq_server)
    publish(capture, base)
    expected = sum(map(len, millrace.replay(capture).batches("mbo")))
    with millrace.Feed(f"{base.group()}?heartbeat_s=1", buffer_bytes=1) as feed:
        stream = feed.batches("mbo")
        rows = len(next(stream))
        time.sleep(3.5)  # the server waits for two heartbeats, and the feed for room
        assert feed.lag < expected - rows
        assert rows + sum(map(len, stream)) == expected
        feed.commit_sync()
    assert feed.stats()["source"]["missing"] == 0


@contextlib.contextmanager
def through(where: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a relay to a server, and what cuts all of its connections."""
    host, port = where.split(":")
    ends: list[socket.socket] = []

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
                ends.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    def cut() -> None:
        for end in ends:
            end.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", cut
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_a_connection_that_is_cut_ends_a_feed_with_what_to_try(
    kind: str, capture: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue({"redis": "redis_server", "amqp": "rabbitmq_server"}[kind])
    stream = Stream(kind, server)
    command_json("replay", capture, "--sink", stream.sinks(1000)[0])
    with through(server) as (where, cut):
        stream.where = where
        with millrace.Feed(stream.url(follow=1)) as feed:
            batches = feed.batches("mbo")
            next(batches)
            cut()
            with pytest.raises(millrace.ResourceError, match=r"; does (it still|the server) run"):
                for _ in batches:
                    pass


def test_a_server_without_tls_is_told_of(redis_server: str) -> None:
    with pytest.raises(millrace.ResourceError, match="does the server speak TLS there"):
        next(millrace.Feed(f"rediss://{redis_server}/x").batches("mbo"))


def test_a_stream_of_raw_tcp_and_a_file_of_batches(capture: Path, tmp_path: Path) -> None:
    rows = b"".join(batch.raw() for batch in millrace.replay(capture).batches("mbo"))
    size = millrace.dtype("mbo").itemsize
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(rows)

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        feed = millrace.Feed(f"raw://127.0.0.1:{port}?framing=fixed&size={size}")
        assert sum(map(len, feed.batches("mbo"))) == len(rows) // size
    with pytest.raises(millrace.NoPosition):
        feed.position  # noqa: B018
    path = tmp_path / "day.batches"
    command_json("replay", capture, "--sink", f"file://{path}")
    feed = millrace.Feed(f"file://{path}")
    assert sum(map(len, feed.batches("mbo"))) == len(rows) // size
    assert feed.stats()["source"]["missing"] == 0
    with pytest.raises(millrace.NoPosition):
        feed.position  # noqa: B018
