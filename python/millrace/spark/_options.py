"""The options of ``format("millrace")``: what is wrong with one the driver tells in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .. import _core
from .._arguments import symbols_of, time_of
from .._errors import UsageError
from .._research import interval_ns
from .._schemas import RTYPES
from .._sources import LIMITS, day_of
from ._columns import ALSO, BAR_COLUMNS, need, record_columns, schema_of

#: Schemas whose rows are made of whole files.
WHOLE = ("bars", "books", "ledger")
_LEDGER_COLUMNS = (
    "venue string, digest string, messages bigint, records bigint, balance bigint, stats string"
)
_DAY_MS = 86_400_000
_SEGMENTS_MOST = 256  # each of which runs the whole session
_ROWS_MOST = 10**12


@dataclass(frozen=True)
class Choice:
    """Which files of a folder: options that Spark's own sources of files have, too."""

    NAMES: ClassVar = ("recursiveFileLookup", "pathGlobFilter")
    recursive: bool = False
    glob: str = ""  #: of the names of files; empty for all

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Choice:
        """From all of Spark's options, by names in lower case."""
        recursive, glob = (name.lower() for name in cls.NAMES)
        text = options.get(recursive, "false").lower()
        need(text in ("true", "false"), f"recursiveFileLookup={text!r}: true or false")
        return cls(text == "true", options.get(glob, ""))


@dataclass(frozen=True)
class Admission:
    """How much a stream's trigger takes, and how it is cut."""

    NAMES: ClassVar = ("max_rows", "partition_rows")
    max_rows: int
    partition_rows: int

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Admission:
        """From all of Spark's options, by names in lower case."""
        return cls(
            max_rows=_whole(options, "max_rows", 1_000_000, _ROWS_MOST),
            partition_rows=_whole(options, "partition_rows", 250_000, _ROWS_MOST),
        )


@dataclass(frozen=True)
class Reading:
    """What to read from each file."""

    NAMES: ClassVar = (
        *("schema", "venue", "symbols", "start", "end", "date", "interval", "every_ms"),
        *("bad_files", "segments", *LIMITS),
    )
    kind: str = "mbo"
    venue: str | None = None
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    date: str | None = None
    interval: str = "1m"
    every_ms: int = 1000
    segments: int = 1  #: of each file, a task each
    report: bool = False
    limits: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Reading:
        """From all of Spark's options, by names in lower case."""
        bad = options.get("bad_files", "fail")
        need(bad in ("fail", "report"), f"bad_files={bad!r}: fail or report")
        reading = cls(
            kind=_kind_of(options.get("schema", "mbo")),
            venue=options.get("venue"),
            symbols=_symbols_of(options),
            start=options.get("start"),
            end=options.get("end"),
            date=options.get("date"),
            interval=options.get("interval", "1m"),
            every_ms=_whole(options, "every_ms", 1000, _DAY_MS),
            segments=_whole(options, "segments", 1, _SEGMENTS_MOST),
            report=bad == "report",
            limits={n: _whole(options, n, 1, LIMITS[n]) for n in LIMITS if n in options},
        )
        reading._check(options)
        return reading

    def _check(self, options: Mapping[str, str]) -> None:
        """What does not go together, and what every task would refuse."""
        for name, kind in (("interval", "bars"), ("every_ms", "books")):
            fits = name not in options or self.kind == kind
            need(fits, f"{name} is for the schema {kind}, and this is {self.kind}; leave it out")
        whole = self.kind in WHOLE
        need(
            self.segments == 1 or not whole,
            f"{self.kind} are made of whole files; leave segments out",
        )
        interval_ns(self.interval)
        venues = _core.venues()
        known = self.venue is None or self.venue in venues
        need(known, f"no venue is called {self.venue!r}; there are {', '.join(venues)}")
        day_of(self.date)
        ends = [time_of(n, options[n]) for n in ("start", "end") if n in options]
        ordered = ends == sorted(set(ends))
        need(ordered, f"start={self.start!r} is not before end={self.end!r}; no record is between")

    @property
    def columns(self) -> str:
        """All columns, as Spark writes a schema."""
        if self.kind == "bars":
            columns = f"file string, {BAR_COLUMNS}"
        elif self.kind == "ledger":
            columns = f"file string, {_LEDGER_COLUMNS}"
        elif self.kind == "books":
            columns = f"file string, snapshot bigint, {record_columns('mbp-10')}"
        else:
            columns = f"file string, record bigint, {record_columns(self.kind)}"
        return columns + ", problem string" if self.report else columns


def check_names(options: Mapping[str, str]) -> None:
    """Refuses options that nobody knows."""
    names = sorted((*Reading.NAMES, *Choice.NAMES, *Admission.NAMES))
    known = {name.lower() for name in names}
    for name in options:
        need(name in known, f"no option is called {name!r}; there are {', '.join(names)}")


def _whole(options: Mapping[str, str], name: str, default: int, most: int) -> int:
    """The value of an option that is a whole number."""
    text = options.get(name, str(default))
    fits = text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most
    need(fits, f"{name}={text!r}: a whole number from 1 to {most}")
    return int(text)


def _kind_of(name: str) -> str:
    """What rows are made, by the option ``schema``."""
    if name in WHOLE:
        return name
    known = ", ".join((*WHOLE, *ALSO, *RTYPES))
    need(name in ALSO or name in RTYPES, f"schema={name!r}: there are {known}")
    return schema_of(name)


def _symbols_of(options: Mapping[str, str]) -> tuple[str, ...]:
    """Those asked for; none for all of them, which an empty list is not."""
    names = [name.strip() for name in options.get("symbols", "").split(",") if name.strip()]
    if "symbols" in options and not names:
        raise UsageError("symbols is empty; name some, as AAPL,MSFT, or leave the option out")
    return tuple(symbols_of(names))
