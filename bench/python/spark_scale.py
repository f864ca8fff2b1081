"""Records a second of Spark jobs by workers and partitions, beside one process and plain Parquet.

    PYTHONPATH=build/release/python build/venv/bin/python bench/python/spark_scale.py \\
        [--messages N] [--files N] [--workers N...] [--of captures parquet topic]

Every line that makes bars makes those of one process, or the run ends. The share of our code is the
CPU time that one process takes for the same records, by the time that Spark's tasks took.
./tools/test spark makes build/venv and fetches what this needs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

import millrace

ROOT = Path(__file__).parents[2]
COMMAND = Path(os.environ.get("MILLRACE_BUILD", ROOT / "build" / "release")) / "millrace"
sys.path.insert(0, str(ROOT / "tools" / "lib"))
from kafka_server import KafkaServer  # noqa: E402
from pyspark.sql import DataFrame, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from spark_session import local_cluster  # noqa: E402

from millrace.spark import bars_of, records, register, write_parquet  # noqa: E402

RUNS = 3
BAR = ("ts_event", "trades", "open", "high", "low", "close", "volume", "vwap")
Bars = list[tuple[int, ...]]


class Days:
    """Captures of different seeds, and what one process makes of the first so many."""

    def __init__(self, folder: Path, files: int, messages: int) -> None:
        folder.mkdir()
        self.paths = [folder / f"day{day}.pcapng" for day in range(files)]
        self.records: list[int] = []  # of MBO, by capture
        for day, path in enumerate(self.paths):
            words = ["--messages", str(messages), "--rate", "200", "--symbols", "100"]
            make = [COMMAND, "sim", "--capture", path, *words, "--seed", str(day)]
            subprocess.run(make, check=True, capture_output=True)
            self.records.append(sum(map(len, millrace.replay(path).batches("mbo"))))

    def bars(self, files: int) -> Bars:
        """All bars, in order."""
        found = []
        for path in self.paths[:files]:
            for row in millrace.bars(millrace.replay(path)).numpy():
                found.append(tuple(int(row[name]) for name in BAR))
        return sorted(found)


def bars_in(frame: DataFrame) -> Bars:
    """The same of a table."""
    return sorted(tuple(row) for row in frame.select(*BAR).collect())


def task_seconds(spark: SparkSession) -> float:
    """What all tasks of the session took so far."""
    no_quantiles = spark.sparkContext._gateway.new_array(spark.sparkContext._jvm.double, 0)
    store = spark.sparkContext._jsc.sc().statusStore()
    stages = store.stageList(None, False, False, no_quantiles, None)
    return sum(stages.apply(i).executorRunTime() for i in range(stages.size())) / 1000


class Table:
    """Prints a line for each way of doing the work, at its best of three runs."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._own_cpu: dict[int, float] = {}  # of one process, for so many captures
        head = "| what | time | records/s | tasks | of that our code alone |\n|---|---|---|---|---|"
        print(head, flush=True)

    def one_process(self, files: int) -> None:
        """A line beside which others stand."""
        cpu = time.process_time()
        best = self._best(lambda: self._days.bars(files))
        self._own_cpu[files] = (time.process_time() - cpu) / RUNS
        self._line(f"one process, {files} captures", files, best, "", "")

    def job(
        self, name: str, spark: SparkSession, work: Callable[[], object], *, files: int, ours: bool
    ) -> None:
        """A Spark job; ``ours`` when it reads the captures."""
        before = task_seconds(spark)
        best = self._best(work)
        tasks = (task_seconds(spark) - before) / RUNS
        share = f"{self._own_cpu[files] / tasks:.0%}" if ours else ""
        self._line(name, files, best, f"{tasks:.2f} s", share)

    def _best(self, work: Callable[[], object]) -> float:
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    def _line(self, name: str, files: int, best: float, tasks: str, share: str) -> None:
        rate = sum(self._days.records[:files]) / best
        print(f"| {name} | {best:.2f} s | {rate:,.0f} | {tasks} | {share} |", flush=True)


@dataclass
class Run:
    """A session of so many workers, and what its lines share."""

    spark: SparkSession
    workers: int
    days: Days
    table: Table
    folder: Path

    def job(
        self, name: str, work: Callable[[], object], files: int | None = None, *, ours: bool = False
    ) -> None:
        """A line of the table."""
        words = f"{self.workers} worker{'s' if self.workers > 1 else ''}: {name}"
        files = len(self.days.paths) if files is None else files
        self.table.job(words, self.spark, work, files=files, ours=ours)

    def read(self, schema: str, files: int, segments: int = 1) -> DataFrame:
        """The first captures: a partition for each segment."""
        reader = self.spark.read.format("millrace").option("venue", "nasdaq-itch50")
        reader = reader.option("segments", segments)
        return reader.option("schema", schema).load([str(p) for p in self.days.paths[:files]])

    def check(self, frame: DataFrame, files: int) -> None:
        """A job that is fast and wrong is no job."""
        assert bars_in(frame) == self.days.bars(files)


def anew(frame: DataFrame) -> Callable[[], object]:
    """Collects as a query of its own: the same one again would begin at the shuffle it has made."""
    return lambda: frame.select("*").collect()


def of_captures(run: Run) -> None:
    """By our source: a task a capture."""
    for files in sorted({1, 2, len(run.days.paths)}):
        bars = run.read("bars", files)
        run.check(bars, files)
        of = f"{files} capture{'s' if files > 1 else ''}"
        run.job(f"bars made in the executors, {of}", anew(bars), files, ours=True)
        mbo = run.read("mbo", files)
        run.job(f"mbo records as rows, counted, {of}", mbo.count, files, ours=True)
    cut = run.read("mbo", 1, run.workers)
    assert cut.count() == run.days.records[0]
    run.job(f"the same, 1 capture in {run.workers} segments", cut.count, 1, ours=True)
    trades = bars_by_file(run.read("trades", files))
    run.check(trades, files)
    run.job(f"trades as rows, bars in SQL, {of}", anew(trades), ours=True)


def of_parquet(run: Run) -> None:
    """By Spark's own reader, of the trades of all captures."""
    files = len(run.days.paths)
    lake = str(run.folder / f"lake{run.workers}")
    write_parquet(run.read("trades", files), lake, venue="XNAS", buckets=4)
    for partitions in (1, 2, 4, 8):
        run.spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        bars = bars_by_file(run.spark.read.parquet(lake))
        run.check(bars, files)
        run.job(f"plain Spark over Parquet, bars in SQL, {partitions} partitions", anew(bars))


def of_topic(run: Run) -> None:
    """By Kafka's source and ours behind it: a task a partition of the topic; the first capture."""
    broker = KafkaServer(run.folder / f"kafka{run.workers}")
    try:
        for partitions in (1, 2, 4):
            topic = f"md{partitions}"
            admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
            words = [
                "--schema",
                "mbo,trades",
                "--sink",
                f"kafka://{broker.address}/{topic}?shard=a",
            ]
            fill = [COMMAND, "replay", run.days.paths[0], *words]
            subprocess.run(fill, check=True, capture_output=True)
            reader = run.spark.read.format("kafka").option("subscribe", topic)
            reader = reader.option("kafka.bootstrap.servers", broker.address)
            reader = reader.option("kafka.isolation.level", "read_committed")
            messages = reader.option("includeHeaders", "true").load()
            bars = bars_of(records(messages, "trades"))
            run.check(bars, 1)
            of = f"{partitions} partition{'s' if partitions > 1 else ''} of a topic"
            run.job(f"bars in SQL, {of}", anew(bars), 1)
            run.job(f"mbo records as rows, counted, {of}", records(messages, "mbo").count, 1)
    finally:
        broker.stop()


PARTS = {"captures": of_captures, "parquet": of_parquet, "topic": of_topic}


def bars_by_file(trades: DataFrame) -> DataFrame:
    """Minutes that several captures have are different minutes here."""
    return bars_of(trades.withColumn("symbol", F.concat(trades.symbol, trades.file)))


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=500_000, help="of each capture")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="a session each")
    parser.add_argument("--of", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        days = Days(folder / "captures", given.files, given.messages)
        size = sum(path.stat().st_size for path in days.paths)
        print(
            f"{given.files} captures of {size / 1e6:,.0f} MB, {sum(days.records):,} MBO records\n"
        )
        table = Table(days)
        for files in sorted({1, 2, given.files}):
            table.one_process(files)
        for workers in given.workers:
            spark = local_cluster("scale", folder / f"spark{workers}", workers=workers)
            register(spark)
            try:
                for part in given.of:
                    PARTS[part](Run(spark, workers, days, table, folder))
            finally:
                spark.stop()


if __name__ == "__main__":
    main()
