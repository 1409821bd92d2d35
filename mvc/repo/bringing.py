"""Getting the chunks that files of the worktree need and the store lacks, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mvc.objects.manifest import Manifest, parse
from mvc.objects.model import TreeItem
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import ChunkSource, file_chunks


def bring(repo: Repository, items: Iterable[TreeItem]) -> None:
    """Have `repo.missing_chunks` bring what these chunked files need: first their lists, then all else."""
    chunks = open_chunks(repo)
    ensure_files(chunks, [parse(repo.objects.blob(item.id)) for item in items])


def ensure_files(chunks: ChunkSource, manifests: Sequence[Manifest]) -> None:
    """The same for files whose manifests are at hand, which are about to be read whole."""
    chunks.ensure(ref.name for manifest in manifests for segment in manifest.segments for ref in segment.lists)
    chunks.ensure(ref.name for manifest in manifests for _, ref, _ in file_chunks(chunks, manifest))
