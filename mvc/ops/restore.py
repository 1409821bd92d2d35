"""`mvc restore` and `mvc checkout -- PATHS`: files as they were, into the worktree, the stage, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from mvc.errors import NotFound, Refused
from mvc.objects import trees
from mvc.objects.model import TreeItem
from mvc.objects.revparse import resolve_tree
from mvc.ops.caller import Caller
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import restore_paths
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage


class Side(IntEnum):
    """Which version of a path in conflict: the number of its entry in the stage."""

    OURS = 2
    THEIRS = 3


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The paths that were written, and those that were removed, in order."""

    restored: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What to bring back from where to where.

    `source`: a revision; None is the stage, or HEAD if the stage itself is restored. `overlay`:
    files that the source does not have stay (`checkout REV -- PATHS`), else they go (`restore`).
    `side`: of paths in conflict, that version.
    """

    source: str | None = None
    staged: bool = False
    worktree: bool = True
    overlay: bool = False
    side: Side | None = None


def restore(
    repo: Repository, specs: Sequence[str], options: RestoreOptions, *, prefix: str = "", caller: Caller
) -> RestoreResult:
    """Restore what the path specs mean. What stands there is given up: naming it is the consent.

    Raises NotFound for a spec that means nothing, Refused for a path in conflict without a side.
    """
    pathspec = Pathspec.parse(specs, prefix, repo.locate)
    source = options.source or ("HEAD" if options.staged else None)
    with edit_stage(repo, wait=caller.wait, what="restore") as stage:
        if source is None:
            items = _from_stage(stage, pathspec, options.side)
        else:
            items = _from_tree(repo, stage, pathspec, source, options.overlay)
        restore_paths(
            repo,
            stage,
            items,
            to_stage=options.staged,
            to_worktree=options.worktree,
            named=frozenset(pathspec.literal),
            progress=caller.progress,
        )
    return RestoreResult(
        restored=tuple(sorted(path for path, item in items.items() if item is not None)),
        removed=tuple(sorted(path for path, item in items.items() if item is None)),
    )


def _from_stage(stage: Stage, pathspec: Pathspec, side: Side | None) -> dict[str, TreeItem | None]:
    staged, conflicts = stage.items(), stage.conflicts()
    _refuse_unmatched(pathspec, [*staged, *conflicts])
    items: dict[str, TreeItem | None] = {path: staged[path] for path in pathspec.select(staged)}
    for path in pathspec.select(conflicts):
        if side is None:
            raise Refused(f"'{path}' is in conflict", hint="take a side with --ours or --theirs")
        entry = conflicts[path].get(side)
        items[path] = TreeItem(entry.mode, entry.id) if entry is not None else None
    return items


def _from_tree(
    repo: Repository, stage: Stage, pathspec: Pathspec, source: str, overlay: bool
) -> dict[str, TreeItem | None]:
    committed: dict[str, TreeItem] = {}
    if source != "HEAD" or repo.refs.head().id is not None:
        committed = trees.flatten(repo.objects, resolve_tree(repo.objects, repo.refs, source))
    known = [*stage.paths(), *stage.conflicts()] if not overlay else []
    _refuse_unmatched(pathspec, [*committed, *known])
    items: dict[str, TreeItem | None] = dict.fromkeys(pathspec.select(known))
    items.update((path, committed[path]) for path in pathspec.select(committed))
    return items


def _refuse_unmatched(pathspec: Pathspec, paths: Sequence[str]) -> None:
    if missing := pathspec.unmatched(paths):
        raise NotFound(f"'{missing[0]}' did not match any file that is known here", hint="mvc ls-files")
