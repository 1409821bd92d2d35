"""The skeleton of a repository's Git side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mvc import fsio
from mvc.objects import refnames
from mvc.objects.config import ConfigFile
from mvc.settings import FORMAT

_FOLDERS = ("objects/pack", "objects/info", "refs/heads", "refs/tags", "tmp")

_ENTRIES = (
    ("core.repositoryFormatVersion", "0"),
    ("core.bare", "true"),
    # A bare repository keeps no reflogs unless told to: real git shall log its moves here too.
    ("core.logAllRefUpdates", "true"),
    # Git's own housekeeping must never run by itself: it knows nothing of the stage.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("mvc.format", str(FORMAT)),
)


def init_git_dir(path: Path, *, branch: str = "main", entries: Mapping[str, str] | None = None) -> bool:
    """Make `path` (the `.mvc` folder) a bare Git repository with mvc's format entries; True if it is new.

    `entries` are further config entries (`core.ignoreCase`, ...). Safe to repeat: what stands is left,
    what is lacking is made. HEAD, by which a repository is recognised, comes last: a killed init
    leaves something that can be initialised again. Raises UsageError for a bad branch name.
    """
    head = refnames.branch_ref(branch)
    for folder in _FOLDERS:
        fsio.make_dirs(path / folder)
    config = ConfigFile(path / "config")
    lacking = [(key, value) for key, value in (*_ENTRIES, *(entries or {}).items()) if config.get(key) is None]
    for key, value in lacking:
        config.set(key, value)
    if lacking:
        config.save()
    if (path / "HEAD").exists():
        return False
    fsio.write_atomic(path / "HEAD", f"ref: {head}\n".encode("utf-8", "surrogateescape"), tmp_dir=path / "tmp")
    return True


def is_git_dir(path: Path) -> bool:
    """Whether `path` looks like a repository: HEAD, objects/, refs/."""
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()
