"""Files of the worktree for a commit of these alone (`git commit --only`): stored, and not staged before it stands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mvc.errors import NotFound
from mvc.objects import trees
from mvc.objects.model import TreeItem
from mvc.ops.add import entry_of
from mvc.ops.caller import Caller
from mvc.ops.record import head_commit
from mvc.repo.chunks import open_chunks
from mvc.repo.ingest import ingest
from mvc.repo.keeping import stage_label
from mvc.repo.locking import read_stage
from mvc.repo.pathbytes import in_order
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.settling import settle
from mvc.repo.stage import Stage, StageEntry


@dataclass(frozen=True, slots=True)
class Taken:
    """What the worktree holds at the paths that are meant."""

    entries: Mapping[str, StageEntry | None]
    """None: the file is gone."""
    check: Callable[[], None]
    """Raises if gc was let in meanwhile. Call it before anything refers to the chunks."""

    def items(self) -> dict[str, TreeItem | None]:
        """For `mvc.objects.trees`."""
        return {path: entry and TreeItem(entry.mode, entry.id) for path, entry in self.entries.items()}

    def put(self, stage: Stage) -> None:
        """Stage them."""
        for path, entry in self.entries.items():
            if entry is None:
                stage.remove(path)
        for entry in self.entries.values():
            if entry is not None:
                stage.put(entry)


@contextmanager
def taken(repo: Repository, specs: Sequence[str], prefix: str, caller: Caller) -> Iterator[Taken]:
    """Store what the specs mean of the files that are staged or committed. gc spares it until the block ends.

    Raises NotFound for a spec that means none of them.
    """
    stage = read_stage(repo)
    pathspec = Pathspec.parse(specs, prefix, repo.locate)
    head = head_commit(repo)
    known = in_order({*stage.paths(), *trees.flatten(repo.objects, head.tree if head else None)})
    if missing := pathspec.unmatched(known):
        raise NotFound(f"'{missing[0]}' did not match any versioned files", hint="mvc add it first")
    paths = pathspec.select(known)
    found = scan(repo, stage, pathspec, untracked=Untracked.NO, check_content=False, progress=caller.progress)
    unstaged = [path for path in paths if path not in stage and _is_file(repo, path)]
    chunks = open_chunks(repo)
    settle(chunks, caller.progress)
    started = time.time_ns()
    with chunks.intend("commit") as intent:
        with chunks.writer(intent) as writer, repo.objects.batch(keep=stage_label(repo)) as batch:
            read = in_order({*found.modified, *found.typechanged, *unstaged})
            stored = ingest(repo, writer, batch, read, standing=stage.items(), progress=caller.progress)
            batch.seal()
        entries: dict[str, StageEntry | None] = {path: stage.get(path) for path in paths}
        entries.update(dict.fromkeys(found.deleted))
        entries.update((one.path, entry_of(one, stage.get(one.path), started)) for one in stored)
        yield Taken(entries, intent.check)


def _is_file(repo: Repository, path: str) -> bool:
    place = repo.require_worktree() / path
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())
