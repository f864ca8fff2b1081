"""The package and its examples under mypy --strict and ruff; stubs; the doctests of the docs."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest
import stubs
from conftest import ROOT, command

import millrace

DOCS = [
    "docs/python.md",
    pytest.param("docs/listening-to-a-stream.md", marks=pytest.mark.server),
]


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict() -> None:
    run("mypy", "--strict", "--cache-dir", "build/mypy")


def test_ruff() -> None:
    ours = ("python", "examples/python", "tests/python", "bench/python")
    run("ruff", "check", "--no-cache", *ours)
    run("ruff", "format", "--check", "--no-cache", *ours)


def test_python_3_10_has_all_that_is_used() -> None:
    vermin = [Path(sys.prefix) / "bin" / "vermin", "-t=3.10-", "--violations"]
    done = subprocess.run(
        [*vermin, "python/millrace", "examples/python"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_stub_says_what_the_extension_has() -> None:
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.stub_text()


@pytest.mark.parametrize("name", DOCS)
def test_docs_do_what_they_say(
    name: str, capture: Path, tmp_path: Path, monkeypatch, request: pytest.FixtureRequest
) -> None:
    names = {}
    if "listening" in name:
        names["url"] = f"redis://{request.getfixturevalue('redis_server')}/md.trades"
        command("replay", capture, "--schema", "trades", "--sink", names["url"])
    (tmp_path / "day.pcapng.zst").symlink_to(capture)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(
        str(ROOT / name), module_relative=False, optionflags=doctest.ELLIPSIS, globs=names
    )
    assert tried > 0 and failed == 0


@pytest.mark.parametrize("module", ["", "._arguments", "._check", "._research", "._schemas"])
def test_doctests_of_the_package(module: str) -> None:
    __import__("millrace" + module)
    failed, tried = doctest.testmod(sys.modules["millrace" + module])
    assert tried > 0 and failed == 0


def test_every_public_name_has_a_docstring() -> None:
    for name in millrace.__all__:
        if not name.startswith("__"):
            assert getattr(millrace, name).__doc__, name
