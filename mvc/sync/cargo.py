"""What a push is to bring: the Git objects that a remote lacks, and the chunks of the files among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mvc.errors import MissingObject
from mvc.lazy import load
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.packwriter import PackWriter
from mvc.objects.reachable import Reached
from mvc.objects.transfer import new_objects
from mvc.progress import Progress
from mvc.repo.repository import Repository
from mvc.repo.tensors import chunk_refs
from mvc.settings import MAX_DEPTH
from mvc.sync.located import index_for
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote
from mvc.sync.state import State

if TYPE_CHECKING:
    from mvc.store.chunkstore import ChunkStore

FINDING = {
    "bring": "mvc.sync.chunks:bring",
    "ends there": "mvc.sync.depth:ends_there",
    "settle": "mvc.repo.settling:settle",
}
"""Loaded when it is needed: most pushes do without."""


@dataclass(frozen=True, slots=True)
class PushedFile:
    """A version of a file that the push publishes and the remote lacked chunks of (`--dry-run` lists them)."""

    path: str
    size: int
    sent: int
    """Stored bytes of its chunks that go (each chunk counted once, with the first file that needs it)."""


@dataclass(slots=True)
class Cargo:
    """What is to go: a Git pack, and chunks by the depth at which they are stored here."""

    git: PackWriter
    files: list[PushedFile] = field(default_factory=list)
    levels: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(MAX_DEPTH + 1)])
    dtypes: dict[bytes, str] = field(default_factory=dict)
    """Of the deltas: if one must be encoded anew, this tells how."""
    stored: int = 0
    raw: int = 0
    index: RemoteIndex | None = None
    """Which chunks the remote has; None where nobody had to know."""

    @property
    def names(self) -> list[bytes]:
        """The chunks, those that others may rest on first."""
        return [name for level in self.levels for name in level]


class Loading:
    """Finds out what a remote in a given state lacks."""

    def __init__(self, remote: Remote, state: State, chunks: ChunkStore, progress: Progress) -> None:
        self._remote, self._state, self._chunks, self._progress = remote, state, chunks, progress
        self._repo: Repository = remote.repo

    def collect(self, tips: list[str], git: PackWriter) -> Cargo:
        """What the remote lacks of all that these objects reach; the Git objects go into `git`.

        Raises MissingObject for a chunk that is neither here nor there.
        """
        objects, state = self._repo.objects, self._state
        cargo = Cargo(git)
        have = [value for value in set(state.refs.values()) if objects.contains(value)]
        seen: set[bytes] = set()
        self._progress.begin("objects", None, "objects")
        try:
            for reached in self._lacking(tips, have):
                kind, data = objects.raw(reached.id)
                git.add(bytes.fromhex(reached.id), kind, data)
                self._progress.advance(1)
                if kind == "blob" and is_file(reached.mode) and is_manifest(data):
                    if cargo.index is None:
                        cargo.index, _ = index_for(self._remote, state, self._progress)
                    self._file(cargo, cargo.index, reached, parse(data), seen)
        finally:
            self._progress.end()
        return cargo

    def _lacking(self, tips: list[str], have: list[str]) -> Iterator[Reached]:
        """The objects that the remote lacks."""
        objects = self._repo.objects
        if objects.shallow:
            have += load(FINDING["ends there"])(self._remote, self._state, tips, have)
        try:
            return new_objects(objects, tips, have)
        except MissingObject:
            # A commit of the remote is here, but not all behind it (gc took that): only what our refs hold is whole.
            whole = set(self._repo.refs.list().values())
            return new_objects(objects, tips, [one for one in have if one in whole])

    def _file(
        self,
        cargo: Cargo,
        index: RemoteIndex,
        file: Reached,
        manifest: Manifest,
        seen: set[bytes],
    ) -> None:
        """Of a file's chunks those that the remote lacks."""
        chunks = self._chunks
        lists = [ref.name for segment in manifest.segments for ref in segment.lists]
        self._bring_lists([name for name in lists if not chunks.has(name) and name in index])
        sent = 0
        lacking: list[bytes] = []
        rows = [
            (one, [*(row.name for row in one.lists), *(ref.name for ref in chunk_refs(chunks, one))])
            for one in manifest.segments
        ]
        index.prepare(name for _, names in rows for name in names if name not in seen)
        for segment, names in rows:
            dtype = segment.tensor.dtype if segment.tensor is not None else None
            for name in names:
                if name in seen:
                    continue
                seen.add(name)
                if name in index:
                    continue
                place = chunks.find(name)
                if place is None:
                    lacking.append(name)
                    continue
                cargo.levels[place.depth].append(name)
                if place.depth and dtype is not None:
                    cargo.dtypes[name] = dtype
                sent += place.record_size
        sent += self._from_elsewhere(cargo, lacking, file)
        if sent:
            cargo.files.append(PushedFile(file.path, manifest.size, sent))
            cargo.stored += sent
            cargo.raw += manifest.size

    def _bring_lists(self, names: list[bytes]) -> None:
        """Chunk lists that only the remote has are read here, to know what they name."""
        if names:
            load(FINDING["bring"])(self._remote, names, progress=self._progress)

    def _from_elsewhere(self, cargo: Cargo, names: list[bytes], file: Reached) -> int:
        """Chunks that are neither here nor there come from another remote, if one has them."""
        if not names:
            return 0
        chunks = self._chunks
        if any(chunks.has(name) for name in names):
            load(FINDING["settle"])(chunks, self._progress)  # nothing is handed on that nobody has looked at
        chunks.ensure(names)
        chunks.reload()
        total = 0
        for name in names:
            place = chunks.find(name)
            if place is None:
                where = f"chunk {name.hex()} of '{file.path}' in {file.commit[:10]}"
                raise MissingObject(
                    f"{where} is neither here nor at {self._remote.backend.url}",
                    hint="mvc fsck tells what is lacking; fetch it from a remote that has it",
                )
            cargo.levels[place.depth].append(name)
            total += place.record_size
        return total
