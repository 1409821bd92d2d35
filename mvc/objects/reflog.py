"""Reflogs: one line for each move of a ref, oldest first, as Git writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mvc.objects.model import Signature


@dataclass(frozen=True, slots=True)
class ReflogEntry:
    """A move from `old` to `new` (None: did not exist), by whom and when, and why (`message`: "commit: text")."""

    old: str | None
    new: str | None
    who: Signature
    message: str


def read(path: Path) -> list[ReflogEntry]:
    """All entries of a reflog, the NEWEST FIRST (so that index n is `@{n}`). Empty if there is no file."""
    raise NotImplementedError


def append(path: Path, entry: ReflogEntry) -> None:
    """Add an entry, durably. The caller holds the ref's lock."""
    raise NotImplementedError


def expire(path: Path, keep: Callable[[ReflogEntry], bool], *, dry_run: bool = False) -> int:
    """Drop the entries for which `keep` says no; returns how many. The caller holds the ref's lock."""
    raise NotImplementedError
