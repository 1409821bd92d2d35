"""Which commits name which bases and datasets: of all commits that refs reach, remembered between runs.

`.mvc/lineage-cache` is derived: keyed by the ids of root trees, whose content never changes, so it cannot become
stale; with another checksum it counts as none (docs/format/metadata.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

from mvc import fsio
from mvc.errors import ParseError, UnsupportedFormat
from mvc.metadata.card import Card
from mvc.metadata.model import Base, Dataset
from mvc.metadata.tree import DATASETS, LINEAGE, MetadataReader
from mvc.objects.walk import Selection, walk
from mvc.ops.cards import card_of
from mvc.ops.names import peel
from mvc.repo.repository import Repository

CACHE = "lineage-cache"
MAX_BYTES = 64 * 1024 * 1024

_MAGIC = b"mvc lineage 1 "
_HEAD = len(_MAGIC) + 40 + 1
_ID = 40
_NOTHING = "[[],[],[]]"
_SHORTEST = 7


class Link(NamedTuple):
    """A commit that was made from `base`; `how`: "tensors", "named", "card"."""

    commit: str
    base: Base
    how: str


class _Row(NamedTuple):
    """What a commit names."""

    bases: tuple[Base, ...]
    of_card: tuple[Base, ...]
    datasets: tuple[tuple[str, str, str | None], ...]
    """(name, location, digest)."""


class Links:
    """All of them. Newest commits come first."""

    def __init__(self, rows: Sequence[tuple[str, _Row]]) -> None:
        self._of_commit: dict[str, list[Link]] = {}
        self._of_location: dict[str, list[Link]] = {}
        self._rows = rows
        for commit, row in rows:
            locations = {base.location for base in row.bases}
            for base in row.bases:
                self._add(Link(commit, base, "tensors" if base.found else "named"))
            for base in row.of_card:
                if base.location not in locations:
                    self._add(Link(commit, base, "card"))

    def _add(self, link: Link) -> None:
        if link.base.location is not None:
            self._of_location.setdefault(link.base.location, []).append(link)
        else:
            self._of_commit.setdefault(link.base.commit or link.commit, []).append(link)

    def of_commit(self, commit: str) -> list[Link]:
        """What was made from a commit of this repository."""
        return self._of_commit.get(commit, [])

    def of_location(self, location: str) -> list[Link]:
        """What was made from a URI; the Hub's may be given without its scheme."""
        return self._of_location.get(location) or self._of_location.get(f"hf://{location}", [])

    def with_dataset(self, wanted: str) -> Iterator[str]:
        """The commits that name a dataset, by name, location, or digest (or its beginning)."""
        for commit, row in self._rows:
            if any(_is(wanted, one) for one in row.datasets):
                yield commit


def read_links(repo: Repository) -> Links:
    """The links of all commits that refs reach. What is new since the last time is read, and remembered."""
    path = repo.common_dir / CACHE
    stored = _load(path)
    reader = MetadataReader(repo.objects, (LINEAGE, DATASETS))
    met: dict[str, str] = {}
    rows: list[tuple[str, _Row]] = []
    fresh = 0
    tips = dict.fromkeys(peel(repo.objects, target) for target in _tips(repo))
    include = [tip for tip in tips if repo.objects.kind(tip) == "commit"]
    for commit in walk(repo.objects, Selection(include=include)) if include else ():
        text = stored.get(commit.tree) or met.get(commit.tree)
        row = None if text is None else _decoded(text)
        if row is None or text is None:
            fresh += 1
            row = _read(repo, reader, commit.tree)
            text = _encoded(row)
        met[commit.tree] = text
        if text != _NOTHING:
            rows.append((commit.id, row))
    if fresh:
        with suppress(UnsupportedFormat, OSError):
            repo.require_writable()
            _save(path, met, repo.tmp_dir)
    return Links(rows)


def card_bases(card: Card) -> tuple[Base, ...]:
    """What a card says a model was made from."""
    return tuple(Base(None, _on_hub(name, "")) for name in card.words("base_model"))


def card_datasets(card: Card) -> tuple[Dataset, ...]:
    """The datasets that a card names."""
    return tuple(Dataset(name, _on_hub(name, "datasets/")) for name in card.words("datasets"))


def _on_hub(name: str, folder: str) -> str:
    return name if "://" in name else f"hf://{folder}{name}"


def _tips(repo: Repository) -> Iterator[str]:
    for ref, target in repo.refs.list("refs/").items():
        if ref.startswith(("refs/heads/", "refs/tags/", "refs/remotes/", "refs/runs/", "refs/stash")):
            yield target
    head = repo.refs.head().id
    if head:
        yield head


def _is(wanted: str, dataset: tuple[str, str, str | None]) -> bool:
    name, location, digest = dataset
    if wanted in (name, location) or f"hf://datasets/{wanted}" == location:
        return True
    if digest is None or len(wanted.rpartition(":")[2]) < _SHORTEST:
        return False
    return digest.startswith(wanted) or digest.rpartition(":")[2].startswith(wanted)


def _read(repo: Repository, reader: MetadataReader, tree: str) -> _Row:
    try:
        said = reader.read(tree)
        bases, datasets = said.bases, said.datasets
    except ParseError:
        bases, datasets = (), ()
    card = card_of(repo, tree)
    if card is None:
        return _Row(bases, (), tuple((one.name, one.location, one.digest) for one in datasets))
    datasets = (*datasets, *card_datasets(card.card))
    return _Row(bases, card_bases(card.card), tuple((one.name, one.location, one.digest) for one in datasets))


def _encoded(row: _Row) -> str:
    return json.dumps([row.bases, row.of_card, row.datasets], separators=(",", ":"))


def _decoded(text: str) -> _Row | None:
    try:
        bases, of_card, datasets = json.loads(text)
        return _Row(
            tuple(Base(*one) for one in bases),
            tuple(Base(*one) for one in of_card),
            tuple((str(name), str(location), digest) for name, location, digest in datasets),
        )
    except (ValueError, TypeError, RecursionError):
        return None


def _load(path: Path) -> Mapping[str, str]:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + _HEAD + 1)
    except OSError:
        return {}
    body = data[_HEAD:]
    if data[:_HEAD] != _MAGIC + _digest(body) + b"\n":
        return {}
    return {line[:_ID]: line[_ID + 1 :] for line in body.decode("ascii", "replace").split("\n") if line}


def _save(path: Path, met: Mapping[str, str], tmp_dir: Path) -> None:
    body = "".join(f"{tree} {text}\n" for tree, text in met.items()).encode()
    if len(body) <= MAX_BYTES:
        fsio.write_atomic(path, _MAGIC + _digest(body) + b"\n" + body, tmp_dir=tmp_dir, sync=False)


def _digest(body: bytes) -> bytes:
    return sha1(body, usedforsecurity=False).hexdigest().encode()
