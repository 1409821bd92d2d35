"""Making what was received the repository's own, with a word on what was not what it must be."""

from __future__ import annotations

from mvc.progress import Progress
from mvc.store.chunkstore import ChunkStore


def settle(chunks: ChunkStore, progress: Progress) -> None:
    """Decode what came from remotes and was not read yet. For whoever needs to know what is stored, and not only to
    read it. Nothing to do, as a rule: a checkout has settled what it read."""
    for one in chunks.settle(progress):
        name = one.name.hex() if one.name is not None else ""
        progress.warn(
            f"chunk {name} came from a remote and is not what it is named by ({one.message}): it is gone, and comes "
            "anew when it is needed"
        )
