"""Streams: folders that grow, and Kafka topics; what came is what one process makes of it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import confluent_kafka
import numpy as np
import pytest
from conftest import ROOT, command_json, topic
from kafka_server import KafkaServer
from pyspark.sql import DataFrame, SparkSession
from test_tables import bars_in, bars_of_one_process

import millrace
from millrace.spark import checked, records, verdict

sys.path.insert(0, str(ROOT / "examples/spark"))
from bars_job import bars_of_topic, counted, read_topic

pytestmark = pytest.mark.server


def write(frame: DataFrame, folder: Path, name: str):
    """Starts a query that appends to Parquet files, and can be started again."""
    writer = frame.writeStream.format("parquet").option("path", str(folder / name))
    return writer.option("checkpointLocation", str(folder / f"{name}-state")).start()


def test_a_folder_that_grows_is_read_once_and_in_steps(
    spark: SparkSession, days: Path, tmp_path: Path
) -> None:
    feed = tmp_path / "feed"
    feed.mkdir()
    source = spark.readStream.format("millrace").options(schema="trades", max_rows="400")
    frame = source.option("partition_rows", "200").load(str(feed))
    steps = []
    for path in sorted(days.iterdir())[:2]:
        shutil.copy(path, feed / ("_" + path.name))  # nobody reads a file that is not finished
        (feed / ("_" + path.name)).rename(feed / path.name)
        query = write(frame, tmp_path, "rows")  # a new driver's query each time
        query.processAllAvailable()
        steps += [json.loads(one.json)["numInputRows"] for one in query.recentProgress]
        query.stop()
    assert max(steps) <= 400 and len([one for one in steps if one > 0]) > 2
    rows = spark.read.parquet(str(tmp_path / "rows"))
    for path in sorted(days.iterdir())[:2]:
        batches = list(millrace.replay(path).batches("trades"))
        expected = np.concatenate([batch.numpy() for batch in batches])
        found = rows.where(f"file = '{path.name}'").orderBy("record").toArrow()
        assert found["record"].to_pylist() == list(range(1, len(expected) + 1))
        assert found["sequence"].to_pylist() == expected["sequence"].tolist()


def trades_in(message: confluent_kafka.Message) -> int:
    head = 8 + int.from_bytes(message.value()[4:8], "little")
    return len(millrace.decode_dbn(message.value()[head:], "trades"))


def messages_of(kafka: KafkaServer, name: str) -> list[confluent_kafka.Message]:
    settings = {"bootstrap.servers": kafka.address, "group.id": name, "enable.auto.commit": False}
    settings |= {"auto.offset.reset": "earliest", "enable.partition.eof": True}
    consumer = confluent_kafka.Consumer(settings)
    partitions = len(consumer.list_topics(name).topics[name].partitions)
    consumer.assign([confluent_kafka.TopicPartition(name, n, 0) for n in range(partitions)])
    messages, ended = [], set()
    while len(ended) < partitions:
        message = consumer.poll(10.0)
        assert message is not None
        if message.error():
            ended.add(message.partition())
        else:
            messages.append(message)
    consumer.close()
    return messages


def change(kafka: KafkaServer, messages: list[confluent_kafka.Message], how: str) -> None:
    """Sends messages to a topic of that name, with one thing wrong."""
    first = next(i for i, message in enumerate(messages) if i > 9 and trades_in(message) > 0)
    key = messages[first].key()
    second = next(i for i in range(first + 1, len(messages)) if messages[i].key() == key)
    messages = list(messages)
    if how == "hole":
        del messages[first]
    elif how == "repeat":
        messages.insert(second, messages[first])
    elif how == "swap":
        messages[first], messages[second] = messages[second], messages[first]
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address})
    for message in messages:
        # One partition, so that the order of this topic is the order of this list.
        producer.produce(how, message.value(), message.key(), 0, headers=message.headers())
    assert producer.flush(30) == 0


def totals(found: DataFrame) -> dict[str, int]:
    names = "records", "missing", "duplicates", "damaged", "late"
    row = found.groupBy().sum(*names).first()
    return {name: row[f"sum({name})"] for name in names}


def test_a_topic_is_decoded_checked_and_made_into_bars(
    spark: SparkSession, kafka: KafkaServer, days: Path, tmp_path: Path
) -> None:
    path = days / "day2.pcapng"
    url = f"kafka://{kafka.address}/md?shard=test&run=day2&batch=40"
    sent = command_json("replay", path, "--schema", "mbo,trades", "--sink", url)["sinks"][0]
    assert sent["acknowledged"] == sent["made"]
    messages = topic(spark, kafka, "md")

    # Every trade, to typed columns.
    expected = np.concatenate([b.numpy() for b in millrace.replay(path).batches("trades")])
    rows = records(messages, "trades").orderBy("sequence", "record").toArrow()
    assert len(rows) == len(expected)
    for column in ("sequence", "size", "ts_event", "ts_recv", "instrument_id", "flags"):
        assert np.array_equal(rows[column].to_numpy(), expected[column]), column

    # The stream is complete; what is planted is found.
    found = checked(messages).cache()
    assert totals(found) == dict(records=sent["made"], missing=0, duplicates=0, damaged=0, late=0)
    assert verdict(found, sent) == "complete"
    stored = messages_of(kafka, "md")
    for how, wrong in (("hole", "missing"), ("repeat", "duplicates"), ("swap", "late")):
        change(kafka, stored, how)
        found = checked(topic(spark, kafka, how)).cache()
        bad = {name for name, count in totals(found).items() if count > 0} - {"records"}
        assert bad == {wrong}, how
        row = found.where(f"{wrong} > 0").first()
        assert row.verdict == ("incomplete" if how == "hole" else "complete")
        if how == "hole":
            first, last = map(int, row.holes.split("-"))
            gone = last - first + 1
            assert gone == row.missing
            # What the sender says that it left out is no damage.
            assert verdict(found, sent) == "incomplete"
            assert verdict(found, sent | {"conflated": gone}) == "conflated"
            assert verdict(found, sent | {"dropped": gone}) == "lost"

    # Bars by event time, each trade once, though the topic holds some of them twice.
    stream = read_topic(spark, kafka.address, "repeat", 10_000)
    query = write(bars_of_topic(stream, "1 minute"), tmp_path, "bars")
    query.processAllAvailable()
    lines = [counted(json.loads(one.json)) for one in query.recentProgress]
    query.stop()
    assert sum(line["duplicates"] for line in lines) > 0
    assert sum(line["late"] for line in lines) == 0
    bars = bars_in(spark.read.parquet(str(tmp_path / "bars")).collect())
    wanted = bars_of_one_process(path)
    assert bars.items() <= wanted.items()
    last = max(at for _, at in bars)
    assert {key for key in wanted if key[1] <= last} == set(bars)
