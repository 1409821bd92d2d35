"""Keeping the idx files few: a log-structured merge, so that each record is merged a few times only."""

from __future__ import annotations

from mvc import fsio
from mvc.errors import IntegrityError, Locked
from mvc.lazy import load
from mvc.store.files import StorePaths
from mvc.store.idx import Idx
from mvc.store.idxset import IdxSet
from mvc.store.locks import hold

MERGING = {
    "read": "mvc.store.idxbuild:from_idx",
    "merge": "mvc.store.idxbuild:merge",
    "write": "mvc.store.idxbuild:write",
}
"""Loaded when there is something to merge: they need numpy."""

MAX_IDX = 16
"""More idx files than this are merged."""


def choose(sizes: list[int]) -> int:
    """How many of the smallest to merge, of idx files with so many records each (ascending).

    At least enough to come to half of MAX_IDX files; then all that are not more than twice as large
    as what is merged already: so a record is merged again only when its idx at least grows by half.
    """
    count = max(2, len(sizes) - MAX_IDX // 2)
    total = sum(sizes[:count])
    while count < len(sizes) and sizes[count] <= 2 * total:
        total += sizes[count]
        count += 1
    return count


def compact(paths: StorePaths, idx: IdxSet) -> bool:
    """Merge idx files if there are too many and nobody else is at it; whether it did."""
    if len(idx.all) <= MAX_IDX:
        return False
    try:
        with hold(paths.idx_lock, what="merging idx files"):
            idx.reload()
            smallest = sorted(idx.all, key=lambda one: one.records)
            if len(smallest) > MAX_IDX:
                replace(paths, idx, smallest[: choose([one.records for one in smallest])])
            return True
    except (Locked, IntegrityError, OSError):
        # It can wait. A damaged idx stays as it is, for fsck to name.
        return False


def replace(paths: StorePaths, idx: IdxSet, old: list[Idx], *, without: frozenset[bytes] = frozenset()) -> None:
    """Put one idx in the place of several, leaving out the packs `without`. The caller holds the idx lock.

    Raises IntegrityError if one of the old is damaged: a new checksum must not be put on its word.
    """
    for one in old:
        one.check()
    paths.check_folder(paths.idx)
    table = load(MERGING["merge"])([load(MERGING["read"])(one) for one in old], without=without)
    written = load(MERGING["write"])(table, paths.idx, paths.tmp)
    for one in old:
        if one.path != written:
            fsio.unlink(one.path, missing_ok=True)
    fsio.fsync_dir(paths.idx)
    idx.reload()
