"""The second pass of a scan: what lies in the worktree and is not staged."""

from __future__ import annotations

import stat as modes
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cached_property

from mvc.errors import UnsafePath
from mvc.objects.outergit import LOCK_FILE, GitTracked, git_tracked
from mvc.objects.paths import check_name, folds_alike
from mvc.repo.folders import Folders
from mvc.repo.ignore import Ignore
from mvc.repo.pathbytes import in_order
from mvc.repo.pathspec import Pathspec, above
from mvc.repo.repository import MVC_DIR, Repository
from mvc.repo.stage import Stage

GIT_OWN = frozenset((".gitignore", ".gitattributes", ".gitmodules"))
"""Files that belong to Git in a Git project, whether it tracks them yet or not."""

_VERSIONED = (modes.S_IFREG, modes.S_IFLNK)


class Untracked(Enum):
    """Which files that are not staged are listed."""

    NO = "no"
    NORMAL = "normal"
    """A folder with nothing tracked in it is listed as one, `folder/`."""
    ALL = "all"


class _Kind(Enum):
    UNTRACKED = 0
    IGNORED = 1
    ODD = 2


_UNTRACKED, _IGNORED, _ODD = _Kind
Finding = tuple[_Kind, str]


class Found:
    """What a walk found, by kind; ordered."""

    def __init__(self) -> None:
        self._untracked: list[str] = []
        self._ignored: list[str] = []
        self._odd: list[str] = []

    def add(self, finding: Finding) -> None:
        kind, path = finding
        found = self._untracked if kind is _UNTRACKED else self._ignored if kind is _IGNORED else self._odd
        found.append(path)

    @property
    def untracked(self) -> tuple[str, ...]:
        return tuple(in_order(self._untracked))

    @property
    def ignored(self) -> tuple[str, ...]:
        return tuple(in_order(self._ignored))

    @property
    def odd(self) -> tuple[str, ...]:
        return tuple(in_order(self._odd))


class Walk:
    """One walk over the folders of a worktree."""

    def __init__(
        self,
        repo: Repository,
        folders: Folders,
        stage: Stage,
        become_folders: set[str],
        pathspec: Pathspec,
        untracked: Untracked,
        list_ignored: bool,
    ) -> None:
        """`become_folders`: staged files where a folder stands now."""
        self._repo = repo
        self._folders = folders
        self._pathspec = pathspec
        self._mode = untracked
        self._list_ignored = list_ignored
        self._tracked = set(stage.paths()) - become_folders
        self._tracked_folders = stage.folders()
        for path in stage.conflicts():
            self._tracked.add(path)
            self._tracked_folders = self._tracked_folders | set(above(path))
        self._fold: Callable[[str], str] | None = folds_alike if repo.settings.ignore_case else None
        if self._fold is not None:
            self._tracked = {*self._tracked, *map(self._fold, self._tracked)}
            self._tracked_folders = {*self._tracked_folders, *map(self._fold, self._tracked_folders)}

    @cached_property
    def _ignore(self) -> Ignore:
        return Ignore.of(self._repo, self._folders)

    @cached_property
    def _git(self) -> GitTracked | None:
        """What Git tracks, or None outside of a Git project. Only asked for when something is not staged."""
        project = self._repo.git_project
        if project is None:
            return None
        below = self._repo.require_worktree().relative_to(project).as_posix()
        return git_tracked(project, "" if below == "." else below)

    def run(self) -> Found:
        """Walk from the top."""
        found = Found()
        pending = [""]
        while pending:
            folder = pending.pop()
            prefix = folder + "/" if folder else ""
            try:
                names = self._folders.get(folder).names()
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                # A folder is staged where a link or file stands now.
                self._report(folder, found)
                continue
            tracked = self._tracked
            for path in [path for path in map(prefix.__add__, names) if path not in tracked]:
                if self._fold is not None and self._fold(path) in tracked:
                    continue
                if self._is_tracked_folder(path):
                    if self._pathspec.may_contain(path):
                        pending.append(path)
                else:
                    self._report(path, found)
        return found

    def _is_tracked_folder(self, path: str) -> bool:
        folders = self._tracked_folders
        return path in folders or (self._fold is not None and self._fold(path) in folders)

    def _report(self, path: str, found: Found) -> None:
        """Say what `path` is, which is not staged: a file, or a folder with nothing staged in it."""
        there = self._folders.lstat(path)
        if there is None:
            return
        for finding in self._look(path, modes.S_IFMT(there.st_mode)):
            if finding[0] is _IGNORED and not self._list_ignored:
                continue
            if self._pathspec.everything or self._pathspec.matches(finding[1].rstrip("/")):
                found.add(finding)

    def _look(self, path: str, kind: int) -> Iterator[Finding]:
        """`kind` is its S_IFMT."""
        name = path.rpartition("/")[2]
        if name == MVC_DIR or self._is_gits(path, name):
            return
        is_folder = kind == modes.S_IFDIR
        try:
            check_name(name)
        except UnsafePath:
            if name != ".git":
                yield _ODD, path
            return
        ignored = self._ignore.matches(path, is_folder=is_folder)
        if is_folder:
            yield from self._look_into(path, ignored)
        elif kind in _VERSIONED:
            yield (_IGNORED if ignored else _UNTRACKED), path
        elif not ignored:
            yield _ODD, path

    def _look_into(self, folder: str, ignored: bool) -> Iterator[Finding]:
        """A folder with nothing staged in it; in the normal mode named as a whole where that is true of it."""
        if not self._pathspec.may_contain(folder) or self._is_repository(folder):
            return
        if ignored and not self._list_ignored:
            return
        whole = self._mode is not Untracked.ALL and self._pathspec.covers(folder)
        if ignored:
            inside = ((_IGNORED, path) for path in self._all_files(folder))
            first = next(inside, None)
            if first is not None:
                yield from ((_IGNORED, folder + "/"),) if whole else (first, *inside)
            return
        findings = self._inside(folder)
        if not whole:
            yield from findings
            return
        rest: list[Finding] = []
        untracked = False
        for finding in findings:
            untracked = untracked or finding[0] is _UNTRACKED
            if untracked and not self._list_ignored:
                break
            rest.append(finding)
        if untracked:
            yield _UNTRACKED, folder + "/"
            yield from (finding for finding in rest if finding[0] is not _UNTRACKED)
        elif any(kind is _IGNORED for kind, _ in rest):
            yield _IGNORED, folder + "/"
        yield from (finding for finding in rest if finding[0] is _ODD and not untracked)

    def _is_repository(self, folder: str) -> bool:
        """Is the folder the worktree of another repository? (One that `mvc get` filled also has a `.mvc`.)"""
        inner = self._folders.lstat(f"{folder}/{MVC_DIR}")
        if inner is None or modes.S_IFMT(inner.st_mode) != modes.S_IFDIR:
            return inner is not None
        return self._folders.lstat(f"{folder}/{MVC_DIR}/HEAD") is not None

    def _inside(self, folder: str) -> Iterator[Finding]:
        for path, kind in self._kinds(folder):
            yield from self._look(path, kind)

    def _all_files(self, folder: str) -> Iterator[str]:
        """Every file below an ignored folder."""
        for path, kind in self._kinds(folder):
            name = path.rpartition("/")[2]
            if name in (MVC_DIR, ".git") or self._is_gits(path, name):
                continue
            if kind == modes.S_IFDIR:
                yield from self._all_files(path)
            elif kind in _VERSIONED:
                yield path

    def _kinds(self, folder: str) -> list[tuple[str, int]]:
        """What is in a folder: paths in order, each with its S_IFMT."""
        try:
            kinds = dict(self._folders.get(folder).kinds())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [(f"{folder}/{name}", kinds[name]) for name in in_order(kinds)]

    def _is_gits(self, path: str, name: str) -> bool:
        """Does the path belong to an outer Git project?"""
        git = self._git
        return git is not None and (name in GIT_OWN or path == LOCK_FILE or git.holds(path))
