"""Locks between processes, as files made with O_EXCL. See docs/format/locks.md."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class HeldLock:
    path: Path
    nonce: str

    def check(self) -> None:
        """Raises Locked if another process has taken the lock for stale and broken it."""
        raise NotImplementedError


def hold(
    path: Path,
    *,
    what: str = "",
    wait: float = 0.0,
    clock: Clock | None = None,
    sleep: Callable[[float], None] | None = None,
) -> AbstractContextManager[HeldLock]:
    """Hold the lock file `path` for the length of a `with` block.

    Tries for up to `wait` seconds, then raises Locked, which names the holder. A lock whose
    holder is gone is broken. `what` is the verb, for the holder line. `clock` gives seconds of the epoch
    (default: the file system's own clock).
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class LockInfo:
    path: Path
    holder: str
    stale: bool
    age_seconds: float


def list_locks(locks_dir: Path, *, clock: Clock | None = None) -> list[LockInfo]:
    """The locks that stand, for `mvc unlock` and `fsck`."""
    raise NotImplementedError


def break_lock(path: Path) -> str | None:
    """Remove a lock whoever holds it (`mvc unlock`); tells who held it, or None if nobody did."""
    raise NotImplementedError
