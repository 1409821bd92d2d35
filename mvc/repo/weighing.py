"""What files that are to be written hold, and whether the disk has room for them: asked before a byte is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mvc.errors import NoSpace
from mvc.objects.manifest import identity, is_manifest
from mvc.objects.model import TreeItem, is_link
from mvc.repo.filesystem import is_network
from mvc.repo.repository import Repository

AT_ONCE = 3
"""So many chunked files are written at a time, where the disk has room: the old ones go as the new ones are whole."""
_SPARE = 1024 * 1024
"""Room that is left on the disk for the folders' and the stage's own growth."""
_KEPT = 32 * 1024 * 1024
"""Bytes of small files that are kept from when they are weighed to when they are written."""


class Content(NamedTuple):
    """What a file is to hold: `blake3` if it is chunked; `data` if it is a small one that was kept."""

    size: int
    blake3: bytes | None
    data: bytes | None


class Room(NamedTuple):
    """`at_once`: how many chunked files may be written at a time. `roomy`: nobody need wait for the old files'
    space, for the disk has room for all the new ones and as much again."""

    at_once: int
    roomy: bool


def weigh(repo: Repository, blobs: Mapping[str, TreeItem]) -> dict[str, Content]:
    """What the files are to hold, in the same order. Raises MissingObject, IntegrityError."""
    contents: dict[str, Content] = {}
    kept = 0
    for path, item in blobs.items():
        blob = repo.objects.blob(item.id)
        if not is_link(item.mode) and is_manifest(blob):
            size, digest = identity(blob)
            contents[path] = Content(size, digest, None)
        else:
            kept += len(blob)
            contents[path] = Content(len(blob), None, blob if kept <= _KEPT else None)
    return contents


def room_for(worktree: Path, contents: Mapping[str, Content], removed: Iterable[str]) -> Room:
    """Whether they fit. `removed` are files that go first; then come the small ones, then the chunked ones in
    order, each of which takes its room before the one it replaces gives up its own. Raises NoSpace."""
    total = sum(content.size for content in contents.values())
    free = shutil.disk_usage(worktree).free
    chunked = {path: content.size for path, content in contents.items() if content.blake3 is not None}
    small = total - sum(chunked.values())
    # On NFS a file that is removed while it is open stays under another name, in a folder that may have to go.
    roomy = free > 2 * total + _SPARE and not is_network(worktree)
    if roomy or not chunked:
        return Room(AT_ONCE, roomy)
    needed = 0
    free += sum(_freed(worktree / path) for path in removed)
    steps = [(size, _freed(worktree / path)) for path, size in chunked.items()]
    for at_once in (AT_ONCE, 1):
        needed = small + _peak(steps, at_once) + _SPARE
        if needed <= free:
            return Room(at_once, False)
    raise NoSpace(
        f"{needed:,} bytes are needed in '{worktree}', {free:,} are free",
        hint="free some space, or check out fewer paths",
    )


def _peak(steps: list[tuple[int, int]], at_once: int) -> int:
    """The most bytes that are taken up at any time, if of these files, each with the bytes that it takes and those
    that it frees when it is whole, that many are open at a time."""
    taken = peak = 0
    for number, (size, _) in enumerate(steps):
        taken += size
        peak = max(peak, taken)
        if number + 1 >= at_once:
            taken -= steps[number + 1 - at_once][1]
    return peak


def _freed(path: Path) -> int:
    """The bytes that come free when a file goes; 0 where there is none, or where it has another name."""
    with suppress(OSError, AttributeError):  # no such file; no st_blocks on Windows
        found = os.lstat(path)
        return found.st_blocks * 512 if found.st_nlink == 1 else 0
    return 0
