"""Two trees compared tensor by tensor, files that came or went as a whole too: for gates and reports."""

from __future__ import annotations

from dataclasses import replace

from mvc.ops.file_diff import diff_trees, stored_manifest
from mvc.ops.file_versions import FileDiff, Version
from mvc.ops.tensor_changes import TensorChanges, TensorStatus, only_side
from mvc.repo.readable import Readable


def weights_diff(repo: Readable, old: str | None, new: str | None) -> tuple[FileDiff, ...]:
    """As `diff_trees`; a model that was added or removed as a file has all its tensors added or removed."""
    return tuple(_whole(repo, one) for one in diff_trees(repo, old, new))


def _whole(repo: Readable, one: FileDiff) -> FileDiff:
    if one.tensors is not None or (one.old is None) == (one.new is None):
        return one
    side = one.new or one.old
    assert side is not None  # one of the two is there
    tensors = _all_of(repo, one.path, side, TensorStatus.ADDED if one.old is None else TensorStatus.REMOVED)
    return replace(one, tensors=tensors)


def _all_of(repo: Readable, path: str, side: Version, status: TensorStatus) -> TensorChanges | None:
    manifest = stored_manifest(repo, path, side)
    return only_side(manifest, status) if manifest is not None else None
