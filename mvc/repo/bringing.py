"""Getting the chunks that files of the worktree need and the store lacks, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable

from mvc.objects.manifest import parse
from mvc.objects.model import TreeItem
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import file_chunks


def bring(repo: Repository, items: Iterable[TreeItem]) -> None:
    """Have `repo.missing_chunks` bring what these chunked files need: first their lists, then all else."""
    chunks = open_chunks(repo)
    manifests = [parse(repo.objects.blob(item.id)) for item in items]
    chunks.ensure(ref.name for manifest in manifests for segment in manifest.segments for ref in segment.lists)
    chunks.ensure(ref.name for manifest in manifests for _, ref, _ in file_chunks(chunks, manifest))
