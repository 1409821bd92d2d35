"""The beginning of a chunked file, for readers who must not wait for a network."""

from __future__ import annotations

from dataclasses import replace

from mvc.errors import MvcError
from mvc.lazy import load
from mvc.objects.manifest import parse
from mvc.repo.repository import Repository

CHUNKS = {"open": "mvc.repo.chunks:open_chunks", "of": "mvc.repo.tensors:file_chunks"}
"""Loaded for a file that is chunked alone."""


def first_bytes(repo: Repository, manifest: bytes, most: int) -> bytes | None:
    """Of the file of this manifest more than `most` bytes, or all that it has. None where they are not here: they are
    not fetched for this."""
    try:
        chunks = load(CHUNKS["open"])(replace(repo, missing_chunks=None, streamed=None))
        parts: list[bytes] = []
        total = 0
        for _, ref, _ in load(CHUNKS["of"])(chunks, parse(manifest)):
            if total > most:
                break
            parts.append(bytes(chunks.read(ref.name)))
            total += ref.size
    except MvcError:
        return None
    return b"".join(parts)
