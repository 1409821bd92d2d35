"""`mvc clean`: remove what is not versioned from the worktree."""

from __future__ import annotations

import stat as modes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mvc.progress import SILENT, Progress
from mvc.repo.folders import Folders
from mvc.repo.ignore import LEFTOVER_PREFIX
from mvc.repo.locking import edit_stage, read_stage
from mvc.repo.pathbytes import in_order
from mvc.repo.pathspec import Pathspec, above
from mvc.repo.place import Placer
from mvc.repo.repository import MVC_DIR, Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage

_REPOSITORY = frozenset((MVC_DIR, ".git"))
"""What makes a folder another repository: cleaning is that one's business."""


@dataclass(frozen=True, slots=True)
class CleanOptions:
    """What goes beside untracked files."""

    folders: bool = False
    """Untracked folders too, with all that is in them (`-d`)."""
    ignored: bool = False
    """Ignored files too (`-x`)."""
    only_ignored: bool = False
    """Ignored files alone (`-X`)."""


@dataclass(frozen=True, slots=True)
class CleanResult:
    """What was removed (or with a dry run would be), ordered by path."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    """Folders that go since nothing is left in them."""
    size: int
    """Bytes of the files."""


def find_garbage(
    repo: Repository,
    specs: Sequence[str] = (),
    options: CleanOptions = CleanOptions(),
    *,
    prefix: str = "",
) -> CleanResult:
    """What `clean` would remove. What mvc or an outer Git project tracks is never among it, nor another repository."""
    stage = read_stage(repo)
    pathspec = Pathspec.parse(specs or ((".",) if prefix else ()), prefix, repo.locate)
    found = scan(repo, stage, pathspec, untracked=Untracked.ALL, list_ignored=True, check_content=False)
    with Folders(repo.require_worktree()) as folders:
        leftovers = [path for path in found.ignored if path.rpartition("/")[2].startswith(LEFTOVER_PREFIX)]
        chosen = [*(() if options.only_ignored else found.untracked), *leftovers]
        if options.ignored or options.only_ignored:
            chosen += found.ignored
        tracked = stage.folders()
        may_go = [path for path in set(chosen) if _may_go(path, tracked, options, specs)]
        files = in_order(_outside_repositories(folders, may_go))
        size = sum(there.st_size for path in files if (there := folders.lstat(path)) is not None)
        empty = in_order(_emptied(folders, stage, pathspec, frozenset(files))) if options.folders else []
    return CleanResult(tuple(files), tuple(empty), size)


def clean(repo: Repository, garbage: CleanResult, *, wait: float = 0.0, progress: Progress = SILENT) -> CleanResult:
    """Remove what `find_garbage` found, but for what was staged meanwhile. Returns what is gone."""
    gone: list[str] = []
    with edit_stage(repo, wait=wait, what="clean") as stage, Placer(repo.require_worktree()) as placer:
        progress.begin("removing", len(garbage.files), "files")
        for path in garbage.files:
            if path not in stage and path not in stage.conflicts() and placer.remove(path, keep_folders=True):
                gone.append(path)
            progress.advance(1)
        progress.end()
        folders = [path for path in reversed(garbage.folders) if placer.remove_folder(path)]
    return CleanResult(tuple(gone), tuple(reversed(folders)), garbage.size)


def _may_go(path: str, tracked_folders: set[str], options: CleanOptions, specs: Sequence[str]) -> bool:
    """Without `-d`, only files beside tracked ones go, as in Git, and those that were named."""
    folder = path.rpartition("/")[0]
    return options.folders or bool(specs) or not folder or folder in tracked_folders


def _outside_repositories(folders: Folders, paths: Iterable[str]) -> Iterator[str]:
    """Those that lie in no Git repository below the top: cleaning is that one's business."""
    known: dict[str, bool] = {}

    def is_repository(folder: str) -> bool:
        if folder not in known:
            known[folder] = folders.lstat(f"{folder}/.git") is not None
        return known[folder]

    return (path for path in paths if not any(map(is_repository, above(path))))


def _emptied(folders: Folders, stage: Stage, pathspec: Pathspec, going: frozenset[str]) -> list[str]:
    """Folders without anything tracked that hold nothing, or nothing but what goes."""
    tracked = {*stage.folders(), *(folder for path in stage.conflicts() for folder in above(path))}
    found: list[str] = []

    def empties(folder: str) -> bool:
        names = folders.get(folder).names()
        if folder and not _REPOSITORY.isdisjoint(names):
            return False
        empty = True
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if path in going or name in _REPOSITORY:
                continue
            there = folders.lstat(path)
            is_folder = there is not None and modes.S_ISDIR(there.st_mode)
            if is_folder and path in tracked:
                empties(path)
                empty = False
            elif not (is_folder and pathspec.may_contain(path) and empties(path)):
                empty = False
        if empty and folder and folder not in tracked and pathspec.covers(folder):
            found.append(folder)
        return empty

    empties("")
    return found


def names(result: CleanResult) -> Iterator[str]:
    """All that goes, as Git lists it: files, and folders with a slash."""
    yield from in_order([*result.files, *(folder + "/" for folder in result.folders)])
