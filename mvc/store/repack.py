"""Storing chunks anew, coded better (`gc --repack`)."""

from __future__ import annotations

from mvc.progress import Progress
from mvc.store.graph import Graph
from mvc.store.idxset import IdxSet
from mvc.store.reading import ChunkReader
from mvc.store.records import HEAD_SIZE, NAME_SIZE
from mvc.store.report import Reencoder, RepackResult
from mvc.store.writer import PackWriter


def repack(
    idx: IdxSet, reader: ChunkReader, writer: PackWriter, reencode: Reencoder, progress: Progress
) -> RepackResult:
    """Offer each chunk to `reencode`, in the order of packs, and keep what comes out smaller.

    The old records stay until the next sweep: so a new one may take any stored chunk as its base, and
    nothing is lost if this is killed. What the sweep keeps of each chunk is its smallest record that
    can be kept without closing a circle.
    """
    graph = Graph(idx.all)
    rewritten = saved = 0
    progress.begin("repacking", graph.groups, "chunks")
    try:
        for row in graph.in_pack_order(graph.smallest_rows()):
            name, place = graph.name(row), graph.location(row)
            raw = reader.read(name)
            found = reencode(name, place, raw)
            progress.advance(1)
            if found is None:
                continue
            encoded, bases, depth = found
            size = HEAD_SIZE + NAME_SIZE * len(bases) + encoded.size
            if size < place.record_size and writer.add(
                name, encoded, raw_size=len(raw), bases=bases, depth=depth, again=True
            ):
                rewritten += 1
                saved += place.record_size - size
    finally:
        progress.end()
    return RepackResult(graph.groups, rewritten, saved)
