"""`mvc show`: what a revision is: a commit, an annotated tag, a folder, a file, a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvc.errors import ParseError
from mvc.lazy import load
from mvc.metadata.annotations import Annotation, annotated
from mvc.metadata.card import NAME as CARD
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.tree import series_steps
from mvc.objects.manifest import is_manifest
from mvc.objects.model import Commit, TagObject, TreeEntry, is_link
from mvc.ops.cards import FoundCard, card_at
from mvc.ops.diff import FileDiff, diff_trees
from mvc.ops.known import Known
from mvc.ops.named import object_named
from mvc.repo.repository import Repository

if TYPE_CHECKING:
    from mvc.ops.show_model import ModelListing

MODELS = {
    "locate": "mvc.ops.model_file:locate",
    "read": "mvc.ops.model_file:read_file",
    "list": "mvc.ops.show_model:list_model",
}
"""Loaded for files alone, since they open the chunk store."""


@dataclass(frozen=True, slots=True)
class ShownCommit:
    """A commit, what it says of itself, and the files that differ from its first parent."""

    commit: Commit
    metadata: CommitMetadata
    problem: str | None
    files: tuple[FileDiff, ...]
    annotations: tuple[Annotation, ...] = ()
    """What was added to the metadata later (it is counted in)."""
    card: FoundCard | None = None
    """The model card of the version."""
    steps: int = 0
    """How many lines its series has."""


@dataclass(frozen=True, slots=True)
class ShownTag:
    """An annotated tag, and what it stands for."""

    tag: TagObject
    target: Shown
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownTree:
    """A folder."""

    spec: str
    id: str
    entries: tuple[TreeEntry, ...]


@dataclass(frozen=True, slots=True)
class ShownBlob:
    """A file without tensors that is stored as it is, or a symbolic link's target."""

    spec: str
    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A file that is chunked, or that has tensors."""

    spec: str
    listing: ModelListing


Shown = ShownCommit | ShownTag | ShownTree | ShownBlob | ShownModel


def show(repo: Repository, spec: str) -> Shown:
    """What `spec` names: a revision, `REV:PATH`, `:PATH` of the stage, or any object's id. Raises NotFound."""
    return _show(repo, spec, object_named(repo, spec))


def _show(repo: Repository, spec: str, object_id: str) -> Shown:
    objects = repo.objects
    kind = objects.kind(object_id)
    if kind == "commit":
        return _commit(repo, objects.commit(object_id))
    if kind == "tag":
        tag = objects.tag(object_id)
        return ShownTag(tag, _show(repo, tag.target, tag.target), Known(repo).notes.get(object_id, ()))
    if kind == "tree":
        return ShownTree(spec, object_id, tuple(objects.tree(object_id)))
    return _file(repo, spec)


def _commit(repo: Repository, commit: Commit) -> ShownCommit:
    parent = repo.objects.commit(commit.parents[0]).tree if commit.parents else None
    known = Known(repo)
    annotations = known.annotations(commit.id)
    try:
        metadata, problem = known.of_tree(commit.id, commit.tree), None
    except ParseError as error:
        metadata, problem = annotated(NOTHING, annotations), error.message
    return ShownCommit(
        commit,
        metadata,
        problem,
        diff_trees(repo, parent, commit.tree),
        annotations,
        card_at(repo, commit.tree, CARD),
        series_steps(repo.objects, commit.tree),
    )


def _file(repo: Repository, spec: str) -> Shown:
    path, item = load(MODELS["locate"])(repo, spec)
    data = repo.objects.blob(item.id)
    if is_link(item.mode):
        return ShownBlob(spec, item.id, data)
    file = load(MODELS["read"])(repo, path, item)
    if is_manifest(data) or file.is_model():
        return ShownModel(spec, load(MODELS["list"])(repo, file))
    return ShownBlob(spec, item.id, data)
