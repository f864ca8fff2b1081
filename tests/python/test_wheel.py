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


def test_pip_install_from_the_repository_root(tmp_path: Path) -> None:
    checkout, venv = tmp_path / "checkout", tmp_path / "venv"
    ignore = shutil.ignore_patterns("build", ".git", "__pycache__")
    shutil.copytree(ROOT, checkout, ignore=ignore)
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
    for part in ("__init__.py", "py.typed", "_core.pyi", "libfmt.so", "liburing.so", "libzstd.so"):
        assert any(name.startswith(f"millrace/{part}") for name in names), part
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
