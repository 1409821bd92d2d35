"""The worktree held against the stage. (Skeleton: signatures hold, bodies follow.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mvc.progress import SILENT, Progress
from mvc.repo.pathspec import EVERYTHING, Pathspec
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage, Stat


class Untracked(Enum):
    """Which files that are not staged are listed."""

    NO = "no"
    NORMAL = "normal"
    """A folder with nothing tracked in it is listed as one, `folder/`."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Scan:
    """What differs from the stage, each ordered by path. All empty: the worktree is clean."""

    modified: tuple[str, ...] = ()
    """Content or executable bit differ (with check_content=False: may differ)."""
    deleted: tuple[str, ...] = ()
    typechanged: tuple[str, ...] = ()
    """A file became a link, or the other way round."""
    untracked: tuple[str, ...] = ()
    """Not staged, not ignored, not Git's; a folder as `folder/` (see Untracked)."""
    ignored: tuple[str, ...] = ()
    """Only with list_ignored; folders as `folder/`."""
    refreshed: Mapping[str, Stat] = ...  # type: ignore[assignment]
    """Equal though the stage's stat is old: pass each to Stage.refresh."""
    odd: tuple[str, ...] = ()
    """Neither file, folder nor link (socket, pipe, device): cannot be versioned."""


def scan(
    repo: Repository,
    stage: Stage,
    pathspec: Pathspec = EVERYTHING,
    *,
    untracked: Untracked = Untracked.NORMAL,
    list_ignored: bool = False,
    check_content: bool = True,
    progress: Progress = SILENT,
) -> Scan:
    """Compare each file's stat with the stage's; where it differs, its content, by hash.

    Links to folders are never followed. What an outer Git project tracks is left out. With
    `check_content=False` (add: it reads the files anyway) nothing is hashed.
    """
    raise NotImplementedError


def is_equal(repo: Repository, path: str, mode: int, blob_id: str, size: int, blake3: bytes | None) -> bool:
    """Does the worktree's file at `path` hold just this (kind, executable bit, content)? Reads it; False if absent."""
    raise NotImplementedError
