"""Volume-weighted average price of each symbol in a capture, from batches.

python examples/python/vwap.py day.pcap.zst
"""

import sys
from collections import defaultdict

import numpy as np

import millrace


def main(path: str) -> None:
    """Prints a line for each symbol."""
    feed = millrace.replay(path)
    turnover: defaultdict[int, int] = defaultdict(int)
    volume: defaultdict[int, int] = defaultdict(int)
    for batch in feed.batches("trades", max_rows=65536):
        rows = batch.numpy()
        rows = rows[rows["size"] > 0]
        for instrument in np.unique(rows["instrument_id"]):
            own = rows[rows["instrument_id"] == instrument]
            turnover[instrument] += int(
                np.dot(own["price"].astype(object), own["size"].astype(object))
            )
            volume[instrument] += int(own["size"].sum())
    for instrument, name in sorted(feed.symbols.items(), key=lambda item: item[1]):
        if volume[instrument]:
            vwap = turnover[instrument] / volume[instrument] / 1e9
            print(f"{name:8}{vwap:12.4f}{volume[instrument]:12}")


if __name__ == "__main__":
    main(sys.argv[1])
