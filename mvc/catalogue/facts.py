"""What is catalogued of a commit, read from the repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mvc.catalogue.values import Values, clean, values_of
from mvc.errors import MvcError
from mvc.lazy import load
from mvc.metadata.annotations import Annotation, Annotations, annotated, ordered
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.tree import FILES, TABLES, MetadataReader
from mvc.objects import trees
from mvc.objects.manifest import identity, is_manifest
from mvc.objects.model import METADATA_DIR, TREE, Commit, TreeItem, is_file
from mvc.objects.reader import ObjectReader
from mvc.repo.repository import Repository

MOST_PATHS = 10_000
"""Changed files of one commit that are indexed."""

_READ_CARD = "mvc.metadata.card:read_card"
_FIRST_BYTES = "mvc.repo.here:first_bytes"
_CARD = "README.md"
_CARD_BYTES = 4 * 1024 * 1024
_NO_MANIFEST = 110
"""Bytes: no manifest is so short."""


class Facts(NamedTuple):
    """Of one commit. `labels` are (field, text)."""

    values: Values
    labels: tuple[tuple[str, str], ...]
    grown: int | None
    """Bytes of its files beyond those of its first parent; None where a file cannot be read."""
    card: str | None
    """The blob of its card."""
    problem: str | None


class FactReader:
    """Reads commits. Those that follow each other should come so: much is read once for both."""

    def __init__(self, objects: ObjectReader, notes: Annotations, tags: dict[str, list[str]]) -> None:
        """`tags`: ids of annotated tags by the commit that they stand for."""
        self._objects = objects
        self._notes = notes
        self._tags = tags
        self._reader = MetadataReader(objects, [name for name in FILES if name != TABLES])
        self._sizes: dict[str, int] = {}

    def read(self, commit: Commit, base: str | None) -> Facts:
        """`base`: the tree of its first parent."""
        metadata, problem = self._metadata(commit)
        card: str | None = None
        paths: list[str] = []
        grown = 0
        unsized = False
        try:
            for path, old, new in trees.diff(self._objects, base, commit.tree):
                if len(paths) < MOST_PATHS:
                    paths.append(path)
                grown += self._size(new) - self._size(old)
            found = trees.entry_at(self._objects, commit.tree, _CARD)
            card = found.id if found is not None and is_file(found.mode) else None
        except MvcError as error:
            unsized, problem = True, problem or error.message
        return Facts(values_of(metadata), tuple(_labels(metadata, paths)), None if unsized else grown, card, problem)

    def values(self, commit: Commit) -> Values:
        """The values of a commit alone."""
        return values_of(self._metadata(commit)[0])

    def _metadata(self, commit: Commit) -> tuple[CommitMetadata, str | None]:
        """What a commit says, and what was said of it since; and why it could not be read."""
        said, problem = NOTHING, None
        try:
            said = self._reader.read_folder(self._folder(commit.tree))
        except MvcError as error:  # it hides no commit
            problem = error.message
        return annotated(said, self._annotations(commit.id)) if self._notes else said, problem

    def card_words(self, blob_id: str, repo: Repository) -> tuple[str, str | None]:
        """The text of a card, its title. What cannot be read, or is not here, says nothing."""
        try:
            data = self._objects.blob_within(blob_id, _CARD_BYTES)
        except MvcError:
            data = None
        if data is not None and is_manifest(data):
            data = load(_FIRST_BYTES)(repo, data, _CARD_BYTES)
        if data is None:
            return "", None
        card = load(_READ_CARD)(data)
        front = " ".join(map(str, _leaves(list(card.front.values()))))
        title = next(
            (card.front[name] for name in ("model_name", "title") if isinstance(card.front.get(name), str)), None
        )
        return clean(f"{front}\n{card.body}"), None if title is None else clean(title)

    def _annotations(self, commit_id: str) -> tuple[Annotation, ...]:
        found = list(self._notes.get(commit_id, ()))
        for tag in self._tags.get(commit_id, ()):
            found += self._notes.get(tag, ())
        return ordered(found) if found else ()

    def _folder(self, tree_id: str) -> str | None:
        """The id of `.mvcmeta/`. From the root's entries, which are needed once more to compare."""
        found = (entry for entry in self._objects.tree(tree_id) if entry.name == METADATA_DIR and entry.mode == TREE)
        return next((entry.id for entry in found), None)

    def _size(self, item: TreeItem | None) -> int:
        """The bytes of a file: what its manifest says, or its own."""
        if item is None:
            return 0
        known = self._sizes.get(item.id)
        if known is None:
            known = self._objects.size(item.id)
            if known > _NO_MANIFEST and is_file(item.mode) and is_manifest(blob := self._objects.blob(item.id)):
                known = identity(blob)[0]
            if len(self._sizes) > MOST_PATHS:
                self._sizes.clear()
            self._sizes[item.id] = known
        return known


def _labels(metadata: CommitMetadata, paths: list[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        yield "path", path
    for dataset in metadata.datasets:
        for field, value in (
            ("dataset", dataset.name),
            ("dataset.digest", dataset.digest),
            ("dataset.location", dataset.location),
            ("dataset.split", dataset.split),
            ("dataset.licence", dataset.licence),
        ):
            if value:
                yield field, value
    for base in metadata.bases:
        for field, value in (
            ("base", base.commit or base.location),
            ("base.location", base.location),
            ("base.path", base.path),
        ):
            if value:
                yield field, value


def _leaves(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _leaves(value)
        elif isinstance(value, dict):
            yield from _leaves(list(value.values()))
        else:
            yield value
