"""`mvc cherry-pick` and `mvc revert`: what commits changed, applied here, or undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mvc.errors import Refused, WouldOverwrite
from mvc.objects import trees
from mvc.objects.merge import Conflict
from mvc.objects.model import Commit
from mvc.objects.revparse import parse_range
from mvc.objects.walk import Selection, walk
from mvc.ops import sequence
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths, scan_paths, staged_differences
from mvc.ops.landing import check_landing, land, unwind
from mvc.ops.messages import clean, with_conflicts
from mvc.ops.project import follow_git, note_head
from mvc.ops.record import MERGE_STATE, advance, require_head, require_settled, staged_tree
from mvc.ops.replay import Replayed, Stop, changed_by, replay
from mvc.ops.sequence import Policy, Step, Unfinished, Verb
from mvc.ops.three_way import ThreeWay, merged_tree, three_way
from mvc.repo import inprogress
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import switch_tree
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage


@dataclass(frozen=True, slots=True)
class PickResult:
    """How far it came. `stopped`: the step that is left to the user, with `conflicts`, or without any when it
    would change nothing; `remaining` steps come after it."""

    verb: Verb
    branch: str | None
    made: tuple[Commit, ...] = ()
    dropped: tuple[Step, ...] = ()
    stopped: Step | None = None
    conflicts: tuple[Conflict, ...] = ()
    remaining: int = 0
    metadata_left: tuple[str, ...] = ()
    staged: tuple[str, ...] = ()
    """With `no_commit`: the paths that were staged."""


@dataclass(frozen=True, slots=True)
class PickOptions:
    """How to pick or revert."""

    policy: Policy = field(default_factory=Policy)
    no_commit: bool = False
    """Change stage and worktree alone."""


def pick(
    repo: Repository, verb: Verb, revisions: Sequence[str], options: PickOptions = PickOptions(), *, caller: Caller
) -> PickResult:
    """Apply (or revert) commits, in the order given; of a range the oldest first (reverting: the newest).

    Raises Refused for a merge without a mainline, WouldOverwrite where uncommitted work is in the way.
    """
    follow_git(repo, caller)
    steps = _steps(repo, verb, revisions)
    with edit_stage(repo, wait=caller.wait, what=verb.value) as stage:
        require_settled(repo, stage, verb.value)
        if (other := sequence.load(repo)) is not None:
            name = other.verb.value
            raise Refused(f"a {name} is in progress already", hint=f"mvc {name} --continue, or mvc {name} --quit")
        before = require_head(repo)
        if options.no_commit:
            return _only_stage(repo, stage, before, verb, steps, options.policy, caller)
        return _run(repo, stage, before, Unfinished(verb, before.id, before.id, steps, options.policy), caller)


def resume(repo: Repository, verb: Verb, *, caller: Caller) -> PickResult:
    """`--continue`: commit the step that stopped, as it was resolved, and go on."""
    with edit_stage(repo, wait=caller.wait, what=verb.value) as stage:
        unfinished = _unfinished(repo, verb)
        made = conclude_step(repo, stage, unfinished, caller)
        rest = unfinished.steps[1:]
        result = _run(repo, stage, require_head(repo), _with_steps(unfinished, rest), caller)
    return PickResult(
        verb=verb,
        branch=result.branch,
        made=(*made, *result.made),
        dropped=result.dropped,
        stopped=result.stopped,
        conflicts=result.conflicts,
        remaining=result.remaining,
        metadata_left=result.metadata_left,
    )


def skip(repo: Repository, verb: Verb, *, caller: Caller) -> PickResult:
    """`--skip`: leave out the step that stopped, and go on."""
    with edit_stage(repo, wait=caller.wait, what=verb.value) as stage:
        unfinished = _unfinished(repo, verb)
        unwind(repo, stage, require_head(repo).tree, caller)
        stage.save(repo.stage_path)
        inprogress.clear(repo, *MERGE_STATE)
        return _run(repo, stage, require_head(repo), _with_steps(unfinished, unfinished.steps[1:]), caller)


def abort(repo: Repository, verb: Verb, *, caller: Caller) -> Commit:
    """`--abort`: back to where HEAD was. If the user has moved HEAD meanwhile, it stays there."""
    with edit_stage(repo, wait=caller.wait, what=verb.value) as stage:
        unfinished = _unfinished(repo, verb)
        now = require_head(repo)
        goal = repo.objects.commit(unfinished.start) if now.id == unfinished.now else now
        unwind(repo, stage, now.tree, caller)
        if goal.id != now.id:
            switch_tree(repo, stage, goal.tree, current_tree=now.tree, progress=caller.progress)
            advance(repo, goal.id, old=now.id, message=f"reset: moving to {goal.id}", caller=caller)
            note_head(repo, stage)
        stage.save(repo.stage_path)
        give_up(repo)
        return goal


def give_up(repo: Repository) -> None:
    """`--quit`: forget that anything was in progress; HEAD, stage and worktree stay."""
    sequence.forget(repo)
    inprogress.clear(repo, *MERGE_STATE)


def conclude_step(repo: Repository, stage: Stage, unfinished: Unfinished, caller: Caller) -> tuple[Commit, ...]:
    """Commit what is staged for the step that stopped, unless the user has done so by `mvc commit`.

    Raises Refused while there are conflicts, or when nothing is staged (but in a rebase: then the step goes).
    """
    if stage.conflicts():
        raise Refused("there are still unresolved conflicts", hint="resolve them, and mvc add (or mvc rm) each file")
    if inprogress.read(repo, unfinished.verb.head_file) is None:
        return ()
    head = require_head(repo)
    step = unfinished.steps[0]
    message = clean(inprogress.read(repo, "MERGE_MSG") or step.summary, comments=True)
    with repo.objects.batch() as batch:
        tree = staged_tree(batch, stage, head.tree)
        if trees.same_content(batch.reader, head.tree, tree) and not unfinished.policy.keep_empty:
            if not unfinished.policy.drop_empty:
                name = unfinished.verb.value
                raise Refused(f"nothing is staged: the {name} would be empty", hint=f"mvc {name} --skip")
            inprogress.clear(repo, *MERGE_STATE)
            return ()
        author = caller.who if step.undo else batch.reader.commit(step.commit).author
        new = batch.commit(tree, [head.id], author, caller.who, message)
        made = batch.reader.commit(new)
        batch.seal()
    label = "rebase (continue)" if unfinished.verb is Verb.REBASE else f"commit ({unfinished.verb.value})"
    advance(repo, new, old=head.id, message=f"{label}: {made.summary}", caller=caller)
    stage.tree = tree
    stage.save(repo.stage_path)
    note_head(repo, stage)
    inprogress.clear(repo, *MERGE_STATE)
    return (made,)


def refuse_staged(repo: Repository, stage: Stage, old: str | None, new: str | None) -> None:
    """Raise WouldOverwrite for staged changes, but for those that a killed run of the same verb left."""
    staged = staged_differences(repo, stage, old)
    if staged and (lost := sorted(staged.keys() & staged_differences(repo, stage, new).keys())):
        raise WouldOverwrite("your staged changes would be overwritten", paths=lost, hint="commit or stash them first")


def refuse_dirty(repo: Repository, stage: Stage, merge: ThreeWay, caller: Caller) -> None:
    """Raise WouldOverwrite for changes in the worktree at paths which the step that will stop touches."""
    paths = [*merge.changes, *(conflict.path for conflict in merge.conflicts)]
    if dirty := changed_paths(scan_paths(repo, stage, paths, caller)):
        raise WouldOverwrite("your local changes would be overwritten", paths=dirty, hint="commit or stash them first")


def leave_to_user(
    repo: Repository, stage: Stage, stop: Stop, unfinished: Unfinished, tree: str, caller: Caller
) -> None:
    """Write conflicts (if any) to stage and worktree, then the state that `--continue` needs."""
    land(repo, stage, tree, stop.merge, caller)
    sequence.save(repo, unfinished)
    message = stop.message
    if stop.merge.conflicts:
        message = with_conflicts(message, [conflict.path for conflict in stop.merge.conflicts])
    inprogress.write(repo, {"MERGE_MSG": message, unfinished.verb.head_file: f"{stop.step.commit}\n"})


def _run(repo: Repository, stage: Stage, before: Commit, todo: Unfinished, caller: Caller) -> PickResult:
    with repo.objects.batch() as batch:
        done = replay(batch, before.id, todo.steps, todo.policy, caller.who)
        after = batch.reader.commit(done.head)
        batch.seal()
    refuse_staged(repo, stage, before.tree, after.tree)
    if done.stop is not None:
        refuse_dirty(repo, stage, done.stop.merge, caller)
        check_landing(repo, stage, before.tree, after.tree, done.stop.merge)
    if after.id != before.id:
        switch_tree(repo, stage, after.tree, current_tree=before.tree, progress=caller.progress)
        advance(repo, after.id, old=before.id, message=f"{todo.verb.value}: {after.summary}", caller=caller)
        note_head(repo, stage)
    if done.stop is None:
        sequence.forget(repo)
        inprogress.clear(repo, *MERGE_STATE)
    else:
        left = Unfinished(todo.verb, todo.start, after.id, done.left, todo.policy)
        leave_to_user(repo, stage, done.stop, left, after.tree, caller)
    return _result(repo, todo.verb, done)


def _result(repo: Repository, verb: Verb, done: Replayed) -> PickResult:
    return PickResult(
        verb=verb,
        branch=repo.refs.head().short,
        made=done.made,
        dropped=done.dropped,
        stopped=done.stop.step if done.stop else None,
        conflicts=done.stop.merge.conflicts if done.stop else (),
        remaining=max(0, len(done.left) - 1),
        metadata_left=done.metadata_left,
    )


def _only_stage(
    repo: Repository, stage: Stage, before: Commit, verb: Verb, steps: Sequence[Step], policy: Policy, caller: Caller
) -> PickResult:
    """`--no-commit`: on top of what is staged."""
    with repo.objects.batch() as batch:
        ours = tree = staged_tree(batch, stage, before.tree)
        changes: dict[str, trees.TreeChange] = {}
        merge = ThreeWay({}, ())
        for step in steps:
            base, theirs = changed_by(batch, step, policy)
            merge = three_way(batch.reader, base, tree, theirs, policy.favour)
            tree = merged_tree(batch, tree, merge)
            if merge.conflicts:
                break
        changes = {change.path: change for change in trees.diff(batch.reader, ours, tree)}
        batch.seal()
    whole = ThreeWay({path: change.new for path, change in changes.items()}, merge.conflicts)
    land(repo, stage, ours, whole, caller)
    return PickResult(verb, repo.refs.head().short, staged=tuple(changes), conflicts=merge.conflicts)


def _steps(repo: Repository, verb: Verb, revisions: Sequence[str]) -> tuple[Step, ...]:
    undo = verb is Verb.REVERT
    commits: list[Commit] = []
    for spec in revisions:
        chosen = parse_range(repo.objects, repo.refs, spec)
        if not chosen.exclude:
            commits.append(repo.objects.commit(chosen.right))
            continue
        found = list(walk(repo.objects, Selection(chosen.include, chosen.exclude, order="topo")))
        commits.extend(found if undo else reversed(found))
    if not commits:
        raise Refused(f"nothing to {verb.value}: the range is empty")
    return tuple(Step(commit.id, commit.summary, undo) for commit in commits)


def _unfinished(repo: Repository, verb: Verb) -> Unfinished:
    found = sequence.load(repo)
    if found is None or found.verb is not verb:
        raise Refused(f"no {verb.value} is in progress", hint="mvc status")
    return found


def _with_steps(unfinished: Unfinished, steps: tuple[Step, ...]) -> Unfinished:
    return Unfinished(unfinished.verb, unfinished.start, unfinished.now, steps, unfinished.policy)
