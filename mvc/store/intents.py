"""What keeps gc from taking a chunk that a writer counts on, without either waiting for the other.

A writer W does not store what it finds stored; until W's stage or ref is published, nothing else may
refer to that chunk. So:

    W  1. registers an intent, `intents/<start>-<nonce>.intent`; `start` is read from the file
          system's clock before the intent has that name
       2. before it counts on a chunk in pack P (to skip it, or as the base of a delta), claims P: sets P's mtime
          to now, THEN reads the list of condemned packs. P gone, or on the list: W stores the chunk anew
       3. stores, seals, publishes; THEN removes its intent
    gc 1. notes t0 by the file system's clock, THEN lists the intents. cutoff = the least of t0, the
          starts of live intents, and t0 - grace
       2. THEN reads stage, refs, reflogs: what they reach is live
       3. rewrites and writes the list of condemned packs (durable), THEN reads each one's mtime:
          P stays if that is not older than cutoff
       4. removes the packs that are left, and the list

Claim: no pack that W counts on is removed. Let W claim P at c, having registered at r, start s <= r <= c.

- gc's listing (1) finds no intent of W as W has finished: then W published before that, so before gc
  reads what is live (2), and gc keeps the chunk.
- The listing finds W's intent: cutoff <= s <= c. It does not, as W registers later: t0 < r <= c, and
  cutoff <= t0. Either way P's mtime is no older than cutoff from c on. If c comes before gc reads
  the mtime (3), gc sees it and keeps P. If c comes after, then W's look at the list comes after c,
  and the list was written before gc read the mtime: W sees P on it and stores the chunk anew. (Each
  writes its own sign before it reads the other's: at least one of the two sees the other.)
- W's own packs are written after s: their mtime, too, is no older than cutoff.

What gc keeps it keeps whole, and closed: the bases of every record in a pack that stays are kept.
Times are compared as the same file system gave them, so equal clocks are not needed, nor fine ones: a
coarse clock rounds t0 and c alike, and never turns their order. A clock that is set back while W works makes no
claim older than s; one that is set back within the moments of gc's own steps is not provided for.

What the argument rests on: W publishes before it removes its intent. gc's reading of refs must itself
be a snapshot (take the repository's lock for it). A W that another machine takes for dead, its heartbeat
being a day old, is not protected: so W calls `check` right before publishing. On a network file
system whose clients cache, "W sees the list" may come late by as long as they cache (a minute): there the
grace does it, and gc without grace removes nothing while an intent of another machine is live.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mvc import fsio
from mvc.errors import Refused
from mvc.store import condemned, heartbeat
from mvc.store.holder import Holder, dump, fs_now, has_ended, parse, this_process

DEAD_SECONDS = 24 * 3600.0
"""An intent of another machine without a sign of life for so long is taken for dead."""
_SUFFIX = ".intent"
_TMP = "tmp-"


class Intent:
    """A registered writer: keep it until what was written is published, then leave the `with` block."""

    def __init__(self, path: Path, start_ns: int) -> None:
        self.path = path
        self.start_ns = start_ns

    def __enter__(self) -> Intent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """To be called right before publishing: raises Refused if gc has taken this writer for dead."""
        if not self.path.exists():
            raise Refused("mvc gc took this process for dead, so what it counted on may be gone", hint="repeat it")

    def close(self) -> None:
        """Remove it. May be called twice."""
        heartbeat.forget(self.path)
        fsio.unlink(self.path, missing_ok=True)


@dataclass(frozen=True, slots=True)
class Registered:
    """An intent as others see it."""

    path: Path
    start_ns: int
    """When its writer began, by the file system's clock."""
    holder: Holder | None
    alive: bool
    near: bool
    """Whether it runs on this machine."""

    def describe(self) -> str:
        return self.holder.describe() if self.holder else f"a process unknown ({self.path.name})"


def register(intents_dir: Path, what: str) -> Intent:
    """Tell gc that this process is about to write; `what` is the verb."""
    fsio.make_dirs(intents_dir)
    holder = this_process(what)
    fsio.step("create", intents_dir)
    fd, name = tempfile.mkstemp(prefix=_TMP, dir=intents_dir)
    try:
        os.write(fd, dump(holder))
        start = os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
    path = intents_dir / f"{start:020d}-{holder.nonce}{_SUFFIX}"
    fsio.replace(name, path)  # seen whole or not at all; need not survive a crash, as its process would not
    heartbeat.watch(path)
    return Intent(path, start)


def list_intents(intents_dir: Path, *, now_ns: int | None = None) -> list[Registered]:
    """All intents that are registered. `now_ns` is for tests; else the file system's time."""
    found: list[Registered] = []
    for path in sorted(intents_dir.glob(f"*{_SUFFIX}")):
        try:
            data, mtime = path.read_bytes(), path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
        start, _, _ = path.name.partition("-")
        holder = parse(data)
        ended = None if holder is None else has_ended(holder)
        near = ended is not None
        if ended is None:
            ended = (fs_now(intents_dir) if now_ns is None else now_ns) - mtime > DEAD_SECONDS * 1e9
        found.append(Registered(path, int(start) if start.isdecimal() else 0, holder, not ended, near))
    return found


def remove_dead(intents_dir: Path, intents: list[Registered], *, before_ns: int) -> None:
    """Remove the intents that are dead, and what was left half made before `before_ns`."""
    for intent in intents:
        if not intent.alive:
            fsio.unlink(intent.path, missing_ok=True)
    for path in intents_dir.glob(f"{_TMP}*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime_ns < before_ns:
                fsio.unlink(path, missing_ok=True)


class Claims:
    """The packs that one writer has claimed. Thread-safe: a claim may be made twice."""

    def __init__(self, condemned_list: Path, since_ns: int = 0) -> None:
        """`since_ns` is when the writer's intent began: no claim is older, though the clock be set back."""
        self._condemned = condemned_list
        self._since_ns = since_ns
        self._claimed: set[bytes] = set()

    def own(self, pack_id: bytes, path: Path) -> None:
        """This writer has made the pack, which stands at `path`."""
        self._not_too_old(path)
        self._claimed.add(pack_id)

    def __contains__(self, pack_id: bytes) -> bool:
        """Whether the pack is claimed already."""
        return pack_id in self._claimed

    def claim(self, pack_id: bytes, path: Path) -> bool:
        """Keep gc from removing the pack at `path`; False if it is gone, or about to be."""
        if pack_id in self._claimed:
            return True
        fsio.step("utime", path)
        try:
            os.utime(path)
            self._not_too_old(path)
        except (FileNotFoundError, PermissionError):
            return False  # where its time may not be set it cannot be kept: as in Git, the chunk is stored anew
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            return False
        if pack_id in condemned.read(self._condemned).packs:
            return False
        self._claimed.add(pack_id)
        return True

    def _not_too_old(self, path: Path) -> None:
        if path.stat().st_mtime_ns < self._since_ns:
            os.utime(path, ns=(self._since_ns, self._since_ns))
