"""`mvc reflog`: where refs have been, and forgetting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvc.errors import NotFound
from mvc.objects import refnames
from mvc.objects.ancestry import is_ancestor
from mvc.objects.reflog import ReflogEntry, read
from mvc.objects.refs import LOCK_WAIT
from mvc.objects.revparse import resolve_ref
from mvc.ops.caller import Caller
from mvc.repo.repository import Repository

_DAY = 86400


@dataclass(frozen=True, slots=True)
class LogLine:
    """An entry of a reflog: `selector` is the name it can be called by ("HEAD@{2}")."""

    selector: str
    entry: ReflogEntry


@dataclass(frozen=True, slots=True)
class Expiry:
    """Which entries go: those from before `before` (seconds since 1970), and, from before
    `unreachable_before`, those whose commit the ref no longer has."""

    before: int
    unreachable_before: int | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """How many entries of a ref's log went (or with `dry_run` would)."""

    ref: str
    entries: int


def show_reflog(repo: Repository, name: str = "HEAD", *, max_count: int | None = None) -> tuple[LogLine, ...]:
    """The moves of a ref, the newest first. Raises NotFound for what is no ref."""
    ref = full_name(repo, name)
    entries = read(repo.refs.reflog_path(ref))
    label = name if ref == "HEAD" else refnames.short(ref)
    return tuple(LogLine(f"{label}@{{{index}}}", entry) for index, entry in enumerate(entries[:max_count]))


def expire_reflogs(
    repo: Repository,
    names: Sequence[str],
    expiry: Expiry,
    caller: Caller,
    *,
    every: bool = False,
    dry_run: bool = False,
) -> tuple[Expired, ...]:
    """Forget old entries of these refs' logs, or of `every` log that this worktree sees.

    What only they reach is gone with the next gc. Raises NotFound for what is no ref.
    """
    repo.require_writable()
    refs = repo.refs.logged() if every else [full_name(repo, name) for name in names]
    return tuple(_expire(repo, ref, expiry, caller, dry_run) for ref in dict.fromkeys(refs))


def default_before(repo: Repository, now: int) -> int:
    """The time before which entries go when nothing is said: `gc.reflogExpire`."""
    return now - repo.settings.gc_reflog_expire_days * _DAY


def full_name(repo: Repository, name: str) -> str:
    """The full name of a ref that has a log or stands; raises NotFound."""
    if name in ("HEAD", "@"):
        return "HEAD"
    found = resolve_ref(repo.refs, name)
    if found is not None:
        return found
    for prefix in ("", "refs/", "refs/heads/", "refs/remotes/"):
        if refnames.is_valid(prefix + name) and repo.refs.reflog_path(prefix + name).is_file():
            return prefix + name
    raise NotFound(f"'{name}' is not the name of a ref", hint="mvc branch --all")


def _expire(repo: Repository, ref: str, expiry: Expiry, caller: Caller, dry_run: bool) -> Expired:
    tip = repo.refs.read(ref)
    known: dict[str, bool] = {}

    def reachable(commit: str | None) -> bool:
        if commit is None or tip is None:
            return tip is not None
        if commit not in known:
            known[commit] = repo.objects.contains(commit) and is_ancestor(repo.objects, commit, tip)
        return known[commit]

    def keep(entry: ReflogEntry) -> bool:
        if entry.who.time < expiry.before:
            return False
        limit = expiry.unreachable_before
        return limit is None or entry.who.time >= limit or reachable(entry.new)

    wait = max(caller.wait, LOCK_WAIT)
    return Expired(ref, repo.refs.expire_log(ref, keep, dry_run=dry_run, wait=wait))
