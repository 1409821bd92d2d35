"""`mvc approve` and `mvc reject`: what people, and gates, say of a version before it may be promoted."""

from __future__ import annotations

from collections.abc import Mapping

from mvc.errors import UsageError
from mvc.objects.aliases import alias_ref
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.objects.refs import LOCK_WAIT, RefChange
from mvc.objects.reviews import Review, Verdict, check_review, reviews_of, write_review
from mvc.objects.revparse import resolve_commit
from mvc.ops.caller import Caller
from mvc.ops.protection import Protection, project_protections
from mvc.repo.repository import Repository


def review(
    repo: Repository, revision: str, verdict: Verdict, caller: Caller, *, alias: str | None = None, why: str = ""
) -> Review:
    """Record a verdict on what `revision` names, for `alias` (None: the one that is protected). Raises NotFound."""
    repo.require_writable()
    name = alias if alias is not None else default_alias(repo)
    alias_ref(name)
    target = resolve_commit(repo.objects, repo.refs, revision)
    with repo.objects.batch() as batch:
        made = write_review(batch, name, verdict, target, caller.who, why)
        batch.seal()
    ref = f"{REVIEWS}{name}/{made}"
    wait = max(caller.wait, LOCK_WAIT)
    if repo.refs.read(ref) is None:
        change = RefChange(ref, None, made)
        repo.refs.update([change], message=f"review: {verdict}", author=caller.who, head_follows=False, wait=wait)
    return check_review(repo.objects, ref, made)


def reviews(repo: Repository, alias: str, target: str | None = None) -> tuple[Review, ...]:
    """Reviews for an alias (of one commit), the newest first, by their own clocks."""
    found = reviews_of(repo.objects, repo.refs.list(f"{REVIEWS}{alias}/"), alias)
    chosen = [one for one in found if target is None or one.target == target]
    return tuple(sorted(chosen, key=lambda one: (one.who.time, one.id), reverse=True))


def default_alias(repo: Repository) -> str:
    """The alias that is meant where none is named: the only one that mvc.yaml protects, else the only one there is."""
    protected: Mapping[str, Protection] = project_protections(repo)
    if len(protected) == 1:
        return next(iter(protected))
    names = [ref.removeprefix(ALIASES) for ref in repo.refs.list(ALIASES)]
    if "production" in {*protected, *names} or not (protected or names):
        return "production"
    if len(names) == 1 and not protected:
        return names[0]
    raise UsageError("for which alias?", hint=f"--for NAME: one of {', '.join(sorted({*protected, *names}))}")
