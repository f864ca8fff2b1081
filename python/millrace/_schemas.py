"""Record types: the schemas of DBN, their NumPy dtypes, and which object stands for which."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _core
from ._errors import UsageError

if TYPE_CHECKING:
    import numpy as np

#: Record type (DBN's rtype) of each schema.
RTYPES: dict[str, int] = dict(_core.schemas())

#: The feed's own events, which travel with the records.
EVENTS: dict[int, type[Any]] = {
    kind.RTYPE: kind for kind in (_core.Gap, _core.Quality, _core.Reconnect)
}

#: The schema that brings a message type, where a feed can make it.
SCHEMA_OF: dict[type[Any], str] = {
    _core.Mbo: "mbo",
    _core.Trade: "trades",
    _core.Bbo: "mbp-1",
    _core.Depth: "mbp-10",
    _core.Status: "status",
    _core.Definition: "definition",
    _core.Imbalance: "imbalance",
    _core.Statistics: "statistics",
}

#: DBN's kinds of fields, as the extension numbers them.
PRICE, TIMESTAMP, TEXT = "price", "timestamp", "text"


#: Schemas that feeds make of what they receive; files may hold others.
MADE = (*SCHEMA_OF.values(), "tbbo")


def rtype_of(schema: str, meant: Iterable[str] = RTYPES) -> int:
    """The record type of a schema by name; an error says which may have been ``meant``."""
    try:
        return RTYPES[schema]
    except (KeyError, TypeError):
        raise UsageError(f"no schema is called {schema!r}; there are {', '.join(meant)}") from None


@functools.cache
def dtype_of(record_type: int) -> np.dtype[Any]:
    """The structured dtype of a record type: every field of the DBN record, by its name."""
    import numpy as np

    fields, size = _core.dtype_fields(record_type)
    return np.dtype(
        {
            "names": [name for name, _, _, _ in fields],
            "formats": [text for _, text, _, _ in fields],
            "offsets": [offset for _, _, offset, _ in fields],
            "itemsize": size,
        }
    )


def dtype(schema: str) -> np.dtype[Any]:
    """The NumPy dtype of a schema's records.

    >>> import millrace
    >>> millrace.dtype("trades").itemsize
    48
    >>> millrace.dtype("mbo")["price"]
    dtype('int64')
    """
    return dtype_of(rtype_of(schema))
