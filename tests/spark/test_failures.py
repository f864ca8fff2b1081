"""Executors, brokers and drivers that are killed: the result is the same."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, command, command_json
from demo_cluster import process, wait_for
from kafka_server import KafkaServer, free_ports
from pyspark.sql import Row, SparkSession
from spark_session import submit_command
from test_streams import bars_of_topic, counted, read_topic, write
from test_tables import bars_by_file, bars_in, bars_of_one_process, read, rows_of_one_process

pytestmark = [pytest.mark.server, pytest.mark.long]


def executors(spark: SparkSession) -> list[psutil.Process]:
    """The session's executors, which are children of its own Java process."""
    java = psutil.Process(spark.sparkContext._gateway.proc.pid)
    children = java.children(recursive=True)
    return [one for one in children if "CoarseGrainedExecutorBackend" in " ".join(one.cmdline())]


def wait_until(done: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path / "kafka")
    yield server
    server.stop()


def test_an_executor_is_killed_in_the_middle_of_a_job(
    spark: SparkSession, days: Path, tmp_path: Path
) -> None:
    for copy in range(8):
        for path in days.iterdir():
            (tmp_path / f"{copy}-{path.name}").symlink_to(path)
    found: list[list[Row]] = []
    bars = read(spark, tmp_path, venue="nasdaq-itch50", schema="bars")
    job = threading.Thread(target=lambda: found.append(bars.collect()))
    job.start()
    tracker = spark.sparkContext.statusTracker()

    def half_done() -> bool:
        stages = [tracker.getStageInfo(one) for one in tracker.getActiveStageIds()]
        return any(one and one.numCompletedTasks >= 4 for one in stages) or bool(found)

    wait_until(half_done)
    assert not found, "the job was over before an executor was killed"
    executors(spark)[0].kill()
    job.join(300)
    expected = {path.name: bars_of_one_process(path) for path in days.iterdir()}
    assert len(found) == 1
    assert bars_by_file(found[0]) == {
        f"{copy}-{name}": bars for copy in range(8) for name, bars in expected.items()
    }
    wait_until(lambda: len(executors(spark)) == 2)


def test_a_broker_and_an_executor_are_killed_under_a_stream(
    spark: SparkSession, broker: KafkaServer, days: Path, tmp_path: Path
) -> None:
    url = f"kafka://{broker.address}/md?shard=a&run=day0&batch=1&commit_ms=20"
    path = days / "day0.pcapng"
    words = ("replay", path, "--schema", "trades", "--sink", url)
    assert command_json(*words)["sinks"][0]["unsent"] == 0
    frame = bars_of_topic(read_topic(spark, broker.address, "md", 100), "4 minutes")
    query = write(frame, tmp_path, "bars")
    wait_until(lambda: len([one for one in query.recentProgress if one.numInputRows > 0]) >= 2)
    broker.stop()
    executors(spark)[0].kill()
    time.sleep(3)
    broker.start()
    # What a stream cannot survive ends it, as its owner sees; started again it goes on.
    restarts = 0
    while True:
        try:
            query.processAllAvailable()
            break
        except Exception:
            restarts += 1
            assert restarts <= 5
            query = write(frame, tmp_path, "bars")
    lines = [counted(json.loads(one.json)) for one in query.recentProgress]
    query.stop()
    assert sum(line["late"] + line["duplicates"] for line in lines) == 0
    bars = bars_in(spark.read.parquet(str(tmp_path / "bars")).collect())
    expected = bars_of_one_process(path)
    last = max(at for _, at in bars)
    assert len(bars) > 20
    assert bars == {key: bar for key, bar in expected.items() if key[1] <= last}


def test_brokers_that_do_not_answer_are_told_of_after_a_minute_and_end_the_job_after_two(
    broker: KafkaServer, days: Path, tmp_path: Path
) -> None:
    """One that is killed under the job, and one that was never there."""
    sink = f"kafka://{broker.address}/md?shard=a&run=day0"
    command("replay", days / "day0.pcapng", "--schema", "trades", "--sink", sink)
    never = f"127.0.0.1:{free_ports(1)[0]}"
    with ExitStack() as running:
        jobs = {}
        for servers in (broker.address, never):
            folder = tmp_path / servers
            folder.mkdir()
            words = [*submit_command(folder), "--conf", "spark.master=local[1]"]
            words += [ROOT / "examples/spark/bars_job.py", "--servers", servers, "--topic", "md"]
            words += ["--out", folder / "bars", "--checkpoint", folder / "state"]
            job = running.enter_context(process(*words, log=folder / "log"))
            jobs[servers] = (job, folder / "log")
        since = {}
        for servers, word in ((never, "started"), (broker.address, "caught up")):
            job, log = jobs[servers]
            wait_for(lambda log=log, word=word: word in log.read_text(), 300, word, job, log)
            since[servers] = time.monotonic()
        broker.stop()
        ends: dict[str, list[float]] = {servers: [] for servers in jobs}
        while any(len(times) < 2 for times in ends.values()):
            for servers, (job, log) in jobs.items():
                seen = ("again from" in log.read_text()) + (job.poll() is not None)
                if seen > len(ends[servers]):
                    ends[servers].append(time.monotonic() - since[servers])
            assert time.monotonic() - max(since.values()) < 300
            time.sleep(0.2)
        for servers, (job, log) in jobs.items():
            told, over = ends[servers]
            assert 45 < told < 90 and 45 < over - told < 90, ends
            last = log.read_text().splitlines()[-1]
            assert job.returncode == 1 and last.startswith(f"bars_job: {servers}, md: "), last


FOLDER_JOB = """
import sys
from pyspark.sql import SparkSession
import millrace.spark
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
millrace.spark.register(spark)
source = spark.readStream.format("millrace").options(max_rows="3000", partition_rows="1000")
writer = source.load(sys.argv[1]).writeStream.format("parquet").option("path", sys.argv[2])
writer.option("checkpointLocation", sys.argv[3]).start().processAllAvailable()
"""


def test_a_driver_over_a_folder_is_killed_in_the_middle_of_batches(
    spark: SparkSession, days: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", FOLDER_JOB, days, tmp_path / "rows", tmp_path / "state"]
    planned = tmp_path / "state" / "offsets"
    for batches in (2, 4, 7):
        with process(*words, log=tmp_path / "log") as driver:  # killed where the block ends
            wait_until(lambda wanted=batches: len(list(planned.glob("[0-9]*"))) >= wanted)
            assert driver.poll() is None
    with process(*words, log=tmp_path / "log") as driver:
        assert driver.wait(300) == 0, (tmp_path / "log").read_text()
    rows = spark.read.parquet(str(tmp_path / "rows"))
    for path in days.iterdir():
        expected = rows_of_one_process(path, "mbo")
        found = rows.where(f"file = '{path.name}'").orderBy("record").toArrow()
        assert found["record"].to_pylist() == list(range(1, len(expected) + 1))
        assert found["sequence"].to_pylist() == expected["sequence"].tolist()


def test_a_driver_is_killed_and_goes_on_from_its_checkpoint() -> None:
    """The demo does it, and compares every bar."""
    done = subprocess.run(
        [ROOT / "tools/demo-cluster", "--yes"], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
