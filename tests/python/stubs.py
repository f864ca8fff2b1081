"""Writes the message classes of python/millrace/_core.pyi from the extension's own tables.

python tests/python/stubs.py prints the whole file; --write puts it in its place.
"""

import sys
from pathlib import Path

from millrace import _core

STUB = Path(__file__).parents[2] / "python" / "millrace" / "_core.pyi"
MARK = "# ---- messages ----\n"
MESSAGES = (
    *("Mbo", "Trade", "Bbo", "Depth", "Status", "Definition", "Imbalance", "Statistics"),
    *("Bar1s", "Bar", "Bbo1s", "Gap", "Quality", "Reconnect"),
)


def message_stub(name: str) -> str:
    """The class of one message: a property for each field."""
    kind = getattr(_core, name)
    fields, _ = _core.dtype_fields(kind.RTYPE)
    lines = [f"class {name}:", f'    """{kind.__doc__}"""', "", "    RTYPE: int"]
    lines += ["    @property", "    def symbol(self) -> str | None: ..."]
    for field, _, _, what in fields:
        if field == "length":
            continue
        lines += [
            "    @property",
            f"    def {field}(self) -> {'str' if what == 'text' else 'int'}: ...",
        ]
        if what == "price":
            lines += ["    @property", f"    def pretty_{field}(self) -> float | None: ..."]
    lines += ["    @property", "    def raw(self) -> bytes: ..."]
    return "\n".join(lines) + "\n"


def stub_text() -> str:
    """The stub file as it should be."""
    head = STUB.read_text(encoding="utf-8").split(MARK)[0]
    known = [name for name in MESSAGES if hasattr(_core, name)]
    return head + MARK + "\n" + "\n".join(message_stub(name) for name in known)


if __name__ == "__main__":
    if "--write" in sys.argv:
        STUB.write_text(stub_text(), encoding="utf-8")
    else:
        print(stub_text(), end="")
