"""Which chunks the files of the history need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from mvc.errors import MissingObject
from mvc.objects import chunklist
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.reachable import Reached
from mvc.objects.reader import ObjectReader
from mvc.repo.tensors import ChunkSource


@dataclass(frozen=True, slots=True)
class ChunkedFile:
    """A blob that is a manifest; `path` and `commit` where it was found first."""

    id: str
    path: str
    commit: str
    manifest: Manifest


def chunked_files(objects: ObjectReader, reached: Iterable[Reached]) -> Iterator[ChunkedFile]:
    """Those of the objects that are manifests. Raises what reading them raises."""
    for one in reached:
        if one.kind == "blob" and (is_file(one.mode) or not one.mode):
            blob = objects.blob(one.id)
            if is_manifest(blob):
                yield ChunkedFile(one.id, one.path, one.commit, parse(blob))


def chunk_names(
    chunks: ChunkSource, manifest: Manifest, promised: Callable[[bytes], bool] | None = None
) -> Iterable[bytes]:
    """Every chunk that a file needs, the lists themselves included.

    What a list names that is not here, but `promised` by a remote, is left out: the remote has that, too.
    """
    if promised is None:
        yield from chunklist.names(manifest, lambda name: bytes(chunks.read(name)))
        return
    for segment in manifest.segments:
        yield from (ref.name for ref in segment.chunks)
        for row in segment.lists:
            yield row.name
            if chunks.find(row.name) is None and promised(row.name):
                continue
            alone = replace(segment, lists=(row,))
            try:
                refs = list(chunklist.chunks_of(alone, lambda name: bytes(chunks.read(name))))
            except MissingObject:
                if not promised(row.name):  # else it is spoilt in the shared store
                    raise
                continue
            yield from (ref.name for ref in refs)
