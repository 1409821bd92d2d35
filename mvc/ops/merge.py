"""`mvc merge`: another branch joined into this one, path by path."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mvc.errors import NotFastForward, Refused
from mvc.objects.ancestry import is_ancestor
from mvc.objects.merge import Conflict
from mvc.objects.model import EMPTY_TREE, Commit
from mvc.objects.revparse import resolve_commit, resolve_ref
from mvc.ops.caller import Caller
from mvc.ops.landing import land, unwind
from mvc.ops.messages import clean, merge_message, with_conflicts
from mvc.ops.pick import refuse_staged
from mvc.ops.project import follow_git, note_head
from mvc.ops.record import MERGE_STATE, advance, head_commit, remember_head, require_head, require_settled
from mvc.ops.three_way import Favour, ThreeWay, common_base, merged_tree, three_way
from mvc.repo import inprogress
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import switch_tree
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage


class FastForward(Enum):
    """When the branch may just move to the other commit."""

    ALLOWED = "ff"
    NEVER = "no-ff"
    """A merge commit is always made."""
    ONLY = "ff-only"
    """Anything else is refused."""


class Outcome(Enum):
    """What a merge came to."""

    UP_TO_DATE = "up-to-date"
    FAST_FORWARD = "fast-forward"
    MERGED = "merged"
    STAGED = "staged"
    """With `no_commit` or `squash`: all is staged, nothing committed."""
    CONFLICTS = "conflicts"


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How to merge. `message`: None is "Merge branch 'x'"."""

    message: str | None = None
    fast_forward: FastForward = FastForward.ALLOWED
    favour: Favour = Favour.NONE
    no_commit: bool = False
    squash: bool = False
    """Stage what the other branch changed, without joining the histories."""
    unrelated: bool = False
    """Histories without a common commit may be joined."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What was done. `before` and `after` are commits; `after` is None where nothing is committed yet."""

    outcome: Outcome
    name: str
    before: str | None
    after: str | None
    conflicts: tuple[Conflict, ...] = ()
    settled: tuple[Conflict, ...] = ()
    """Conflicts that were settled by taking one side wholly."""


def merge(repo: Repository, revision: str, options: MergeOptions = MergeOptions(), *, caller: Caller) -> MergeResult:
    """Merge a revision into HEAD's branch. A path changed on one side alone is taken from it; one changed on
    both is in conflict, unless a side is favoured: then it is taken wholly from that.

    Raises NotFastForward, Refused for unrelated histories, WouldOverwrite for uncommitted work in the way.
    """
    follow_git(repo, caller)
    theirs = repo.objects.commit(resolve_commit(repo.objects, repo.refs, revision))
    with edit_stage(repo, wait=caller.wait, what="merge") as stage:
        require_settled(repo, stage, "merge")
        ours = head_commit(repo)
        if ours is not None and is_ancestor(repo.objects, theirs.id, ours.id):
            return MergeResult(Outcome.UP_TO_DATE, revision, ours.id, ours.id)
        if ours is None:
            return _forward(repo, stage, None, theirs, revision, caller)
        can_forward = is_ancestor(repo.objects, ours.id, theirs.id)
        if can_forward and not options.squash and options.fast_forward is not FastForward.NEVER:
            return _forward(repo, stage, ours, theirs, revision, caller)
        if options.fast_forward is FastForward.ONLY and not can_forward:
            raise NotFastForward(f"'{revision}' is no fast-forward of HEAD", hint="merge without --ff-only, or rebase")
        return _join(repo, stage, ours, theirs, revision, options, caller)


def abort(repo: Repository, *, caller: Caller) -> Commit:
    """`--abort`: stage and worktree as they were before the merge. Changes that were not staged stay."""
    with edit_stage(repo, wait=caller.wait, what="merge") as stage:
        _require_merging(repo)
        head = require_head(repo)
        unwind(repo, stage, head.tree, caller)
        stage.save(repo.stage_path)
        inprogress.clear(repo, *MERGE_STATE)
        return head


def give_up(repo: Repository) -> None:
    """`--quit`: forget the merge; stage and worktree stay."""
    _require_merging(repo)
    inprogress.clear(repo, *MERGE_STATE)


def require_merging(repo: Repository) -> None:
    """Raise Refused unless a merge waits to be committed (`--continue` is a commit)."""
    _require_merging(repo)


def _require_merging(repo: Repository) -> None:
    if inprogress.read(repo, "MERGE_HEAD") is None:
        raise Refused("no merge is in progress", hint="mvc status")


def _forward(
    repo: Repository, stage: Stage, ours: Commit | None, theirs: Commit, name: str, caller: Caller
) -> MergeResult:
    old = ours.tree if ours else None
    switch_tree(repo, stage, theirs.tree, current_tree=old, progress=caller.progress)
    remember_head(repo, ours.id if ours else None)
    advance(repo, theirs.id, old=ours.id if ours else None, message=f"merge {name}: Fast-forward", caller=caller)
    note_head(repo, stage)
    return MergeResult(Outcome.FAST_FORWARD, name, ours.id if ours else None, theirs.id)


def _join(
    repo: Repository, stage: Stage, ours: Commit, theirs: Commit, name: str, options: MergeOptions, caller: Caller
) -> MergeResult:
    head = repo.refs.head()
    message = options.message or _default_message(repo, name, head.short)
    waits = options.no_commit or options.squash
    with repo.objects.batch() as batch:
        base = common_base(batch, ours.id, theirs.id)
        if base is None and not options.unrelated:
            raise Refused("the histories have no commit in common", hint="mvc merge --allow-unrelated-histories")
        outcome = three_way(batch.reader, base or EMPTY_TREE, ours.tree, theirs.tree, options.favour)
        tree = merged_tree(batch, ours.tree, outcome)
        new = None
        if not outcome.conflicts and not waits:
            new = batch.commit(tree, [ours.id, theirs.id], caller.who, caller.who, clean(message))
        batch.seal()
    if new is not None:
        refuse_staged(repo, stage, ours.tree, tree)
        switch_tree(repo, stage, tree, current_tree=ours.tree, progress=caller.progress)
        remember_head(repo, ours.id)
        advance(repo, new, old=ours.id, message=f"merge {name}: Merge made by path.", caller=caller)
        note_head(repo, stage)
        return MergeResult(Outcome.MERGED, name, ours.id, new, settled=outcome.settled)
    land(repo, stage, ours.tree, outcome, caller)
    stage.save(repo.stage_path)
    remember_head(repo, ours.id)
    _leave_to_user(repo, theirs, message, outcome, options)
    kind = Outcome.CONFLICTS if outcome.conflicts else Outcome.STAGED
    return MergeResult(kind, name, ours.id, None, outcome.conflicts, outcome.settled)


def _leave_to_user(repo: Repository, theirs: Commit, message: str, outcome: ThreeWay, options: MergeOptions) -> None:
    if outcome.conflicts:
        message = with_conflicts(message, [conflict.path for conflict in outcome.conflicts])
    if options.squash:
        inprogress.write(repo, {"SQUASH_MSG": f"Squashed commit of {theirs.id[:10]}: {theirs.summary}\n"})
        return
    mode = "no-ff" if options.fast_forward is FastForward.NEVER else ""
    inprogress.write(repo, {"MERGE_MSG": message, "MERGE_MODE": mode, "MERGE_HEAD": f"{theirs.id}\n"})


def _default_message(repo: Repository, name: str, into: str | None) -> str:
    ref = resolve_ref(repo.refs, name) or ""
    kinds = {"refs/heads/": "branch", "refs/tags/": "tag", "refs/remotes/": "remote-tracking branch"}
    kind = next((kind for prefix, kind in kinds.items() if ref.startswith(prefix)), "commit")
    return merge_message(name, kind, into, repo.settings.default_branch)
