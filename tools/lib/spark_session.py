"""Spark on this machine alone, for tests, the demo and measurements."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]


def _settings(folder: Path, workers: int) -> dict[str, str]:
    """Executors of one core and 1 GiB, which run this Python and find the package where we do."""
    jars = sorted((ROOT / "build/spark/jars").glob("*.jar"))
    return {
        "spark.master": f"local-cluster[{workers},1,1024]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.jars": ",".join(map(str, jars)),
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": str(workers),
        "spark.executor.cores": "1",
        "spark.executor.memory": "1g",
        "spark.executorEnv.PYTHONPATH": _python_path(),
        "spark.pyspark.python": sys.executable,
        "spark.log.level": "ERROR",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
    }


def _python_path() -> str:
    """Ours, for executors, which run elsewhere."""
    ours = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join(os.path.abspath(folder) for folder in ours)


def _environment(folder: Path) -> None:
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_WORKER_DIR"] = str(folder / "work")
    os.environ["PYSPARK_PYTHON"] = sys.executable


def local_cluster(name: str, folder: Path, *, workers: int = 2) -> SparkSession:
    """A session whose executors are processes of their own; Spark writes to ``folder``."""
    _environment(folder)
    builder = SparkSession.builder.appName(name)
    for key, value in _settings(folder, workers).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def submit_command(folder: Path) -> list[str]:
    """What runs a job on such a cluster, when the job's words are put behind it."""
    _environment(folder)
    words = [str(Path(sys.executable).with_name("spark-submit"))]
    for key, value in _settings(folder, 2).items():
        words += ["--conf", f"{key}={value}"]
    return words
