"""`mvc gc --repack`: chunks encoded anew, with more effort and with what has become known since.

A chunk that was stored whole may have a predecessor now (its file was renamed, or was committed
before the model that it came from). It becomes a delta only where that raises no other record:
neither is it a base itself, nor is its new base raised in the same run. So depths stay true.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mvc.codecs.base import Base, Codec, Encoded
from mvc.codecs.encode import encode
from mvc.errors import MvcError
from mvc.objects import trees
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import TreeItem, is_file
from mvc.objects.walk import Selection, walk
from mvc.ops.gc import lock_path
from mvc.progress import SILENT, Progress
from mvc.repo.bases import Candidate
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import ChunkSource, chunk_refs
from mvc.settings import MAX_DEPTH
from mvc.store.chunkstore import ChunkStore
from mvc.store.locks import hold
from mvc.store.records import Buffer, Location

_THOROUGH = 19


@dataclass(slots=True)
class _Known:
    """What manifests tell of chunks: their dtype, and the chunk at the same place of the version before."""

    dtypes: dict[bytes, str] = field(default_factory=dict)
    predecessors: dict[bytes, bytes] = field(default_factory=dict)


def repack(repo: Repository, *, wait: float = 0.0, progress: Progress = SILENT) -> int:
    """Encode anew what gets smaller by it; returns the bytes that the new records are smaller by.

    The old records go with the next gc. Raises Locked when a gc runs.
    """
    chunks = open_chunks(repo)
    known = _learn(repo, chunks)
    in_use = {base for _, place in chunks.records() for base in place.bases}
    raised: set[bytes] = set()

    def better(name: bytes, place: Location, raw: Buffer) -> tuple[Encoded, tuple[bytes, ...], int] | None:
        found = _thorough(place, raw, known.dtypes.get(name))
        step = None if place.depth or name in in_use else _as_delta(chunks, known, name, raw, raised)
        if step is not None and step[0].size < min(place.stored_size, found.size if found else place.stored_size):
            raised.add(name)
            in_use.update(step[1])
            return step
        return (found, (), 0) if found is not None else None

    with hold(lock_path(repo), what="gc --repack", wait=wait), chunks.intend("gc --repack") as intent:
        return chunks.repack(better, intent, progress=progress).saved_bytes


def _thorough(place: Location, raw: Buffer, dtype: str | None) -> Encoded | None:
    """With more effort, where the chunk rests on nothing and that helps."""
    if place.codec not in (Codec.RAW, Codec.ZSTD):
        return None
    encoded = encode(raw, dtype, zstd_level=_THOROUGH)
    return encoded if encoded.size < place.stored_size else None


def _as_delta(
    chunks: ChunkStore, known: _Known, name: bytes, raw: Buffer, raised: set[bytes]
) -> tuple[Encoded, tuple[bytes, ...], int] | None:
    base = known.predecessors.get(name)
    place = chunks.find_own(base) if base is not None and base not in raised else None
    if base is None or place is None or place.depth >= MAX_DEPTH or name in place.bases:
        return None
    encoded = encode(raw, known.dtypes.get(name), (Base("same", chunks.read(base)),))
    return (encoded, (base,), place.depth + 1) if encoded.base is not None else None


def _learn(repo: Repository, chunks: ChunkStore) -> _Known:
    """From the history, oldest commit first."""
    known = _Known()
    tips = sorted({repo.objects.peel(tip) for tip in repo.refs.list().values()})
    commits = [one for one in tips if repo.objects.kind(one) == "commit"]
    history = list(walk(repo.objects, Selection(include=commits))) if commits else []
    for commit in reversed(history):
        parent = repo.objects.commit(commit.parents[0]).tree if commit.parents else None
        for change in trees.diff(repo.objects, parent, commit.tree):
            new = _manifest(repo, change.new)
            if new is not None:
                _note(known, chunks, new, _manifest(repo, change.old))
    return known


def _note(known: _Known, chunks: ChunkSource, new: Manifest, old: Manifest | None) -> None:
    candidate = Candidate(old) if old is not None else None
    for segment in new.segments:
        if segment.tensor is None:
            continue
        refs = chunk_refs(chunks, segment)
        found = candidate.find(segment.tensor) if candidate is not None else None
        before = chunk_refs(chunks, found[1]) if found is not None and found[0] == "same" else ()
        for number, ref in enumerate(refs):
            known.dtypes.setdefault(ref.name, segment.tensor.dtype)
            if number < len(before) and before[number].name != ref.name:
                known.predecessors.setdefault(ref.name, before[number].name)


def _manifest(repo: Repository, item: TreeItem | None) -> Manifest | None:
    if item is None or not is_file(item.mode):
        return None
    try:
        blob = repo.objects.blob(item.id)
        return parse(blob) if is_manifest(blob) else None
    except MvcError:
        return None
