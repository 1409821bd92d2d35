"""The guard of tree entries: names that must never reach a worktree, on any system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mvc.objects.model import TreeEntry


def check_name(name: str) -> None:
    """One component of a path. Raises UnsafePath (see `check_path`)."""
    raise NotImplementedError


def check_path(path: str) -> None:
    """A whole path, relative to the root of a tree, "/"-separated. Raises UnsafePath.

    Refused: empty, absolute, `.` or `..` components, NUL, backslash, a component that some file system folds to
    `.mvc` or `.git` (case, Unicode form, ignorable code points, NTFS short names and streams, trailing dots and
    spaces), and `.mvcmeta` (folded likewise).
    """
    raise NotImplementedError


def check_entries(entries: Iterable[TreeEntry], *, root: bool) -> None:
    """The entries of one tree object. `.mvcmeta` is allowed at the root if it is a folder. Refuses odd modes,
    submodules, names out of order and duplicates too. Raises UnsafePath."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class NameWarning:
    """A path that is stored as it is, but will not come back on every system, and why."""

    path: str
    reason: str


def warnings(paths: Iterable[str]) -> list[NameWarning]:
    """Paths that clash by case or Unicode form, and names that Windows reserves or cannot hold."""
    raise NotImplementedError
