"""One-minute bars of a Kafka topic that `millrace live` fills, as a Spark streaming job.

    spark-submit --master MASTER --jars CONNECTOR --conf spark.sql.shuffle.partitions=CORES \\
        examples/spark/bars_job.py --servers HOST:PORT --topic md.trades --out bars/ \\
        --checkpoint state/

Bars go to Parquet once the watermark has passed their minute. What comes twice, by stream, epoch
and record number, counts once; what comes later than --late allows is left out. Both are counted,
in a line a batch on stdout. Started again with the same checkpoint the job goes on where it was.

Ends with 0 when it was told to end and did, with 1 when Spark, the brokers or the disk let it down
(the last line that it prints says why), with 2 on a wrong option.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import DataStreamWriter, StreamingQuery

import millrace.spark

#: How long Spark waits for an answer of the brokers; it asks four times before it gives up.
PATIENCE_MS = 15_000


def read_topic(spark: SparkSession, servers: str, topic: str, most: int) -> DataFrame:
    """The topic's committed messages, from the first on."""
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers)
    reader = reader.option("subscribe", topic).option("startingOffsets", "earliest")
    reader = reader.option("kafka.isolation.level", "read_committed")
    reader = reader.option("includeHeaders", "true").option("maxOffsetsPerTrigger", most)
    for name in ("request.timeout.ms", "default.api.timeout.ms"):
        reader = reader.option(f"kafka.{name}", PATIENCE_MS)
    return reader.load()


def bars_of_topic(messages: DataFrame, late: str) -> DataFrame:
    """Bars of all trades that came not later than ``late``, each trade once."""
    trades = millrace.spark.records(messages, "trades").withWatermark("time", late)
    once = trades.dropDuplicatesWithinWatermark(["stream", "epoch", "record"])
    return millrace.spark.bars_of(once)


def counted(progress: dict[str, Any]) -> dict[str, int]:
    """What a batch read, and what of it counted in no bar."""
    states = progress["stateOperators"]
    return {
        "batch": progress["batchId"],
        "records": progress["numInputRows"],
        "late": sum(state["numRowsDroppedByWatermark"] for state in states),
        "duplicates": sum(
            state.get("customMetrics", {}).get("numDroppedDuplicateRows", 0) for state in states
        ),
        "bars": sum(
            state["numRowsRemoved"] for state in states if state["operatorName"] == "stateStoreSave"
        ),
    }


#: What Spark says of a query while it works on a batch.
WORKING = ("Processing new data", "No new data but cleaning up state")


def follow(query: StreamingQuery, until_idle: float) -> None:
    """Tells of each batch, until the query ends or nothing has come for so many seconds."""
    told, busy_at, began, behind = -1, time.monotonic(), False, True
    print("started", flush=True)
    while query.isActive:
        for progress in (json.loads(one.json) for one in query.recentProgress):
            line = counted(progress)
            # An idle query reports the number of the batch that is to come.
            if line["batch"] > told and "addBatch" in progress["durationMs"]:
                told = line["batch"]
                print(json.dumps(line), flush=True)
                if line["records"] > 0 or line["bars"] > 0:
                    busy_at, began = time.monotonic(), True
            source = progress["sources"][0]
            if behind and source["endOffset"] == source["latestOffset"]:
                behind = False
                print("caught up", flush=True)
        if query.status["message"] in WORKING:  # a batch takes as long as it takes
            busy_at = time.monotonic()
        if until_idle > 0 and began and time.monotonic() - busy_at > until_idle:
            query.stop()
        time.sleep(0.2)
    error = query.exception()
    if error is not None:
        raise error


def run(writer: DataStreamWriter, until_idle: float) -> None:
    """Runs the query to its end, and once more from its checkpoint when something has ended it.

    Spark 4.1.1 ends a query that was killed within a batch once it has done that batch again: the
    Kafka source has no newest offsets yet to put into the batch's report. The batch counts.
    """
    try:
        follow(writer.start(), until_idle)
    except StreamingQueryException as error:
        print(f"again from the checkpoint: {millrace.spark.reason(error)}", flush=True)
        follow(writer.start(), until_idle)


def job(given: argparse.Namespace) -> None:
    """The query, to its end."""
    spark = SparkSession.builder.appName("millrace bars").getOrCreate()
    millrace.spark.register(spark)
    try:
        messages = read_topic(spark, given.servers, given.topic, given.max_messages)
        writer = bars_of_topic(messages, given.late).writeStream.outputMode("append")
        writer = writer.format("parquet").option("path", given.out)
        writer = writer.option("checkpointLocation", given.checkpoint)
        run(writer.trigger(processingTime=given.every), given.until_idle)
    finally:
        spark.stop()


_INTERVAL = re.compile(r"(?:[1-9]\d{0,8} (?:millisecond|second|minute|hour|day)s?(?: |$))+")


def interval(text: str) -> str:
    """A time as Spark writes it."""
    if not _INTERVAL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: write 30 seconds, 2 minutes")
    return text


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 to {2**31 - 1}")
    return int(text)


def main() -> int:
    """Runs the job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", required=True, help="HOST:PORT of Kafka")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--out", required=True, help="folder of the bars")
    parser.add_argument("--checkpoint", required=True, help="folder of the job's own state")
    parser.add_argument(
        "--late", type=interval, default="2 minutes", help="how late a record may come"
    )
    parser.add_argument(
        "--every", type=interval, default="1 second", help="a batch at most so often"
    )
    parser.add_argument("--max-messages", type=count, default=20_000, help="of a batch, at most")
    parser.add_argument(
        "--until-idle", type=float, default=0, help="end after a silence, in seconds"
    )
    given = parser.parse_args()
    try:
        job(given)
    except (PySparkException, Py4JJavaError) as error:
        why = f"{given.servers}, {given.topic}: {millrace.spark.reason(error)}"
        print(f"bars_job: {why}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
