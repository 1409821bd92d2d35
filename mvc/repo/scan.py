"""The worktree held against the stage.

Two passes, as Git's. First every staged path is stat'ed in the stage's order; only where that
differs is the content looked at. Then the folders are listed for what is not staged.
"""

from __future__ import annotations

import stat as modes
import time
from collections.abc import Callable, Mapping
from os import stat_result
from types import MappingProxyType
from typing import NamedTuple

from mvc.errors import UnsafePath
from mvc.lazy import load
from mvc.objects.model import EXEC, LINK
from mvc.progress import SILENT, Progress
from mvc.repo.folders import Folders
from mvc.repo.pathspec import EVERYTHING, Pathspec
from mvc.repo.repository import Repository
from mvc.repo.selection import selection_of
from mvc.repo.stage import Stage, StageEntry, Stat, is_fresh, stat_of
from mvc.repo.statpass import differing
from mvc.repo.unversioned import Found, Untracked, Walk

__all__ = ["Scan", "Untracked", "is_equal", "scan"]

CONTENT = {
    "file": "mvc.repo.content:holds",
    "link": "mvc.repo.content:link_holds",
    "content": "mvc.repo.content:Content",
}
"""Hashing, loaded where a stat differs: a clean status does without."""


_NOTHING: Mapping[str, Stat] = MappingProxyType({})


class Scan(NamedTuple):
    """What differs from the stage, each ordered by path. All empty: the worktree is clean."""

    modified: tuple[str, ...] = ()
    """Content or executable bit differ (with check_content=False: may differ)."""
    deleted: tuple[str, ...] = ()
    typechanged: tuple[str, ...] = ()
    """A file became a link, or the other way round."""
    untracked: tuple[str, ...] = ()
    """Not staged, not ignored, not Git's; a folder as `folder/` (see Untracked)."""
    ignored: tuple[str, ...] = ()
    """Only with list_ignored, and not with Untracked.NO; folders as `folder/`."""
    odd: tuple[str, ...] = ()
    """Neither file, folder nor link (socket, pipe, device): cannot be versioned."""
    refreshed: Mapping[str, Stat] = _NOTHING
    """Equal though the stage's stat is old: pass each to Stage.refresh."""

    @property
    def clean(self) -> bool:
        """Is every staged file as it was staged?"""
        return not (self.modified or self.deleted or self.typechanged)


def scan(
    repo: Repository,
    stage: Stage,
    pathspec: Pathspec = EVERYTHING,
    *,
    untracked: Untracked = Untracked.NORMAL,
    list_ignored: bool = False,
    check_content: bool = True,
    progress: Progress = SILENT,
    clock: Callable[[], int] = time.time_ns,
) -> Scan:
    """Compare each file's stat with the stage's; where it differs, its content, by hash.

    Links to folders are never followed. What an outer Git project tracks is left out. With
    `check_content=False` (add: it reads the files anyway) nothing is hashed. `clock` gives
    nanoseconds since 1970, for stats that are too new to be kept.
    """
    with Folders(repo.require_worktree()) as folders:
        rows = differing(folders, stage, pathspec)
        differ = _Differ(repo, folders, check_content, progress, clock)
        for path, found in rows:
            entry = stage.get(path)
            if entry is not None:
                differ.look(entry, found)
        listed = Found()
        if untracked is not Untracked.NO:
            become_folders = {path for path, found in rows if found is not None and modes.S_ISDIR(found.st_mode)}
            listed = Walk(repo, folders, stage, become_folders, pathspec, untracked, list_ignored).run()
    return Scan(
        modified=tuple(differ.modified),
        deleted=tuple(differ.deleted),
        typechanged=tuple(differ.typechanged),
        untracked=listed.untracked,
        ignored=listed.ignored,
        odd=listed.odd,
        refreshed=differ.refreshed,
    )


def is_equal(
    repo: Repository,
    path: str,
    mode: int,
    blob_id: str,
    size: int,
    blake3: bytes | None,
    *,
    folders: Folders | None = None,
    progress: Progress = SILENT,
) -> bool:
    """Does the worktree hold just this at `path` (kind, executable bit, content)? Reads the file; False if absent.

    `folders`, where the caller has them open (`Placer.folders`), spares opening them again.
    """
    if folders is None:
        with Folders(repo.require_worktree()) as opened:
            return is_equal(repo, path, mode, blob_id, size, blake3, folders=opened, progress=progress)
    entry = StageEntry(path, mode, blob_id, size, blake3)
    found = folders.lstat(path)
    if found is None or _kind_differs(entry, found):
        return False
    if repo.settings.file_mode and _is_executable(entry) != _may_execute(entry, found):
        return False
    return _content_equal(folders, entry, progress)


class _Differ:
    """Sorts the paths whose stat differs by what that means."""

    def __init__(
        self, repo: Repository, folders: Folders, check_content: bool, progress: Progress, clock: Callable[[], int]
    ) -> None:
        self._folders = folders
        self._selection = selection_of(repo.config)
        self._file_mode = repo.settings.file_mode
        self._check_content = check_content
        self._progress = progress
        self._clock = clock
        self.modified: list[str] = []
        self.deleted: list[str] = []
        self.typechanged: list[str] = []
        self.refreshed: dict[str, Stat] = {}

    def look(self, entry: StageEntry, found: stat_result | None) -> None:
        """`found` is what stands at the entry's path now."""
        path = entry.path
        if found is None or modes.S_ISDIR(found.st_mode):
            # A file in chunks that nobody wants here is not missing (mvc.repo.selection).
            if found is not None or entry.blake3 is None or self._selection.wants(path):
                self.deleted.append(path)
        elif _kind_differs(entry, found):
            self.typechanged.append(path)
        elif not self._check_content or self._surely_differs(entry, found):
            self.modified.append(path)
        else:
            self._compare(entry, found)

    def _surely_differs(self, entry: StageEntry, found: stat_result) -> bool:
        """Can it be told without reading?"""
        if self._file_mode and _is_executable(entry) != _may_execute(entry, found):
            return True
        return entry.mode != LINK and entry.size != found.st_size

    def _compare(self, entry: StageEntry, found: stat_result) -> None:
        now = self._clock()
        if not _content_equal(self._folders, entry, self._progress):
            self.modified.append(entry.path)
        else:
            stat = stat_of(found)
            if not is_fresh(stat, now) and stat != entry.stat:
                self.refreshed[entry.path] = stat


def _content_equal(folders: Folders, entry: StageEntry, progress: Progress) -> bool:
    wanted = load(CONTENT["content"])(entry.id, entry.size, entry.blake3)
    try:
        if entry.mode == LINK:
            return bool(load(CONTENT["link"])(folders.read_link(entry.path), wanted))
        fd = folders.open_file(entry.path)
    except (FileNotFoundError, NotADirectoryError, UnsafePath):
        return False
    with open(fd, "rb", buffering=0):
        return bool(load(CONTENT["file"])(fd, wanted, progress))


def _kind_differs(entry: StageEntry, found: stat_result) -> bool:
    wanted = modes.S_IFLNK if entry.mode == LINK else modes.S_IFREG
    return modes.S_IFMT(found.st_mode) != wanted


def _is_executable(entry: StageEntry) -> bool:
    return entry.mode == EXEC


def _may_execute(entry: StageEntry, found: stat_result) -> bool:
    return entry.mode != LINK and bool(found.st_mode & modes.S_IXUSR)
