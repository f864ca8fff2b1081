"""Typed objects and callbacks."""

from __future__ import annotations

import asyncio
import gc
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from conftest import BUILD, command_json

import millrace

SIM = "sim://?messages=20000&symbols_count=7"


def test_messages_have_the_fields_of_their_records() -> None:
    batch = next(iter(millrace.Feed(SIM).batches("mbo", max_rows=50)))
    rows = batch.numpy()
    for row, message in zip(rows, batch, strict=True):
        assert isinstance(message, millrace.Mbo)
        for name in rows.dtype.names:
            if name == "length":
                continue
            value = row[name]
            expected = value.decode() if isinstance(value, bytes) else int(value)
            assert getattr(message, name) == expected
        assert message.symbol == batch.symbols[message.instrument_id]
        undefined = message.price == 2**63 - 1
        assert message.pretty_price == (None if undefined else message.price / 1e9)


def test_messages_compare_hash_print_and_pickle() -> None:
    one, other, *_ = millrace.Feed(SIM).messages(millrace.Trade)
    assert one == pickle.loads(pickle.dumps(one)) and one != other
    assert len({one, other, pickle.loads(pickle.dumps(one))}) == 2
    text = repr(one)
    assert text.startswith(f"Trade(symbol='{one.symbol}', ") and f"price={one.price}" in text
    with pytest.raises(AttributeError):
        one.price = 1
    with pytest.raises(TypeError):
        millrace.Trade()


def test_messages_of_several_types_come_in_order() -> None:
    kinds = (millrace.Mbo, millrace.Trade)
    both = list(millrace.Feed(SIM).messages(*kinds))
    for kind in kinds:
        alone = list(millrace.Feed(SIM).messages(kind))
        assert [message for message in both if type(message) is kind] == alone
    sequences = [message.sequence for message in both if message.sequence]
    assert sequences == sorted(sequences)


def test_asyncio_and_plain_loops_give_the_same_messages() -> None:
    async def collect() -> list:
        return [one async for one in millrace.Feed(SIM).messages(millrace.Trade)]

    assert asyncio.run(collect()) == list(millrace.Feed(SIM).messages(millrace.Trade))


def test_callbacks_plain_and_async_get_every_message_once() -> None:
    feed = millrace.Feed(SIM)
    plain, awaited, running = [], [], 0

    @feed.on(millrace.Trade)
    def on_trade(trade: millrace.Trade) -> None:
        plain.append(trade)

    @feed.on(millrace.Trade, millrace.Status)
    async def on_either(message) -> None:
        nonlocal running
        assert running == 0  # one at a time, in order
        running += 1
        if len(awaited) % 100 == 0:
            await asyncio.sleep(0)
        awaited.append(message)
        running -= 1

    asyncio.run(feed.run())
    assert plain == list(millrace.Feed(SIM).messages(millrace.Trade))
    assert awaited == list(millrace.Feed(SIM).messages(millrace.Trade, millrace.Status))


def test_run_sync_calls_plain_functions_only() -> None:
    feed = millrace.Feed(SIM)
    seen = []
    feed.on(millrace.Trade)(seen.append)
    feed.run_sync()
    assert len(seen) == sum(map(len, millrace.Feed(SIM).batches("trades")))

    other = millrace.Feed(SIM)

    @other.on(millrace.Trade)
    async def never(_) -> None: ...

    with pytest.raises(millrace.UsageError, match="plain functions"):
        other.run_sync()
    with pytest.raises(millrace.UsageError, match="nothing to call"):
        millrace.Feed(SIM).run_sync()


def test_an_exception_in_a_callback_ends_the_run_unless_someone_handles_it() -> None:
    def fail(trade: millrace.Trade) -> None:
        raise KeyError(trade.sequence)

    feed = millrace.Feed(SIM)
    feed.on(millrace.Trade)(fail)
    with pytest.raises(KeyError):
        asyncio.run(feed.run())

    handled = millrace.Feed(SIM)
    handled.on(millrace.Trade)(fail)
    seen = []
    after = []
    handled.on(millrace.Trade)(after.append)

    @handled.on_error
    def on_error(error: Exception, message: millrace.Trade) -> None:
        assert error.args == (message.sequence,)
        seen.append(message)

    asyncio.run(handled.run())
    assert seen == after == list(millrace.Feed(SIM).messages(millrace.Trade))


def test_gaps_and_quality_come_as_the_command_counts_them(gappy_capture: Path) -> None:
    expected = command_json("replay", gappy_capture)
    gaps, changes = [], []
    feed = millrace.replay(gappy_capture)
    feed.on_gap(gaps.append)
    feed.on_quality(changes.append)
    feed.run_sync()
    lost = [
        (g["first"], g["last"])
        for g in expected["gaps"]
        if g["ended"] in ("given_up", "session_end", "open")
    ]
    assert len(lost) > 3
    assert [(gap.first, gap.last) for gap in gaps] == lost
    assert all(gap.symbol is None for gap in gaps)
    last = {change.symbol: change.quality for change in changes}
    names = ["live", "recovering", "stale", "suspect"]
    found = {name: sum(names[q] == name for q in last.values()) for name in names[1:]}
    for name in names[1:]:
        assert found[name] == expected["quality"][name]


def test_a_gap_is_told_before_the_rows_behind_it(gappy_capture: Path) -> None:
    highest = 0
    gaps = 0
    for message in millrace.replay(gappy_capture).messages(millrace.Gap, millrace.Mbo):
        if isinstance(message, millrace.Gap):
            gaps += 1
            assert highest < message.first
        elif message.sequence:
            highest = max(highest, message.sequence)
    assert gaps > 3


def test_messages_leak_no_references() -> None:
    # References are counted outside of asserts, which hold some of their own.
    for _ in range(3):
        gc.collect()  # what earlier tests left
        before = sys.getrefcount(millrace.Trade)
        feed = millrace.Feed("sim://?messages=30000&symbols_count=1")
        trades = list(feed.messages(millrace.Trade))
        count = len(trades)
        assert count > 500
        more = sys.getrefcount(millrace.Trade) - before
        assert more == count
        symbol = trades[0].symbol
        held = sys.getrefcount(symbol)
        del trades
        gc.collect()
        fewer = held - sys.getrefcount(symbol)
        assert fewer == count
        left = sys.getrefcount(millrace.Trade)
        assert left == before


def test_symbols_that_never_came_are_told_of_once(capture: Path, tmp_path: Path) -> None:
    asked = ["AAAA", "NOPE", "AAPLE"]
    feed = millrace.replay(capture, symbols=asked)
    two = feed.batches("mbo"), feed.batches("trades")
    with pytest.warns(millrace.MillraceWarning) as told:
        counts = [sum(map(len, stream)) for stream in two]
    [warning] = told
    assert str(warning.message) == f"{capture}: no such symbol in it: NOPE, AAPLE"
    assert min(counts) > 0 and feed.symbols_missing == ["NOPE", "AAPLE"]
    # As the command has it.
    done = subprocess.run(
        [BUILD / "millrace", "replay", capture, "--symbols", ",".join(asked)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if "no such symbol" in line]
    assert [line.split("--symbols ")[1].split(":")[0] for line in lines] == ["NOPE", "AAPLE"]

    # Also of a source without books; and nothing where all is there.
    rows = tmp_path / "trades.csv"
    millrace.to_csv(millrace.replay(capture), rows, "trades")
    with pytest.warns(millrace.MillraceWarning, match=r"trades\.csv: .*: NOPE"):
        list(millrace.Feed(rows, symbols=["AAAA", "NOPE"]).batches("trades"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feed = millrace.replay(capture, symbols=["AAAA"])
        assert feed.symbols_missing == ["AAAA"]  # so far
        assert list(feed.messages(millrace.Trade)) and feed.symbols_missing == []


def test_memory_does_not_grow_with_use() -> None:
    import psutil

    def use() -> None:
        feed = millrace.Feed("sim://?messages=5000&symbols_count=5")
        stream, messages = feed.batches("mbo", max_rows=100), feed.messages(millrace.Trade)
        for batch in stream:
            batch.numpy(), batch.__arrow_c_array__(), batch.__arrow_c_stream__()
        list(messages)
        feed.book("AAAA")
        feed.stats()

    for _ in range(5):
        use()
    process = psutil.Process()
    gc.collect()
    before, handles = process.memory_info().rss, process.num_fds()
    for _ in range(40):
        use()
    gc.collect()
    assert process.memory_info().rss - before < 8 << 20
    assert process.num_fds() == handles


def test_a_loop_that_was_left_is_gone_on_with(capture: Path) -> None:
    expected = [trade.sequence for trade in millrace.replay(capture).messages(millrace.Trade)]

    async def in_pieces() -> list[int]:
        stream = millrace.replay(capture).messages(millrace.Trade)
        got: list[int] = []
        more = True
        while more:
            more = False
            async for trade in stream:
                got.append(trade.sequence)
                if more := len(got) % 7 == 0:
                    break
        return got

    assert asyncio.run(in_pieces()) == expected
    stream = millrace.replay(capture).messages(millrace.Trade)
    got = [next(stream).sequence for _ in range(9)]
    for trade in stream:
        got.append(trade.sequence)
        break
    assert got + [trade.sequence for trade in stream] == expected


def test_who_cancels_again_and_again_still_gets_every_row(capture: Path) -> None:
    expected = sum(len(batch) for batch in millrace.replay(capture).batches("mbo"))

    async def impatient() -> int:
        stream, rows = millrace.replay(capture).batches("mbo", max_rows=100), 0
        while True:
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)  # one turn of the loop, and no more
            task.cancel()
            try:
                rows += len(await task)
            except asyncio.CancelledError:
                continue
            except StopAsyncIteration:
                return rows

    assert asyncio.run(asyncio.wait_for(impatient(), 60)) == expected
