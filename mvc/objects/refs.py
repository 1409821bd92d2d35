"""Refs as Git keeps them on disk: HEAD, loose refs, packed-refs, reflogs; changed by compare-and-swap.

Reading is here and in `reffiles`; what moves refs stands in `refmoves`, loaded when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mvc.errors import NotFound
from mvc.lazy import load
from mvc.objects.model import Signature
from mvc.objects.reffiles import RefFiles

if TYPE_CHECKING:
    from mvc.objects.reflog import ReflogEntry

LOCK_WAIT = 1.0
"""How many seconds to wait for another process that moves the same ref (a swap takes milliseconds)."""

ANY = "*"
"""As `RefChange.old`: do not compare."""

_MOVES = "mvc.objects.refmoves"
"""Loaded when a ref is to move: commands that only read start faster without it."""


class Head(NamedTuple):
    """What HEAD stands for: on a branch (`branch` is its full name, `refs/heads/main`), or detached (None).

    `id` is the commit, or None on a branch that has no commit yet.
    """

    branch: str | None
    id: str | None

    @property
    def short(self) -> str | None:
        """The branch's name without `refs/heads/`."""
        return self.branch.removeprefix("refs/heads/") if self.branch else None


class RefChange(NamedTuple):
    """A wish to move `ref` from `old` to `new`. None stands for "does not exist"; ANY as `old` for "whatever it is"."""

    ref: str
    old: str | None
    new: str | None


class Refs(RefFiles):
    """The refs that one worktree sees: HEAD, `refs/bisect/`, `refs/worktree/` are its own, all others shared."""

    def head(self) -> Head:
        """Where HEAD is. Raises NotFound if there is no HEAD."""
        content = self.content("HEAD")
        if content is None:
            raise NotFound("there is no HEAD", hint="mvc init repairs it")
        if content.startswith("ref: "):
            return Head(content[5:], self.read(content[5:]))
        return Head(None, content)

    def logged(self) -> list[str]:
        """The names of all refs that have a reflog (HEAD too), sorted."""
        found: set[str] = set()
        for home in {self.git_dir, self.common_dir}:
            logs = RefFiles(home / "logs", home / "logs")
            found.update(logs.loose_names())
        if self.reflog_path("HEAD").is_file():
            found.add("HEAD")
        return sorted(found)

    def update(
        self,
        changes: Sequence[RefChange],
        *,
        message: str,
        author: Signature,
        head_follows: bool = True,
        wait: float = LOCK_WAIT,
    ) -> None:
        """Move refs, each by compare-and-swap; if one cannot be moved, none is.

        Order: lock all, compare all, write the reflogs (each ref's, and HEAD's where HEAD is on that
        ref and `head_follows`), fsync them, then swap each ref. "HEAD" as ref moves the branch that
        HEAD is on, or a detached HEAD itself. Raises RefChanged if a ref is not at its `old`, Locked
        if another process holds it for longer than `wait` seconds, UsageError for a bad name, Refused
        if a name would be both a ref and a folder of refs.
        """
        _move("update")(self, changes, message=message, author=author, head_follows=head_follows, wait=wait)

    def set_head(self, target: str, *, message: str, author: Signature, wait: float = LOCK_WAIT) -> None:
        """Point HEAD at a branch (`target` is `refs/heads/...`), or detach it at a commit id. Logs it."""
        _move("set_head")(self, target, message=message, author=author, wait=wait)

    def set_symbolic(self, ref: str, target: str | None, *, wait: float = LOCK_WAIT) -> None:
        """Make `ref` (`refs/remotes/origin/HEAD`) a symbolic ref; None removes it if it is one."""
        _move("set_symbolic")(self, ref, target, wait=wait)

    def write_pseudo(self, name: str, value: str | None, *, wait: float = LOCK_WAIT) -> None:
        """Set a ref such as ORIG_HEAD or MERGE_HEAD, without a log; None removes it."""
        _move("write_pseudo")(self, name, value, wait=wait)

    def rename(
        self, old: str, new: str, *, message: str, author: Signature, force: bool = False, wait: float = LOCK_WAIT
    ) -> None:
        """Rename a ref with its reflog; HEAD follows if it was on it. After a crash both names may exist.

        Raises NotFound if there is no `old`, Refused if `new` exists (unless `force`).
        """
        _move("rename")(self, old, new, message=message, author=author, force=force, wait=wait)

    def pack(self, *, wait: float = LOCK_WAIT) -> int:
        """Move all loose shared refs into packed-refs; returns how many. Refs that are locked stay loose."""
        return int(_move("pack")(self, wait=wait))

    def expire_log(
        self, ref: str, keep: Callable[[ReflogEntry], bool], *, dry_run: bool = False, wait: float = LOCK_WAIT
    ) -> int:
        """Drop reflog entries for which `keep` says no, under the ref's lock; returns how many."""
        return int(_move("expire_log")(self, ref, keep, dry_run=dry_run, wait=wait))

    def rewrite_log(
        self, ref: str, change: Callable[[ReflogEntry], ReflogEntry | None], *, wait: float = LOCK_WAIT
    ) -> int:
        """Change the entries of a reflog (None drops one), under the ref's lock; returns how many changed."""
        return int(_move("rewrite_log")(self, ref, change, wait=wait))


def _move(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = load(f"{_MOVES}:{name}")
    return function
