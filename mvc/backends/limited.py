"""A backend that takes no more of the line than it is given, upload and download apart.

Bytes are paid for once they went: each waits until all that went before would have gone at the rate. So no second has
more than the rate, but for one piece at the beginning, and requests of several threads share one rate. Time in which
nothing moved is not saved up.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mvc.backends.base import Backend, Capabilities, Entry, Report, Source
from mvc.errors import UsageError
from mvc.fsio import Buffer

_PIECE = 1 << 20
"""A longer range is asked for in pieces of so many bytes, or of half a second: else it would come in one rush."""
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([kmg]?)(?:b|ib)?(?:/s)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second; None: as fast as it goes."""

    up: float | None = None
    down: float | None = None

    def over(self, other: Rates) -> Rates:
        """These, and where they say nothing, the others."""
        return Rates(self.up if self.up is not None else other.up, self.down if self.down is not None else other.down)


UNLIMITED = Rates()


def parse_rates(text: str) -> Rates:
    """`10M` both ways, `up=5M,down=20M` apart; k, M and G as in Git, 1024 at a time. Raises UsageError."""
    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        ways = [name.strip().lower()] if equals else ["up", "down"]
        if not set(ways) <= {"up", "down"} or found.keys() & set(ways):
            raise _no_rates(text)
        found.update(dict.fromkeys(ways, _rate(value if equals else name, text)))
    return Rates(found.get("up"), found.get("down"))


def _rate(value: str, text: str) -> float | None:
    value = value.strip()
    if value.lower() in {"none", "0"}:
        return None
    match = _RATE.fullmatch(value)
    rate = float(match[1]) * _UNITS[match[2].lower()] if match is not None else 0.0
    if rate < 1:
        raise _no_rates(text)
    return rate


def _no_rates(text: str) -> UsageError:
    return UsageError(f"'{text}' is no rate", hint="bytes a second: 10M, or up=5M,down=20M")


class Meter:
    """One rate, shared by all who pay at it. Thread-safe."""

    def __init__(self, rate: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._paid_until = clock()

    def pay(self, amount: int) -> None:
        """Return when these bytes, and all before them, had their time."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now) + amount / self.rate
            wait = self._paid_until - now
        if wait > 0:
            self._sleep(wait)


class LimitedBackend:
    """`inner`, no faster than `rates`. `clock` and `sleep` are real unless a test gives its own."""

    def __init__(
        self,
        inner: Backend,
        rates: Rates,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.inner = inner
        self._up = Meter(rates.up, clock, sleep) if rates.up is not None else None
        self._down = Meter(rates.down, clock, sleep) if rates.down is not None else None

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        meter = self._down
        if meter is None:
            return self.inner.get(key, offset, length)
        piece = max(_PIECE, int(meter.rate / 2))
        if length is None or length <= piece or not self.capabilities.ranges:
            data = self.inner.get(key, offset, length)
            meter.pay(len(data))
            return data
        parts: list[bytes] = []
        for start in range(0, length, piece):
            wanted = min(piece, length - start)
            data = self.inner.get(key, offset + start, wanted)
            meter.pay(len(data))
            parts.append(data)
            if len(data) < wanted:
                break
        return b"".join(parts)

    def size(self, key: str) -> int | None:
        return self.inner.size(key)

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        meter = self._up
        if meter is None:
            self.inner.put(key, source, progress=progress)
            return

        def told(amount: int) -> None:
            meter.pay(amount)
            if progress is not None:
                progress(amount)

        self.inner.put(key, source, progress=told)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        made = self.inner.put_if_absent(key, data)
        if self._up is not None:
            self._up.pay(memoryview(data).nbytes)
        return made

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return self.inner.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        self.inner.delete(keys)

    def close(self) -> None:
        self.inner.close()
