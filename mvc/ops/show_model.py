"""What a model of a revision is made of: its tensors, and what they take in the store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from mvc.codecs.base import Codec
from mvc.formats.base import Tensor
from mvc.objects.manifest import ManifestSegment
from mvc.ops.model_file import ModelFile
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import chunk_refs
from mvc.store.chunkstore import ChunkStore

BLOB = "blob"
"""Stands for a codec where the file is so small that it is a plain Git blob."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A tensor of the file, or (`tensor` is None) a run of bytes that no tensor covers. Sizes in bytes.

    `stored` counts its chunks' payloads, each also where another file or tensor shares it; None in a
    plain blob. `codecs` is how they are stored, the commonest first; `missing` how many are not here.
    """

    kind: str
    tensor: Tensor | None
    size: int
    stored: int | None
    codecs: tuple[str, ...]
    chunks: int
    missing: int = 0
    nan: int | None = None
    inf: int | None = None

    @property
    def parameters(self) -> int:
        """How many numbers the tensor holds."""
        return prod(self.tensor.shape) if self.tensor is not None else 0


@dataclass(frozen=True, slots=True)
class ModelListing:
    """A file with its segments, in the order of the file."""

    path: str
    id: str
    format: str
    size: int
    blake3: str
    rows: tuple[SegmentRow, ...]

    @property
    def tensors(self) -> tuple[SegmentRow, ...]:
        """The rows that are tensors."""
        return tuple(row for row in self.rows if row.tensor is not None)

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(row.parameters for row in self.rows)

    @property
    def stored(self) -> int | None:
        """Bytes that its chunks take; None for a plain blob."""
        known = [row.stored for row in self.rows if row.stored is not None]
        return sum(known) if known else None

    @property
    def missing(self) -> int:
        """Chunks that are not in this repository."""
        return sum(row.missing for row in self.rows)


def list_model(repo: Repository, file: ModelFile) -> ModelListing:
    """The segments of a file and what each takes in the store. Reads headers and chunk lists, no weights."""
    manifest = file.manifest
    if file.blob is not None:
        rows = tuple(_row(segment, None, (BLOB,), 0, 0) for segment in manifest.segments)
    else:
        chunks = open_chunks(repo)
        rows = tuple(_stored(chunks, segment) for segment in manifest.segments)
    return ModelListing(file.path, file.item.id, manifest.format, manifest.size, manifest.blake3.hex(), rows)


def _stored(chunks: ChunkStore, segment: ManifestSegment) -> SegmentRow:
    stored = missing = count = 0
    codecs: Counter[str] = Counter()
    for ref in chunk_refs(chunks, segment):
        count += 1
        found = chunks.find(ref.name)
        if found is None and chunks.received is not None:
            found = chunks.received.find(ref.name)
        if found is None:
            missing += 1
            continue
        stored += found.stored_size
        codecs[codec_name(found.codec)] += 1
    return _row(segment, stored, tuple(name for name, _ in codecs.most_common()), count, missing)


def codec_name(codec: int) -> str:
    """The name of a codec's id; its number for one that this mvc does not know."""
    try:
        return Codec(codec).name.lower()
    except ValueError:
        return f"codec {codec}"


def _row(
    segment: ManifestSegment, stored: int | None, codecs: tuple[str, ...], chunks: int, missing: int
) -> SegmentRow:
    return SegmentRow(
        segment.kind, segment.tensor, segment.length, stored, codecs, chunks, missing, segment.nan, segment.inf
    )
