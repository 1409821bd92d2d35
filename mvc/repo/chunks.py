"""Opening the chunk store, apart from Repository since it imports numpy, zstandard and blake3. (Skeleton.)"""

from __future__ import annotations

from mvc.repo.repository import Repository
from mvc.store.chunkstore import ChunkStore


def open_chunks(repo: Repository) -> ChunkStore:
    """The chunk store of the repository."""
    raise NotImplementedError
