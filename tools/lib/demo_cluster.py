"""The work of tools/demo-cluster, once everything is built and fetched."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # before the imports that take a second
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import confluent_kafka.admin
import numpy as np
import pyarrow.parquet as pq
from kafka_server import KafkaServer, free_ports
from spark_session import submit_command

import millrace
from millrace import _core

ROOT = Path(__file__).parents[2]
MILLRACE = ROOT / "build/release/millrace"
TOPIC = "md.trades"
PACE = 60
LATE_MINUTES = 3
PATIENCE_S = 600  # with Spark, on a machine that has other work
PLANTED = 4  # messages that are put into the topic again: so many early, so many late ones
BAR = ("trades", "open", "high", "low", "close", "volume", "vwap")
Bars = dict[tuple[str, int], tuple[int, ...]]


def say(text: str) -> None:
    """A line of progress."""
    print(f"demo-cluster: {text}", file=sys.stderr, flush=True)


class Failure(Exception):
    """What is wrong, in one line."""


#: What ends the demo with one line: a disk that is full, a server that does not start or answer.
FAILURES = (
    *(Failure, OSError, RuntimeError),
    *(millrace.MillraceError, confluent_kafka.KafkaException),
)


@contextlib.contextmanager
def process(*words: str | Path, log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own that ends with the block, with all that it started."""
    with log.open("ab") as out:
        started = subprocess.Popen(
            [str(word) for word in words],
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


Process = subprocess.Popen[bytes]


def wait_for(done: Any, seconds: float, what: str, running: Process, log: Path) -> None:
    """Until ``done()``; fails when it takes too long or the process has ended."""
    deadline = time.monotonic() + seconds
    while not done():
        if running.poll() is not None or time.monotonic() > deadline:
            last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
            raise Failure(f"{what} did not happen; {log.name} ends with: {''.join(last)[-300:]}")
        time.sleep(0.2)


def end_of(running: Process, what: str, seconds: float = PATIENCE_S) -> None:
    """Waits for it."""
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{what} does not end") from None


def feed_config(folder: Path) -> tuple[Path, list[str]]:
    """The config of `millrace live`, and what the exchange is told."""
    net = f"239.255.{random.randrange(1, 255)}"
    groups = [f"{net}.{n}:{random.randrange(20_000, 32_000)}" for n in (1, 2)]
    server = f"127.0.0.1:{free_ports(1)[0]}"
    text = (ROOT / "examples/demo.toml.in").read_text()
    words = {"GROUP_A": groups[0], "GROUP_B": groups[1], "RETRANSMIT": server}
    words["LAST_CPU"] = str(min(1, (os.cpu_count() or 1) - 1))
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    config = folder / "demo.toml"
    config.write_text(text)
    lines = [word for group in groups for word in ("--multicast", group)]
    return config, [*lines, "--interface", "lo", "--serve", f"retransmit={server}", "--linger", "2"]


def run_feed(folder: Path, kafka: KafkaServer, minutes: int, meanwhile: Any) -> dict[str, Any]:
    """The exchange and the feed handler, to their end; what the latter says of its sink."""
    config, lines = feed_config(folder)
    ready, log = folder / "ready", folder / "live.log"
    sink = f"kafka://{kafka.address}/{TOPIC}?shard=demo"
    live_words = [MILLRACE, "live", config, "--record", folder / "day.pcapng", "--until-end"]
    live_words += ["--ready-file", ready, "--schema", "trades", "--sink", sink, "--json"]
    market = ["--seconds", str(minutes * 60), "--rate", "40", "--pace", str(PACE)]
    market += ["--symbols", "20", "--seed", str(random.randrange(1, 2**31)), "--loss", "0.01"]
    with process(*live_words, log=log) as live:
        wait_for(ready.exists, 30, "millrace live getting ready", live, log)
        with process(MILLRACE, "sim", *lines, *market, log=folder / "sim.log") as exchange:
            meanwhile()
            end_of(exchange, "the exchange", minutes * 60 / PACE + PATIENCE_S)
        end_of(live, "millrace live")
    text = log.read_text()
    if live.returncode != 0:
        raise Failure(f"millrace live ended with {live.returncode}; see {log.name}")
    summary = json.loads([line for line in text.splitlines() if line.startswith("{")][-1])
    sink_summary: dict[str, Any] = summary["sinks"][0]
    return sink_summary


class Job:
    """The Spark job: examples/spark/bars_job.py on two workers, started as often as need be."""

    def __init__(self, folder: Path, kafka: KafkaServer) -> None:
        self.log = folder / "job.log"
        self.bars = folder / "bars"
        self._from = 0
        self._words = [
            *submit_command(folder / "spark"),
            *(ROOT / "examples/spark/bars_job.py", "--servers", kafka.address, "--topic", TOPIC),
            *("--out", self.bars, "--checkpoint", folder / "state", "--until-idle", "20"),
            *("--late", f"{LATE_MINUTES} minutes"),
        ]

    def told(self, word: str) -> bool:
        """Whether it said so since it was started last."""
        return word in self._text()[self._from :].splitlines()

    def _text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """What it told of its batches, each batch once."""
        found = {}
        for line in self._text().splitlines():
            if line.startswith('{"batch"'):
                one = json.loads(line)
                found[one["batch"]] = one
        return list(found.values())

    def total(self, name: str) -> int:
        """A count over all batches."""
        return sum(line[name] for line in self.lines())

    def run(self) -> Any:
        """Starts it."""
        self._from = len(self._text())
        return process(*self._words, log=self.log)


def client_settings(kafka: KafkaServer) -> dict[str, Any]:
    """For clients of the broker. What fails is raised; librdkafka's own log, which tells of every
    connection that ends with the broker, goes to nobody."""
    return {"bootstrap.servers": kafka.address, "log_level": 0}


def messages_of(kafka: KafkaServer) -> list[confluent_kafka.Message]:
    """The topic, in the order of its times; the marks of its streams' ends come last."""
    settings = client_settings(kafka) | {"group.id": "demo", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer(settings | {"auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    found: list[confluent_kafka.Message] = []
    while (message := consumer.poll(5.0)) is not None or not found:
        if message is not None and not message.error():
            found.append(message)
    consumer.close()
    return sorted(found, key=lambda message: message.timestamp()[1])


def records_of(message: confluent_kafka.Message) -> int:
    """How many records a message holds."""
    return int(dict(message.headers())["records"])


def times_of(message: confluent_kafka.Message) -> np.ndarray[Any, Any]:
    """When its records happened, in nanoseconds."""
    head = 8 + int.from_bytes(message.value()[4:8], "little")
    rows = np.frombuffer(message.value()[head:], millrace.dtype("trades"))
    return rows["ts_event"].astype(np.int64)


def planted_counts(messages: list[confluent_kafka.Message]) -> tuple[int, int]:
    """Of the records that are put in again, how many come twice, and how many too late even so.

    Spark's watermark, in whole milliseconds, says which: a slow start fills the first messages.
    """
    times = [times_of(one) for one in messages if records_of(one) > 0]
    newest_ms = max(int(of.max()) for of in times) // 10**6
    watermark_us = (newest_ms - LATE_MINUTES * 60_000) * 1000
    again = np.concatenate(times[-PLANTED:] + times[:PLANTED]) // 1000
    late = int((again <= watermark_us).sum())
    return len(again) - late, late


def plant(kafka: KafkaServer, messages: list[confluent_kafka.Message]) -> None:
    """Puts messages into the topic again, as a producer does that sends at least once."""
    producer = confluent_kafka.Producer(client_settings(kafka))
    for one in messages:
        producer.produce(TOPIC, one.value(), one.key(), one.partition(), headers=one.headers())
    if producer.flush(30) != 0:
        raise Failure("what was to come twice could not be sent")


def end_of_day(kafka: KafkaServer, last: confluent_kafka.Message) -> None:
    """A record without a price an hour later, which counts in no bar: all minutes are over."""
    head = 8 + int.from_bytes(last.value()[4:8], "little")
    row = np.zeros(1, millrace.dtype("trades"))
    row["length"], row["price"] = row.itemsize // 4, 2**63 - 1
    row["ts_event"] = row["ts_recv"] = np.frombuffer(last.value()[head:], row.dtype)[-1]["ts_event"]
    row["ts_event"] += 3600 * 10**9
    payload = last.value()[:head] + row.tobytes()
    envelope = {"stream": 0, "epoch": 1, "first_record": 1, "records": 1, "first_sequence": 0}
    envelope |= {"last_sequence": 0, "quality": 0, "left_out": 0, "why": 0}
    envelope["crc32c"] = _core.crc32c(payload)
    producer = confluent_kafka.Producer(client_settings(kafka))
    headers = [(name, str(value)) for name, value in envelope.items()]
    producer.produce(TOPIC, payload, last.key(), last.partition(), headers=headers)
    if producer.flush(30) != 0:
        raise Failure("the end of the day could not be sent")


def bars_of_one_process(recording: Path) -> Bars:
    """By symbol and minute."""
    feed = millrace.replay(recording)
    rows = millrace.bars(feed, "1m").numpy()
    symbols = feed.symbols
    return {
        (symbols[int(row["instrument_id"])], int(row["ts_event"])): tuple(int(row[n]) for n in BAR)
        for row in rows
    }


def bars_of_the_job(folder: Path) -> Bars:
    """The same; what is there twice fails."""
    found: Bars = {}
    # What a job that was killed has left behind is no part of the table.
    log = (folder / "_spark_metadata").glob("[0-9]*")
    lines = [line for one in log for line in one.read_text().splitlines()[1:]]
    for name in {json.loads(line)["path"] for line in lines}:
        for row in pq.read_table(name.removeprefix("file://")).to_pylist():
            key = row["symbol"], row["ts_event"]
            if key in found:
                raise Failure(f"the bar of {key[0]} at {key[1]} is there twice")
            found[key] = tuple(row[name] for name in BAR)
    return found


def check_topic(messages: list[confluent_kafka.Message], sent: dict[str, Any]) -> millrace.Check:
    """Whether the topic held all that was sent, by its envelopes."""
    rows = []
    for one in messages:
        envelope = {name: value.decode() for name, value in one.headers()}
        rows.append(envelope | {"payload": one.value()})
    return millrace.check(rows, sent=sent)


def demo(folder: Path, minutes: int) -> None:
    """All of it. Raises Failure."""
    say("starting Kafka")
    kafka = KafkaServer(folder / "kafka")
    job = Job(folder, kafka)
    try:
        admin = confluent_kafka.admin.AdminClient(client_settings(kafka))
        new = confluent_kafka.admin.NewTopic(TOPIC, 4, 1)
        for future in admin.create_topics([new]).values():
            future.result()
        sent, messages = run_market(folder, kafka, job, minutes)
        finish_job(kafka, job, messages)
    finally:
        kafka.stop()
    report(folder, job, sent, messages)


def run_market(
    folder: Path, kafka: KafkaServer, job: Job, minutes: int
) -> tuple[dict[str, Any], list[confluent_kafka.Message]]:
    """The day, with the job's driver killed in the middle of it."""
    with contextlib.ExitStack() as running:
        say("starting the Spark job on two workers")
        driver = running.enter_context(job.run())
        wait_for(lambda: job.told("started"), PATIENCE_S, "the job's start", driver, job.log)

        def meanwhile() -> None:
            wait_for(lambda: job.total("bars") > 0, PATIENCE_S, "the first bar", driver, job.log)
            say(f"{job.total('bars')} bars of {job.total('records')} messages; killing the driver")
            running.close()

        say(f"{minutes} minutes of a market, {PACE} times as fast as ours")
        sent = run_feed(folder, kafka, minutes, meanwhile)
    return sent, messages_of(kafka)


def finish_job(kafka: KafkaServer, job: Job, messages: list[confluent_kafka.Message]) -> None:
    """From its checkpoint to the end, with what comes twice and too late on the way."""
    say("the market is closed; starting the job again from its checkpoint")
    messages = [one for one in messages if records_of(one) > 0]
    with job.run() as driver:
        wait_for(lambda: job.told("caught up"), PATIENCE_S, "reading the topic", driver, job.log)
        say("it has read the whole topic; putting records in again, and the end of the day")
        plant(kafka, messages[-PLANTED:])
        plant(kafka, messages[:PLANTED])
        end_of_day(kafka, messages[-1])
        end_of(driver, "the job")
        if driver.returncode != 0:
            raise Failure(f"the job ended with {driver.returncode}; see {job.log.name}")


def report(
    folder: Path, job: Job, sent: dict[str, Any], messages: list[confluent_kafka.Message]
) -> None:
    """The last lines; raises Failure where something is not as it should be."""
    found, wanted = bars_of_the_job(job.bars), bars_of_one_process(folder / "day.pcapng")
    check = check_topic(messages, sent)
    differing = [key for key in wanted if found.get(key, wanted[key]) != wanted[key]]
    symbols, starts = {symbol for symbol, _ in wanted}, {start for _, start in wanted}
    again, late = planted_counts(messages)
    print(f"bars         {len(wanted)} of {len(symbols)} symbols in {len(starts)} minutes")
    print(f"equal        {len(wanted) - len(differing) - len(wanted.keys() - found.keys())}")
    print(f"missing      {len(wanted.keys() - found.keys())}")
    print(f"too many     {len(found.keys() - wanted.keys())}")
    print(f"duplicated   {job.total('duplicates')} records counted, {again} planted")
    print(f"late         {job.total('late')} records counted, {late} planted")
    print(f"topic        {check.verdict}: {check.records} records of {sent['made']} made")
    if differing or found.keys() != wanted.keys() or not wanted:
        raise Failure("the bars of the job are not those of one process")
    if (job.total("duplicates"), job.total("late")) != (again, late):
        raise Failure("what came twice or too late is not what was planted")
    if not check:
        raise Failure("the topic is not complete")


def main() -> int:
    """The exit code. What there is to look at stays after a failure alone."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-demo-"))
    code = 0
    try:
        demo(folder, int(sys.argv[1]))
    except FAILURES as failure:
        say(f"{failure} (logs and bars are in {folder})")
        code = 1
    except SystemExit:  # by a signal
        say("interrupted")
        raise
    finally:
        if code != 1:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
