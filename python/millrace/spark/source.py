"""The data source ``millrace``: captures and DBN files as tables and as streams.

Spark loads this module in its Python workers, on every machine; it needs nothing but the package.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    InputPartition,
    IsNotNull,
    LessThan,
    LessThanOrEqual,
)

from ._columns import need
from ._files import Reading, count_rows, read_file, read_range

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

#: Kinds of files that a folder is searched for.
_ENDINGS = (".pcap", ".pcapng", ".itch", ".dbn")
_PACKED = ("", ".gz", ".zst")


class MillraceSource(DataSource):
    """``spark.read.format("millrace")`` and ``spark.readStream.format("millrace")``."""

    @classmethod
    def name(cls) -> str:
        """What it is called in ``format``."""
        return "millrace"

    def _own(self, names: Iterable[str] = ()) -> dict[str, str]:
        """Our options without where the files are, and without ``names``."""
        left_out = {"path", "paths", *names}
        return {k.lower(): v for k, v in self.options.items() if k.lower() not in left_out}

    def schema(self) -> str:
        """Columns by the option ``schema``."""
        return Reading.of(self._own(_Admission.NAMES)).columns

    def reader(self, schema: StructType) -> DataSourceReader:
        """All files at once, a task each."""
        return _FilesReader(_patterns(self.options), Reading.of(self._own()))

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """Files as they appear and grow."""
        reading = Reading.of(self._own(_Admission.NAMES))
        made = reading.kind not in ("bars", "books", "ledger")
        need(made, f"{reading.kind} are made of whole files; a stream is of records, as mbo")
        need(reading.segments == 1, "a stream's tasks are cut by partition_rows, not by segments")
        patterns = _patterns(self.options)
        for one in patterns:
            need(_watched(one).exists(), f"{one}: no such folder; make it before the stream waits")
        return _FolderReader(patterns, reading, _Admission.of(self.options))


def _patterns(options: Any) -> list[str]:
    """What was given to ``load``."""
    many = options.get("paths")
    names = json.loads(many) if many else [options.get("path", "")]
    need(all(names), "name the files: load('captures/*.pcap')")
    return [name.removeprefix("file:") for name in names]


def _watched(pattern: str) -> Path:
    """What must be there for files of the pattern to appear."""
    path = Path(pattern)
    while any(letter in str(path) for letter in "*?["):
        path = path.parent
    return path


def _files(patterns: list[str]) -> list[str]:
    """The files of folders, names and patterns, in order of their names.

    Names that begin with ``_`` or ``.`` are files that somebody has not finished.
    """
    found: set[str] = set()
    for pattern in patterns:
        names = [pattern]
        if Path(pattern).is_dir():
            names = [f"{pattern}/*{one}{packed}" for one in _ENDINGS for packed in _PACKED]
        found |= {str(Path(o).absolute()) for name in names for o in glob.glob(name)}  # noqa: PTH207
    return sorted(name for name in found if not Path(name).name.startswith(("_", ".")))


# ---- tables ----


@dataclass
class _File(InputPartition):
    path: str
    segment: int


_COMPARED = {
    In: "is_in",
    IsNotNull: "is_valid",
    EqualTo: "equal",
    GreaterThan: "greater",
    GreaterThanOrEqual: "greater_equal",
    LessThan: "less",
    LessThanOrEqual: "less_equal",
}


class _FilesReader(DataSourceReader):
    def __init__(self, patterns: list[str], reading: Reading) -> None:
        self._patterns = patterns
        self._reading = reading
        self._filters: list[tuple[str, str, Any]] = []  # column, function of Arrow, value

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:
        """Takes comparisons of columns with numbers and text: rows are dropped before Spark."""
        for one in filters:
            attribute: tuple[str, ...] = getattr(one, "attribute", ())
            value: Any = getattr(one, "value", None)
            name = _COMPARED.get(type(one))
            many = value if isinstance(one, In) else [value]
            plain = isinstance(one, IsNotNull) or all(isinstance(v, (int, str)) for v in many)
            if name is None or not plain or len(attribute) != 1:
                yield one
            else:
                self._filters.append((attribute[0], name, value))

    def partitions(self) -> Sequence[InputPartition]:
        """One a file or segment, large ones first: no worker is left with one at the end."""
        paths = _files(self._patterns)
        need(bool(paths), f"no file is called {', '.join(self._patterns)}")
        paths = [path for path in paths if self._may_hold(Path(path).name)]
        paths.sort(key=lambda path: Path(path).stat().st_size, reverse=True)
        return [_File(path, n) for path in paths for n in range(self._reading.segments)]

    def _may_hold(self, file: str) -> bool:
        """Whether rows of that file can pass; what is asked of other columns is not known yet."""
        from ._columns import one_row

        row = one_row({"file": file}, "file string")
        return all(_passes(row, *f)[0].as_py() for f in self._filters if f[0] == "file")

    def read(self, partition: InputPartition | None) -> Iterator[pa.RecordBatch]:
        """The rows of a file or segment."""
        if not isinstance(partition, _File):  # no file was left
            return
        for batch in read_file(partition.path, self._reading, partition.segment):
            for one in self._filters:
                batch = batch.filter(_passes(batch, *one))
            if batch.num_rows > 0:
                yield batch


def _passes(rows: pa.RecordBatch, column: str, function: str, value: Any) -> pa.Array:
    """Which rows a filter lets through; null where SQL says so, which lets nothing through."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = rows.column(column)
    if function == "is_valid":
        return pc.is_valid(values)
    if function == "is_in":
        wanted = pa.array([v for v in value if v is not None], values.type)
        return pc.and_kleene(pc.is_in(values, wanted), pc.is_valid(values))
    return getattr(pc, function)(values, pa.scalar(value, values.type))


# ---- streams ----


@dataclass(frozen=True)
class _Admission:
    """How much a trigger takes, and how it is cut."""

    NAMES = ("max_rows", "partition_rows")
    max_rows: int
    partition_rows: int

    @classmethod
    def of(cls, options: Any) -> _Admission:
        numbers = {
            name: options.get(name, default)
            for name, default in zip(cls.NAMES, ("1000000", "250000"), strict=True)
        }
        for name, text in numbers.items():
            need(text.isdigit() and int(text) > 0, f"{name}={text!r}: a whole number, from 1")
        return cls(**{name: int(text) for name, text in numbers.items()})


@dataclass
class _Range(InputPartition):
    path: str
    first: int
    end: int


class _FolderReader(DataSourceStreamReader):
    """An offset says of each file, by its path, how many of its records are done."""

    def __init__(self, patterns: list[str], reading: Reading, admission: _Admission) -> None:
        self._patterns = patterns
        self._reading = reading
        self._admission = admission
        self._planned: dict[str, int] = {}
        self._counted: dict[str, tuple[tuple[int, int], int]] = {}  # by path: what it was, records

    def initialOffset(self) -> dict[str, Any]:
        """Nothing is done."""
        return {"files": {}}

    def latestOffset(self) -> dict[str, Any]:
        """As far as the next trigger goes: at most ``max_rows`` records more."""
        files = dict(self._planned)
        room = self._admission.max_rows
        for path in _files(self._patterns):
            if room == 0:
                break
            done = files.get(path, 0)
            take = min(room, self._records_of(path) - done)
            if take > 0:
                files[path] = done + take
                room -= take
        return {"files": files}

    def _records_of(self, path: str) -> int:
        stat = Path(path).stat()
        now = (stat.st_size, stat.st_mtime_ns)
        known = self._counted.get(path)
        if known is None or known[0] != now:
            known = now, count_rows(path, self._reading)
            self._counted[path] = known
        return known[1]

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """The records between two offsets. Spark also tells so where a checkpoint stands."""
        self._planned = dict(end["files"])
        step = self._admission.partition_rows
        return [
            _Range(path, first, min(first + step, last))
            for path, last in end["files"].items()
            for first in range(start["files"].get(path, 0), last, step)
        ]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The records of a range."""
        assert isinstance(partition, _Range)
        return read_range(partition.path, partition.first, partition.end, self._reading)
