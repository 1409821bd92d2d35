"""Operations that stopped half-way (merge, rebase, ...): their state files, as Git's, in the worktree's git_dir.

A name is a path below git_dir: `MERGE_HEAD`, `MERGE_MSG`, `rebase-merge/onto`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from mvc.fsio import make_dirs, unlink, write_atomic
from mvc.repo.removal import remove_tree
from mvc.repo.repository import Repository


class Operation(Enum):
    """What is unfinished; the value is the verb that continues or aborts it."""

    MERGE = "merge"
    REVERT = "revert"
    CHERRY_PICK = "cherry-pick"
    REBASE = "rebase"
    BISECT = "bisect"


REBASE_DIR = "rebase-merge"
SEQUENCER_DIR = "sequencer"
"""Of a cherry-pick or revert of several commits."""
_HEADS = {
    Operation.REVERT: "REVERT_HEAD",
    Operation.CHERRY_PICK: "CHERRY_PICK_HEAD",
    Operation.MERGE: "MERGE_HEAD",
}
"""Where each keeps the commit that it is about."""
_STATE = re.compile(r"(?:[A-Z]+_)?HEAD|BISECT_[A-Z]+|MERGE_AUTOSTASH")
_ID = re.compile(r"\b[0-9a-f]{40}\b")
_LARGEST = 64 * 1024 * 1024


class InProgress(NamedTuple):
    """An operation to be continued or aborted."""

    operation: Operation
    head: str | None
    """MERGE_HEAD, REVERT_HEAD, CHERRY_PICK_HEAD: the commit; for a rebase the one that it stopped at."""
    detail: str = ""
    """For people: the branch being rebased, the step."""


def current(repo: Repository) -> InProgress | None:
    """The unfinished operation, if any (BISECT only if there is no other)."""
    if (repo.git_dir / REBASE_DIR).is_dir():
        return InProgress(Operation.REBASE, read(repo, f"{REBASE_DIR}/stopped-sha"), _rebase_detail(repo))
    for operation, name in _HEADS.items():
        text = read(repo, name)
        if text:
            return InProgress(operation, text.split()[0])
    start = read(repo, "BISECT_START")
    return None if start is None else InProgress(Operation.BISECT, None, f"started from {start}")


def read(repo: Repository, name: str) -> str | None:
    """The text of a state file of this worktree, stripped at the end; None if absent."""
    try:
        with open(repo.git_dir / name, "rb") as file:
            return file.read(_LARGEST).decode("utf-8", "surrogateescape").rstrip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write(repo: Repository, files: Mapping[str, str]) -> None:
    """Write state files durably, each atomically, in the given order; folders are made."""
    for name, text in files.items():
        target = repo.git_dir / name
        make_dirs(target.parent)
        write_atomic(target, text.encode("utf-8", "surrogateescape"), tmp_dir=repo.tmp_dir)


def clear(repo: Repository, *names: str) -> None:
    """Remove state files or whole state folders; absent ones are fine."""
    for name in names:
        target = repo.git_dir / name
        if target.is_dir():
            remove_tree(target, repo.tmp_dir)
        else:
            unlink(target, missing_ok=True)


def state_objects(repo: Repository) -> list[str]:
    """All ids that the state files of this worktree name: gc keeps what they reach, where they exist."""
    found: dict[str, None] = {}
    for path in _state_files(repo.git_dir):
        try:
            with open(path, "rb") as file:
                found.update(dict.fromkeys(_ID.findall(file.read(_LARGEST).decode("ascii", "replace"))))
        except OSError:
            continue
    return list(found)


def _state_files(git_dir: Path) -> Iterator[Path]:
    for path in sorted(git_dir.iterdir()):
        if path.is_file() and _STATE.fullmatch(path.name):
            yield path
    for folder in (git_dir / REBASE_DIR, git_dir / SEQUENCER_DIR):
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.is_file())


def _rebase_detail(repo: Repository) -> str:
    branch = (read(repo, f"{REBASE_DIR}/head-name") or "").removeprefix("refs/heads/")
    step, steps = read(repo, f"{REBASE_DIR}/msgnum"), read(repo, f"{REBASE_DIR}/end")
    return f"{branch}, {step} of {steps}" if step and steps else branch
