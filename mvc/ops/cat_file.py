"""`mvc cat-file`: objects as they are stored, files and tensors as they were."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.errors import NotFound, UsageError
from mvc.formats.base import Tensor
from mvc.lazy import load
from mvc.objects.model import Kind, is_tree
from mvc.ops.named import object_named
from mvc.ops.npy import npy_header
from mvc.repo.repository import Repository

FILES = {
    "open": "mvc.ops.model_file:open_file",
    "segment": "mvc.ops.model_file:segment_of",
    "pieces": "mvc.ops.model_file:read_pieces",
    "whole": "mvc.ops.model_file:read_whole",
    "chunks": "mvc.repo.chunks:open_chunks",
}
"""Loaded for `--tensor` and `--content` alone, since they open the chunk store."""

Buffer = bytes | bytearray | memoryview
_KINDS: tuple[Kind, ...] = ("commit", "tree", "blob", "tag")


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """An object's id, kind and size in bytes (of a manifest: the manifest's)."""

    id: str
    kind: Kind
    size: int


@dataclass(frozen=True, slots=True)
class TensorFile:
    """A tensor as the pieces of an `.npy` file. `bits`: numpy lacks the dtype, the values' bits stand for them."""

    tensor: Tensor
    bits: bool
    pieces: Iterator[Buffer]


def object_head(repo: Repository, spec: str) -> ObjectHead:
    """What an object is. Raises NotFound."""
    object_id = object_named(repo, spec)
    return ObjectHead(object_id, repo.objects.kind(object_id), repo.objects.size(object_id))


def object_exists(repo: Repository, spec: str) -> bool:
    """Whether `spec` names an object that is here."""
    try:
        return repo.objects.contains(object_named(repo, spec))
    except NotFound:
        return False


def pretty(repo: Repository, spec: str) -> bytes:
    """An object's content: a tree as text, a line an entry; all else as it stands (a chunked file: its manifest)."""
    object_id = object_named(repo, spec)
    kind, data = repo.objects.raw(object_id)
    if kind != "tree":
        return data
    lines = []
    for entry in repo.objects.tree(object_id):
        what = "tree" if is_tree(entry.mode) else "blob"
        lines.append(f"{entry.mode:06o} {what} {entry.id}\t{entry.name}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def raw_object(repo: Repository, kind: str, spec: str) -> bytes:
    """The bytes of an object, tags peeled off until it is a `kind`. Raises UsageError, NotFound."""
    if kind not in _KINDS:
        raise UsageError(f"'{kind}' is no kind of object", hint="one of: " + ", ".join(_KINDS))
    peeled = spec if kind == "tag" or ":" in spec else f"{spec}^{{{kind}}}" if kind != "blob" else spec
    object_id = object_named(repo, peeled)
    found, data = repo.objects.raw(object_id)
    if found != kind:
        raise NotFound(f"{spec} is a {found}, not a {kind}")
    return data


def tensor_file(repo: Repository, spec: str, name: str) -> TensorFile:
    """A tensor of the file `REV:PATH` as an `.npy` file. Its chunks alone are read, as the pieces are taken."""
    file = load(FILES["open"])(repo, spec)
    offset, segment = load(FILES["segment"])(file, name)
    header = npy_header(segment.tensor, segment.length)
    chunks = None if file.blob is not None else load(FILES["chunks"])(repo)

    def pieces() -> Iterator[Buffer]:
        yield header.data
        yield from load(FILES["pieces"])(file, offset, segment, chunks)

    return TensorFile(segment.tensor, header.bits, pieces())


def file_content(repo: Repository, spec: str) -> Iterator[Buffer]:
    """The bytes of the file `REV:PATH`, whole, as they were committed; verified as they are read."""
    file = load(FILES["open"])(repo, spec)
    chunks = None if file.blob is not None else load(FILES["chunks"])(repo)
    pieces: Iterator[Buffer] = load(FILES["whole"])(file, chunks)
    return pieces


def write_pieces(target: Path, pieces: Iterable[Buffer]) -> int:
    """Write a file outside of the repository; it gets its name when it is whole. Returns its bytes."""
    if not target.parent.is_dir():
        raise NotFound(f"no such folder: {os.fspath(target.parent)}")
    if target.is_dir():
        raise UsageError(f"{os.fspath(target)} is a folder", hint="name a file")
    with fsio.DurableFile(target.parent) as out:
        for piece in pieces:
            out.write(piece)
        out.commit(target, sync=False)
        return out.size
