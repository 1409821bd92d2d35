"""`mvc tag`: list, make and delete tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from mvc.errors import NotFound, Refused
from mvc.objects.ancestry import is_ancestor
from mvc.objects.model import Kind, TagObject
from mvc.objects.refnames import tag_ref
from mvc.objects.refs import LOCK_WAIT, RefChange
from mvc.objects.revparse import resolve, resolve_commit
from mvc.ops.caller import Caller
from mvc.ops.names import TAGS, peel, refuse_alias, tag_object
from mvc.repo.repository import Repository

Sort = Literal["name", "-name", "date", "-date", "version", "-version"]

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag. `annotation` is its object if it is an annotated one; `target` what it stands for in the end."""

    name: str
    id: str
    target: str
    kind: Kind
    annotation: TagObject | None
    time: int
    """When it was made; for a light tag of a commit, when that was. Seconds since 1970, 0 where unknown."""
    summary: str
    """The first paragraph of the annotation, or of the commit."""


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Which tags to list; all conditions must hold."""

    patterns: tuple[str, ...] = ()
    contains: str | None = None
    points_at: str | None = None
    sort: Sort = "name"


def list_tags(repo: Repository, wanted: TagFilter) -> tuple[Tag, ...]:
    """The tags that fit, in order."""
    contains = _commit(repo, wanted.contains)
    points_at = resolve(repo.objects, repo.refs, wanted.points_at) if wanted.points_at else None
    tags = []
    for ref, target in repo.refs.list(TAGS).items():
        name = ref.removeprefix(TAGS)
        if wanted.patterns and not any(fnmatchcase(name, pattern) for pattern in wanted.patterns):
            continue
        tag = _tag(repo, name, target)
        if points_at is not None and points_at not in (tag.id, tag.target):
            continue
        if contains is not None and (tag.kind != "commit" or not is_ancestor(repo.objects, contains, tag.target)):
            continue
        tags.append(tag)
    if wanted.sort.endswith("date"):
        tags.sort(key=lambda tag: tag.time)
    if wanted.sort.endswith("version"):
        tags.sort(key=lambda tag: by_version(tag.name))
    if wanted.sort.startswith("-"):
        tags.reverse()
    return tuple(tags)


def by_version(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts runs of digits as numbers: v1.9 before v1.10."""
    parts = enumerate(_NUMBER.split(name))
    return tuple((int(part), "") if index % 2 else (0, part) for index, part in parts)


def create_tag(
    repo: Repository, name: str, target: str, caller: Caller, *, message: str | None = None, force: bool = False
) -> str:
    """Make a tag of what `target` names: a light one, or with `message` an annotated one; returns its id.

    Raises UsageError for a name that Git forbids, Refused if there is one (and not `force`), NotFound.
    """
    repo.require_writable()
    ref = tag_ref(name)
    object_id = resolve(repo.objects, repo.refs, target)
    standing = repo.refs.read(ref)
    if standing is not None and not force:
        raise Refused(f"there is a tag '{name}' already", hint=f"mvc tag --force {name} {target}, to move it")
    if not force:
        refuse_alias(repo, name)
    if message is not None:
        with repo.objects.batch() as batch:
            kind = repo.objects.kind(object_id)
            object_id = batch.tag(object_id, kind, name, caller.who, message)
            batch.seal()
    change = RefChange(ref, standing, object_id)
    repo.refs.update(
        [change], message=f"tag: {name}", author=caller.who, head_follows=False, wait=max(caller.wait, LOCK_WAIT)
    )
    return object_id


def delete_tags(repo: Repository, names: Sequence[str], caller: Caller) -> tuple[tuple[str, str], ...]:
    """Delete tags, all or none; returns (name, id it had). Raises NotFound."""
    repo.require_writable()
    deleted = []
    for name in dict.fromkeys(names):
        standing = repo.refs.read(TAGS + name)
        if standing is None:
            raise NotFound(f"there is no tag '{name}'", hint="mvc tag --list")
        deleted.append((name, standing))
    changes = [RefChange(TAGS + name, target, None) for name, target in deleted]
    repo.refs.update(
        changes, message="tag: deleted", author=caller.who, head_follows=False, wait=max(caller.wait, LOCK_WAIT)
    )
    return tuple(deleted)


def _tag(repo: Repository, name: str, object_id: str) -> Tag:
    annotation = tag_object(repo.objects, object_id)
    target = peel(repo.objects, object_id)
    kind = repo.objects.kind(target)
    time, summary = 0, ""
    if annotation is not None:
        time = annotation.tagger.time if annotation.tagger else 0
        summary = " ".join(annotation.message.strip("\n").split("\n\n", 1)[0].split("\n"))
    elif kind == "commit":
        commit = repo.objects.commit(target)
        time, summary = commit.committer.time, commit.summary
    return Tag(name, object_id, target, kind, annotation, time, summary)


def _commit(repo: Repository, spec: str | None) -> str | None:
    return resolve_commit(repo.objects, repo.refs, spec) if spec else None
