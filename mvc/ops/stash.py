"""`mvc stash`: changes put aside as commits on `refs/stash`, as Git does it.

A stash is a commit of the worktree's tracked files; its parents are HEAD's commit, a commit of the
stage and, with untracked files, one of those. The list of stashes is the reflog of `refs/stash`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvc.errors import NotFound, Refused, WouldOverwrite
from mvc.lazy import load
from mvc.objects import reflog, trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.merge import Conflict
from mvc.objects.model import EMPTY_TREE, Commit, TreeItem
from mvc.objects.refs import RefChange
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths, scan_paths, staged_differences
from mvc.ops.landing import land
from mvc.ops.record import require_head, require_settled, staged_tree
from mvc.ops.three_way import ThreeWay, three_way
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import restore_paths
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage

REF = "refs/stash"
STORING = {"store": "mvc.ops.store_files:store_files"}
"""Loaded when files must be stored, as that takes numpy and zstandard."""


@dataclass(frozen=True, slots=True)
class StashEntry:
    """A stash: `stash@{index}`."""

    index: int
    commit: str
    message: str
    time: int

    @property
    def name(self) -> str:
        return f"stash@{{{self.index}}}"


@dataclass(frozen=True, slots=True)
class PushResult:
    """`commit` is None when there was nothing to put aside."""

    commit: str | None
    message: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What came back. With conflicts the stash is kept, also by `pop`."""

    entry: StashEntry
    restored: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    dropped: bool


@dataclass(frozen=True, slots=True)
class ShownStash:
    """The trees that `stash show` compares, and that of the untracked files, if there are some."""

    entry: StashEntry
    before: str
    after: str
    untracked: str | None


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to put aside. `keep_stage`: what is staged stays, in stage and worktree."""

    message: str | None = None
    untracked: bool = False
    keep_stage: bool = False


def push(
    repo: Repository,
    options: PushOptions = PushOptions(),
    specs: Sequence[str] = (),
    *,
    prefix: str = "",
    caller: Caller,
) -> PushResult:
    """Put changes of tracked files (with `untracked` of others too) aside, and take worktree and stage back to HEAD.

    With path specs only what those mean. The stash is a commit before any file is touched.
    """
    pathspec = Pathspec.parse(specs, prefix, repo.locate)
    with edit_stage(repo, wait=caller.wait, what="stash") as stage:
        require_settled(repo, stage, "stash")
        head = require_head(repo)
        listing = Untracked.ALL if options.untracked else Untracked.NO
        found = scan(repo, stage, pathspec, untracked=listing, progress=caller.progress)
        staged = pathspec.select(staged_differences(repo, stage, head.tree))
        # Unstaged by `rm --cached`, its file still there: HEAD's will take its place, so it is put aside as well.
        unstaged = [path for path in staged if path not in stage and _lexists(repo.require_worktree(), path)]
        dirty = sorted({*changed_paths(found), *unstaged})
        others = tuple(path for path in found.untracked if path not in unstaged)
        paths = tuple(sorted({*dirty, *staged, *others}))
        if specs and not paths:
            _refuse_unknown(pathspec, stage)
        subject = _subject(repo, head, options.message)
        if not paths:
            return PushResult(None, subject)
        stash = _write(repo, stage, head, (dirty, staged, others), subject, caller)
        # The reflog is the list: a stash that is not logged would be lost with the next one.
        change = RefChange(REF, repo.refs.read(REF), stash)
        repo.refs.update([change], message=subject, author=caller.who)
        _put_back(repo, stage, head, (dirty, staged, others), options.keep_stage, caller)
    return PushResult(stash, subject, paths)


def entries(repo: Repository) -> list[StashEntry]:
    """All stashes, the newest first."""
    if repo.refs.read(REF) is None:
        return []
    log = reflog.read(repo.refs.reflog_path(REF))
    return [StashEntry(index, entry.new, entry.message, entry.who.time) for index, entry in enumerate(log) if entry.new]


def apply(
    repo: Repository, name: str | None = None, *, with_stage: bool = False, drop_after: bool = False, caller: Caller
) -> ApplyResult:
    """Bring a stash back on top of what is there now: a three-way merge by path.

    With `with_stage` what was staged is staged again; otherwise only new files are. `drop_after`: as
    `pop`, unless there are conflicts. Raises WouldOverwrite for local changes to the same paths.
    """
    entry = find(repo, name)
    with edit_stage(repo, wait=caller.wait, what="stash apply") as stage:
        require_settled(repo, stage, "apply a stash")
        made = repo.objects.commit(entry.commit)
        _check_shape(made)
        base = repo.objects.commit(made.parents[0])
        with repo.objects.batch() as batch:
            ours = staged_tree(batch, stage, base.tree)
            merge = three_way(batch.reader, base.tree, ours, made.tree)
            again = _staged_again(batch, made, base, ours) if with_stage else None
            batch.seal()
        untracked = _untracked_items(repo, made)
        _refuse_in_the_way(repo, stage, untracked)
        before = stage.items()
        dirty = changed_paths(scan_paths(repo, stage, merge.changes, caller))
        if dirty:
            raise WouldOverwrite(
                "your local changes would be overwritten", paths=dirty, hint="commit or stash them first"
            )
        land(repo, stage, ours, merge, caller)
        restore_paths(repo, stage, untracked, to_stage=False, to_worktree=True, progress=caller.progress)
        if not merge.conflicts:
            _unstage(repo, stage, before, merge, again, caller)
    dropped = drop_after and not merge.conflicts
    if dropped:
        drop(repo, entry.name, caller=caller)
    restored = (*merge.changes, *untracked)
    return ApplyResult(entry, tuple(sorted(restored)), merge.conflicts, dropped)


def drop(repo: Repository, name: str | None = None, *, caller: Caller) -> StashEntry:
    """Forget one stash."""
    entry = find(repo, name)
    every = entries(repo)
    if len(every) == 1:
        clear(repo, caller=caller)
        return entry
    gone = {entry.index}
    if entry.index == 0:
        # The ref first: its log then has one entry more, which goes together with the stash.
        change = RefChange(REF, entry.commit, every[1].commit)
        repo.refs.update([change], message=every[1].message, author=caller.who)
        gone = {0, 1}
    total = len(reflog.read(repo.refs.reflog_path(REF)))
    oldest_first = itertools.count(total - 1, -1)
    repo.refs.expire_log(REF, lambda _entry: next(oldest_first) not in gone)
    return entry


def clear(repo: Repository, *, caller: Caller) -> int:
    """Forget all stashes; returns how many there were."""
    count = len(entries(repo))
    old = repo.refs.read(REF)
    if old is not None:
        repo.refs.update([RefChange(REF, old, None)], message="stash clear", author=caller.who)
    return count


def show(repo: Repository, name: str | None = None) -> ShownStash:
    """What a stash holds, as trees to compare."""
    entry = find(repo, name)
    made = repo.objects.commit(entry.commit)
    _check_shape(made)
    untracked = repo.objects.commit(made.parents[2]).tree if len(made.parents) > _WITHOUT_UNTRACKED else None
    return ShownStash(entry, repo.objects.commit(made.parents[0]).tree, made.tree, untracked)


def find(repo: Repository, name: str | None) -> StashEntry:
    """The stash called `stash@{n}` or `n`; the newest if None. Raises NotFound."""
    every = entries(repo)
    if not every:
        raise NotFound("there is no stash", hint="mvc stash")
    text = ("0" if name is None else name).removeprefix("stash@{").removesuffix("}")
    if text == "stash":
        text = "0"
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) >= len(every):
        raise NotFound(f"there is no stash '{name}'", hint="mvc stash list")
    return every[int(text)]


_WITHOUT_UNTRACKED = 2
_MOST_DIGITS = 9
_Found = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Paths that differ from the stage, that are staged, that are untracked."""


def _subject(repo: Repository, head: Commit, message: str | None) -> str:
    branch = repo.refs.head().short or "(no branch)"
    if message:
        return f"On {branch}: {message}"
    return f"WIP on {branch}: {head.id[:7]} {head.summary}"


def _write(repo: Repository, stage: Stage, head: Commit, found: _Found, subject: str, caller: Caller) -> str:
    """Store the files and write the commits; returns the stash's id."""
    dirty, staged, untracked = found
    worktree = repo.require_worktree()
    there = [path for path in dirty if _lexists(worktree, path)]
    store: Callable[..., Any] = load(STORING["store"])
    with repo.objects.batch() as batch:
        index_tree = trees.update(batch, head.tree, {path: stage.items().get(path) for path in staged})
        items: dict[str, TreeItem] = store(repo, batch, [*there, *untracked], stage.items(), caller.progress)
        kept: dict[str, TreeItem | None] = {path: items.get(path) for path in dirty}
        tree = trees.update(batch, index_tree, kept)
        # Two stashes alike within a second would be one commit, and then one entry of the list.
        newest = repo.refs.read(REF)
        last = repo.objects.commit(newest).committer.time if newest else 0
        who = caller.who._replace(time=max(caller.who.time, last + 1))
        branch = subject.partition(": ")[0].removeprefix("WIP ").removeprefix("On ").removeprefix("on ")
        label = f"{branch}: {head.id[:7]} {head.summary}\n"
        parents = [head.id, batch.commit(index_tree, [head.id], who, who, f"index on {label}")]
        if untracked:
            aside = trees.update(batch, EMPTY_TREE, {path: items[path] for path in untracked})
            parents.append(batch.commit(aside, [], who, who, f"untracked files on {label}"))
        stash = batch.commit(tree, parents, who, who, subject + "\n")
        batch.seal()
    return stash


def _put_back(repo: Repository, stage: Stage, head: Commit, found: _Found, keep_stage: bool, caller: Caller) -> None:
    dirty, staged, untracked = found
    goal: Mapping[str, TreeItem] = stage.items() if keep_stage else trees.flatten(repo.objects, head.tree)
    tracked: dict[str, TreeItem | None] = {path: goal.get(path) for path in sorted({*dirty, *staged})}
    restore_paths(repo, stage, tracked, to_stage=True, to_worktree=True, progress=caller.progress)
    gone: dict[str, TreeItem | None] = dict.fromkeys(untracked)
    restore_paths(repo, stage, gone, to_stage=False, to_worktree=True, progress=caller.progress)
    if not keep_stage and not staged_differences(repo, stage, head.tree):
        stage.tree = head.tree


def _staged_again(batch: ObjectBatch, made: Commit, base: Commit, ours: str) -> ThreeWay:
    staged = batch.reader.commit(made.parents[1]).tree
    merge = three_way(batch.reader, base.tree, ours, staged)
    if merge.conflicts:
        raise Refused("what was staged conflicts with what is there now", hint="apply it without --index")
    return merge


def _unstage(
    repo: Repository,
    stage: Stage,
    before: Mapping[str, TreeItem],
    merge: ThreeWay,
    again: ThreeWay | None,
    caller: Caller,
) -> None:
    """What was applied is left unstaged, but for new files and what was staged when it was put aside."""
    goal: dict[str, TreeItem | None] = {}
    for path, item in merge.changes.items():
        if again is not None:
            goal[path] = again.changes.get(path, before.get(path))
        elif path in before or item is None:
            goal[path] = before.get(path)
    if again is not None:
        goal.update({path: item for path, item in again.changes.items() if path not in goal})
    restore_paths(repo, stage, goal, to_stage=True, to_worktree=False, progress=caller.progress)


def _untracked_items(repo: Repository, made: Commit) -> dict[str, TreeItem | None]:
    if len(made.parents) <= _WITHOUT_UNTRACKED:
        return {}
    return dict(trees.flatten(repo.objects, repo.objects.commit(made.parents[2]).tree))


def _refuse_in_the_way(repo: Repository, stage: Stage, untracked: Mapping[str, TreeItem | None]) -> None:
    worktree = repo.require_worktree()
    there = [path for path in untracked if _lexists(worktree, path)]
    if there:
        raise WouldOverwrite("untracked files of the stash exist already", paths=there, hint="move them away first")


def _refuse_unknown(pathspec: Pathspec, stage: Stage) -> None:
    if missing := pathspec.unmatched(stage.paths()):
        raise NotFound(f"'{missing[0]}' did not match any file that is known here", hint="mvc stash -u")


def _check_shape(made: Commit) -> None:
    if len(made.parents) not in (2, 3):
        raise Refused(f"{made.id[:10]} is no stash: it has {len(made.parents)} parents")


def _lexists(worktree: Path, path: str) -> bool:
    target = worktree / path
    return target.is_symlink() or target.exists()
