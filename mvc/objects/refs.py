"""Refs as Git keeps them on disk: HEAD, loose refs, packed-refs, reflogs; changed by compare-and-swap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.objects.model import Signature


@dataclass(frozen=True, slots=True)
class Head:
    """What HEAD stands for: on a branch (`branch` is its full name, `refs/heads/main`), or detached (None).

    `id` is the commit, or None on a branch that has no commit yet.
    """

    branch: str | None
    id: str | None

    @property
    def short(self) -> str | None:
        """The branch's name without `refs/heads/`."""
        return self.branch.removeprefix("refs/heads/") if self.branch else None


@dataclass(frozen=True, slots=True)
class RefChange:
    """A wish to move `ref` from `old` to `new`. None stands for "does not exist"; ANY as `old` for "whatever it is"."""

    ref: str
    old: str | None
    new: str | None


ANY = "*"
"""As `RefChange.old`: do not compare."""


class Refs:
    """The refs that one worktree sees: HEAD, `refs/bisect/`, `refs/worktree/` are its own, all others shared."""

    def __init__(self, git_dir: Path, common_dir: Path) -> None:
        raise NotImplementedError

    def read(self, ref: str) -> str | None:
        """The id that `ref` (a full name, or HEAD, MERGE_HEAD...) points to, through symbolic refs; None if there is none."""
        raise NotImplementedError

    def symbolic(self, ref: str) -> str | None:
        """The full name that a symbolic ref points to, or None if it is not symbolic."""
        raise NotImplementedError

    def head(self) -> Head:
        """Where HEAD is."""
        raise NotImplementedError

    def list(self, prefix: str = "refs/") -> dict[str, str]:
        """All refs whose full name begins with `prefix`, sorted by name: name -> id."""
        raise NotImplementedError

    def update(
        self,
        changes: Sequence[RefChange],
        *,
        message: str,
        author: Signature,
        head_follows: bool = True,
        wait: float = 1.0,
    ) -> None:
        """Move refs, all or none, each by compare-and-swap.

        Order: lock all, compare all, write the reflogs (each ref's, and HEAD's where HEAD is on that
        ref and `head_follows`), fsync them, then swap each ref. "HEAD" as ref moves the branch that
        HEAD is on, or a detached HEAD itself. Raises RefChanged if a ref is not at its `old`, Locked
        if another process holds it for longer than `wait` seconds, UsageError for a bad name, Refused
        if a name would be both a ref and a folder of refs.
        """
        raise NotImplementedError

    def set_head(self, target: str, *, message: str, author: Signature, wait: float = 1.0) -> None:
        """Point HEAD at a branch (`target` is `refs/heads/...`), or detach it at a commit id. Logs it."""
        raise NotImplementedError

    def set_symbolic(self, ref: str, target: str) -> None:
        """Make `ref` (`refs/remotes/origin/HEAD`) a symbolic ref."""
        raise NotImplementedError

    def rename(self, old: str, new: str, *, message: str, author: Signature, force: bool = False) -> None:
        """Rename a ref with its reflog; HEAD follows if it was on it."""
        raise NotImplementedError

    def pack(self) -> int:
        """Move all loose refs into packed-refs; returns how many."""
        raise NotImplementedError

    def reflog_path(self, ref: str) -> Path:
        """Where the reflog of `ref` is (it may not exist). Read it with `mvc.objects.reflog.read`."""
        raise NotImplementedError
