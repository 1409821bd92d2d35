"""The first pass of a scan: which staged paths do not look as they did.

It runs over every staged file at each `status`, so it is written for speed: one stat a file, in
the stage's order, and no object kept for a file that did not change.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable

from mvc.repo.folders import DescriptorFolder, Folders
from mvc.repo.pathbytes import in_order, to_system
from mvc.repo.pathspec import Pathspec
from mvc.repo.stage import Stage, stat_of

Row = tuple[str, tuple[int, int, int, int]]
_ABSENT = (FileNotFoundError, NotADirectoryError)


def differing(folders: Folders, stage: Stage, pathspec: Pathspec) -> list[tuple[str, os.stat_result | None]]:
    """Staged paths whose stat is not the stage's (or not known), in order, with what stands there now.

    None: nothing does, or a link or file stands on the way.
    """
    columns = stage.columns()
    rows: Iterable[Row] = zip(columns.paths(), columns.stats(), strict=True)
    if not pathspec.everything:
        rows = [row for row in rows if pathspec.matches(row[0])]
    gone = _not_folders(folders, stage)
    if gone:
        rows = list(rows)
        hidden = {path for path, _ in rows if any(path.startswith(folder + "/") for folder in gone)}
    else:
        hidden = set()
    paths = _stat_all(folders, rows)
    return [(path, None if path in hidden else folders.lstat(path)) for path in _merged(paths, hidden)]


def _merged(paths: list[str], hidden: set[str]) -> list[str]:
    """Both, in the order of the stage: `paths` may hold some that are hidden as well."""
    return paths if not hidden else in_order(hidden.union(paths))


def _not_folders(folders: Folders, stage: Stage) -> list[str]:
    """Folders of the stage that are none in the worktree. A stat goes through links, so this is looked at first."""
    found: list[str] = []
    for path in sorted(stage.folders()):
        if found and path.startswith(found[-1] + "/"):
            continue
        there = folders.lstat(path)
        if there is None or not modes.S_ISDIR(there.st_mode):
            found.append(path)
    return found


def _stat_all(folders: Folders, rows: Iterable[Row]) -> list[str]:
    """The paths of the rows that do not look as they did, or whose stat is not known (no file has a ctime of 0).

    Every folder on the way is one, as `_not_folders` found just before.
    """
    root = folders.get("")
    fd = root.fd if isinstance(root, DescriptorFolder) else None
    prefix = "" if fd is not None else f"{folders.top}{os.sep}"
    lstat = os.lstat
    found: list[str] = []
    for path, known in rows:
        try:
            there = lstat(to_system(prefix + path), dir_fd=fd)
        except _ABSENT:
            found.append(path)
            continue
        if (there.st_mtime_ns, there.st_ctime_ns, there.st_ino, there.st_size) != known and stat_of(there) != known:
            found.append(path)
    return found
