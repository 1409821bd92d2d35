"""`mvc rebase`: the commits that only this branch has, put on top of another base."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.errors import RefChanged, Refused, WouldOverwrite
from mvc.objects import trees
from mvc.objects.ancestry import is_ancestor, merge_bases
from mvc.objects.merge import Conflict
from mvc.objects.model import Commit
from mvc.objects.refnames import short
from mvc.objects.refs import RefChange
from mvc.objects.revparse import resolve_commit
from mvc.objects.walk import Selection, walk
from mvc.ops import sequence
from mvc.ops.branch_use import branch_tip
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths, staged_differences
from mvc.ops.landing import check_landing, unlike, unwind
from mvc.ops.pick import conclude_step, leave_to_user
from mvc.ops.project import follow_git, note_head
from mvc.ops.record import MERGE_STATE, remember_head, require_head, require_settled
from mvc.ops.replay import Replayed, replay
from mvc.ops.sequence import Policy, Step, Unfinished, Verb
from mvc.ops.switch import find_destination, switch
from mvc.ops.three_way import Favour
from mvc.repo import inprogress
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import switch_tree
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage


@dataclass(frozen=True, slots=True)
class RebaseResult:
    """How far it came; see `PickResult`. `moved` is False when the branch was up to date."""

    branch: str | None
    """The full name; None where HEAD is detached."""
    onto: str
    head: str
    moved: bool
    made: tuple[Commit, ...] = ()
    dropped: tuple[Step, ...] = ()
    stopped: Step | None = None
    conflicts: tuple[Conflict, ...] = ()
    done: int = 0
    total: int = 0
    metadata_left: tuple[str, ...] = ()


def rebase(
    repo: Repository,
    upstream: str,
    *,
    onto: str | None = None,
    branch: str | None = None,
    favour: Favour = Favour.NONE,
    caller: Caller,
) -> RebaseResult:
    """Put the commits of `branch` (HEAD's) that `upstream` does not have on top of `onto` (`upstream`).

    Merges among them are left out, and so are commits whose change `upstream` has already. Raises
    WouldOverwrite while there are uncommitted changes to tracked files.
    """
    follow_git(repo, caller)
    # Named from where one is (`@{-1}`), and before anything moves.
    above = resolve_commit(repo.objects, repo.refs, upstream)
    base = resolve_commit(repo.objects, repo.refs, onto) if onto is not None else above
    if branch is not None:
        _go_to(repo, branch, caller)
    with edit_stage(repo, wait=caller.wait, what="rebase") as stage:
        require_settled(repo, stage, "rebase")
        head = require_head(repo)
        steps = _steps(repo, above, head.id)
        run = Unfinished(
            verb=Verb.REBASE,
            start=head.id,
            now=head.id,
            steps=steps,
            policy=Policy(favour=favour, drop_empty=True),
            branch=repo.refs.head().branch,
            onto=base,
        )
        return _run(repo, stage, run, base, caller)


def resume(repo: Repository, *, caller: Caller) -> RebaseResult:
    """`--continue`: commit the step that stopped, as it was resolved, and go on."""
    with edit_stage(repo, wait=caller.wait, what="rebase") as stage:
        if (ended := _over(repo)) is not None:
            return ended
        unfinished = _unfinished(repo)
        conclude_step(repo, stage, unfinished, caller)
        return _go_on(repo, stage, unfinished, caller)


def skip(repo: Repository, *, caller: Caller) -> RebaseResult:
    """`--skip`: leave out the step that stopped, and go on."""
    with edit_stage(repo, wait=caller.wait, what="rebase") as stage:
        unfinished = _unfinished(repo)
        unwind(repo, stage, require_head(repo).tree, caller)
        stage.save(repo.stage_path)
        inprogress.clear(repo, *MERGE_STATE)
        return _go_on(repo, stage, unfinished, caller)


def abort(repo: Repository, *, caller: Caller) -> Commit:
    """`--abort`: back to the branch as it was."""
    with edit_stage(repo, wait=caller.wait, what="rebase") as stage:
        unfinished = sequence.load(repo)
        if unfinished is None and (repo.git_dir / Verb.REBASE.folder).is_dir():
            # Killed while it wrote its state, which is before anything else is done.
            sequence.forget(repo)
            return require_head(repo)
        if unfinished is None or unfinished.verb is not Verb.REBASE:
            raise Refused("no rebase is in progress", hint="mvc status")
        target = (repo.refs.read(unfinished.branch) if unfinished.branch else None) or unfinished.start
        goal = repo.objects.commit(target)
        switch_tree(repo, stage, goal.tree, force=True, progress=caller.progress)
        back = unfinished.branch or goal.id
        message = f"rebase (abort): returning to {back}"
        repo.refs.set_head(back, message=message, author=caller.who)
        note_head(repo, stage)
        sequence.forget(repo)
        inprogress.clear(repo, *MERGE_STATE)
        return goal


def give_up(repo: Repository) -> None:
    """`--quit`: forget the rebase; HEAD stays where it is."""
    sequence.forget(repo)
    inprogress.clear(repo, *MERGE_STATE)


def _go_to(repo: Repository, branch: str, caller: Caller) -> None:
    """HEAD to the branch that is to be moved. Uncommitted changes, which a switch could take along, are refused while
    HEAD is where it was."""
    destination = find_destination(repo, branch, detach=branch_tip(repo, branch) is None)
    head, goal = repo.refs.head(), destination.commit
    if head.id and goal and (head.branch, head.id) != (destination.branch, goal):
        with edit_stage(repo, wait=caller.wait, what="rebase") as stage:
            _refuse_uncommitted(repo, stage, repo.objects.commit(head.id), repo.objects.commit(goal), caller)
    switch(repo, destination, caller=caller)


def _run(repo: Repository, stage: Stage, run: Unfinished, base: str, caller: Caller) -> RebaseResult:
    """From the branch as it is, all steps at once; where one stops, HEAD is detached there."""
    with repo.objects.batch() as batch:
        done = replay(batch, base, run.steps, run.policy, caller.who, reuse=True)
        after = batch.reader.commit(done.head)
        batch.seal()
    if after.id == run.start and done.stop is None:
        return _result(run, done, moved=False)
    _refuse_uncommitted(repo, stage, repo.objects.commit(run.start), after, caller)
    remember_head(repo, run.start)
    if done.stop is not None:
        return _stop(repo, stage, run, done, caller)
    before = require_head(repo)
    switch_tree(repo, stage, after.tree, current_tree=before.tree, progress=caller.progress)
    name = run.branch or "HEAD"
    message = f"rebase (finish): {run.branch or 'returning to HEAD'} onto {run.onto}"
    repo.refs.update([RefChange(name, run.start, after.id)], message=message, author=caller.who)
    note_head(repo, stage)
    return _result(run, done, moved=True)


def _go_on(repo: Repository, stage: Stage, run: Unfinished, caller: Caller) -> RebaseResult:
    """From a HEAD that is detached at the last commit made, the steps after the one that stopped."""
    before = require_head(repo)
    if (ended := _ended(repo, run, before)) is not None:
        return _finish(repo, stage, run, Replayed(ended.id), caller)
    rest = Unfinished(
        run.verb, run.start, before.id, run.steps[1:], run.policy, run.branch, run.onto, done=run.done + 1
    )
    with repo.objects.batch() as batch:
        done = replay(batch, before.id, rest.steps, rest.policy, caller.who)
        batch.seal()
    if done.stop is not None:
        return _stop(repo, stage, rest, done, caller)
    return _finish(repo, stage, rest, done, caller)


def _over(repo: Repository) -> RebaseResult | None:
    """A run that was killed when it had only to forget its state does so now."""
    run, head = sequence.load(repo), repo.refs.head()
    if run is None or run.branch is None or run.branch != head.branch or head.id in (None, run.start):
        return None
    give_up(repo)
    return _result(run, Replayed(head.id or ""), moved=True)


def _ended(repo: Repository, run: Unfinished, before: Commit) -> Commit | None:
    """Where the branch is, if a run that was killed at its very end has moved it already."""
    there = repo.refs.read(run.branch) if run.branch is not None else None
    if there is None or there == run.start or not is_ancestor(repo.objects, before.id, there):
        return None
    return repo.objects.commit(there)


def _finish(repo: Repository, stage: Stage, run: Unfinished, done: Replayed, caller: Caller) -> RebaseResult:
    """All is applied: worktree, then branch, then HEAD, which goes back to the branch."""
    before, after = require_head(repo), repo.objects.commit(done.head)
    switch_tree(repo, stage, after.tree, current_tree=before.tree, progress=caller.progress)
    if run.branch is not None and repo.refs.read(run.branch) != after.id:
        if repo.refs.read(run.branch) != run.start:
            raise RefChanged(f"{run.branch} was moved by someone else meanwhile", hint="mvc rebase --abort, and again")
        message = f"rebase (finish): {run.branch} onto {run.onto}"
        change = RefChange(run.branch, run.start, after.id)
        repo.refs.update([change], message=message, author=caller.who, head_follows=False)
    goal = run.branch or after.id
    repo.refs.set_head(goal, message=f"rebase (finish): returning to {goal}", author=caller.who)
    note_head(repo, stage)
    sequence.forget(repo)
    inprogress.clear(repo, *MERGE_STATE)
    return _result(run, done, moved=True)


def _stop(repo: Repository, stage: Stage, run: Unfinished, done: Replayed, caller: Caller) -> RebaseResult:
    """HEAD is detached at the last commit made; what conflicts is left in stage and worktree."""
    assert done.stop is not None  # that is why it was called
    before, after = require_head(repo), repo.objects.commit(done.head)
    finished = run.done + len(run.steps) - len(done.left)
    left = Unfinished(run.verb, run.start, after.id, done.left, run.policy, run.branch, run.onto, done=finished)
    check_landing(repo, stage, before.tree, after.tree, done.stop.merge)
    # The state first: from here on `--abort` leads back.
    sequence.save(repo, left)
    switch_tree(repo, stage, after.tree, current_tree=before.tree, progress=caller.progress)
    message = f"rebase (pick): {after.summary}" if done.made else f"rebase (start): checkout {run.onto}"
    repo.refs.set_head(after.id, message=message, author=caller.who)
    leave_to_user(repo, stage, done.stop, left, after.tree, caller)
    return _result(left, done, moved=True)


def _result(run: Unfinished, done: Replayed, *, moved: bool) -> RebaseResult:
    return RebaseResult(
        branch=run.branch,
        onto=run.onto or "",
        head=done.head,
        moved=moved,
        made=done.made,
        dropped=done.dropped,
        stopped=done.stop.step if done.stop else None,
        conflicts=done.stop.merge.conflicts if done.stop else (),
        done=run.done + (0 if done.stop else len(run.steps)),
        total=run.done + len(run.steps),
        metadata_left=done.metadata_left,
    )


def _steps(repo: Repository, upstream: str, head: str) -> tuple[Step, ...]:
    """The commits to move, oldest first. Those whose change is upstream under another id are left out."""
    ours = list(walk(repo.objects, Selection([head], [upstream], order="topo", merges=False)))
    bases = merge_bases(repo.objects, head, [upstream])
    theirs = walk(repo.objects, Selection([upstream], bases or [head], merges=False)) if bases else iter(())
    there = {_change(repo, commit) for commit in theirs} - {frozenset()} if ours else set()
    return tuple(
        Step(commit.id, commit.summary) for commit in reversed(ours) if not there or _change(repo, commit) not in there
    )


def _change(repo: Repository, commit: Commit) -> frozenset[trees.TreeChange]:
    """What a commit changes: equal for two that are picks of each other."""
    before = repo.objects.commit(commit.parents[0]).tree if commit.parents else None
    return frozenset(trees.diff(repo.objects, before, commit.tree))


def _refuse_uncommitted(repo: Repository, stage: Stage, head: Commit, after: Commit, caller: Caller) -> None:
    """What a killed run has left of `after` is no work of the user's."""
    dirty = changed_paths(scan(repo, stage, untracked=Untracked.NO, progress=caller.progress))
    staged = staged_differences(repo, stage, head.tree)
    if dirty:
        dirty = unlike(repo, dirty, trees.flatten(repo.objects, after.tree))
    if staged:
        staged = {path: staged[path] for path in staged.keys() & staged_differences(repo, stage, after.tree).keys()}
    if paths := sorted({*dirty, *staged}):
        raise WouldOverwrite(
            "cannot rebase: there are uncommitted changes", paths=paths, hint="commit or stash them first"
        )


def _unfinished(repo: Repository) -> Unfinished:
    found = sequence.load(repo)
    if found is None or found.verb is not Verb.REBASE:
        raise Refused("no rebase is in progress", hint="mvc status")
    if (branch := repo.refs.head().branch) is not None:
        raise Refused(f"HEAD is on {short(branch)}, not where the rebase stopped", hint="mvc rebase --abort")
    return found
