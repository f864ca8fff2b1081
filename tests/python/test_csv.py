"""CSV rows: values, bad rows by policy, back-pressure, resuming."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path

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
    with pytest.raises(millrace.BadRow, match="line 5002: invalid literal"):
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
    read = 0

    def count(text: str) -> int:
        nonlocal read
        read += 1
        return int(text)

    async def main() -> int:
        rows = 0
        async for _ in millrace.read_csv(path, {"n": count}, max_waiting=1000):
            if rows == 0:
                await asyncio.sleep(0.3)
                assert read <= 2000
            rows += 1
        return rows

    assert asyncio.run(main()) == 50_000


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
        assert rows._thread is not None
        await asyncio.to_thread(rows._thread.join, 5)
        assert not rows._thread.is_alive()
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


def test_mistakes(tmp_path: Path, table: Path) -> None:
    with pytest.raises(millrace.FileError, match="is the name right"):
        millrace.read_csv(tmp_path / "absent.csv")
    with pytest.raises(millrace.FormatError, match="no column 'size'"):
        list(millrace.read_csv(table, {"size": int}))
    with pytest.raises(ValueError, match="on_error"):
        millrace.read_csv(table, on_error="stop")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert list(millrace.read_csv(empty)) == []


def test_a_reader_that_is_let_go_does_not_hang(table: Path) -> None:
    rows = iter(millrace.read_csv(table, max_waiting=10))
    next(rows)
    began = time.perf_counter()
    del rows
    assert time.perf_counter() - began < 1
