"""`mvc ls-files`: the files of the stage, or those that are not in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mvc.errors import NotFound
from mvc.progress import SILENT, Progress
from mvc.repo.locking import read_stage
from mvc.repo.pathbytes import in_order
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage, StageEntry


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files; without any, the staged ones."""

    cached: bool = False
    modified: bool = False
    deleted: bool = False
    others: bool = False
    ignored: bool = False
    """Of the others, those that are ignored; else those that are not."""
    unmerged: bool = False
    error_unmatch: bool = False
    """A path spec that means no file is an error."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A path, and its entry if it is staged."""

    path: str
    entry: StageEntry | None


def ls_files(
    repo: Repository,
    specs: Sequence[str] = (),
    selection: Selection = Selection(),
    *,
    prefix: str = "",
    progress: Progress = SILENT,
) -> tuple[ListedFile, ...]:
    """The files that are meant, ordered by path; a path in conflict once for each of its versions.

    Raises NotFound for a spec that means no file, with `error_unmatch`.
    """
    pathspec = Pathspec.parse(specs or ([prefix and "."] if prefix else ()), prefix, repo.locate)
    stage = read_stage(repo)
    found = list(_select(repo, stage, pathspec, selection, progress))
    missing = pathspec.unmatched(file.path for file in found) if selection.error_unmatch else []
    if missing:
        raise NotFound(f"'{missing[0]}' did not match any files")
    return tuple(found)


def _select(
    repo: Repository, stage: Stage, pathspec: Pathspec, selection: Selection, progress: Progress
) -> Iterator[ListedFile]:
    conflicts = stage.conflicts()
    if selection.unmerged:
        wanted = set(conflicts)
    elif selection.modified or selection.deleted or selection.others:
        wanted = _scanned(repo, stage, pathspec, selection, progress)
        if selection.cached:
            wanted |= {*stage.paths(), *conflicts}
    else:
        wanted = {*stage.paths(), *conflicts}
    for path in pathspec.select(in_order(wanted)):
        for number in sorted(conflicts.get(path, ())):
            yield ListedFile(path, conflicts[path][number])
        if path not in conflicts:
            yield ListedFile(path, stage.get(path))


def _scanned(repo: Repository, stage: Stage, pathspec: Pathspec, selection: Selection, progress: Progress) -> set[str]:
    untracked = Untracked.ALL if selection.others else Untracked.NO
    found = scan(repo, stage, pathspec, untracked=untracked, list_ignored=selection.ignored, progress=progress)
    wanted: set[str] = set()
    if selection.modified:
        wanted.update(found.modified, found.deleted, found.typechanged)
    if selection.deleted:
        wanted.update(found.deleted)
    if selection.others:
        wanted.update(found.ignored if selection.ignored else found.untracked)
    return wanted
