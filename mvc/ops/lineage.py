"""`mvc lineage`: what a model was made from, and what was made from it.

Up, each step reads one commit. Down, all commits have to be asked once whether they name it: an index of that is kept
(`mvc.ops.lineage_index`), which grows with the history and can be lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mvc.errors import IntegrityError, MvcError, NotFound, ParseError
from mvc.metadata.model import Base, CommitMetadata, Dataset
from mvc.metadata.tree import DATASETS, ENVIRONMENT, LINEAGE
from mvc.objects import trees
from mvc.objects.manifest import is_manifest
from mvc.objects.model import Commit, is_file
from mvc.objects.revparse import resolve_commit, split_path
from mvc.objects.walk import Selection, walk
from mvc.ops.adapters import is_of_adapter
from mvc.ops.cards import card_of
from mvc.ops.known import Known
from mvc.ops.lineage_index import Link, Links, card_bases, card_datasets, read_links
from mvc.ops.names import Decoration, decorations
from mvc.repo.repository import Repository

DEPTH = 20
"""Steps that are shown unless another number is asked for."""

MOST_NODES = 2000
_MOST_BACK = 10_000


@dataclass(frozen=True, slots=True)
class Node:
    """A version of a model, or what lies outside of this repository. `nodes`: what it was made from, or with `down`
    what was made from it."""

    commit: str | None
    """40 hex digits; None for a URI."""
    location: str | None = None
    path: str | None = None
    """Of the model, as far as known."""
    summary: str = ""
    time: int = 0
    names: tuple[Decoration, ...] = ()
    how: str = ""
    """How the step to it (from what it hangs on) is known: "tensors", "named", "card"; "" at the top."""
    datasets: tuple[Dataset, ...] = ()
    code: tuple[tuple[str, Any], ...] = ()
    """commit, branch, dirty, remote of the code, as far as known."""
    nodes: tuple[Node, ...] = ()
    again: bool = False
    """It is in the tree already, with all that hangs on it."""
    cut: bool = False
    """There is more than was asked for."""
    missing: bool = False
    """A commit that is not here."""


def lineage(repo: Repository, spec: str, *, depth: int = DEPTH) -> Node:
    """What the model of `REV` or `REV:PATH` was made from. Without a path that which REV, or the last commit before it
    that changed one, brought. Raises NotFound."""
    revision, path = split_path(spec)
    commit = resolve_commit(repo.objects, repo.refs, revision)
    return _Up(repo, depth).node(commit, path or None, "", 0)


def made_from(repo: Repository, spec: str, *, depth: int = DEPTH) -> Node:
    """What was made from the model of `REV` or `REV:PATH`, or from a URI. Raises NotFound."""
    revision, path = split_path(spec)
    index = read_links(repo)
    try:
        commit = resolve_commit(repo.objects, repo.refs, revision)
    except NotFound:
        if not index.of_location(spec):
            raise
        return _Down(repo, index, depth).outside(spec)
    return _Down(repo, index, depth).node(_brought(repo, commit, path or None), path or None, "", 0)


def made_with(repo: Repository, dataset: str, *, depth: int = DEPTH) -> tuple[Node, ...]:
    """What was made from a dataset, by its name, digest (or its beginning), or location; the newest first.

    Raises NotFound if no commit names it.
    """
    index = read_links(repo)
    down = _Down(repo, index, depth)
    found = tuple(down.node(commit, None, "", 0) for commit in index.with_dataset(dataset))
    if not found:
        raise NotFound(f"no commit names the dataset '{dataset}'", hint="mvc commit --dataset NAME=PATH records one")
    return found


class _Labels:
    """Nodes, as far as a commit alone tells."""

    def __init__(self, repo: Repository, depth: int) -> None:
        self._repo, self._depth = repo, depth
        self._known = Known(repo, (DATASETS, ENVIRONMENT, LINEAGE))
        self._names = decorations(repo)
        self._met: set[tuple[str, str | None]] = set()

    def commit(self, commit_id: str) -> Commit | None:
        """The commit, if it is here."""
        try:
            return self._repo.objects.commit(commit_id)
        except IntegrityError:
            return None

    def metadata(self, commit: Commit) -> CommitMetadata:
        """What it says of itself, and its card; nothing where that cannot be read."""
        try:
            return self._known.of_tree(commit.id, commit.tree)
        except ParseError:
            return CommitMetadata()

    def label(self, commit: Commit, path: str | None, how: str, said: CommitMetadata, **more: Any) -> Node:
        code = tuple(
            (name, said.environment[f"code.{name}"])
            for name in ("commit", "branch", "dirty", "remote")
            if f"code.{name}" in said.environment
        )
        return Node(
            commit.id,
            None,
            path,
            commit.summary,
            commit.committer.time,
            tuple(self._names.get(commit.id, ())),
            how,
            said.datasets,
            code,
            **more,
        )

    def seen(self, commit_id: str, path: str | None) -> bool:
        """Whether this version is in the tree already; from now on it is."""
        if (commit_id, path) in self._met:
            return True
        self._met.add((commit_id, path))
        return False

    @property
    def full(self) -> bool:
        return len(self._met) >= MOST_NODES


class _Up(_Labels):
    def node(self, commit_id: str, path: str | None, how: str, depth: int) -> Node:
        commit = self.commit(commit_id)
        if commit is None:
            return Node(commit_id, None, path, how=how, missing=True)
        commit = self.commit(_brought(self._repo, commit_id, path)) or commit
        said = self.metadata(commit)
        if self.seen(commit.id, path):
            return self.label(commit, path, how, said, again=True)
        card = card_of(self._repo, commit.tree, path or "")
        if card is not None:
            named = {dataset.location for dataset in said.datasets}
            more = tuple(one for one in card_datasets(card.card) if one.location not in named)
            said = said._replace(datasets=(*said.datasets, *more))
        steps = list(_steps(said.bases, () if card is None else card_bases(card.card), path))
        if steps and (depth >= self._depth or self.full):
            return self.label(commit, path, how, said, cut=True)
        nodes = tuple(self._step(base, way, commit.id, depth + 1) for base, way in steps)
        return self.label(commit, path or _single(said.bases), how, said, nodes=nodes)

    def _step(self, base: Base, how: str, commit_id: str, depth: int) -> Node:
        if base.location is not None:
            return Node(base.commit, base.location, base.path, how=how)
        return self.node(base.commit or commit_id, base.path, how, depth)


class _Down(_Labels):
    def __init__(self, repo: Repository, index: Links, depth: int) -> None:
        super().__init__(repo, depth)
        self._index = index

    def outside(self, location: str) -> Node:
        """What was made from a URI."""
        return Node(None, location, nodes=tuple(self._steps(self._index.of_location(location), 1)))

    def node(self, commit_id: str, path: str | None, how: str, depth: int) -> Node:
        commit = self.commit(commit_id)
        if commit is None:
            return Node(commit_id, None, path, how=how, missing=True)
        said = self.metadata(commit)
        if self.seen(commit.id, path):
            return self.label(commit, path, how, said, again=True)
        links = [link for link in self._index.of_commit(commit.id) if _fits(path, link.base.path)]
        if links and (depth >= self._depth or self.full):
            return self.label(commit, path, how, said, cut=True)
        return self.label(commit, path, how, said, nodes=tuple(self._steps(links, depth + 1)))

    def _steps(self, links: Sequence[Link], depth: int) -> Iterator[Node]:
        for link in links:
            yield self.node(link.commit, link.base.of, link.how, depth)


def _steps(bases: Sequence[Base], cards: Sequence[Base], path: str | None) -> Iterator[tuple[Base, str]]:
    """The bases of a model among those of its commit, with how each is known."""
    for base in bases:
        if _fits(path, base.of):
            yield base, "tensors" if base.found else "named"
    locations = {base.location for base in bases}
    yield from ((base, "card") for base in cards if base.location not in locations)


def _fits(one: str | None, other: str | None) -> bool:
    """Whether two paths, each of a file, of a folder ("ft/") or of anything (None), may be of one model."""
    if one is None or other is None or one == other:
        return True
    return (one.endswith("/") and other.startswith(one)) or (other.endswith("/") and one.startswith(other))


def _single(bases: Sequence[Base]) -> str | None:
    """The file that all bases are of, where it is one."""
    names = {base.of for base in bases}
    return names.pop() if len(names) == 1 else None


def _brought(repo: Repository, commit_id: str, path: str | None) -> str:
    """The last commit, from this one back, that changed the model at `path`, or without one any model."""
    if path is not None:
        found = walk(repo.objects, Selection(include=[commit_id], paths=(path.rstrip("/"),), max_count=1))
        return next((commit.id for commit in found), commit_id)
    at = commit_id
    try:
        for _ in range(_MOST_BACK):
            commit = repo.objects.commit(at)
            parent = repo.objects.commit(commit.parents[0]).tree if commit.parents else None
            if _changes_a_model(repo, parent, commit.tree):
                return at
            if not commit.parents:
                break
            at = commit.parents[0]
    except MvcError:
        pass  # where the history here ends
    return commit_id


def _changes_a_model(repo: Repository, old: str | None, new: str) -> bool:
    for change in trees.diff(repo.objects, old, new):
        if change.new is None or not is_file(change.new.mode):
            continue
        # An adapter of a few kilobytes is a plain blob.
        if is_of_adapter(change.path) or is_manifest(repo.objects.blob(change.new.id)[:32]):
            return True
    return False
