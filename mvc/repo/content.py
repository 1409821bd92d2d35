"""Does a worktree file hold what the stage or a tree says? Reads the file; loaded only where a stat differs."""

from __future__ import annotations

import os
from typing import NamedTuple

from mvc.fsio import RandomFile
from mvc.hashing import FileHasher
from mvc.objects.encoding import blob_id
from mvc.progress import SILENT, Progress
from mvc.settings import SMALL_FILE

_BLOCK = 4 * 1024 * 1024


class Content(NamedTuple):
    """The content that a stage entry stands for."""

    id: str
    size: int
    blake3: bytes | None


def holds(fd: int, wanted: Content, progress: Progress = SILENT) -> bool:
    """Does the open file hold just this content? The descriptor stays open."""
    if os.fstat(fd).st_size != wanted.size:
        return False
    file = RandomFile("", fd=fd)
    if wanted.blake3 is None:
        return wanted.size <= SMALL_FILE and blob_id(file.read_at(0, wanted.size + 1)) == wanted.id
    hasher = FileHasher()
    offset = 0
    while block := file.read_at(offset, _BLOCK):
        hasher.update(block)
        offset += len(block)
        progress.advance(len(block))
    return offset == wanted.size and hasher.digest() == wanted.blake3


def link_holds(target: bytes, wanted: Content) -> bool:
    """Does a link's target equal the blob?"""
    return blob_id(target) == wanted.id
