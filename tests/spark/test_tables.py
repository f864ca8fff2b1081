"""Captures as tables: what one process reads is what Spark reads, row for row."""

from __future__ import annotations

import re
import subprocess
import zlib
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import BUILD, command, command_json
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

import millrace
from millrace.spark import bars_of, reason, write_parquet
from millrace.spark._columns import record_batch, record_columns

pytestmark = pytest.mark.server

BAR = ("trades", "open", "high", "low", "close", "volume", "vwap")


def bars_of_one_process(path: Path) -> dict[tuple[str, int], tuple[int, ...]]:
    feed = millrace.replay(path)
    rows = millrace.bars(feed, "1m").numpy()
    symbols = feed.symbols
    return {
        (symbols[int(row["instrument_id"])], int(row["ts_event"])): tuple(int(row[n]) for n in BAR)
        for row in rows
    }


def rows_of_one_process(path: Path, schema: str) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in millrace.replay(path).batches(schema)])


def bars_in(rows: list[Row]) -> dict[tuple[str, int], tuple[int, ...]]:
    found = {}
    for row in rows:
        assert row.time.timestamp() * 10**9 == row.ts_event
        key = row.symbol, row.ts_event
        assert key not in found
        found[key] = tuple(row[name] for name in BAR)
    return found


def bars_by_file(rows: list[Row]) -> dict[str, dict[tuple[str, int], tuple[int, ...]]]:
    files: dict[str, list[Row]] = {}
    for row in rows:
        files.setdefault(row.file, []).append(row)
    return {name: bars_in(of) for name, of in files.items()}


def read(spark: SparkSession, path: Path, **options: str) -> DataFrame:
    return spark.read.format("millrace").options(**options).load(str(path))


def test_bars_equal_those_of_one_process_every_symbol_and_minute(
    spark: SparkSession, days: Path
) -> None:
    bars = read(spark, days / "day*", venue="nasdaq-itch50", schema="bars")
    assert bars.rdd.getNumPartitions() == 3  # a task a capture
    expected = {path.name: bars_of_one_process(path) for path in days.iterdir()}
    assert min(map(len, expected.values())) > 40
    assert bars_by_file(bars.collect()) == expected
    # The same from trades, by SQL; a day here is another symbol there.
    trades = read(spark, days / "day*", venue="nasdaq-itch50", schema="trades")
    by_day = trades.withColumn("symbol", F.concat("file", F.lit(" "), "symbol"))
    found = bars_in(bars_of(by_day).collect())
    wanted = {
        (f"{file} {symbol}", at): bar
        for file, bars_of_day in expected.items()
        for (symbol, at), bar in bars_of_day.items()
    }
    assert found == wanted


def test_folders_called_key_value_make_columns(
    spark: SparkSession, days: Path, tmp_path: Path
) -> None:
    expected = {}
    for day in (0, 1):
        capture = days / f"day{day}.pcapng{'.zst' * day}"
        folder = tmp_path / f"date=2024-01-0{day + 2}" / "site=New%20York"
        folder.mkdir(parents=True)
        (folder / capture.name).symlink_to(capture)
        name = f"{folder.relative_to(tmp_path)}/{capture.name}"
        trades = len(rows_of_one_process(capture, "trades"))
        expected[name, f"2024-01-0{day + 2}", "New York"] = trades
    table = read(spark, tmp_path, venue="nasdaq-itch50", schema="trades")
    assert table.columns[-2:] == ["date", "site"]
    found = table.groupBy("file", "date", "site").count().collect()
    assert {tuple(row)[:3]: row["count"] for row in found} == expected
    one = table.where("date = '2024-01-03'")
    assert one.rdd.getNumPartitions() == 1  # the other file is not read


@pytest.mark.parametrize("schema", ["mbo", "trades", "bbo"])
def test_records_are_those_of_the_feed(schema: str, spark: SparkSession, days: Path) -> None:
    name = "mbp-1" if schema == "bbo" else schema
    path = days / "day2.pcapng"
    expected = rows_of_one_process(path, name)
    table = read(spark, path, venue="nasdaq-itch50", schema=schema, segments="2")
    assert table.rdd.getNumPartitions() == 2  # a task a segment
    rows = table.orderBy("record").toArrow()
    assert rows["record"].to_pylist() == list(range(1, len(expected) + 1))
    undefined = np.iinfo(np.int64).max
    for column in expected.dtype.names:
        if column == "length":
            continue
        found = rows[column].to_numpy()
        wanted = expected[column]
        if wanted.dtype.kind == "S":
            wanted = wanted.astype(str)
        elif rows[column].null_count:
            found = rows[column].fill_null(undefined).to_numpy()
        assert np.array_equal(found, wanted.astype(found.dtype)), column
    symbols = millrace.replay(path)
    list(symbols.batches("trades"))
    of = symbols.symbols
    assert rows["symbol"].to_pylist() == [of[int(one)] for one in expected["instrument_id"]]


def test_filters_drop_rows_and_whole_files_before_spark(spark: SparkSession, days: Path) -> None:
    rows = read(spark, days / "day*", venue="nasdaq-itch50", schema="trades").collect()
    wanted = "file = 'day1.pcapng.zst' AND symbol IN ('AAAA', 'CAAA') AND size > 100"
    pushed = read(spark, days / "day*", venue="nasdaq-itch50", schema="trades").where(wanted)
    assert pushed.rdd.getNumPartitions() == 1
    plan = pushed._jdf.queryExecution().executedPlan().toString()
    assert "Filter (" not in plan
    expected = [
        row
        for row in rows
        if row.file == "day1.pcapng.zst" and row.symbol in ("AAAA", "CAAA") and row.size > 100
    ]
    assert 0 < len(expected) < len(rows)
    assert sorted(pushed.collect()) == sorted(expected)


def test_a_damaged_capture_is_reported_and_the_rest_is_done(
    spark: SparkSession, days: Path, tmp_path: Path
) -> None:
    for path in days.iterdir():
        (tmp_path / path.name).symlink_to(path)
    whole = (days / "day0.pcapng").read_bytes()
    damaged = tmp_path / "damaged.pcapng"
    damaged.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no-capture.pcap").write_bytes(b"no capture at all")
    options = {"venue": "nasdaq-itch50", "schema": "bars"}
    rows = read(spark, tmp_path / "*.pcap*", bad_files="report", **options).collect()
    problems = {row.file: row.problem for row in rows if row.problem is not None}
    assert set(problems) == {"damaged.pcapng", "no-capture.pcap"}
    assert all(name in text for name, text in problems.items())
    good = bars_by_file([row for row in rows if row.problem is None])
    for path in days.iterdir():
        assert good[path.name] == bars_of_one_process(path)
    # Up to the damage: all minutes but the last are those of the whole capture.
    found = good["damaged.pcapng"]
    last = max(at for _, at in found)
    expected = bars_of_one_process(days / "day0.pcapng")
    assert {key for key in expected if key[1] < last} == {key for key in found if key[1] < last}
    assert all(found[key] == expected[key] for key in found if key[1] < last)
    with pytest.raises(Exception, match=r"no-capture\.pcap"):
        read(spark, tmp_path / "no-capture.pcap", **options).collect()


def test_what_a_file_does_not_give_is_said(spark: SparkSession, days: Path, tmp_path: Path) -> None:
    sim = ("sim", "--messages", "2000", "--capture")
    command(*sim, tmp_path / "iex.pcapng", "--venue", "iex-tops")
    command(*sim, tmp_path / "lossy.pcapng", "--loss", "0.1", "--lose-on-all")
    command("convert", days / "day0.pcapng", "-o", tmp_path / "orders.dbn")
    # Some orders are added by messages of a type that is none.
    whole = (days / "day0.pcapng").read_bytes()
    (tmp_path / "unlike.pcapng").write_bytes(whole.replace(b"\x00\x24A", b"\x00\x24z", 200))
    options = {"venue": "nasdaq-itch50", "schema": "bars"}
    rows = read(spark, tmp_path, bad_files="report", **options).where("problem IS NOT NULL")
    problems = {row.file: row.problem for row in rows.collect()}
    assert set(problems) == {"iex.pcapng", "lossy.pcapng", "orders.dbn", "unlike.pcapng"}
    assert "nothing in it reads as nasdaq-itch50" in problems["iex.pcapng"]
    assert "holds mbo records, and no trades" in problems["orders.dbn"]
    assert "unknown_order" in problems["unlike.pcapng"]
    said = subprocess.run(
        [BUILD / "millrace", "replay", tmp_path / "lossy.pcapng"], capture_output=True, text=True
    )
    lost = re.search(r"\d+ messages never came", said.stderr)
    assert lost is not None and lost[0] in problems["lossy.pcapng"]
    # What was lost does not fail a job, whose books know; a limit that is too low does.
    assert read(spark, tmp_path / "lossy.pcapng", **options).count() > 0
    with pytest.raises(PySparkException) as error:
        read(spark, days / "day0.pcapng", orders="100", **options).collect()
    assert "day0.pcapng: no room" in reason(error.value)
    with pytest.raises(PySparkException) as error:
        read(spark, tmp_path / "nothing", **options).collect()
    assert reason(error.value).startswith(f"{tmp_path}/nothing: no such file or folder")
    with pytest.raises(PySparkException) as error:
        read(spark, days / "day0.pcapng", symbols=",", **options).collect()
    assert "symbols is empty" in reason(error.value)


def test_the_ledger_has_the_digest_of_the_command(spark: SparkSession, days: Path) -> None:
    rows = read(spark, days, venue="nasdaq-itch50", schema="ledger").collect()
    assert len(rows) == 3
    for row in rows:
        alone = command_json("replay", days / row.file)
        assert (row.digest, row.balance, row.messages) == (alone["digest"], 0, alone["messages"])


def test_book_snapshots_are_the_books_at_those_times(spark: SparkSession, days: Path) -> None:
    path = days / "day1.pcapng.zst"
    rows = read(spark, path, venue="nasdaq-itch50", schema="books", every_ms="60000").collect()
    latest: dict[str, dict[int, tuple]] = {}
    for row in rows:
        levels = tuple(
            (row[f"{side}_px_0{level}"], row[f"{side}_sz_0{level}"])
            for side in ("bid", "ask")
            for level in range(10)
            if row[f"{side}_px_0{level}"] is not None
        )
        latest.setdefault(row.symbol, {})[row.snapshot] = levels
    times = sorted({row.snapshot for row in rows})[2:8:2]
    for at, books in millrace.books_at(path, times, sorted(latest)):
        assert len(books) == len(latest)
        for book in books:
            since = [when for when in latest[book.symbol] if when <= at]
            levels = [*book.bids[:10], *book.asks[:10]]
            expected = tuple((level.price, level.size) for level in levels)
            assert latest[book.symbol][max(since)] == expected, (book.symbol, at)


def test_cpp_sql_and_arithmetic_agree_on_bars(spark: SparkSession) -> None:
    """Prices below zero and near the ends of 64 bits, shared sequence numbers, undefined values."""
    random = np.random.default_rng(11)
    count, minute = 3_000, 60 * 10**9
    rows = np.zeros(count, millrace.dtype("trades"))
    rows["length"], rows["instrument_id"] = rows.itemsize // 4, random.integers(1, 4, count)
    rows["ts_event"] = 1704205800 * 10**9 + random.integers(0, 5 * minute, count)
    rows["price"] = random.choice([-7, -3, 5, 2**62, -(2**62), 10**12 + 1], count)
    rows["price"] += random.integers(-3, 4, count)
    rows["size"] = random.choice([0, 1, 3, 2**31, 2**32 - 2, 2**32 - 1], count)
    rows["sequence"] = random.integers(1, 500, count)
    rows["price"][::17] = 2**63 - 1
    rows["ts_event"][::23] = 2**64 - 1
    names = {1: "AAAA", 2: "BAAA", 3: "CAAA"}

    made = millrace.Bars("1m")
    made.add(millrace.decode_dbn(rows.tobytes(), "trades", symbols=names))
    by_cpp = {
        (names[int(row["instrument_id"])], int(row["ts_event"])): tuple(int(row[n]) for n in BAR)
        for row in made.numpy()
    }

    trades: dict[tuple[str, int], list[tuple[int, int, int, int]]] = {}
    for record, row in enumerate(rows):
        price, size, at = int(row["price"]), int(row["size"]), int(row["ts_event"])
        if price != 2**63 - 1 and 0 < size < 2**32 - 1 and at != 2**64 - 1:
            key = names[int(row["instrument_id"])], at // minute * minute
            trades.setdefault(key, []).append((int(row["sequence"]), record, price, size))
    by_hand = {}
    for key, all_of in trades.items():
        all_of.sort()
        prices = [price for _, _, price, _ in all_of]
        volume = sum(size for *_, size in all_of)
        vwap = sum(price * size for _, _, price, size in all_of) // volume
        by_hand[key] = (
            *(len(all_of), prices[0], max(prices), min(prices), prices[-1]),
            *(volume, vwap),
        )

    batch = millrace.decode_dbn(rows.tobytes(), "trades", symbols=names)
    text = "record bigint, " + record_columns("trades")
    table = pa.Table.from_batches([record_batch(batch, {"record": np.arange(count)}, text)])
    assert by_cpp == by_hand
    assert bars_in(bars_of(spark.createDataFrame(table)).collect()) == by_hand


def test_parquet_is_read_by_others(spark: SparkSession, days: Path, tmp_path: Path) -> None:
    rows = read(spark, days / "day*", venue="nasdaq-itch50", schema="trades")
    write_parquet(rows, str(tmp_path / "lake"), venue="XNAS", buckets=4)
    expected = sorted(
        (path.name, int(row["sequence"]), int(row["price"]), int(row["size"]))
        for path in days.iterdir()
        for batch in millrace.replay(path).batches("trades")
        for row in batch.numpy()
        if row["price"] != 2**63 - 1  # null, which pandas has for floats alone
    )
    columns = ["file", "sequence", "price", "size"]
    pattern = f"{tmp_path}/lake/**/*.parquet"
    sql = f"SELECT {', '.join(columns)} FROM read_parquet('{pattern}', hive_partitioning = true)"
    found = {
        "pyarrow": ds.dataset(tmp_path / "lake", partitioning="hive").to_table(columns=columns),
        "pandas": pa.Table.from_pandas(pd.read_parquet(tmp_path / "lake")[columns]),
        "polars": pl.read_parquet(pattern, hive_partitioning=True)[columns].to_arrow(),
        "duckdb": duckdb.sql(sql).to_arrow_table(),
    }
    for reader, table in found.items():
        table = table.filter(pc.is_valid(table["price"]))
        rows_of = zip(*(table[name].to_pylist() for name in columns), strict=True)
        assert sorted(rows_of) == expected, reader
    # The statistics of what was written let a reader leave out what lacks a symbol.
    symbols = {row.symbol for row in rows.select("symbol").distinct().collect()}
    whole = ds.dataset(tmp_path / "lake", partitioning="hive")
    groups = sum(len(file.row_groups) for file in whole.get_fragments())
    for symbol in symbols:
        wanted = ds.field("symbol") == symbol
        left = [one for file in whole.get_fragments() for one in file.split_by_row_group(wanted)]
        assert 0 < len(left) < groups
        assert sum(one.count_rows(wanted) for one in left) == len(whole.to_table(filter=wanted))
    # By symbol and time in each file, so that statistics tell symbols apart; and by bucket.
    for file in (tmp_path / "lake").glob("**/*.parquet"):
        one = pq.read_table(file, partitioning=None)
        bucket = int(file.parent.name.removeprefix("bucket="))
        order = list(zip(one["symbol"].to_pylist(), one["ts_event"].to_pylist(), strict=True))
        assert order == sorted(order)
        assert {zlib.crc32(symbol.encode()) % 4 for symbol, _ in order} == {bucket}
        assert file.parent.parent.name == "venue=XNAS"
        assert file.parent.parent.parent.name.startswith("date=")
        statistics = (
            pq.ParquetFile(file)
            .metadata.row_group(0)
            .column(one.column_names.index("symbol"))
            .statistics
        )
        assert (statistics.min, statistics.max) == (order[0][0], order[-1][0])
