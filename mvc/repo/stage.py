"""The stage: what the next commit will hold, and how its files looked when they were last seen.

Specified in docs/format/stage.md. (Skeleton: signatures hold, bodies follow.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Stat(NamedTuple):
    """How a worktree file looked when its content was known: nanoseconds, nanoseconds, number, bytes."""

    mtime_ns: int
    ctime_ns: int
    inode: int
    size: int


class StageEntry(NamedTuple):
    """A file of the next commit. `path` is "/"-separated, UTF-8 with surrogateescape."""

    path: str
    mode: int
    """0o100644, 0o100755 or 0o120000 (mvc.objects.model's FILE, EXEC, LINK)."""
    id: str
    """Git blob: the file itself, or its manifest."""
    size: int
    """Bytes of the file (of a link: of its target), not of the blob."""
    blake3: bytes | None = None
    """BLAKE3 of the file where the blob is a manifest; None where the blob is the file."""
    stat: Stat | None = None
    """The worktree's file when it last was equal to this entry. None: not known, look at the content."""
    conflict: int = 0
    """0; in an unfinished merge 1 base, 2 ours, 3 theirs."""


class Stage:
    """The entries by path, in memory. Not thread-safe. Change it under `mvc.repo.locking.edit_stage`."""

    tree: str | None
    """A tree that the entries equal but for `.mvcmeta` (set after commit, switch, reset --hard; every change
    of an entry's mode or id clears it). Lets a clean status skip comparing with HEAD."""

    @classmethod
    def load(cls, path: Path) -> Stage:
        """Read the file `path`; an empty Stage if there is none. Raises IntegrityError, UnsupportedFormat."""
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Replace the file durably (fsio). Stats too new to be trusted are written as unknown (see docs)."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Paths with an entry of conflict 0."""
        raise NotImplementedError

    def __contains__(self, path: object) -> bool: ...

    def __iter__(self) -> Iterator[StageEntry]:
        """Entries of conflict 0, ordered by the bytes of their path."""
        raise NotImplementedError

    def get(self, path: str) -> StageEntry | None:
        """The entry of conflict 0."""
        raise NotImplementedError

    def paths(self) -> list[str]:
        """All paths with an entry of conflict 0, ordered by their bytes."""
        raise NotImplementedError

    def under(self, folder: str) -> list[str]:
        """The paths below a folder ("" is the root)."""
        raise NotImplementedError

    def stats(self) -> Mapping[str, tuple[int, int, int, int]]:
        """Path to Stat as plain tuples; an unknown one has mtime_ns = ctime_ns = inode = 0."""
        raise NotImplementedError

    def put(self, entry: StageEntry) -> None:
        """Add or replace. With conflict 0 it also ends a conflict of that path, and removes entries which
        the path makes impossible (a file where a folder was, and the other way round)."""
        raise NotImplementedError

    def put_conflict(self, path: str, versions: Iterable[StageEntry]) -> None:
        """The path is in conflict: up to three versions (entry.conflict 1, 2, 3) stand for the one of conflict 0."""
        raise NotImplementedError

    def refresh(self, path: str, stat: Stat) -> None:
        """The worktree's file was found equal to the entry: remember how it looks now. Keeps `tree`."""
        raise NotImplementedError

    def remove(self, path: str) -> bool:
        """Drop the path, its conflict included. Returns whether there was something."""
        raise NotImplementedError

    def replace(self, entries: Iterable[StageEntry], *, tree: str | None = None) -> None:
        """Drop everything, take these (conflict 0) and the tree they are known to equal."""
        raise NotImplementedError

    def conflicts(self) -> dict[str, dict[int, StageEntry]]:
        """Path to its versions by number, ordered by path; empty where no merge is unfinished."""
        raise NotImplementedError

    def items(self) -> dict[str, tuple[int, str]]:
        """Path to (mode, id) of conflict 0: TreeItem's fields, ordered by path, for mvc.objects.trees."""
        raise NotImplementedError
