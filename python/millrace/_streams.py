"""Iterators over a feed: batches and messages, for asyncio and for plain loops."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from . import _core
from ._batch import Batch
from ._closing import Closing
from ._running import Running

# How long a loop of ours may run on the event loop before it lets others have a turn.
TURN_S = 0.0003
_MESSAGES_AT_ONCE = 512
#: Messages, each with what to put down as done when it is handed out.
Run = Iterator[tuple[int, Any]]


class Waiter:
    """Lets a coroutine wait for the event descriptor of what rows come by."""

    def __init__(self, channel: _core.Channel | _core.CsvFile) -> None:
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future: asyncio.Future[None] | None = None

    async def wait(self, rows: int, seconds: float | None) -> bool:
        """Until so many rows are there, the end, or the time is over; False: it was so at once."""
        loop = asyncio.get_running_loop()
        self._attach(loop)
        if not self._channel.arm(rows):
            return False
        future = self._future = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self._wake)
        try:
            await future
        finally:
            self._channel.disarm()
            self._future = None
            if timer is not None:
                timer.cancel()
        return True

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            return
        self.detach()
        loop.add_reader(self._channel.event, self._on_event)
        self._loop = loop

    def detach(self) -> None:
        """Takes the descriptor out of its loop; from any thread."""
        loop, self._loop = self._loop, None
        if loop is None or loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = not loop.is_running()
        if here:
            self._remove(loop)
        else:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(self._remove, loop)

    def _remove(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._channel.event)
        self._wake()  # whom nothing else wakes any more

    def _on_event(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._channel.event, 8)
        self._wake()

    def _wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class _Stream(Closing):
    """What batches and messages have in common: a channel, waiting on it, and its end."""

    def __init__(self, running: Running, number: int, max_rows: int, max_wait: float) -> None:
        self._running = running
        self.number = number  #: of its channel in the feed
        self._channel = channel = running.channels[number]
        self._done = running.done  # rows handed out, by channel
        self._max_rows = max_rows
        self._max_wait = max_wait
        self._waiter = Waiter(channel)
        self._turns = asyncio.Lock()  # tasks that share the iterator wait one after the other
        self._turn_began = 0.0
        self._asked = False
        self._closed = False

    @property
    def counters(self) -> dict[str, int]:
        """Rows produced, delivered, dropped, conflated, discarded, skipped and waiting; memory."""
        return self._channel.counters()

    def close(self) -> None:
        """Ends the iteration; the feed goes on without it."""
        if not self._closed:
            self._closed = True
            self._waiter.detach()
            self._running.close_channel(self.number)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def _wanted(self) -> int:
        """Rows to wait for first; a feed in step makes a whole batch before it pauses."""
        return self._max_rows if self._running.in_step else 1

    def _limit(self) -> int:
        return 2**32 - 1 if self._running.in_step else self._max_rows

    def _ask(self) -> None:
        if self._running.in_step and not self._asked:
            self._channel.ask(self._max_rows)
            self._asked = True

    def _take(self) -> _core.RawBatch | None:
        raw = self._channel.take(self._limit())
        if raw is not None:
            self._asked = False
        return raw

    def _at_end(self) -> bool:
        """True when nothing more will come; raises when that is for a reason."""
        if self._closed or self._running.closed:
            return True
        if not self._channel.ended() or self._channel.ready() > 0:
            return False
        self._running.check_end()
        return True

    async def _next(self) -> _core.RawBatch | None:
        async with self._turns:
            return await self._next_alone()

    async def _wait(self) -> bool:
        waited = await self._waiter.wait(self._wanted(), self._running.patience())
        self._running.look_for_silence()
        return waited

    async def _next_alone(self) -> _core.RawBatch | None:
        self._running.start()
        self._ask()
        channel = self._channel
        waited = False
        if channel.ready() < self._max_rows:
            waited = await self._wait()
            if self._max_wait > 0 and channel.ready() < self._max_rows and not channel.ended():
                waited |= await self._waiter.wait(self._max_rows, self._max_wait)
        if waited:  # others had their turn meanwhile
            self._turn_began = time.perf_counter()
        elif time.perf_counter() - self._turn_began > TURN_S:
            try:
                await asyncio.sleep(0)
            finally:  # also when cancelled: who asks once more is not to be put off for ever
                self._turn_began = time.perf_counter()
        while (raw := self._take()) is None:
            if self._at_end():
                return None
            await self._wait()
        return raw

    def _next_blocking(self) -> _core.RawBatch | None:
        self._running.start()
        self._ask()
        channel = self._channel
        while True:
            if channel.ready() < self._max_rows:
                seconds = self._running.patience()
                channel.wait(self._wanted(), -1.0 if seconds is None else seconds)
                self._running.look_for_silence()
                if self._max_wait > 0 and channel.ready() < self._max_rows:
                    channel.wait(self._max_rows, self._max_wait)
            raw = self._take()
            if raw is not None:
                return raw
            if self._at_end():
                return None


class BatchStream(_Stream):
    """Batches of one schema: ``async for`` in asyncio, ``for`` in a script or a thread."""

    def __init__(
        self, running: Running, number: int, schema: str, max_rows: int, max_wait: float
    ) -> None:
        super().__init__(running, number, max_rows, max_wait)
        self._schema = schema

    def _batch(self, raw: _core.RawBatch) -> Batch:
        self._done[self.number] = raw.up_to
        return Batch(raw, self._schema)

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        raw = await self._next()
        if raw is None:
            self.close()
            raise StopAsyncIteration
        return self._batch(raw)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        raw = self._next_blocking()
        if raw is None:
            self.close()
            raise StopIteration
        return self._batch(raw)


class MessageStream(_Stream):
    """Typed objects, one a record: ``async for`` in asyncio, ``for`` elsewhere.

    An iteration goes on where the one before was left.
    """

    def __init__(self, running: Running, number: int, max_wait: float) -> None:
        super().__init__(running, number, _MESSAGES_AT_ONCE, max_wait)
        # Messages that were taken and not all handed out, with what is done then; several when
        # threads share the iterator.
        self._in_hand: collections.deque[Run] = collections.deque()

    async def lists(self) -> AsyncIterator[list[Any]]:
        """Lists of messages, as they come; cheaper than one by one."""
        for run in list(self._in_hand):
            yield [message for _, message in run]
            self._let_go(run)
        while (raw := await self._next()) is not None:
            self._done[self.number] = raw.up_to
            yield raw.messages()
        self.close()

    async def _runs(self) -> AsyncIterator[Run]:
        """The same, as runs."""
        while (raw := await self._next()) is not None:
            yield numbered(raw, self._done[self.number])
        self.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        done, number = self._done, self.number
        while run := self._in_hand[0] if self._in_hand else self._run_of(await self._next()):
            for at, message in run:
                done[number] = at
                yield message
            self._let_go(run)
        self.close()

    def __iter__(self) -> Iterator[Any]:
        done, number = self._done, self.number
        while run := self._in_hand[0] if self._in_hand else self._run_of(self._next_blocking()):
            for at, message in run:
                done[number] = at
                yield message
            self._let_go(run)
        self.close()

    def __next__(self) -> Any:
        for message in self:
            return message
        raise StopIteration

    def _held(self) -> Run | None:
        try:
            return self._in_hand[0]
        except IndexError:
            return None

    def _run_of(self, raw: _core.RawBatch | None) -> Run | None:
        if raw is None:
            return None
        run = numbered(raw, self._done[self.number])
        self._in_hand.append(run)
        return run

    def _let_go(self, run: Run) -> None:
        with contextlib.suppress(ValueError):  # another thread did
            self._in_hand.remove(run)


def numbered(raw: _core.RawBatch, before: int) -> Run:
    """Messages, each with how many rows are handed out once it is; ``before`` were already."""
    messages = raw.messages()
    if raw.up_to == raw.first_row + len(messages):
        return enumerate(messages, raw.first_row + 1)
    # What was conflated has no numbers of its own: with the last one everything before it is out.
    return zip([before] * (len(messages) - 1) + [raw.up_to], messages, strict=True)
