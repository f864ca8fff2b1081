"""Where a feed stands: what was handed out, kept in a file, and resumed from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._arguments import at_least
from ._errors import FileError, FormatError, UsageError

_MOST = 2**63 - 1


@dataclass
class Position:
    """Rows handed out, by stream (a schema, or ``messages``); ``of`` describes the source.

    ``at`` is what a broker calls the place to go on from, as its URL's option ``from`` takes it. It
    lies behind the last of its batches of which all rows were handed out.
    """

    of: dict[str, Any]
    rows: dict[str, int]
    at: str = ""


class Checkpoint:
    """A file with the position up to which everything is done. It is replaced in one step."""

    def __init__(self, path: Path, source: dict[str, Any]) -> None:
        if not path.absolute().parent.is_dir():
            raise FileError(f"{path}: its folder does not exist")
        self._path = path
        self._rows: dict[str, int] = {}
        #: The place kept, where a broker has named it.
        self.at = ""
        if not path.exists():
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            of, at = kept["of"], str(kept.get("at", ""))
            rows = {
                name: at_least(name, n, 0, _MOST, whole=True) for name, n in kept["rows"].items()
            }
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FormatError(f"{path}: no checkpoint of ours; remove it to start over") from None
        if of != json.loads(json.dumps(source)):
            raise UsageError(f"{path}: belongs to another source; remove it to start over")
        self._rows = rows
        self.at = at

    def rows_of(self, stream: str) -> int:
        """Rows of a stream that were done when this feed was made."""
        return self._rows.get(stream, 0)

    def write(self, position: Position) -> None:
        """Keeps a position, and returns when it is on the disk."""
        kept = {"of": position.of, "rows": self._rows | position.rows, "at": position.at}
        text = json.dumps(kept)
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise FileError(f"{self._path}: {error.strerror}; nothing was committed") from None
