"""One instrument's book, as a copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._errors import UsageError


class Level(NamedTuple):
    """A price level. ``price`` counts 1e-9; ``orders`` is 0 where the venue does not tell."""

    price: int
    size: int
    orders: int

    @property
    def pretty_price(self) -> float:
        """The price as a float."""
        return self.price / 1e9


class Order(NamedTuple):
    """An order in its level's queue."""

    order_id: int
    size: int


class Top(NamedTuple):
    """The best level of each side, None where a side is empty."""

    bid: Level | None
    ask: Level | None


@dataclass(frozen=True, slots=True)
class Book:
    """A book as it was at ``sequence``. ``quality`` is ``"live"`` only if it was exact then."""

    symbol: str
    sequence: int
    quality: str
    state: str
    digest: str
    bids: list[Level] = field(repr=False)
    asks: list[Level] = field(repr=False)
    #: Price (1e-9) and size of the last trade.
    last_trade: tuple[int, int] | None = None
    _bid_orders: list[list[Order]] = field(default_factory=list, repr=False)
    _ask_orders: list[list[Order]] = field(default_factory=list, repr=False)

    @property
    def top(self) -> Top:
        """The best level of each side."""
        return Top(self.bids[0] if self.bids else None, self.asks[0] if self.asks else None)

    def levels(self, side: str, depth: int | None = None) -> list[Level]:
        """Levels of a side, ``"bid"`` or ``"ask"``, best first; ``depth`` of them or all."""
        levels = self._of(side, self.bids, self.asks)
        return levels if depth is None else levels[:depth]

    def orders(self, side: str, level: int = 0) -> list[Order]:
        """The queue at a level (0 is the best), first in line first."""
        queues = self._of(side, self._bid_orders, self._ask_orders)
        return queues[level] if level < len(queues) else []

    @staticmethod
    def _of(side: str, bid: list[Any], ask: list[Any]) -> list[Any]:
        if side not in ("bid", "ask"):
            raise UsageError(f"side={side!r}: 'bid' or 'ask'")
        return bid if side == "bid" else ask


def book_of(image: dict[str, Any]) -> Book:
    """A book from what the extension gives."""
    return Book(
        symbol=image["symbol"],
        sequence=image["sequence"],
        quality=image["quality"],
        state=image["state"],
        digest=image["digest"],
        last_trade=image["last_trade"],
        bids=[Level(*level) for level in image["bids"]],
        asks=[Level(*level) for level in image["asks"]],
        _bid_orders=[[Order(*order) for order in queue] for queue in image["bid_orders"]],
        _ask_orders=[[Order(*order) for order in queue] for queue in image["ask_orders"]],
    )
