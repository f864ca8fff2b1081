"""Errors: one class a kind of trouble, with the exit code that the command would end with."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from . import _core

#: Where the code of the package is.
_HERE = str(Path(__file__).parent) + os.sep


class MillraceError(Exception):
    """Something Millrace could not do. ``code`` is the exit code in docs/exit-codes.md."""

    code = 1


class MillraceWarning(UserWarning):
    """Something that a program may have overlooked, and that goes on all the same."""


def warn(text: str) -> None:
    """Warns whoever called the package, with the line of theirs that did."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, MillraceWarning, stacklevel=level)


class UsageError(MillraceError, ValueError):
    """An argument that makes no sense, or two that do not go together."""

    code = 2


class ConfigError(MillraceError):
    """A config that cannot be read, or that says something impossible."""

    code = 3


class FileError(MillraceError, OSError):
    """A file that is missing, unreadable or cannot be written."""

    code = 4


class FormatError(MillraceError):
    """A file or stream that is not what it should be, or is damaged."""

    code = 5


class InterfaceError(MillraceError):
    """A network interface that is not there, or a group it cannot join."""

    code = 6


class PrivilegeError(MillraceError):
    """Something that the kernel does not let this user do."""

    code = 7


class BackendError(MillraceError):
    """The required receive backend does not work here."""

    code = 8


class ResourceError(MillraceError):
    """A port, descriptor or other resource that is used up or taken."""

    code = 11


class NoPosition(MillraceError):
    """This source cannot be resumed: what was sent is gone (raw UDP and TCP)."""

    code = 2


_BY_CODE: dict[int, type[MillraceError]] = {
    kind.code: kind
    for kind in (
        MillraceError,
        UsageError,
        ConfigError,
        FileError,
        FormatError,
        InterfaceError,
        PrivilegeError,
        BackendError,
        ResourceError,
    )
}


def error_of(code: int, message: str) -> MillraceError:
    """The exception for an exit code of the C++ side."""
    error = _BY_CODE.get(code, MillraceError)(message)
    error.code = code
    return error


@contextlib.contextmanager
def core_errors() -> Iterator[None]:
    """Turns errors of the C++ side into Millrace's own."""
    try:
        yield
    except _core.CoreError as error:
        code, message = error.args
        raise error_of(code, message) from None
