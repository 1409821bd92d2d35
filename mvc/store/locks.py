"""Locks between processes, as files made with O_EXCL. See docs/format/locks.md.

No `flock`: network file systems keep it badly or not at all. A lock whose holder was killed must
not stay in the way, so it tells who holds it. It is broken by itself only if the holder ran on this
boot of this machine, in this pid namespace, and is gone; else only when its heartbeat is old.

Breaking must not be raced: of two processes that both find a lock stale, the slower could remove the
new lock of the faster. So only who holds `<lock>.break` (a lock like any other, and so breakable
itself) removes another's lock, after it has read the very same holder again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.errors import Locked
from mvc.store import heartbeat
from mvc.store.holder import Holder, dump, fs_now, has_ended, parse, this_process

Clock = Callable[[], float]
Sleep = Callable[[float], None]

UNWRITTEN_SECONDS = 5.0
"""A lock without a holder's name is just being made, or its maker was killed at that: the latter after so long."""
_BREAK_WAIT = 2.0
_MAX_NESTING = 3
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that this process holds."""

    path: Path
    nonce: str

    def check(self) -> None:
        """Raises Locked if another process has taken the lock for stale and broken it."""
        found = _read(self.path)
        if found is None or found.holder is None or found.holder.nonce != self.nonce:
            raise Locked(
                f"the lock '{self.path.name}' was taken from this process", holder=found.describe() if found else ""
            )


@dataclass(frozen=True, slots=True)
class LockInfo:
    """A lock that stands."""

    path: Path
    holder: str
    stale: bool
    """Whether the next who wants it would break it."""
    age_seconds: float
    """Since its last sign of life."""


_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.ENOENT)
"""What `link` gives on a file system without hard links."""
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""What O_TMPFILE gives on a file system or kernel without it."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read of a lock file."""

    path: Path
    holder: Holder | None
    inode: int
    mtime: float
    empty: bool = False

    def describe(self) -> str:
        return self.holder.describe() if self.holder else "a process that has not written its name"

    def same_as(self, other: _Found | None) -> bool:
        return other is not None and (self.holder, self.inode) == (other.holder, other.inode)


@contextlib.contextmanager
def hold(
    path: Path, *, what: str = "", wait: float = 0.0, clock: Clock | None = None, sleep: Sleep = time.sleep
) -> Iterator[HeldLock]:
    """Hold the lock file `path` for the length of a `with` block.

    Tries for up to `wait` seconds, then raises Locked, which names the holder. A lock whose holder
    is gone is broken. `what` is the verb, for that line. `clock` gives seconds since 1970
    (default: the file system's, as heartbeats are its times too).
    """
    fsio.make_dirs(path.parent)
    held = _acquire(path, this_process(what), wait, clock, sleep, 0)
    heartbeat.watch(path)
    try:
        yield held
    finally:
        heartbeat.forget(path)
        _release(held)


def list_locks(locks_dir: Path, *, clock: Clock | None = None) -> list[LockInfo]:
    """The locks that stand, for `mvc unlock` and `fsck`."""
    found: list[LockInfo] = []
    for path in sorted(locks_dir.glob("*.lock*")):
        lock = _read(path)
        if lock is not None:
            found.append(LockInfo(path, lock.describe(), _is_stale(lock, clock), _age(lock, clock)))
    return found


def remove_stale(locks_dir: Path, *, before_ns: int) -> None:
    """Remove the locks of processes that are gone, and what was left half made before `before_ns`."""
    me = this_process("removing stale locks")
    for path in sorted(locks_dir.glob("*.lock*")):
        lock = _read(path)
        if lock is not None and _is_stale(lock, None):
            _break(path, lock, me, None, time.sleep, 0)
    for path in locks_dir.glob("tmp-*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime_ns < before_ns:
                fsio.unlink(path)


def break_lock(path: Path) -> str | None:
    """Remove a lock whoever holds it (`mvc unlock`); tells who held it, or None if nobody did."""
    lock = _read(path)
    if lock is None:
        return None
    fsio.unlink(path, missing_ok=True)
    return lock.describe()


def _acquire(path: Path, me: Holder, wait: float, clock: Clock | None, sleep: Sleep, nesting: int) -> HeldLock:
    deadline = time.monotonic() + wait
    pause = _FIRST_PAUSE
    while True:
        _create(path, me)
        lock = _read(path)
        if lock is None:
            continue  # released since
        if lock.holder is not None and lock.holder.nonce == me.nonce:
            return HeldLock(path, me.nonce)
        if _is_stale(lock, clock) and _break(path, lock, me, clock, sleep, nesting):
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            raise Locked(
                f"{lock.describe()} holds the lock '{path.name}'",
                holder=lock.describe(),
                hint="wait until it is done; if no mvc runs there any more: mvc unlock",
            )
        sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _create(path: Path, me: Holder) -> None:
    """Create the lock, if nothing is there, together with its holder's name.

    A file is written first and then linked, which is as exclusive as O_EXCL: a process that is killed in
    between leaves no lock without a name, which others would have to wait for. On Linux that file has no
    name of its own, so that nothing at all is left. Where the file system has no links, O_EXCL, then the name.
    """
    if os.path.lexists(path):
        return
    with contextlib.suppress(FileExistsError):
        if not _link_nameless(path, dump(me)) and not _link_beside(path, me):
            fsio.create_exclusive(path, dump(me), sync=False)


def _link_nameless(path: Path, data: bytes) -> bool:
    """Create `path` from a file without a name; False where that cannot be done."""
    flag: int = getattr(os, "O_TMPFILE", 0)
    if not flag:
        return False
    fsio.step("create", path)
    try:
        fd = os.open(path.parent, flag | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return False
        raise
    try:
        fsio.fit_folder(fd, path.parent)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.write(fd, data)
            # With a folder given, Python calls linkat, which alone follows the link that /proc has for a descriptor.
            return _link(f"/proc/self/fd/{fd}", path, folder)
        finally:
            os.close(folder)
    finally:
        os.close(fd)


def _link_beside(path: Path, me: Holder) -> bool:
    """Create `path` from a file beside it; False on a file system without hard links."""
    beside = path.with_name(f"{path.name}.{me.nonce}.lock")  # git takes nothing that ends so for a ref
    fsio.create_exclusive(beside, dump(me), sync=False)
    try:
        return _link(os.fspath(beside), path)
    finally:
        fsio.unlink(beside, missing_ok=True)


def _link(source: str, path: Path, folder: int | None = None) -> bool:
    fsio.step("link", path)
    try:
        if folder is None:
            os.link(source, path)
        else:
            os.link(source, path.name, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def _break(path: Path, stale: _Found, me: Holder, clock: Clock | None, sleep: Sleep, nesting: int) -> bool:
    """Remove a stale lock, unless it is not that one any more; False if somebody else is at it."""
    if nesting >= _MAX_NESTING:
        return False
    breaker = path.with_name(f"{path.name}.break")
    try:
        right = _acquire(breaker, me, _BREAK_WAIT, clock, sleep, nesting + 1)
    except Locked:
        return False
    try:
        if stale.same_as(_read(path)):
            fsio.unlink(path, missing_ok=True)
        return True
    finally:
        _release(right)


def _release(held: HeldLock) -> None:
    found = _read(held.path)
    if found is not None and found.holder is not None and found.holder.nonce == held.nonce:
        fsio.unlink(held.path, missing_ok=True)


def _is_stale(lock: _Found, clock: Clock | None) -> bool:
    ended = None if lock.holder is None else has_ended(lock.holder)
    if ended is not None:
        return ended
    # What is written, but not by mvc, is real git's: a ref's lock holds the ref's new value.
    return _age(lock, clock) > (UNWRITTEN_SECONDS if lock.empty else heartbeat.STALE_SECONDS)


def _age(lock: _Found, clock: Clock | None) -> float:
    """Seconds since its last sign of life."""
    now = fs_now(lock.path.parent) / 1e9 if clock is None else clock()
    return max(0.0, now - lock.mtime)


def _read(path: Path) -> _Found | None:
    try:
        fd = os.open(path, os.O_RDONLY | fsio.NO_WAIT | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return None
    try:
        data = os.read(fd, 65536)
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return _Found(path, parse(data), found.st_ino, found.st_mtime, not data)
