"""A backend for reading that counts what it costs, around another."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mvc.backends.base import Backend, Capabilities, Entry, Report, Source
from mvc.fsio import Buffer


class MeteredBackend:
    """`inner`; `requests` and `received` (bytes of objects and of answers) grow as it is used."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.requests = 0
        self.received = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def capabilities(self) -> Capabilities:
        found = self.inner.capabilities
        return found if found.ask is None else replace(found, ask=self._question)

    def _question(self, question: str, body: bytes) -> bytes:
        ask = self.inner.capabilities.ask
        assert ask is not None  # `capabilities` would not have led here
        self._count()
        return self._received(ask(question, body))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._count()
        return self._received(self.inner.get(key, offset, length))

    def size(self, key: str) -> int | None:
        self._count()
        return self.inner.size(key)

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        self._count()
        self.inner.put(key, source, progress=progress)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        self._count()
        return self.inner.put_if_absent(key, data)

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        self._count()
        return self.inner.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        self._count()
        self.inner.delete(keys)

    def close(self) -> None:
        self.inner.close()

    def _received(self, data: bytes) -> bytes:
        with self._lock:
            self.received += len(data)
        return data

    def _count(self) -> None:
        with self._lock:
            self.requests += 1
