"""`mvc alias`: names that move from version to version, and remember who moved them, when and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.errors import NotFound, Refused
from mvc.objects import aliases
from mvc.objects.aliases import Step, alias_ref
from mvc.objects.refnames import ALIASES, is_valid_short
from mvc.objects.refs import LOCK_WAIT, RefChange
from mvc.objects.revparse import resolve_commit, resolve_ref
from mvc.ops.caller import Caller
from mvc.ops.gate import find_base, run
from mvc.ops.protection import lacking, person, project_protections, standing
from mvc.ops.review import reviews
from mvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias as it is now. `step.target` is None for one that was removed."""

    name: str
    step: Step

    @property
    def target(self) -> str | None:
        """The commit that it stands for."""
        return self.step.target


@dataclass(frozen=True, slots=True)
class Moved:
    """A step that was made; `old` is what the alias stood for before."""

    name: str
    step: Step
    old: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which an alias stood for one commit (None: for nothing). `until` is None while it lasts."""

    since: int
    until: int | None
    step: Step


def list_aliases(repo: Repository, *, removed: bool = False) -> tuple[Alias, ...]:
    """All aliases by name; with `removed` also those that stand for nothing. Raises IntegrityError."""
    found = (Alias(name, aliases.read_step(repo.objects, tip, name)) for name, tip in _tips(repo))
    return tuple(one for one in found if removed or one.target is not None)


def read_alias(repo: Repository, name: str) -> Alias:
    """One alias. Raises NotFound for one that is not, and for one that was removed; IntegrityError."""
    tip = _tip(repo, name)
    found = Alias(name, aliases.read_step(repo.objects, tip, name))
    if found.target is None:
        raise NotFound(f"the alias '{name}' was removed", hint=f"mvc alias log {name}")
    return found


def set_alias(
    repo: Repository, name: str, revision: str, caller: Caller, *, why: str = "", force: bool = False
) -> Moved | None:
    """Let an alias stand for a commit, as a new step; None where it does already.

    Raises UsageError for a name that cannot be one, Refused for one that a branch or tag has and (unless `force`) where
    mvc.yaml asks for what the commit has not; NotFound, RefChanged.
    """
    target = resolve_commit(repo.objects, repo.refs, revision)
    if aliases.is_step(repo.objects.commit(target)):
        raise Refused(f"'{revision}' is a step of an alias, not a version", hint="name the version that it stands for")
    ref = alias_ref(name)
    before = repo.refs.read(ref)
    for kind, place in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
        if before is None and repo.refs.read(place + name) is not None:
            raise Refused(f"there is a {kind} '{name}', which the name would mean", hint="choose another name")
    old = aliases.read_step(repo.objects, before, name).target if before is not None else None
    if old == target:
        return None
    lacks = () if force else advised(repo, name, target, caller)
    if lacks:
        hint = f"mvc approve {revision} --for {name}, mvc gate, or (where no server refuses it) --force"
        raise Refused(f"'{name}' is protected by mvc.yaml: {'; '.join(lacks)}", hint=hint)
    return _move(repo, name, "set", target, caller, why, revision)


def roll_back(repo: Repository, name: str, revision: str | None, caller: Caller, *, why: str = "") -> Moved:
    """Back to what the alias stood for before (or to an earlier one of its commits): a new step, nothing is lost.

    Raises NotFound where there is nothing to go back to.
    """
    spans = list(history(repo, name))
    now = spans[0].step.target
    if revision is not None:
        target = resolve_commit(repo.objects, repo.refs, revision)
        if not any(span.step.target == target for span in spans[1:]):
            raise NotFound(f"'{name}' never stood for '{revision}'", hint=f"mvc alias log {name}")
    else:
        target = _previous(spans, now) or ""
        if not target:
            raise NotFound(f"'{name}' stood for nothing else before", hint=f"mvc alias log {name}")
    return _move(repo, name, "rollback", target, caller, why, revision or "")


def remove_alias(repo: Repository, name: str, caller: Caller, *, why: str = "") -> Moved:
    """Let an alias stand for nothing: a step too, so its history stays. Raises NotFound."""
    read_alias(repo, name)
    return _move(repo, name, "remove", None, caller, why, "")


def history(repo: Repository, name: str) -> Iterator[Span]:
    """What an alias stood for, the newest first. Raises NotFound, IntegrityError."""
    rows = aliases.in_order(repo.objects, _tip(repo, name), name)
    until: int | None = None
    for since, step in reversed(rows):
        yield Span(since, until, step)
        until = since


def alias_at(repo: Repository, name: str, when: int) -> Span:
    """What an alias stood for at a time (seconds since 1970). Raises NotFound before its first step, IntegrityError."""
    found = next((span for span in history(repo, name) if span.since <= when), None)
    if found is None:
        raise NotFound(f"there was no alias '{name}' then", hint=f"mvc alias log {name}")
    return found


def advised(repo: Repository, name: str, target: str, caller: Caller) -> tuple[str, ...]:
    """What a commit lacks to be what mvc.yaml asks for of an alias; nothing of one that is not protected there."""
    protection = project_protections(repo).get(name)
    if protection is None:
        return ()
    base = find_base(repo, target, None, name)[0]
    found = standing(reviews(repo, name, target), lambda one: (person(one.who), one.who.time))
    return lacking(protection, found, person(caller.who), lambda gates: run(repo, target, gates, base))


def _previous(spans: list[Span], now: str | None) -> str | None:
    """What stood before what stands now: two rollbacks in a row go back two versions, not to and fro.

    A rollback takes the one that it left away, as an undo does.
    """
    stack: list[str] = []
    for span in reversed(spans):
        target = span.step.target
        if target is None:
            continue
        if span.step.action == "rollback" and target in stack:
            while stack[-1] != target:
                stack.pop()
        elif not stack or stack[-1] != target:
            stack.append(target)
    if now is None:
        return stack[-1] if stack else None
    return stack[-2] if len(stack) > 1 else None


def _move(
    repo: Repository, name: str, action: aliases.Action, target: str | None, caller: Caller, why: str, named: str
) -> Moved:
    repo.require_writable()
    ref = alias_ref(name)
    before = repo.refs.read(ref)
    old = aliases.read_step(repo.objects, before, name).target if before is not None else None
    with repo.objects.batch() as batch:
        made = aliases.write_step(batch, name, action, target, before, caller.who, why=why, named=_lasting(repo, named))
        batch.seal()
    change = RefChange(ref, before, made)
    message = f"alias: {action} {named or (target or '')[:7]}".rstrip()
    wait = max(caller.wait, LOCK_WAIT)
    repo.refs.update([change], message=message, author=caller.who, head_follows=False, wait=wait)
    return Moved(name, aliases.read_step(repo.objects, made, name), old)


def _lasting(repo: Repository, named: str) -> str:
    """A name that will mean the same tomorrow, such as a tag's; not HEAD~2."""
    ref = resolve_ref(repo.refs, named) if named not in ("HEAD", "@") else None
    return named if ref is not None else ""


def _tips(repo: Repository) -> list[tuple[str, str]]:
    return sorted((ref.removeprefix(ALIASES), tip) for ref, tip in repo.refs.list(ALIASES).items())


def _tip(repo: Repository, name: str) -> str:
    tip = repo.refs.read(ALIASES + name) if is_valid_short(name) else None
    if tip is None:
        raise NotFound(f"there is no alias '{name}'", hint="mvc alias list")
    return tip
