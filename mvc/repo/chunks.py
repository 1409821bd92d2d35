"""Opening the chunk store, apart from Repository since it imports numpy, zstandard and blake3."""

from __future__ import annotations

from mvc.repo.filesystem import is_network
from mvc.repo.repository import Repository
from mvc.settings import StoreSettings
from mvc.store.chunkstore import ChunkStore


def open_chunks(repo: Repository, settings: StoreSettings | None = None) -> ChunkStore:
    """The chunk store of the repository. Nothing is mapped on a network file system.

    What it lacks it gets from `repo.missing_chunks`, where that is set. `settings` in place of the repository's.
    """
    return ChunkStore.open(
        repo.chunks_dir,
        repo.tmp_dir,
        settings or repo.settings.store,
        create=not repo.chunks_dir.is_dir(),
        mapped=not is_network(repo.chunks_dir),
        missing=repo.missing_chunks,
    )
