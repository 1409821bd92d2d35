"""Safe writes into a worktree: nothing outside is ever touched, no link followed. (Skeleton.)"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mvc.repo.stage import Stat

Buffer = bytes | bytearray | memoryview


class Placed(NamedTuple):
    """What stands in the worktree now: its stat for the stage."""

    path: str
    stat: Stat


class Placer:
    """Writes files of one worktree. Thread-safe; holds a few folders open. Use as a context manager.

    Each path is checked (mvc.objects.paths.check_path: UnsafePath), each folder on the way opened
    without following links. A link or file that stands where a folder is needed is refused with
    WouldOverwrite, unless `force`: then it is removed first. Not durable: a worktree is not fsynced.
    """

    def __init__(self, worktree: Path, *, force: bool = False) -> None: ...
    def __enter__(self) -> Placer: ...
    def __exit__(self, *exc: object) -> None: ...

    def small(self, path: str, data: Buffer, mode: int) -> Stat:
        """Write a whole file, or with mode 0o120000 a link whose target is `data`; beside, then renamed over what is there."""
        raise NotImplementedError

    def begin(self, path: str, mode: int, size: int) -> PlacedFile:
        """A file of `size` bytes to be written at any offsets from several threads, then committed or discarded."""
        raise NotImplementedError

    def chmod(self, path: str, mode: int) -> Stat:
        """Give the file that stands the executable bit, or take it."""
        raise NotImplementedError

    def remove(self, path: str) -> bool:
        """Remove the file or link, and the folders that are empty then. Returns whether it was there. Never removes a folder that holds something."""
        raise NotImplementedError

    def lstat(self, path: str) -> os.stat_result | None:
        """Of what stands at `path`, no link on the way followed; None if nothing (or a link or file is on the way)."""
        raise NotImplementedError

    def open_read(self, path: str) -> int:
        """A descriptor for reading a regular file, no link followed; raises FileNotFoundError, UnsafePath."""
        raise NotImplementedError

    def readlink(self, path: str) -> bytes:
        """A link's target."""
        raise NotImplementedError


class PlacedFile:
    """A file on its way into the worktree. `discard` (or leaving the `with` block) removes it unless committed."""

    def __enter__(self) -> PlacedFile: ...
    def __exit__(self, *exc: object) -> None: ...

    def pwrite(self, data: Buffer, offset: int) -> None:
        """All of `data` at `offset`. From any thread."""
        raise NotImplementedError

    def commit(self) -> Stat:
        """Give it its name and mode; what was there before is replaced, never written to."""
        raise NotImplementedError

    def discard(self) -> None: ...
