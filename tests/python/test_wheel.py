"""The wheel: built from the repository root as users do, in a fresh venv, and used without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.long


def fresh_clone(to: Path) -> None:
    """What a clone would have: the files that git knows, and nothing that lies around."""
    known = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, known.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, to / name)


def test_pip_install_from_the_repository_root(tmp_path: Path) -> None:
    checkout, venv = tmp_path / "checkout", tmp_path / "venv"
    fresh_clone(checkout)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    # The build must manage without ccache and whatever else this shell has set.
    environment = {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
    environment |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CCACHE_DISABLE": "1"}
    began = time.monotonic()
    subprocess.run(
        [venv / "bin" / "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, checkout],
        check=True,
        env=environment,
    )
    print(f"wheel built in {time.monotonic() - began:.0f} s")
    [wheel] = tmp_path.glob("millrace-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    package = {path.name for path in (checkout / "python" / "millrace").iterdir()}
    assert {f"millrace/{name}" for name in package} <= set(names)
    for part in ("_core.cpython", "libfmt.so", "liburing.so", "libzstd.so"):
        assert any(name.startswith(f"millrace/{part}") for name in names), part
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "bench", "build"))]
    subprocess.run([venv / "bin" / "pip", "install", "-q", wheel], check=True, env=environment)
    text = (
        "import millrace\n"
        "feed = millrace.Feed('sim://?messages=5000&symbols_count=2')\n"
        "print(sum(map(len, feed.batches('mbo'))), feed.digest)\n"
    )
    done = subprocess.run(
        [venv / "bin" / "python", "-c", text],
        check=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout.split()[0]) > 4000
