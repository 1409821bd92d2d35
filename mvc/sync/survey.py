"""What the refs of a remote need, as its gc and fsck find out: Git objects, chunks, and the files that are dead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mvc.errors import MvcError
from mvc.objects.database import Objects
from mvc.objects.reachable import Reached, walk_objects
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.sync.remotechunks import RemoteChunks


@dataclass(frozen=True, slots=True)
class DeadFile:
    """A version of a file that no ref of the remote reaches: its path, as far as known, its size, and the stored bytes
    of the chunks that only such versions name."""

    path: str
    raw: int
    stored: int


class Survey:
    """What the refs need that were given to `extend`."""

    def __init__(self, objects: Objects, source: RemoteChunks) -> None:
        self._objects, self._source = objects, source
        self._seen: set[str] = set()
        self.chunks: set[bytes] = set()
        """Names of the chunks that live files need, lists of chunks too (their bases are not among them)."""

    def extend(self, tips: Iterable[str]) -> None:
        """Follow refs. Raises MissingObject, IntegrityError where something of them is not there."""
        for file in chunked_files(self._objects, walk_objects(self._objects, tips, seen=self._seen)):
            self.chunks.update(chunk_names(self._source, file.manifest))

    def objects(self) -> set[bytes]:
        """The ids (20 bytes) of what is live. (A link's blob is noted with a letter behind its id.)"""
        return {bytes.fromhex(name[:40]) for name in self._seen}

    def dead_files(self, sizes: Mapping[bytes, int]) -> list[DeadFile]:
        """The dead versions of files, the largest first. `sizes`: stored bytes of the chunks that go."""
        live = self.objects()
        lost = [name for name in self._objects.ids() if bytes.fromhex(name) not in live]
        kinds = {name: self._objects.kind(name) for name in lost}
        seen = set(self._seen)
        named = walk_objects(
            self._objects, [one for one in lost if kinds[one] == "commit"], seen=seen, on_error=lambda _w, _e: None
        )
        found = [*named]
        found += [Reached("blob", one, "", 0, "") for one in lost if one not in seen and kinds[one] == "blob"]
        left = dict(sizes)
        files: list[DeadFile] = []
        for file in chunked_files(self._objects, (one for one in found if self._objects.contains(one.id))):
            try:
                names = set(chunk_names(self._source, file.manifest))
            except MvcError:
                names = set()
            files.append(DeadFile(file.path, file.manifest.size, sum(left.pop(name, 0) for name in names)))
        return sorted(files, key=lambda file: (-file.stored, file.path))
