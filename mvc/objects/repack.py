"""Packs made anew: many small ones merged, unreachable objects dropped."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from mvc.objects.database import Objects
from mvc.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class RepackResult:
    """What happened (or would): objects and bytes removed, packs and loose objects before, packs after."""

    removed_ids: tuple[str, ...]
    removed_bytes: int
    packs_before: int
    loose_before: int
    packs_after: int


def consolidate(objects: Objects, *, at_most: int = 16) -> int:
    """Merge small packs, as a log-structured merge, if there are more than `at_most`; returns how many went.
    `ObjectBatch.seal` calls it; no lock is needed (see the module's text)."""
    raise NotImplementedError


def prune(
    objects: Objects, live: Container[str], *, older_than: float | None = None, dry_run: bool = False, progress: Progress = SILENT
) -> RepackResult:
    """One pack of all live objects, the rest dropped: those not in `live` whose file is older than `older_than`
    (seconds since 1970; None: any age). Kept packs are not touched. The caller holds the gc lock."""
    raise NotImplementedError
