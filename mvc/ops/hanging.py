"""What hangs on one remote alone: chunks that are not here, and that no other remote was seen to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from mvc.errors import MvcError
from mvc.objects import trees
from mvc.objects.manifest import Manifest, ManifestSegment, is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.upstream import HEADS
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import chunk_refs
from mvc.store.chunkstore import ChunkStore
from mvc.sync.promised import Promises


@dataclass(frozen=True, slots=True)
class Hanging:
    """`size`: bytes of files. `names`: the local branches that need them, "HEAD" where it is on none."""

    chunks: int
    size: int
    names: tuple[str, ...]


def hanging(repo: Repository, remote: str) -> Hanging | None:
    """What the newest commits of the local branches, and HEAD's, would lose with this remote; None: nothing.

    Asks nobody. What is behind the newest commits is not looked at, and what cannot be read is left out.
    """
    with suppress(MvcError):  # a memory or a store that is damaged keeps no remote from being removed
        promises = Promises(repo)
        return _hanging(repo, promises, remote) if promises.knows(remote) else None
    return None


def _hanging(repo: Repository, promises: Promises, remote: str) -> Hanging | None:
    chunks = open_chunks(replace(repo, missing_chunks=None))
    lost: dict[bytes, int] = {}
    names: list[str] = []
    looked: dict[str, bool] = {}
    for name, tip in _tips(repo):
        needs = False
        with suppress(MvcError):
            for blob in _files(repo, tip):
                if blob not in looked:
                    found = dict(_lost(repo, chunks, blob, lambda chunk: promises.only(remote, chunk)))
                    looked[blob] = bool(found)
                    lost |= found
                needs = needs or looked[blob]
        if needs:
            names.append(name)
    return Hanging(len(lost), sum(lost.values()), tuple(names)) if lost else None


def _tips(repo: Repository) -> Iterator[tuple[str, str]]:
    for ref, tip in repo.refs.list(HEADS).items():
        yield ref.removeprefix(HEADS), tip
    head = repo.refs.head()
    if head.branch is None and head.id is not None:
        yield "HEAD", head.id


def _files(repo: Repository, commit: str) -> Iterator[str]:
    items = trees.flatten(repo.objects, repo.objects.commit(commit).tree)
    yield from (item.id for item in items.values() if is_file(item.mode))


def _lost(
    repo: Repository, chunks: ChunkStore, blob: str, hangs: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, int]]:
    """(chunk, bytes of the file that it holds) of a file; a list that is not here itself counts as one chunk."""
    data = repo.objects.blob(blob)
    manifest: Manifest | None = parse(data) if is_manifest(data) else None
    for segment in manifest.segments if manifest is not None else ():
        away = [row for row in segment.lists if not chunks.has(row.name)]
        yield from ((row.name, row.length) for row in away if hangs(row.name))
        if not away:
            yield from _lost_chunks(chunks, segment, hangs)


def _lost_chunks(
    chunks: ChunkStore, segment: ManifestSegment, hangs: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, int]]:
    for ref in chunk_refs(chunks, segment):
        if not chunks.has(ref.name) and hangs(ref.name):
            yield ref.name, ref.size
