"""An object of a remote, read as a file: blocks in order, the next ones asked for while one is worked on."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from mvc.importers.gitsource import plain_stat

_BLOCK = 8 * 1024 * 1024
_AHEAD = 3
"""Blocks that are on their way behind the one that is read."""
_HELD = 6

Fetch = Callable[[int, int], bytes]
"""Offset and length to bytes."""


class RemoteFile:
    """Not for several threads at once. Memory: `_HELD` blocks and those on their way."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._fetch, self._size = fetch, size
        self._blocks: dict[int, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(_AHEAD + 1, thread_name_prefix="import")

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def stat(self) -> os.stat_result:
        return plain_stat(self._size)

    def read_at(self, offset: int, length: int) -> bytes:
        parts = []
        end = min(offset + length, self._size)
        while offset < end:
            number, inside = divmod(offset, _BLOCK)
            part = self._block(number)[inside : inside + end - offset]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, offset: int, out: memoryview) -> int:
        data = self.read_at(offset, len(out))
        out[: len(data)] = data
        return len(data)

    def _block(self, number: int) -> bytes:
        last = (self._size - 1) // _BLOCK
        wanted = range(number, min(number + _AHEAD, last) + 1) if number - 1 in self._blocks else (number,)
        for one in wanted:
            if one not in self._blocks:
                begin = one * _BLOCK
                self._blocks[one] = self._pool.submit(self._fetch, begin, min(_BLOCK, self._size - begin))
        while len(self._blocks) > _HELD + _AHEAD:
            self._blocks.pop(min(one for one in self._blocks if one not in wanted)).cancel()
        return self._blocks[number].result()
