"""Which stored tensor a new tensor is a small step away from.

A file's *options* are the manifests that hold tensors of the same names, and for each how far up
its records' chains of bases to go. They are put in order once a file, by what deltas against them
would take on a few samples; a tensor then takes the first option that has it. So a fine-tune finds
the model it was made from under another path, and a series of checkpoints keeps its chains short.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mvc.codecs.base import Base, Codec
from mvc.codecs.encode import estimate
from mvc.formats.base import ReadAt, Tensor
from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment
from mvc.repo.tensornames import name_keys, same_rows
from mvc.repo.tensors import Buffer, ChunkSource, chunk_refs
from mvc.settings import PIECE

BaseKind = Literal["same", "fp32"]

_CAST = frozenset({"BF16", "F16"})
_SAMPLED_TENSORS = 6
_SAMPLE = 64 * 1024
_MAX_OPTIONS = 8
# A chain of full length is not lengthened but begun again nearer to its root once its last step has
# grown to so much of the step before: then the anchor of the chain has become a poor base.
_WORN = 0.8


class BaseSource(ChunkSource, Protocol):
    """A ChunkSource that decodes into its caller's memory."""

    def read(self, name: bytes, *, out: memoryview | None = None) -> Buffer: ...


@dataclass(frozen=True, slots=True)
class TensorBase:
    """The base of one tensor: pieces of `refs`, or what `hops` steps up their chains of bases lies."""

    kind: BaseKind
    refs: tuple[ChunkRef, ...]
    hops: int


@dataclass(frozen=True, slots=True)
class ResolvedBase:
    """What a chunk may be a delta of: `names` in a row give `base`; a record on them has this `depth`."""

    names: tuple[bytes, ...]
    depth: int
    base: Base


@dataclass(slots=True)
class Candidate:
    """A manifest whose tensors may serve as bases, indexed by the names that they may go by."""

    manifest: Manifest
    same: dict[tuple[str, str], ManifestSegment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for segment in self.manifest.segments:
            if segment.tensor is None or not segment.length:
                continue
            for key in name_keys(segment.tensor.name):
                self.same.setdefault((key, segment.tensor.dtype), segment)

    def find(self, tensor: Tensor) -> tuple[BaseKind, ManifestSegment] | None:
        """The segment that `tensor` may be coded against, and how."""
        for key in name_keys(tensor.name):
            found = self.same.get((key, tensor.dtype))
            if found is not None and found.tensor is not None and same_rows(found.tensor, tensor):
                return "same", found
            if tensor.dtype in _CAST:
                found = self.same.get((key, "F32"))
                if found is not None and found.tensor is not None and same_rows(found.tensor, tensor):
                    return "fp32", found
        return None


@dataclass(frozen=True, slots=True)
class Option:
    """A candidate, and how many steps up the chains of its records to go."""

    candidate: Candidate
    hops: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor of a new file: `offset` of its first byte, `length` in bytes."""

    tensor: Tensor
    offset: int
    length: int


def coverage(candidates: Iterable[Candidate], wanted: Sequence[Wanted]) -> float:
    """The share of the tensors' bytes, 0 to 1, that some candidate has a base for."""
    pool = list(candidates)
    total = sum(item.length for item in wanted)
    covered = sum(item.length for item in wanted if any(c.find(item.tensor) for c in pool))
    return covered / total if total else 1.0


def rank(
    chunks: BaseSource, candidates: Sequence[Candidate], wanted: Sequence[Wanted], read_at: ReadAt, limit: int
) -> list[Option]:
    """The options for a file, the best first. `limit` is the longest chain that may be written."""
    useful = [c for c in candidates if any(c.find(item.tensor) for item in wanted)][:_MAX_OPTIONS]
    sampled = _sampled(useful, wanted)
    scores: dict[tuple[int, int], float] = {}
    for number, candidate in enumerate(useful):
        for hops, score in _scores(chunks, candidate, sampled, read_at, limit).items():
            scores[number, hops] = score
    # Of two that take the same, the shorter chain is the faster to read.
    order = sorted(scores, key=lambda option: (scores[option] * (1 - 0.03 * option[1]), option))
    return [Option(useful[number], hops) for number, hops in order]


def assign(options: Sequence[Option], tensor: Tensor, chunks: ChunkSource) -> TensorBase | None:
    """The base of one tensor: that of the first option that has it."""
    for option in options:
        found = option.candidate.find(tensor)
        if found is not None:
            kind, segment = found
            return TensorBase(kind, chunk_refs(chunks, segment), option.hops)
    return None


def resolve(
    chunks: BaseSource, base: TensorBase, piece: int, limit: int, room: memoryview | None = None
) -> ResolvedBase | None:
    """The base of piece number `piece` of a tensor, such that a record on it is at most `limit` deep.

    None when there is none: the tensor has grown past its base, or its chain cannot be shortened. If its
    bytes fit into `room`, they are put there: memory that has just been used is the fastest.
    """
    if base.kind == "fp32":
        refs = base.refs[2 * piece : 2 * piece + 2]
        return _joined(chunks, "fp32", tuple(ref.name for ref in refs), limit, room)
    if piece >= len(base.refs):
        return None
    names, kind = _climb(chunks, base.refs[piece].name, base.hops, limit)
    return _joined(chunks, kind, names, limit, room)


def _sampled(candidates: Sequence[Candidate], wanted: Sequence[Wanted]) -> list[Wanted]:
    """A few tensors to judge by: large ones first, as that is where the bytes are."""
    known = [item for item in wanted if any(c.find(item.tensor) for c in candidates)]
    known.sort(key=lambda item: (-min(item.length, PIECE), item.offset))
    step = max(1, len(known) // _SAMPLED_TENSORS)
    return known[::step][:_SAMPLED_TENSORS]


def _scores(
    chunks: BaseSource, candidate: Candidate, sampled: Sequence[Wanted], read_at: ReadAt, limit: int
) -> dict[int, float]:
    """For each number of hops that a file may take on this candidate: bytes that the samples would take."""
    totals: dict[int, float] = {}
    worn = False
    for item in sampled:
        # The middle of the first piece: the first rows of an embedding are often padding.
        start = min(item.length, PIECE) // 2 // 64 * 64
        sample = read_at(item.offset + start, min(_SAMPLE, item.length - start))
        found = candidate.find(item.tensor)
        plain = estimate(sample, item.tensor.dtype)
        kind, refs = (found[0], chunk_refs(chunks, found[1])) if found else ("same", ())
        worn = worn or (kind == "same" and bool(refs) and _worn(chunks, refs[0].name, limit))
        for hops in range(limit + 1 if kind == "same" else 1):
            resolved = resolve(chunks, TensorBase(kind, refs, hops), 0, limit) if refs else None
            cost = float(plain)
            if resolved is not None:
                scale = 2 if resolved.base.kind == "fp32" else 1
                raw = memoryview(resolved.base.raw)[start * scale : (start + len(sample)) * scale]
                cost = min(cost, estimate(sample, item.tensor.dtype, Base(resolved.base.kind, raw)))
            totals[hops] = totals.get(hops, 0.0) + cost
            if resolved is not None and resolved.depth == 1 and hops not in totals:
                break
    if worn:
        deepest = max(totals)
        totals = {deepest: totals[deepest]}
    return totals


def _worn(chunks: ChunkSource, name: bytes, limit: int) -> bool:
    """Whether a chain of full length has drifted so far from its anchor that it should begin again at its root."""
    last = chunks.find(name)
    if last is None or last.depth < limit or limit < 2:
        return False
    anchor = chunks.find(last.bases[0]) if last.bases else None
    return anchor is not None and last.stored_size >= _WORN * anchor.stored_size


def _climb(chunks: ChunkSource, name: bytes, hops: int, limit: int) -> tuple[tuple[bytes, ...], BaseKind]:
    """`hops` bases up from a chunk, and further as long as it is too deep for another record on top."""
    while True:
        found = chunks.find(name)
        if found is None or not found.depth or (hops <= 0 and found.depth < limit):
            return (name,), "same"
        if found.codec == Codec.CAST:
            # It rests on FP32 values: what lies above is coded against those in the same way.
            return ((name,), "same") if found.depth < limit else (found.bases, "fp32")
        name, hops = found.bases[0], hops - 1


def _joined(
    chunks: BaseSource, kind: BaseKind, names: tuple[bytes, ...], limit: int, room: memoryview | None
) -> ResolvedBase | None:
    """The raw bytes of these chunks in a row, if a record may rest on them."""
    found = [location for name in names if (location := chunks.find(name)) is not None]
    if not names or len(found) != len(names) or max(location.depth for location in found) >= limit:
        return None
    parts = []
    for name, location in zip(names, found, strict=True):
        fits = room is not None and location.raw_size <= len(room)
        parts.append(chunks.read(name, out=room[: location.raw_size] if room is not None and fits else None))
        room = room[location.raw_size :] if room is not None and fits else None
    depth = 1 + max(location.depth for location in found)
    return ResolvedBase(names, depth, Base(kind, parts[0] if len(parts) == 1 else b"".join(parts)))
