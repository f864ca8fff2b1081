"""What is wrong, out of an error of Spark's that fills pages."""

from __future__ import annotations

import re

#: What an executor's or the driver's Python raised: the last of its traceback.
_OURS = re.compile(r"^millrace\._errors\.\w+: (.+)$", re.MULTILINE)
#: Where Python runs that has not got this package, or one that it needs.
_ABSENT = re.compile(r"^ModuleNotFoundError: (.+)$", re.MULTILINE)
#: Spark's own word for what is wrong, with its error class.
_SPARK = re.compile(r"\[(?:DATA_SOURCE_NOT_FOUND|UNRESOLVED_COLUMN)\S*\] .+")
#: The deepest cause that Java names.
_CAUSE = re.compile(r"^Caused by: (?:[\w$]+\.)*([\w$]+: .+|[\w$]+)$", re.MULTILINE)


def reason(error: BaseException) -> str:
    """The one line of an exception of a Spark job that says what is wrong.

    An error of this package in the driver or an executor is told as it was raised there, and with
    its file's name; of others Java's deepest cause, or the first line.
    """
    text = str(error)
    text += "\n" + (getattr(error, "_stackTrace", None) or "")  # PySpark shows it to nobody
    for pattern in (_OURS, _ABSENT, _SPARK, _CAUSE):
        found = pattern.findall(text)
        if found:
            return str(found[-1])
    return next((line for line in text.splitlines() if line.strip()), type(error).__name__)
