"""A broker's stream to a callback and in batches, beside the consumers that tutorials show."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from measured import COMMAND, ROOT, timed

import millrace


def brokers(folder: Path, messages: int) -> None:
    """Records to a callback, committed: DBN by Millrace, JSON by the tutorial's consumers."""
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import servers

    path = folder / "stream.pcapng"
    sim = [COMMAND, "sim", "--capture", path, "--messages", str(messages), "--symbols", "50"]
    subprocess.run(sim, check=True, stderr=subprocess.DEVNULL)
    kinds = {"redis": servers.redis, "kafka": servers.kafka, "amqp": servers.rabbitmq}
    for kind, serve in kinds.items():
        try:
            with serve() as where:
                broker(kind, where, path)
        except (OSError, RuntimeError) as error:
            print(f"{kind}: left out, since it does not run here: {error}")


def broker(kind: str, where: str, path: Path) -> None:
    base = f"{kind}://{where}"
    sinks = [f"{base}/dbn", f"{base}/json?payload=json"]
    sources = {one: f"{base}/dbn?group={one}" for one in ("batches", "callbacks")}
    if kind == "amqp":  # a queue for each of them
        sources = {one: f"{base}/{one}" for one in sources}
        sinks = [f"{base}/to-{one}?queue={one}" for one in sources]
        sinks.append(f"{base}/to-json?queue=json&payload=json")
    for sink in sinks:
        replay = [COMMAND, "replay", path, "--sink", sink, "--json"]
        report = json.loads(subprocess.run(replay, check=True, capture_output=True).stdout)
    rows = report["sinks"][0]["acknowledged"]

    def batches() -> int:
        with millrace.Feed(sources["batches"]) as feed:
            count = 0
            for batch in feed.batches("mbo"):
                count += len(batch.numpy())
                feed.commit_sync()
            return count

    def callbacks() -> int:
        feed = millrace.Feed(sources["callbacks"])
        count = 0

        @feed.on(millrace.Mbo)
        async def handle(order: millrace.Mbo) -> None:
            nonlocal count
            count += 1
            if count % 1000 == 0:
                await feed.commit()

        asyncio.run(feed.run())
        feed.commit_sync()
        feed.close()
        return count

    tutorials = {"kafka": kafka_tutorial, "redis": redis_tutorial, "amqp": rabbit_tutorial}
    tutorial = tutorials[kind]
    few = rows // 10
    assert timed(f"{kind}, tutorial's way (repaired), JSON", lambda: tutorial(where, few)) >= few
    assert timed(f"{kind}, millrace.Feed, callbacks, committed", callbacks) == rows
    assert timed(f"{kind}, millrace.Feed, batches, committed", batches) == rows


def kafka_tutorial(where: str, wanted: int) -> int:
    """kafka-python as tutorials have it, with the commit behind the work."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(
        "json",
        bootstrap_servers=where,
        group_id="tutorial",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    count = 0
    while count < wanted:
        for messages in consumer.poll(timeout_ms=1000).values():
            count += sum(1 for message in messages if json.loads(message.value)["symbol"])
        consumer.commit()
    consumer.close()
    return count


def redis_tutorial(where: str, wanted: int) -> int:
    """redis-py in a consumer group, acknowledged behind the work."""
    import redis

    host, port = where.split(":")
    client = redis.Redis(host=host, port=int(port))
    client.xgroup_create("json", "tutorial", id="0")
    count = 0
    while count < wanted:
        [[_, entries]] = client.xreadgroup("tutorial", "one", {"json": ">"}, count=500)
        count += sum(1 for _, fields in entries if json.loads(fields[b"data"])["symbol"])
        client.xack("json", "tutorial", *(name for name, _ in entries))
    client.close()
    return count


def rabbit_tutorial(where: str, wanted: int) -> int:
    """pika as tutorials have it, with the acknowledgement behind the work."""
    import pika

    host, port = where.split(":")
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=500)
    count = 0

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal count
        count += bool(json.loads(body)["symbol"])
        channel.basic_ack(method.delivery_tag)
        if count == wanted:
            channel.stop_consuming()

    channel.basic_consume("json", handle)
    channel.start_consuming()
    connection.close()
    return count
