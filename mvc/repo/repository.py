"""A repository: its folders, settings, objects and refs. (Skeleton: signatures hold, bodies follow.)

    repo = Repository.discover(Path.cwd())
    repo.refs.head(); repo.objects.commit(id); repo.settings; repo.stage_path
    with edit_stage(repo) as stage: ...          mvc.repo.locking
    chunks = open_chunks(repo)                   mvc.repo.chunks: imports numpy and zstandard, so apart
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.objects.config import Config
from mvc.objects.database import Objects
from mvc.objects.refs import Refs
from mvc.settings import Settings

MVC_DIR = ".mvc"


@dataclass(frozen=True, slots=True)
class Repository:
    """Open by `discover`, `open` or mvc.repo.create.init. Cheap: nothing but HEAD and config is read."""

    worktree: Path | None
    """The top folder of the files; None for a bare repository."""
    git_dir: Path
    """HEAD, stage, logs/HEAD and unfinished operations of this worktree: `.mvc`, or `.mvc/worktrees/NAME`."""
    common_dir: Path
    """Objects, refs, config, chunks, locks, intents, tmp, shared by all worktrees: `.mvc`."""
    settings: Settings
    config: Config
    objects: Objects
    refs: Refs

    @classmethod
    def discover(cls, start: Path, *, global_configs: Sequence[Path] = ()) -> Repository:
        """The repository of the folder `start` or the nearest above it; raises NotARepository.

        `global_configs`: files read before the repository's own, lowest precedence first.
        """
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path, *, worktree: Path | None = None, global_configs: Sequence[Path] = ()) -> Repository:
        """The repository whose worktree or `.mvc` folder is exactly `path` (`MVC_DIR`)."""
        raise NotImplementedError

    def require_worktree(self) -> Path:
        """The worktree; raises Refused in a bare repository."""
        raise NotImplementedError

    def locate(self, path: Path) -> str:
        """A file-system path as path inside the worktree ("" is its top); raises UsageError if it lies outside. No link is followed below the top."""
        raise NotImplementedError

    @property
    def stage_path(self) -> Path: ...
    @property
    def chunks_dir(self) -> Path: ...
    @property
    def locks_dir(self) -> Path: ...
    @property
    def intents_dir(self) -> Path: ...
    @property
    def tmp_dir(self) -> Path: ...

    @property
    def git_project(self) -> Path | None:
        """The top folder of the Git worktree that this worktree lies in (or equals); None outside of Git."""
        raise NotImplementedError
