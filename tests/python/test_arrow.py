"""Columns: Arrow by its C interface, in four libraries that do not know Millrace, and pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import millrace

SIM = "sim://?messages=6000&symbols_count=7"
UNDEFINED_PRICE = 2**63 - 1


def batches_of(schema: str) -> list[millrace.Batch]:
    return list(millrace.Feed(SIM).batches(schema, max_rows=2000))


@pytest.mark.parametrize("schema", ["mbo", "trades", "mbp-1", "mbp-10", "status"])
def test_arrow_columns_are_the_numpy_columns(schema: str) -> None:
    for batch in batches_of(schema):
        rows = batch.numpy()
        table = pa.record_batch(batch.arrow(prices="int"))
        table.validate(full=True)
        assert table.num_rows == len(rows)
        names = [name for name in rows.dtype.names if name != "length"]
        assert [name for name in table.schema.names if name != "symbol"] == names
        for name in names:
            column = table.column(name)
            raw = rows[name]
            if raw.dtype.kind == "S":
                assert column.to_pylist() == [value.decode() for value in raw]
                continue
            if pa.types.is_timestamp(column.type):
                assert str(column.type) == "timestamp[ns, tz=UTC]"
                column = column.cast(pa.int64())
            valid = np.array(column.is_valid())
            assert np.array_equal(
                np.array(column.fill_null(0))[valid],
                raw.astype(column.type.to_pandas_dtype())[valid],
            )
            undefined = np.iinfo(raw.dtype).max
            assert np.all(raw[~valid] == undefined)


def test_float_prices_are_null_where_there_is_none() -> None:
    batch = batches_of("mbo")[0]
    prices = batch.numpy()["price"]
    table = pa.record_batch(batch)
    assert table.column("price").null_count == int((prices == UNDEFINED_PRICE).sum()) > 0
    defined = prices != UNDEFINED_PRICE
    assert np.array_equal(
        table.column("price").to_numpy(zero_copy_only=False)[defined], prices[defined] / 1e9
    )


def test_symbols_are_a_dictionary_column() -> None:
    batch = batches_of("trades")[0]
    column = pa.record_batch(batch).column("symbol")
    assert pa.types.is_dictionary(column.type)
    expected = [batch.symbols[int(one)] for one in batch.numpy()["instrument_id"]]
    assert column.to_pylist() == expected


def test_polars_duckdb_pandas_and_pyarrow_agree() -> None:
    batch = batches_of("trades")[0]
    rows = batch.numpy()
    total = int(rows["size"].sum())
    frame = batch.polars()
    assert isinstance(frame, pl.DataFrame) and frame["size"].sum() == total
    assert frame["ts_recv"].dtype == pl.Datetime("ns", "UTC")
    assert pl.DataFrame(batch).equals(frame)
    columns = batch.arrow()  # noqa: F841  DuckDB finds it by its name
    assert duckdb.sql("select sum(size) from columns").fetchall()[0][0] == total
    data = batch.pandas()
    assert isinstance(data, pd.DataFrame) and int(data["size"].sum()) == total
    assert str(data["ts_recv"].dtype) == "datetime64[ns, UTC]"
    assert data["symbol"].astype(str).tolist() == frame["symbol"].cast(pl.String).to_list()
    assert data["price"].tolist() == frame["price"].to_list()
    assert data["action"].tolist() == frame["action"].to_list()
    table = pa.table(batch)
    assert table["price"].to_pylist() == frame["price"].to_list()


def test_arrow_columns_outlive_batch_and_feed() -> None:
    batch = batches_of("trades")[0]
    expected = batch.numpy()["size"].tolist()
    table = pa.record_batch(batch)
    del batch
    assert table.column("size").to_pylist() == expected


def test_decode_dbn_reads_a_fragment_and_passes_over_other_records() -> None:
    feed = millrace.Feed(SIM)
    messages = list(feed.messages(millrace.Mbo, millrace.Trade))
    data = b"".join(message.raw for message in messages)
    trades = millrace.decode_dbn(data, "trades", symbols=feed.symbols)
    expected = [one for one in messages if isinstance(one, millrace.Trade)]
    assert list(trades) == expected
    assert [one.symbol for one in trades] == [one.symbol for one in expected]
    cut = millrace.decode_dbn(data[:-5], "mbo")
    assert len(cut) in (len(messages) - len(expected), len(messages) - len(expected) - 1)
    assert len(millrace.decode_dbn(b"", "mbo")) == 0
    assert len(millrace.decode_dbn(b"\x00" * 64, "mbo")) == 0


def test_arrow_columns_need_no_pyarrow() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import millrace, polars\n"
        "batch = next(millrace.Feed('sim://?messages=3000').batches('mbo', max_wait=9))\n"
        "frame = polars.DataFrame(batch.arrow())\n"
        "total = batch.numpy()['size'].sum()\n"
        "assert frame['size'].sum() == batch.polars()['size'].sum() == total\n"
        "assert len(batch.pandas()) == frame.height == len(batch) > 1000\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_decode_dbn_takes_a_complete_stream(tmp_path: Path) -> None:
    path = tmp_path / "day.dbn"
    rows = millrace.to_dbn(millrace.Feed("sim://?messages=2000&symbols_count=3"), path)
    assert len(millrace.decode_dbn(path.read_bytes(), "mbo")) == rows > 0
