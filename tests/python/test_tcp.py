"""The TCP server: records in whatever pieces, bad ones, slow consumers, endings."""

from __future__ import annotations

import asyncio
import random
import zlib

import numpy as np
import pytest

import millrace

TICK = np.dtype([("sequence", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "<u4")])


def ticks(count: int) -> np.ndarray:
    rows = np.zeros(count, TICK)
    rows["sequence"] = np.arange(count)
    rows["price"] = 100 + np.arange(count) % 7
    rows["size"] = 1
    return rows


def frame(rows: np.ndarray) -> bytes:
    data = rows.tobytes()
    return len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little") + data


async def send(port: int, pieces: list[bytes]) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()


def in_pieces(data: bytes, seed: int) -> list[bytes]:
    chance, out = random.Random(seed), []
    while data:
        size = chance.choice([1, 3, 23, 24, 25, 1000])
        out.append(data[:size])
        data = data[size:]
    return out


async def gather(server: millrace.TcpServer, rows: int) -> np.ndarray:
    got: list[np.ndarray] = []
    async for batch in server.batches():
        got.append(batch)
        if sum(map(len, got)) >= rows:
            break
    return np.concatenate(got)


@pytest.mark.parametrize("framing", ["fixed", "length"])
def test_records_come_whole_however_they_are_cut(framing: str) -> None:
    rows = ticks(3000)
    data = (
        rows.tobytes()
        if framing == "fixed"
        else b"".join(frame(rows[i : i + 9]) for i in range(0, 3000, 9))
    )

    async def main() -> tuple[np.ndarray, millrace.TcpCounts]:
        async with await millrace.serve_tcp(TICK, framing=framing) as server:
            sender = asyncio.create_task(send(server.port, in_pieces(data, 5)))
            got = await asyncio.wait_for(gather(server, 3000), 30)
            await sender
            return got, server.counts

    got, counts = asyncio.run(main())
    assert got.tobytes() == rows.tobytes()
    assert counts.records == 3000 and counts.bytes == len(data)
    assert counts.bytes_cut == counts.bytes_bad == 0


def test_what_is_wrong_is_counted() -> None:
    rows = ticks(90)
    broken = bytearray(frame(rows[30:60]))
    broken[20] ^= 1

    async def main() -> tuple[int, millrace.TcpCounts]:
        seen = []
        server = await millrace.serve_tcp(
            TICK, seen.append, framing="length", check=lambda rows: rows["price"] != 103
        )
        await send(server.port, [frame(rows[:30]) + bytes(broken) + frame(rows[60:])])
        await send(server.port, [frame(rows[60:]) + frame(rows[:5])[:-7]])
        await send(server.port, [b"\xff\xff\xff\xff" * 4])
        while server.counts.open or server.counts.connections < 3:
            await asyncio.sleep(0.01)
        await server.aclose()
        return sum(map(len, seen)), server.counts

    rows_seen, counts = asyncio.run(main())
    good = np.concatenate([rows[:30], rows[60:]])
    assert rows_seen == counts.records == int((good["price"] != 103).sum())
    assert counts.refused == int((good["price"] == 103).sum())
    assert counts.bad_frames == 2 and counts.connections == 3
    size = 8 + 30 * TICK.itemsize
    assert counts.bytes == 2 * size
    assert counts.bytes_bad == 2 * size + 16
    assert counts.bytes_cut == 8 + 5 * TICK.itemsize - 7


def test_a_slow_consumer_slows_the_sender() -> None:
    data = ticks(2_000_000).tobytes()

    async def main() -> tuple[bool, int]:
        async with await millrace.serve_tcp(TICK, max_waiting=2) as server:
            sender = asyncio.create_task(send(server.port, [data]))
            await asyncio.sleep(0.5)
            held = not sender.done()
            got = await asyncio.wait_for(gather(server, 2_000_000), 60)
            await sender
            return held, len(got)

    assert asyncio.run(main()) == (True, 2_000_000)


def test_a_dbn_schema_is_a_record() -> None:
    batch = next(iter(millrace.Feed("sim://?messages=2000&symbols_count=2").batches("mbo")))

    async def main() -> np.ndarray:
        async with await millrace.serve_tcp("mbo") as server:
            await send(server.port, [batch.raw()])
            return await asyncio.wait_for(gather(server, len(batch)), 10)

    assert asyncio.run(main()).tobytes() == batch.raw()


def test_mistakes() -> None:
    for arguments in ((object,), (TICK, None), ("V0", None)):
        with pytest.raises((millrace.UsageError, TypeError)):
            asyncio.run(millrace.serve_tcp(*arguments, framing="lines"))


@pytest.mark.parametrize(
    ("check", "error"),
    [(lambda rows: 1 / 0, ZeroDivisionError), (lambda rows: [True], millrace.UsageError)],
)
def test_a_check_that_fails_is_raised_to_who_iterates_and_its_records_count(check, error) -> None:
    async def main() -> millrace.TcpCounts:
        async with await millrace.serve_tcp(TICK, check=check) as server:
            await send(server.port, [ticks(3).tobytes()])
            with pytest.raises(error):
                await asyncio.wait_for(anext(server.batches()), 10)
            return server.counts

    counts = asyncio.run(main())
    assert (counts.records, counts.refused, counts.bytes) == (0, 3, 3 * TICK.itemsize)


def test_a_callback_that_fails_is_told_of_at_once_and_again_at_the_end() -> None:
    told: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        failed = asyncio.Event()
        loop.set_exception_handler(lambda _, what: (told.append(what["exception"]), failed.set()))
        async with await millrace.serve_tcp(TICK, lambda rows: 1 / 0) as server:
            port = server.port
            await send(port, [ticks(3).tobytes()])
            await asyncio.wait_for(failed.wait(), 10)
            with pytest.raises(ConnectionRefusedError):  # it has stopped
                await asyncio.open_connection("127.0.0.1", port)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_the_records_of_a_server_go_one_way() -> None:
    async def main() -> None:
        async with await millrace.serve_tcp(TICK, lambda rows: None) as server:
            with pytest.raises(millrace.UsageError, match="on_batch takes the records"):
                server.batches()

    asyncio.run(main())


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    async def main() -> None:
        async with await millrace.serve_tcp(TICK) as server:
            with pytest.raises(millrace.ResourceError, match=r"in use; .*port=0"):
                await millrace.serve_tcp(TICK, port=server.port)

    asyncio.run(main())
