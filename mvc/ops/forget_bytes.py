"""What dropping checkpoints frees: bytes of chunks that nothing else needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mvc.errors import MissingObject
from mvc.objects import trees
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.reachable import walk_objects
from mvc.ops.forget import Judged
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.repo.readable import Readable
from mvc.repo.repository import Repository
from mvc.repo.roots import roots
from mvc.store.chunkstore import ChunkStore
from mvc.sync.promised import Promises
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote
from mvc.sync.state import State


def weigh(repo: Repository, judged: Sequence[Judged]) -> list[Judged]:
    """With the sizes of all, and what gc can free here once those without a reason are dropped.

    A chunk counts for the first that has it. What a chunk that stays is a difference from stays, too.
    """
    repo = replace(repo, missing_chunks=None)
    chunks, promises = open_chunks(repo), Promises(repo)
    own: dict[str, set[bytes]] = {}
    sizes: dict[str, int] = {}
    for one in judged:
        sizes[one.commit], manifests = _files(repo, one.commit)
        if not one.reasons:
            names = (name for manifest in manifests for name in chunk_names(chunks, manifest, promises.holds))
            own[one.commit] = {name for name in names if chunks.find_own(name) is not None}
    needed = _needed(repo, chunks, promises, own) if own else set()
    weighed = []
    for one in judged:
        mine = own.get(one.commit, set()) - needed
        needed |= mine
        weighed.append(replace(one, size=sizes[one.commit], frees=sum(_stored(chunks, name) for name in mine)))
    return weighed


def weigh_there(remote: Remote, state: State, there: Readable, judged: Sequence[Judged]) -> list[Judged]:
    """The same for a remote, at most: what other refs there need is not looked at."""
    index, _ = RemoteIndex.of(remote, state)
    files = {one.commit: _files(there, one.commit) for one in judged}
    stays = {name for one in judged if one.reasons for name in _direct(files[one.commit][1])}
    pending = list(stays)
    index.prepare(stays)
    while pending:
        for place in index.copies(pending.pop())[:1]:
            pending += [base for base in place.bases if base not in stays]
            stays.update(place.bases)
    weighed = []
    for one in judged:
        mine = set() if one.reasons else set(_direct(files[one.commit][1])) - stays
        stays |= mine
        index.prepare(mine)
        places = (index.copies(name) for name in mine)
        frees = sum(copies[0].stored_size for copies in places if copies)
        weighed.append(replace(one, size=files[one.commit][0], frees=frees))
    return weighed


def _files(readable: Readable, commit: str) -> tuple[int, list[Manifest]]:
    """Bytes of a commit's files, and the manifests of those that are chunked."""
    size, manifests = 0, []
    for item in trees.flatten(readable.objects, readable.objects.commit(commit).tree).values():
        if is_file(item.mode):
            blob = readable.objects.blob(item.id)
            if is_manifest(blob):
                manifests.append(parse(blob))
                size += manifests[-1].size
            else:
                size += len(blob)
    return size, manifests


def _direct(manifests: Iterable[Manifest]) -> Iterable[bytes]:
    """The chunks that manifests name themselves; of long lists the list alone."""
    for manifest in manifests:
        for segment in manifest.segments:
            yield from (ref.name for ref in segment.chunks)
            yield from (row.name for row in segment.lists)


def _needed(repo: Repository, chunks: ChunkStore, promises: Promises, going: dict[str, set[bytes]]) -> set[bytes]:
    """Of the chunks of commits that go, those that something else needs, itself or as the base of a difference."""
    candidates = set().union(*going.values())
    tips = roots(repo)
    reached = walk_objects(repo.objects, tips.objects - going.keys())
    live: set[bytes] = set()
    for file in chunked_files(repo.objects, reached):
        live.update(chunk_names(chunks, file.manifest, promises.holds))
    pending = [name for name, _ in chunks.records() if name in live]
    while pending:
        place = chunks.find_own(pending.pop())
        for base in place.bases if place is not None else ():
            if base not in live:
                live.add(base)
                pending.append(base)
    return candidates & live


def _stored(chunks: ChunkStore, name: bytes) -> int:
    place = chunks.find_own(name)
    if place is None:
        raise MissingObject(f"chunk {name.hex()} went away")
    return place.stored_size
