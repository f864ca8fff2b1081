"""What users get wrong, and what goes wrong: one exception each, of one line."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import redis
import servers
from conftest import command

import millrace

SIM = "sim://?messages=2000&symbols_count=3"
LO = "udp://239.1.1.1:5000?iface=lo"


def serve(record: object, **options: object) -> None:
    async def main() -> None:
        async with await millrace.serve_tcp(record, **options):
            pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: millrace.replay("/nowhere/day.pcap"), millrace.FileError, "day.pcap"),
        (lambda: millrace.replay("/tmp"), millrace.FileError, "directory"),
        (lambda: millrace.Feed("/nowhere/feed.toml"), millrace.FileError, "feed.toml"),
        (lambda: millrace.Feed("ftp://host/x"), millrace.UsageError, "no source is called ftp"),
        (lambda: millrace.Feed(None), millrace.UsageError, "None is no source"),
        (lambda: millrace.Feed(7), millrace.UsageError, "7 is no source"),
        (lambda: millrace.Feed([]), millrace.UsageError, "name a source"),
        (lambda: millrace.Feed(""), millrace.UsageError, "name a source"),
        (lambda: millrace.Feed([LO, SIM], venue="iex-deep"), ValueError, "different kinds"),
        (lambda: millrace.Feed(LO), millrace.UsageError, "by venue=; there are nasdaq-itch50"),
        (
            lambda: millrace.Feed(LO, venue="nasdac"),
            millrace.UsageError,
            "called nasdac; there are",
        ),
        (lambda: millrace.Feed("udp://239.1.1.1:5000", venue="nasdaq-itch50"), ValueError, "iface"),
        (
            lambda: millrace.Feed("udp://239.1.1.1:99999?iface=lo", venue="iex-deep"),
            ValueError,
            "65535",
        ),
        (lambda: millrace.Feed("kafka://127.0.0.1:abc/t"), millrace.UsageError, "its port"),
        (lambda: millrace.Feed("kafka://127.0.0.1"), millrace.UsageError, "/TOPIC"),
        (lambda: millrace.Feed("amqp://127.0.0.1"), millrace.UsageError, "/QUEUE"),
        (lambda: millrace.Feed("redis://127.0.0.1:9/k"), millrace.ResourceError, "refused"),
        pytest.param(  # ten seconds
            *(
                lambda: millrace.Feed("kafka://127.0.0.1:9/t"),
                millrace.ResourceError,
                r"127.0.0.1:9/t: .*is what it speaks there plaintext \(security.protocol\)",
            ),
            marks=pytest.mark.long,
        ),
        (lambda: millrace.Feed("amqp://127.0.0.1:9/q"), millrace.ResourceError, "127.0.0.1:9"),
        (lambda: millrace.Feed(SIM, overflow="lose"), ValueError, "drop_oldest"),
        (lambda: millrace.Feed(SIM, books="later"), ValueError, "'now' or 'batch'"),
        (lambda: millrace.Feed(SIM, speed=2), millrace.UsageError, "no option 'speed'"),
        (lambda: millrace.Feed(SIM, symbols="AAAA"), millrace.UsageError, r"as \['AAAA'\]"),
        (lambda: millrace.Feed(SIM, buffer_bytes=-1), millrace.UsageError, "buffer_bytes=-1"),
        (lambda: millrace.Feed(SIM, buffer_quiet="1"), millrace.UsageError, "buffer_quiet='1'"),
        (lambda: millrace.Feed(SIM, orders=0), millrace.UsageError, "orders=0"),
        (lambda: millrace.Feed(SIM, orders=2**31), millrace.UsageError, "to 1073741824"),
        (lambda: millrace.Feed(SIM, instruments=1.5), millrace.UsageError, "whole number"),
        (lambda: millrace.Feed(SIM, pace=-1), millrace.UsageError, "pace=-1"),
        (lambda: millrace.Feed(SIM, checkpoint="/nowhere/kept"), millrace.FileError, "folder"),
        (lambda: millrace.Feed("sim://?messages=many"), millrace.UsageError, "no number"),
        (lambda: millrace.Feed("sim://?messages=-1"), millrace.UsageError, "messages=-1"),
        (lambda: millrace.Feed("sim://?loss=5"), millrace.UsageError, "0 to 1"),
        (lambda: millrace.Feed("sim://?speed=5"), millrace.UsageError, "'speed'; there are mess"),
        (
            lambda: millrace.Feed(SIM).batches("bbo"),
            ValueError,
            "no schema is .*mbp-10, .*s, tbbo$",
        ),
        (lambda: millrace.Feed(SIM).batches("mbo", max_rows=0), ValueError, "max_rows=0"),
        (lambda: millrace.Feed(SIM).batches("mbo", max_rows="9"), ValueError, "max_rows='9'"),
        (lambda: millrace.Feed(SIM).batches("mbo", max_wait=-1), ValueError, "max_wait=-1"),
        (lambda: millrace.Feed(SIM).batches("mbo", overflow="x"), ValueError, "drop_oldest"),
        (lambda: millrace.Feed(SIM).batches(["mbo"]), millrace.UsageError, "no schema"),
        (lambda: millrace.Feed(SIM).batches("mbo", overflow="conflate"), ValueError, "conflated"),
        (lambda: millrace.Feed(SIM).messages(int), millrace.UsageError, "no message"),
        (lambda: millrace.Feed(SIM, start="soon"), millrace.UsageError, "no time"),
        (lambda: millrace.Feed(SIM, start=1.5), millrace.UsageError, "start: 1.5 is no time"),
        (lambda: millrace.Feed(SIM, end="x"), millrace.UsageError, "end: 'x' is no time"),
        (lambda: millrace.Feed(SIM, symbols=[7]), millrace.UsageError, "7 is none"),
        (lambda: millrace.Feed(SIM, symbols=["A" * 17]), millrace.UsageError, "1 to 16 ASCII"),
        (lambda: millrace.Feed(SIM, symbols=7), millrace.UsageError, "symbols=7: a list"),
        (lambda: millrace.Feed(SIM, venue=7), millrace.UsageError, "venue=7: a text"),
        (lambda: millrace.Feed(SIM, checkpoint=7), millrace.UsageError, "checkpoint=7"),
        (lambda: millrace.Feed(SIM, checkpoint="/tmp"), millrace.FileError, "directory"),
        (lambda: millrace.Feed(SIM).book(7), millrace.UsageError, "symbol=7: a text"),
        (lambda: millrace.Feed(SIM).on(millrace.Trade)(7), millrace.UsageError, "7 cannot be"),
        (lambda: millrace.Feed(SIM).on(), millrace.UsageError, "name the types"),
        (lambda: millrace.bars("day.pcap"), millrace.UsageError, "'day.pcap' is no feed"),
        (lambda: millrace.bars(millrace.Feed(SIM), "0s"), millrace.UsageError, "interval='0s'"),
        (lambda: millrace.books_at("x", ["12:00"], "AA"), millrace.UsageError, r"as \['AA'\]"),
        (lambda: millrace.books_at("x", "12:00", ["AA"]), millrace.UsageError, "times='12:00'"),
        (lambda: millrace.decode_dbn("text", "mbo"), millrace.UsageError, "data=str: bytes"),
        (lambda: millrace.to_parquet(millrace.Feed(SIM), "/nowhere/x"), OSError, "/nowhere/x: "),
        (
            lambda: millrace.to_parquet(millrace.Feed(SIM), "/tmp/x.parquet", compression="best"),
            millrace.UsageError,
            "best",
        ),
        (
            lambda: millrace.to_dbn(millrace.Feed(SIM), "/nowhere/x.dbn"),
            OSError,
            "/nowhere/x.dbn: ",
        ),
        (lambda: millrace.to_csv(millrace.Feed(SIM), 7), millrace.UsageError, "path=7"),
        (
            lambda: millrace.Feed([b"day.pcap"]),
            millrace.UsageError,
            r"\[b'day.pcap'\] is no source",
        ),
        (lambda: millrace.replay("x", groups=5), millrace.UsageError, "groups=5: a list, as"),
        (lambda: millrace.replay("x", groups=[5]), millrace.UsageError, "groups=5: a text"),
        (lambda: millrace.Feed("x.dbn", pace=1), millrace.UsageError, "'pace'; it takes none"),
        (lambda: millrace.Feed(SIM, start=True), millrace.UsageError, "start: True is no time"),
        (lambda: millrace.Feed(SIM, start=7, end=7), millrace.UsageError, "start=7 is not before"),
        (
            lambda: millrace.Feed(LO, venue="iex-deep", checkpoint="x.json"),
            millrace.NoPosition,
            "no position to resume",
        ),
        (
            lambda: millrace.Feed(LO, venue="iex-deep", password="x"),
            millrace.UsageError,
            "are for soup://",
        ),
        (
            lambda: millrace.Feed("soup://127.0.0.1:9", venue="iex-deep", username=5),
            millrace.UsageError,
            "username=5: a text",
        ),
        (
            lambda: millrace.Feed("soup://127.0.0.1", venue="iex-deep"),
            millrace.UsageError,
            "soup://127.0.0.1: write",
        ),
        (
            lambda: millrace.Feed(SIM).messages([millrace.Trade]),
            millrace.UsageError,
            "no message .* Trade, .* Gap, Quality, Reconnect",
        ),
        (lambda: millrace.Feed(SIM).on_error(5), millrace.UsageError, "5 cannot be called"),
        (lambda: millrace.books_at("x", 5, ["AA"]), millrace.UsageError, "times=5: a list"),
        (lambda: millrace.books_at("x", [None], ["AA"]), millrace.UsageError, "None is no time"),
        (lambda: millrace.check(5), millrace.UsageError, "rows=5: a list"),
        (lambda: millrace.plot_book(None), millrace.UsageError, "None is no book"),
        (lambda: millrace.plot_latency(np.zeros((9, 9))), millrace.UsageError, "rows=ndarray"),
        (lambda: millrace.decode_dbn(b"", "mbo", symbols={"x": 1}), ValueError, "by instrument"),
        (lambda: millrace.decode_dbn(b"DBN\x01", "mbo"), millrace.FormatError, "another version"),
        (lambda: millrace.read_csv("x", [float]), millrace.UsageError, "schema=.*: functions by"),
        (lambda: millrace.read_csv("x", on_error=None), millrace.UsageError, "on_error=None"),
        (lambda: millrace.read_csv("x", delimiter=5), millrace.UsageError, "delimiter=5: a text"),
        (lambda: millrace.read_csv("x", max_waiting=0), millrace.UsageError, "max_waiting=0"),
        (lambda: serve("no dtype"), millrace.UsageError, "record is a NumPy dtype"),
        (lambda: serve(None), millrace.UsageError, "record is a NumPy dtype"),
        (lambda: serve("<u8", check=5), millrace.UsageError, "check=5: a function"),
        (lambda: serve("<u8", on_batch=5), millrace.UsageError, "on_batch=5: a function"),
        (lambda: serve("<u8", port=70_000), millrace.UsageError, "port=70000"),
        (lambda: serve("<u8", host=5), millrace.UsageError, "host=5: a text"),
        (lambda: serve("<u8", max_waiting=0), millrace.UsageError, "max_waiting=0"),
        (lambda: serve("<u8", host="192.0.2.1"), millrace.ResourceError, "192.0.2.1:0: Cannot"),
    ],
)
def test_mistakes_are_told_in_one_line(make, error, text) -> None:
    with pytest.raises(error, match=text) as caught:
        made = make()
        for _ in made.batches("mbo") if isinstance(made, millrace.Feed) else made:
            pass
    assert isinstance(caught.value, millrace.MillraceError)
    assert "\n" not in str(caught.value)


def test_a_capture_of_no_venue_says_what_to_try(tmp_path: Path) -> None:
    path = tmp_path / "junk.pcap"
    path.write_bytes(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(16))
    with pytest.raises(millrace.UsageError, match="venue"):
        millrace.replay(path)
    for content, text in ((b"hello\n", "no capture"), (b"", "empty")):
        path.write_bytes(content)
        with pytest.raises(millrace.FormatError, match=text):
            millrace.replay(path)


def test_a_capture_of_another_venue_is_an_error_and_not_an_empty_feed(capture: Path) -> None:
    feed = millrace.replay(capture, venue="iex-deep")
    with pytest.raises(millrace.FormatError, match="nothing in it reads as iex-deep"):
        next(feed.batches("mbo"))


def remarks_of(feed: millrace.Feed) -> str:
    """What is told at the end of a feed."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", millrace.MillraceWarning)
        for _ in feed.batches("mbo"):
            pass
    assert {one.filename for one in told} <= {__file__}  # the line that iterates
    return "\n".join(str(one.message) for one in told)


def test_what_a_reader_of_the_rows_would_overlook_is_told_at_the_end(
    capture: Path, gappy_capture: Path, tmp_path: Path
) -> None:
    assert remarks_of(millrace.replay(capture)) == ""
    gappy = remarks_of(millrace.replay(gappy_capture))
    assert "messages never came to the books" in gappy and "are live: 5 recovering" in gappy
    assert " orders_full" in remarks_of(millrace.replay(capture, orders=10))
    assert "11 books_full" in remarks_of(millrace.replay(capture, instruments=1))
    for part in ({"start": "2030-01-01"}, {"end": "1999-01-01"}):
        assert remarks_of(millrace.replay(capture, **part)).endswith(
            "no row from start= to end=; times without a zone are UTC"
        )
    path = tmp_path / "empty.pcap"
    path.write_bytes(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\xff\xff\0\0\1\0\0\0")
    empty = remarks_of(millrace.replay(path, venue="iex-deep"))
    assert "no packet or record of a feed in it" in empty


def test_groups_to_which_nothing_goes_are_an_error_and_not_an_empty_feed(capture: Path) -> None:
    feed = millrace.replay(capture, groups=["239.9.9.9:1"])
    with pytest.raises(millrace.UsageError, match=r"no packet goes to 239\.9\.9\.9:1; "):
        next(feed.batches("mbo"))


def test_a_feed_that_waits_for_a_broker_is_closed_at_once() -> None:
    feed = millrace.Feed("kafka://127.0.0.1:9/t")
    batches = feed.batches("mbo")
    feed.start()
    time.sleep(0.3)
    began = time.perf_counter()
    feed.close()
    assert list(batches) == []
    assert time.perf_counter() - began < 2  # of the ten seconds that it waits for an answer


def test_of_a_capture_that_is_cut_short_all_that_is_there_comes_first(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.pcapng", tmp_path / "cut.pcapng"
    command("sim", "--capture", whole, "--messages", "20000", "--symbols", "5")
    cut.write_bytes(whole.read_bytes()[:-700_001])
    expected = b"".join(batch.numpy().tobytes() for batch in millrace.replay(whole).batches("mbo"))
    rows: list[bytes] = []
    feed = millrace.replay(cut)
    with pytest.raises(millrace.FormatError, match="up to there are good"):
        rows.extend(batch.numpy().tobytes() for batch in feed.batches("mbo"))
    got = b"".join(rows)
    assert len(got) > len(expected) // 4 and expected.startswith(got)
    assert feed.stats()["balance"] == 0


@pytest.mark.server
def test_a_broker_that_is_killed_ends_the_feed_with_one_line(capture: Path) -> None:
    with servers.redis() as where:
        stream = f"redis://{where}/killed"
        command("replay", capture, "--sink", stream)
        feed = millrace.Feed(f"{stream}?follow=1")
        batches = feed.batches("mbo")
        rows = len(next(batches))
        with contextlib.suppress(redis.ConnectionError):
            redis.Redis(port=int(where.split(":")[1])).shutdown(nosave=True, now=True, force=True)
        with pytest.raises(millrace.ResourceError, match="redis") as caught:
            rows += sum(map(len, batches))
        assert "\n" not in str(caught.value)
        assert feed.stats()["source"]["missing"] == 0 and feed.finished


def test_a_disk_that_is_full_is_told_of_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """On a file system of 1 MiB, which a program of its own has to itself."""
    program = (
        "import os, pathlib, sys, millrace\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "for way in ('parquet', 'csv', 'dbn'):\n"
        "    feed = millrace.Feed('sim://?messages=200000')\n"
        "    try:\n"
        "        getattr(millrace, f'to_{way}')(feed, folder / f'x.{way}')\n"
        "    except millrace.FileError as error:\n"
        "        print(error)\n"
        "print(sorted(os.listdir(folder)))\n"
    )
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mount, tmp_path, sys.executable, "-c", program, tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if "not permitted" in done.stderr or "must be superuser" in done.stderr:
        pytest.skip("may not mount a file system")
    told = done.stdout.splitlines()
    assert len(told) == 4, done.stderr
    for way, line in zip(("parquet", "csv", "dbn"), told, strict=False):
        assert f"{tmp_path}/x.{way}" in line and "No space left" in line
    assert "x.parquet" not in told[-1]


def test_a_program_that_ends_with_a_feed_in_a_thread_says_nothing() -> None:
    program = (
        "import threading, time, millrace\n"
        "feed = millrace.Feed('sim://?messages=1000000&pace=1&rate=1000', overflow='drop_oldest')\n"
        "work = lambda: [None for _ in feed.batches('mbo')]\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
