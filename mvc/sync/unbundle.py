"""Taking all chunks of a bundle: as a remote's, but for deltas on what lies too deep here, which are stored anew."""

from __future__ import annotations

from mvc.codecs.decode import decode
from mvc.codecs.encode import encode
from mvc.errors import IntegrityError, MissingObject
from mvc.hashing import chunk_namer
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.store.chunkstore import ChunkStore
from mvc.store.graph import Row
from mvc.store.records import Location, parse_record
from mvc.sync.chunks import Brought, bring
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotepacks import read_records
from mvc.sync.remotes import Remote


def take_chunks(remote: Remote, *, jobs: int = 0, progress: Progress = SILENT) -> Brought:
    """Bring every chunk that a bundle holds and that is not here. May be repeated: what came is not read again.

    Raises MissingObject where a delta rests on a chunk that is neither in the bundle nor here nor with a remote.
    """
    repo = remote.repo
    state = remote.state()
    index, _ = RemoteIndex.of(remote, state, progress)
    chunks = open_chunks(repo)
    plain, strays = _sorted_out(index, chunks)
    done = bring(remote, plain, jobs=jobs, progress=progress)
    if not strays:
        return done
    store = open_chunks(repo, repo.settings.store._replace(verify_writes=True))
    rows = [Row(-1, name, place) for name, place in strays]
    namer = chunk_namer(repo.settings.store.naming)
    with store.intend("unbundle") as intent, store.writer(intent) as writer:
        for row, record in read_records(remote, rows, jobs):
            header, payload = parse_record(record, row.name, row.place)
            chunks.ensure(header.bases)
            try:
                bases = [writer.read(base) for base in header.bases]
            except MissingObject as error:
                raise MissingObject(
                    f"the bundle counts on a chunk that is not here: {error.message}",
                    hint="bring what its --since commits hold, or make the bundle anew without --since",
                ) from error
            raw = decode(header.codec, header.params, payload, header.raw_size, bases, None)
            if namer(raw) != row.name:
                raise IntegrityError(f"chunk {row.name.hex()} of the bundle does not decode to its name")
            if writer.begin(row.name):
                encoded = encode(raw, None, (), zstd_level=repo.settings.store.zstd_level)
                writer.add(row.name, encoded, raw_size=len(raw), bases=(), depth=0)
    return done.plus(Brought(len(strays), sum(place.record_size for _, place in strays)))


def _sorted_out(index: RemoteIndex, chunks: ChunkStore) -> tuple[list[bytes], list[tuple[bytes, Location]]]:
    """What is lacking here and can be taken as it is; and what cannot, the least deep first."""
    lacking: dict[bytes, Location] = {}
    for idx in index.all:
        for name in idx.names():
            if name not in chunks and (place := next(iter(index.copies(name)), None)) is not None:
                lacking[name] = place
    plain: dict[bytes, int] = {}
    strays: list[tuple[bytes, Location]] = []
    for name, place in sorted(lacking.items(), key=lambda one: (one[1].depth, one[1].pack, one[1].offset)):
        if all(plain.get(base, _depth(chunks, base)) < place.depth for base in place.bases):
            plain[name] = place.depth
        else:
            strays.append((name, place))
    return list(plain), strays


def _depth(chunks: ChunkStore, name: bytes) -> int:
    place = chunks.find(name)
    return 255 if place is None else place.depth
