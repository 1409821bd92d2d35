"""Refs as Git keeps them on disk: HEAD, loose refs, packed-refs, reflogs; changed by compare-and-swap."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from mvc import fsio
from mvc.errors import Locked, NotFound, RefChanged, Refused, UsageError
from mvc.objects import reflog, refnames
from mvc.objects.encoding import is_id
from mvc.objects.model import Signature
from mvc.objects.reffiles import RefFiles, dump_packed
from mvc.objects.reflog import ReflogEntry
from mvc.objects.reftransaction import ANY, RefChange, Transaction, Why, is_logged, needs_packed_lock, tidy

__all__ = ["ANY", "Head", "RefChange", "Refs"]

LOCK_WAIT = 1.0
"""How many seconds to wait for another process that moves the same ref (a swap takes milliseconds)."""


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
        _check(changes)
        branch = self.symbolic("HEAD")
        wanted = [RefChange(branch, c.old, c.new) if c.ref == "HEAD" and branch else c for c in changes]
        wanted.sort(key=lambda change: change.ref)
        if len({change.ref for change in wanted}) != len(wanted):
            raise UsageError("one ref is to be moved twice")
        with Transaction(self, wait=wait) as transaction:
            for change in wanted:
                transaction.lock(change.ref)
            follows = head_follows and branch is not None and any(change.ref == branch for change in wanted)
            if follows:
                transaction.lock("HEAD")
                if self.symbolic("HEAD") != branch:
                    raise RefChanged("HEAD moved to another branch meanwhile", hint="repeat")
            if needs_packed_lock(self, wanted):
                transaction.lock_packed()
            moves = transaction.compare(wanted)
            transaction.log(moves, Why(message, author), branch if follows else None)
            transaction.swap(moves)
        tidy(self, [move.ref for move in moves if move.new is None])

    def set_head(self, target: str, *, message: str, author: Signature, wait: float = LOCK_WAIT) -> None:
        """Point HEAD at a branch (`target` is `refs/heads/...`), or detach it at a commit id. Logs it."""
        if not is_id(target) and not (target.startswith("refs/heads/") and refnames.is_valid(target)):
            raise UsageError(f"HEAD cannot be put on {target!r}")
        with Transaction(self, wait=wait) as transaction:
            transaction.lock("HEAD")
            old = self.read("HEAD")
            new = target if is_id(target) else self.read(target)
            if new is not None:
                reflog.append(self.reflog_path("HEAD"), ReflogEntry(old, new, author, message))
            transaction.write(self.path("HEAD"), f"{target if is_id(target) else 'ref: ' + target}\n".encode())

    def set_symbolic(self, ref: str, target: str, *, wait: float = LOCK_WAIT) -> None:
        """Make `ref` (`refs/remotes/origin/HEAD`) a symbolic ref."""
        refnames.check(target)
        with Transaction(self, wait=wait) as transaction:
            transaction.lock(ref)
            transaction.write(self.path(ref), f"ref: {target}\n".encode())

    def write_pseudo(self, name: str, value: str | None, *, wait: float = LOCK_WAIT) -> None:
        """Set a ref such as ORIG_HEAD or MERGE_HEAD, without a log; None removes it."""
        if "/" in refnames.check(name) or name == "HEAD" or (value is not None and not is_id(value)):
            raise UsageError(f"{name} cannot be set to {value}")
        with Transaction(self, wait=wait) as transaction:
            transaction.lock(name)
            if value is None:
                fsio.unlink(self.path(name), missing_ok=True)
            else:
                transaction.write(self.path(name), f"{value}\n".encode())

    def rename(
        self, old: str, new: str, *, message: str, author: Signature, force: bool = False, wait: float = LOCK_WAIT
    ) -> None:
        """Rename a ref with its reflog; HEAD follows if it was on it. After a crash both names may exist.

        Raises NotFound if there is no `old`, Refused if `new` exists (unless `force`).
        """
        value = self.read(old)
        if value is None:
            on_it = self.symbolic("HEAD") == old
            if not on_it:
                raise NotFound(f"there is no {refnames.short(old)}")
            self.set_head(new, message=message, author=author, wait=wait)
            return
        if old == new:
            return
        if new.startswith(old + "/") or old.startswith(new + "/"):
            # One cannot stand beside the other: go through a third name.
            between = f"{'/'.join(old.split('/')[:2])}/mvc-rename-{value[:12]}"
            self.rename(old, between, message=message, author=author, wait=wait)
            self.rename(between, new, message=message, author=author, force=force, wait=wait)
            return
        standing = self.read(new)
        if standing is not None and not force:
            raise Refused(f"{refnames.short(new)} exists already", hint="choose another name, or force it")
        with Transaction(self, wait=wait) as transaction:
            for name in sorted((old, new)):
                transaction.lock(name)
            transaction.lock("HEAD")
            if old in self.packed():
                transaction.lock_packed()
            moves = transaction.compare([RefChange(old, value, None), RefChange(new, standing, value)])
            self._move_log(old, new, ReflogEntry(value, value, author, message))
            transaction.swap([move for move in moves if move.new is not None])
            if self.symbolic("HEAD") == old:
                reflog.append(self.reflog_path("HEAD"), ReflogEntry(value, value, author, message))
                transaction.write(self.path("HEAD"), f"ref: {new}\n".encode())
            transaction.swap([RefChange(old, value, None)])
        tidy(self, [old])

    def _move_log(self, old: str, new: str, entry: ReflogEntry) -> None:
        source, target = self.reflog_path(old), self.reflog_path(new)
        if source.is_file():
            fsio.make_dirs(target.parent)
            fsio.write_atomic(target, source.read_bytes() + reflog.dump(entry), tmp_dir=self.tmp_dir)
        elif is_logged(new):
            reflog.append(target, entry)

    def pack(self, *, wait: float = LOCK_WAIT) -> int:
        """Move all loose shared refs into packed-refs; returns how many. Refs that are locked stay loose."""
        with Transaction(self, wait=wait) as transaction:
            transaction.lock_packed()
            loose: dict[str, str] = {}
            for name in self.loose_names():
                content = self.content(name)
                if content is not None and is_id(content) and self.path(name).is_relative_to(self.common_dir / "refs"):
                    loose[name] = content
            if not loose:
                return 0
            transaction.write(self.packed_path, dump_packed({**self.packed(), **loose}))
            for name, value in loose.items():
                self._prune_loose(name, value)
        tidy(self, list(loose))
        return len(loose)

    def _prune_loose(self, name: str, value: str) -> None:
        """Remove a loose ref whose value is packed now, unless it moved meanwhile."""
        with contextlib.suppress(Locked), Transaction(self, wait=0) as transaction:
            transaction.lock(name)
            if self.content(name) == value:
                fsio.unlink(self.path(name), missing_ok=True)

    def expire_log(self, ref: str, keep: reflog.Keep, *, dry_run: bool = False, wait: float = LOCK_WAIT) -> int:
        """Drop reflog entries for which `keep` says no, under the ref's lock; returns how many."""
        with Transaction(self, wait=wait) as transaction:
            transaction.lock(ref)
            return reflog.expire(self.reflog_path(ref), keep, dry_run=dry_run)

    def logged(self) -> list[str]:
        """The names of all refs that have a reflog (HEAD too), sorted."""
        found: set[str] = set()
        for home in {self.git_dir, self.common_dir}:
            logs = RefFiles(home / "logs", home / "logs")
            found.update(logs.loose_names())
        if self.reflog_path("HEAD").is_file():
            found.add("HEAD")
        return sorted(found)


def _check(changes: Sequence[RefChange]) -> None:
    for change in changes:
        refnames.check(change.ref)
        for value in (change.old, change.new):
            if value is not None and value != ANY and not is_id(value):
                raise UsageError(f"{value!r} is no object id")
        if change.new == ANY:
            raise UsageError(f"{change.ref} needs a new value")
