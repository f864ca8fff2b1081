"""Files, tables, bars and books at a time, held against other programs and against arithmetic."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import databento
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CAPTURES, command, command_json

import millrace


def rows_of(source, schema: str, **options) -> np.ndarray:
    return np.concatenate([b.numpy() for b in millrace.replay(source, **options).batches(schema)])


@pytest.mark.parametrize("schema", ["mbo", "trades", "mbp-1"])
def test_a_dbn_file_is_what_databentos_reader_reads(
    schema: str, capture: Path, tmp_path: Path
) -> None:
    path = tmp_path / "day.dbn.zst"
    feed = millrace.replay(capture)
    count = millrace.to_dbn(feed, path, schema)
    rows = rows_of(capture, schema)
    store = databento.DBNStore.from_file(path)
    theirs = store.to_ndarray()
    assert count == len(rows) == len(theirs)
    assert store.schema == schema
    for name in ("order_id", "price", "size", "action", "side", "ts_recv", "sequence", "flags"):
        if name in rows.dtype.names:
            assert np.array_equal(rows[name], theirs[name]), name
    ids = {int(one["symbol"]): raw for raw, found in store.mappings.items() for one in found}
    assert ids == feed.symbols


def test_a_dbn_file_is_a_feed(capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "day.dbn"
    feed = millrace.replay(capture)
    millrace.to_dbn(feed, path, "mbo")
    again = millrace.Feed(path)
    back = np.concatenate([batch.numpy() for batch in again.batches("mbo")])
    assert back.tobytes() == rows_of(capture, "mbo").tobytes()
    assert again.symbols == feed.symbols


def test_parquet_csv_and_arrow_hold_every_row(capture: Path, tmp_path: Path) -> None:
    rows = rows_of(capture, "trades")
    assert millrace.to_parquet(millrace.replay(capture), tmp_path / "t.parquet", "trades") == len(
        rows
    )
    table = pq.read_table(tmp_path / "t.parquet")
    assert table["size"].to_pylist() == rows["size"].tolist()
    assert table.equals(millrace.to_arrow(millrace.replay(capture), "trades"))


@pytest.mark.parametrize("schema", ["mbo", "trades", "mbp-1", "mbp-10", "status"])
@pytest.mark.parametrize("name", ["day.dbn", "day.csv"])
def test_files_are_those_of_the_command(
    name: str, schema: str, capture: Path, tmp_path: Path
) -> None:
    theirs, ours = tmp_path / f"theirs-{name}", tmp_path / f"ours-{name}"
    command("convert", capture, "--output", theirs, "--schema", schema)
    write = millrace.to_dbn if name.endswith("dbn") else millrace.to_csv
    rows = write(millrace.replay(capture), ours, schema)
    assert rows > 10
    assert ours.read_bytes() == theirs.read_bytes()


def test_bars_are_the_arithmetic_of_their_trades(capture: Path) -> None:
    rows = rows_of(capture, "trades")
    minutes: dict[tuple[int, int], list] = defaultdict(list)
    for number, row in enumerate(rows):
        if row["size"] > 0 and row["price"] != 2**63 - 1:
            key = (int(row["instrument_id"]), int(row["ts_event"]) // 10**9 * 10**9)
            minutes[key].append((int(row["sequence"]), number, int(row["price"]), int(row["size"])))
    bars = millrace.bars(millrace.replay(capture), "1s")
    got = bars.numpy()
    assert len(got) == len(minutes) > 5
    for bar in got:
        trades = sorted(minutes[int(bar["instrument_id"]), int(bar["ts_event"])])
        prices = [price for _, _, price, _ in trades]
        volume = sum(size for *_, size in trades)
        assert (bar["open"], bar["close"]) == (prices[0], prices[-1])
        assert (bar["high"], bar["low"]) == (max(prices), min(prices))
        assert (bar["volume"], bar["trades"]) == (volume, len(trades))
        assert bar["vwap"] == sum(price * size for _, _, price, size in trades) // volume
    frame = bars.pandas()
    assert frame["volume"].sum() == got["volume"].sum() and frame["symbol"].notna().all()


def test_books_at_times_are_the_books_of_what_came_before(capture: Path) -> None:
    times = np.unique(rows_of(capture, "mbo")["ts_recv"])
    wanted = [int(times[len(times) * i // 5]) for i in (1, 2, 4)] + [int(times[-1]) + 10**12]
    found = millrace.books_at(capture, wanted, ["AAAA", "BAAA"])
    assert [at for at, _ in found] == wanted
    for at, books in found:
        feed = millrace.replay(capture, end=at, symbols=["AAAA", "BAAA"])
        for _ in feed.batches("trades"):
            pass
        assert books == [feed.book("AAAA"), feed.book("BAAA")]
    assert found[0][1][0].digest != found[2][1][0].digest


def test_mistakes(capture: Path, tmp_path: Path) -> None:
    with pytest.raises(millrace.UsageError, match="1s, 1m, 1h"):
        millrace.Bars("soon")
    with pytest.raises(millrace.UsageError, match="divides a day"):
        millrace.Bars("7m")
    batch = next(iter(millrace.replay(capture).batches("mbo")))
    with pytest.raises(millrace.UsageError, match="made of trades"):
        millrace.Bars().add(batch)
    with pytest.raises(millrace.UsageError, match="no imbalance rows"):
        millrace.to_parquet(millrace.replay(capture, end=1), tmp_path / "x.parquet", "imbalance")
    with pytest.raises(millrace.FileError):
        millrace.to_dbn(millrace.replay(capture), tmp_path / "absent" / "x.dbn")


def test_plots_draw_what_they_are_given(capture: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    [(_, books)] = millrace.books_at(capture, [2**62], ["AAAA"])
    ax = millrace.plot_book(books[0], levels=5)
    bid, ask = ax.get_lines()
    assert bid.get_ydata()[-1] == sum(level.size for level in books[0].levels("bid", 5))
    assert ask.get_xdata()[0] == books[0].top.ask.pretty_price
    rows = rows_of(capture, "mbo")
    line = millrace.plot_latency(rows).get_lines()[0]
    assert len(line.get_xdata()) == len(rows)


def samples(pattern: str) -> list:
    found = sorted(CAPTURES.glob(pattern))
    if not found:
        why = pytest.mark.skip(reason="no folder of real captures (MILLRACE_CAPTURES)")
        return [pytest.param(None, marks=why)]
    return [pytest.param(path, id=path.name) for path in found]


@pytest.mark.parametrize("path", samples("dbn/**/*.dbn.zst"))
def test_databentos_own_files_read_as_databento_reads_them(path: Path) -> None:
    store = databento.DBNStore.from_file(path)
    if store.schema is None:
        pytest.skip("several schemas in one file")
    theirs = store.to_ndarray()
    own = np.concatenate([b.numpy() for b in millrace.Feed(path).batches(str(store.schema))])
    assert len(own) == len(theirs) > 0
    names = [n for n in own.dtype.names if n in theirs.dtype.names and n != "length"]
    assert len(names) >= 8
    for name in names:
        expected = theirs[name].astype(own[name].dtype)
        # Of an older version: a number widens, and what stands for "no value" with it.
        if theirs[name].dtype.kind in "iu" and own[name].dtype != theirs[name].dtype:
            undefined = theirs[name] == np.iinfo(theirs[name].dtype).max
            expected[undefined] = np.iinfo(own[name].dtype).max
        assert np.array_equal(own[name], expected), name


@pytest.mark.parametrize("path", samples("iex/*.pcap.gz"))
def test_real_captures_give_the_commands_rows_and_digest(path: Path, tmp_path: Path) -> None:
    command("convert", path, "--output", tmp_path / "theirs.dbn")
    feed = millrace.replay(path)
    millrace.to_dbn(feed, tmp_path / "ours.dbn")
    assert (tmp_path / "ours.dbn").read_bytes() == (tmp_path / "theirs.dbn").read_bytes()
    assert feed.digest == command_json("replay", path)["digest"]


@pytest.mark.parametrize("schema", ["mbo", "trades", "mbp-1", "mbp-10"])
def test_a_csv_file_is_a_feed(schema: str, capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "day.csv.zst"
    feed = millrace.replay(capture)
    count = millrace.to_csv(feed, path, schema)
    again = millrace.Feed(path)
    back = np.concatenate([batch.numpy() for batch in again.batches(schema)])
    rows = rows_of(capture, schema)
    assert len(back) == len(rows) == count
    assert [again.symbols[i] for i in back["instrument_id"].tolist()] == [
        feed.symbols[i] for i in rows["instrument_id"].tolist()
    ]
    for name in set(rows.dtype.names) - {"instrument_id"}:
        assert np.array_equal(back[name], rows[name]), name
    assert again.stats()["records"] == count and again.progress == 1.0
    some = list(millrace.Feed(path, symbols=["AAAA"]).batches(schema))
    assert {one for batch in some for one in batch.numpy()["instrument_id"].tolist()} == {
        one for one, name in again.symbols.items() if name == "AAAA"
    }


def test_a_csv_feed_resumes_and_tells_its_bad_rows(tmp_path: Path) -> None:
    path, kept = tmp_path / "trades.csv", tmp_path / "kept.json"
    lines = [f"2024-01-02T14:30:00.{i:09}Z,{i}.5,{i},S{i % 3}" for i in range(1000)]
    path.write_text("\n".join(["ts_event,price,size,symbol", *lines]) + "\n")
    with millrace.Feed(path, checkpoint=kept) as feed:
        first = next(feed.batches("trades", max_rows=300))
        assert feed.commit_sync().rows == {"trades": 300}
    rest = [b.numpy() for b in millrace.Feed(path, checkpoint=kept).batches("trades")]
    sizes = np.concatenate([first.numpy(), *rest])["size"]
    assert sizes.tolist() == list(range(1000))
    path.write_text(path.read_text() + "never,1,1,S0\n2024-01-02T14:31:00Z,7,7,S0\n")
    with pytest.raises(millrace.FormatError, match=r"row 1002: .*bad_rows='skip'"):
        list(millrace.Feed(path).batches("trades"))
    feed = millrace.Feed(path, bad_rows="skip")
    assert sum(map(len, feed.batches("trades"))) == 1001
    assert feed.stats()["bad_rows"] == 1
    with pytest.raises(millrace.UsageError, match="cannot be mbo"):
        mixed = millrace.Feed(path)
        mixed.batches("trades"), mixed.batches("mbo")
    with pytest.raises(millrace.UsageError, match="'raise' or 'skip'"):
        millrace.Feed(path, bad_rows="stop")
    with pytest.raises(millrace.FileError):
        millrace.Feed(tmp_path / "absent.csv")
