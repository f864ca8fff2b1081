"""What users get wrong, and what a folder has beside captures: each told in a line of its own."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import ROOT, command
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructField, StructType
from test_tables import bars_by_file, bars_of_one_process, read

import millrace
from millrace.spark import (
    MillraceSource,
    catalogue,
    checked,
    envelopes,
    reason,
    records,
    write_parquet,
)
from millrace.spark._columns import record_columns
from millrace.spark.kafka import _read_envelopes

sys.path.insert(0, str(ROOT / "examples/spark"))
import bars_job

pytestmark = pytest.mark.server

VENUE = "nasdaq-itch50"


def shape_of(source: MillraceSource) -> StructType:
    """The columns of a source as Spark hands them to its readers, but for their types."""
    names = [column.split()[0] for column in source.schema().split(", ")]
    return StructType([StructField(name, StringType()) for name in names])


def rows_of(path: Path | str, **options: str) -> list[dict[str, Any]]:
    """What the source gives, by the calls that Spark makes of it."""
    source = MillraceSource({"path": str(path), **options})
    reader = source.reader(shape_of(source))
    batches = [batch for part in reader.partitions() for batch in reader.read(part)]
    return [row for batch in batches for row in batch.to_pylist()]


def rows_of_stream(path: Path, **options: str) -> list[dict[str, Any]]:
    source = MillraceSource({"path": str(path), **options})
    reader = source.streamReader(shape_of(source))
    parts = reader.partitions(reader.initialOffset(), reader.latestOffset())
    return [row for part in parts for batch in reader.read(part) for row in batch.to_pylist()]


@pytest.fixture(scope="module")
def folder(days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures by all kinds of names, in folders, beside what is none."""
    top = tmp_path_factory.mktemp("captures")
    (top / "2024-01-03").mkdir()
    day0, day1 = days / "day0.pcapng", days / "day1.pcapng.zst"
    shutil.copy(day0, top / "by-another-name.7")
    shutil.copy(day1, top / "2024-01-03" / "day.cap.zst")
    with gzip.open(top / "2024-01-03" / "day.gz", "wb", compresslevel=1) as file:
        file.write(day0.read_bytes())
    (top / "notes.txt").write_text("hello\n")
    (top / "feed.toml").write_text("[[feed]]\n")
    (top / "empty").touch()
    (top / "_day.pcapng").touch()
    os.mkfifo(top / "pipe.pcap")
    return top


def test_a_folder_is_read_whole_or_it_is_said_what_is_not(
    spark: SparkSession, folder: Path, days: Path
) -> None:
    wanted = {"recursiveFileLookup": "true", "bad_files": "report", "schema": "bars"}
    rows = read(spark, folder, venue=VENUE, **wanted).collect()
    expected = {n: bars_of_one_process(days / f"day{n}.pcapng{'.zst' * n}") for n in (0, 1)}
    assert bars_by_file([row for row in rows if row.problem is None]) == {
        "by-another-name.7": expected[0],
        "2024-01-03/day.gz": expected[0],
        "2024-01-03/day.cap.zst": expected[1],
    }
    none = {"notes.txt", "feed.toml", "empty", "pipe.pcap"}
    problems = {row.file: row.problem for row in rows if row.problem is not None}
    assert set(problems) == none
    assert all(f"{folder}/{name}: not read" in text for name, text in problems.items())


def test_what_is_not_read_is_told_of_once(folder: Path) -> None:
    with pytest.warns(millrace.MillraceWarning, match=r"2024-01-03: a folder; recursiveFileLookup"):
        found = rows_of(folder, schema="bars")
    assert {row["file"] for row in found} == {"by-another-name.7"}
    with pytest.warns(millrace.MillraceWarning, match=r"notes\.txt|and \d more"):
        found = rows_of_stream(folder, schema="trades")
    assert {row["file"] for row in found} == {"by-another-name.7"}
    problems = [row for row in rows_of_stream(folder, bad_files="report") if row["problem"]]
    assert len(problems) == 5
    source = MillraceSource({"path": str(folder), "bad_files": "report"})
    reader = source.streamReader(shape_of(source))
    done = reader.latestOffset()
    assert reader.partitions(done, reader.latestOffset()) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who chooses has no need to be told
        chosen = {"recursiveFileLookup": "true", "pathGlobFilter": "*.cap.*"}
        assert {row["file"] for row in rows_of(folder, schema="bars", **chosen)} == {
            "2024-01-03/day.cap.zst"
        }


def test_a_file_that_became_shorter_fails_a_stream_and_one_that_is_done_may_go(
    days: Path, tmp_path: Path
) -> None:
    command("convert", days / "day0.pcapng", "-o", tmp_path / "day.dbn", "--schema", "trades")
    shutil.copy(tmp_path / "day.dbn", tmp_path / "gone.dbn")
    source = MillraceSource({"path": str(tmp_path), "schema": "trades"})
    reader = source.streamReader(shape_of(source))
    done = reader.latestOffset()
    reader.partitions(reader.initialOffset(), done)
    (tmp_path / "gone.dbn").unlink()
    assert reader.latestOffset() == done
    with (tmp_path / "day.dbn").open("r+b") as file:
        file.truncate(2_000)
    with pytest.raises(millrace.FormatError, match=r"day\.dbn: .* were read; was it replaced"):
        reader.latestOffset()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("s3a://bucket/day.pcap", "not by s3a://; mount"),
        ("hdfs://host/day.pcap", "not by hdfs://; mount"),
        ("nothing/day.pcap", "there is no folder"),
        ("nothing.pcap", "nothing.pcap: no such file or folder"),
        ("*.nothing", "no file matches the pattern; "),
        ("{a,b}.pcap", "has no {}"),
        ("none", "none: an empty folder"),
        ("notes", "notes.txt: no capture and no DBN file"),
        ("_day.pcapng", "begins with _ or ."),
        ("pipe", "pipe: no regular file"),
    ],
)
def test_each_way_to_find_nothing_has_its_own_line(name: str, words: str, tmp_path: Path) -> None:
    for empty in ("none", "notes"):
        (tmp_path / empty).mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("hello\n")
    (tmp_path / "_day.pcapng").touch()
    os.mkfifo(tmp_path / "pipe")
    words = words.replace("has no {}", "and no {}")
    with pytest.raises(millrace.MillraceError) as error:
        rows_of(name if "://" in name else tmp_path / name)
    text = str(error.value)
    assert words in text and name.split("/")[-1] in text and "\n" not in text


NOBODY = """
import sys
import millrace
from test_wrong_use import rows_of
for path in sys.argv[1:]:
    try:
        rows_of(path)
    except millrace.FileError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads all")
def test_a_folder_that_nobody_may_read_is_told_of(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    words = [sys.executable, "-c", NOBODY, closed, closed / "day.pcap", closed / "*.pcap"]
    if os.geteuid() == 0:  # who may read everything gives that up
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(words, capture_output=True, text=True, cwd="/", env=environment)
    finally:
        closed.chmod(stat.S_IRWXU)
    told = done.stdout.splitlines()
    assert len(told) == 3 and all("cannot be read: Permission denied" in line for line in told)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schema": "bar"}, "schema='bar': there are bars, books, ledger, bbo, mbo"),
        ({"intervall": "1m"}, "no option is called 'intervall'; there are bad_files, date"),
        ({"schema": "mbo", "interval": "1m"}, "interval is for the schema bars"),
        ({"schema": "bars", "every_ms": "5"}, "every_ms is for the schema books"),
        ({"schema": "bars", "segments": "2"}, "leave segments out"),
        ({"max_rows": "5"}, "max_rows is for streams"),
        ({"start": "2024-01-03", "end": "2024-01-02"}, "start='2024-01-03' is not before"),
        ({"start": "x"}, "start: 'x' is no time"),
        ({"end": "x"}, "end: 'x' is no time"),
        ({"date": "x"}, "date='x' is no day"),
        ({"date": "2024-01-02"}, "packets tell the day of their messages; leave date= out"),
        ({"schema": "bars", "interval": "1x"}, "interval='1x': a whole number of ns, us"),
        ({"schema": "bars", "interval": "7s"}, "that divides a day"),
        ({"segments": "257"}, "segments='257': a whole number from 1 to 256"),
        ({"schema": "books", "every_ms": "9" * 30}, "a whole number from 1 to 86400000"),
        ({"segments": "\u00b2"}, "segments='\u00b2': a whole number"),
        ({"orders": "0"}, "orders='0': a whole number from 1 to"),
        ({"venue": "nasdaq"}, "no venue is called 'nasdaq'; there are nasdaq-itch50"),
        ({"recursiveFileLookup": "yes"}, "recursiveFileLookup='yes': true or false"),
        ({"symbols": ","}, "symbols is empty"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, str], words: str, days: Path
) -> None:
    with pytest.raises(millrace.UsageError) as error:
        rows_of(days / "day0.pcapng", **options)
    text = str(error.value)
    assert words in text and "\n" not in text and "[" not in text


def test_a_file_of_records_tells_its_days_and_is_not_chosen_from(
    days: Path, tmp_path: Path
) -> None:
    name = tmp_path / "day.dbn"
    command("convert", days / "day0.pcapng", "-o", name, "--schema", "trades")
    packed = tmp_path / "day.dbn.gz"
    packed.write_bytes(gzip.compress(name.read_bytes()))
    assert [row | {"file": ""} for row in rows_of(packed, schema="trades")] == [
        row | {"file": ""} for row in rows_of(name, schema="trades")
    ]
    for options in ({"date": "2024-01-02"}, {"symbols": "AAAA"}, {"schema": "ledger"}):
        with pytest.raises(millrace.UsageError) as error:
            rows_of(name, **{"schema": "trades", **options})
        assert str(error.value).startswith(f"{name}: a DBN file ")


def test_the_ledger_says_what_is_wrong_with_a_file(days: Path, tmp_path: Path) -> None:
    lossy = tmp_path / "lossy.pcapng"
    command("sim", "--messages", "2000", "--capture", lossy, "--loss", "0.1", "--lose-on-all")
    whole = (days / "day0.pcapng").read_bytes()
    (tmp_path / "cut.pcapng").write_bytes(whole[: len(whole) // 2])
    rows = {row["file"]: row for row in rows_of(tmp_path, schema="ledger", bad_files="report")}
    assert "messages never came" in rows["lossy.pcapng"]["problem"]
    cut = rows["cut.pcapng"]
    assert "cut.pcapng: ends inside" in cut["problem"]
    assert 3_000 < cut["messages"] < 9_000 and cut["balance"] == 0 and cut["digest"]
    with pytest.raises(millrace.FormatError, match="ends inside"):
        rows_of(tmp_path / "cut.pcapng", schema="ledger")


def test_a_worker_without_pyarrow_and_a_machine_without_java_are_told_of(
    spark: SparkSession, days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyarrow.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'pyarrow'\", name='pyarrow')\n"
    )
    worker = tmp_path / "python"
    worker.write_text(
        f'#!/bin/sh\nPYTHONPATH={tmp_path}:$PYTHONPATH exec "{sys.executable}" "$@"\n'
    )
    worker.chmod(0o755)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(worker))
    with pytest.raises(PySparkException) as error:
        spark.range(1).mapInArrow(lambda rows: rows, "id long").collect()
    line = reason(error.value)
    assert line.startswith("No module named 'pyarrow'; PYSPARK_PYTHON names")
    code = (
        "import millrace.spark\nfrom pyspark.sql import SparkSession\n"
        "try: SparkSession.builder.getOrCreate()\n"
        "except Exception as error: print(millrace.spark.reason(error))\n"
    )
    environment = os.environ | {"JAVA_HOME": "/nowhere"}
    words = [sys.executable, "-c", code]
    said = subprocess.run(words, capture_output=True, text=True, env=environment).stdout
    assert "Java did not start" in said and "JAVA_HOME" in said


def test_errors_of_java_and_python_are_told_in_their_own_words(spark: SparkSession) -> None:
    java = spark.sparkContext._jvm.org.apache.spark.SparkContext
    with pytest.raises(Exception, match="An error occurred") as error:
        java()
    assert reason(error.value).startswith("SparkException: Only one SparkContext")

    def fails(rows: Any) -> Any:
        raise ValueError("my own")

    with pytest.raises(PySparkException) as error:
        spark.range(1).mapInArrow(fails, "id long").collect()
    assert reason(error.value) == "ValueError: my own"


def test_the_same_name_in_two_folders_is_told_apart(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "day.7").symlink_to(folder / "by-another-name.7")
    for given in ([tmp_path / "a", tmp_path / "b"], [tmp_path / "*"]):
        paths = json.dumps([str(one) for one in given])
        source = MillraceSource({"paths": paths, "schema": "ledger"})
        reader = source.reader(shape_of(source))
        rows = [row for part in reader.partitions() for row in reader.read(part)]
        assert sorted(row["file"][0].as_py() for row in rows) == ["a/day.7", "b/day.7"]


def test_what_is_no_topic_and_no_place_for_parquet_is_told_of(spark: SparkSession) -> None:
    rows = spark.range(1)
    for reads in (checked, records, envelopes):
        with pytest.raises(millrace.UsageError, match=r"no messages of Kafka; .* includeHeaders"):
            reads(rows)
    trades = spark.createDataFrame([], f"file string, {record_columns('trades')}")
    for frame, options, words in (
        (rows, {"venue": "XNAS"}, "rows without symbol, time, ts_event"),
        (trades, {"venue": ""}, "venue is empty"),
        (trades, {"venue": "XNAS", "buckets": 0}, "buckets=0: a number from 1"),
    ):
        with pytest.raises(millrace.UsageError, match=words):
            write_parquet(frame, "/nowhere", **options)


def test_a_message_of_somebody_else_is_told_of() -> None:
    numbers = dict.fromkeys(("stream", "epoch", "first_record", "records", "quality"), b"1")
    numbers |= dict.fromkeys(("left_out", "why", "crc32c"), b"1")
    types = {"partition": pa.int32(), "offset": pa.int64(), "key": pa.binary()}
    types |= {"value": pa.binary()}
    types |= {"headers": pa.list_(pa.struct({"key": pa.string(), "value": pa.binary()}))}

    def envelope_of(epoch: bytes | None, value: bytes | None) -> dict[str, Any]:
        headers = [{"key": n, "value": v} for n, v in (numbers | {"epoch": epoch}).items()]
        row = {"partition": 0, "offset": 0, "key": b"AAAA", "value": value, "headers": headers}
        batch = pa.RecordBatch.from_pylist([row], pa.schema(types))
        return next(_read_envelopes(iter([batch]))).to_pylist()[0]

    for epoch in (b"one", b"", b"-1", b"1" * 30, None):
        with pytest.raises(millrace.FormatError, match="a message without our envelope"):
            envelope_of(epoch, b"x")
    assert envelope_of(b"1", b"x")["whole"] == 0
    assert envelope_of(b"1", None)["whole"] == 0  # as a compacted topic has it


def test_brokers_that_do_not_answer_are_told_of(spark: SparkSession) -> None:
    reader = spark.read.format("kafka").option("kafka.bootstrap.servers", "127.0.0.1:9")
    for name in ("request.timeout.ms", "default.api.timeout.ms"):
        reader = reader.option(f"kafka.{name}", 300)
    with pytest.raises(Exception, match="An error occurred") as error:
        reader.option("subscribe", "md").load().collect()
    assert reason(error.value).startswith("no broker answers; is kafka.bootstrap.servers right")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--late", "soon"), "argument --late: 'soon': write 30 seconds, 2 minutes"),
        (("--every", "0 seconds"), "argument --every: '0 seconds': write"),
        (("--max-messages", "-4"), "argument --max-messages: '-4': a whole number from 1"),
    ],
)
def test_wrong_options_of_the_job_end_it_with_2(
    option: tuple[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rest = ["--servers", "127.0.0.1:9", "--topic", "md", "--out", "bars", "--checkpoint", "state"]
    monkeypatch.setattr(sys, "argv", ["bars_job.py", *rest, *option])
    with pytest.raises(SystemExit) as end:
        bars_job.main()
    assert end.value.code == 2 and words in capsys.readouterr().err


def test_folders_of_other_keys_or_of_a_columns_name_are_told_of(days: Path, tmp_path: Path) -> None:
    for folder in ("date=2024-01-02", "date=2024-01-03/site=a"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(days / "day0.pcapng", tmp_path / folder)
    with pytest.raises(millrace.UsageError, match="their folders have different keys"):
        rows_of(tmp_path, schema="trades")
    with pytest.raises(millrace.UsageError, match="make a column symbol, and rows have one"):
        (tmp_path / "date=2024-01-02").rename(tmp_path / "symbol=AAAA")
        shutil.rmtree(tmp_path / "date=2024-01-03")
        rows_of(tmp_path, schema="trades")
    found = rows_of(tmp_path, schema="trades", recursiveFileLookup="true")
    assert found and {row["file"] for row in found} == {"symbol=AAAA/day0.pcapng"}


@pytest.mark.parametrize("schema", ["trades", "bars", "books"])
def test_whatever_is_read_of_a_folder_bears_its_key(days: Path, tmp_path: Path, schema) -> None:
    (tmp_path / "date=2024-01-02").mkdir()
    shutil.copy(days / "day0.pcapng", tmp_path / "date=2024-01-02")
    (tmp_path / "date=2024-01-02" / "notes.txt").write_text("hello\n")
    found = rows_of(tmp_path, schema=schema, bad_files="report")
    assert {row["date"] for row in found} == {"2024-01-02"}
    assert {row["file"] for row in found if row["problem"]} == {"date=2024-01-02/notes.txt"}
    if schema == "trades":
        assert rows_of_stream(tmp_path, schema=schema, bad_files="report") == found


def test_a_topic_that_is_no_catalogue_fails_and_says_so(spark: SparkSession) -> None:
    entry = {"shard": "s", "run": "", "symbol": "AAAA", "stream": 2**64 - 1, "epoch": 1}
    entry |= {"last_sequence": 8, "quality": "live"}
    newest, older = (json.dumps(entry | {"last_record": n}) for n in (9, 7))
    [row] = catalogue(
        spark.sql(
            "SELECT CAST(key AS BINARY), CAST(value AS BINARY), offset FROM VALUES "
            f"('s//AAAA', '{older}', 0), ('s//AAAA', '{newest}', 1), ('s//GONE', NULL, 2) "
            "AS messages(key, value, offset)"
        )
    ).collect()
    assert (row.stream, row.symbol, row.last_record, row.quality) == (-1, "AAAA", 9, "live")
    wrong = spark.sql("SELECT X'41' AS key, CAST('{\"price\": 7}' AS BINARY) AS value, 0 AS offset")
    with pytest.raises((PySparkException, Py4JJavaError)) as error:
        catalogue(wrong).collect()
    assert reason(error.value).startswith("a message that is no entry of a catalogue; is the")
    with pytest.raises(millrace.UsageError, match="rows without value, offset"):
        catalogue(spark.sql("SELECT 'x' AS key"))
