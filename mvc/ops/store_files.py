"""Files into the repository without staging them: what `stash` and `commit_files` need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mvc.objects.batch import ObjectBatch
from mvc.objects.model import TreeItem
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.ingest import ingest
from mvc.repo.repository import Repository


def store_files(
    repo: Repository,
    batch: ObjectBatch,
    paths: Sequence[str],
    standing: Mapping[str, TreeItem],
    progress: Progress = SILENT,
) -> dict[str, TreeItem]:
    """Store files of the worktree: chunks durable, blobs in `batch`. Returns what trees hold of them.

    `standing` is what is known at those paths: the bases for what changed.
    """
    if not paths:
        return {}
    chunks = open_chunks(repo)
    with chunks.intend("stash") as intent, chunks.writer(intent) as writer:
        taken = ingest(repo, writer, batch, paths, standing=standing, progress=progress)
    return {one.path: TreeItem(one.mode, one.id) for one in taken}
