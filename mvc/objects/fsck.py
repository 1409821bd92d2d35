"""Checking the Git side: objects, trees, refs, reflogs. Chunks are the store's; `mvc.ops.fsck` joins the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mvc.objects.database import Objects
from mvc.objects.reachable import Reached
from mvc.objects.refs import Refs
from mvc.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: `what` it is about (an object id, a ref, a pack's file name), one line why, and the
    paths and commits that it touches, as far as known."""

    what: str
    message: str
    path: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class ObjectReport:
    """The problems found, and how many objects were read; `dangling` are ids that nothing reaches."""

    problems: tuple[Problem, ...]
    objects: int
    dangling: tuple[str, ...]


def check(
    objects: Objects,
    refs: Refs,
    *,
    extra_tips: tuple[str, ...] = (),
    on_blob: Callable[[Reached], None] | None = None,
    progress: Progress = SILENT,
) -> ObjectReport:
    """Read and verify every object and pack, the guard of every tree, all refs and reflogs, and that all that
    refs, reflogs and `extra_tips` (stage, stash, operations under way) reach is there.

    `on_blob` is called for each reachable blob, with its path and commit: the caller looks whether
    it is a manifest, and whether its chunks are there.
    """
    raise NotImplementedError
