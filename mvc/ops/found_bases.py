"""What a model was made from, as its tensors tell: stored as differences from another's, or the very same.

`add` has done the looking (`mvc.repo.bases`): a chunk that it coded as a difference names the chunk that it differs
from. Here is found which file of which commit that belongs to. A difference was taken only where it is smaller than
the tensor by itself, so a model of the same architecture that was trained from scratch leaves no such trace.
Manifests and the heads of some records are read, and of weights a few pieces where several versions come into question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from mvc.codecs.base import Base as CodecBase
from mvc.codecs.encode import estimate
from mvc.errors import MvcError
from mvc.formats.base import Tensor
from mvc.metadata.model import Base
from mvc.objects import trees
from mvc.objects.manifest import Manifest, ManifestSegment, is_manifest, parse
from mvc.objects.model import TreeItem, is_file
from mvc.objects.reader import ObjectReader
from mvc.objects.walk import Selection, walk
from mvc.repo.bases import Candidate
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import ChunkSource, chunk_refs
from mvc.settings import PIECE

MOST_FILES = 64
"""Of one commit that are looked into."""

_SAMPLES = 128
"""Tensors of a file that are asked about: the largest."""

_PIECES = 4
_PIECE = 64 * 1024
_LONGEST = 4
_MOST_ASKED = 16
_MOST_RIVALS = 4

_LEAST = 0.25
"""Of the sampled bytes that have to come from a file for it to count as a base."""

_MAX_COMMITS = 500
_MAX_MODELS = 96
_SMALLER = 0.9
"""A difference has to take less than so much of the raw bytes."""


class _Sample(NamedTuple):
    """A tensor of a new file: its first chunk, what that rests on, how many bytes it stands for."""

    name: bytes
    bases: tuple[bytes, ...]
    weight: int


class _Model(NamedTuple):
    """A file that may be a base: where it stands, and the first chunks of its tensors."""

    commit: str | None
    """The commit that brought it, or in which it stands; None: the one that is being made."""
    path: str
    names: frozenset[bytes]
    tensors: Candidate
    standing: bool = False
    """Whether it stands in a parent, so that the commit that brought it has to be looked for."""


def find_bases(
    repo: Repository, objects: ObjectReader, changes: Mapping[str, TreeItem], parents: Sequence[str]
) -> tuple[Base, ...]:
    """The bases of files that a new commit adds or changes; `parents`: its commits. At most two a file.

    Never raises for what cannot be read: a base that nobody can see is none.
    """
    files = {path: item for path, item in changes.items() if is_file(item.mode)}
    new = {path: manifest for path, item in files.items() if (manifest := _manifest(objects, item)) is not None}
    if not new:
        return ()
    try:
        return _Finder(repo, objects, new, parents).find()
    except MvcError:
        return ()


class _Finder:
    """The pool of files that may be bases grows as far as it has to: what stands first, then the history."""

    def __init__(
        self, repo: Repository, objects: ObjectReader, new: Mapping[str, Manifest], parents: Sequence[str]
    ) -> None:
        self._repo, self._objects, self._new, self._parents = repo, objects, new, parents
        self._chunks = open_chunks(repo)
        self._seen: set[str] = set()
        self._pool = list(self._near())
        self._past = self._history()

    def find(self) -> tuple[Base, ...]:
        found: list[Base] = []
        for path, manifest in list(self._new.items())[:MOST_FILES]:
            found += self._of_file(path, _samples(self._chunks, manifest))
        return _folded(found)

    def _of_file(self, path: str, samples: list[_Sample]) -> Iterator[Base]:
        total = sum(sample.weight for sample in samples)
        # What rests on no other is the very same as another's, or new: that is asked of what is near alone.
        open_ends = [sample for sample in samples if sample.bases]
        for model in self._models(path):
            open_ends = [sample for sample in open_ends if not _told(sample, model.names)]
            if not open_ends:
                break
        for _ in range(2):
            best, weight = self._best(path, samples)
            if best is None or weight < _LEAST * total:
                return
            nearest = self._nearest(path, best)
            yield Base(self._commit_of(nearest), None, nearest.path, path, True)
            samples = [sample for sample in samples if not _told(sample, best.names | nearest.names)]

    def _nearest(self, path: str, best: _Model) -> _Model:
        """The model that a new one is nearest to: `best`, or one between the two.

        A chunk may rest on what its predecessor rests on, since `add` keeps chains short: of a series of
        checkpoints the third may be a difference from the first. So those that rest on `best`, too, are held
        against it, on a few pieces of weights. A model of half the bytes is coded against the FP32 values that stood
        nearby, be it a fine-tune of the model that was rounded: so that one is held against it, too.
        """
        rivals = [
            model for model in self._pool if model is not best and not (model.commit is None and model.path == path)
        ]
        rivals.sort(key=lambda model: (model.path != path, not model.standing))
        asked = [model for model in rivals[:_MOST_ASKED] if self._rests_on(model, best)][:_MOST_RIVALS]
        asked += self._beneath(path, best)
        nearest, lowest = best, 1.0
        for model in asked:
            pieces = self._pieces(self._new[path], (best, model))
            if pieces and (share := self._cost(pieces, model) / max(1, self._cost(pieces, best))) < lowest:
                nearest, lowest = model, share
        return nearest

    def _beneath(self, path: str, best: _Model) -> list[_Model]:
        """Where a new model is a rounding of `best`, what that one rests on itself."""
        largest = _largest(self._new[path])[:_PIECES]
        matches = [best.tensors.find(segment.tensor) for segment in largest if segment.tensor is not None]
        if not any(match is not None and match[0] == "fp32" for match in matches):
            return []
        places = [
            self._chunks.find(ref.name) for segment in _largest(best.tensors.manifest) for ref in segment.chunks[:1]
        ]
        wanted = {base for place in places[:_PIECES] if place is not None for base in place.bases}
        found: list[_Model] = []
        for model in self._models(path) if wanted else ():
            if model is not best and wanted & model.names:
                found.append(model)
                wanted -= model.names
            if not wanted or len(found) == _MOST_RIVALS:
                break
        return found

    def _rests_on(self, model: _Model, best: _Model) -> bool:
        """Whether a model's records are differences from `best`, at once or by others between."""
        segments = _largest(model.tensors.manifest)[:_PIECES]
        return 2 * sum(self._is_upon(segment, best) for segment in segments) > len(segments)

    def _is_upon(self, segment: ManifestSegment, best: _Model) -> bool:
        names = [ref.name for ref in segment.chunks[:1]]
        for _ in range(_LONGEST):
            place = self._chunks.find(names[0]) if names else None
            names = [] if place is None else list(place.bases)
            if best.names.intersection(names):
                return True
        return False

    def _pieces(self, manifest: Manifest, models: Sequence[_Model]) -> list[tuple[Tensor, int, bytes]]:
        """From the middle of the first chunks of a few tensors that all have, in the same dtype or in FP32: what `add`
        samples."""
        found: list[tuple[Tensor, int, bytes]] = []
        for segment in _largest(manifest):
            tensor = segment.tensor
            if tensor is None or not segment.chunks or len(found) == _PIECES:
                continue
            matches = [model.tensors.find(tensor) for model in models]
            if all(match is not None and match[1].chunks for match in matches):
                # The middle of the first piece, as `add` samples: the first rows of an embedding are often padding.
                # Of FP32 values in the base it is the first chunk's alone, half of it that piece.
                start = min(segment.length, PIECE // 2) // 2 // 64 * 64
                found.append((tensor, start, self._piece(segment, start)))
        return found

    def _piece(self, segment: ManifestSegment, start: int, length: int = _PIECE) -> bytes:
        return bytes(memoryview(self._chunks.read(segment.chunks[0].name))[start : start + length])

    def _cost(self, pieces: Sequence[tuple[Tensor, int, bytes]], model: _Model) -> int:
        """Bytes that the pieces would take as differences from a model."""
        total = 0
        for tensor, start, piece in pieces:
            match = model.tensors.find(tensor)
            assert match is not None  # `_pieces` has asked
            kind, segment = match
            scale = 2 if kind == "fp32" else 1
            raw = self._piece(segment, scale * start, scale * len(piece))
            known = len(raw) == scale * len(piece)
            total += estimate(piece, tensor.dtype, CodecBase(kind, raw)) if known else len(piece)
        return total

    def _best(self, path: str, samples: list[_Sample]) -> tuple[_Model | None, int]:
        best, most, weight = None, 0.0, 0
        for model in self._pool:
            if model.commit is None and model.path == path:
                continue
            mine = sum(sample.weight for sample in samples if _told(sample, model.names))
            # The very same goes before a difference; of two that tell as much, what stood at the same path before.
            same = sum(sample.weight for sample in samples if sample.name in model.names)
            rank = mine * (1.001 if model.path == path else 1.0) + 0.1 * same
            if rank > most:
                best, most, weight = model, rank, mine
        return best, weight

    def _models(self, path: str) -> Iterator[_Model]:
        yield from (model for model in self._pool if model.commit is not None or model.path != path)
        for model in self._past:
            self._pool.append(model)
            yield model

    def _near(self) -> Iterator[_Model]:
        for parent in self._parents:
            tree = self._repo.objects.commit(parent).tree
            yield from self._parsed(parent, trees.flatten(self._repo.objects, tree).items(), standing=True)
        for path, manifest in self._new.items():
            yield _Model(None, path, _first_chunks(self._chunks, manifest), Candidate(manifest))

    def _history(self) -> Iterator[_Model]:
        tips = {*self._repo.refs.list("refs/heads/").values(), *self._repo.refs.list("refs/tags/").values()}
        tips |= {*self._repo.refs.list("refs/remotes/").values(), *self._parents}
        include = sorted({self._repo.objects.peel(tip) for tip in tips})
        for commit in walk(self._repo.objects, Selection(include=include, max_count=_MAX_COMMITS)) if include else ():
            parent = self._repo.objects.commit(commit.parents[0]).tree if commit.parents else None
            changes = trees.diff(self._repo.objects, parent, commit.tree)
            items = ((change.path, change.new) for change in changes if change.new is not None)
            yield from self._parsed(commit.id, items, standing=False)
            if len(self._seen) > _MAX_MODELS:
                return

    def _parsed(self, commit: str, items: Iterable[tuple[str, TreeItem]], *, standing: bool) -> Iterator[_Model]:
        for path, item in items:
            if item.id in self._seen or not is_file(item.mode) or not _may_be_model(path):
                continue
            manifest = _manifest(self._objects, item)
            if manifest is not None:
                self._seen.add(item.id)
                yield _Model(commit, path, _first_chunks(self._chunks, manifest), Candidate(manifest), standing)

    def _commit_of(self, model: _Model) -> str | None:
        """The commit that brought a file to where it stands."""
        if model.commit is None or not model.standing:
            return model.commit
        found = walk(self._repo.objects, Selection(include=[model.commit], paths=(model.path,), max_count=1))
        return next((commit.id for commit in found), model.commit)


def _told(sample: _Sample, names: frozenset[bytes]) -> bool:
    """Whether a tensor comes from a file with these first chunks."""
    return sample.name in names or any(base in names for base in sample.bases)


def _samples(chunks: ChunkSource, manifest: Manifest) -> list[_Sample]:
    found = []
    for segment in _largest(manifest):
        refs = chunk_refs(chunks, segment) if segment.lists else segment.chunks
        place = chunks.find(refs[0].name) if refs else None
        if place is None:
            continue
        bases = place.bases if place.stored_size < _SMALLER * place.raw_size else ()
        found.append(_Sample(refs[0].name, bases, segment.length))
    return found


def _largest(manifest: Manifest) -> list[ManifestSegment]:
    tensors = [segment for segment in manifest.segments if segment.tensor is not None and segment.length]
    return sorted(tensors, key=lambda segment: -segment.length)[:_SAMPLES]


def _first_chunks(chunks: ChunkSource, manifest: Manifest) -> frozenset[bytes]:
    """The first chunks of all tensors (both, where an FP32 tensor may be the base of one of half its size)."""
    names: set[bytes] = set()
    for segment in manifest.segments:
        if segment.tensor is not None and segment.length:
            names.update(ref.name for ref in segment.chunks[:1])
            if segment.lists:
                names.update(ref.name for ref in chunk_refs(chunks, segment)[:1])
    return frozenset(names)


def _manifest(objects: ObjectReader, item: TreeItem) -> Manifest | None:
    """The manifest of a chunked file with tensors."""
    try:
        blob = objects.blob(item.id)
        manifest = parse(blob) if is_manifest(blob) else None
    except MvcError:
        return None
    if manifest is None or not any(segment.tensor is not None for segment in manifest.segments):
        return None
    return manifest


def _may_be_model(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() not in _NO_MODELS


_NO_MODELS = frozenset({".txt", ".json", ".md", ".py", ".yaml", ".yml", ".csv", ".jsonl", ".png", ".jpg", ".parquet"})


def _folded(bases: list[Base]) -> tuple[Base, ...]:
    """Shards of one model have one base: several files of a folder, made from one folder of one commit, are one.

    Not so what came together in one folder: those are models beside each other. Nor what came from the top of the very
    same commit: that folder has no name, and a base that names nothing is none.
    """
    groups: dict[tuple[str | None, str, str], list[Base]] = {}
    for base in bases:
        folder, of = _folder(base.path), _folder(base.of)
        groups.setdefault((base.commit, folder, of), []).append(base)
    found: list[Base] = []
    for (commit, folder, of), group in groups.items():
        apart = len(group) < 3 or (commit is None and folder in ("", of))
        found += group if apart else [Base(commit, None, folder or None, of or None, True)]
    return tuple(found)


def _folder(path: str | None) -> str:
    head, slash, _ = (path or "").rpartition("/")
    return head + slash
