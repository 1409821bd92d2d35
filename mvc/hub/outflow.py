"""An answer's body: read by threads, a part at a time, and sent by the event loop.

A few parts of each are in memory, no more.

A file is read here rather than named to the server (ASGI's `pathsend`): that knows neither ranges, nor clients that do
not read. Measured, it is no faster (docs/adr/0014-granian.md).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import cast

from mvc import fsio
from mvc.fsio import Buffer
from mvc.hub.cutting import cut
from mvc.hub.exchange import Exchange, Receive, Send
from mvc.hub.messages import FileSlice, Response
from mvc.hub.pace import Pace, TooSlow

BLOCK = 256 << 10
"""Bytes given to the server at once. It holds some eight of them for a client that does not read."""
LARGE_BLOCK = 512 << 10
"""The same while few answers are sent, for each block has its price (docs/adr/0014-granian.md)."""
_FEW = 32
"""So many: they hold as much as twice as many do with smaller blocks."""
TLS_BLOCK = 64 << 10
"""The same over TLS, where granian's buffers make larger ones slower (docs/adr/0014-granian.md)."""
_FROM_DISK = 1 << 20
"""Bytes that a thread reads at once: the way there and back takes as long as reading a quarter of them."""
_NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)
"""preadv2(2): only what is in memory (Linux 4.14)."""


class _Sending:
    """How many long answers this process sends. Its event loop alone asks and tells."""

    count = 0


class Outflow:
    """Sends the body of one answer."""

    def __init__(
        self, send: Send, readers: Executor, pace: Pace, exchange: Exchange, *, encrypted: bool = False
    ) -> None:
        self._send, self._readers, self._pace, self._exchange = send, readers, pace, exchange
        self._encrypted = encrypted
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Task[None] | None = None

    async def respond(self, response: Response, *, head: bool, receive: Receive | None) -> None:
        """Send all of it. What stops it is noted in the exchange, and the answer left short, so the connection is cut.

        `receive`: where it is told that the client is gone; None if that cannot be asked, for a body is still to come.
        """
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        body = response.body
        try:
            await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
            if isinstance(body, bytes) and len(body) <= (TLS_BLOCK if self._encrypted else BLOCK):
                await self._last(b"" if head else body)
                return
            if head:
                await self._last(b"")
                return
            if receive is not None:
                self._gone = self._loop.create_task(_closed(receive))
            await self._stream(body)
        except TooSlow as error:
            self._exchange.cut = str(error)
            await self._loop.run_in_executor(self._readers, cut, self._exchange.peer)
        except _Gone:
            self._exchange.cut = "the client is gone"
        finally:
            self._pace.close()
            if self._gone is not None:
                self._gone.cancel()
            if close := getattr(body, "close", None):
                await self._loop.run_in_executor(self._readers, close)

    async def _stream(self, body: bytes | FileSlice | Iterator[Buffer]) -> None:
        _Sending.count += 1
        try:
            if isinstance(body, FileSlice):
                await self._file(body)
            elif isinstance(body, bytes):
                await self._slices(body)
            else:
                while (part := await self._loop.run_in_executor(self._readers, next, body, None)) is not None:
                    await self._slices(part)
        except (TooSlow, _Gone):
            raise
        except Exception as error:
            # The head is sent, so all that is left is to break off.
            self._exchange.failure, self._exchange.cut = error, "it could not be read"
            return
        finally:
            _Sending.count -= 1
        await self._last(b"")

    async def _file(self, part: FileSlice) -> None:
        """A part of a file: what is in memory is taken from there, for the rest a thread waits for the disk."""
        file = await self._loop.run_in_executor(self._readers, fsio.RandomFile, part.path)
        buffer = bytearray(min(LARGE_BLOCK, part.length))
        try:
            offset, end = part.offset, part.offset + part.length
            while offset < end:
                block = _cached(file, offset, min(_block_size(), end - offset), buffer)
                if not block:
                    wanted = min(_FROM_DISK, end - offset)
                    block = await self._loop.run_in_executor(self._readers, file.read_exact, offset, wanted)
                await self._slices(block)
                offset += len(block)
        finally:
            file.close()

    async def _slices(self, data: Buffer) -> None:
        size = TLS_BLOCK if self._encrypted else _block_size()
        if isinstance(data, bytes) and len(data) <= size:
            await self._block(data)
            return
        view = memoryview(data).cast("B")
        for start in range(0, len(view), size):
            await self._block(bytes(view[start : start + size]))

    async def _block(self, data: bytes) -> None:
        await asyncio.sleep(0)  # what is sent to nobody goes at once, and would leave no time to be told so
        if self._gone is not None and self._gone.done():
            raise _Gone
        await self._pace.wait(self._send({"type": "http.response.body", "body": data, "more_body": True}))
        self._pace.moved(len(data))

    async def _last(self, data: bytes) -> None:
        await self._pace.wait(self._send({"type": "http.response.body", "body": data, "more_body": False}))


def _block_size() -> int:
    return LARGE_BLOCK if _Sending.count <= _FEW else BLOCK


def _cached(file: fsio.RandomFile, offset: int, length: int, buffer: bytearray) -> bytes:
    """What the system has in memory of a file there; b"" if nothing, or if it cannot be told."""
    if _NO_WAIT is None:
        return b""
    view = memoryview(buffer)[:length]
    try:
        count = os.preadv(file.fileno(), [view], offset, _NO_WAIT)
    except OSError:  # BlockingIOError, or a file system that does not know of it
        return b""
    return bytes(view[:count])


class _Gone(Exception):
    """The client closed the connection."""


async def _closed(receive: Receive) -> None:
    while cast(str, (await receive())["type"]) != "http.disconnect":
        pass
