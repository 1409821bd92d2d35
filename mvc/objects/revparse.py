"""Revisions: from what a person types to an object id (gitrevisions(7))."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.objects.database import Objects
from mvc.objects.refs import Refs


@dataclass(frozen=True, slots=True)
class Range:
    """Commits reachable from `include` and not from `exclude`. `symmetric`: it was written `A...B`.

    `left` and `right` are the two ends as commits, for `diff` (for a single revision `left` is None).
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    left: str | None
    right: str
    symmetric: bool = False


def resolve(objects: Objects, refs: Refs, spec: str) -> str:
    """The id of the object that `spec` names: any kind, as it stands (a tag is not peeled).

    Names, short hashes, HEAD, `@`, `~n`, `^n`, `^{commit}`, `^{tree}`, `^{}`, `@{n}`, `@{date}`, `@{-n}`,
    `@{upstream}` is not known here, `:/text`, `REV:PATH`.
    Raises NotFound (its hint has near names) or AmbiguousName.
    """
    raise NotImplementedError


def resolve_commit(objects: Objects, refs: Refs, spec: str) -> str:
    """As `resolve`, peeled to a commit. Raises NotFound if it is none."""
    raise NotImplementedError


def resolve_tree(objects: Objects, refs: Refs, spec: str) -> str:
    """As `resolve`, peeled to a tree."""
    raise NotImplementedError


def resolve_ref(refs: Refs, name: str) -> str | None:
    """The full name of the ref that `name` stands for, by Git's order (refs/, tags, heads, remotes), or None."""
    raise NotImplementedError


def split_path(spec: str) -> tuple[str, str | None]:
    """`REV:PATH` as (REV, PATH); (spec, None) if there is no path."""
    raise NotImplementedError


def parse_range(objects: Objects, refs: Refs, spec: str) -> Range:
    """`A..B`, `A...B`, `A`, `^A` (an exclusion alone), with an end left out for HEAD."""
    raise NotImplementedError


def abbreviate(objects: Objects, object_id: str, length: int = 7) -> str:
    """The shortest prefix of at least `length` digits that names this object alone."""
    raise NotImplementedError
