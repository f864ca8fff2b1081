"""Quick plots, where matplotlib is installed."""

from __future__ import annotations

from typing import Any

from ._arguments import at_least, shown
from ._batch import Batch
from ._book import Book
from ._errors import UsageError


def plot_book(book: Book, levels: int = 20, ax: Any = None) -> Any:
    """The size waiting at each side's best prices, summed up from the best; returns the axes."""
    if not isinstance(book, Book):
        raise UsageError(f"{shown(book)} is no book; feed.book(symbol) gives one")
    at_least("levels", levels, 1, whole=True)
    ax = ax or _axes()
    for side, color in (("bid", "tab:blue"), ("ask", "tab:red")):
        best = book.levels(side, levels)
        depth, sums = 0, []
        for level in best:
            depth += level.size
            sums.append(depth)
        prices = [level.pretty_price for level in best]
        ax.step(prices, sums, where="post", color=color, label=side)
    ax.set(xlabel="price", ylabel="shares up to here", title=f"{book.symbol} at {book.sequence}")
    ax.legend()
    return ax


def plot_latency(rows: Any, ax: Any = None) -> Any:
    """How long after the venue's send time rows were received, as the share that took longer.

    Of a batch, its ``numpy()``, or a data frame: whatever has a column ``ts_in_delta``.
    """
    import numpy as np

    rows = rows.numpy() if isinstance(rows, Batch) else rows
    try:
        column = rows["ts_in_delta"]
    except (TypeError, KeyError, IndexError, ValueError):
        what = type(rows).__name__
        raise UsageError(f"rows={what}: a batch, or rows with a column ts_in_delta") from None
    ax = ax or _axes()
    delays = np.sort(np.asarray(column, dtype=np.int64)) / 1e3
    ax.plot(delays, 1 - np.arange(len(delays)) / max(1, len(delays)))
    ax.set(xlabel="microseconds from venue to capture", ylabel="share of rows that took longer")
    ax.set_yscale("log")
    return ax


def _axes() -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
