"""The Git project around: where it is, and real git run in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import NotARepository, Refused
from mvc.objects.outergit import LOCK_FILE


@dataclass(frozen=True, slots=True)
class Project:
    """A Git project, as git itself sees it from where it was asked.

    `top` is the worktree's top folder, None in a bare repository. `common_dir` is what all its worktrees share.
    """

    top: Path | None
    git_dir: Path
    common_dir: Path

    @property
    def folder(self) -> Path:
        """Where git is to be run: hooks start there, too."""
        return self.top or self.git_dir

    @property
    def is_linked(self) -> bool:
        """Is this a linked worktree (`git worktree add`)?"""
        return self.git_dir != self.common_dir

    def require_top(self) -> Path:
        """Raises Refused in a bare repository."""
        if self.top is None:
            raise Refused("this Git repository is bare: it has no files that models could go with")
        return self.top

    def main_top(self) -> Path | None:
        """The top folder of the main worktree; None where that is bare."""
        rows = ask(self.folder, "worktree", "list", "--porcelain", "-z")
        if rows is None:  # git before 2.36
            rows = (ask(self.folder, "worktree", "list", "--porcelain") or b"").replace(b"\n", b"\0")
        lines = rows.split(b"\0\0", 1)[0].split(b"\0")
        if b"bare" in lines or not lines[0].startswith(b"worktree "):
            return None
        return Path(os.fsdecode(lines[0].removeprefix(b"worktree ")))

    def in_progress(self, *names: str) -> bool:
        """Is there one of these state files or folders of an operation that is not finished (`rebase-merge`)?"""
        return any((self.git_dir / name).exists() for name in names)

    def rebased_branch(self) -> str | None:
        """The branch of a rebase that has nothing left to do but to put HEAD back on it: one that only went forward,
        for which Git runs no hook later. None: there is none such."""
        state = self.git_dir / "rebase-merge"
        try:
            steps = (state / "git-rebase-todo").read_bytes().splitlines()
            name = os.fsdecode((state / "head-name").read_bytes()).strip()
        except OSError:
            return None
        left = [step for step in steps if step.strip() and not step.startswith((b"#", b"noop"))]
        return name.removeprefix("refs/heads/") if not left and name.startswith("refs/heads/") else None


def find_project(start: Path) -> Project:
    """The Git project that `start` lies in. Raises NotARepository, Refused where there is no git."""
    found = ask(start, "rev-parse", "--is-bare-repository", "--absolute-git-dir", "--git-common-dir")
    if found is None:
        raise NotARepository(f"{start} is in no Git project", hint="git init")
    # No folder's name ends with a line end in what follows, as each is asked for alone.
    bare = found.split(b"\n", 1)[0] == b"true"
    git_dir = _folder(start, "--absolute-git-dir")
    top = None if bare else _folder(start, "--show-toplevel")
    return Project(top, git_dir, _folder(start, "--git-common-dir"))


def git_path(project: Project, name: str) -> Path:
    """Where git looks for `hooks` or `info/attributes`: it knows of `core.hooksPath`, worktrees and submodules."""
    found = ask(project.folder, "rev-parse", "--git-path", name)
    if found is None:
        raise Refused(f"git does not say where its {name} are")
    # A relative one (core.hooksPath too) starts where hooks run.
    return Path(os.path.normpath(project.folder / os.path.expanduser(os.fsdecode(_line(found)))))


def lock_folders(project: Project) -> list[str]:
    """The folders (from the top; "" is the top) for which Git tracks a `mvc.lock`, or in which one lies at the top."""
    top = project.top
    if top is None:
        return []
    rows = ask(top, "ls-files", "-z", "--", LOCK_FILE, f"*/{LOCK_FILE}") or b""
    paths = {os.fsdecode(row) for row in rows.split(b"\0") if row}
    if (top / LOCK_FILE).is_file():
        paths.add(LOCK_FILE)
    return sorted(path.removesuffix(LOCK_FILE).rstrip("/") for path in paths if os.path.basename(path) == LOCK_FILE)


def run(folder: Path, *arguments: str, data: bytes = b"") -> bytes:
    """What `git ARGUMENTS` prints, run in `folder`. Raises Refused with git's own last line where it fails."""
    done = _run(folder, arguments, data)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Refused(f"git {arguments[0]}: {lines[-1] if lines else f'exit {done.returncode}'}")
    return done.stdout


def ask(folder: Path, *arguments: str, data: bytes = b"") -> bytes | None:
    """The same, but None where git says no."""
    done = _run(folder, arguments, data)
    return None if done.returncode else done.stdout


def _run(folder: Path, arguments: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=folder, input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise Refused("git could not be run", hint="install git") from error


def _folder(start: Path, question: str) -> Path:
    found = run(start, "rev-parse", question)
    return Path(os.path.realpath(start / os.fsdecode(_line(found))))


def _line(text: bytes) -> bytes:
    """Without the line end that git puts behind it (a name may hold some of its own)."""
    return text.removesuffix(b"\n")
