"""The stage: what the next commit will hold, and how its files looked when they were last seen.

The file is specified in docs/format/stage.md; mvc.repo.columns reads and writes its bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mvc.fsio import DurableFile
from mvc.objects.model import TreeItem
from mvc.repo.columns import EMPTY, STAT, UNKNOWN, Builder, Columns, StageEntry, Stat, parse
from mvc.repo.pathbytes import in_order

__all__ = ["Stage", "StageEntry", "Stat", "is_fresh", "stat_of"]

_LARGE = 4 * 1024 * 1024
"""Bytes of a file that takes longer to read than it takes to wait for the file system's clock."""
_TICK_NS = 20_000_000
"""File times advance in steps of at most 10 ms (the kernel's tick); twice that is safe."""
_COARSE_NS = 2_000_000_000
"""Steps of file systems that keep whole seconds (FAT: two)."""
_SECOND_NS = 1_000_000_000
_INT64 = 1 << 63


class Stage:
    """The entries by path, in memory. Not thread-safe. Change it under `mvc.repo.locking.edit_stage`."""

    def __init__(self, base: Columns = EMPTY) -> None:
        self._base = base
        self._tree = base.tree
        self._entries: dict[str, int | StageEntry] | None = None
        """Path to row of the base, or to what was put; None while nothing was asked for by path."""
        self._seen: dict[str, Stat] = {}
        """What `refresh` gave for rows of the base."""
        self._conflicts: dict[str, dict[int, StageEntry]] | None = None
        self._order: list[str] | None = None
        self._folders: set[str] | None = None
        """All folders that hold an entry, and perhaps some that did."""
        self._changed = False
        self._rows_changed = False
        """Does it differ from the base in more than the tree?"""
        self._built: Columns | None = base
        """The stage as columns; None since a change."""

    # -- file

    @classmethod
    def load(cls, path: Path) -> Stage:
        """Read the file `path`; an empty Stage if there is none. Raises IntegrityError, UnsupportedFormat."""
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
        except FileNotFoundError:
            return cls()
        return cls(parse(data))

    def save(self, path: Path) -> None:
        """Replace the file durably. Stats too new to be trusted are written as unknown (docs/format/stage.md)."""
        self._outwait_large()
        with DurableFile(path.parent) as out:
            written_at = os.fstat(out.fileno()).st_mtime_ns
            out.write(self.columns(written_at).dump())
            out.commit(path)
        self._changed = False

    def _outwait_large(self) -> None:
        """Let a tick pass if a large file was placed just now: else its stat proves nothing, and it is read again."""
        rows = (
            [value for value in self._by_path().values() if isinstance(value, StageEntry)] if self._rows_changed else []
        )
        placed = [row.stat for row in rows if row.stat is not None and row.size >= _LARGE]
        newest = max((max(stat.mtime_ns, stat.ctime_ns) for stat in placed), default=0)
        left = newest + 2 * _TICK_NS - time.time_ns()  # twice: the stage's own time lags behind by up to a step
        if 0 < left <= 2 * _TICK_NS:  # more: another machine's clock, which waiting does not mend
            time.sleep(left / 1e9)

    @property
    def base(self) -> Columns:
        """As it was loaded."""
        return self._base

    @property
    def changed(self) -> bool:
        """Does it differ from what was loaded or saved last?"""
        return self._changed

    def columns(self, written_at: int | None = None) -> Columns:
        """The stage as columns; with `written_at` (ns), new stats too fresh at that time become unknown."""
        if self._built is not None and (written_at is None or self._built is self._base):
            return self._built
        if not self._rows_changed:
            built = self._base.with_tree(self._tree)
            if written_at is None:
                self._built = built
            return built
        entries = self._by_path()
        builder = Builder(self._base)
        for path in self.paths():
            value = entries[path]
            if isinstance(value, int):
                seen = self._seen.get(path)
                builder.copy(path, value, None if seen is None else _pack(seen, seen.size, written_at))
            else:
                builder.add(value, _pack(value.stat, value.size, written_at))
        versions = (versions[n] for versions in self.conflicts().values() for n in sorted(versions))
        built = builder.finish(self._tree, versions)
        if written_at is None:
            self._built = built
        return built

    # -- reading

    @property
    def tree(self) -> str | None:
        """A tree that the entries equal but for `.mvcmeta`, if one is known. Set it after commit, switch, reset;
        every change of a path's mode or id clears it. Lets a clean status skip comparing with HEAD."""
        return self._tree

    @tree.setter
    def tree(self, tree: str | None) -> None:
        if tree != self._tree:
            self._tree = tree
            self._changed = True
            if self._built is not None:
                self._built = self._built.with_tree(tree)

    def forget_tree(self) -> None:
        """The tree is not there any more: say that none is known. No change worth saving."""
        self._tree = None

    def __len__(self) -> int:
        """Paths with an entry of conflict 0."""
        return self._base.rows if self._entries is None else len(self._entries)

    def __contains__(self, path: object) -> bool:
        return path in self._by_path()

    def __iter__(self) -> Iterator[StageEntry]:
        """Entries of conflict 0, ordered by the bytes of their path."""
        return self.columns().entries()

    def get(self, path: str) -> StageEntry | None:
        """The entry of conflict 0."""
        value = self._by_path().get(path)
        if not isinstance(value, int):
            return value
        entry = self._base.entry(value)
        seen = self._seen.get(path)
        return entry if seen is None else entry._replace(stat=seen)

    def paths(self) -> list[str]:
        """All paths with an entry of conflict 0, ordered by their bytes. The list is shared: do not change it."""
        if self._order is None:
            self._order = self._base.paths() if self._entries is None else in_order(self._entries)
        return self._order

    def under(self, folder: str) -> list[str]:
        """The paths below a folder ("" is the root), ordered."""
        if not folder:
            return list(self.paths())
        if folder not in self.folders():
            return []
        prefix = folder + "/"
        return [path for path in self.paths() if path.startswith(prefix)]

    def folders(self) -> set[str]:
        """All folders that hold an entry below them, without the root; perhaps some that lost their last one."""
        if self._folders is None:
            self._folders = set()
            for folder in {path.rpartition("/")[0] for path in self.paths()}:
                while folder and folder not in self._folders:
                    self._folders.add(folder)
                    folder = folder.rpartition("/")[0]
        return self._folders

    def conflicts(self) -> dict[str, dict[int, StageEntry]]:
        """Path to its versions by number, ordered by path; empty where no merge is unfinished."""
        if self._conflicts is None:
            self._conflicts = {}
            for entry in self._base.conflicts():
                self._conflicts.setdefault(entry.path, {})[entry.conflict] = entry
        return self._conflicts

    def items(self) -> dict[str, TreeItem]:
        """Path to (mode, id) of conflict 0, ordered by path, for mvc.objects.trees."""
        columns = self.columns()
        return dict(zip(columns.paths(), map(TreeItem, columns.modes(), columns.ids()), strict=True))

    def sizes(self, path: str) -> tuple[int, int]:
        """(bytes of the file, bytes that it took to store) of a path with an entry of conflict 0."""
        value = self._by_path()[path]
        if isinstance(value, int):
            return self._base.sizes(value)
        return value.size, value.size if value.blake3 is None else value.stored

    def same_items(self, other: Stage) -> bool:
        """Would both make the same commit?"""
        return self.columns().same_items(other.columns())

    # -- changing

    def put(self, entry: StageEntry) -> None:
        """Add or replace. It also ends a conflict of that path, and removes entries which the path makes
        impossible (a file where a folder was, and the other way round)."""
        path = entry.path
        entries = self._by_path()
        had = entries.get(path)
        ended = self._ended_conflict(path)
        if had is None:
            self._make_room(path)
            self._order = None
            self._tree = None
        elif self._tree is not None:
            before = self._base.item(had) if isinstance(had, int) else (had.mode, had.id)
            if ended or before != (entry.mode, entry.id):
                self._tree = None
        self._seen.pop(path, None)
        entries[path] = entry if entry.conflict == 0 else entry._replace(conflict=0)
        self._touch()

    def put_conflict(self, path: str, versions: Iterable[StageEntry]) -> None:
        """The path is in conflict: up to three versions (entry.conflict 1, 2, 3) stand for the one of conflict 0."""
        self.remove(path)
        self.conflicts()[path] = {entry.conflict: entry._replace(path=path) for entry in versions}
        self._conflicts = {key: self.conflicts()[key] for key in in_order(self.conflicts())}
        self._tree = None
        self._touch()

    def refresh(self, path: str, stat: Stat) -> None:
        """The worktree's file was found equal to the entry: remember how it looks now. Keeps `tree`."""
        entries = self._by_path()
        value = entries.get(path)
        if isinstance(value, int):
            self._seen[path] = stat
        elif value is not None:
            entries[path] = value._replace(stat=stat)
        if value is not None:
            self._touch()

    def remove(self, path: str) -> bool:
        """Drop the path, its conflict included. Returns whether there was something."""
        entry = self._by_path().pop(path, None)
        ended = self._ended_conflict(path)
        if entry is None and not ended:
            return False
        if entry is not None:
            self._seen.pop(path, None)
            self._order = None
        self._tree = None
        self._touch()
        return True

    def replace(self, entries: Iterable[StageEntry], *, tree: str | None = None) -> None:
        """Drop everything, conflicts too; take these (conflict 0) and the tree they are known to equal."""
        self._entries = {entry.path: entry for entry in entries}
        self._base = EMPTY
        self._tree = tree
        self._seen = {}
        self._conflicts = {}
        self._order = self._folders = None
        self._touch()

    def _touch(self) -> None:
        self._changed = self._rows_changed = True
        self._built = None

    def _ended_conflict(self, path: str) -> bool:
        conflicts = self.conflicts()
        return bool(conflicts) and conflicts.pop(path, None) is not None

    def _by_path(self) -> dict[str, int | StageEntry]:
        if self._entries is None:
            self._entries = dict(zip(self._base.paths(), range(self._base.rows), strict=True))
        return self._entries

    def _make_room(self, path: str) -> None:
        """Drop entries below `path` as a folder, and those that stand where it needs a folder.

        No name is an entry and in `folders` at once, so a folder that is known there needs no look above it.
        """
        folders = self.folders()
        if path in folders:
            for below in self.under(path):
                self.remove(below)
            folders.difference_update([name for name in folders if name == path or name.startswith(path + "/")])
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            self.remove(folder)
            folders.add(folder)
            folder = folder.rpartition("/")[0]


def stat_of(result: os.stat_result) -> Stat:
    """What the stage keeps of a file's stat."""
    mtime, ctime, inode = result.st_mtime_ns, result.st_ctime_ns, result.st_ino
    if not (0 <= mtime < _INT64 and 0 <= ctime < _INT64 and 0 <= inode < _INT64):
        mtime, ctime, inode = _signed(mtime), _signed(ctime), inode & (2 * _INT64 - 1)
    return Stat(mtime, ctime, inode, result.st_size)


def is_fresh(stat: Stat, now_ns: int) -> bool:
    """Could the file change after `now_ns` and look the same? Then its stat proves nothing: keep none.

    A change within one step of the file system's clock leaves the times as they are. Whoever read
    a file decides by the time of reading; a stat taken of a file just placed is decided at `save`.
    """
    newest = max(stat.mtime_ns, stat.ctime_ns)
    coarse = stat.mtime_ns % _SECOND_NS == 0 and stat.ctime_ns % _SECOND_NS == 0
    return newest + (_COARSE_NS if coarse else _TICK_NS) >= now_ns


def _pack(stat: Stat | None, size: int, written_at: int | None) -> bytes:
    if stat is None or stat.size != size or (written_at is not None and is_fresh(stat, written_at)):
        return STAT.pack(*UNKNOWN, size)
    return STAT.pack(*stat)


def _signed(value: int) -> int:
    """A time that fits 64 bits, whatever the file system says."""
    return (value + _INT64) % (2 * _INT64) - _INT64
