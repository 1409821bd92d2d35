"""How far the tensors moved that `diff` found changed: only those are read, from the store or the worktree."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.objects.model import is_file
from mvc.ops.file_versions import FileDiff, Version
from mvc.ops.tensor_deltas import TensorDelta, tensor_deltas
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.unstored import UnstoredChunks


def file_deltas(
    repo: Repository, files: Sequence[FileDiff], progress: Progress = SILENT
) -> dict[str, dict[str, TensorDelta]]:
    """For each model that differs: the figures by tensor, by the model's path."""
    models = [one for one in files if one.tensors is not None]
    found: dict[str, dict[str, TensorDelta]] = {}
    with UnstoredChunks(repo, lambda: open_chunks(repo)) as chunks:
        for one in models:  # first all of them: a tensor may have been in another file
            for side in (one.old, one.new):
                _know(chunks, one.path, side)
        for one in models:
            if one.tensors is not None:
                found[one.path] = tensor_deltas(chunks, one.tensors.changes, progress=progress)
    return found


def _know(chunks: UnstoredChunks, path: str, side: Version | None) -> None:
    """Have the chunks of a file that the store has not."""
    if side is None or not is_file(side.mode):
        return
    if side.id is None:
        chunks.manifest(path)
    elif not side.chunked:
        chunks.blob_manifest(path, side.id)
