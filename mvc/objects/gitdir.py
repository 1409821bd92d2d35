"""The skeleton of a repository's Git side."""

from __future__ import annotations

from pathlib import Path


def init_git_dir(path: Path, *, branch: str = "main") -> bool:
    """Make `path` (the `.mvc` folder) a bare Git repository with mvc's format entries; True if it is new.

    Safe to repeat: what stands is left. Written in an order that makes HEAD, by which a repository
    is recognised, the last: a killed init leaves something that can be initialised again.
    """
    raise NotImplementedError


def is_git_dir(path: Path) -> bool:
    """Whether `path` looks like a repository: HEAD, objects/, refs/."""
    raise NotImplementedError
