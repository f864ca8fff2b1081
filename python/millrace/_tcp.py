"""A TCP server for records: framed, checked and decoded, with counts for what was not right."""

from __future__ import annotations

import asyncio
import inspect
import os
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._arguments import at_least, function_of, shown, text_of
from ._closing import AsyncClosing
from ._errors import ResourceError, UsageError

if TYPE_CHECKING:
    import numpy as np

#: What a frame begins with when ``framing="length"``: its payload's size and checksum.
LENGTH_HEADER = struct.Struct("<II")
_FRAME_MAX = 1 << 20


@dataclass
class TcpCounts:
    """What a server has seen. Every byte is in one of the three byte counts."""

    connections: int = 0
    open: int = 0
    records: int = 0
    refused: int = 0  #: records that ``check`` turned down
    bytes: int = 0  #: of whole records and their framing
    bytes_cut: int = 0  #: of a record that its connection ended within
    bytes_bad: int = 0  #: behind a frame that made no sense, after which a connection is closed
    bad_frames: int = 0


@dataclass
class _Framer:
    """Cuts a stream of bytes into whole records, however it comes in pieces."""

    size: int
    checked: bool
    pending: bytearray = field(default_factory=bytearray)
    bad: str = ""

    def feed(self, data: bytes) -> bytes:
        """The whole records so far, framing taken off; what is left waits for more."""
        self.pending += data
        if not self.checked:
            whole = len(self.pending) // self.size * self.size
            out = bytes(self.pending[:whole])
            del self.pending[:whole]
            return out
        parts = []
        at = 0
        while len(self.pending) - at >= LENGTH_HEADER.size and not self.bad:
            length, checksum = LENGTH_HEADER.unpack_from(self.pending, at)
            if length == 0 or length > _FRAME_MAX or length % self.size:
                self.bad = f"a frame of {length} bytes"
                break
            end = at + LENGTH_HEADER.size + length
            if len(self.pending) < end:
                break
            payload = bytes(self.pending[at + LENGTH_HEADER.size : end])
            if zlib.crc32(payload) != checksum:
                self.bad = "a frame whose checksum is wrong"
                break
            parts.append(payload)
            at = end
        del self.pending[:at]
        return b"".join(parts)


class TcpServer(AsyncClosing):
    """Serves until closed. Made by :func:`serve_tcp`."""

    def __init__(
        self,
        dtype: np.dtype[Any],
        framing: str,
        check: Callable[[Any], Any] | None,
        max_waiting: int,
    ) -> None:
        if framing not in ("fixed", "length"):
            raise UsageError(f"framing={framing!r}: 'fixed' or 'length'")
        at_least("max_waiting", max_waiting, 1, whole=True)
        if dtype.itemsize == 0 or dtype.hasobject:
            raise UsageError("record is a NumPy dtype of a fixed size, as np.dtype('<u8,<f8')")
        self.counts = TcpCounts()
        self._dtype = dtype
        self._framing = framing
        self._check = function_of("check", check)
        self._queue: asyncio.Queue[Any] = asyncio.Queue(max_waiting)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._consumer: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _start(self, host: str, port: int) -> None:
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=1 << 18)
        except OSError as error:
            raise ResourceError(
                f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; is the address "
                "one of this host's, and the port free? (port=0 takes one that is)"
            ) from None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.counts.connections += 1
        self.counts.open += 1
        framer = _Framer(self._dtype.itemsize, self._framing == "length")
        try:
            # The queue is bounded: a slow consumer stops the reading, and TCP stops the sender.
            while data := await reader.read(1 << 16):
                before = len(framer.pending) + len(data)
                records = framer.feed(data)
                self.counts.bytes += before - len(framer.pending)
                if records and not await self._hand_out(records):
                    return
                if framer.bad:
                    self.counts.bad_frames += 1
                    self.counts.bytes_bad += len(framer.pending)
                    framer.pending.clear()
                    return
        except (OSError, asyncio.CancelledError):
            pass  # the peer is gone, or the server is closing: nothing more to read either way
        finally:
            self.counts.bytes_cut += len(framer.pending)
            self.counts.open -= 1
            self._connections.discard(task)
            writer.close()

    async def _hand_out(self, records: bytes) -> bool:
        """False when ``check`` failed, which whoever takes the records is to know."""
        import numpy as np

        rows = np.frombuffer(records, self._dtype)
        try:
            good = rows if self._check is None else rows[_as_mask(self._check(rows), len(rows))]
        except Exception as error:
            self.counts.refused += len(rows)
            await self._queue.put(error)
            return False
        self.counts.refused += len(rows) - len(good)
        self.counts.records += len(good)
        if len(good):
            await self._queue.put(good)
        return True

    def batches(self) -> AsyncIterator[Any]:
        """Arrays of whole records, from all connections as they come, until it is closed.

        Raises what ``check`` raised; its connection ends.
        """
        if self._consumer is not None:
            raise UsageError("on_batch takes the records of this server; leave it out to iterate")
        return self._arrays()

    async def _arrays(self) -> AsyncIterator[Any]:
        while (rows := await self._queue.get()) is not None:
            if isinstance(rows, Exception):
                raise rows
            yield rows

    def _stop(self) -> None:
        """Takes nothing more in."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()

    async def aclose(self) -> None:
        """Stops listening, ends the connections, and then the iteration."""
        self._stop()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._consumer is None:
            while self._queue.full():  # nobody may be iterating
                self._queue.get_nowait()
            self._queue.put_nowait(None)
        else:
            last = asyncio.ensure_future(self._queue.put(None))
            # A consumer that has failed makes no room.
            await asyncio.wait({last, self._consumer}, return_when=asyncio.FIRST_COMPLETED)
            last.cancel()
            await self._consumer


def _as_mask(given: Any, rows: int) -> np.ndarray[Any, Any]:
    """What the user's check said of so many rows."""
    import numpy as np

    mask = np.asarray(given)
    if mask.dtype != bool or mask.shape != (rows,):
        raise UsageError(f"check gave {shown(given)} for {rows} rows; return a bool for each")
    return mask


async def serve_tcp(
    record: Any,
    on_batch: Callable[[Any], Awaitable[None] | None] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    framing: str = "fixed",
    check: Callable[[Any], Any] | None = None,
    max_waiting: int = 64,
) -> TcpServer:
    """A server for records of one layout, which come as arrays of whole ones.

    ``record`` is a NumPy dtype (or what makes one), or the name of a DBN schema. TCP is a stream of
    bytes: one read may bring half a record or ten. ``framing="fixed"`` cuts it by the record's
    size; ``framing="length"`` expects frames of a length, a CRC-32 (both ``<u4``) and records, and
    closes a connection that sends another. ``check(rows)`` says which rows are good; the others are
    counted and left out. Consume :meth:`TcpServer.batches`, or give ``on_batch``: when that raises,
    the server stops and the event loop's exception handler tells of it; closing raises it again.
    """
    import numpy as np

    from ._schemas import RTYPES, dtype

    try:
        layout = dtype(record) if isinstance(record, str) and record in RTYPES else np.dtype(record)
    except (TypeError, ValueError):
        layout = np.dtype([])
    server = TcpServer(np.dtype([]) if record is None else layout, framing, check, max_waiting)
    function_of("on_batch", on_batch)
    await server._start(text_of("host", host), at_least("port", port, 0, 65_535, whole=True))
    if on_batch is not None:
        server._consumer = asyncio.create_task(_consume(server, on_batch))
    return server


async def _consume(server: TcpServer, on_batch: Callable[[Any], Awaitable[None] | None]) -> None:
    try:
        async for rows in server._arrays():
            result = on_batch(rows)
            if inspect.isawaitable(result):
                await result
    except Exception as error:
        server._stop()
        told = {
            "message": "millrace.serve_tcp: stopped, since a function failed",
            "exception": error,
        }
        asyncio.get_running_loop().call_exception_handler(told)
        raise
