"""Books as copies, of now or of the batch in hand, against the command and the records."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import command

import millrace

SIM = "sim://?messages=20000&symbols_count=7"


def test_books_are_the_commands(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "books.csv"
    command("replay", capture, "--books", out)
    feed = millrace.replay(capture)
    assert feed.book("AAAA") is None  # nothing has been read yet
    assert (feed.stats()["messages"], feed.stats()["balance"]) == (0, 0)
    for _ in feed.batches("trades"):
        pass
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(feed.books()) == 12
    for row in rows:
        book = feed.book(row["symbol"])
        assert book is not None
        bid, ask = book.top
        for side, level in (("bid", bid), ("ask", ask)):
            size = 0 if level is None else level.size
            assert size == int(row.get(f"{side}_size", row.get(f"{side}_quantity", 0)) or 0)


def test_a_book_is_all_its_orders() -> None:
    feed = millrace.Feed(SIM)
    for _ in feed.batches("trades"):
        pass
    seen = 0
    for name in feed.symbols.values():
        book = feed.book(name)
        for side, levels in (("bid", book.bids), ("ask", book.asks)):
            for depth, level in enumerate(book.levels(side)):
                queue = book.orders(side, depth)
                assert level.orders == len(queue) and level.size == sum(one.size for one in queue)
                seen += len(queue)
            prices = [level.price for level in levels]
            assert prices == sorted(prices, reverse=side == "bid")
        assert book.quality == "live" and len(book.digest) == 32
        assert book.levels("bid", 2) == book.bids[:2]
        without = feed.book(name, orders=False)
        assert without.bids == book.bids and without.orders("bid") == []
    assert seen > 100
    assert feed.book("NOSUCH") is None
    with pytest.raises(ValueError):
        book.levels("buy")


def apply(orders: dict, row) -> None:
    """A book of orders by what DBN says of each action."""
    action, key = row["action"], int(row["order_id"])
    if action == b"A":
        orders[key] = [row["side"], int(row["price"]), int(row["size"])]
    elif action == b"C":
        orders[key][2] -= int(row["size"])
        if orders[key][2] == 0:
            del orders[key]
    elif action == b"R":
        orders.clear()


def levels_of(orders: dict, side: bytes) -> list[tuple[int, int]]:
    sizes: dict[int, int] = defaultdict(int)
    for one_side, price, size in orders.values():
        if one_side == side:
            sizes[price] += size
    return sorted(sizes.items(), reverse=side == b"B")


@pytest.mark.parametrize("source", ["capture", SIM])
def test_in_step_the_book_is_as_of_the_batch_in_hand(source: str, request) -> None:
    source = request.getfixturevalue("capture") if source == "capture" else source
    feed = millrace.Feed(source, books="batch", symbols=["AAAA"])
    orders: dict = {}
    batches = 0
    for batch in feed.batches("mbo", max_rows=500):
        for row in batch.numpy():
            apply(orders, row)
        book = feed.book("AAAA")
        for side, levels in ((b"B", book.bids), (b"A", book.asks)):
            assert [(level.price, level.size) for level in levels] == levels_of(orders, side)
        batches += 1
    assert batches > 4


def test_in_step_there_is_one_iterator() -> None:
    feed = millrace.Feed(SIM, books="batch")
    feed.batches("mbo")
    with pytest.raises(millrace.UsageError, match="one iterator"):
        feed.batches("trades")
