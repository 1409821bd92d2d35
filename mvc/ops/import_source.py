"""`mvc import`: a source's history becomes commits, branches, tags, runs, aliases. The worktree is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mvc.errors import NotFound, Refused
from mvc.importers.base import Source, SourceRef
from mvc.importers.intake import Intake, Plan
from mvc.objects import trees
from mvc.objects.model import TreeItem
from mvc.objects.refnames import ALIASES, check
from mvc.objects.refs import RefChange
from mvc.ops.alias import set_alias
from mvc.ops.caller import Caller
from mvc.ops.differences import staged_differences
from mvc.ops.project import note_head
from mvc.repo.locking import edit_stage, read_stage
from mvc.repo.materialize import restore_paths
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage

_SHOWN = 20
_BRINGS = {
    "dvc": "dvc fetch --all-commits",
    "git-lfs": "git lfs fetch --all",
    "mlflow": "--artifacts says where artefacts are",
    "hf-cache": "hf download REPO",
}
"""What brings content that a source lacks."""
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import."""

    allow_missing: bool = False
    """Leave out files whose content the source does not have."""
    prefix: str = ""
    """In front of the names of branches, tags and aliases: "bert" makes `bert/main`."""
    dry_run: bool = False
    variant: str = ""
    """What other options make other commits of the same source (see `mvc.importers.record`)."""


@dataclass(frozen=True, slots=True)
class MovedRef:
    """A ref that an import made or moved; `old` is None for a new one."""

    ref: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What was brought, or (dry run) what would be. Sizes in bytes."""

    commits: Mapping[str, str]
    """Source commit to ours. Empty in a dry run."""
    new: int
    total: int
    contents: int
    raw: int
    stored: int
    refs: tuple[MovedRef, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    checked_out: bool = False
    """Whether the branch that is checked out moved: the worktree does not follow."""


def import_source(
    repo: Repository, source: Source, options: ImportOptions = ImportOptions(), *, caller: Caller
) -> Imported:
    """Bring what is new of a source. Everything that can be refused is, before anything is written.

    Raises Refused where the source lacks contents (unless allowed), or where a branch or tag of the name went its own
    way here; UnsafePath, ParseError, IntegrityError for a source that makes no sense.
    """
    with Intake(repo, source, caller.who, variant=options.variant, wait=caller.wait) as intake:
        plan = intake.plan(caller.progress)
        wanted = _renamed(source.refs(), options.prefix)
        ours = intake.ever()
        if plan.missing and not options.allow_missing:
            for text in source.warnings():
                caller.progress.warn(text)
        _refuse_missing(plan, options, source.kind)
        _refuse_diverged(repo, wanted, ours)
        if options.dry_run:
            return _result(plan, source, {}, (), raw=plan.size)
        _refuse_staged(repo, wanted, ours)
        taken = intake.run(plan, caller.progress)
        moved, checked_out = _move(repo, source, wanted, taken.commits, caller)
        intake.finish()
        size = taken.raw
        made = _result(plan, source, taken.commits, moved, raw=size, stored=taken.stored, checked_out=checked_out)
    return made


def _result(
    plan: Plan,
    source: Source,
    commits: Mapping[str, str],
    moved: tuple[MovedRef, ...],
    *,
    raw: int,
    stored: int = 0,
    checked_out: bool = False,
) -> Imported:
    warnings = tuple(source.warnings())
    return Imported(
        commits, len(plan.new), plan.total, plan.contents, raw, stored, moved, plan.missing, warnings, checked_out
    )


def _renamed(refs: Sequence[SourceRef], prefix: str) -> list[SourceRef]:
    """The refs under the names that they get here. Raises UsageError for a prefix that cannot be one."""
    if not prefix:
        return list(refs)
    made = []
    for one in refs:
        for above in (_HEADS, _TAGS, ALIASES):
            if one.ref.startswith(above):
                one = one._replace(ref=check(f"{above}{prefix}/{one.ref.removeprefix(above)}"))
                break
        made.append(one)
    return made


def _refuse_missing(plan: Plan, options: ImportOptions, kind: str) -> None:
    if plan.missing and not options.allow_missing:
        shown = ", ".join(f"'{path}'" for path in plan.missing[:_SHOWN])
        more = f" and {len(plan.missing) - _SHOWN} more" if len(plan.missing) > _SHOWN else ""
        brings = f" ({_BRINGS[kind]})" if kind in _BRINGS else ""
        raise Refused(
            f"the source does not have the content of {shown}{more}: nothing was written",
            hint=f"bring it there{brings}, or leave it out: --allow-missing",
        )


def _refuse_diverged(repo: Repository, wanted: Sequence[SourceRef], ours: set[str]) -> None:
    """A ref may move that is not there, or stands where an import put it."""
    for one in wanted:
        if one.ref.startswith(ALIASES):
            continue
        standing = repo.refs.read(one.ref)
        if standing is not None and standing not in ours and repo.objects.peel(standing) not in ours:
            name = one.ref.removeprefix(_HEADS).removeprefix("refs/")
            raise Refused(
                f"'{name}' is here already, with commits that did not come from this source",
                hint="import under other names with --prefix NAME, and merge",
            )


def _refuse_staged(repo: Repository, wanted: Sequence[SourceRef], ours: set[str]) -> None:
    """Where the branch that is checked out moves, the stage goes along; but not over what somebody staged."""
    head = repo.refs.head()
    if repo.worktree is None or head.branch not in {one.ref for one in wanted}:
        return
    tree = repo.objects.commit(head.id).tree if head.id else None
    stage = read_stage(repo)
    if not stage.conflicts() and (not staged_differences(repo, stage, tree) or _was_imported(repo, stage, ours)):
        return
    raise Refused(f"the branch {head.short} would move, and the stage holds changes", hint="commit or stash them")


def _was_imported(repo: Repository, stage: Stage, ours: set[str]) -> bool:
    """Whether the stage is that of a commit which an import made: one was killed before its branch moved."""
    known = (one for one in ours if repo.objects.contains(one))
    return any(repo.objects.commit(one).tree == stage.tree for one in known) if stage.tree is not None else False


def _move(
    repo: Repository, source: Source, wanted: Sequence[SourceRef], commits: Mapping[str, str], caller: Caller
) -> tuple[tuple[MovedRef, ...], bool]:
    """Make branches, tags and runs in one step, then aliases."""
    _follow_head(repo, source, wanted, caller)
    targets = _targets(repo, [one for one in wanted if not one.ref.startswith(ALIASES)], commits)
    head = repo.refs.head()
    moved = [MovedRef(ref, standing, new) for ref, new in targets.items() if (standing := repo.refs.read(ref)) != new]
    changes = [RefChange(one.ref, one.old, one.new) for one in moved]
    text = f"import {source.kind}: {source.place}"
    checked_out = repo.worktree is not None and any(one.ref == head.branch for one in moved)
    if checked_out:
        with edit_stage(repo, wait=caller.wait, what="import") as stage:
            new = next(one.new for one in moved if one.ref == head.branch)
            # The stage first: killed in between, the next import knows it for its own.
            _stage_becomes(repo, stage, repo.objects.commit(new).tree, caller)
            stage.save(repo.stage_path)
            repo.refs.update(changes, message=text, author=caller.who, wait=caller.wait)
            note_head(repo, stage)
    elif changes:
        repo.refs.update(changes, message=text, author=caller.who, wait=caller.wait)
    return (*moved, *_aliases(repo, wanted, commits, caller)), checked_out


def _follow_head(repo: Repository, source: Source, wanted: Sequence[SourceRef], caller: Caller) -> None:
    """Where nothing was committed yet, be on the branch that the source is on."""
    head, theirs = repo.refs.head(), source.head()
    names = {one.ref for one in wanted}
    if head.id is None and head.branch not in names and theirs in names and repo.git_project is None:
        repo.refs.set_head(theirs, message=f"import {source.kind}", author=caller.who)


def _targets(repo: Repository, wanted: Sequence[SourceRef], commits: Mapping[str, str]) -> dict[str, str]:
    """Ref to what it is to name; annotated tags are written here."""
    found: dict[str, str] = {}
    with repo.objects.batch() as batch:
        for one in wanted:
            target = commits[one.target]
            if one.message is not None and one.tagger is not None:
                target = batch.tag(target, "commit", one.ref.removeprefix(_TAGS), one.tagger, one.message)
            found[one.ref] = target
        batch.seal()
    return found


def _aliases(
    repo: Repository, wanted: Sequence[SourceRef], commits: Mapping[str, str], caller: Caller
) -> list[MovedRef]:
    made: list[MovedRef] = []
    for one in wanted:
        if not one.ref.startswith(ALIASES):
            continue
        name, new = one.ref.removeprefix(ALIASES), commits[one.target]
        try:
            step = set_alias(repo, name, new, caller, why="imported")
        except (Refused, NotFound) as error:
            caller.progress.warn(f"the alias '{name}' was not set: {error.message}")
            continue
        if step is not None:
            made.append(MovedRef(one.ref, step.old, new))
    return made


def _stage_becomes(repo: Repository, stage: Stage, tree: str, caller: Caller) -> None:
    """The stage equals a tree. What lies in the worktree is left as it is."""
    staged, committed = stage.items(), trees.flatten(repo.objects, tree)
    items: dict[str, TreeItem | None] = {path: None for path in staged.keys() - committed.keys()}
    items.update((path, item) for path, item in committed.items() if staged.get(path) != item)
    restore_paths(repo, stage, items, to_stage=True, to_worktree=False, progress=caller.progress)
    stage.tree = tree
