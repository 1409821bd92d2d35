"""`mvc add`: what the worktree holds becomes what the next commit will hold."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import NotFound, Refused, UsageError
from mvc.gitlink.ignorefile import update_ignore_file
from mvc.objects import portability
from mvc.objects.paths import check_path
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.ingest import Ingested, ingest
from mvc.repo.keeping import stage_label
from mvc.repo.locking import edit_stage, read_stage
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Scan, Untracked, scan
from mvc.repo.settling import settle
from mvc.repo.stage import Stage, StageEntry, is_fresh, stat_of


@dataclass(frozen=True, slots=True)
class AddResult:
    """What was staged (or with `dry_run` would be), each list ordered by path."""

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    raw: int = 0
    """Bytes of the files that were read."""
    fresh: int = 0
    """Bytes of their chunks that were not stored before."""
    stored: int = 0
    """Bytes that those take."""


@dataclass(frozen=True, slots=True)
class _Todo:
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]


def add(
    repo: Repository,
    specs: Sequence[str],
    *,
    prefix: str = "",
    update: bool = False,
    everything: bool = False,
    force: bool = False,
    dry_run: bool = False,
    wait: float = 0.0,
    progress: Progress = SILENT,
) -> AddResult:
    """Stage what the path specs mean, as typed in the folder `prefix` of the worktree.

    `update` stages only files that are staged already; `everything` means the whole worktree when
    no spec is given; `force` takes ignored files too. Files that are gone are unstaged. Raises
    NotFound for a spec that means nothing, Refused for a file named that is ignored, UnsafePath for
    a name that must not get into a tree. A name that clashes by case with another, or that Windows
    reserves, is warned of.
    """
    if not specs and not (update or everything):
        raise UsageError("nothing specified, nothing added", hint="mvc add .")
    pathspec = Pathspec.parse(specs, prefix, repo.locate)
    stage = read_stage(repo)
    todo = _choose(repo, stage, pathspec, update, force, progress)
    read = [*todo.new, *todo.changed]
    for path in read:
        check_path(path)
    _warn_of_names(stage, todo, progress)
    if dry_run:
        return AddResult(todo.new, todo.changed, todo.gone)
    taken = _store(repo, stage, sorted(read), todo.gone, wait, progress)
    return AddResult(
        added=todo.new,
        modified=tuple(path for path in todo.changed if _differs(stage, taken[path])),
        removed=todo.gone,
        raw=sum(one.size for one in taken.values()),
        fresh=sum(one.fresh for one in taken.values()),
        stored=sum(one.stored for one in taken.values()),
    )


def _store(
    repo: Repository, stage: Stage, read: list[str], gone: Sequence[str], wait: float, progress: Progress
) -> dict[str, Ingested]:
    """Chunks, then Git objects, then the stage: each durable before the next (docs/architecture.md, "Writing")."""
    standing = stage.items()
    chunks = open_chunks(repo)
    settle(chunks, progress)
    started = time.time_ns()
    with chunks.intend("add") as intent:
        with chunks.writer(intent) as writer, repo.objects.batch(keep=stage_label(repo)) as batch:
            taken = ingest(repo, writer, batch, read, standing=standing, progress=progress)
            batch.seal()
        with edit_stage(repo, wait=wait) as fresh_stage:
            intent.check()
            for one in taken:
                fresh_stage.put(entry_of(one, fresh_stage.get(one.path), started))
            for path in gone:
                fresh_stage.remove(path)
            update_ignore_file(repo, fresh_stage)
    return {one.path: one for one in taken}


def entry_of(one: Ingested, before: StageEntry | None, started: int) -> StageEntry:
    """The stage's entry for a file that was read at the time `started` (ns) or later, in the place of `before`."""
    stored = one.stored + (before.stored if before is not None and before.id == one.id else 0)
    # A file as new as its reading may have changed since and look the same.
    stat = stat_of(one.stat)
    known = None if is_fresh(stat, started) else stat
    return StageEntry(one.path, one.mode, one.id, one.size, one.blake3, known, stored=stored)


def _choose(repo: Repository, stage: Stage, pathspec: Pathspec, update: bool, force: bool, progress: Progress) -> _Todo:
    untracked = Untracked.NO if update else Untracked.ALL
    found = scan(repo, stage, pathspec, untracked=untracked, list_ignored=not update, check_content=False)
    for odd in found.odd:
        progress.warn(f"'{odd}' is neither a file nor a link: left out")
    new = list(found.untracked)
    if force:
        new += _expand(repo, found.ignored)
    conflicts = [path for path in stage.conflicts() if pathspec.matches(path)]
    there = [path for path in conflicts if _is_no_folder(repo.require_worktree() / path)]
    _refuse_unmatched(pathspec, stage, found, [*new, *conflicts], force)
    changed = sorted({*found.modified, *found.typechanged, *there})
    gone = sorted({*found.deleted, *(set(conflicts) - set(there))})
    return _Todo(tuple(sorted(set(new))), tuple(changed), tuple(gone))


def _is_no_folder(place: Path) -> bool:
    """Whether a file or link is there. A conflict whose path is a folder by now is settled for the folder."""
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())


def _refuse_unmatched(pathspec: Pathspec, stage: Stage, found: Scan, others: list[str], force: bool) -> None:
    if pathspec.everything:
        return
    missing = pathspec.unmatched([*stage.paths(), *others])
    if missing and not force:
        ignored = [path.rstrip("/") for path in found.ignored]
        hidden = [spec for spec in missing if spec not in pathspec.unmatched(ignored)]
        if hidden:
            raise Refused(f"'{hidden[0]}' is ignored by .mvcignore", hint=f"mvc add --force {hidden[0]}")
    if missing:
        raise NotFound(f"'{missing[0]}' did not match any files")


def _expand(repo: Repository, ignored: Sequence[str]) -> list[str]:
    """Ignored paths as files: those of a folder one by one."""
    files: list[str] = []
    top = os.fspath(repo.require_worktree())
    for path in ignored:
        if not path.endswith("/"):
            files.append(path)
            continue
        for folder, folders, names in os.walk(os.path.join(top, path)):
            folders[:] = [name for name in folders if name not in (".mvc", ".git")]
            relative = os.path.relpath(folder, top).replace(os.sep, "/")
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            files.extend(f"{relative}/{name}" for name in [*names, *links])
    return files


def _differs(stage: Stage, one: Ingested) -> bool:
    entry = stage.get(one.path)
    return entry is None or (entry.mode, entry.id) != (one.mode, one.id)


def _warn_of_names(stage: Stage, todo: _Todo, progress: Progress) -> None:
    if todo.new:
        staying = set(stage.paths()) - set(todo.gone)
        for warning in portability.warnings(todo.new, others=staying):
            progress.warn(f"'{warning.path}' {warning.reason}")
