"""What a feed can be made from, told apart by how it is named."""

from __future__ import annotations

import datetime
import json
import os
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _core
from ._arguments import at_least, list_of, shown, text_of
from ._errors import ConfigError, FileError, UsageError

_KINDS = (
    "a capture, DBN or CSV file, udp://GROUP:PORT?iface=NAME, soup://ADDRESS:PORT, "
    "kafka://HOST:PORT/TOPIC, redis://HOST:PORT/KEY, amqp://HOST:PORT/QUEUE, raw://HOST:PORT, "
    "file:///PATH, a config file (*.toml), or sim://"
)
_LINES = frozenset({"udp", "soup"})
_RABBIT = frozenset({"amqp", "amqps"})
#: Streams of which nobody keeps how far they were read.
_PLACELESS = frozenset({"raw", "file"})
_STREAMS = frozenset({"kafka", "redis", "rediss"}) | _RABBIT | _PLACELESS
#: Limits of a session, and the most that they may be, as config files have it.
LIMITS = {"instruments": 65_535, "orders": 2**30, "levels": 2**28}
_RECEIVE = ("backend", "mode", "idle", "buffers", "buffer_bytes", "socket_buffer_bytes", "queue")


@dataclass
class Source:
    """How to make the C++ side of a feed, and what may be asked of it."""

    title: str
    make: Callable[[], _core.Core]
    live: bool
    resumable: bool
    files: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    #: Of a broker, which names its places itself: the URL, and whether its server keeps them.
    url: str = ""
    has_group: bool = False
    #: Whether it could have one.
    has_groups: bool = False
    #: The place to go on from; set before it is made.
    at: str = ""

    def identity(self) -> dict[str, Any]:
        """What a position belongs to."""
        return identity_of(self.files, self.settings)


def identity_of(files: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """Files by name and size, and what decides which rows come."""
    try:
        sizes = [[Path(name).name, Path(name).stat().st_size] for name in files]
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}") from None
    return {"files": sizes, "settings": settings}


def source_of(source: Any, common: dict[str, Any], options: dict[str, Any]) -> Source:
    """The source that a user's argument names."""
    try:
        given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
        names = [os.fspath(name) for name in given]
    except TypeError:
        names = [b""]
    if any(isinstance(name, bytes) for name in names):
        raise UsageError(f"{shown(source)} is no source; there is {_KINDS}")
    if not all(names) or not names:
        raise UsageError(f"name a source: {_KINDS}")
    schemes = {name.split("://")[0] if "://" in name else "" for name in names}
    if schemes <= _LINES:
        return _lines(names, common, options)
    if len(schemes) != 1:
        raise UsageError(f"{names}: sources of different kinds are different feeds")
    scheme = schemes.pop()
    if scheme == "sim":
        return _simulated(names, common, options)
    if scheme in _STREAMS:
        return _stream(names, common, options)
    if scheme:
        raise UsageError(f"{names[0]}: no source is called {scheme}://; there is {_KINDS}")
    if names[0].endswith(".toml"):
        return _config(names, common, options)
    if is_dbn(names[0]):
        return _dbn(names, common, options)
    if names[0].endswith((".csv", ".csv.gz", ".csv.zst")):
        return _csv_records(names, common, options)
    return _capture(names, common, options)


def is_dbn(name: str) -> bool:
    """Whether a file of that name is one of records."""
    return name.endswith((".dbn", ".dbn.gz", ".dbn.zst"))


def _dbn(names: list[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    if len(names) != 1:
        raise UsageError("one DBN file a feed")
    if common["symbols"]:
        raise UsageError("a DBN file gives all its records; choose by symbol in the batches")
    settings = common | _taken(options, {}, "a DBN file")
    return Source(
        title=names[0],
        make=lambda: _core.dbn_file(settings | {"file": names[0]}),
        live=False,
        resumable=True,
        files=names,
        settings=settings,
    )


def _csv_records(names: list[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    if len(names) != 1:
        raise UsageError("one CSV file a feed")
    settings = {"instruments": 65_536} | common | _limits(options)
    policy = _taken(options, {"bad_rows": "raise"}, "a CSV file")["bad_rows"]
    if policy not in ("raise", "skip"):
        raise UsageError(f"bad_rows={policy!r}: 'raise' or 'skip'")
    settings |= {"skip_bad": policy == "skip"}
    return Source(
        title=names[0],
        make=lambda: _core.csv_records(settings | {"file": names[0]}),
        live=False,
        resumable=True,
        files=names,
        settings=settings,
    )


def _taken(options: dict[str, Any], known: dict[str, Any], what: str) -> dict[str, Any]:
    """Options with their defaults; an unknown one is an error."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        others = f"there are {', '.join(sorted(known))}" if known else "it takes none"
        raise UsageError(f"{what} has no option {unknown[0]!r}; {others}")
    return known | options


def _limits(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: at_least(name, options.pop(name), 1, most, whole=True)
        for name, most in LIMITS.items()
        if name in options
    }


def _capture(names: list[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    settings = common | _limits(options)
    known = {"pace": 0.0, "sequential": False, "groups": [], "date": None}
    settings |= _taken(options, known, "a capture")
    settings["date"] = day_of(settings["date"])
    settings["pace"] = float(at_least("pace", settings["pace"], 0))
    groups = list_of("groups", settings["groups"], ["239.1.1.1:5000"])
    settings["groups"] = [text_of("groups", group) for group in groups]
    if not isinstance(settings["sequential"], bool):
        raise UsageError(f"sequential={settings['sequential']!r}: True or False")
    return Source(
        title=", ".join(names),
        make=lambda: _core.capture(settings | {"files": names}),
        live=False,
        resumable=True,
        files=names,
        settings={k: v for k, v in settings.items() if k not in ("pace",)},
    )


def day_of(date: datetime.date | str | None) -> int:
    """YYYYMMDD as a number, 0 for none."""
    if date is None:
        return 0
    if isinstance(date, str):
        try:
            date = datetime.date.fromisoformat(date)
        except ValueError:
            raise UsageError(f"date={date!r} is no day; write 2024-01-31") from None
    if not isinstance(date, datetime.date):
        raise UsageError(f"date={date!r} is no day; write '2024-01-31'")
    return date.year * 10_000 + date.month * 100 + date.day


def _config(names: list[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    if len(names) != 1:
        raise UsageError("one config file a feed")
    limits = _limits(options)
    settings = _taken(options, {"feed": "", "until_end": True}, "a config file")
    try:
        text = Path(names[0]).read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"{names[0]}: {error.strerror}; is the name right?") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{names[0]}: no UTF-8; this is no TOML") from None
    return _live(names[0], text, common | limits | settings)


def _lines(names: list[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    """Lines by multicast (``udp://``) and by SoupBinTCP (``soup://``), in any mixture."""
    limits = _limits(options)
    login = {"username": "", "password": ""}
    known = {"until_end": True, **login, **dict.fromkeys(_RECEIVE)}
    settings = _taken(options, known, "a live feed")
    venues = ", ".join(_core.venues())
    if not common["venue"]:
        raise UsageError(f"{names[0]}: say whose protocol it is by venue=; there are {venues}")
    if common["venue"] not in _core.venues():
        raise UsageError(f"no venue is called {common['venue']}; there are {venues}")
    receive = {key: settings.pop(key) for key in _RECEIVE}
    login = {key: text_of(key, settings.pop(key)) for key in login}
    if any(login.values()) and "soup" not in {name.split("://")[0] for name in names}:
        raise UsageError(f"{names[0]}: username= and password= are for soup://; leave them out")
    text = _table("[[feed]]", {"name": "feed", "venue": common["venue"]})
    for number, name in enumerate(names):
        line = _soup(name, login) if name.startswith("soup:") else _group(name, receive)
        text += _table("[[feed.line]]", {"name": chr(ord("A") + number)} | line)
    receive["mode"] = receive["mode"] or "run_to_completion"
    receive["idle"] = receive["idle"] or "wait"
    text += _table("[feed.receive]", {k: v for k, v in receive.items() if v is not None})
    return _live(", ".join(names), text, common | limits | settings | {"feed": ""})


def _table(head: str, keys: dict[str, Any]) -> str:
    """A table of the config file; JSON's values are TOML's."""
    return "\n".join([head, *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""])


def _split(name: str) -> urllib.parse.SplitResult:
    url = urllib.parse.urlsplit(name)
    try:
        url.port  # noqa: B018
    except ValueError:
        raise UsageError(f"{name}: its port is no number from 0 to 65535") from None
    return url


def _address(url: urllib.parse.SplitResult) -> str:
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{host}:{url.port}"


def _group(name: str, receive: dict[str, Any]) -> dict[str, Any]:
    url = _split(name)
    query = dict(urllib.parse.parse_qsl(url.query))
    interface = query.pop("iface", "")
    if not url.hostname or url.port is None or not interface:
        raise UsageError(f"{name}: write udp://239.1.1.1:5000?iface=eth0")
    for key, value in query.items():
        if key not in _RECEIVE:
            raise UsageError(f"{name}: no option is called {key}; there are {', '.join(_RECEIVE)}")
        receive[key] = int(value) if value.isdigit() else value
    return {"groups": [_address(url)], "interface": interface}


def _soup(name: str, login: dict[str, str]) -> dict[str, Any]:
    url = _split(name)
    if not url.hostname or url.port is None or url.query or url.path:
        raise UsageError(f"soup://{url.hostname or ''}: write soup://192.0.2.1:5000")
    if url.username or url.password:
        raise UsageError("soup://: give username= and password= beside the URL, not in it")
    return {"soup": _address(url)} | {key: value for key, value in login.items() if value}


def _stream(names: list[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    if len(names) != 1:
        raise UsageError("one stream a feed")
    base, _, query = names[0].partition("?")
    scheme, _, rest = base.partition("://")
    for host in rest.split("/")[0].split(","):
        _split(f"{scheme}://{host}")
    settings = common | _limits(options) | _taken(options, {}, "a stream")
    keys = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    is_rabbit = scheme in _RABBIT
    is_queue = is_rabbit and keys.get("type") != "stream"
    if is_queue:
        # So many batches may be out and not committed; with each commit some of them are read.
        keys.setdefault("prefetch", "1024")

    def make() -> _core.Core:
        here = keys | ({"from": source.at} if source.at else {})
        text = "&".join(f"{key}={urllib.parse.quote(value)}" for key, value in here.items())
        return _core.stream(settings | {"url": f"{base}?{text}" if text else base})

    source = Source(
        title=base,
        make=make,
        live=False,
        resumable=scheme not in _PLACELESS,
        settings=settings | {"url": base},
        url=base,
        has_group="group" in keys or is_queue,
        has_groups=not is_rabbit,
    )
    return source


def _live(title: str, text: str, settings: dict[str, Any]) -> Source:
    return Source(
        title=title,
        make=lambda: _core.live(settings | {"config": text, "title": title}),
        live=True,
        resumable=False,
    )


def _simulated(names: Sequence[str], common: dict[str, Any], options: dict[str, Any]) -> Source:
    known: dict[str, Any] = {
        "messages": 200_000,
        "symbols_count": 20,
        "peak_orders": 5_000,
        "rate": 20_000.0,
        "pace": 0.0,
        "seed": 1,
        "loss": 0.0,
        "lose_on_all": False,
        "lines": 2,
    }
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(names[0]).query))
    # Room for what it makes, rather than for an exchange.
    limits = {"orders": 200_000, "levels": 100_000, "instruments": 4096} | _limits(options)
    given: dict[str, Any] = dict(options)
    for key, value in query.items():
        if key not in known:
            options_known = ", ".join(known)
            raise UsageError(
                f"{names[0]}: the simulator has no option {key!r}; there are {options_known}"
            )
        try:
            given[key] = type(known[key])(json.loads(value)) if value else known[key]
        except (ValueError, TypeError):
            raise UsageError(f"{names[0]}: {key}={value} is no number") from None
    settings = common | limits | _taken(given, known, "the simulator")
    for key, usual in known.items():
        if isinstance(usual, float):
            settings[key] = float(at_least(key, settings[key], 0))
        elif not isinstance(usual, bool):
            at_least(key, settings[key], 0, whole=True)
    return Source(
        title=names[0],
        make=lambda: _core.simulated(settings),
        live=False,
        resumable=True,
        settings={k: v for k, v in settings.items() if k != "pace"},
    )
