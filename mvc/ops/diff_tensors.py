"""How far the tensors moved that `diff` found changed: only those are read, from the store or the worktree."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.objects.manifest import parse
from mvc.ops.diff import FileDiff
from mvc.ops.tensor_changes import tensor_changes
from mvc.ops.tensor_deltas import TensorDelta, tensor_deltas
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.unstored import UnstoredChunks


def file_deltas(
    repo: Repository, files: Sequence[FileDiff], progress: Progress = SILENT
) -> dict[str, dict[str, TensorDelta]]:
    """For each model that differs: the figures by tensor, by the model's path."""
    chunks = open_chunks(repo)
    found: dict[str, dict[str, TensorDelta]] = {}
    for one in files:
        if one.tensors is None:
            continue
        if one.new is not None and one.new.id is None and one.old is not None and one.old.id is not None:
            with UnstoredChunks(repo, lambda: chunks) as unstored:
                now = unstored.manifest(one.path)
                changes = tensor_changes(parse(repo.objects.blob(one.old.id)), now)
                found[one.path] = tensor_deltas(unstored, changes.changes, progress=progress)
        else:
            found[one.path] = tensor_deltas(chunks, one.tensors.changes, progress=progress)
    return found
