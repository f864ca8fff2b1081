"""Captures and commands that the tests share. Expected values come from the command or by hand."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import servers

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("MILLRACE_BUILD", ROOT / "build" / "release"))
CAPTURES = Path(os.environ.get("MILLRACE_CAPTURES", ROOT.parent / "shared" / "captures"))


def command(*arguments: str | Path) -> str:
    """What the `millrace` command prints."""
    return subprocess.run(
        [BUILD / "millrace", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def command_json(*arguments: str | Path) -> dict[str, Any]:
    """The object that the command ends with under --json."""
    return json.loads(command(*arguments, "--json").strip().splitlines()[-1])


def simulated_day(path: Path) -> Path:
    command(
        *("sim", "--capture", path, "--messages", "30000", "--symbols", "12"),
        *("--loss", "0.02", "--reorder", "0.02", "--seed", "7"),
    )
    return path


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated day of 30,000 messages on two lines, each of which loses packets."""
    return simulated_day(tmp_path_factory.mktemp("captures") / "day.pcapng.zst")


@pytest.fixture(scope="session")
def plain_capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, not compressed: its packets are handled several at a time."""
    return simulated_day(tmp_path_factory.mktemp("captures") / "day.pcapng")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with servers.redis() as where:
        yield where


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    with servers.kafka() as where:
        yield where


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[str]:
    with servers.rabbitmq() as where:
        yield where


@pytest.fixture(scope="session")
def gappy_capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated day of which both lines lose the same messages now and then."""
    path = tmp_path_factory.mktemp("captures") / "gappy.pcapng"
    command(
        *("sim", "--capture", path, "--messages", "20000", "--symbols", "5"),
        *("--loss", "0.1", "--lose-on-all", "--seed", "3"),
    )
    return path
