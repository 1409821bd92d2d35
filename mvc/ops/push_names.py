"""Which aliases and reviews go along with a push that names no refs: those whose commits the remote has, or gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mvc.objects import ancestry
from mvc.objects.aliases import contains, history
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.ops.push_plan import Planned
from mvc.repo.repository import Repository
from mvc.sync.stepped import STEPPED, seen_ref
from mvc.sync.verdicts import ANY, RefUpdate


@dataclass(frozen=True, slots=True)
class Along:
    """What goes along; `stay` are the refs that do not, as a commit that they need is in no branch that goes."""

    planned: tuple[Planned, ...]
    stay: tuple[str, ...]


def along(repo: Repository, remote: str, planned: Iterable[Planned], there: Mapping[str, str]) -> Along:
    """`remote`: its name, or "". `there`: its refs. One that was set there meanwhile is planned, to be rejected."""
    wanted = {
        ref: tip
        for prefix in STEPPED
        for ref, tip in repo.refs.list(prefix).items()
        if _is_ahead(repo, remote, ref, tip, there.get(ref))
    }
    if not wanted:
        return Along((), ())
    objects = repo.objects
    tips = [one.update.source for one in planned if one.update.source is not None]
    # What was set there meanwhile goes, to be told so.
    meanwhile = {ref for ref in wanted if there.get(ref) is not None and not objects.contains(there[ref])}
    reached = _reached(repo, {ref: wanted[ref] for ref in wanted.keys() - meanwhile}, (*tips, *there.values()))
    go = sorted(meanwhile | reached)
    stay = sorted(wanted.keys() - set(go))
    return Along(tuple(Planned(ref, RefUpdate(wanted[ref], ref, ANY, False), ref) for ref in go), tuple(stay))


def go_along(repo: Repository, have: Iterable[str]) -> dict[str, str]:
    """The aliases and reviews of which whoever has these objects, and what they reach, lacks nothing but the steps."""
    refs = {ref: tip for prefix in STEPPED for ref, tip in repo.refs.list(prefix).items()}
    return {ref: refs[ref] for ref in _reached(repo, refs, have)}


def _reached(repo: Repository, refs: Mapping[str, str], have: Iterable[str]) -> set[str]:
    if not refs:
        return set()
    objects = repo.objects
    peeled = dict.fromkeys(objects.peel(value) for value in have if objects.contains(value))
    commits = [value for value in peeled if objects.kind(value) == "commit"]
    return {ref for ref, tip in refs.items() if ancestry.only_in(objects, [tip], commits) <= _own(repo, ref, tip)}


def _is_ahead(repo: Repository, remote: str, ref: str, tip: str, value: str | None) -> bool:
    """Whether the remote lacks what stands here."""
    if value is None:
        return True
    if value == tip or ref.startswith(REVIEWS):
        return False
    name = ref.removeprefix(ALIASES)
    if repo.objects.contains(value):
        return not contains(repo.objects, value, name, tip)
    if not remote:
        return False  # of a bare URL nothing is remembered: a push that names no alias does not fail for it
    seen = repo.refs.read(seen_ref(remote, ref))
    return seen is None or not contains(repo.objects, seen, name, tip)


def _own(repo: Repository, ref: str, tip: str) -> set[str]:
    """The commits that are nothing but steps of this ref."""
    if ref.startswith(REVIEWS):
        return {tip}
    return {step.id for step in history(repo.objects, tip, ref.removeprefix(ALIASES))}
