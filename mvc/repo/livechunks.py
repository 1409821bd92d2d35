"""Which chunks the files of the history need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mvc.objects import chunklist
from mvc.objects.database import Objects
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.reachable import Reached
from mvc.repo.tensors import ChunkSource


@dataclass(frozen=True, slots=True)
class ChunkedFile:
    """A blob that is a manifest; `path` and `commit` where it was found first."""

    id: str
    path: str
    commit: str
    manifest: Manifest


def chunked_files(objects: Objects, reached: Iterable[Reached]) -> Iterator[ChunkedFile]:
    """Those of the objects that are manifests. Raises what reading them raises."""
    for one in reached:
        if one.kind == "blob" and (is_file(one.mode) or not one.mode):
            blob = objects.blob(one.id)
            if is_manifest(blob):
                yield ChunkedFile(one.id, one.path, one.commit, parse(blob))


def chunk_names(chunks: ChunkSource, manifest: Manifest) -> Iterable[bytes]:
    """Every chunk that a file needs, the lists themselves included."""
    return chunklist.names(manifest, lambda name: bytes(chunks.read(name)))
