"""Streams: folders that grow, and Kafka topics; what came is what one process makes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import confluent_kafka
import numpy as np
import pytest
from conftest import BUILD, ROOT, command, command_json, topic
from kafka_server import KafkaServer
from pyspark.sql import DataFrame, SparkSession
from test_tables import bars_in, bars_of_one_process, rows_of_one_process

import millrace
from millrace.spark import checked, records, verdict

sys.path.insert(0, str(ROOT / "examples/spark"))
from bars_job import bars_of_topic, counted, read_topic

pytestmark = pytest.mark.server


def write(frame: DataFrame, folder: Path, name: str):
    """Starts a query that appends to Parquet files, and can be started again."""
    writer = frame.writeStream.format("parquet").option("path", str(folder / name))
    return writer.option("checkpointLocation", str(folder / f"{name}-state")).start()


def run_to_the_end(frame: DataFrame, folder: Path) -> list[int]:
    """A new driver's query, until it has read all there is; how many rows each trigger took."""
    query = write(frame, folder, "rows")
    query.processAllAvailable()
    rows = [json.loads(one.json)["numInputRows"] for one in query.recentProgress]
    query.stop()
    return [count for count in rows if count > 0]


def test_a_folder_that_grows_is_read_once_and_in_steps(
    spark: SparkSession, days: Path, tmp_path: Path
) -> None:
    """A capture, a DBN file that somebody is writing, and later a capture that is damaged."""
    feed = tmp_path / "feed"
    feed.mkdir()
    source = spark.readStream.format("millrace").options(bad_files="report", max_rows="15000")
    frame = source.options(schema="mbo", partition_rows="5000").load(str(feed))
    assert {"order_id", "action", "symbol", "problem"} < set(frame.columns)
    shutil.copy(days / "day0.pcapng", feed / "_day0.pcapng")
    (feed / "_day0.pcapng").rename(feed / "day0.pcapng")
    shutil.copy(days / "day0.pcapng", feed / "_unfinished.pcapng")  # which nobody reads
    command("convert", days / "day1.pcapng.zst", "-o", tmp_path / "day1.dbn")
    whole = (tmp_path / "day1.dbn").read_bytes()
    half_a_record = len(whole) - 56 * 5_000 - 20
    (feed / "day1.dbn").write_bytes(whole[:half_a_record])
    steps = run_to_the_end(frame, tmp_path)
    with (feed / "day1.dbn").open("ab") as file:
        file.write(whole[half_a_record:])
    capture = (days / "day2.pcapng").read_bytes()
    (feed / "day2.pcapng").write_bytes(capture[: len(capture) // 2])
    steps += run_to_the_end(frame, tmp_path)
    assert max(steps) <= 15_000 and len(steps) > 2
    assert len(list((tmp_path / "rows").glob("part-*"))) > len(steps)  # several tasks each

    rows = spark.read.parquet(str(tmp_path / "rows")).cache()
    found = {path.name: rows.where(f"file = '{path.name}'") for path in feed.glob("day*")}
    for name, path in (("day0.pcapng", days / "day0.pcapng"), ("day1.dbn", tmp_path / "day1.dbn")):
        expected = rows_of_one_process(path, "mbo")
        of = found[name].orderBy("record").toArrow()
        assert of["record"].to_pylist() == list(range(1, len(expected) + 1))
        assert np.array_equal(of["order_id"].to_numpy(), expected["order_id"].astype(np.int64))
        assert of["problem"].null_count == len(expected)
    # What stands before the damage is what the whole capture has there; one row says the rest.
    expected = rows_of_one_process(days / "day2.pcapng", "mbo")
    of = found["day2.pcapng"].where("problem IS NULL").orderBy("record").toArrow()
    assert 1_000 < len(of) < len(expected)
    assert of["sequence"].to_pylist() == expected["sequence"][: len(of)].tolist()
    problems = rows.where("problem IS NOT NULL").collect()
    assert len(problems) == 1 and "day2.pcapng" in problems[0].problem


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
    expected = rows_of_one_process(path, "trades")
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


@pytest.mark.long
@pytest.mark.parametrize(
    ("policy", "schema", "word"),
    [("conflate", "mbp-10", "conflated"), ("drop_oldest", "mbo", "dropped")],
)
def test_what_the_sender_left_out_is_told_apart_from_damage(
    spark: SparkSession,
    kafka: KafkaServer,
    tmp_path: Path,
    policy: str,
    schema: str,
    word: str,
) -> None:
    path = tmp_path / "day.pcapng"
    command("sim", "--capture", path, "--messages", "100000", "--symbols", "6", "--seed", "4")
    url = f"kafka://{kafka.address}/{policy}?policy={policy}&backlog_mb=1"
    words = [BUILD / "millrace", "replay", path, "--schema", schema, "--sink", url, "--json"]
    words += ["--pace", "2"]  # slow enough for the ring, too fast for a server that stands still
    with kafka.paused():
        sender = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        time.sleep(3)
    out, _ = sender.communicate(timeout=120)
    sent = json.loads(out.splitlines()[-1])["sinks"][0]
    assert sent[word] > 0 and sent["ring_full"] == 0
    found = checked(topic(spark, kafka, policy)).cache()
    counts = totals(found)
    assert counts["records"] == sent["acknowledged"] and counts["damaged"] == 0
    # A sender that conflates also drops, where what is conflated finds no room either.
    assert counts["missing"] == sent["conflated"] + sent["dropped"]
    said = "lost" if sent["dropped"] else "conflated"
    assert verdict(found) == verdict(found, sent) == said
