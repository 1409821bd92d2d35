"""All that something still needs: where gc and fsck begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mvc.objects import reflog
from mvc.objects.refs import Refs
from mvc.repo.inprogress import state_objects
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage
from mvc.repo.worktrees import all_git_dirs


@dataclass(frozen=True, slots=True)
class Roots:
    """Ids that keep what they reach: of any kind in `objects`, blobs with their path in `staged`."""

    objects: frozenset[str]
    staged: dict[str, str]
    """Blob id to a path, of every stage of every worktree, conflicts included."""


def roots(repo: Repository) -> Roots:
    """Refs, HEADs, reflogs, stages and unfinished operations of all worktrees."""
    tips = set(repo.refs.list().values())
    staged: dict[str, str] = {}
    for place in worktrees(repo):
        tips.update(_heads(place))
        tips.update(state_objects(place))
        stage = Stage.load(place.stage_path)
        staged.update({entry.id: entry.path for entry in stage})
        for path, versions in stage.conflicts().items():
            staged.update({entry.id: path for entry in versions.values()})
    for ref in repo.refs.logged():
        tips.update(_logged(repo.refs, ref))
    return Roots(frozenset(tips), staged)


def worktrees(repo: Repository) -> Iterator[Repository]:
    """The repository as each of its worktrees sees it: HEAD, stage and state files differ."""
    for git_dir in all_git_dirs(repo):
        yield replace(repo, git_dir=git_dir, refs=Refs(git_dir, repo.common_dir))


def _heads(repo: Repository) -> Iterator[str]:
    for name in ("HEAD", "ORIG_HEAD"):
        found = repo.refs.read(name)
        if found:
            yield found
    yield from _logged(repo.refs, "HEAD")
    yield from repo.refs.list("refs/bisect/").values()


def _logged(refs: Refs, ref: str) -> Iterator[str]:
    for entry in reflog.read(refs.reflog_path(ref)):
        yield from (name for name in (entry.old, entry.new) if name)
