"""A history as commits of a Git repository in which a tool's pointers stand for what is large."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from mvc import fsio
from mvc.errors import MvcError
from mvc.exporters.contents import Contents, Written
from mvc.exporters.gitproject import GitProject
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.tree import read_metadata
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.manifest import identity, is_manifest
from mvc.objects.model import Commit, Signature, TreeItem, is_file
from mvc.objects.walk import Selection, walk
from mvc.progress import Progress
from mvc.repo.repository import Repository

_EVERY_SECONDS = 30.0
_REMEMBERED = 16


class File(NamedTuple):
    """A file of the Git tree: its mode, and its bytes or the blob of ours that it equals."""

    mode: int
    content: bytes | str


class Keep(Protocol):
    """Puts contents where the tool looks for them."""

    def file(self, path: str, item: TreeItem) -> Written:
        """A file's, under its digest."""

    def whole(self, path: str, item: TreeItem) -> bytes:
        """A file that goes into Git as it is: not a huge one."""

    def data(self, place: Path, content: bytes) -> None:
        """Bytes of the form's own, at a place from the top of the project."""


Read = Callable[[str], bytes | None]
"""A small file of the version, by path; None for a large one, or none."""


class Form(Protocol):
    """How a tool wants a version."""

    @property
    def kind(self) -> str: ...

    @property
    def algorithm(self) -> str:
        """Of the digest that names contents, as hashlib calls it."""

    def place(self, digest: str) -> Path:
        """Where a content lies, from the top of the project."""

    def files(
        self, items: Mapping[str, TreeItem], large: Mapping[str, int], metadata: CommitMetadata, read: Read, keep: Keep
    ) -> dict[str, File]:
        """The Git tree of a version. `large`: the paths of chunked files, and their sizes in bytes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. Sizes in bytes."""

    commits: Mapping[str, str]
    """Ours to theirs, of all that the refs reach."""
    new: int
    contents: int
    size: int
    refs: tuple[tuple[str, str | None, str], ...]
    """(ref, before, now) of those that moved."""


def export_history(
    repo: Repository,
    project: GitProject,
    form: Form,
    refs: Mapping[str, str],
    who: Signature,
    progress: Progress,
    head: str | None = None,
) -> Exported:
    """Write the commits that `refs` (full name to commit or annotated tag) reach. `head`: the branch to be on."""
    tips = sorted({repo.objects.peel(one, "commit") for one in refs.values()})
    commits = list(walk(repo.objects, Selection(include=tips, order="topo")))[::-1] if tips else []
    new = [one for one in commits if not _stands(project, one.id)]
    with Contents(repo) as contents, project.batch() as batch:
        run = _Run(repo, project, form, contents, batch, progress)
        progress.begin("exporting", run.weigh(new))
        try:
            for commit in new:
                run.commit(commit)
        finally:
            progress.end()
        named = {ref: _target(repo, project, batch, ref, target) for ref, target in refs.items()}
        run.save()
    moved = project.move(named, head, who)
    made = {one.id: project.commits[one.id] for one in commits}
    return Exported(made, len(new), run.written, run.size, tuple(moved))


def _stands(project: GitProject, commit_id: str) -> bool:
    made = project.commits.get(commit_id)
    return made is not None and project.objects.contains(made)


def _target(repo: Repository, project: GitProject, batch: ObjectBatch, ref: str, target: str) -> str:
    """What a ref names there: a commit, or a tag that says what ours says."""
    if repo.objects.kind(target) != "tag":
        return project.commits[target]
    tag = repo.objects.tag(target)
    commit = project.commits[repo.objects.peel(target, "commit")]
    if tag.tagger is None:
        return commit
    return batch.tag(commit, "commit", ref.removeprefix("refs/tags/"), tag.tagger, tag.message)


class _Run:
    """The commits of one export, one after the other."""

    def __init__(
        self,
        repo: Repository,
        project: GitProject,
        form: Form,
        contents: Contents,
        batch: ObjectBatch,
        progress: Progress,
    ) -> None:
        self._repo, self._project, self._form = repo, project, form
        self._contents, self._batch, self._progress = contents, batch, progress
        self._recent: dict[str, dict[str, TreeItem]] = {}
        self._large: dict[str, bool] = {}
        self._done: set[str] = set()
        """Small files that are there."""
        self._saved_at = time.monotonic()
        self.written = self.size = 0

    def weigh(self, commits: Sequence[Commit]) -> int:
        """Bytes of the large contents that are to be written."""
        seen: set[str] = set()
        total = 0
        for commit in commits:
            for item in trees.flatten(self._repo.objects, commit.tree).values():
                if item.id in seen or item.id in self._project.contents or not self._is_large(item):
                    continue
                seen.add(item.id)
                total += identity(self._repo.objects.blob(item.id))[0]
        return total

    def commit(self, commit: Commit) -> None:
        """Write one commit, whose parents are written."""
        items = trees.flatten(self._repo.objects, commit.tree)
        large = {path: self._contents.size(item) for path, item in items.items() if self._is_large(item)}

        def read(path: str) -> bytes | None:
            item = items.get(path)
            return self._repo.objects.blob(item.id) if item and is_file(item.mode) and path not in large else None

        files = self._form.files(items, large, self._metadata(commit), read, self)
        made = {path: TreeItem(one.mode, self._blob(one.content)) for path, one in files.items()}
        parents = [self._project.commits[one] for one in commit.parents]
        before = self._recent.get(parents[0]) if parents else None
        if before is None:
            tree = trees.build(self._batch, made)
        else:
            changes: dict[str, TreeItem | None] = {
                path: item for path, item in made.items() if before.get(path) != item
            }
            changes.update((path, None) for path in before.keys() - made.keys())
            tree = trees.update(self._batch, self._batch.reader.commit(parents[0]).tree, changes)
        new = self._batch.commit(tree, parents, commit.author, commit.committer, commit.message)
        self._project.add_commit(commit.id, new)
        while len(self._recent) >= _REMEMBERED:
            self._recent.pop(next(iter(self._recent)))
        self._recent[new] = made
        if time.monotonic() - self._saved_at >= _EVERY_SECONDS:
            self.save()

    def save(self) -> None:
        """Make what was written durable."""
        self._batch.seal()
        self._project.save()
        self._saved_at = time.monotonic()

    def _is_large(self, item: TreeItem) -> bool:
        found = self._large.get(item.id)
        if found is None:
            found = self._large[item.id] = is_file(item.mode) and is_manifest(self._repo.objects.blob(item.id))
        return found

    def _metadata(self, commit: Commit) -> CommitMetadata:
        try:
            return read_metadata(self._repo.objects, commit.tree)
        except MvcError as error:
            self._progress.warn(f"the params and metrics of {commit.id[:10]} are left out: {error.message}")
            return NOTHING

    def _blob(self, content: bytes | str) -> str:
        if isinstance(content, bytes):
            return self._batch.blob(content)
        if content not in self._done:
            self._done.add(content)
            if not self._project.objects.contains(content):
                self._batch.blob(self._repo.objects.blob(content))
        return content

    def file(self, path: str, item: TreeItem) -> Written:
        """See `Keep`. One that stands is not written again."""
        known = self._project.contents.get(item.id)
        if known is not None and (self._project.path / self._form.place(known.digest)).exists():
            return known
        folder = self._project.git_dir / "tmp"
        placed = self._contents.write(item, path, folder, self._form.algorithm, self._progress)
        placed.place(self._project.path / self._form.place(placed.written.digest))
        self._project.add_content(item.id, placed.written)
        self.written += 1
        self.size += placed.written.size
        return placed.written

    def whole(self, path: str, item: TreeItem) -> bytes:
        """See `Keep`."""
        return b"".join(self._contents.pieces(item, path))

    def data(self, place: Path, content: bytes) -> None:
        """See `Keep`."""
        target = self._project.path / place
        if not target.exists():
            fsio.make_dirs(target.parent)
            fsio.write_atomic(target, content, tmp_dir=self._project.git_dir / "tmp", mode=0o444)
