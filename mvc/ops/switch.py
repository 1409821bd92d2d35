"""`mvc switch` and `mvc checkout REV`: HEAD goes elsewhere, and stage and worktree with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mvc.errors import NotFound, Refused, UsageError
from mvc.objects import trees
from mvc.objects.model import Commit
from mvc.objects.refnames import branch_ref, short
from mvc.objects.refs import Head, RefChange
from mvc.objects.revparse import previous_branch, resolve_commit, resolve_ref
from mvc.objects.upstream import HERE
from mvc.objects.walk import Selection, walk
from mvc.ops.branch_use import branch_tip, refuse_if_used
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths, staged_differences
from mvc.ops.names import refuse_alias
from mvc.ops.project import note_head, refuse_apart
from mvc.ops.record import require_settled
from mvc.ops.tracking import Followed, Tracking, follow_start, followed, tracking
from mvc.repo import inprogress
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import switch_tree
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage

_MOST = 100
_BEFORE = re.compile(r"@\{-([1-9][0-9]*)\}")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to go. `commit` is None for a branch that has no commit yet.

    `branch` is a full name; None detaches HEAD. `create`: the branch is made, or with `reset` moved.
    """

    commit: str | None
    branch: str | None = None
    create: bool = False
    reset: bool = False
    start: str | None = None
    """For a branch that is made: the revision it is made at, as named. It follows a remote-tracking branch."""
    track: bool | None = None
    """Whether it follows `start`; None: as branch.autoSetupMerge says."""


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """Where HEAD is now, and what came along."""

    before: Head
    now: Head
    created: bool
    reset: bool
    carried: Mapping[str, str]
    """Tracked files with changes that are not committed, which are as they were: path to Git's letter (M, A, D)."""
    summary: str = ""
    """First line of the commit's message."""
    left_behind: int = 0
    """Commits that no branch or tag holds now that a detached HEAD has gone."""
    followed: Followed | None = None
    """What a branch that was made follows."""
    tracking: Tracking | None = None
    """How the branch stands to its upstream."""


def find_destination(repo: Repository, name: str, *, detach: bool = False, guess: bool = True) -> Destination:
    """What `switch NAME` means: a branch, else (with `detach`) any revision, else with `guess` a
    branch of that name on just one remote, which is then made here too. `-` is the branch before.

    Raises NotFound, and Refused for a revision that is no branch without `detach`.
    """
    wanted = _previous(repo, name) or name
    if not detach and (tip := branch_tip(repo, wanted)) is not None:
        return Destination(tip, f"refs/heads/{wanted}")
    try:
        commit = resolve_commit(repo.objects, repo.refs, wanted)
    except NotFound:
        if guess and not detach and (remote := _on_one_remote(repo, wanted)):
            ref, commit = remote
            return Destination(
                commit, branch_ref(wanted), create=True, start=ref, track=followed(repo, ref) is not None
            )
        raise
    if detach or wanted != name:
        return Destination(commit)
    kind = "tag" if (resolve_ref(repo.refs, wanted) or "").startswith("refs/tags/") else "commit"
    raise Refused(f"a branch is expected, '{name}' is a {kind}", hint=f"mvc switch --detach {name}")


def new_branch(
    repo: Repository, name: str, start: str | None = None, *, reset: bool = False, track: bool | None = None
) -> Destination:
    """The branch `name`, to be made at the revision `start` (HEAD); with `reset` moved there if it stands."""
    ref = branch_ref(name)
    if not reset and repo.refs.read(ref) is not None:
        raise Refused(f"a branch named '{name}' exists already", hint=f"mvc switch {name}")
    if not reset:
        refuse_alias(repo, name)
    head = repo.refs.head()
    if start is None or (start in ("HEAD", "@") and head.id is None):
        return Destination(head.id, ref, create=True, reset=reset, track=track)
    commit = resolve_commit(repo.objects, repo.refs, start)
    return Destination(commit, ref, create=True, reset=reset, start=start, track=track)


def new_orphan(repo: Repository, name: str) -> Destination:
    """The branch `name`, whose first commit will have no parents."""
    return replace(new_branch(repo, name), commit=None)


def new_tracking_branch(repo: Repository, spec: str) -> Destination:
    """`switch --track origin/x`: the branch x, to be made there, which follows it. Raises UsageError if it is none."""
    ref = resolve_ref(repo.refs, spec)
    source = followed(repo, ref) if ref else None
    if source is None or source[0] == HERE:
        raise UsageError(f"'{spec}' is no remote-tracking branch: the new one needs a name", hint="add -c NAME")
    return new_branch(repo, source[1].removeprefix("refs/heads/"), spec, track=True)


def switch(repo: Repository, destination: Destination, *, force: bool = False, caller: Caller) -> SwitchResult:
    """Go there. Uncommitted changes come along where both commits hold a file alike; elsewhere they raise
    WouldOverwrite, before anything is written, or are given up with `force`.

    Where nothing was checked out yet (there is no stage, as after `clone --no-checkout`) no file counts as removed.
    Stage and worktree first, HEAD last: one that was killed is completed by repeating it.
    """
    if destination.branch is not None and not (destination.create and not destination.reset):
        refuse_if_used(repo, destination.branch)
    refuse_apart(repo, destination.branch)
    with edit_stage(repo, wait=caller.wait, what="switch") as stage:
        before = repo.refs.head()
        if not force:
            require_settled(repo, stage, "switch")
        old = _commit(repo, before.id) if repo.stage_path.exists() else None
        new = _commit(repo, destination.commit)
        if force or old != new:
            switch_tree(
                repo,
                stage,
                new.tree if new else None,
                current_tree=old.tree if old else None,
                force=force,
                progress=caller.progress,
            )
        _move_head(repo, before, destination, caller)
        note_head(repo, stage)
        if force:
            inprogress.clear(repo, "MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD")
        carried = _carried(repo, stage, new, caller)
    made = destination.create and destination.branch is not None and destination.commit is not None
    start, name = destination.start or before.branch, short(destination.branch or "")
    follows = follow_start(repo, name, start, destination.track) if made and start else None
    return SwitchResult(
        before=before,
        now=repo.refs.head(),
        created=destination.create and not destination.reset,
        reset=destination.reset,
        carried=carried,
        summary=new.summary if new else "",
        left_behind=_left_behind(repo, before, destination),
        followed=follows,
        tracking=None if destination.create else tracking(repo, destination.branch),
    )


def _commit(repo: Repository, commit_id: str | None) -> Commit | None:
    return repo.objects.commit(commit_id) if commit_id else None


def _move_head(repo: Repository, before: Head, destination: Destination, caller: Caller) -> None:
    start = before.short or before.id or "HEAD"
    goal = short(destination.branch) if destination.branch else destination.commit
    message = f"checkout: moving from {start} to {goal}"
    branch, commit = destination.branch, destination.commit
    if branch is not None and destination.create and commit is not None:
        old = repo.refs.read(branch) if destination.reset else None
        if old != commit:
            origin = "HEAD" if before.id == commit else commit
            made = f"branch: Reset to {origin}" if old else f"branch: Created from {origin}"
            repo.refs.update([RefChange(branch, old, commit)], message=made, author=caller.who, head_follows=False)
    target = branch or commit
    if target is None:
        raise NotFound("there is no commit yet to go to")
    repo.refs.set_head(target, message=message, author=caller.who)


def _carried(repo: Repository, stage: Stage, new: Commit | None, caller: Caller) -> dict[str, str]:
    found = scan(repo, stage, untracked=Untracked.NO, progress=caller.progress)
    tree = new.tree if new else None
    staged = staged_differences(repo, stage, tree)
    committed = trees.flatten(repo.objects, tree) if staged else {}
    letters = {path: "M" if path in committed else "A" for path in staged}
    gone = {*found.deleted, *(path for path, item in staged.items() if item is None)}
    carried = {path: letters.get(path, "M") for path in sorted({*changed_paths(found), *staged})}
    return carried | dict.fromkeys(sorted(gone), "D")


def _previous(repo: Repository, name: str) -> str | None:
    """Where `-` or `@{-n}` was, by name or id; None for any other name."""
    if name == "-":
        return previous_branch(repo.refs, 1)
    found = _BEFORE.fullmatch(name)
    return previous_branch(repo.refs, int(found[1])) if found else None


def _on_one_remote(repo: Repository, name: str) -> tuple[str, str] | None:
    """(remote-tracking ref, commit) of the only remote that has a branch of that name."""
    found = [
        (ref, commit)
        for ref, commit in repo.refs.list("refs/remotes/").items()
        if ref.removeprefix("refs/remotes/").partition("/")[2] == name
    ]
    return found[0] if len(found) == 1 else None


def _left_behind(repo: Repository, before: Head, destination: Destination) -> int:
    """How many commits a detached HEAD leaves that no ref holds (counted up to a hundred)."""
    if before.branch is not None or before.id is None or before.id == destination.commit:
        return 0
    held = {repo.objects.peel(target) for target in repo.refs.list().values()}
    commits = [commit for commit in held if repo.objects.kind(commit) == "commit"]
    there = [destination.commit] if destination.commit else []
    selection = Selection(include=[before.id], exclude=[*commits, *there], max_count=_MOST)
    return sum(1 for _ in walk(repo.objects, selection))
