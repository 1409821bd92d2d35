"""Writing a bundle: what a push to an empty remote would put, into one file."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mvc import fsio
from mvc.backends.bundlefile import BundleWriter
from mvc.errors import MissingObject
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import Signature, is_file
from mvc.objects.packwriter import PackWriter
from mvc.objects.reachable import walk_objects
from mvc.objects.transfer import new_objects
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.repo.repository import Repository
from mvc.repo.settling import settle
from mvc.repo.tensors import chunk_refs
from mvc.settings import MAX_DEPTH
from mvc.store.chunkstore import ChunkStore
from mvc.sync import keys
from mvc.sync.outgoing import Outgoing
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotelog import RemoteLog
from mvc.sync.remotes import Remote, RemoteConfig
from mvc.sync.sealedgit import SealedGit, outgoing_folder
from mvc.sync.state import NOTHING, ChunkPack, Entry, GitPack, State, dump

SMALLEST_PART = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bundled:
    """What a bundle holds."""

    refs: Mapping[str, str]
    needs: tuple[str, ...]
    objects: int
    chunks: int
    bytes: int
    """Of all parts."""
    parts: int
    bytes_of_model: int
    """Sizes of the file versions whose chunks are in it."""


class _Held(RemoteIndex):
    """What whoever takes a bundle has already: the chunks of the commits that it counts on, as deep as here."""

    def __init__(self, depths: Mapping[bytes, int]) -> None:
        super().__init__(State(), [])
        self._depths = depths

    def depth(self, name: bytes) -> int | None:
        return self._depths.get(name)


def create(
    repo: Repository,
    path: Path,
    refs: Mapping[str, str],
    *,
    since: Sequence[str] = (),
    split: int = 0,
    who: Signature,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> Bundled:
    """Write `refs` (full names -> ids) with all that they reach, but for what the commits `since` reach.

    Raises MissingObject for a chunk that is neither here nor with a remote.
    """
    chunks = open_chunks(repo)
    url = f"bundle:{os.urandom(16).hex()}"
    with contextlib.ExitStack() as stack:
        writer = BundleWriter(path, split=split)
        stack.callback(writer.close)
        remote = Remote(repo, RemoteConfig("", url, url), writer)
        remote.memory = repo.tmp_dir / f"bundle-{os.urandom(8).hex()}"
        fsio.make_dirs(remote.memory)
        stack.callback(shutil.rmtree, remote.memory, ignore_errors=True)
        git = PackWriter(outgoing_folder(remote), repo.tmp_dir)
        stack.callback(git.discard)
        cargo = _collect(repo, chunks, list(refs.values()), since, git, progress)
        writer.needs = sorted(since)
        writer.put(keys.FORMAT, RemoteLog(writer, None, repo.settings.store.naming).format_text())
        packs: list[ChunkPack] = []
        if cargo.names:
            outgoing = Outgoing(remote, State(), _Held(cargo.held), chunks, jobs, progress)
            progress.begin("writing", cargo.stored)
            try:
                outgoing.send(cargo.names, cargo.dtypes, cargo.stored)
                packs = outgoing.list_packs()
            finally:
                progress.end()
        git_packs: tuple[GitPack, ...] = ()
        if len(git):
            sealed = stack.enter_context(SealedGit(remote, git))
            sealed.put()
            git_packs = (sealed.pack,)
        head = repo.refs.head().branch or ""
        if head not in refs:
            head = next((ref for ref in sorted(refs) if ref.startswith("refs/heads/")), "")
        state = State(1, 0, dict(refs), head, git_packs, tuple(sorted(packs)))
        entry = Entry(state, NOTHING, os.urandom(16).hex(), int(time.time()), str(who))
        writer.put(keys.entry(1), dump(entry))
        writer.put(keys.LATEST, b"1\n")
        parts, total = writer.finish()
    return Bundled(dict(refs), tuple(sorted(since)), len(git), len(cargo.names), total, parts, cargo.raw)


@dataclass(slots=True)
class _Cargo:
    names: list[bytes]
    dtypes: dict[bytes, str]
    held: dict[bytes, int]
    stored: int = 0
    raw: int = 0


def _collect(
    repo: Repository, chunks: ChunkStore, tips: list[str], since: Sequence[str], git: PackWriter, progress: Progress
) -> _Cargo:
    objects = repo.objects
    settle(chunks, progress)
    held = _held(repo, chunks, since) if since else {}
    levels: list[dict[bytes, None]] = [{} for _ in range(MAX_DEPTH + 1)]
    cargo = _Cargo([], {}, held)
    progress.begin("objects", None, "objects")
    try:
        for one in new_objects(objects, tips, since):
            kind, data = objects.raw(one.id)
            git.add(bytes.fromhex(one.id), kind, data)
            progress.advance(1)
            if not (kind == "blob" and is_file(one.mode) and is_manifest(data)):
                continue
            manifest = parse(data)
            fresh = 0
            for segment in manifest.segments:
                names = [ref.name for ref in segment.lists]
                names += [ref.name for ref in chunk_refs(chunks, segment)]
                chunks.ensure(name for name in names if name not in held)
                for name in names:
                    if name in held or any(name in level for level in levels):
                        continue
                    place = chunks.find(name)
                    if place is None:
                        where = f"chunk {name.hex()} of '{one.path}' in {one.commit[:10]}"
                        raise MissingObject(f"{where} is not here", hint="mvc fsck tells what is lacking")
                    levels[place.depth][name] = None
                    fresh += place.record_size
                    if place.depth and segment.tensor is not None:
                        cargo.dtypes[name] = segment.tensor.dtype
            cargo.stored += fresh
            cargo.raw += manifest.size if fresh else 0
    finally:
        progress.end()
    cargo.names = [name for level in levels for name in level]
    return cargo


def _held(repo: Repository, chunks: ChunkStore, since: Sequence[str]) -> dict[bytes, int]:
    """The chunks that the whole history of these commits names, and how deep they lie here."""
    quiet = open_chunks(replace(repo, missing_chunks=None))
    found: dict[bytes, int] = {}
    for file in chunked_files(repo.objects, walk_objects(repo.objects, since)):
        # What a list that is not here names counts as not held: it goes into the bundle.
        for name in chunk_names(quiet, file.manifest, lambda _name: True):
            place = chunks.find(name)
            found[name] = place.depth if place is not None else MAX_DEPTH + 1
    return found
