"""Which paths a command means: files, folders, globs. (Skeleton: signatures hold, bodies follow.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Pathspec:
    """As Git's: a path means the file, or all below the folder; `*`, `?`, `[a-z]` also match "/";
    magic: `:/x` from the top, `:!x` (`:^x`) but not, `:(top,exclude,literal,glob,icase)x`."""

    @classmethod
    def parse(cls, specs: Sequence[str], prefix: str = "") -> Pathspec:
        """`specs` as typed in the folder `prefix` of the worktree ("" is the top). None at all means everything.
        Raises UsageError for a path that leads outside, or magic unknown."""
        raise NotImplementedError

    def matches(self, path: str) -> bool:
        """Is the file meant?"""
        raise NotImplementedError

    def may_contain(self, folder: str) -> bool:
        """May something below the folder ("a/b", no slash at the end) be meant? Lets a walk skip it."""
        raise NotImplementedError

    def select(self, paths: Iterable[str]) -> list[str]:
        """Those that are meant, in their order."""
        raise NotImplementedError

    def unmatched(self, paths: Iterable[str]) -> list[str]:
        """The specs, as typed, that mean none of the paths: commands refuse them ("did not match any file")."""
        raise NotImplementedError

    @property
    def everything(self) -> bool:
        """Does it mean all paths?"""
        raise NotImplementedError


EVERYTHING: Pathspec = Pathspec()
