"""A backend that fails on purpose, around another that does not. For tests of whatever stands on a backend.

A *plan* says, for each request, what goes wrong with it, if anything. Requests are numbered from 0 in the order in
which they come; `requests` lists them, so a test can first count those of a sound run and then break each in turn.
"""

from __future__ import annotations

import random as random_module
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mvc.backends.base import Backend, Capabilities, Entry, Report, Source, Streamed
from mvc.errors import RemoteRefused, RemoteUnavailable
from mvc.fsio import Buffer


class Fault(Enum):
    """What goes wrong with a request."""

    BEFORE = "it never arrives: RemoteUnavailable, and nothing happened"
    AFTER = "its answer is lost: it happened, then RemoteUnavailable"
    CUT = "the line breaks in the middle: RemoteUnavailable; a listing has given half of its entries"
    SHORT = "a get gives half of the bytes, and no error"
    WRONG = "a get gives as many bytes, one bit of them flipped"
    HANG = "nothing comes for `Faulty.stall` seconds of the injected clock, then RemoteUnavailable; nothing happened"
    TWICE = "it is carried out twice, and the second answer is given"
    REFUSED = "RemoteRefused, and nothing happened"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: "get", "size", "put", "put_if_absent", "list" or "delete", and its key or prefix."""

    operation: str
    key: str


Plan = Callable[[int, Request], Fault | None]


def never(number: int, request: Request) -> Fault | None:
    """The plan of a sound backend."""
    return None


def at(faults: Mapping[int, Fault]) -> Plan:
    """The plan that breaks the requests of these numbers."""
    return lambda number, request: faults.get(number)


def randomly(
    seed: int, rate: float, faults: Sequence[Fault] = (Fault.BEFORE, Fault.AFTER, Fault.CUT, Fault.TWICE)
) -> Plan:
    """The plan that breaks a share `rate` of all requests, by chance: what it does depends on seed and number alone."""

    def plan(number: int, request: Request) -> Fault | None:
        chance = random_module.Random(seed * 1_000_003 + number)
        return chance.choice(faults) if chance.random() < rate else None

    return plan


class FaultyBackend:
    """`inner`, with faults. `hang` is told the seconds that a hanging request takes, for a clock that is not real."""

    def __init__(
        self, inner: Backend, plan: Plan = never, *, hang: Callable[[float], None] | None = None, stall: float = 60.0
    ) -> None:
        self.inner = inner
        self.plan = plan
        self.requests: list[Request] = []
        self._hang = hang
        self._stall = stall
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        fault = self._arrives("get", key)
        data = self.inner.get(key, offset, length)
        if fault is Fault.TWICE:
            data = self.inner.get(key, offset, length)
        self._leaves(fault)
        if fault is Fault.SHORT:
            return data[: len(data) // 2]
        if fault is Fault.WRONG and data:
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data

    def size(self, key: str) -> int | None:
        fault = self._arrives("size", key)
        found = self.inner.size(key)
        self._leaves(fault)
        return found

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        fault = self._arrives("put", key)
        if fault is Fault.CUT:
            if progress is not None:
                progress(_size(source) // 2)
            raise RemoteUnavailable(f"{self.url}: the line broke")
        self.inner.put(key, source, progress=progress)
        if fault is Fault.TWICE:
            self.inner.put(key, source)
        self._leaves(fault)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        fault = self._arrives("put_if_absent", key)
        if fault is Fault.CUT:
            raise RemoteUnavailable(f"{self.url}: the line broke")
        done = self.inner.put_if_absent(key, data)
        if fault is Fault.TWICE:
            done = self.inner.put_if_absent(key, data)
        self._leaves(fault)
        return done

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        fault = self._arrives("list", prefix)
        entries = list(self.inner.list(prefix, after))
        if fault is Fault.CUT:
            yield from entries[: len(entries) // 2]
        self._leaves(fault)
        yield from entries

    def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        fault = self._arrives("delete", keys[0] if keys else "")
        if fault is Fault.CUT:
            keys = keys[: len(keys) // 2]
        self.inner.delete(keys)
        if fault is Fault.TWICE:
            self.inner.delete(keys)
        self._leaves(fault)

    def close(self) -> None:
        self.inner.close()

    def _arrives(self, operation: str, key: str) -> Fault | None:
        """Number a request and ask the plan; raises where the fault is that it does not arrive."""
        request = Request(operation, key)
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
        fault = self.plan(number, request)
        if fault is Fault.REFUSED:
            raise RemoteRefused(f"{self.url} refuses this")
        if fault is Fault.HANG and self._hang is not None:
            self._hang(self._stall)
        if fault in (Fault.BEFORE, Fault.HANG):
            raise RemoteUnavailable(f"{self.url} does not answer")
        return fault

    def _leaves(self, fault: Fault | None) -> None:
        if fault in (Fault.AFTER, Fault.CUT):
            raise RemoteUnavailable(f"{self.url}: the answer was lost")


def _size(source: Source) -> int:
    if isinstance(source, Streamed):
        return source.size
    return source.stat().st_size if isinstance(source, Path) else memoryview(source).nbytes
