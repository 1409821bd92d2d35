"""Digests of the files of local datasets, remembered by stat: what has not changed is not read again.

Derived: a file a folder, under `.mvc/dataset-cache/`, that may be lost or deleted at any time. A file that is as new
as what remembers it is never believed: it may have changed within one step of the clock, and look the same.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mvc import fsio
from mvc.hashing import digest

MAX_BYTES = 256 * 1024 * 1024
"""Of one such file: some two million names."""

_MAGIC = b"mvc datasets 1\n"
_SUM = 32
_TICK_NS = 20_000_000
_COARSE_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


class Seen(NamedTuple):
    """How a file looked, and what it held. Two are the same when they are equal."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Seen:
        """How a file looks now."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def settled(self, now_ns: int) -> bool:
        """Whether a change from `now_ns` on would show. (File systems that keep whole seconds take longer.)"""
        coarse = self.mtime_ns % _SECOND_NS == 0 and self.ctime_ns % _SECOND_NS == 0
        return max(self.mtime_ns, self.ctime_ns) + (_COARSE_NS if coarse else _TICK_NS) < now_ns


class DigestCache:
    """What is remembered of one folder (or file), by path below it. Safe to use from several threads."""

    def __init__(self, home: Path | None, root: Path) -> None:
        """`home`: where such files lie; None: nothing is remembered. `root`: the dataset, absolute."""
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
        self._path = None if home is None else home / name
        self._known = {} if self._path is None else _load(self._path)
        self._met: dict[bytes, tuple[Seen, bytes]] = {}
        self.read = 0
        """How many files had to be read."""

    def find(self, path: bytes, found: os.stat_result) -> bytes | None:
        """The BLAKE3 of a file that looks as it did; None: it has to be read."""
        known = self._known.get(path)
        if known is None or known[0] != Seen.of(found) or not stat.S_ISREG(found.st_mode):
            return None
        self._met[path] = known
        return known[1]

    def note(self, path: bytes, found: os.stat_result, name: bytes, began_ns: int) -> None:
        """A file was read: it held `name`, and reading began at `began_ns`, when `found` was how it looked."""
        self.read += 1
        seen = Seen.of(found)
        if seen.settled(began_ns):
            self._met[path] = (seen, name)

    def save(self, tmp_dir: Path | None = None) -> None:
        """Write what this run met, and nothing else. Where nothing can be written, nothing is."""
        if self._path is None or self._met == self._known:
            return
        rows = [b"%s %d %d %d %d %s\0" % (name.hex().encode(), *seen, path) for path, (seen, name) in self._met.items()]
        body = b"".join(rows)
        if len(body) > MAX_BYTES:
            return
        with suppress(OSError):
            fsio.make_dirs(self._path.parent)
            fsio.write_atomic(self._path, _MAGIC + digest(body) + body, tmp_dir=tmp_dir, sync=False)


def clock() -> int:
    """Now, by the clock that file times are held against."""
    return time.time_ns()


def _load(path: Path) -> dict[bytes, tuple[Seen, bytes]]:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + len(_MAGIC) + _SUM + 1)
    except OSError:
        return {}
    body = data[len(_MAGIC) + _SUM :]
    if data[: len(_MAGIC)] != _MAGIC or digest(body) != data[len(_MAGIC) : len(_MAGIC) + _SUM]:
        return {}
    known = {}
    for row in body.split(b"\0")[:-1]:
        name, size, mtime, ctime, inode, path_below = row.split(b" ", 5)
        known[path_below] = (Seen(int(size), int(mtime), int(ctime), int(inode)), bytes.fromhex(name.decode()))
    return known
