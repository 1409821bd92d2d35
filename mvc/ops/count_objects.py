"""`mvc count-objects`: how much is stored, and what was saved on the way."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import ParseError
from mvc.lazy import load
from mvc.objects.manifest import MAGIC_PREFIX, identity
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.store.report import StoreStatistics

_CODEC_NAME = "mvc.ops.show_model:codec_name"


@dataclass(frozen=True, slots=True)
class Objects:
    """The Git side: numbers, and bytes on disk."""

    loose: int
    loose_bytes: int
    packed: int
    packs: int
    pack_bytes: int


@dataclass(frozen=True, slots=True)
class CodecLine:
    """The chunks of one codec."""

    codec: str
    chunks: int
    raw: int
    stored: int


@dataclass(frozen=True, slots=True)
class Savings:
    """What became of the files' bytes, step by step."""

    files: int
    """Different versions of files."""
    raw: int
    """Bytes of all of them."""
    deduplicated: int
    """Bytes of the different chunks, and of files so small that they are plain blobs."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Everything in a repository. `savings` costs reading every small blob and manifest."""

    objects: Objects
    chunks: StoreStatistics
    codecs: tuple[CodecLine, ...]
    depths: tuple[tuple[int, int], ...]
    """(length of the chain of bases, chunks with it)."""
    on_disk: int
    """Bytes of all files in `.mvc`."""
    savings: Savings | None = None
    received: int = 0
    """Bytes of packs that came from remotes and were not decoded yet: none of their chunks counts above."""

    @property
    def stored(self) -> int:
        """Bytes of objects and chunks, with their indexes."""
        git = self.objects.loose_bytes + self.objects.pack_bytes
        return git + self.chunks.pack_bytes + self.chunks.idx_bytes

    @property
    def coded(self) -> int:
        """Bytes after the codecs: chunks as they are coded, and the Git side."""
        return self.chunks.stored_bytes + self.objects.loose_bytes + self.objects.pack_bytes


def count_objects(repo: Repository, *, savings: bool = False) -> Counted:
    """Count what is stored. With `savings` also what it was before."""
    chunks = open_chunks(repo)
    statistics = chunks.statistics()
    name = load(_CODEC_NAME)
    lines = [
        CodecLine(name(codec), figures.chunks, figures.raw_bytes, figures.stored_bytes)
        for codec, figures in sorted(statistics.by_codec.items())
    ]
    return Counted(
        objects=_objects(repo),
        chunks=statistics,
        codecs=tuple(lines),
        depths=tuple((depth, figures.chunks) for depth, figures in sorted(statistics.by_depth.items())),
        on_disk=_size_of(repo.common_dir),
        savings=_savings(repo, statistics) if savings else None,
        received=chunks.received.size if chunks.received is not None else 0,
    )


def _objects(repo: Repository) -> Objects:
    top = repo.common_dir / "objects"
    loose = [path for folder in top.glob("[0-9a-f][0-9a-f]") for path in folder.iterdir() if len(path.name) == 38]
    packs = list(top.glob("pack/*.pack"))
    beside = [path for suffix in ("pack", "idx", "rev", "keep") for path in top.glob(f"pack/*.{suffix}")]
    total = sum(1 for _ in repo.objects.ids())
    return Objects(
        loose=len(loose),
        loose_bytes=sum(path.stat().st_size for path in loose),
        packed=max(total - len(loose), 0),
        packs=len(packs),
        pack_bytes=sum(path.stat().st_size for path in beside),
    )


def _savings(repo: Repository, statistics: StoreStatistics) -> Savings:
    files = raw = small = 0
    for object_id in repo.objects.ids():
        kind, data = repo.objects.raw(object_id)
        if kind != "blob":
            continue
        files += 1
        if data.startswith(MAGIC_PREFIX):
            try:
                raw += identity(data)[0]
                continue
            except ParseError:
                pass  # a manifest that lies: fsck tells of it
        raw += len(data)
        small += len(data)
    return Savings(files, raw, statistics.raw_bytes + small)


def _size_of(folder: Path) -> int:
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            # Another process may just have removed it.
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(inner, name)).st_size
    return total
