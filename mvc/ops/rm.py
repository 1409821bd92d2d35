"""`mvc rm`: take files out of the stage, and out of the worktree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvc.errors import NotFound, Refused, UsageError
from mvc.gitlink.ignorefile import update_ignore_file
from mvc.progress import SILENT, Progress
from mvc.repo.locking import edit_stage
from mvc.repo.pathbytes import in_order
from mvc.repo.pathspec import Pathspec
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage
from mvc.repo.status import staged_changes


@dataclass(frozen=True, slots=True)
class RmOptions:
    """How to remove."""

    cached: bool = False
    """From the stage alone; the files stay."""
    recursive: bool = False
    """What a folder's name means may go (`-r`)."""
    force: bool = False
    """Also files whose content is nowhere else."""
    dry_run: bool = False
    ignore_unmatch: bool = False
    """A spec that means nothing is no error."""


def rm(
    repo: Repository,
    specs: Sequence[str],
    options: RmOptions = RmOptions(),
    *,
    prefix: str = "",
    wait: float = 0.0,
    progress: Progress = SILENT,
) -> tuple[str, ...]:
    """Remove the files that are meant; returns their paths, ordered.

    Nothing is lost without `force`: raises Refused for a file that was changed since it was staged, or
    staged since it was committed (with `cached`: both). Raises NotFound for a spec that means no staged file.
    """
    if not specs:
        raise UsageError("nothing specified, nothing removed", hint="mvc rm PATH")
    pathspec = Pathspec.parse(specs, prefix, repo.locate)
    with edit_stage(repo, wait=wait, what="rm") as stage:
        paths = _choose(stage, pathspec, options)
        if not options.force:
            _refuse_losses(repo, stage, Pathspec.exact(paths) if paths else pathspec, options, progress)
        if options.dry_run:
            return paths
        if not options.cached:
            # First the files: after a crash in between, a repeat finds the rest in the stage.
            with Placer(repo.require_worktree()) as placer:
                for path in paths:
                    placer.remove(path)
        for path in paths:
            stage.remove(path)
        if paths:
            update_ignore_file(repo, stage)
    return paths


def _choose(stage: Stage, pathspec: Pathspec, options: RmOptions) -> tuple[str, ...]:
    paths = pathspec.select(in_order({*stage.paths(), *stage.conflicts()}))
    missing = pathspec.unmatched(paths)
    if missing and not options.ignore_unmatch:
        raise NotFound(f"'{missing[0]}' did not match any files", hint="mvc status shows what is not versioned")
    if not options.recursive:
        for folder in pathspec.literal:
            if any(path.startswith(folder + "/") or not folder for path in paths) and folder not in paths:
                name = folder or "."
                raise Refused(f"'{name}' is a folder", hint=f"mvc rm -r {name}")
    return tuple(paths)


def _refuse_losses(repo: Repository, stage: Stage, pathspec: Pathspec, options: RmOptions, progress: Progress) -> None:
    found = scan(repo, stage, pathspec, untracked=Untracked.NO, progress=progress)
    changed = {*found.modified, *found.typechanged}
    head = repo.refs.head().id
    tree = repo.objects.commit(head).tree if head else None
    staged: set[str] = set()
    for change in staged_changes(repo, stage, tree):
        staged.update(path for path in (change.path, change.old_path) if path and pathspec.matches(path))
    staged -= {*stage.conflicts(), *found.deleted}  # as with Git: of a file that is gone no copy is to be kept
    if both := sorted(changed & staged):
        raise Refused(f"'{both[0]}': what is staged is in neither the file nor the last commit", hint="mvc rm -f")
    if options.cached:
        return
    if staged:
        raise Refused(f"'{min(staged)}' is staged and not committed", hint="--cached keeps the file, -f removes it")
    if changed:
        raise Refused(f"'{min(changed)}' was changed", hint="--cached keeps the file, -f removes it")
