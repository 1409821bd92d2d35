"""Counting what the idx files list."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from mvc.store.files import StorePaths
from mvc.store.idx import Idx
from mvc.store.idxbuild import Array, from_idx
from mvc.store.idxset import IdxSet
from mvc.store.report import Figures, PackInfo, StoreStatistics

NONE = Figures(0, 0, 0)


def add(a: Figures, b: Figures) -> Figures:
    return Figures(a.chunks + b.chunks, a.raw_bytes + b.raw_bytes, a.stored_bytes + b.stored_bytes)


def count_by_pack(idx: Idx) -> dict[bytes, int]:
    """How many records an idx lists in each pack."""
    counts = np.bincount(from_idx(idx).entries["pack"], minlength=len(idx.packs))
    return {pack_id: int(counts[at]) for at, (pack_id, _) in enumerate(idx.packs)}


def packs(idx_set: IdxSet, paths: StorePaths) -> list[PackInfo]:
    """All packs that an idx lists."""
    counts: dict[bytes, int] = defaultdict(int)
    for idx in idx_set.all:
        for pack_id, count in count_by_pack(idx).items():
            counts[pack_id] += count
    return [
        PackInfo(pack_id, paths.pack(pack_id), size, counts[pack_id])
        for pack_id, size in sorted(idx_set.pack_sizes().items())
    ]


def gather(idx_set: IdxSet) -> StoreStatistics:
    """Figures over all records. A pack that two idx files list counts in both: for a moment, as gc repairs it."""
    by_codec: dict[int, Figures] = defaultdict(lambda: NONE)
    by_depth: dict[int, Figures] = defaultdict(lambda: NONE)
    total = NONE
    for idx in idx_set.all:
        entries = from_idx(idx).entries
        total = add(total, _figures(entries))
        for column, groups in (("codec", by_codec), ("depth", by_depth)):
            for value in np.unique(entries[column]):
                groups[int(value)] = add(groups[int(value)], _figures(entries[entries[column] == value]))
    sizes = idx_set.pack_sizes()
    return StoreStatistics(
        chunks=total.chunks,
        raw_bytes=total.raw_bytes,
        stored_bytes=total.stored_bytes,
        packs=len(sizes),
        pack_bytes=sum(sizes.values()),
        idx_files=len(idx_set.all),
        idx_bytes=sum(idx.size for idx in idx_set.all),
        by_codec=dict(by_codec),
        by_depth=dict(by_depth),
    )


def _figures(entries: Array) -> Figures:
    return Figures(len(entries), int(entries["raw"].sum(dtype=np.int64)), int(entries["stored"].sum(dtype=np.int64)))
