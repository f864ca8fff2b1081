"""CSV files read in the background: rows or batches, a schema, a policy for bad rows."""

from __future__ import annotations

import asyncio
import csv
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ._errors import FileError, FormatError, UsageError
from ._position import Checkpoint, Position
from ._sources import identity_of

Row = dict[str, Any]
_END = None
_TURN_S = 0.0005


class BadRow(FormatError):
    """A row that does not fit the schema: where it is, and why."""

    def __init__(self, path: str, line: int, why: str, row: list[str]) -> None:
        super().__init__(f"{path}: line {line}: {why}")
        self.line = line
        self.row = row


class CsvRows:
    """Rows of a CSV file. Made by :func:`read_csv`; iterate it with ``async for`` or ``for``."""

    def __init__(
        self,
        path: Path,
        schema: Mapping[str, Callable[[str], Any]] | None,
        on_error: str | Callable[[BadRow], None],
        delimiter: str,
        max_waiting: int,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        if isinstance(on_error, str) and on_error not in ("raise", "skip"):
            raise UsageError(f"on_error={on_error!r}: 'raise', 'skip' or a function")
        self._path = path
        self._schema = schema
        self._on_error = on_error
        self._delimiter = delimiter
        self._chunk = max(1, min(1024, max_waiting // 4))
        self._queue: queue.Queue[list[tuple[int, Row]] | Exception | None] = queue.Queue(
            max(1, max_waiting // self._chunk)
        )
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] | None = None
        self._file = self._open()
        of = identity_of([str(path)], {})
        self._position = Position(of, {"csv": 0})
        self._checkpoint = None if checkpoint is None else Checkpoint(Path(checkpoint), of)
        self._skip = 0 if self._checkpoint is None else self._checkpoint.rows_of("csv")
        self._position.rows["csv"] = self._skip
        #: Rows that were read and did not fit, so far.
        self.bad_rows = 0

    def _open(self) -> IO[str]:
        try:
            return self._path.open(newline="", encoding="utf-8")
        except OSError as error:
            raise FileError(f"{self._path}: {error.strerror}; is the name right?") from None

    # ---- the reading thread ----

    def _read(self) -> None:
        try:
            with self._file:
                self._read_rows()
            self._put(_END)
        except Exception as error:
            self._put(error)

    def _read_rows(self) -> None:
        reader = csv.reader(self._file, delimiter=self._delimiter)
        names = next(reader, None)
        if names is None:
            return
        converters = self._converters(names)
        rows: list[tuple[int, Row]] = []
        number = 0
        for fields in reader:
            number += 1
            if number <= self._skip:
                continue
            row = self._convert(reader.line_num, names, converters, fields)
            if row is not None:
                rows.append((number, row))
            if len(rows) >= self._chunk:
                if not self._put(rows):
                    return
                rows = []
        if rows:
            self._put(rows)

    def _converters(self, names: list[str]) -> list[Callable[[str], Any]]:
        schema = self._schema or {}
        missing = [name for name in schema if name not in names]
        if missing:
            raise FormatError(
                f"{self._path}: has no column {missing[0]!r}; it has {', '.join(names)}"
            )
        return [schema.get(name, str) for name in names]

    def _convert(
        self, line: int, names: list[str], converters: list[Callable[[str], Any]], fields: list[str]
    ) -> Row | None:
        why = f"{len(fields)} fields instead of {len(names)}"
        if len(fields) == len(names):
            try:
                return {n: c(f) for n, c, f in zip(names, converters, fields, strict=True)}
            except (ValueError, ArithmeticError) as error:
                why = str(error)
        bad = BadRow(str(self._path), line, why, fields)
        self.bad_rows += 1
        if self._on_error == "raise":
            raise bad
        if callable(self._on_error):
            self._on_error(bad)
        return None

    def _put(self, item: list[tuple[int, Row]] | Exception | None) -> bool:
        """Waits while the consumer is behind: this is what keeps memory bounded."""
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            wake = self._wake
            if wake is not None:
                wake()
            return True
        return False

    # ---- the consumer ----

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="millrace-csv", daemon=True)
            self._thread.start()

    def _checked(
        self, item: list[tuple[int, Row]] | Exception | None
    ) -> list[tuple[int, Row]] | None:
        if isinstance(item, Exception):
            self.close()
            raise item
        if item is None:
            self.close()
        return item

    async def _chunks(self) -> AsyncIterator[list[tuple[int, Row]]]:
        self._start()
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(arrived.set)
            except RuntimeError:  # the loop was closed
                self._closing.set()

        self._wake = wake
        began = time.perf_counter()
        while True:
            arrived.clear()
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                await arrived.wait()
                began = time.perf_counter()
                continue
            rows = self._checked(item)
            if rows is None:
                return
            yield rows
            if time.perf_counter() - began > _TURN_S:
                await asyncio.sleep(0)
                began = time.perf_counter()

    async def __aiter__(self) -> AsyncIterator[Row]:
        async for rows in self._chunks():
            for number, row in rows:
                self._position.rows["csv"] = number
                yield row

    def __iter__(self) -> Iterator[Row]:
        self._start()
        while (rows := self._checked(self._queue.get())) is not None:
            for number, row in rows:
                self._position.rows["csv"] = number
                yield row

    async def batches(self) -> AsyncIterator[list[Row]]:
        """Lists of rows, as they are read."""
        async for rows in self._chunks():
            self._position.rows["csv"] = rows[-1][0]
            yield [row for _, row in rows]

    @property
    def position(self) -> Position:
        """Rows handed out, counted from the first behind the header, bad ones included."""
        return self._position

    async def commit(self) -> Position:
        """Says that every row handed out so far is done, and keeps it in the checkpoint."""
        if self._checkpoint is None:
            raise UsageError("nowhere to commit to; read with checkpoint='FILE'")
        await asyncio.to_thread(self._checkpoint.write, self._position)
        return self._position

    def close(self) -> None:
        """Ends the reading."""
        self._closing.set()

    def __del__(self) -> None:
        if hasattr(self, "_closing"):
            self.close()


def read_csv(
    path: str | os.PathLike[str],
    schema: Mapping[str, Callable[[str], Any]] | None = None,
    *,
    on_error: str | Callable[[BadRow], None] = "raise",
    delimiter: str = ",",
    max_waiting: int = 4096,
    checkpoint: str | os.PathLike[str] | None = None,
) -> CsvRows:
    """Rows of a CSV file with a header, as dicts, read by a thread while you process them.

    ``schema`` says what turns a column's text into a value, as ``{"price": float}``; other columns
    stay text. A row with too few or too many fields, or with a value that does not convert, is a
    :class:`BadRow`: raised, skipped and counted, or given to a function. At most about
    ``max_waiting`` rows are read ahead. With a ``checkpoint``, reading resumes behind the last
    :meth:`CsvRows.commit`.
    """
    return CsvRows(Path(path), schema, on_error, delimiter, max_waiting, checkpoint)
