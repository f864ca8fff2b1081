"""CSV rows: values, bad rows by policy, back-pressure, resuming."""

from __future__ import annotations

import asyncio
import csv
import gc
import gzip
import multiprocessing
import os
import random
import sys
import time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import millrace

SCHEMA = {"sequence": int, "price": Decimal}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "trades.csv"
    lines = ["sequence,symbol,price", *(f'{i},"S,{i % 3}",{i}.25' for i in range(5000))]
    path.write_text("\n".join(lines) + "\n")
    return path


def expected(numbers) -> list[dict]:
    return [{"sequence": i, "symbol": f"S,{i % 3}", "price": Decimal(f"{i}.25")} for i in numbers]


def test_rows_come_converted_and_in_order(table: Path) -> None:
    async def main() -> tuple[list, list]:
        rows = [row async for row in millrace.read_csv(table, SCHEMA)]
        batches = [batch async for batch in millrace.read_csv(table, SCHEMA).batches()]
        return rows, [row for batch in batches for row in batch]

    rows, batched = asyncio.run(main())
    assert rows == batched == list(millrace.read_csv(table, SCHEMA)) == expected(range(5000))


def test_bad_rows_by_policy(table: Path) -> None:
    with table.open("a") as file:
        file.write("oops,X,1\n5001,X\n5002,Y,2.5\n")
    with pytest.raises(millrace.BadRow, match=r"line 5002: column sequence: .*invalid literal"):
        list(millrace.read_csv(table, SCHEMA))
    skipping = millrace.read_csv(table, SCHEMA, on_error="skip")
    rows = list(skipping)
    assert rows[:-1] == expected(range(5000)) and rows[-1]["sequence"] == 5002
    assert skipping.bad_rows == 2
    seen: list[millrace.BadRow] = []
    list(millrace.read_csv(table, SCHEMA, on_error=seen.append))
    assert [bad.line for bad in seen] == [5002, 5003]
    assert "2 fields instead of 3" in str(seen[1])


def test_a_slow_consumer_holds_the_reader_up(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_text("n\n" + "".join(f"{i}\n" for i in range(50_000)))

    async def main() -> int:
        rows = millrace.read_csv(path, {"n": int}, max_waiting=1000)
        count = 0
        async for _ in rows:
            count += 1
            if count == 1:
                await asyncio.sleep(0.3)
                assert 1000 <= rows.counters["read"] <= 1250  # those ahead, and those in hand
        assert rows.counters == {"read": 50_000, "delivered": 50_000, "bad": 0, "waiting": 0}
        return count

    assert asyncio.run(main()) == 50_000


def random_cell(chance: random.Random) -> str:
    kinds = ["7", "-12", "+3", " 4 ", "1_000", "9" * 25, "1e3", "nan", "inf", "0x10", "", "12.5"]
    return chance.choice([*kinds, "a,b", 'say "so"', "two\nlines", "naïve", str(chance.random())])


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_what_the_csv_module_and_the_converters_make_of_it(
    seed: int, tmp_path: Path
) -> None:
    chance, path = random.Random(seed), tmp_path / "random.csv"
    delimiter = chance.choice([",", ";", "\t"])
    schema = {"whole": int, "real": float, "exact": Decimal}
    with path.open("w", newline="") as file:
        ending = chance.choice(["\n", "\r\n"])
        writer = csv.writer(file, delimiter=delimiter, lineterminator=ending)
        writer.writerow(["whole", "text", "real", "exact"])
        for _ in range(700):
            writer.writerow([random_cell(chance) for _ in range(chance.choice([3, 4, 4, 4, 5]))])
    good, bad = [], 0
    with path.open(newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        names = next(reader)
        for cells in reader:
            try:
                pairs = zip(names, cells, strict=True)
                good.append({name: schema.get(name, str)(cell) for name, cell in pairs})
            except (ValueError, ArithmeticError):
                bad += 1
    rows = millrace.read_csv(path, schema, on_error="skip", delimiter=delimiter)
    assert repr(list(rows)) == repr(good)  # by their text, since nan is unlike itself
    assert rows.bad_rows == bad > 50 and len(good) > 5
    assert rows.counters == {"read": 700, "delivered": len(good), "bad": bad, "waiting": 0}


def test_bad_rows_are_told_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text('n,text\n1,"two\nlines"\nx,a\n3,b\n4,say "so"\n5,c\n')
    seen: list[object] = []
    rows = millrace.read_csv(path, {"n": int}, on_error=seen.append)
    for row in rows:
        seen.append(row["n"])
    lines = [one.line if isinstance(one, millrace.BadRow) else one for one in seen]
    assert lines == [1, 4, 3, 6, 5]
    assert seen[1].row == ["x", "a"] and "quotes that do not match" in str(seen[3])
    assert rows.position.rows == {"csv": 5}


def test_an_iteration_goes_on_where_the_one_before_was_left(table: Path) -> None:
    rows = millrace.read_csv(table, SCHEMA)
    first = [row for _, row in zip(range(10), rows, strict=False)]
    second = next(iter(rows.batches()))

    async def rest() -> list:
        return [row async for row in rows]

    got = first + second + asyncio.run(rest())
    assert got == expected(range(5000))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_and_one_that_is_cut_short(suffix: str, table: Path) -> None:
    packed = table.with_name("trades.csv" + suffix)
    data = table.read_bytes()
    zstd = pa.compress(data, "zstd", asbytes=True)
    packed.write_bytes(gzip.compress(data) if suffix == ".gz" else zstd)
    assert list(millrace.read_csv(packed, SCHEMA)) == expected(range(5000))
    packed.write_bytes(packed.read_bytes()[:-20])
    rows = []
    with pytest.raises(millrace.FormatError, match="rows up to there are good"):
        for row in millrace.read_csv(packed, SCHEMA, on_error="skip"):
            rows.append(row)
    assert rows == expected(range(len(rows)))


def test_an_error_that_is_no_matter_of_a_row_comes_behind_the_rows_before_it(table: Path) -> None:
    def fail(text: str) -> int:
        if text == "700":
            raise LookupError(text)
        return int(text)

    rows, got = millrace.read_csv(table, {"sequence": fail, "price": Decimal}), []
    with pytest.raises(LookupError, match="700"):
        for row in rows:
            got.append(row)
    assert got == expected(range(700))
    rows.close()


def test_a_converter_may_not_come_back_for_rows(table: Path) -> None:
    def again(text: str) -> object:
        return next(iter(rows))

    rows = millrace.read_csv(table, {"sequence": again})
    with pytest.raises(millrace.BadRow, match="being taken already"):
        next(iter(rows))


def test_rows_leak_no_references(table: Path) -> None:
    class Value:
        def __init__(self, text: str) -> None:
            self.text = text

    held = sys.getrefcount(Value)
    rows = list(millrace.read_csv(table, {"sequence": Value}))
    more = sys.getrefcount(Value) - held  # outside of asserts, which hold references
    assert more == 5000
    del rows
    gc.collect()
    left = sys.getrefcount(Value)
    assert left == held


def test_others_run_meanwhile_and_leaving_ends_the_thread(table: Path) -> None:
    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(tick())
        rows = millrace.read_csv(table)
        async for _ in rows:
            break
        rows.close()
        async for _ in millrace.read_csv(table, max_waiting=50):
            pass
        other.cancel()
        names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
        assert "millrace-csv" not in names
        return ticks

    assert asyncio.run(main()) > 10


def test_reading_resumes_behind_the_last_commit(table: Path, tmp_path: Path) -> None:
    kept = tmp_path / "position.json"

    async def some(count: int) -> list:
        out = []
        rows = millrace.read_csv(table, SCHEMA, checkpoint=kept)
        async for row in rows:
            out.append(row)
            if len(out) == count:
                await rows.commit()
                break
        rows.close()
        return out

    first, second, rest = (asyncio.run(some(n)) for n in (123, 1000, 10**9))
    assert first + second + rest == expected(range(5000))


def _use_in_child(rows: millrace.CsvRows) -> None:
    try:
        next(iter(rows))
    except millrace.MillraceError as error:
        os._exit(0 if "fork" in str(error) else 1)
    os._exit(2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork_the_rows_stay_with_the_parent(table: Path) -> None:
    rows = millrace.read_csv(table, SCHEMA, max_waiting=100)
    first = next(iter(rows.batches()))
    child = multiprocessing.get_context("fork").Process(target=_use_in_child, args=(rows,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert first + list(rows) == expected(range(5000))


def test_mistakes(tmp_path: Path, table: Path) -> None:
    with pytest.raises(millrace.FileError, match="a file that this user may read"):
        millrace.read_csv(tmp_path / "absent.csv")
    with pytest.raises(millrace.FormatError, match="no column 'size'"):
        list(millrace.read_csv(table, {"size": int}))
    with pytest.raises(ValueError, match="on_error"):
        millrace.read_csv(table, on_error="stop")
    for delimiter in ("", "::", '"', "\n", "é"):
        with pytest.raises(ValueError, match="delimiter"):
            millrace.read_csv(table, delimiter=delimiter)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert list(millrace.read_csv(empty)) == []


def test_a_reader_that_is_let_go_does_not_hang(table: Path) -> None:
    rows = iter(millrace.read_csv(table, max_waiting=10))
    next(rows)
    began = time.perf_counter()
    del rows
    assert time.perf_counter() - began < 1


def test_two_columns_of_one_name_are_an_error_and_not_one_column(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("bid,ask,bid\n1,2,3\n")
    with pytest.raises(millrace.FormatError, match="two columns are called 'bid'"):
        millrace.read_csv(path)


def test_what_is_wrong_with_a_cell_of_several_lines_is_told_in_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_bytes(b'price\n"1\n\x00\x1b2"\n')
    with pytest.raises(millrace.BadRow, match=r'line 2: column price: "1\?\?\?2" does not fit'):
        list(millrace.read_csv(path, {"price": float}))
    with pytest.raises(
        millrace.FormatError, match=r'row 2: column price: "1\?\?\?2" does not fit; '
    ):
        next(millrace.Feed(path).batches("mbo"))
