"""`mvc commit`: what is staged becomes a commit, with its own metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mvc.errors import Refused, UsageError
from mvc.lazy import load
from mvc.metadata.layers import layered, with_bases
from mvc.metadata.model import NOTHING, Base, CommitMetadata
from mvc.metadata.tree import EVERY_FILE, read_metadata, write_tree
from mvc.objects import trees
from mvc.objects.ancestry import is_ancestor
from mvc.objects.batch import ObjectBatch
from mvc.objects.model import Commit, Signature
from mvc.objects.refs import Head
from mvc.ops import sequence
from mvc.ops.caller import Caller
from mvc.ops.differences import staged_differences
from mvc.ops.messages import clean
from mvc.ops.project import follow_git, note_head
from mvc.ops.record import MERGE_STATE, advance, head_commit, staged_entries
from mvc.ops.remembering import remember
from mvc.repo import inprogress, keeping
from mvc.repo.locking import edit_stage, read_stage
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage
from mvc.settings import SMALL_FILE

if TYPE_CHECKING:
    from mvc.ops.commit_only import Taken  # it takes numpy and zstandard

_BASES = "mvc.ops.found_bases:find_bases"
"""Loaded where a commit changes a large file."""

_ADAPTERS = "mvc.ops.adapters:with_adapters"
_VERSION = "mvc.ops.adapters:Version"
"""Loaded where a commit changes an adapter."""

_CARD = "README.md"
_CARDS = "mvc.ops.cards:cards_among"
"""Loaded where a commit changes a model card."""

_SCOPES = "mvc.ops.metric_scopes:scopes_nowhere"
"""Loaded where a metric is of one file."""

STAGERS = {"add": "mvc.ops.add:add", "only": "mvc.ops.commit_only:taken"}
"""Loaded for `-a` or paths alone, as storing files takes numpy and zstandard."""


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """How to commit."""

    author: Signature | None = None
    """Instead of the caller, or when amending instead of the former author."""
    metadata: CommitMetadata = NOTHING
    stage_all: bool = False
    """`-a`: stage what changed in files that are tracked."""
    only: tuple[str, ...] = ()
    """Path specs: HEAD's files are committed, but these as the worktree has them."""
    prefix: str = ""
    """The folder of the worktree where `only` was typed."""
    amend: bool = False
    allow_empty: bool = False
    allow_empty_message: bool = False
    comments: bool = False
    """Lines of the message that begin with "#" are comments (it comes from an editor)."""
    check_card: bool = False
    """Refuse a model card with something wrong in it."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The new commit. Sizes are in bytes."""

    id: str
    branch: str | None
    """Without `refs/heads/`; None where HEAD is detached."""
    parents: tuple[str, ...]
    summary: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    raw_bytes: int
    """Of the files that were added or changed with respect to the first parent."""
    stored_bytes: int
    """What those took to store."""
    problems: tuple[str, ...] = ()
    """What is wrong with the model cards that it changes, with file and line; metrics of files that it has not."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the new commit comes from."""

    head: Head
    before: Commit | None
    parents: tuple[str, ...]
    author: Signature
    reflog: str
    concluding: bool


def commit(
    repo: Repository, message: str | None, options: CommitOptions = CommitOptions(), *, caller: Caller
) -> CommitResult:
    """Commit the stage to HEAD's branch. Without a message that of an unfinished merge, or when amending
    of the former commit, is taken.

    With `only` what else is staged stays so, and is not committed; nothing is staged where the commit is refused.
    Raises Refused for unresolved conflicts, an empty message, or nothing to commit (metadata alone is
    nothing, but with `allow_empty`), RefChanged if another process committed meanwhile.
    """
    if options.only and options.stage_all:
        raise UsageError("-a and paths do not go together", hint="mvc commit -a, or: mvc commit PATH")
    if options.stage_all:
        add: Callable[..., Any] = load(STAGERS["add"])
        add(repo, (), update=True, wait=caller.wait, progress=caller.progress)
    follow_git(repo, caller)
    if not options.only:
        return _commit(repo, message, options, None, caller)
    _refuse_partial(repo)
    with load(STAGERS["only"])(repo, options.only, options.prefix, caller) as taken:
        return _commit(repo, message, options, taken, caller)


def _commit(
    repo: Repository, message: str | None, options: CommitOptions, taken: Taken | None, caller: Caller
) -> CommitResult:
    kept = keeping.kept_for_stage(repo)
    stage = read_stage(repo)
    _refuse_conflicts(stage)
    origin = _origin(repo, options, caller)
    text = _message(repo, message, origin, options)
    if taken is not None:
        taken.put(stage)
    with repo.objects.batch() as batch:
        standing = origin.before.tree if origin.before else None
        entries = trees.updated(batch, standing, taken.items()) if taken else staged_entries(batch, stage, standing)
        first = batch.reader.commit(origin.parents[0]).tree if origin.parents else None
        changes = list(trees.diff(trees.Unwritten(batch.reader, entries), first, trees.UNWRITTEN))
        bases = _found_bases(repo, batch, stage, changes, origin)
        said = _with_adapters(repo, trees.Unwritten(batch.reader, entries), changes, origin, options.metadata)
        options = replace(options, metadata=said)
        tree = trees.finished(batch, entries, _metadata_tree(batch, options, origin, bases))
        may_be_empty = options.allow_empty or options.amend or origin.concluding
        if not may_be_empty and not changes:
            what = "what these files hold" if taken else "what is staged"
            why = f"{what} equals the last commit" if origin.before else "nothing is staged"
            raise Refused(f"nothing to commit: {why}", hint=_what_to_stage(options, first=not origin.before))
        new = batch.commit(tree, origin.parents, origin.author, caller.who, text)
        result = _with_cards(repo, batch, _result(batch, origin, new, changes, stage), tree, options)
        batch.seal()
    subject = result.summary
    with edit_stage(repo, wait=caller.wait) as now:
        old = origin.before.id if origin.before else None
        if taken is not None:
            taken.check()
            taken.put(now)
            # Before the ref moves, else after a crash in between the next commit would undo this one.
            now.save(repo.stage_path)
        advance(repo, new, old=old, message=f"{origin.reflog}: {subject}", caller=caller)
        whole = taken is None or not staged_differences(repo, now, tree)
        if whole and now.same_items(stage) and not now.conflicts():
            now.tree = tree
            keeping.release(repo, kept)
        note_head(repo, now)
    sequence.step_committed(repo)
    inprogress.clear(repo, *MERGE_STATE)
    remember(repo, tree)
    return result


def message_template(repo: Repository, options: CommitOptions = CommitOptions()) -> str:
    """What an editor opens with: the message so far, if there is one."""
    if options.amend and (head := head_commit(repo)) is not None:
        return head.message
    return inprogress.read(repo, "MERGE_MSG") or inprogress.read(repo, "SQUASH_MSG") or ""


def _origin(repo: Repository, options: CommitOptions, caller: Caller) -> _Origin:
    head = repo.refs.head()
    before = head_commit(repo, head)
    author = options.author or caller.who
    merging = _merge_heads(repo, before)
    if options.amend:
        if before is None:
            raise Refused("there is no commit to amend yet")
        if merging:
            raise Refused("cannot amend in the middle of a merge", hint="mvc commit, or mvc merge --abort")
        if inprogress.read(repo, "CHERRY_PICK_HEAD") and (now := inprogress.current(repo)) is not None:
            name = now.operation.value
            raise Refused(
                f"cannot amend in the middle of a {name}", hint=f"mvc {name} --continue, or mvc {name} --abort"
            )
        return _Origin(head, before, before.parents, options.author or before.author, "commit (amend)", False)
    if before is None:
        return _Origin(head, None, (), author, "commit (initial)", False)
    if merging:
        return _Origin(head, before, (before.id, *merging), author, "commit (merge)", True)
    picked = inprogress.read(repo, "CHERRY_PICK_HEAD")
    if picked and options.author is None:
        author = repo.objects.commit(picked).author
    return _Origin(head, before, (before.id,), author, "commit (cherry-pick)" if picked else "commit", False)


def _merge_heads(repo: Repository, before: Commit | None) -> tuple[str, ...]:
    """MERGE_HEAD, but for one that a crash left behind after its merge was committed."""
    heads = (inprogress.read(repo, "MERGE_HEAD") or "").split()
    return tuple(head for head in heads if before is None or not is_ancestor(repo.objects, head, before.id))


def _message(repo: Repository, message: str | None, origin: _Origin, options: CommitOptions) -> str:
    if message is None and options.amend and origin.before is not None:
        return origin.before.message
    given = message if message is not None else message_template(repo, options)
    text = clean(given, comments=options.comments or message is None)
    if not text and not options.allow_empty_message:
        raise UsageError("the commit message is empty: nothing was committed", hint='mvc commit -m "what changed"')
    return text


def _found_bases(
    repo: Repository, batch: ObjectBatch, stage: Stage, changes: Sequence[trees.TreeChange], origin: _Origin
) -> tuple[Base, ...]:
    """What the models that change were made from, as their tensors tell."""
    large = {
        change.path: change.new
        for change in changes
        if change.new is not None and change.path in stage and stage.sizes(change.path)[0] > SMALL_FILE
    }
    found: tuple[Base, ...] = load(_BASES)(repo, batch.reader, large, origin.parents) if large else ()
    return found


def _with_adapters(
    repo: Repository,
    objects: trees.Unwritten,
    changes: Sequence[trees.TreeChange],
    origin: _Origin,
    said: CommitMetadata,
) -> CommitMetadata:
    """The metadata with what the adapters that change were made for, as their configs tell."""
    paths = [change.path for change in changes if change.new is not None]
    if not any("/adapter_" in f"/{path}" for path in paths):
        return said
    version = load(_VERSION)(objects, partial(trees.entry_at, objects, trees.UNWRITTEN), origin.parents)
    more: CommitMetadata = load(_ADAPTERS)(said, repo, version, paths)
    return more


def _metadata_tree(batch: ObjectBatch, options: CommitOptions, origin: _Origin, bases: tuple[Base, ...]) -> str | None:
    given = with_bases(options.metadata, bases)
    if not options.amend or origin.before is None:
        return write_tree(batch, given) if given else None
    standing = trees.metadata_tree(batch.reader, origin.before.tree)
    if standing is None:
        return write_tree(batch, given) if given else None
    before = read_metadata(batch.reader, origin.before.tree, files=EVERY_FILE)
    # What the tensors tell is told anew, for a model that the amended commit has no longer tells nothing.
    said = layered(before._replace(bases=tuple(base for base in before.bases if not base.found)), given)
    return standing if said == before else write_tree(batch, said)


def _result(
    batch: ObjectBatch, origin: _Origin, new: str, changes: Sequence[trees.TreeChange], stage: Stage
) -> CommitResult:
    sizes = [stage.sizes(change.path) for change in changes if change.new and change.path in stage]
    made = batch.reader.commit(new)
    return CommitResult(
        id=new,
        branch=origin.head.short,
        parents=made.parents,
        summary=made.summary,
        added=tuple(change.path for change in changes if change.old is None),
        changed=tuple(change.path for change in changes if change.old and change.new),
        removed=tuple(change.path for change in changes if change.new is None),
        raw_bytes=sum(raw for raw, _ in sizes),
        stored_bytes=sum(stored for _, stored in sizes),
    )


def _with_cards(
    repo: Repository, batch: ObjectBatch, result: CommitResult, tree: str, options: CommitOptions
) -> CommitResult:
    paths = [path for path in (*result.added, *result.changed) if path.endswith(_CARD)]
    found = load(_CARDS)(repo, tree, paths, batch.reader) if paths else ()
    problems = tuple(problem for one in found for problem in one.problems())
    if problems and options.check_card:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise Refused(f"{problems[0]}{more}", hint="mend the card, or commit without --check-card")
    scoped = [name for name in options.metadata.metrics if "@" in name]
    nowhere: tuple[str, ...] = load(_SCOPES)(batch.reader, tree, scoped) if scoped else ()
    return replace(result, problems=(*problems, *nowhere))


def _refuse_partial(repo: Repository) -> None:
    unfinished = inprogress.current(repo)
    if unfinished is not None and unfinished.operation is not inprogress.Operation.BISECT:
        name = unfinished.operation.value
        hint = f"mvc commit without paths, or mvc {name} --abort"
        raise Refused(f"cannot commit some files alone in the middle of a {name}", hint=hint)


def _refuse_conflicts(stage: Stage) -> None:
    if paths := list(stage.conflicts()):
        hint = "resolve them, then mvc add (or mvc rm) each"
        raise Refused(f"cannot commit: {_named(paths)} in conflict", hint=hint)


def _named(paths: Iterable[str]) -> str:
    names = list(paths)
    return f"'{names[0]}' is" if len(names) == 1 else f"'{names[0]}' and {len(names) - 1} more are"


def _what_to_stage(options: CommitOptions, *, first: bool) -> str:
    if options.metadata._replace(environment={}, links={}):  # these are of any commit
        also = "" if first else ", or --amend for the last commit"
        return f"to record params or metrics alone: --allow-empty{also}"
    if first:
        return "mvc add FILES (mvc status shows them)"
    return "mvc add the files that changed (mvc status shows them), or: mvc commit -a"
