"""`mvc log`: the commits of the history that were asked for, as they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice, starmap
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mvc.errors import MvcError, NotFound, ParseError, UnsupportedFormat
from mvc.lazy import load
from mvc.metadata.model import CACHE, NOTES, NOTHING, CommitMetadata
from mvc.metadata.tree import FILES, METRICS, PARAMS, MetadataReader
from mvc.objects.model import Commit
from mvc.objects.revparse import parse_range
from mvc.objects.walk import Selection, walk, walk_graph
from mvc.ops.names import HEADS, REMOTES, TAGS, peel
from mvc.repo.repository import Repository

if TYPE_CHECKING:
    from mvc.metadata.annotations import Annotation
    from mvc.metadata.remembered import RememberingReader

    _Later = Callable[[str, CommitMetadata], tuple[CommitMetadata, Mapping[str, Annotation] | None]]

_REMEMBERING = "mvc.metadata.remembered:RememberingReader"
_LATER = "mvc.ops.known:later"
_Item = TypeVar("_Item")
_FIRST = 8
MOST_AT_ONCE = 64
"""Commits are handled so many at a time: each step for all of them is much faster than all steps for each."""

_LONG = 128
"""So many commits are read before the file of what was read once is looked at; the first screen does without."""

_TENSOR_FILTER = "mvc.ops.tensor_filter:TensorFilter"
_PATHSPEC = "mvc.repo.pathspec:Pathspec"
"""Loaded for a log of paths."""


class LogOptions(NamedTuple):
    """Which commits, and what of them. All conditions must hold; times are seconds since 1970."""

    revisions: tuple[str, ...] = ()
    """As typed, ranges too; none for HEAD."""
    paths: tuple[str, ...] = ()
    """Path specs as typed in the folder `prefix`: only commits that change what they mean."""
    prefix: str = ""
    tensors: tuple[str, ...] = ()
    """Globs: only commits that change one of these tensors, with respect to their first parent."""
    since: int | None = None
    until: int | None = None
    author: str | None = None
    grep: str | None = None
    max_count: int | None = None
    skip: int = 0
    every_ref: bool = False
    first_parent: bool = False
    merges: bool | None = None
    graph: bool = False
    reverse: bool = False
    metadata: bool = True
    """Read params and metrics."""
    all_metadata: bool = False
    """Datasets and environment as well."""


class LogEntry(NamedTuple):
    """A commit. `parents` are those that are shown (for a graph); `problem` says why there is no metadata.
    (A NamedTuple, as there are many.)"""

    commit: Commit
    parents: tuple[str, ...]
    metadata: CommitMetadata = NOTHING
    problem: str | None = None
    added: Mapping[str, Annotation] | None = None
    """What of the metadata was added later, by part and name ("metrics.acc")."""


def log(repo: Repository, options: LogOptions) -> Iterator[LogEntry]:
    """The commits, newest first. Raises NotFound for a revision that is none, or a history without commits."""
    selection = _selection(repo, options)
    if options.graph:
        steps = ((step.commit, step.parents) for step in walk_graph(repo.objects, selection))
    else:
        steps = ((commit, commit.parents) for commit in walk(repo.objects, selection))
    if options.reverse:
        steps = (step for step in reversed(list(steps)))
    many = batches(steps, most=MOST_AT_ONCE if _plain(options) else 1)
    if not options.metadata:
        for batch in many:
            yield from starmap(LogEntry, batch)
        return
    yield from _with_metadata(repo, many, options.all_metadata)


def batches(items: Iterator[_Item], *, most: int) -> Iterator[list[_Item]]:
    """The items, some at once: few at first, as what is shown first must not wait for what comes behind it.

    Where the iterator fails, what it gave before comes first.
    """
    size = min(_FIRST, most)
    while True:
        batch: list[_Item] = []
        try:
            for item in islice(items, size):
                batch.append(item)  # one by one: what came before an error counts
        except Exception:
            if batch:
                yield batch
            raise
        if batch:
            yield batch
        if len(batch) < size:
            return
        size = min(2 * size, most)


def _plain(options: LogOptions) -> bool:
    """Whether the next commit is found at once, as nothing is filtered that a whole history might not have."""
    filters = (options.paths, options.tensors, options.author, options.grep, options.until)
    return options.merges is None and not any(filters)


def _with_metadata(
    repo: Repository, many: Iterator[list[tuple[Commit, tuple[str, ...]]]], every_file: bool
) -> Iterator[LogEntry]:
    plain = MetadataReader(repo.objects, FILES if every_file else (PARAMS, METRICS))
    remembering: RememberingReader | None = None
    # Most repositories have no notes: then all there is to it is to ask for the ref, once.
    later: _Later | None = load(_LATER)(repo) if repo.refs.read(NOTES) is not None else None
    count = 0
    for batch in many:
        count += len(batch)
        if remembering is None and count > _LONG and not every_file:
            remembering = load(_REMEMBERING)(plain, repo.common_dir / CACHE)
        entries: list[LogEntry] = []
        try:
            _add_entries(entries, batch, remembering or plain, later)
        except Exception:
            yield from entries
            raise
        yield from entries
    if remembering is not None and (remembering.fresh > _LONG or remembering.damaged):
        with suppress(UnsupportedFormat):
            repo.require_writable()
            remembering.save(repo.tmp_dir)


def _add_entries(
    entries: list[LogEntry],
    batch: list[tuple[Commit, tuple[str, ...]]],
    reader: MetadataReader | RememberingReader,
    later: _Later | None,
) -> None:
    every: Sequence[CommitMetadata] = ()
    try:
        if len(batch) > 1:
            every = reader.read_all([commit.tree for commit, _ in batch])
    except MvcError:
        pass  # which of them it is, and what can be read, is found out one by one
    for at, (commit, parents) in enumerate(batch):
        try:
            metadata = every[at] if every else reader.read(commit.tree)
        except ParseError as error:  # what nobody can read hides no commit: it is told beside it
            entries.append(LogEntry(commit, parents, problem=error.message))
            continue
        if later is None:
            entries.append(LogEntry(commit, parents, metadata))
        else:
            metadata, added = later(commit.id, metadata)
            entries.append(LogEntry(commit, parents, metadata, None, added))


def _selection(repo: Repository, options: LogOptions) -> Selection:
    ranges = [parse_range(repo.objects, repo.refs, spec) for spec in options.revisions]
    include = list(chain.from_iterable(one.include for one in ranges))
    exclude = list(chain.from_iterable(one.exclude for one in ranges))
    if options.every_ref:
        include += _every_ref(repo)
    if not include:
        head = repo.refs.head()
        if head.id is None:
            name = f"the branch '{head.short}'" if head.short else "HEAD"
            raise NotFound(f"{name} has no commit yet", hint="mvc add FILES, then: mvc commit")
        include = [head.id]
    spec = load(_PATHSPEC).parse(options.paths, options.prefix, repo.locate) if options.paths else None
    paths = spec.trees if spec is not None else ()
    fits = spec.matches if spec is not None else _every_path
    return Selection(
        include=tuple(dict.fromkeys(include)),
        exclude=tuple(exclude),
        order="topo" if options.graph else "date",
        paths=paths or (),
        fits=fits if paths is None else None,
        since=options.since,
        until=options.until,
        author=options.author,
        grep=options.grep,
        first_parent=options.first_parent,
        merges=options.merges,
        max_count=options.max_count,
        skip=options.skip,
        keep=load(_TENSOR_FILTER)(options.tensors, fits).changes if options.tensors else None,
    )


def _every_path(_path: str) -> bool:
    return True


def _every_ref(repo: Repository) -> list[str]:
    tips = [target for prefix in (HEADS, REMOTES, TAGS) for target in repo.refs.list(prefix).values()]
    head = repo.refs.head().id
    peeled = (peel(repo.objects, target) for target in [*tips, *([head] if head else [])])
    return [target for target in peeled if repo.objects.kind(target) == "commit"]
