"""Behind Git's hook pre-push: the models that the pushed Git commits need go to mvc's remote, before the refs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvc.errors import MvcError, NotFastForward, NotFound
from mvc.gitlink.pushedlocks import Needed
from mvc.objects.ancestry import is_ancestor, only_in
from mvc.objects.upstream import HEADS, push_remote, remote_names
from mvc.ops.bring import LOCKED, has_commit
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside
from mvc.ops.fetch import fetch
from mvc.ops.push import Pushed, push
from mvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class PushedModels:
    """What was done. `remote` is None: mvc has none, nothing was pushed. `pushed` is None: all was there, as far as is
    known here. `beside`: branches whose models went beside mvc's branch of that name, which has moved elsewhere."""

    remote: str | None
    pushed: Pushed | None = None
    beside: tuple[str, ...] = ()


def push_locked(
    repo: Repository, wanted: Sequence[Needed], git_remote: str, *, outside: Outside, caller: Caller
) -> PushedModels:
    """Push what `wanted` names to mvc's remote of the same name as Git's, else to the one that `mvc push` takes.

    A branch there moves forward to the commit that Git's branch names; what no branch holds goes to `refs/locked/ID`.
    Nothing is ever forced. Raises NotFastForward where mvc's branch there has moved on, NotFound for a commit that
    is neither here nor there, and what `push` raises.
    """
    remotes = remote_names(repo.config)
    if not remotes:
        return PushedModels(None)
    remote = git_remote if git_remote in remotes else push_remote(repo.config, repo.refs.head().branch)
    _complete(repo, wanted, remote, outside, caller)
    specs, beside = _specs(repo, wanted, remote)
    if not specs:
        return PushedModels(remote)
    done = push(repo, remote, specs, outside=outside, caller=caller)
    rejected = [row.ref for row in done.rows if row.ref.status == "rejected"]
    if rejected:
        name = rejected[0].target.removeprefix(HEADS)
        raise NotFastForward(
            f"the models of {name} were not pushed to {remote}: {rejected[0].reason}",
            hint="mvc pull, commit mvc.lock, then git push again",
        )
    return PushedModels(remote, done, tuple(beside))


def _complete(repo: Repository, wanted: Sequence[Needed], remote: str, outside: Outside, caller: Caller) -> None:
    """All commits are here, or on the remote. Raises NotFound."""

    def lacking() -> list[str]:
        return [one for need in wanted for one in (need.tip, *need.older) if one and not has_commit(repo, one)]

    if not lacking():
        return
    fetch(repo, remote, (), outside=outside, caller=caller)
    for commit in lacking():
        try:
            fetch(repo, remote, (LOCKED + commit,), outside=outside, caller=caller)
        except NotFound as error:
            raise NotFound(
                f"a pushed Git commit needs the mvc commit {commit[:10]}, which is neither here nor on {remote}",
                hint="MVC_SKIP_HOOKS=1 git push, to push without",
            ) from error


def _specs(repo: Repository, wanted: Sequence[Needed], remote: str) -> tuple[list[str], list[str]]:
    """The refspecs, and the branches that had to go beside."""
    seen = {
        name.removeprefix(f"refs/remotes/{remote}/"): commit
        for name, commit in repo.refs.list(f"refs/remotes/{remote}/").items()
        if not name.endswith("/HEAD")
    }
    specs: dict[str, str] = {}
    beside: list[str] = []
    alone: list[str] = []
    for need in wanted:
        if need.tip is None:
            pass
        elif need.branch is None:
            alone.append(need.tip)
        else:
            there = seen.get(need.branch)
            if there is not None and is_ancestor(repo.objects, need.tip, there):
                pass
            elif there is not None and need.forced and not is_ancestor(repo.objects, there, need.tip):
                # Git's history is rewritten; whether Git's remote will take it is not known yet.
                beside.append(need.branch)
                alone.append(need.tip)
            else:
                specs[HEADS + need.branch] = need.tip
        alone += need.older
    held = [*seen.values(), *specs.values()]
    for commit in dict.fromkeys(alone):
        if only_in(repo.objects, [commit], held):
            specs[LOCKED + commit] = commit
    return [f"{commit}:{ref}" for ref, commit in specs.items()], beside


def one_line(error: MvcError) -> str:
    """An error as the one line that Git shows above its own."""
    return error.message + (f" ({error.hint})" if error.hint else "")
