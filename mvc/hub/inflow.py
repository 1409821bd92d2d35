"""A request's body: it comes to an event loop, and is read by a thread.

The loop reads ahead by some blocks, no more; then it stops, and the client is held back by TCP. Nothing is asked of
the client before the first read: one that waits for "100 Continue" sends nothing if the answer needs no body.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from mvc.fsio import Buffer
from mvc.hub.exchange import Exchange, Message, Receive
from mvc.hub.pace import Pace, TooSlow

_AHEAD = 1 << 20
"""Bytes that wait for the thread, but for the last block (the server reads up to a megabyte at once)."""


class BodyBroken(OSError):
    """The body will not come to its end."""


async def _nothing() -> Message:
    raise AssertionError("the body was let go")


class Inflow:
    """The body of one request. `read` for a thread, all else for the loop."""

    def __init__(self, receive: Receive, length: int | None, pace: Pace, exchange: Exchange) -> None:
        """`length`: how many bytes were announced; None where they were not."""
        self._receive, self._length, self._pace, self._exchange = receive, length, pace, exchange
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._blocks: deque[memoryview] = deque()
        self._waiting = 0
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._ended = length == 0
        self.gone = False
        """The client closed the connection."""
        self.slow: str | None = None
        """How it was too slow."""

    @property
    def whole(self) -> bool:
        """Whether all of it has come."""
        return self._length == 0 or (self._ended and not self.gone and self.slow is None)

    def read(self, size: int, /) -> Buffer:
        """Up to `size` bytes, at least one; b"" at the end. Raises BodyBroken."""
        with self._changed:
            if not self._asked and not self._ended:
                self._asked = True
                self._loop.call_soon_threadsafe(self._start)
            while not self._blocks and not self._ended:
                self._changed.wait()
            if not self._blocks:
                if self.gone or self.slow is not None:
                    raise BodyBroken(f"the body ended early: {self.slow or 'the client is gone'}")
                return b""
            block = self._blocks.popleft()
            if len(block) > size:
                self._blocks.appendleft(block[size:])
                block = block[:size]
            before = self._waiting
            self._waiting -= len(block)
            if before > _AHEAD >= self._waiting:
                self._loop.call_soon_threadsafe(self._room.set)
            return block

    async def stop(self) -> None:
        """No more is read, and what the server gives the body by is let go: it closes the connection of a body that
        has not come to its end when nobody has that any more. So no exception may keep it: its frames would."""
        task, self._task, self._receive = self._task, None, _nothing
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _start(self) -> None:
        self._task = self._loop.create_task(self._pump())

    async def _pump(self) -> None:
        """Pass on what comes, until the end. A body longer than announced is the server's to refuse, and it does."""
        try:
            while True:
                message = await self._pace.wait(self._receive())
                if message["type"] != "http.request":
                    self.gone = True
                    return
                block = message.get("body", b"")
                self._exchange.received += len(block)
                if not self._pass(block):
                    await self._room.wait()
                if not message.get("more_body"):
                    return
                self._pace.moved(len(block))
        except TooSlow as error:
            self.slow = str(error)
        finally:
            self._pace.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _pass(self, block: bytes) -> bool:
        """Give a block to the thread; returns whether it may have more."""
        with self._changed:
            if block:
                self._blocks.append(memoryview(block))
                self._waiting += len(block)
                self._changed.notify()
            if self._waiting <= _AHEAD:
                return True
            self._room.clear()
            return False
