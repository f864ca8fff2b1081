"""Prints each change of a symbol's best price, and what the feed's quality is worth.

python examples/python/top_of_book.py day.pcap.zst AAPL
python examples/python/top_of_book.py "udp://239.255.0.1:26477?iface=lo" AAAA
"""

import asyncio
import sys

import millrace


async def main(source: str, symbol: str) -> None:
    """Runs until the feed ends."""
    async with millrace.Feed(source, venue="nasdaq-itch50", symbols=[symbol]) as feed:

        @feed.on(millrace.Bbo)
        def on_top(top: millrace.Bbo) -> None:
            print(top.bid_sz_00, top.pretty_bid_px_00, top.pretty_ask_px_00, top.ask_sz_00)

        @feed.on_gap
        def on_gap(gap: millrace.Gap) -> None:
            print(f"messages {gap.first} to {gap.last} are lost: the book may be wrong")

        await feed.run()
        print("digest", feed.digest, "balance", feed.stats()["balance"])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
