"""A file of a revision with its tensors, whether it is chunked or so small that it is a plain blob."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.errors import IntegrityError, NotFound, ParseError, UsageError
from mvc.formats.registry import detect
from mvc.hashing import FileHasher, digest
from mvc.objects import trees
from mvc.objects.manifest import Manifest, ManifestSegment, is_manifest, parse
from mvc.objects.model import FILE, TreeItem, is_file, is_tree
from mvc.objects.reader import ObjectReader
from mvc.objects.revparse import resolve, resolve_tree, split_path
from mvc.ops.named import staged_file
from mvc.repo.bringing import ensure_files
from mvc.repo.repository import Repository
from mvc.repo.tensors import ChunkSource, chunk_refs, file_chunks, read_chunk

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file as it stands in a revision. `blob` is its content, or None if it is chunked.

    `manifest` describes it either way; that of a plain blob is made from its content, and its
    segments have no chunks.
    """

    path: str
    item: TreeItem
    manifest: Manifest
    blob: bytes | None

    def is_model(self) -> bool:
        """Whether it is of a format whose tensors are known."""
        return bool(self.manifest.format) and any(segment.tensor for segment in self.manifest.segments)


def open_file(repo: Repository, spec: str) -> ModelFile:
    """The file that `REV:PATH` (or a blob's id) names. Raises NotFound, UsageError for what is no file."""
    path, item = locate(repo, spec)
    if not is_file(item.mode):
        raise UsageError(f"{spec} is a {'folder' if is_tree(item.mode) else 'symbolic link'}, not a file")
    return read_file(repo, path, item)


def read_file(repo: Repository, path: str, item: TreeItem) -> ModelFile:
    """The same, for a file that is known by path and item."""
    return describe_file(repo.objects, path, item)


def describe_file(objects: ObjectReader, path: str, item: TreeItem) -> ModelFile:
    """The same, of any objects. Raises MissingObject, IntegrityError."""
    blob = objects.blob(item.id)
    if not is_manifest(blob):
        return ModelFile(path, item, _described(blob, path), blob)
    try:
        return ModelFile(path, item, parse(blob), None)
    except ParseError as error:
        raise IntegrityError(f"the manifest of {path} ({item.id}): {error.message}", hint="mvc fsck") from error


def locate(repo: Repository, spec: str) -> tuple[str, TreeItem]:
    """(path, item) of what `REV:PATH` or `:PATH` names; a blob's or tree's id alone has no path. Raises NotFound."""
    staged = staged_file(repo, spec)
    if staged is not None:
        return staged
    revision, path = split_path(spec)
    if path is None:
        object_id = resolve(repo.objects, repo.refs, spec)
        kind = repo.objects.kind(object_id)
        if kind not in ("blob", "tree"):
            raise UsageError(f"{spec} is a {kind}, not a file", hint=f"mvc show {spec}, or name a file: {spec}:PATH")
        return "", TreeItem(FILE if kind == "blob" else 0o40000, object_id)
    item = trees.entry_at(repo.objects, resolve_tree(repo.objects, repo.refs, revision), path.strip("/"))
    if item is None:
        raise NotFound(f"there is no '{path}' in {revision}")
    return path.strip("/"), item


def segment_of(file: ModelFile, name: str) -> tuple[int, ManifestSegment]:
    """(offset in the file, segment) of the tensor `name`; raises NotFound with names that are near as hint."""
    offset = 0
    for segment in file.manifest.segments:
        if segment.tensor is not None and segment.tensor.name == name:
            return offset, segment
        offset += segment.length
    names = [segment.tensor.name for segment in file.manifest.segments if segment.tensor is not None]
    if not names:
        raise NotFound(f"{file.path or 'the file'} has no tensors that mvc knows of")
    near = sorted(names, key=lambda known: _distance(known, name))[:3]
    raise NotFound(f"there is no tensor '{name}' in {file.path}", hint=f"did you mean {' or '.join(near)}?")


def read_pieces(file: ModelFile, offset: int, segment: ManifestSegment, chunks: ChunkSource | None) -> Iterator[Buffer]:
    """The bytes of a segment in order, a chunk at a time. `chunks` may be None for a plain blob."""
    if file.blob is not None:
        yield file.blob[offset : offset + segment.length]
        return
    assert chunks is not None
    refs = chunk_refs(chunks, segment)
    chunks.ensure(ref.name for ref in refs)
    for ref in refs:
        yield read_chunk(chunks, ref, segment, file.path)


def read_whole(file: ModelFile, chunks: ChunkSource | None) -> Iterator[Buffer]:
    """All bytes of the file, a chunk at a time; at the end they are held against the file's own hash."""
    if file.blob is not None:
        yield file.blob
        return
    assert chunks is not None
    ensure_files(chunks, [file.manifest])
    hasher = FileHasher()
    for _, ref, segment in file_chunks(chunks, file.manifest):
        piece = read_chunk(chunks, ref, segment, file.path)
        hasher.update(piece)
        yield piece
    if hasher.digest() != file.manifest.blake3:
        raise IntegrityError(f"{file.path}: its chunks do not make the file that was committed", hint="mvc fsck")


def _described(blob: bytes, path: str) -> Manifest:
    def read_at(offset: int, length: int, /) -> bytes:
        return blob[offset : offset + length]

    try:
        layout = detect(read_at, len(blob), path) if path else None
    except ParseError:
        layout = None
    if layout is None:
        return Manifest(len(blob), digest(blob), "", "", (ManifestSegment("opaque", len(blob)),) if blob else ())
    segments = tuple(ManifestSegment(one.kind, one.length, one.tensor) for one in layout.segments)
    return Manifest(len(blob), digest(blob), layout.format, "", segments)


def _distance(known: str, wanted: str) -> tuple[int, int]:
    """Smaller for names that share more: the dotted parts in common, then the length."""
    ours, theirs = known.split("."), wanted.split(".")
    return -len(set(ours) & set(theirs)), abs(len(known) - len(wanted))
