"""What users give, looked at where it comes in: what cannot be right is told in one line."""

from __future__ import annotations

import datetime
import os
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ._errors import UsageError

When = datetime.datetime | str | int | None

#: Characters of the longest symbol of any venue.
_SYMBOL_MOST = 16


def shown(value: Any) -> str:
    """What was given, in the line of an error: an array or a table has many."""
    return textwrap.shorten(repr(value), 100, placeholder="...")


def at_least(
    name: str, value: Any, least: int, most: int = 2**31 - 1, *, whole: bool = False
) -> Any:
    """The value of an option, if it is a number in its range."""
    is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        what = "whole number" if whole else "number"
        raise UsageError(f"{name}={shown(value)}: a {what} from {least} to {most}")
    return value


def text_of(name: str, value: Any) -> str:
    """The value of an option that is a word."""
    if not isinstance(value, str):
        raise UsageError(f"{name}={shown(value)}: a text")
    return value


def list_of(name: str, value: Any, example: list[Any]) -> list[Any]:
    """The value of an option that is a list; one word is none."""
    if isinstance(value, str):
        raise UsageError(f"{name}={value!r}: a list, as [{value!r}]")
    if not isinstance(value, Iterable):
        raise UsageError(f"{name}={shown(value)}: a list, as {example!r}")
    return list(value)


def function_of(name: str, value: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """The value of an option that is a function, or none."""
    if value is not None and not callable(value):
        raise UsageError(f"{name}={shown(value)}: a function")
    return value


def path_of(name: str, value: Any) -> Path:
    """The name of a file."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise UsageError(f"{name}={shown(value)}: the name of a file")
    return Path(value)


def symbols_of(symbols: Iterable[str] | None) -> list[str]:
    """Symbols by name; none for all of them."""
    names = [] if symbols is None else list_of("symbols", symbols, ["AAPL"])
    for name in names:
        if not isinstance(name, str) or not name.isascii() or not 0 < len(name) <= _SYMBOL_MOST:
            raise UsageError(
                f"symbols: {name!r} is none; one has 1 to {_SYMBOL_MOST} ASCII characters"
            )
    return names


def time_of(name: str, when: datetime.datetime | str | int) -> int:
    """The value of an option that is a time, as :func:`nanoseconds` has it."""
    try:
        return nanoseconds(when)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def nanoseconds(when: datetime.datetime | str | int) -> int:
    """Nanoseconds since the Unix epoch; a time without a zone is UTC.

    >>> from millrace._arguments import nanoseconds
    >>> nanoseconds("2024-01-02T09:30:00-05:00")
    1704205800000000000
    >>> nanoseconds("2024-01-02T14:30:00.000000001Z") - nanoseconds("2024-01-02T09:30:00-05:00")
    1
    """
    if isinstance(when, int) and not isinstance(when, bool) and -(2**63) <= when < 2**63:
        return when
    fraction = ""
    if isinstance(when, str):
        # Python 3.10 takes three or six digits behind the seconds, and no Z; nobody takes nine.
        text = when.replace("Z", "+00:00")
        if parts := re.fullmatch(r"(.*:\d\d)\.(\d{1,9})([+-].*)?", text):
            text, fraction = parts[1] + (parts[3] or ""), parts[2]
        try:
            when = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{when!r} is no time; write 2024-01-02T14:30:00") from None
    if not isinstance(when, datetime.datetime):
        raise UsageError(f"{when!r} is no time: a datetime, a text, or whole nanoseconds")
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.timezone.utc)
    delta = when - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    seconds = delta.days * 86_400 + delta.seconds
    return seconds * 10**9 + delta.microseconds * 1000 + int(fraction.ljust(9, "0"))
