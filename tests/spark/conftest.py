"""A Spark session for all tests, with two executors in processes of their own, and Kafka."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import millrace.spark

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("MILLRACE_BUILD", ROOT / "build" / "release"))
sys.path.insert(0, str(ROOT / "tools" / "lib"))
from kafka_server import KafkaServer  # noqa: E402
from spark_session import local_cluster  # noqa: E402


def command(*arguments: str | Path) -> str:
    """What the `millrace` command prints."""
    words = [BUILD / "millrace", *map(str, arguments)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def command_json(*arguments: str | Path) -> dict[str, Any]:
    return json.loads(command(*arguments, "--json").strip().splitlines()[-1])


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    session = local_cluster("tests", tmp_path_factory.mktemp("spark"))
    millrace.spark.register(session)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three captures of some ten minutes each; the lines of the last lose packets."""
    folder = tmp_path_factory.mktemp("days")
    for day, loss in enumerate(("0", "0", "0.02")):
        name = folder / f"day{day}.pcapng{'.zst' if day == 1 else ''}"
        command(
            *("sim", "--capture", name, "--messages", "12000", "--rate", "20", "--symbols", "6"),
            *("--loss", loss, "--seed", str(20 + day)),
        )
    return folder


def topic(
    spark: SparkSession, kafka: KafkaServer, name: str, *, committed: bool = False
) -> DataFrame:
    """All of a topic's messages, or those that are committed, as a table."""
    reader = spark.read.format("kafka").option("kafka.bootstrap.servers", kafka.address)
    if committed:
        reader = reader.option("kafka.isolation.level", "read_committed")
    return reader.option("subscribe", name).option("includeHeaders", "true").load()
