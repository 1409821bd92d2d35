"""Questions about descent: merge bases, is-ancestor, ahead and behind."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.objects.reader import ObjectReader


def merge_bases(objects: ObjectReader, one: str, others: Sequence[str]) -> list[str]:
    """The best common ancestors of `one` and (a merge of) `others`, newest first; none of them is another's ancestor."""
    raise NotImplementedError


def merge_base(objects: ObjectReader, one: str, two: str) -> str | None:
    """The first of the merge bases, or None for unrelated histories."""
    raise NotImplementedError


def is_ancestor(objects: ObjectReader, ancestor: str, descendant: str) -> bool:
    """Whether `descendant` is `ancestor` or comes after it."""
    raise NotImplementedError


def ahead_behind(objects: ObjectReader, ours: str, theirs: str) -> tuple[int, int]:
    """How many commits only `ours` has, and how many only `theirs`."""
    raise NotImplementedError
