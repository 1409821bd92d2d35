"""What Git would do, as a few dictionaries: the model that the state machine holds mvc against.

Files are path to content; nothing is stored, hashed or written. Folders and files do not change
places here (tests/ops/test_switch.py does that).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Files = dict[str, str]


@dataclass(frozen=True)
class Commit:
    number: int
    parents: tuple[int, ...]
    files: Files
    subject: str


@dataclass(frozen=True)
class Merged:
    files: Files
    conflicts: frozenset[str]


@dataclass(frozen=True)
class Stash:
    base: int
    files: Files


@dataclass
class Model:
    """A repository with one worktree. `head` is a branch, or a commit's number where it is detached."""

    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, int] = field(default_factory=dict)
    head: str | int = "main"
    stage: Files = field(default_factory=dict)
    worktree: Files = field(default_factory=dict)
    stashes: list[Stash] = field(default_factory=list)

    @property
    def at(self) -> Commit:
        return self.commits[self.branches[self.head] if isinstance(self.head, str) else self.head]

    def commit(self, subject: str, files: Files, parents: Iterable[int]) -> Commit:
        made = Commit(len(self.commits), tuple(parents), dict(files), subject)
        self.commits.append(made)
        self.move(made.number)
        return made

    def move(self, number: int) -> None:
        """HEAD's branch, or a detached HEAD, goes to a commit."""
        if isinstance(self.head, str):
            self.branches[self.head] = number
        else:
            self.head = number

    # -- what differs

    def staged(self, files: Files | None = None) -> set[str]:
        """Where the stage differs from HEAD (or from `files`)."""
        return differing(self.stage, self.at.files if files is None else files)

    def dirty(self) -> set[str]:
        """Tracked files that differ from the stage."""
        return {path for path, content in self.stage.items() if self.worktree.get(path) != content}

    # -- going elsewhere

    def blocked(self, old: Files, new: Files) -> set[str]:
        """What stands in the way of going from one tree to another, by Git's two-tree rule."""
        return {path for path in differing(old, new) if not self._may_change(path, old, new)}

    def _may_change(self, path: str, old: Files, new: Files) -> bool:
        staged, there = self.stage.get(path), self.worktree.get(path)
        if staged == new.get(path) or (there is not None and there == new.get(path)):
            return True
        return staged == old.get(path) and (there is None or there == old.get(path))

    def go(self, old: Files, new: Files) -> None:
        """Go there; nothing is in the way. What both trees hold alike stays as it is."""
        for path in differing(old, new):
            if self.stage.get(path) != new.get(path):
                put(self.stage, path, new.get(path))
                put(self.worktree, path, new.get(path))

    def go_by_force(self, new: Files) -> None:
        """Tracked files are as in `new`; what is not tracked stays."""
        for path in {*self.stage, *new}:
            put(self.worktree, path, new.get(path))
        self.stage = dict(new)

    # -- history

    def ancestors(self, number: int) -> set[int]:
        found: set[int] = set()
        todo = [number]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo.extend(self.commits[one].parents)
        return found

    def merge_bases(self, one: int, two: int) -> list[int]:
        common = self.ancestors(one) & self.ancestors(two)
        return [c for c in common if not any(c in self.ancestors(d) for d in common - {c})]

    def change(self, commit: Commit) -> frozenset[tuple[str, str | None, str | None]]:
        """What a commit changes with respect to its first parent."""
        before = self.commits[commit.parents[0]].files if commit.parents else {}
        return frozenset((p, before.get(p), commit.files.get(p)) for p in differing(before, commit.files))


def differing(one: Mapping[str, str], two: Mapping[str, str]) -> set[str]:
    return {path for path in {*one, *two} if one.get(path) != two.get(path)}


def put(files: Files, path: str, content: str | None) -> None:
    if content is None:
        files.pop(path, None)
    else:
        files[path] = content


def merge(base: Files, ours: Files, theirs: Files) -> Merged:
    """Three-way by path; in conflict, ours stays, or theirs where we have removed it."""
    files: Files = {}
    conflicts = set()
    for path in {*base, *ours, *theirs}:
        before, us, them = base.get(path), ours.get(path), theirs.get(path)
        if us in (them, before):
            put(files, path, them)
        elif them == before:
            put(files, path, us)
        else:
            conflicts.add(path)
            put(files, path, us if us is not None else them)
    return Merged(files, frozenset(conflicts))
