"""A lease: the sign of a writer at work, so that gc of the remote lets alone what no entry lists yet.

Two objects: `leases/<nonce>`, written once, whose time tells when the writer began, and which names what it takes up
that was there before; and `leases/<nonce>.beat`, written anew while it works.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType

from mvc.backends.base import Backend
from mvc.errors import AuthError, NetworkError, NotFound
from mvc.sync import keys

BEAT_SECONDS = 300.0
"""It is written anew so often."""
DEAD_SECONDS = 24 * 3600.0
"""For gc a writer without a sign for so long, by the store's clock, is gone."""
LAPSE_SECONDS = 12 * 3600.0
"""A writer that gave no sign for so long, by its own clock, no longer counts on its lease."""
_MOST = 4 * 1024 * 1024
_KEEP = re.compile(r"keep ([a-z0-9./_-]{1,300})")


def elapsed() -> float:
    """Seconds on a clock that goes on while the machine sleeps, where the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.time()


class Lease:
    """Held for the length of a `with` block, by a thread of its own."""

    def __init__(
        self,
        backend: Backend,
        who: str,
        *,
        keep: Collection[str] = (),
        beat: float = BEAT_SECONDS,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        """`keep`: keys of what no entry lists, and which this writer will list, or put again."""
        self._backend = backend
        self.nonce = os.urandom(16).hex()
        self._who, self._keep, self._beat_seconds, self._clock = who, sorted(keep), beat, clock
        self._last = clock()
        self._lapsed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mvc-lease", daemon=True)

    def __enter__(self) -> Lease:
        lines = [*self._head(), *(f"keep {key}" for key in self._keep), ""]
        self._last = self._clock()
        self._put(keys.lease(self.nonce), lines)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(NetworkError, AuthError):  # one that stays gets old
            self._backend.delete([keys.lease(self.nonce), keys.beat(self.nonce)])

    @property
    def holds(self) -> bool:
        """Whether gc cannot have taken this writer for gone: to be asked right before an entry is appended."""
        self._look()
        return not self._lapsed

    def beat(self) -> None:
        """Give a sign now."""
        before = self._clock()
        self._put(keys.beat(self.nonce), [*self._head(), ""])
        self._look()
        self._last = before

    def _look(self) -> None:
        if self._clock() - self._last > LAPSE_SECONDS:
            self._lapsed = True

    def _head(self) -> list[str]:
        by = re.sub(r"[\x00-\x1f\x7f]", " ", self._who)
        return ["mvc-lease 1", f"at {int(time.time())}", f"by {by}"]

    def _put(self, key: str, lines: list[str]) -> None:
        self._backend.put(key, "\n".join(lines).encode("utf-8", "surrogateescape"))

    def _run(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            with contextlib.suppress(NetworkError, AuthError, OSError):  # the next beat may come through
                self.beat()


@dataclass(frozen=True, slots=True)
class Leases:
    """The writers at work that gc found."""

    count: int
    began: float | None
    """When the first of them began, by the store's clock; None: there is none. Where a store tells no times: 0."""
    kept: frozenset[str]
    """Keys that they will list, or put again."""
    dead: tuple[str, ...]
    """Keys of leases whose writers are gone."""


def find(backend: Backend, now: float | None, *, without: Collection[str] = ()) -> Leases:
    """All leases but those of the nonces `without`. `now` is the store's clock; None: it tells no times."""
    seen: dict[str, dict[str, float | None]] = {}
    for entry in backend.list(keys.LEASES):
        seen.setdefault(entry.key.removesuffix(keys.BEAT), {})[entry.key] = entry.modified
    began: list[float] = []
    kept: set[str] = set()
    dead: list[str] = []
    for key, times in seen.items():
        if key.removeprefix(keys.LEASES) in without:
            continue
        told = [when for when in times.values() if when is not None]
        if now is not None and told and max(told) < now - DEAD_SECONDS:
            dead += times
            continue
        began.append(min(told) if told else 0.0)
        with contextlib.suppress(NotFound):  # it has just ended
            text = backend.get(key, 0, _MOST).decode("utf-8", "replace")
            kept.update(found[1] for line in text.split("\n") if (found := _KEEP.fullmatch(line)))
    return Leases(len(began), min(began, default=None), frozenset(kept), tuple(dead))
