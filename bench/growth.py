"""Draws what millrace_growth measured: growth.py ROWS.csv docs/growth.svg

Three columns (symbols, live orders, levels a side), each with the cost of a message, beside the plain reference design's,
above the memory of a live order. The horizontal axes are logarithmic.
"""

import csv
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "growth"  # the same rows give the same file
from matplotlib import pyplot  # noqa: E402

SWEEPS = [
    ("symbols", "symbols (200,000 orders, 20 levels a side)"),
    ("orders", "live orders (2,000 symbols, 20 levels a side)"),
    ("levels", "levels a side (100 symbols, 200,000 orders)"),
]


def draw(rows, path):
    """One figure of all sweeps."""
    figure, axes = pyplot.subplots(2, len(SWEEPS), sharey="row", figsize=(13, 6.5))
    for (sweep, title), cost, memory in zip(SWEEPS, axes[0], axes[1]):
        mine = [row for row in rows if row["sweep"] == sweep]
        x = [int(row[sweep]) for row in mine]

        def column(name):
            return [float(row[name]) for row in mine]

        cost.plot(x, column("ns_a_message"), marker="o", color="#0072b2", label="Millrace, order by order")
        cost.plot(x, column("reference_ns_a_message"), marker="s", color="#d55e00", label="plain reference, totals")
        memory.plot(x, column("bytes_a_live_order"), marker="o", color="#0072b2")
        memory.axhline(128, linestyle="--", color="#999999")
        for axis in (cost, memory):
            axis.set_xscale("log")
            axis.grid(True, alpha=0.3)
        memory.set_xlabel(title)
        memory.set_yscale("log")
    axes[0][0].set_ylabel("ns of CPU a message")
    axes[0][0].set_ylim(bottom=0)
    axes[1][0].set_ylabel("bytes a live order (dashed: 128)")
    axes[0][0].legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    """Reads the rows and draws them."""
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    draw(rows, sys.argv[2])


if __name__ == "__main__":
    main()
