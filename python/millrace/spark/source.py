"""The data source ``millrace``: captures and DBN files as tables and as streams.

Spark loads this module in its Python workers, on every machine; it needs nothing but the package.
"""

from __future__ import annotations

import json
import os
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

from .._errors import FileError, FormatError
from ._columns import need, one_row
from ._files import count_rows, problem_row, read_file, read_range
from ._listing import Found, files_of, keys_in, keys_of, local_path, name_below, warn_of, watched
from ._options import WHOLE, Admission, Choice, Reading, check_names

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType


class MillraceSource(DataSource):
    """``spark.read.format("millrace")`` and ``spark.readStream.format("millrace")``."""

    @classmethod
    def name(cls) -> str:
        """What it is called in ``format``."""
        return "millrace"

    def _own(self) -> dict[str, str]:
        """The options, by names in lower case, without where the files are."""
        own = {k.lower(): v for k, v in self.options.items() if k.lower() not in ("path", "paths")}
        check_names(own)
        return own

    def schema(self) -> str:
        """Columns by the option ``schema``, and one of text for each key of the files' folders."""
        own = self._own()
        columns = Reading.of(own).columns
        keys = keys_in(_patterns(self.options), Choice.of(own), columns)
        return ", ".join([columns, *(f"{key} string" for key in keys)])

    def reader(self, schema: StructType) -> DataSourceReader:
        """All files at once, a task each."""
        own = self._own()
        for name in Admission.NAMES:
            need(name not in own, f"{name} is for streams; leave it out")
        reading = Reading.of(own)
        shape = _Shape(reading, Choice.of(own), _keys_of(schema, reading))
        return _FilesReader(_patterns(self.options), shape)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """Files as they appear and grow."""
        own = self._own()
        reading = Reading.of(own)
        made = reading.kind not in WHOLE
        need(made, f"{reading.kind} are made of whole files; a stream is of records, as mbo")
        need(reading.segments == 1, "a stream's tasks are cut by partition_rows, not by segments")
        patterns = _patterns(self.options)
        for one in patterns:
            there = os.access(watched(one), os.F_OK)
            need(there, f"{one}: no such folder; make it before the stream waits")
        shape = _Shape(reading, Choice.of(own), _keys_of(schema, reading))
        return _FolderReader(patterns, shape, Admission.of(own))


def _keys_of(schema: StructType, reading: Reading) -> tuple[str, ...]:
    """Columns behind those that the rows have of themselves."""
    return tuple(schema.names[len(reading.columns.split(", ")) :])


@dataclass
class _Shape:
    """What rows are made of: what is read, of which files, and the keys of their folders."""

    reading: Reading
    choice: Choice
    keys: tuple[str, ...]

    def values_of(self, name: str) -> dict[str, str | None]:
        """Of a file, by key; null where its folders have none."""
        found = keys_of(name, self.choice)
        return {key: found.get(key) for key in self.keys}

    def add_keys(self, name: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of a file with the columns that its folders make."""
        import pyarrow as pa

        for rows in batches:
            for key, value in self.values_of(name).items():
                column = pa.repeat(pa.scalar(value, pa.string()), rows.num_rows)
                rows = rows.append_column(key, column)
            yield rows


def _patterns(options: Any) -> list[str]:
    """What was given to ``load``."""
    many = options.get("paths")
    names = json.loads(many) if many else [options.get("path", "")]
    need(all(names), "name the files: load('captures/*.pcap')")
    return [local_path(name) for name in names]


# ---- tables ----


@dataclass
class _File(InputPartition):
    found: Found
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
    def __init__(self, patterns: list[str], shape: _Shape) -> None:
        self._patterns = patterns
        self._shape = shape
        self._reading = shape.reading
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
        files = files_of(self._patterns, self._shape.choice)
        found = [one for one in files if self._may_hold(one.name)]
        read = sorted((one for one in found if not one.why), key=_size_of, reverse=True)
        parts = [_File(one, n) for one in read for n in range(self._reading.segments)]
        passed_over = [one for one in found if one.why]
        if self._reading.report:
            return [*parts, *(_File(one, 0) for one in passed_over)]
        warn_of(passed_over)
        return parts

    def _may_hold(self, file: str) -> bool:
        """Whether rows of that file can pass; what is asked of other columns is not known yet."""
        known = {"file": file, **self._shape.values_of(file)}
        row = one_row(known, ", ".join(f"{name} string" for name in known))
        return all(_passes(row, *f)[0].as_py() for f in self._filters if f[0] in known)

    def read(self, partition: InputPartition | None) -> Iterator[pa.RecordBatch]:
        """The rows of a file or segment."""
        if not isinstance(partition, _File):  # no file was left
            return
        for batch in _rows_of(partition, self._shape):
            for one in self._filters:
                batch = batch.filter(_passes(batch, *one))
            if batch.num_rows > 0:
                yield batch


def _rows_of(part: _File, shape: _Shape) -> Iterator[pa.RecordBatch]:
    found = part.found
    if found.why:
        rows = iter([_not_read(found, shape.reading)])
    else:
        rows = read_file(found.path, found.name, shape.reading, part.segment)
    return shape.add_keys(found.name, rows)


def _not_read(found: Found, reading: Reading) -> pa.RecordBatch:
    return problem_row(found.name, f"{found.path}: not read: {found.why}", reading)


def _size_of(found: Found) -> int:
    try:
        return Path(found.path).stat().st_size
    except OSError:  # which the task says that reads it
        return 0


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


@dataclass
class _Range(InputPartition):
    path: str
    name: str
    first: int
    end: int


class _FolderReader(DataSourceStreamReader):
    """An offset says of each file, by its path, how many of its records are done.

    With ``bad_files=report`` it also says why others are not read, each of which gives a row then.
    """

    def __init__(self, patterns: list[str], shape: _Shape, admission: Admission) -> None:
        self._patterns = patterns
        self._shape = shape
        self._reading = shape.reading
        self._admission = admission
        self._planned: dict[str, int] = {}
        self._counted: dict[str, tuple[tuple[int, int], int]] = {}  # by path: what it was, records
        self._told: set[str] = set()

    def initialOffset(self) -> dict[str, Any]:
        """Nothing is done."""
        return {"files": {}, "not_read": {}}

    def latestOffset(self) -> dict[str, Any]:
        """As far as the next trigger goes: at most ``max_rows`` records more."""
        files = dict(self._planned)
        room = self._admission.max_rows
        found = files_of(self._patterns, self._shape.choice, may_come=True)
        for path in (one.path for one in found if not one.why):
            if room == 0:
                break
            done, held = files.get(path, 0), self._records_of(path)
            if held < done:
                raise FormatError(f"{path}: {held} records, and {done} were read; was it replaced?")
            take = min(room, held - done)
            if take > 0:
                files[path] = done + take
                room -= take
        return {"files": files, "not_read": self._passed_over([one for one in found if one.why])}

    def _passed_over(self, found: list[Found]) -> dict[str, str]:
        """By path, why; or none, where a warning says so."""
        if self._reading.report:
            return {one.path: one.why for one in found}
        warn_of([one for one in found if one.path not in self._told])
        self._told |= {one.path for one in found}
        return {}

    def _records_of(self, path: str) -> int:
        try:
            stat = Path(path).stat()
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from None
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
        known = start.get("not_read", {})
        return [
            _Range(path, name_below(path, self._patterns), first, min(first + step, last))
            for path, last in end["files"].items()
            for first in range(start["files"].get(path, 0), last, step)
        ] + [
            _File(Found(path, name_below(path, self._patterns), why), 0)
            for path, why in end.get("not_read", {}).items()
            if path not in known
        ]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The records of a range."""
        if isinstance(partition, _File):
            return _rows_of(partition, self._shape)
        assert isinstance(partition, _Range)
        first, end = partition.first, partition.end
        rows = read_range(partition.path, partition.name, first, end, self._reading)
        return self._shape.add_keys(partition.name, rows)
