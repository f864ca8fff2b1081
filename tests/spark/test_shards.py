"""Shards: `millrace live` processes that fill one topic, are killed, and are taken over from."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import confluent_kafka
import confluent_kafka.admin
import pytest
from conftest import BUILD, topic
from demo_cluster import feed_config, process, wait_for
from kafka_server import KafkaServer
from pyspark.sql import SparkSession
from test_tables import bars_in, bars_of_one_process

from millrace.spark import bars_of, catalogue, checked, records

pytestmark = [pytest.mark.server, pytest.mark.long]

TOPIC = "shards"
SYMBOLS = [f"{letter}AAA" for letter in "ABCDEFGH"]
RANGES = {"low": SYMBOLS[:4], "high": SYMBOLS[4:]}


class Shard:
    """One `millrace live`, which keeps the books of its symbols alone."""

    def __init__(
        self, folder: Path, config: Path, shard: str, kafka: KafkaServer, name: str
    ) -> None:
        own = folder / f"{name}.toml"
        listed = ", ".join(f'"{symbol}"' for symbol in RANGES[shard])
        own.write_text(config.read_text().replace("[[feed]]", f"[[feed]]\nsymbols = [{listed}]", 1))
        self.recording, self.log = folder / f"{name}.pcapng", folder / f"{name}.log"
        self._ready = folder / f"{name}.ready"
        sink = f"kafka://{kafka.address}/{TOPIC}?shard={shard}"
        self._words = [BUILD / "millrace", "live", own, "--json"]
        self._words += ["--ready-file", self._ready, "--record", self.recording]
        self._words += ["--schema", "trades", "--sink", sink]

    def start(self, running: ExitStack) -> subprocess.Popen[bytes]:
        started = running.enter_context(process(*self._words, log=self.log))
        wait_for(self._ready.exists, 60, "a shard getting ready", started, self.log)
        return started

    def sink(self) -> dict[str, Any]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return json.loads(lines[-1])["sinks"][0]


def newest(kafka: KafkaServer) -> dict[str, dict[str, Any]]:
    """The catalogue by its keys, as any consumer reads it, up to where it ended at first."""
    settings = {"bootstrap.servers": kafka.address, "group.id": "test", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer(settings | {"enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(f"{TOPIC}.catalogue", 0, 0)])
    found = {}
    end = 0
    while (message := consumer.poll(10.0)) is not None and not message.error():
        found[message.key().decode()] = json.loads(message.value())
        at = confluent_kafka.TopicPartition(f"{TOPIC}.catalogue", 0)
        end = end or consumer.get_watermark_offsets(at, cached=True)[1]
        if message.offset() + 1 >= end:  # those who write do not pause for us
            break
    consumer.close()
    return found


def wait_for_writer(kafka: KafkaServer, newer_than: int) -> int:
    """Until all of the shard `high` is written in a newer epoch, by exact books; which it is."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        found = [one for one in newest(kafka).values() if one["shard"] == "high"]
        new = [one for one in found if one["epoch"] > newer_than and one["quality"] == "live"]
        if len(new) == len(RANGES["high"]):
            return max(one["epoch"] for one in new)
        time.sleep(0.2)
    raise AssertionError(f"no newer writer than {newer_than}: {found}")


def interleaved(kafka: KafkaServer) -> int:
    """How many committed messages of the topic are of an older epoch than one before them."""
    settings = {"bootstrap.servers": kafka.address, "group.id": "order"}
    settings |= {"isolation.level": "read_committed", "enable.partition.eof": True}
    consumer = confluent_kafka.Consumer(settings)
    partitions = consumer.list_topics(TOPIC).topics[TOPIC].partitions
    consumer.assign([confluent_kafka.TopicPartition(TOPIC, n, 0) for n in partitions])
    newest_of: dict[str, int] = {}
    ended = wrong = 0
    while ended < len(partitions):
        message = consumer.poll(10.0)
        assert message is not None
        if message.error():
            ended += 1
            continue
        headers = dict(message.headers())
        stream, epoch = headers["stream"].decode(), int(headers["epoch"])
        wrong += epoch < newest_of.get(stream, 0)
        newest_of[stream] = max(epoch, newest_of.get(stream, 0))
    consumer.close()
    return wrong


@pytest.fixture
def day(kafka: KafkaServer, tmp_path: Path) -> Iterator[dict[str, Shard]]:
    """A day of two ranges of symbols: of one the writer is taken over from, and its heir killed."""
    config, lines = feed_config(tmp_path)
    low = Shard(tmp_path, config, "low", kafka, "low")
    high = [Shard(tmp_path, config, "high", kafka, f"high{n}") for n in range(3)]
    market = ["--seconds", "36000", "--rate", "40", "--pace", "4", "--symbols", "8"]
    market += ["--loss", "0.01"]
    with ExitStack() as running:
        others = [low.start(running), high[0].start(running)]
        exchange = process(BUILD / "millrace", "sim", *lines, *market, log=tmp_path / "sim.log")
        running.enter_context(exchange)
        epoch = wait_for_writer(kafka, 0)
        with ExitStack() as heir:
            high[1].start(heir)  # a standby, while the writer before it goes on
            epoch = wait_for_writer(kafka, epoch)
        others.append(high[2].start(running))  # the heir was killed just now
        wait_for_writer(kafka, epoch)
        for one in others:
            one.send_signal(signal.SIGINT)
        assert [one.wait(120) for one in others] == [0, 1, 0]
    yield {"low": low, "fenced": high[0], "killed": high[1], "last": high[2]}


def test_shards_fill_one_topic_and_are_taken_over_from(
    spark: SparkSession, kafka: KafkaServer, day: dict[str, Shard]
) -> None:
    assert day["fenced"].sink()["fenced"] == 1 and day["fenced"].sink()["dropped"] > 0
    assert interleaved(kafka) == 0
    # The catalogue: each symbol has one owner, and is exact; all of it is one compacted topic.
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": kafka.address})
    of = confluent_kafka.admin.ConfigResource("topic", f"{TOPIC}.catalogue")
    settings = admin.describe_configs([of])[of].result()
    assert settings["cleanup.policy"].value == "compact"
    owners = catalogue(topic(spark, kafka, f"{TOPIC}.catalogue")).cache()
    found = {(row.symbol, row.shard, row.quality) for row in owners.collect()}
    assert found == {(s, shard, "live") for shard, of in RANGES.items() for s in of}

    # The checker, a shard each: complete, and the taken over one says that it began anew.
    messages = topic(spark, kafka, TOPIC, committed=True)
    streams = checked(messages).join(owners.select("stream", "shard"), "stream").collect()
    assert len(streams) == len(SYMBOLS)
    for row in streams:
        assert (row.verdict, row.missing, row.superseded) == ("complete", 0, 0), row
        assert row.restarts == (0 if row.shard == "low" else 2), row
    last = {row.stream: row.last_record for row in owners.collect() if row.shard == "high"}
    epoch = max(row.epoch for row in owners.collect() if row.shard == "high")
    trades = records(messages, "trades").cache()
    assert trades.where(f"epoch = {epoch}").count() == sum(last.values())
    assert sum(last.values()) == day["last"].sink()["acknowledged"]

    # Every bar of the undisturbed shard is that of one process over what the shard received.
    mine = trades.where(trades.symbol.isin(RANGES["low"]))
    expected = bars_of_one_process(day["low"].recording)
    wanted = {key: bar for key, bar in expected.items() if key[0] in RANGES["low"]}
    assert len(wanted) >= 2 * len(RANGES["low"])  # how long it took is the machine's
    assert bars_in(bars_of(mine).collect()) == wanted
