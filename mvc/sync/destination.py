"""Where chunks that come from a remote are put: in the shared store, if one is set and has room; else at home."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mvc.errors import Locked
from mvc.lazy import load
from mvc.progress import Progress
from mvc.store.chunkstore import ChunkStore
from mvc.store.shared import SharedStore
from mvc.sync.remotes import Remote

LIMITED = {
    "usage": "mvc.store.room:disk_usage",
    "make room": "mvc.store.room:make_room",
    "held by": "mvc.sync.held:held_by",
}
"""Loaded where the shared store has a limit: they need numpy."""

_SPARE = 20
"""Such a part of the limit is freed beyond what is needed, as looking for what may go takes a while."""


def absent(chunks: ChunkStore, names: Iterable[bytes]) -> tuple[set[bytes], set[bytes]]:
    """Those of `names` that are neither here nor in the shared store; and those that cannot be read there.

    Who asks for a chunk that the shared store lists has met a bad copy, as a rule: so those are read.
    """
    lacking: set[bytes] = set()
    spoilt: set[bytes] = set()
    shared = chunks.shared
    for name in names:
        if chunks.find_own(name) is None:
            if shared is None or name not in shared:
                lacking.add(name)
            elif shared.read(name) is None:
                spoilt.add(name)
    return lacking, spoilt


def has_room(remote: Remote, shared: SharedStore, need: int, progress: Progress) -> bool:
    """Whether so many bytes may be put into the shared store. What `remote` holds gives way, if that helps."""
    limit = remote.repo.settings.shared.limit
    if not limit:
        return True
    usage: Callable[[Path], int] = load(LIMITED["usage"])
    if usage(shared.root) + need <= limit:
        return True
    if need <= limit:
        try:
            over = usage(shared.root) + need - limit + limit // _SPARE
            held = load(LIMITED["held by"])(remote, progress)
            load(LIMITED["make room"])(shared.root, shared.space, over, held, progress=progress)
        except Locked:
            return False  # another process makes room: for itself, it may be
    return usage(shared.root) + need <= limit
