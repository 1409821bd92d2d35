"""A backend that tries again, around one that may fail for a while.

Only RemoteUnavailable is tried again: a refusal, a missing key or a full disk will be the same next time. The pause
before a further try is drawn evenly from 0 to a bound that doubles ("full jitter": clients that failed together do not
come back together; M. Brooker, "Exponential Backoff And Jitter", 2015).

How long a request may stay silent is the business of the backend inside, which alone can give one up: it raises
RemoteUnavailable when no byte came for its stall limit, and here it starts afresh.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from mvc.backends.base import Backend, Capabilities, Entry, Report, Source
from mvc.errors import RemoteUnavailable
from mvc.fsio import Buffer

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long."""

    attempts: int = 9
    """Tries of one request, all told."""
    first_attempts: int = 4
    """The same until the store has answered once: a wrong address should not take half a minute to be told."""
    first_pause: float = 0.2
    """Bound of the first pause, seconds."""
    longest_pause: float = 20.0
    total: float = 300.0
    """Seconds after which no further try begins, hanging ones included."""


DEFAULT = Policy()


class RetryingBackend:
    """`inner`, with retries. `clock`, `sleep` and `chance` (0 to 1) are real unless a test gives its own."""

    def __init__(
        self,
        inner: Backend,
        policy: Policy = DEFAULT,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.inner = inner
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._answered = threading.Event()

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def capabilities(self) -> Capabilities:
        found = self.inner.capabilities
        ask = found.ask
        return found if ask is None else replace(found, ask=lambda *what: self._try(lambda: ask(*what)))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._try(lambda: self.inner.get(key, offset, length))

    def size(self, key: str) -> int | None:
        return self._try(lambda: self.inner.size(key))

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        report = None if progress is None else _HighWater(progress)

        def attempt() -> None:
            if report is not None:
                report.restart()
            self.inner.put(key, source, progress=report)

        self._try(attempt)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        return self._try(lambda: self.inner.put_if_absent(key, data))

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """A listing that breaks goes on behind the last entry that came."""
        tries = _Tries(self)
        while True:
            try:
                for entry in self.inner.list(prefix, after):
                    self._answered.set()
                    tries = _Tries(self)
                    after = entry.key
                    yield entry
                self._answered.set()
                return
            except RemoteUnavailable as error:
                tries.pause(error)

    def delete(self, keys: Iterable[str]) -> None:
        wanted = list(keys)
        self._try(lambda: self.inner.delete(wanted))

    def close(self) -> None:
        self.inner.close()

    def _try(self, attempt: Callable[[], Result]) -> Result:
        tries = _Tries(self)
        while True:
            try:
                result = attempt()
            except RemoteUnavailable as error:
                tries.pause(error)
            else:
                self._answered.set()
                return result


class _Tries:
    """The tries of one request."""

    def __init__(self, backend: RetryingBackend) -> None:
        self._backend = backend
        self._start = backend._clock()
        self._done = 0

    def pause(self, error: RemoteUnavailable) -> None:
        """Wait before the next try; raises `error` if there is to be none."""
        of = self._backend
        policy = of._policy
        self._done += 1
        most = policy.attempts if of._answered.is_set() else policy.first_attempts
        bound = min(policy.longest_pause, policy.first_pause * 2 ** (self._done - 1))
        if self._done >= most or of._clock() - self._start >= policy.total:
            raise error
        of._sleep(max(of._chance() * bound, min(error.after, policy.longest_pause)))


class _HighWater:
    """Passes on progress that is new: what a failed try reported already is not told again."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told = 0
        self._now = 0

    def restart(self) -> None:
        self._now = 0

    def __call__(self, amount: int) -> None:
        self._now += amount
        if self._now > self._told:
            self._report(self._now - self._told)
            self._told = self._now
