"""What is wrong, out of an error of Spark's that fills pages."""

from __future__ import annotations

import re

#: What an executor's or the driver's Python raised: the last of its traceback.
_OURS = re.compile(r"^millrace\._errors\.\w+: (.+)$", re.MULTILINE)
#: Where Python runs that has not got this package, or one that it needs.
_ABSENT = re.compile(r"^ *(?:ModuleNotFound|Import)Error: (No module named .+)$", re.MULTILINE)
_ABSENT_HINT = "; PYSPARK_PYTHON names the Python of the workers, which must have it"
#: Other errors of Python's, which Java's have a package before their names and these have not.
_PYTHON = re.compile(r"^ *((?!org\.|java\.|py4j\.)[\w.]*(?:Error|Exception): .+)$", re.MULTILINE)
#: What a table of ours raises in SQL.
_RAISED = re.compile(r"\[USER_RAISED_EXCEPTION\] millrace: (.+?)(?: SQLSTATE: \w+)?$", re.MULTILINE)
#: Spark's own word for what is wrong, with its error class.
_SPARK = re.compile(r"\[(?:DATA_SOURCE_NOT_FOUND|UNRESOLVED_COLUMN)\S*\] .+")
#: The deepest cause that Java names, or else its error.
_CAUSE = re.compile(r"^Caused by: (?:[\w$]+\.)*([\w$]+: .+|[\w$]+)$", re.MULTILINE)
_JAVA = re.compile(r"^: (?:[\w$]+\.)*([\w$]+: .+)$", re.MULTILINE)
#: By what Spark says when it knows no more: what to try.
_HINTS = {
    "[JAVA_GATEWAY_EXITED]": "Java did not start (above it says why); install a JDK, 17 or later, "
    "and let JAVA_HOME name its folder",
    "failed to connect back": "a Python worker did not start (above it says why); "
    "does the Python that PYSPARK_PYTHON names have millrace, pyspark and pyarrow?",
    "Timed out waiting for a node assignment": "no broker answers; "
    "is kafka.bootstrap.servers right, and does it run?",
    'the return value of "scala.Option.get()" is null': "Spark ended the query when it had done "
    "again the batch that was cut off; start it once more",
}


def reason(error: BaseException) -> str:
    """The one line of an exception of a Spark job that says what is wrong.

    An error of this package in the driver or an executor is told as it was raised there, and with
    its file's name; of others Python's or Java's deepest cause, or the first line.
    """
    text = str(error)
    text += "\n" + (getattr(error, "_stackTrace", None) or "")  # PySpark shows it to nobody
    if found := _OURS.findall(text):
        return str(found[-1])
    if found := _RAISED.findall(text):
        return str(found[-1])
    if found := _ABSENT.findall(text):
        return str(found[-1]) + _ABSENT_HINT
    for words, hint in _HINTS.items():
        if words in text:
            return hint
    of_python = [_PYTHON] if "Traceback (most recent call last)" in text else []
    for pattern in (*of_python, _SPARK, _CAUSE, _JAVA):
        if found := pattern.findall(text):
            return str(found[-1])
    return next((line for line in text.splitlines() if line.strip()), type(error).__name__)
