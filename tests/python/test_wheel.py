"""The wheel: built from the repository root as users do, in a fresh venv, and used without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

#: What a machine without the -dev packages may lack, and the wheel therefore carries.
LIBRARIES = (
    "libfmt",
    "libhiredis",
    "liblz4",
    "librabbitmq",
    "librdkafka",
    "libsasl2",
    "liburing",
    "libzstd",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user of this machine may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="millrace-wheel-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def fresh_clone(to: Path) -> None:
    """What a clone would have: the files that git knows, and nothing that lies around."""
    known = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, known.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, to / name)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of what this shell has set but the way to the Python index."""
    kept = {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
    return kept | {"PATH": os.environ["PATH"], "HOME": str(home)} | more


def isolated_wheel(checkout: Path, out: Path, python: Path) -> None:
    """As a user's `pip install .` makes it, with tools of its own and nothing compiled before."""
    subprocess.run(
        [python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, checkout],
        check=True,
        env=environment(out, CCACHE_DISABLE="1"),
    )


def quick_wheel(checkout: Path, out: Path, python: Path) -> None:
    """With the tools of build/venv, and with what ccache knows from the build of the same files."""
    (checkout / "build").mkdir()
    (checkout / "build" / "venv").symlink_to(Path(sys.prefix))
    more = {name: os.environ[name] for name in os.environ if name.startswith("CCACHE_")}
    more |= {
        "CMAKE_CXX_COMPILER_LAUNCHER": "ccache",
        "CCACHE_DIR": os.environ.get("CCACHE_DIR", str(Path.home() / ".cache" / "ccache")),
        "CCACHE_BASEDIR": str(checkout),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_SLOPPINESS": "pch_defines,time_macros",
    }
    subprocess.run(
        [checkout / "build" / "venv" / "bin" / "python", "-m", "pip", "wheel", "-q", "--no-deps"]
        + ["--no-build-isolation", "-C", "build-dir=build/wheel", "-w", out, "."],
        check=True,
        env=environment(out, **more),
        cwd=checkout,
    )


def other_pythons() -> list[str]:
    """The oldest one that the package is for, the newest, and one without a GIL, if at hand."""
    found = []
    for version in ("3.10", "3.13", "3.14", "3.13t", "3.14t"):
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python{version}"))
        path = str(kept[0]) if kept else shutil.which(f"python{version}")
        works = path and subprocess.run([path, "-c", "import venv"], capture_output=True)
        if path and works and works.returncode == 0:
            found.append(path)
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("build", "interpreter"),
    [(quick_wheel, sys.executable)]
    + [(isolated_wheel, one) for one in other_pythons() or [sys.executable]],
)
def test_pip_install_from_the_repository_root(build, interpreter: str, folder: Path) -> None:
    checkout, venv = folder / "checkout", folder / "venv"
    python = venv / "bin" / "python"
    fresh_clone(checkout)
    subprocess.run([interpreter, "-m", "venv", venv], check=True)
    began = time.monotonic()
    build(checkout, folder, python)
    print(f"wheel built in {time.monotonic() - began:.0f} s")
    [wheel] = folder.glob("millrace-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    source = checkout / "python" / "millrace"
    package = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert {"py.typed", "_core.pyi"} < package
    assert {f"millrace/{name}" for name in package} <= set(names)
    for part in ("_core.cpython", *(f"{name}.so" for name in LIBRARIES)):
        assert any(name.startswith(f"millrace/{part}") for name in names), part
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "bench", "build"))]
    install = [python, "-m", "pip", "install", "-q", wheel]
    subprocess.run(install, check=True, env=environment(folder))
    use_alone(python, folder)


def use_alone(python: Path, home: Path) -> None:
    """Imports and runs it with no server, no configuration and none of the checkout."""
    text = (
        "import millrace\n"
        "feed = millrace.Feed('sim://?messages=5000&symbols_count=2')\n"
        "print(sum(map(len, feed.batches('mbo'))), feed.digest)\n"
        "print(millrace._core.__file__)\n"
    )

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd="/", env=environment(home), capture_output=True, text=True)

    # As nobody in particular, where that can be had: not with an interpreter in root's home.
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
    alone = nobody if os.getuid() == 0 and run(*nobody, python, "-c", "").returncode == 0 else []
    done = run(*alone, python, "-c", text)
    assert done.returncode == 0, done.stderr
    rows, module = done.stdout.splitlines()
    assert int(rows.split()[0]) > 4000
    needed = subprocess.run(["ldd", module], check=True, capture_output=True, text=True).stdout
    for name in LIBRARIES:
        [line] = [line for line in needed.splitlines() if line.strip().startswith(f"{name}.so")]
        assert str(Path(module).parent) in line, line
