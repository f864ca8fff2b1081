"""Which files a job reads: those that names, patterns and folders stand for."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
import re
import stat
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _core
from .._errors import (
    FileError,
    FormatError,
    MillraceError,
    UsageError,
    core_errors,
    warn,
)
from ._columns import need
from ._options import Choice

#: Endings of files that are meant to be read: what is wrong with one is an error.
_MEANT = tuple(
    kind + packed
    for kind in (".pcap", ".pcapng", ".cap", ".itch", ".dbn")
    for packed in ("", ".gz", ".zst")
)
#: Endings of what :class:`millrace.Feed` takes for something else, whatever is in it.
_OTHERS = (".csv", ".csv.gz", ".csv.zst", ".toml")
#: Names of files that somebody has not finished, as elsewhere in Spark.
_UNFINISHED = ("_", ".")
_URL = re.compile(r"([a-z][a-z0-9+.-]*):/", re.IGNORECASE)
#: The value of a folder ``key=...`` that stands for null, as Hive and Spark write it.
_NULL = "__HIVE_DEFAULT_PARTITION__"
_MAGIC = re.compile(r"[*?[]")
_TOLD_MOST = 4


@dataclass(frozen=True)
class Found:
    """A file, or something else that was found and is not read."""

    path: str
    name: str  #: what rows call it: its path below what was given
    why: str = ""  #: it is not read


def files_of(patterns: Sequence[str], choice: Choice, *, may_come: bool = False) -> list[Found]:
    """The files of names, patterns and folders, by path; where there are none an error says why.

    With ``may_come`` files may still appear, and only what they appear in must be there.
    """
    found: dict[str, Found] = {}
    for pattern in patterns:
        of = {one.path: one for one in _of_pattern(pattern, patterns, choice)}
        if not of and not may_come:
            of = {pattern: _nothing_in(pattern, choice)}
        found |= of
    if not may_come and all(one.why for one in found.values()):
        raise FileError(f"nothing to read: {_told(list(found.values()))}")
    return [found[path] for path in sorted(found)]


def keys_of(name: str, choice: Choice) -> dict[str, str | None]:
    """What the folders of a file say of it: of ``date=2024-01-02/venue=XNAS/day.pcap`` two keys.

    As with Spark's own sources, none when folders are read whatever they are called.
    """
    if choice.recursive:
        return {}
    parts = [part.partition("=") for part in Path(name).parent.parts if _is_key(part)]
    return {key: None if v == _NULL else urllib.parse.unquote(v) for key, _, v in parts}


def keys_in(patterns: Sequence[str], choice: Choice, columns: str) -> tuple[str, ...]:
    """The keys that the folders of all files have; they make columns beside the others."""
    read = [one for one in files_of(patterns, choice, may_come=True) if not one.why]
    keys = tuple(keys_of(read[0].name, choice)) if read else ()
    for one in read:
        need(
            tuple(keys_of(one.name, choice)) == keys,
            f"{one.path} and {read[0].path}: their folders have different keys (key=value); "
            "load them apart, or with recursiveFileLookup=true, which makes no columns of them",
        )
    own = {column.split()[0].lower() for column in columns.split(", ")}
    for key in keys:
        need(
            key.lower() not in own,
            f"folders called {key}=... make a column {key}, and rows have one of that name; "
            "recursiveFileLookup=true makes no columns of them",
        )
    return keys


def _is_key(folder: str) -> bool:
    key, equals, _ = folder.partition("=")
    return key.isidentifier() and equals == "="


def local_path(name: str) -> str:
    """A name as users of Spark write it, as one of this machine."""
    name = name.removeprefix("file:")
    url = _URL.match(name)
    if url:
        raise UsageError(
            f"{name}: files are read from disks and mounts of the machines, not by {url[1]}://; "
            "mount the store, or copy the files"
        )
    return name


def watched(pattern: str) -> Path:
    """What must be there for files of the pattern to appear."""
    path = Path(pattern)
    while not os.path.lexists(path) and _is_pattern(str(path)):
        path = path.parent
    return path


def name_below(path: str, patterns: Sequence[str]) -> str:
    """What rows call a file: its path below the folder that all of what was given has in common."""
    bases = []
    for pattern in patterns:
        base = watched(pattern).absolute()
        is_file = base == Path(pattern).absolute() and not _is_folder(base)
        bases.append(str(base.parent if is_file else base))
    return os.path.relpath(path, os.path.commonpath(bases))


def warn_of(passed_over: Sequence[Found]) -> None:
    """Says, once for all of them, which files are not read."""
    if passed_over:
        warn(f"not read: {_told(passed_over)}")


def _told(passed_over: Sequence[Found]) -> str:
    told = "; ".join(f"{one.path}: {one.why}" for one in passed_over[:_TOLD_MOST])
    more = len(passed_over) - _TOLD_MOST
    return told + (f"; and {more} more" if more > 0 else "")


# ---- finding ----


def _of_pattern(pattern: str, patterns: Sequence[str], choice: Choice) -> Iterator[Found]:
    named = os.path.lexists(pattern)
    for name in [pattern] if named else sorted(glob.glob(pattern)):  # noqa: PTH207
        path = Path(name).absolute()
        if _is_folder(path):
            yield from _in_folder(path, patterns, choice, frozenset())
        elif not path.name.startswith(_UNFINISHED):
            is_config = path.name.endswith(".toml")
            why = "no capture and no DBN file" if is_config else _irregular(path)
            yield Found(str(path), name_below(str(path), patterns), why)


def _in_folder(
    folder: Path, patterns: Sequence[str], choice: Choice, above: frozenset[str]
) -> Iterator[Found]:
    """Its files, those of its folders ``key=value``, and with ``recursive`` those of all folders.

    No folder is entered in itself.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise FileError(f"{folder}: the folder cannot be read: {error.strerror}") from None
    above |= {os.path.realpath(folder)}
    for entry in entries:
        if entry.name.startswith(_UNFINISHED):
            continue
        name = name_below(entry.path, patterns)
        if entry.is_dir():
            if not choice.recursive and not _is_key(entry.name):
                yield Found(entry.path, name, "a folder; recursiveFileLookup=true reads it")
            elif os.path.realpath(entry.path) not in above:
                yield from _in_folder(Path(entry.path), patterns, choice, above)
        elif not choice.glob or fnmatch.fnmatchcase(entry.name, choice.glob):
            yield Found(entry.path, name, _why_not(entry))


def _why_not(entry: os.DirEntry[str]) -> str:
    """Why a folder's file is none that a job can read; empty where it is, or was meant to be."""
    irregular = _irregular(Path(entry.path))
    if irregular or entry.name.endswith(_MEANT):
        return irregular
    if not entry.name.endswith(_OTHERS):
        status = entry.stat()
        if _begins_as_capture(entry.path, status.st_size, status.st_mtime_ns):
            return ""
    return "no capture and no DBN file"


def _irregular(path: Path) -> str:
    """Of a pipe or a device, which nobody should open; what is not there its task tells of."""
    try:
        return "" if stat.S_ISREG(path.stat().st_mode) else "no regular file"
    except OSError:
        return ""


@functools.lru_cache(maxsize=65_536)
def _begins_as_capture(path: str, size: int, changed: int) -> bool:
    """Whether a file's first bytes are those of a capture; ``size`` and ``changed`` are its own."""
    settings: dict[str, Any] = {"venue": _core.venues()[0], "files": [path], "groups": []}
    settings |= {"pace": 0.0, "sequential": False}
    try:
        with core_errors():
            _core.capture(settings)
    except FormatError:
        return False
    except MillraceError:
        return True  # it is one, or cannot be looked at, which the task that reads it says
    return True


def _is_folder(path: Path) -> bool:
    """Whether it is one, as far as it is for us to see."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_pattern(text: str) -> bool:
    return _MAGIC.search(text) is not None or "{" in text


# ---- nothing found ----


def _nothing_in(pattern: str, choice: Choice) -> Found:
    """A folder without files; where there is none, an error says why no file is meant."""
    path = Path(pattern)
    if _is_folder(path):
        none = f"no file matches pathGlobFilter={choice.glob!r}"
        return Found(str(path.absolute()), path.name, none if choice.glob else "an empty folder")
    if os.path.lexists(path):
        raise FileError(
            f"{pattern}: a name that begins with _ or . is that of a file that somebody writes; "
            "rename it when it is whole"
        )
    raise FileError(f"{pattern}: {_no_match(pattern)}")


def _no_match(pattern: str) -> str:
    is_pattern = _is_pattern(pattern)
    folder = watched(pattern).absolute() if is_pattern else Path(pattern).absolute().parent
    there = next(one for one in (folder, *folder.parents) if _is_folder(one))
    if not os.access(there, os.R_OK | os.X_OK):
        return f"the folder {there} cannot be read: Permission denied"
    if there != folder:
        return f"there is no folder {folder} on the driver's machine"
    if not is_pattern:
        return "no such file or folder on the driver's machine"
    names = sorted(one.name for one in folder.iterdir())
    held = [name for name in names if not name.startswith(_UNFINISHED)]
    holds = f"{folder} holds {len(held)} names, as {held[0]}" if held else f"{folder} is empty"
    hint = "; a pattern knows *, ? and [], and no {}" if "{" in pattern else ""
    return f"no file matches the pattern; {holds}{hint}"
