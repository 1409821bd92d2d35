"""Opening the chunk store, apart from Repository since it imports numpy, zstandard and blake3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvc.lazy import load
from mvc.repo.filesystem import is_network
from mvc.repo.repository import Repository
from mvc.settings import StoreSettings
from mvc.store.chunkstore import ChunkStore
from mvc.store.received import FOLDER

if TYPE_CHECKING:
    from mvc.store.shared import SharedStore

SHARED = {"store": "mvc.store.shared:SharedStore"}
"""Loaded where a shared store is set."""


def open_chunks(repo: Repository, settings: StoreSettings | None = None) -> ChunkStore:
    """The chunk store of the repository, with the shared store behind it if one is set.

    Nothing is mapped on a network file system. What is lacking comes from `repo.missing_chunks`, where that is set, or
    is read by `repo.streamed`. `settings` in place of the repository's.
    """
    settings = settings or repo.settings.store
    return ChunkStore.open(
        repo.chunks_dir,
        repo.tmp_dir,
        settings,
        create=not repo.chunks_dir.is_dir(),
        mapped=not is_network(repo.chunks_dir),
        missing=repo.missing_chunks,
        streamed=repo.streamed,
        shared=open_shared(repo, settings),
        promised=repo.promised,
        received=repo.common_dir / FOLDER,
    )


def open_shared(repo: Repository, settings: StoreSettings) -> SharedStore | None:
    """The shared store that is set for the repository, whether or not it is there; None if none is set."""
    path = repo.settings.shared.path
    if not path:
        return None
    opened: SharedStore = load(SHARED["store"])(Path(path), settings)
    return opened
