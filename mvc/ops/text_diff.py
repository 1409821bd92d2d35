"""What changed in small text files, a config or a model card, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mvc.fsio import RandomFile
from mvc.objects.model import is_file
from mvc.ops.file_versions import FileDiff, Version
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.settings import SMALL_FILE

_MOST_LINES = 2_000
"""A side with more is not compared by lines: the time that takes grows with the square."""
_CONTEXT = 3
NO_NEWLINE = "\\ No newline at end of file"


def text_diffs(repo: Repository, files: Iterable[FileDiff]) -> dict[str, tuple[str, ...]]:
    """Path to its hunks, as a unified diff has them, for files that are plain UTF-8 text on both sides.

    The lines come without line ends, "@@" lines between hunks. What is chunked is left out: models, long texts.
    """
    found: dict[str, tuple[str, ...]] = {}
    for one in files:
        if one.old is None or one.new is None or one.old_path is not None:
            continue
        old, new = _text(repo, one.path, one.old), _text(repo, one.path, one.new)
        if old is not None and new is not None and old != new:
            found[one.path] = hunks(old, new)
    return found


def hunks(old: str, new: str) -> tuple[str, ...]:
    """The hunks of a unified diff; none if a text has too many lines."""
    before, after = _lines(old), _lines(new)
    if max(len(before), len(after)) > _MOST_LINES:
        return ()
    made = list(difflib.unified_diff(before, after, n=_CONTEXT, lineterm=""))[2:]
    return tuple(part for line in made for part in line.split("\n"))


def _lines(text: str) -> list[str]:
    *lines, last = text.split("\n")
    return [*lines, f"{last}\n{NO_NEWLINE}"] if last else lines


def _text(repo: Repository, path: str, version: Version) -> str | None:
    if version.chunked or not is_file(version.mode):
        return None
    data = repo.objects.blob(version.id) if version.id is not None else _of_worktree(repo, path)
    if data is None or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _of_worktree(repo: Repository, path: str) -> bytes | None:
    with Placer(repo.require_worktree()) as placer, RandomFile(path, fd=placer.open_read(path)) as file:
        data = file.read_at(0, SMALL_FILE + 1)
    return data if len(data) <= SMALL_FILE else None
