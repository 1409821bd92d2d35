"""Making a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvc.errors import Refused
from mvc.fsio import create_exclusive, make_dirs
from mvc.objects.config import Config
from mvc.objects.gitdir import init_git_dir
from mvc.objects.options import resolve
from mvc.repo.repository import MVC_DIR, Repository

_FOLDERS = ("chunks/packs", "chunks/idx", "locks", "intents", "tmp")
_SHIELDS = {".gitignore": b"*\n", ".git": b"gitdir: .\n"}
"""For a Git project around: its `add` and `status` leave `.mvc` alone, and its `clean -fdx` takes it for a
repository of its own, which it does not delete."""


def init(
    path: Path, *, initial_branch: str | None = None, bare: bool = False, global_configs: Sequence[Path] = ()
) -> tuple[Repository, bool]:
    """Make `path/.mvc` (bare: `path` itself), or complete one that stands: nothing is lost.

    Returns it and whether it is new. What makes it a repository (HEAD) is written last. The first branch is
    `initial_branch`, else `init.defaultBranch` of the config, else `main`.
    """
    git_dir = path if bare else path / MVC_DIR
    if git_dir.is_file():
        return Repository.open(path, global_configs=global_configs), False
    if git_dir.exists() and not git_dir.is_dir():
        raise Refused(f"{git_dir} is in the way")
    branch = initial_branch or resolve(Config(None, globals=tuple(global_configs))).default_branch
    for name in _FOLDERS:
        make_dirs(git_dir / name)
    if not bare:
        for name, data in _SHIELDS.items():
            if not (git_dir / name).exists():
                create_exclusive(git_dir / name, data)
    is_new = init_git_dir(git_dir, branch=branch)
    return Repository.open(path, global_configs=global_configs), is_new
