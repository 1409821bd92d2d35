"""Git's configuration files: read, and edited without touching what stands around a change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ConfigFile:
    """One file in Git's config syntax. Keys are `section.key` or `section.sub.section.key`; section and key
    do not depend on case, the subsection does."""

    def __init__(self, path: Path) -> None:
        """Reads `path`; a file that does not exist is empty. Raises ParseError with the line's number."""
        raise NotImplementedError

    def get(self, key: str) -> str | None:
        """The last value of a key, or None."""
        raise NotImplementedError

    def get_all(self, key: str) -> list[str]:
        """All values of a key, in the order of the file."""
        raise NotImplementedError

    def items(self) -> list[tuple[str, str]]:
        """All (key, value) in the order of the file, as `git config --list`."""
        raise NotImplementedError

    def set(self, key: str, value: str) -> None:
        """Replace the (last) value of a key or add it; in memory until `save`."""
        raise NotImplementedError

    def add(self, key: str, value: str) -> None:
        """Add a further value."""
        raise NotImplementedError

    def unset(self, key: str) -> bool:
        """Remove all values of a key (and a section that gets empty); False if there was none."""
        raise NotImplementedError

    def remove_section(self, section: str) -> bool:
        """Remove a section (`remote.origin`)."""
        raise NotImplementedError

    def save(self) -> None:
        """Write the file in one step, under Git's `<path>.lock`."""
        raise NotImplementedError


class Config:
    """Several files, the later ones win: Git's global, mvc's global, the repository's."""

    def __init__(self, local: Path | None, *, globals: Sequence[Path] = ()) -> None:
        """`globals` in rising priority, such as (~/.gitconfig, ~/.config/mvc/config). From Git's own files
        (all but the last) only `user.*`, `init.defaultBranch` and `core.editor`/`core.pager` are taken."""
        raise NotImplementedError

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of the file with the highest priority that has the key."""
        raise NotImplementedError

    def get_bool(self, key: str, default: bool) -> bool:
        """A boolean as Git spells it (true/yes/on/1, an empty value is false). Raises UsageError for others."""
        raise NotImplementedError

    def get_int(self, key: str, default: int) -> int:
        """An integer, with k, m, g as suffix. Raises UsageError for others."""
        raise NotImplementedError

    def get_all(self, key: str) -> list[str]:
        """All values, low priority first."""
        raise NotImplementedError

    def items(self) -> list[tuple[str, str]]:
        """All pairs, low priority first."""
        raise NotImplementedError
