"""Model cards of a version: README.md at the root, and beside models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mvc.metadata.card import MAX_BYTES, NAME, Card, read_card
from mvc.objects import trees
from mvc.objects.manifest import is_manifest
from mvc.objects.model import is_file
from mvc.objects.reader import ObjectReader
from mvc.repo.here import first_bytes
from mvc.repo.repository import Repository


class FoundCard(NamedTuple):
    """A card and where it stands."""

    path: str
    card: Card

    def problems(self) -> Iterator[str]:
        """What is wrong with it, with file and line."""
        return (f"{self.path}: {problem}" for problem in self.card.problems)


def card_at(repo: Repository, tree_id: str, path: str, objects: ObjectReader | None = None) -> FoundCard | None:
    """The card at `path` of a version; None where there is no such file.

    `objects`: where the version is, if not (yet) in the repository.
    """
    objects = objects or repo.objects
    item = trees.entry_at(objects, tree_id, path)
    if item is None or not is_file(item.mode):
        return None
    data: bytes | None = objects.blob(item.id)
    if data is not None and is_manifest(data):
        data = first_bytes(repo, data, MAX_BYTES)
    return FoundCard(path, Card({}, "", ("not read",)) if data is None else read_card(data))


def card_of(repo: Repository, tree_id: str, model: str = "") -> FoundCard | None:
    """The card of a model (its path): beside it, or in a folder above. Without a model that of the version."""
    folder = model.rpartition("/")[0]
    while True:
        found = card_at(repo, tree_id, f"{folder}/{NAME}" if folder else NAME)
        if found is not None or not folder:
            return found
        folder = folder.rpartition("/")[0]


def cards_among(
    repo: Repository, tree_id: str, paths: Iterable[str], objects: ObjectReader | None = None
) -> tuple[FoundCard, ...]:
    """The cards that are among these paths of a version. A README.md that claims to be none is none."""
    found = (card_at(repo, tree_id, path, objects) for path in paths if path.rpartition("/")[2] == NAME)
    return tuple(one for one in found if one is not None and (one.card.front or one.card.problems))
