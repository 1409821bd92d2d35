"""What a remote holds right now, chunk by chunk: whoever frees a chunk here relies on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from mvc.errors import IntegrityError, MissingObject, MvcError
from mvc.hashing import chunk_namer
from mvc.objects.reachable import Reached, walk_objects
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.settings import MAX_DEPTH
from mvc.store.records import Location
from mvc.sync import keys
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote
from mvc.sync.viewchunks import RemoteChunks, Source
from mvc.sync.viewindex import ViewIndex

_BATCH = 64
"""Chunks that are read together: some 64 MB decoded."""


class Holdings:
    """The chunks of a remote, as it told when this was made. Asks once for each pack that is relied on."""

    def __init__(self, remote: Remote, progress: Progress = SILENT) -> None:
        """Raises what asking raises: NotFound, NetworkError, AuthError, IntegrityError."""
        self._remote = remote
        self._progress = progress
        self.state = remote.state()
        self._index, _ = RemoteIndex.of(remote, self.state, progress)
        self._sizes = {bytes.fromhex(pack.id): pack.size for pack in self.state.chunk_packs}
        self._stands: dict[bytes, bool] = {}
        self._depths: dict[bytes, int | None] = {}

    def lists(self, name: bytes) -> bool:
        """Whether an idx of the remote tells of the chunk; nothing is asked."""
        return name in self._index

    def held(self, names: Iterable[bytes]) -> set[bytes]:
        """Those of the chunks that can be had from there: each lies, with all that it rests on, in packs that the
        remote lists and that are there in their full size."""
        wanted = set(names)
        self._ask({place.pack for place in self._closure(wanted)})
        return {name for name in wanted if self._depth(name) is not None}

    def referenced(self, names: Iterable[bytes]) -> set[bytes]:
        """Those of the chunks that a ref of the remote reaches: gc there keeps them. What of its history is not here
        does not count."""
        repo = self._remote.repo
        left = set(names)
        all_names = frozenset(left)
        chunks = open_chunks(repo)
        tips = [one for one in self.state.refs.values() if repo.objects.contains(one)]

        def passed(_wanted: Reached, _error: MvcError) -> None:
            """History that is only half here proves less."""

        for file in chunked_files(repo.objects, walk_objects(repo.objects, tips, on_error=passed)):
            if not left:
                break
            left.difference_update(chunk_names(chunks, file.manifest, self.lists))
        return set(all_names - left)

    def read(self, names: Iterable[bytes]) -> set[bytes]:
        """Read these chunks there, every byte; returns those that came as they are named."""
        index = ViewIndex(self._remote.backend, self._remote.memory, self.state)
        namer = chunk_namer(self._remote.repo.settings.store.naming)
        source = RemoteChunks(Source(self._remote.backend, lambda: index, lambda: False, namer))
        wanted = list(names)
        sound: set[bytes] = set()
        self._progress.begin("verifying", len(wanted), "chunks")
        try:
            for batch in _batches(wanted):
                with source.batch(batch) as records:
                    for name in batch:
                        try:
                            records.read(name)
                            sound.add(name)
                        except (IntegrityError, MissingObject):
                            self._progress.warn(f"{self._remote.backend.url}: chunk {name.hex()} is damaged there")
                self._progress.advance(len(batch))
        finally:
            self._progress.end()
        return sound

    def _closure(self, names: Iterable[bytes]) -> Iterator[Location]:
        """Every copy of these chunks and of what they rest on."""
        pending = list(names)
        seen = set(pending)
        while pending:
            for place in self._index.copies(pending.pop()):
                yield place
                pending += [base for base in place.bases if base not in seen]
                seen.update(place.bases)

    def _ask(self, packs: set[bytes]) -> None:
        unknown = sorted(packs - self._stands.keys())
        if not unknown:
            return

        def stands(pack: bytes) -> bool:
            return self._remote.backend.size(keys.chunk_pack(pack.hex())) == self._sizes[pack]

        with ThreadPoolExecutor(self._remote.backend.capabilities.parallel, thread_name_prefix="ask") as pool:
            self._stands.update(zip(unknown, pool.map(stands, unknown), strict=True))

    def _depth(self, name: bytes, below: int = MAX_DEPTH + 1) -> int | None:
        """The least depth that the chunk can be had at; None: not at all. Depths only fall on the way down."""
        if name not in self._depths:
            found: int | None = None
            for place in self._index.copies(name):
                if place.depth < below and self._stands[place.pack] and self._bases_stand(place):
                    found = place.depth
                    break
            if below <= MAX_DEPTH:  # a copy that lies deeper was not looked at: that answer is not for all
                return found
            self._depths[name] = found
        depth = self._depths[name]
        return depth if depth is not None and depth < below else None

    def _bases_stand(self, place: Location) -> bool:
        return all(self._depth(base, place.depth) is not None for base in place.bases)


def _batches(names: list[bytes]) -> Iterator[list[bytes]]:
    left = iter(names)
    while batch := list(islice(left, _BATCH)):
        yield batch
