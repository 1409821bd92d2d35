"""The models of the worktree as `diff` needs them: their manifests, made without storing anything."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.objects.manifest import Manifest
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.unstored import UnstoredChunks


def manifests(repo: Repository, paths: Sequence[str], progress: Progress = SILENT) -> dict[str, Manifest]:
    """The manifest of each file, by its path."""
    worktree = repo.require_worktree()
    progress.begin("reading", sum((worktree / path).lstat().st_size for path in paths))
    try:
        with UnstoredChunks(repo, lambda: open_chunks(repo)) as chunks:
            return {path: chunks.manifest(path, progress) for path in paths}
    finally:
        progress.end()
