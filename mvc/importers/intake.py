"""From a source's commits to ours: bytes go from where they lie straight into the chunk store, each content once.

What is done is made durable every so often: chunks, then Git objects, then `refs/imports/NAME` (a commit that keeps
all that no branch reaches yet from gc), then the record. A killed import goes on from there. Branches and tags move
at the end, by the caller, and the ref goes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import IntegrityError, MissingObject, UnsafePath
from mvc.importers.base import Source
from mvc.importers.record import Record, commits_in, record_name
from mvc.importers.work import Taken, Work
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.model import FILE, Signature, TreeItem
from mvc.objects.paths import check_path, parents
from mvc.objects.refs import ANY, RefChange
from mvc.objects.walk import Selection, walk
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.store.intents import Intent
from mvc.store.locks import hold
from mvc.store.writer import PackWriter

RECORDS = "imports"
"""The folder of the records, in `.mvc`."""
KEEPERS = "refs/imports/"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import will bring. Nothing has been written."""

    new: tuple[str, ...]
    """Source commits that are not here yet, parents first."""
    total: int
    """How many there are in all."""
    contents: int
    """Distinct contents to be read, and their bytes."""
    size: int
    missing: tuple[str, ...]
    """Paths whose content the source does not have, sorted."""


class Intake:
    """One import, from the plan to the commits. Use it in a `with` block: it holds the source's lock."""

    def __init__(self, repo: Repository, source: Source, who: Signature, *, variant: str = "", wait: float = 0.0):
        """`variant`: options that make other commits of the same source; each has its own record."""
        self._repo, self._source, self._who = repo, source, who
        self.name = record_name(source.kind, source.place, variant)
        self._keeper = KEEPERS + self.name
        self._kept_tips: tuple[str, ...] = ()
        self._lock = hold(repo.locks_dir / f"import-{self.name}.lock", what=f"import {source.kind}", wait=wait)
        self.record = Record(repo.common_dir / RECORDS / self.name, source.kind, source.place)

    def __enter__(self) -> Intake:
        self._repo.require_writable()
        self._lock.__enter__()
        try:
            self.record.load(self._known(), self._kept())
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.__exit__(None, None, None)

    def ever(self) -> set[str]:
        """All commits that imports of any source ever made here: where those stand, an import may move a ref."""
        found: set[str] = set()
        try:
            with os.scandir(self.record.path.parent) as records:
                paths = [one.path for one in records if one.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return found
        for path in paths:
            found.update(commits_in(Path(path)))
        return found

    def plan(self, progress: Progress = SILENT) -> Plan:
        """Look through all that is new. Raises UnsafePath, ParseError."""
        new = [one for one in self._source.ids() if one not in self.record.commits]
        sizes: dict[str, int] = {}
        missing: dict[str, set[str]] = {}
        checked: set[str] = set()
        progress.begin("looking", len(new), "commits")
        try:
            for commit_id in new:
                files = self._source.snapshot(commit_id).files
                check_paths(files, commit_id, checked)
                for path, entry in files.items():
                    if entry.key in sizes or entry.key in self.record.contents:
                        continue
                    if entry.key in missing:
                        missing[entry.key].add(path)
                    elif (size := self._source.size(entry)) is None:
                        missing[entry.key] = {path}
                    else:
                        sizes[entry.key] = size
                progress.advance(1)
        finally:
            progress.end()
        paths = sorted({path for named in missing.values() for path in named})
        total = len(new) + len(self.record.commits)
        return Plan(tuple(new), total, len(sizes), sum(sizes.values()), tuple(paths))

    def run(self, plan: Plan, progress: Progress = SILENT) -> Taken:
        """Make the commits. Raises IntegrityError for bytes that do not have their digest, and what reading raises."""
        taken = Taken()
        chunks = open_chunks(self._repo)
        progress.begin("importing", plan.size)
        try:
            with (
                chunks.intend(f"import {self._source.kind}") as intent,
                chunks.writer(intent) as writer,
                self._repo.objects.batch() as batch,
            ):
                work = Work(self._repo, self._source, self.record, writer, batch, taken, progress)
                work.tips.update(self._kept_tips)

                def save() -> None:
                    self._checkpoint(work, writer, batch, intent)

                for commit_id in plan.new:
                    work.commit(commit_id, save)
                save()
        finally:
            progress.end()
        taken.stored = writer.stored_bytes
        taken.commits = dict(self.record.commits)
        return taken

    def finish(self) -> None:
        """All is reached by refs of the caller's: nothing else need keep it."""
        standing = self._repo.refs.read(self._keeper)
        if standing is not None:
            change = RefChange(self._keeper, standing, None)
            self._repo.refs.update([change], message="import: done", author=self._who)

    def _checkpoint(self, work: Work, writer: PackWriter, batch: ObjectBatch, intent: Intent) -> None:
        writer.flush()
        if not work.unsaved:
            return
        entries = {f"{blob[:2]}/{blob}": TreeItem(FILE, blob) for blob in work.pending}
        tree = trees.build(batch, entries)
        keeper = batch.commit(tree, sorted(work.tips), self._who, self._who, f"import {self._source.kind}: so far")
        batch.seal()
        intent.check()
        change = RefChange(self._keeper, ANY, keeper)
        self._repo.refs.update([change], message="import: so far", author=self._who)
        self.record.save()
        work.saved()

    def _known(self) -> Callable[[str], bool]:
        """Whether a commit is reached by a ref. The history is walked at the first question alone."""
        reached: set[str] = set()
        walked = False

        def known(commit_id: str) -> bool:
            nonlocal walked
            if not walked:
                walked = True
                reached.update(commit.id for commit in walk(self._repo.objects, Selection(include=_tips(self._repo))))
            return commit_id in reached

        return known

    def _kept(self) -> Collection[str]:
        standing = self._repo.refs.read(self._keeper)
        if standing is None:
            return ()
        try:
            keeper = self._repo.objects.commit(standing)
            self._kept_tips = keeper.parents
            return {item.id for item in trees.flatten(self._repo.objects, keeper.tree).values()}
        except (MissingObject, IntegrityError):
            return ()


def check_paths(files: Collection[str], version: str, checked: set[str]) -> None:
    """Raise UnsafePath for a path that must not be in a tree, or that is a file and a folder. `checked`: those that
    are known to be safe; it grows."""
    for path in files:
        if path not in checked:
            try:
                check_path(path)
            except UnsafePath as error:
                raise UnsafePath(f"version {version[:40]}: {error.message}") from error
            checked.add(path)
    for folder in {path.rpartition("/")[0] for path in files}:
        if folder in files or any(parent in files for parent in parents(folder)):
            raise UnsafePath(f"version {version[:40]}: {folder!r} is a file, or lies in one, and holds files")


def _tips(repo: Repository) -> list[str]:
    """The commits that refs name."""
    head = repo.refs.head().id
    found = {repo.objects.peel(one) for one in (*repo.refs.list().values(), *([head] if head else ()))}
    return [one for one in sorted(found) if repo.objects.kind(one) == "commit"]
