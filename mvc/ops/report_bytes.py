"""How many bytes a version brings that the one before has not, from manifests; and what they take as stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.objects import chunklist, trees
from mvc.objects.manifest import ManifestSegment, is_manifest, parse
from mvc.objects.model import is_link
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.store.chunkstore import ChunkStore
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotelog import remembered_state
from mvc.sync.remotes import memories


@dataclass(frozen=True, slots=True)
class NewBytes:
    """All sizes in bytes. `shared` is what the version before has too, be it in another file."""

    before: int
    after: int
    new: int
    stored: int | None
    """What the new ones take, as they are stored; None where that is not known of any."""
    unknown: int = 0
    """Of the new bytes those of which nobody here knows what they take."""

    @property
    def shared(self) -> int:
        return self.after - self.new


def new_bytes(repo: Repository, old: str | None, new: str) -> NewBytes:
    """Compare two trees (None: the empty one) chunk by chunk. No weights are read."""
    chunks = open_chunks(repo)
    before = dict(_parts(repo, chunks, old)) if old is not None else {}
    after = dict(_parts(repo, chunks, new))
    fresh = {name: size for name, size in after.items() if name not in before}
    sizes = _Stored(repo, chunks)
    stored, unknown, known = 0, 0, False
    for name, size in fresh.items():
        found = size if isinstance(name, str) else sizes.of(name)
        if found is None:
            unknown += size
        else:
            stored, known = stored + found, known or not isinstance(name, str)
    total_before = _total(repo, old) if old is not None else 0
    total = _total(repo, new)
    return NewBytes(total_before, total, sum(fresh.values()), stored if known or not unknown else None, unknown)


def _total(repo: Repository, tree: str) -> int:
    found = 0
    for item in trees.flatten(repo.objects, tree).values():
        blob = repo.objects.blob(item.id)
        found += parse(blob).size if not is_link(item.mode) and is_manifest(blob) else len(blob)
    return found


def _parts(repo: Repository, chunks: ChunkStore, tree: str) -> Iterator[tuple[bytes | str, int]]:
    """(chunk, its bytes); of a file that is a blob (its id, its bytes)."""
    for item in trees.flatten(repo.objects, tree).values():
        blob = repo.objects.blob(item.id)
        if is_link(item.mode) or not is_manifest(blob):
            yield item.id, len(blob)
            continue
        for segment in parse(blob).segments:
            yield from _chunks(chunks, segment)


def _chunks(chunks: ChunkStore, segment: ManifestSegment) -> Iterator[tuple[bytes, int]]:
    if segment.lists and all(chunks.has(ref.name) for ref in segment.lists):
        for chunk in chunklist.chunks_of(segment, lambda name: bytes(chunks.read(name))):
            yield chunk.name, chunk.size
        return
    for chunk in segment.chunks:
        yield chunk.name, chunk.size
    for ref in segment.lists:  # a list that is not here counts as a whole
        yield ref.name, ref.length


class _Stored:
    """What chunks take, here or in remotes as they were seen last."""

    def __init__(self, repo: Repository, chunks: ChunkStore) -> None:
        self._chunks = chunks
        states = [(memory, remembered_state(memory)) for memory in memories(repo)]
        self._remotes = [RemoteIndex.cached(memory, state) for memory, state in states if state is not None]

    def of(self, name: bytes) -> int | None:
        found = self._chunks.find(name)
        if found is not None:
            return found.stored_size
        copies = next((copies for index in self._remotes if (copies := index.copies(name))), None)
        return min(copy.stored_size for copy in copies) if copies else None
