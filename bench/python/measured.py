"""What all benchmarks of this folder use: the command, and lines of a table with rate and CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = Path(os.environ.get("MILLRACE_BUILD", ROOT / "build" / "release")) / "millrace"
results: dict[str, Any] = {}


def report(name: str, count: int, seconds: float, cpu: float, note: str = "") -> None:
    """One line of the table: rate by the wall, and CPU time for each."""
    results[name] = {
        "count": count,
        "per_second": count / seconds,
        "cpu_us_each": cpu / count * 1e6,
    }
    rate = f"{count / seconds:>13,.0f}/s"
    print(f"{name:<58}{rate}{cpu / count * 1e6:>10.3f} us  {note}", flush=True)


def timed(name: str, work: Callable[[], int], note: str = "", runs: int = 1) -> int:
    """Runs and reports work that returns how much it did; of several runs the one of least CPU."""
    best: tuple[float, float] | None = None
    count = 0
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        count = work()
        took = time.process_time() - cpu, time.perf_counter() - wall
        best = min(best or took, took)
    assert best is not None
    report(name, count, best[1], best[0], note)
    return count
