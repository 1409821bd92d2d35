"""Freeing chunks of what they rest on: copies without bases, so that the bases can go (purge)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mvc.codecs.encode import encode
from mvc.errors import IntegrityError, Refused
from mvc.objects.model import Signature
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.store import idxbuild
from mvc.store.chunkstore import ChunkStore
from mvc.store.graph import Graph
from mvc.store.idx import Idx
from mvc.store.records import Location, make_lead
from mvc.sync import keys
from mvc.sync.lease import Lease
from mvc.sync.outgoing import with_packs, write_table
from mvc.sync.remotechunks import RemoteChunks
from mvc.sync.remoteindex import RemoteIndex, idx_folder
from mvc.sync.remotepacks import PacksOut, graph_of
from mvc.sync.remotes import Remote
from mvc.sync.state import ChunkPack

_TRIES = 50


def resting_on(graph: Graph, live: Collection[bytes], banned: Collection[bytes]) -> list[bytes]:
    """The chunks that are needed for the `live` ones, and of which a copy rests on a `banned` one."""
    bad = graph.members(banned)
    rows = graph.resting_rows(bad)
    _, needed = graph.close(graph.smallest_rows(), graph.members(live))
    return graph.names_of(graph.in_groups(rows) & needed & ~bad)


def lift_local(store: ChunkStore, live: Collection[bytes], banned: Collection[bytes]) -> list[bytes]:
    """Store anew, without bases, what rests on banned chunks here; returns their names."""
    store.reload()
    idx = [Idx(path) for path in sorted(store.paths.idx.glob("*.idx"))]
    names = resting_on(Graph(idx), live, banned) if idx else []
    if names:
        with store.intend("purge") as intent, store.writer(intent) as writer:
            for name in names:
                raw = store.read(name)
                encoded = encode(raw, None, (), zstd_level=store.settings.zstd_level)
                writer.add(name, encoded, raw_size=len(raw), bases=(), depth=0, again=True)
        store.reload()
    return names


def lift_remote(
    remote: Remote, live: Collection[bytes], banned: Collection[bytes], *, who: Signature, progress: Progress = SILENT
) -> list[bytes]:
    """The same in a remote, as an entry of its log that lists a pack more. Raises what reading and writing raise."""
    repo = remote.repo
    before = remote.state()
    index, _ = RemoteIndex.of(remote, before, progress)
    graph = graph_of(index, before, repo.tmp_dir)
    names = resting_on(graph, live, banned) if graph is not None else []
    if not names:
        return []
    source = RemoteChunks(remote, index, open_chunks(replace(repo, missing_chunks=None)))
    out = PacksOut(remote, progress)
    with Lease(remote.backend, str(who)) as lease:
        try:
            for name in names:
                raw = source.read(name)
                encoded = encode(raw, None, (), zstd_level=repo.settings.store.zstd_level)
                lead, stored = make_lead(name, len(raw), encoded.codec, 0, (), encoded.params, encoded.payload)
                place = Location(b"", 0, len(raw), stored, encoded.codec, 0, len(encoded.params), ())
                out.append(name, place, memoryview(b"".join((lead, *encoded.payload))))
            out.flush()
        finally:
            out.discard()
        path = write_table(idxbuild.merge(out.tables()), idx_folder(remote.memory), repo.tmp_dir, unique=False)
        remote.backend.put(keys.chunk_idx(path.stem), path)
        size = path.stat().st_size
        packs = [ChunkPack(pack_id, length, path.stem, size) for pack_id, length in out.sizes.items()]
        for _ in range(_TRIES):
            state = remote.state()
            if not lease.holds:
                raise IntegrityError("this process slept for too long", hint="repeat the purge")
            if remote.log.append(with_packs(state, packs, before), by=str(who)):
                return names
    raise Refused(f"{remote.backend.url}: others came first {_TRIES} times", hint="repeat the purge")
