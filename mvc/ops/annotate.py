"""`mvc annotate`: what is known of a commit or an annotated tag only later, as a line in its Git note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mvc.errors import NotFound, UsageError
from mvc.hashing import digest
from mvc.metadata.annotations import Annotation, dump_line, parse_line, read_annotations
from mvc.metadata.model import NOTES
from mvc.objects.model import Kind
from mvc.objects.revparse import resolve
from mvc.ops.caller import Caller
from mvc.ops.known import Known
from mvc.ops.metric_scopes import scopes_nowhere
from mvc.ops.notes import append
from mvc.repo.repository import Repository

MAX_LINE = 1024 * 1024
"""Bytes of one annotation."""

_PARTS = ("params", "metrics", "tags")


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be added. `removed`: names that hold no longer, with their part ("metrics.acc")."""

    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    note: str | None = None

    def __bool__(self) -> bool:
        return bool(self.params or self.metrics or self.tags or self.removed or self.note)


@dataclass(frozen=True, slots=True)
class Annotated:
    """The object that was annotated (`kind` "commit" or "tag"), and the line that was added."""

    object_id: str
    kind: Kind
    annotation: Annotation
    problems: tuple[str, ...] = ()
    """Metrics of files that the commit has not."""


def annotate(repo: Repository, spec: str, said: Said, *, caller: Caller) -> Annotated:
    """Add a line to the note of what `spec` names: a commit, or an annotated tag itself (`v1^{}` is its commit).

    Raises NotFound, UsageError for nothing to say and for a thing that is neither commit nor tag.
    """
    return annotate_object(repo, resolve(repo.objects, repo.refs, spec), said, caller=caller)


def annotate_object(repo: Repository, object_id: str, said: Said, *, caller: Caller) -> Annotated:
    """As `annotate`, by id."""
    if not said:
        raise UsageError("nothing to say", hint="mvc annotate REV --metric acc=0.93")
    kind = repo.objects.kind(object_id)
    if kind not in ("commit", "tag"):
        raise UsageError(f"{object_id[:7]} is a {kind}: a commit or an annotated tag can be annotated")
    _check_removed(repo, object_id, said.removed)
    standing = read_annotations(repo.objects, repo.refs).get(object_id, ())
    annotation = Annotation(
        "",
        caller.who.time,
        str(caller.who),
        dict(said.params),
        dict(said.metrics),
        dict(said.tags),
        said.removed,
        said.note,
        1 + max((one.number for one in standing), default=-1),
    )
    # Two of one second with one content are two, for the notes that they follow differ; in two clones they are one.
    before = repo.refs.read(NOTES) or ""
    named = annotation._replace(id=digest(dump_line(annotation) + before.encode()).hex()[:16])
    line = dump_line(named)
    if len(line) > MAX_LINE:
        raise UsageError(f"an annotation of {len(line):,} bytes: at most {MAX_LINE:,} are taken")
    parse_line(line)
    append(repo, {object_id: line}, caller.who, "Notes added by 'mvc annotate'")
    scoped = [name for name in said.metrics if "@" in name]
    nowhere = scopes_nowhere(repo.objects, repo.objects.peel(object_id, "tree"), scoped) if scoped else ()
    return Annotated(object_id, kind, named, nowhere)


def _check_removed(repo: Repository, object_id: str, names: tuple[str, ...]) -> None:
    if not names:
        return
    known = Known(repo).read(repo.objects.peel(object_id, "commit"))
    for name in names:
        part, dot, rest = name.partition(".")
        if part not in _PARTS or not dot:
            raise UsageError(f"--remove takes params.NAME, metrics.NAME or tags.NAME, not '{name}'")
        if rest not in getattr(known, part):
            raise NotFound(f"there is no {part}.{rest} to remove", hint="mvc show")
