"""The first pass of a scan: which staged paths do not look as they did.

It runs over every staged file at each `status`, so it is written for speed: one stat a file, in
the stage's order, and no object kept for a file that did not change. `_statpass.c`, where it was
compiled, does the loop without the GIL and in several threads; the loop here says the same.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread

from mvc.repo.columns import PATHS, STATS, Columns
from mvc.repo.folders import DescriptorFolder, Folders
from mvc.repo.pathbytes import in_order, to_system
from mvc.repo.pathspec import Pathspec
from mvc.repo.stage import Stage, stat_of

try:
    from mvc.repo import _statpass as _native
except ImportError:  # not compiled here
    _native = None  # type: ignore[assignment]

Row = tuple[str, tuple[int, int, int, int]]
_ABSENT = (FileNotFoundError, NotADirectoryError)
_MOST_THREADS = 8
_ROWS_A_THREAD = 4096


def differing(
    folders: Folders, stage: Stage, pathspec: Pathspec, *, native: bool = True
) -> list[tuple[str, os.stat_result | None]]:
    """Staged paths whose stat is not the stage's (or not known), in order, with what stands there now.

    None: nothing does, or a link or file stands on the way. `native=False` keeps to the loop in Python.
    """
    columns = stage.columns()
    gone = _not_folders(folders, stage)
    found = _native_pass(folders, columns) if native and pathspec.everything else None
    if found is None:
        rows: Iterable[Row] = zip(columns.paths(), columns.stats(), strict=True)
        if not pathspec.everything:
            rows = (row for row in rows if pathspec.matches(row[0]))
        found = _python_pass(folders, rows)
    if not gone:
        return [(path, folders.lstat(path)) for path in found]
    below = tuple(folder + "/" for folder in gone)
    hidden = {path for path in pathspec.select(columns.paths()) if path.startswith(below)}
    paths = in_order(hidden.union(found))
    return [(path, None if path in hidden else folders.lstat(path)) for path in paths]


def _not_folders(folders: Folders, stage: Stage) -> list[str]:
    """Folders of the stage that are none in the worktree. A stat of a file in one would go through a link."""
    found: list[str] = []
    for path in sorted(stage.folders()):
        if found and path.startswith(found[-1] + "/"):
            continue
        there = folders.lstat(path)
        if there is None or not modes.S_ISDIR(there.st_mode):
            found.append(path)
    return found


def _python_pass(folders: Folders, rows: Iterable[Row]) -> list[str]:
    """The paths of the rows that do not look as they did, or whose stat is not known (no file has a ctime of 0)."""
    fd = _descriptor(folders)
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


def _native_pass(folders: Folders, columns: Columns) -> list[str] | None:
    """The same by the compiled loop; None where there is none, or something went wrong that the other tells better."""
    fd = _descriptor(folders)
    if _native is None or fd is None or not columns.rows:
        return None
    paths, stats = columns.column(PATHS), columns.column(STATS)
    parts = _parts(paths, columns.rows)
    results: list[bytes | None] = [None] * len(parts)

    def run(number: int) -> None:
        with suppress(OSError):
            results[number] = _native.differing(fd, paths, stats, *parts[number])

    threads = [Thread(target=run, args=(number,)) for number in range(1, len(parts))]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    found: list[str] = []
    for result in results:
        if result is None:
            return None
        found.extend(columns.paths()[row] for row in memoryview(result).cast("I"))
    return found


def _parts(paths: bytes, rows: int) -> list[tuple[int, int, int]]:
    """(start, stop, first row) of runs of paths of about the same length, one a thread."""
    count = min(_MOST_THREADS, 2 * (os.cpu_count() or 1), 1 + rows // _ROWS_A_THREAD)
    parts: list[tuple[int, int, int]] = []
    start = row = 0
    for number in range(1, count + 1):
        stop = len(paths) if number == count else paths.find(b"\0", max(start, len(paths) * number // count))
        if stop < 0:
            stop = len(paths)
        parts.append((start, stop, row))
        row += paths.count(b"\0", start, stop) + 1
        start = stop + 1
        if start > len(paths):
            break
    return parts


def _descriptor(folders: Folders) -> int | None:
    root = folders.get("")
    return root.fd if isinstance(root, DescriptorFolder) else None
