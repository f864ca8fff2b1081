"""Records a second of Spark jobs by workers and partitions, beside one process and plain Parquet.

    PYTHONPATH=build/release/python build/venv/bin/python bench/python/spark_scale.py [--messages N]

Every line makes one-minute bars of the same captures, which must be those of one process. The
share of our code is the CPU time that one process takes for the work, by the time that Spark's
tasks took. ./tools/test spark makes build/venv and fetches what this needs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import millrace

ROOT = Path(__file__).parents[2]
COMMAND = Path(os.environ.get("MILLRACE_BUILD", ROOT / "build" / "release")) / "millrace"
sys.path.insert(0, str(ROOT / "tools" / "lib"))
from pyspark.sql import DataFrame, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from spark_session import local_cluster  # noqa: E402

from millrace.spark import bars_of, register, write_parquet  # noqa: E402

RUNS = 3
BAR = ("ts_event", "trades", "open", "high", "low", "close", "volume", "vwap")


def make_captures(folder: Path, files: int, messages: int) -> int:
    """Days of different seeds; returns how many MBO records they make."""
    records = 0
    for day in range(files):
        path = folder / f"day{day}.pcapng"
        words = ["--messages", str(messages), "--rate", "200", "--symbols", "100"]
        make = [COMMAND, "sim", "--capture", path, *words, "--seed", str(day)]
        subprocess.run(make, check=True, capture_output=True)
        records += sum(map(len, millrace.replay(path).batches("mbo", max_rows=65_536)))
    return records


def one_process(folder: Path) -> list[tuple[int, ...]]:
    """All bars, in order."""
    found = []
    for path in sorted(folder.iterdir()):
        for row in millrace.bars(millrace.replay(path)).numpy():
            found.append(tuple(int(row[name]) for name in BAR))
    return sorted(found)


def bars_in(frame: DataFrame) -> list[tuple[int, ...]]:
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

    def __init__(self, records: int) -> None:
        self._records = records
        self._own_cpu = 0.0  # of one process, for a run
        head = "| what | time | records/s | tasks | of that our code alone |\n|---|---|---|---|---|"
        print(head, flush=True)

    def one_process(self, work: Callable[[], object]) -> None:
        """The first line, beside which the others stand."""
        cpu = time.process_time()
        best = self._best(work)
        self._own_cpu = (time.process_time() - cpu) / RUNS
        self._line("one process", best, "", "")

    def job(self, name: str, spark: SparkSession, work: Callable[[], object], ours: bool) -> None:
        """A Spark job; ``ours`` when it reads the captures."""
        before = task_seconds(spark)
        best = self._best(work)
        tasks = (task_seconds(spark) - before) / RUNS
        share = f"{self._own_cpu / tasks:.0%}" if ours else ""
        self._line(name, best, f"{tasks:.2f} s", share)

    def _best(self, work: Callable[[], object]) -> float:
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    def _line(self, name: str, best: float, tasks: str, share: str) -> None:
        rate = self._records / best
        print(f"| {name} | {best:.2f} s | {rate:,.0f} | {tasks} | {share} |", flush=True)


def with_workers(
    workers: int, folder: Path, captures: Path, expected: list[tuple[int, ...]], table: Table
) -> None:
    """All lines of so many workers, in a session of its own."""
    spark = local_cluster("scale", folder / f"spark{workers}", workers=workers)
    register(spark)
    say = f"{workers} worker{'s' if workers > 1 else ''}: "
    try:
        reader = spark.read.format("millrace").option("venue", "nasdaq-itch50")
        bars = reader.option("schema", "bars").load(str(captures))
        assert bars_in(bars) == expected
        table.job(say + "bars made in the executors", spark, bars.collect, True)
        trades = reader.option("schema", "trades").load(str(captures))
        table.job(
            say + "trades from captures, bars in SQL",
            spark,
            lambda: check(bars_in(bars_by_file(trades)), expected),
            True,
        )
        mbo = reader.option("schema", "mbo").load(str(captures))
        table.job(say + "mbo from captures, counted", spark, mbo.count, True)
        lake = str(folder / f"lake{workers}")
        write_parquet(trades, lake, venue="XNAS", buckets=4)
        stored = spark.read.parquet(lake)
        for partitions in (1, 2, 4, 8):
            spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
            table.job(
                f"{say}trades from Parquet, bars in SQL, {partitions} partitions",
                spark,
                lambda: check(bars_in(bars_by_file(stored)), expected),
                False,
            )
    finally:
        spark.stop()


def check(found: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> None:
    """A job that is fast and wrong is no job."""
    assert found == expected


def bars_by_file(trades: DataFrame) -> DataFrame:
    """Minutes that several captures have are different minutes here."""
    return bars_of(trades.withColumn("symbol", F.concat(trades.symbol, trades.file)))


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=500_000, help="of each capture")
    parser.add_argument("--files", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        captures = folder / "captures"
        captures.mkdir()
        records = make_captures(captures, given.files, given.messages)
        size = sum(path.stat().st_size for path in captures.iterdir())
        print(f"{given.files} captures of {size / 1e6:,.0f} MB, {records:,} MBO records\n")
        expected = one_process(captures)
        table = Table(records)
        table.one_process(lambda: one_process(captures))
        for workers in (1, 2):
            with_workers(workers, folder, captures, expected, table)


if __name__ == "__main__":
    main()
