"""build/venv is made anew for another interpreter, and not for another way to the same one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

SCRIPT = """
. "$1/tools/lib/common.sh"
root=$2
. "$1/tools/lib/venv.sh"
venv_has() { return 0; }
say() { echo "remade" && exit 0; }
ensure_venv
echo "kept"
"""


def ensured(folder: Path, python: Path) -> str:
    """What becomes of the venv in a folder when this interpreter is found."""
    words = ["bash", "-c", SCRIPT, "test", ROOT, folder]
    found = os.environ | {"PYTHON": str(python)}
    done = subprocess.run(words, env=found, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_one_interpreter_by_two_names_keeps_it_and_another_does_not(tmp_path: Path) -> None:
    wanted = tmp_path / "tests" / "python" / "requirements.txt"
    wanted.parent.mkdir(parents=True)
    wanted.write_text("numpy\n")
    kept = tmp_path / "build" / "venv" / "made-of"
    kept.parent.mkdir(parents=True)
    python = Path(sys.executable).resolve()
    version = subprocess.run([python, "-VV"], check=True, capture_output=True, text=True).stdout
    kept.write_text(f"{version}{python}\n{tmp_path}\n{wanted.read_text()}")
    other_way = tmp_path / "bin"
    other_way.symlink_to(python.parent)
    assert ensured(tmp_path, python) == "kept"
    assert ensured(tmp_path, other_way / python.name) == "kept"
    # One that is no more, and other packages.
    kept.write_text(kept.read_text().replace(str(python), str(tmp_path / "gone")))
    assert ensured(tmp_path, python) == "remade"
    kept.write_text(kept.read_text().replace(str(tmp_path / "gone"), str(python)))
    wanted.write_text("numpy\npandas\n")
    assert ensured(tmp_path, python) == "remade"
