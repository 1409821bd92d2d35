"""A backend in memory: the simplest that keeps the contract. For tests, and for what needs no disk."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mvc.backends.base import Capabilities, Entry, Report, Source, Streamed, check_key, check_prefix, check_range
from mvc.errors import NotFound
from mvc.fsio import Buffer

_CAPABILITIES = Capabilities(
    put_if_absent=True, atomic_put=True, ranges=True, list_after=True, parallel=8, part=8 << 20
)


class MemoryBackend:
    """Objects in a dict. One instance is one store: share it to have several clients."""

    def __init__(self, name: str = "memory", *, clock: Callable[[], float] = time.time) -> None:
        self.url = f"memory://{name}"
        self.capabilities = _CAPABILITIES
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_range(offset, length)
        with self._lock:
            found = self._objects.get(check_key(key))
        if found is None:
            raise NotFound(f"'{key}' is not in {self.url}")
        return found[0][offset:] if length is None else found[0][offset : offset + length]

    def size(self, key: str) -> int | None:
        with self._lock:
            found = self._objects.get(check_key(key))
        return None if found is None else len(found[0])

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        check_key(key)
        if isinstance(source, Streamed):
            data = b"".join(bytes(block) for block in source.blocks())
        else:
            data = source.read_bytes() if isinstance(source, Path) else bytes(source)
        with self._lock:
            self._objects[key] = (data, self._clock())
        if progress is not None:
            progress(len(data))

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        check_key(key)
        mine = (bytes(data), self._clock())
        with self._lock:
            return self._objects.setdefault(key, mine) is mine

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        with self._lock:
            keys = sorted(self._objects)
            start = max(bisect.bisect_left(keys, prefix), bisect.bisect_right(keys, after))
            found = [(key, self._objects[key]) for key in keys[start:] if key.startswith(prefix)]
        return iter([Entry(key, len(data), modified) for key, (data, modified) in found])

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with self._lock:
                self._objects.pop(check_key(key), None)

    def close(self) -> None:
        pass
