"""What several verbs say of refs: where commits have names, and which branch is in use where."""

from __future__ import annotations

from typing import NamedTuple

from mvc.errors import IntegrityError, Refused
from mvc.lazy import load
from mvc.objects.model import TagObject
from mvc.objects.reader import ObjectReader
from mvc.objects.refnames import ALIASES
from mvc.repo.repository import Repository

HEADS = "refs/heads/"
TAGS = "refs/tags/"
REMOTES = "refs/remotes/"
_STEP = "mvc.objects.aliases:read_step"
"""Loaded where there are aliases."""


def refuse_alias(repo: Repository, name: str) -> None:
    """Raise Refused where an alias of this name stands: a new branch or tag would go before it wherever it is named."""
    tip = repo.refs.read(ALIASES + name)
    if tip is not None and load(_STEP)(repo.objects, tip, name).target is not None:
        raise Refused(f"there is an alias '{name}', which the name would hide", hint="choose another name")


class Decoration(NamedTuple):
    """A name that a commit has. `kind` is "head" (HEAD alone, detached), "branch", "remote", "tag", "alias", "ref", or
    "grafted" (a shallow history ends there); `is_head`: HEAD is on this branch. (A NamedTuple, as `log` has to
    start quickly.)"""

    kind: str
    name: str
    is_head: bool = False


def decorations(repo: Repository) -> dict[str, list[Decoration]]:
    """The names of all commits that have one: HEAD's first, then branches, remotes, tags, aliases, each by name."""
    found: dict[str, list[Decoration]] = {}
    head = repo.refs.head()
    if head.branch is None and head.id is not None:
        found[head.id] = [Decoration("head", "HEAD")]
    rows: list[tuple[int, Decoration, str]] = []
    for ref, target in repo.refs.list("refs/").items():
        if ref.startswith(HEADS):
            is_head = ref == head.branch
            rows.append((0 if is_head else 1, Decoration("branch", ref.removeprefix(HEADS), is_head), target))
        elif ref.startswith(REMOTES):
            rows.append((2, Decoration("remote", ref.removeprefix(REMOTES)), target))
        elif ref.startswith(TAGS):
            rows.append((3, Decoration("tag", ref.removeprefix(TAGS)), peel(repo.objects, target)))
        elif ref.startswith(ALIASES):
            alias = ref.removeprefix(ALIASES)
            if (stands := alias_target(repo.objects, alias, target)) is not None:
                rows.append((4, Decoration("alias", alias), stands))
        elif ref == "refs/stash":
            rows.append((5, Decoration("ref", ref), target))
    for _, name, target in sorted(rows, key=lambda row: row[0]):
        found.setdefault(target, []).append(name)
    for target in repo.objects.shallow:
        found.setdefault(target, []).insert(0, Decoration("grafted", "grafted"))
    return found


def peel(objects: ObjectReader, object_id: str) -> str:
    """What an id stands for once tags are peeled off. A damaged or missing object stands for itself."""
    seen = 0
    try:
        while objects.kind(object_id) == "tag" and seen < _MOST_TAGS:
            object_id = objects.tag(object_id).target
            seen += 1
    except IntegrityError:
        pass
    return object_id


def alias_target(objects: ObjectReader, name: str, step: str) -> str | None:
    """What an alias stands for; None for nothing, and for a damaged one, of which fsck tells."""
    try:
        found: str | None = load(_STEP)(objects, step, name).target
    except IntegrityError:
        return None
    return found


def tag_object(objects: ObjectReader, object_id: str) -> TagObject | None:
    """The annotated tag with this id; None for any other object."""
    return objects.tag(object_id) if objects.kind(object_id) == "tag" else None


_MOST_TAGS = 32
