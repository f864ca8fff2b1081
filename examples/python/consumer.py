"""Hands each trade of a broker's stream to a callback, and commits what was processed.

python examples/python/consumer.py "kafka://127.0.0.1:9092/md.trades?group=prices&follow=1"
python examples/python/consumer.py "redis://127.0.0.1:6379/md.trades?group=prices&consumer=one"
python examples/python/consumer.py "amqp://127.0.0.1/md.trades?follow=1"
"""

import asyncio
import sys
from collections import Counter

import millrace


async def main(source: str, commit_every: int = 100) -> None:
    """Runs until the stream ends, or until it is interrupted; then the rest comes again."""
    volume: Counter[str] = Counter()
    trades = 0
    async with millrace.Feed(source) as feed:

        @feed.on(millrace.Trade)
        async def on_trade(trade: millrace.Trade) -> None:
            nonlocal trades
            volume[trade.symbol or "?"] += trade.size
            trades += 1
            if trades % commit_every == 0:
                await feed.commit()  # of this trade and all before it

        @feed.on_gap
        def on_gap(gap: millrace.Gap) -> None:
            print(f"{gap.symbol}: records {gap.first} to {gap.last} never came", file=sys.stderr)

        await feed.run()
        await feed.commit()
    for symbol, shares in volume.most_common():
        print(f"{symbol:8}{shares:12}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
