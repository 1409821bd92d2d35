"""Linked worktrees: several folders of files on one repository, laid out as Git's.

.mvc/worktrees/NAME/commondir    ../..
                    gitdir       where the worktree's file `.mvc` is
                    HEAD         its branch, or commit
                    stage, logs/, state files
WORKTREE/.mvc                    mvcdir: /path/to/.mvc/worktrees/NAME
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mvc.errors import NotFound, Refused
from mvc.fsio import fsync_dir, make_dirs, write_atomic
from mvc.repo.removal import remove_tree
from mvc.repo.repository import LINK_PREFIX, MVC_DIR, Repository

_HEADS = "refs/heads/"


class LinkedWorktree(NamedTuple):
    """A worktree beside the main one."""

    name: str
    git_dir: Path
    worktree: Path
    """As its file gitdir says; it may be gone."""
    locked: str | None
    """The reason in its file `locked` (perhaps ""), None if it is not locked: never pruned."""

    @property
    def gone(self) -> bool:
        """Is there no worktree any more that points here?"""
        return not (self.worktree / MVC_DIR).is_file()


def list_worktrees(repo: Repository) -> list[LinkedWorktree]:
    """The linked ones, by name."""
    folder = repo.common_dir / "worktrees"
    if not folder.is_dir():
        return []
    return [_describe(path) for path in sorted(folder.iterdir()) if path.is_dir()]


def find_worktree(repo: Repository, name: str) -> LinkedWorktree:
    """The linked worktree with this name or at this path; raises NotFound."""
    target = Path(os.path.abspath(name))
    for worktree in list_worktrees(repo):
        if worktree.name == name or worktree.worktree == target:
            return worktree
    raise NotFound(f"there is no worktree {name}", hint="mvc worktree list")


def add_worktree(
    repo: Repository, path: Path, *, branch: str | None, commit: str, standing: bool = False
) -> Repository:
    """Make the folder `path` (absent or empty; with `standing` one that holds files, but no `.mvc`) with `.mvc` as
    file, and its HEAD: on `branch` (`main` or `refs/heads/main`), or detached at `commit` where it is None.

    Its stage is empty: whoever calls checks out. Raises Refused where something is in the way.
    """
    path = Path(os.path.abspath(path))
    in_the_way = os.path.lexists(path / MVC_DIR) if standing else path.is_dir() and any(path.iterdir())
    if path.exists() and (not path.is_dir() or in_the_way):
        raise Refused(f"{path} is there already, and not empty")
    full = branch if branch is None or branch.startswith(_HEADS) else _HEADS + branch
    if full is not None and full in checked_out(repo):
        raise Refused(f"{full.removeprefix(_HEADS)} is checked out in {checked_out(repo)[full]}")
    git_dir = _new_git_dir(repo, path.name)
    head = f"ref: {full}" if full else commit
    for name, text in (("commondir", "../.."), ("gitdir", os.fspath(path / MVC_DIR)), ("HEAD", head)):
        write_atomic(git_dir / name, os.fsencode(text) + b"\n", tmp_dir=repo.tmp_dir)
    make_dirs(path)
    # Last, since it makes the folder a worktree.
    write_atomic(path / MVC_DIR, os.fsencode(f"{LINK_PREFIX}{git_dir}\n"))
    made = Repository.open(path)
    return replace(made, settings=repo.settings, missing_chunks=repo.missing_chunks, promised=repo.promised)


def drop_worktree(repo: Repository, name: str) -> None:
    """Forget a linked worktree: removes `.mvc/worktrees/NAME`, not the files. Raises NotFound."""
    remove_tree(find_worktree(repo, name).git_dir, repo.tmp_dir)


def checked_out(repo: Repository) -> dict[str, Path]:
    """The branches (full names) that worktrees are on, each with its worktree. One is never on two."""
    found: dict[str, Path] = {}
    for git_dir in all_git_dirs(repo):
        try:
            head = (git_dir / "HEAD").read_bytes()
        except FileNotFoundError:
            continue
        if head.startswith(b"ref: "):
            top = repo.common_dir.parent if git_dir == repo.common_dir else _describe(git_dir).worktree
            found[os.fsdecode(head[5:]).strip()] = top
    return found


def all_git_dirs(repo: Repository) -> list[Path]:
    """The git_dir of every worktree, the main one first: gc looks at each one's HEAD, stage, logs, state files."""
    return [repo.common_dir, *(worktree.git_dir for worktree in list_worktrees(repo))]


def _describe(git_dir: Path) -> LinkedWorktree:
    gitdir = _text(git_dir / "gitdir")
    worktree = Path(gitdir).parent if gitdir else git_dir
    return LinkedWorktree(git_dir.name, git_dir, worktree, _text(git_dir / "locked"))


def _text(path: Path) -> str | None:
    try:
        return os.fsdecode(path.read_bytes()).rstrip("\r\n")
    except FileNotFoundError:
        return None


def _new_git_dir(repo: Repository, name: str) -> Path:
    """A new folder `.mvc/worktrees/NAME`, numbered if the name is taken."""
    folder = repo.common_dir / "worktrees"
    make_dirs(folder)
    safe = "".join(char if char.isalnum() or char in "-_." else "-" for char in name).strip(".") or "worktree"
    for number in range(1000):
        target = folder / (f"{safe}{number}" if number else safe)
        try:
            target.mkdir()
        except FileExistsError:
            continue
        fsync_dir(folder)
        return target
    raise Refused(f"there are too many worktrees named {name}")
