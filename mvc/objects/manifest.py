"""Manifests: the text that stands in a Git blob for a file that is chunked. docs/format/manifest.md specifies it.

A manifest has exactly one text and a text at most one manifest: `parse` accepts only what `dump`
writes, so equal files that were cut by equal rules are equal blobs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mvc.errors import ParseError, UnsupportedFormat, UsageError
from mvc.formats.base import SegmentKind, Tensor

VERSION = 1

MAGIC_PREFIX = b"mvc-manifest "
"""A blob that begins so is always a manifest, of whatever version; a user's file that does is always chunked."""

MAGIC = b"mvc-manifest 1\n"
"""The first line of this version."""

MAX_INLINE = 64
"""A segment of more chunks than this refers to chunk lists."""

LIST_ENTRIES = 16384
"""A chunk list holds at most so many chunks; all lists of a segment but the last hold exactly so many."""

MAX_CHUNK = 2**32 - 1
MAX_FILE = 2**63 - 1
MAX_DIMENSIONS = 64

_NUMBER = r"(0|[1-9][0-9]{0,18})"
_HEX = r"([0-9a-f]{64})"
_JSON_STRING = r'("(?:[^"\\\x00-\x1f]|\\.)*")'
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}\Z")
_CHUNK = re.compile(rf"chunk {_HEX} {_NUMBER}\Z")
_LIST = re.compile(rf"list {_HEX} {_NUMBER} {_NUMBER} {_NUMBER}\Z")
_PLAIN = re.compile(rf"(header|opaque) {_NUMBER}\Z")
_TENSOR = re.compile(
    rf"tensor {_NUMBER} {_JSON_STRING} {_JSON_STRING} \[((?:[0-9]+(?:,[0-9]+)*)?)\](?: nan={_NUMBER} inf={_NUMBER})?\Z"
)
_IDENTITY = re.compile(rb"mvc-manifest 1\nsize (0|[1-9][0-9]{0,18})\nblake3 ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk: its name (32 bytes) and its raw size in bytes."""

    name: bytes
    size: int


@dataclass(frozen=True, slots=True)
class ListRef:
    """A chunk list, itself a chunk: its name, its own raw size, how many chunks it names and the bytes they make."""

    name: bytes
    size: int
    count: int
    length: int


@dataclass(frozen=True, slots=True)
class ManifestSegment:
    """A run of the file: `chunks` in order, or (for more than MAX_INLINE) `lists` that name them.

    `nan` and `inf`: how many values are NaN or infinite, None where they were not counted.
    """

    kind: SegmentKind
    length: int
    tensor: Tensor | None = None
    chunks: tuple[ChunkRef, ...] = ()
    lists: tuple[ListRef, ...] = ()
    nan: int | None = None
    inf: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A chunked file: its size in bytes, the plain BLAKE3 of all of it (32 bytes), format, cut rules, segments."""

    size: int
    blake3: bytes
    format: str
    rules: str
    segments: tuple[ManifestSegment, ...]


def is_manifest(blob: bytes) -> bool:
    """Whether a blob's content is a manifest (a symbolic link's never is: ask by mode first)."""
    return blob.startswith(MAGIC_PREFIX)


def identity(blob: bytes) -> tuple[int, bytes]:
    """(size, blake3) alone, from the first lines: what `status`, `diff` and `merge` compare."""
    match = _IDENTITY.match(blob)
    if match is None:
        _check_version(blob)
        raise ParseError("the manifest does not begin with its size and hash")
    return int(match[1]), bytes.fromhex(match[2].decode())


def dump(manifest: Manifest) -> bytes:
    """The text form. Raises UsageError for values that the format cannot hold."""
    for token in (manifest.format, manifest.rules):
        if _TOKEN.match(token) is None:
            raise UsageError(f"{token!r} cannot stand in a manifest as format or rules")
    lines = [
        f"mvc-manifest {VERSION}",
        f"size {manifest.size}",
        f"blake3 {manifest.blake3.hex()}",
        f"format {manifest.format}",
        f"rules {manifest.rules}",
    ]
    for segment in manifest.segments:
        lines.append(_segment_line(segment))
        lines += [f"chunk {chunk.name.hex()} {chunk.size}" for chunk in segment.chunks]
        lines += [f"list {ref.name.hex()} {ref.size} {ref.count} {ref.length}" for ref in segment.lists]
    lines.append("")
    return "\n".join(lines).encode("ascii")


def _segment_line(segment: ManifestSegment) -> str:
    if segment.tensor is None:
        return f"{segment.kind} {segment.length}"
    tensor = segment.tensor
    shape = ",".join(map(str, tensor.shape))
    counted = "" if segment.nan is None or segment.inf is None else f" nan={segment.nan} inf={segment.inf}"
    return f"tensor {segment.length} {json.dumps(tensor.name)} {json.dumps(tensor.dtype)} [{shape}]{counted}"


def parse(blob: bytes) -> Manifest:
    """A manifest from its text. Never trusts it: raises ParseError (with the line) unless all of it follows the
    format and all lengths add up, UnsupportedFormat for a newer version."""
    _check_version(blob)
    if not blob.endswith(b"\n"):
        raise ParseError("the manifest ends in the middle of a line")
    try:
        lines = blob.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ParseError("the manifest holds bytes that are not ASCII") from error
    reader = _Lines(lines)
    size = reader.number("size", MAX_FILE)
    name = bytes.fromhex(reader.value("blake3", re.compile(rf"{_HEX}\Z")))
    file_format = reader.value("format", _TOKEN)
    rules = reader.value("rules", _TOKEN)
    segments = tuple(reader.segments())
    total = sum(segment.length for segment in segments)
    if total != size:
        raise ParseError(f"the manifest's segments hold {total} bytes, not {size}")
    return Manifest(size, name, file_format, rules, segments)


def _check_version(blob: bytes) -> None:
    if not is_manifest(blob):
        raise ParseError("this is not a manifest")
    if not blob.startswith(MAGIC):
        word = blob[len(MAGIC_PREFIX) : len(MAGIC_PREFIX) + 20].split(b"\n", 1)[0].decode("ascii", "replace")
        if re.fullmatch("[1-9][0-9]{0,8}", word) and int(word) > VERSION:
            raise UnsupportedFormat(f"a manifest of version {word}; this mvc reads {VERSION}", hint="upgrade mvc")
        raise ParseError(f"a manifest of the unknown version {word!r}")


class _Lines:
    """The lines behind the first, one after another; errors name the line's number."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 1

    def fail(self, why: str) -> ParseError:
        return ParseError(f"line {self._at + 1} of the manifest: {why}")

    def value(self, key: str, pattern: re.Pattern[str]) -> str:
        found, _, value = self._lines[self._at].partition(" ")
        if found != key or pattern.match(value) is None:
            raise self.fail(f"a valid {key} was expected")
        self._at += 1
        return value

    def number(self, key: str, largest: int) -> int:
        value = int(self.value(key, re.compile(rf"{_NUMBER}\Z")))
        if value > largest:
            raise self.fail(f"{key} {value} is too large")
        return value

    def segments(self) -> Iterator[ManifestSegment]:
        last = len(self._lines) - 1
        while self._at < last:
            kind, length, tensor, nan, inf = self._head(self._lines[self._at])
            self._at += 1
            chunks = tuple(self._chunks())
            lists = tuple(self._lists())
            if chunks and lists:
                raise self.fail("a segment has chunks and lists")
            stored = sum(chunk.size for chunk in chunks) + sum(ref.length for ref in lists)
            if stored != length:
                raise self.fail(f"the segment before holds {stored} bytes, not {length}")
            yield ManifestSegment(kind, length, tensor, chunks, lists, nan, inf)

    def _head(self, line: str) -> tuple[SegmentKind, int, Tensor | None, int | None, int | None]:
        plain = _PLAIN.match(line)
        if plain is not None:
            return ("header" if plain[1] == "header" else "opaque"), self._bounded(plain[2], MAX_FILE), None, None, None
        match = _TENSOR.match(line)
        if match is None:
            raise self.fail("a segment was expected")
        length, name, dtype, dims, nan, inf = match.groups()
        shape = tuple(self._bounded(dim, MAX_FILE) for dim in dims.split(",")) if dims else ()
        if len(shape) > MAX_DIMENSIONS:
            raise self.fail("the tensor has too many dimensions")
        tensor = Tensor(self._json(name), self._json(dtype), shape)
        counts = (None, None) if nan is None else (self._bounded(nan, MAX_FILE), self._bounded(inf, MAX_FILE))
        return "tensor", self._bounded(length, MAX_FILE), tensor, *counts

    def _chunks(self) -> Iterator[ChunkRef]:
        for count in range(len(self._lines)):
            match = _CHUNK.match(self._lines[self._at])
            if match is None:
                return
            if count >= MAX_INLINE:
                raise self.fail(f"a segment has more than {MAX_INLINE} chunks without a list")
            yield ChunkRef(bytes.fromhex(match[1]), self._positive(match[2], MAX_CHUNK))
            self._at += 1

    def _lists(self) -> Iterator[ListRef]:
        full = True
        while (match := _LIST.match(self._lines[self._at])) is not None:
            if not full:
                raise self.fail("a chunk list that is not the last must be full")
            count = self._positive(match[3], LIST_ENTRIES)
            length = self._positive(match[4], MAX_CHUNK * LIST_ENTRIES)
            yield ListRef(bytes.fromhex(match[1]), self._positive(match[2], MAX_CHUNK), count, length)
            full = count == LIST_ENTRIES
            self._at += 1

    def _bounded(self, digits: str, largest: int) -> int:
        if len(digits) > 19 or (len(digits) > 1 and digits[0] == "0") or int(digits) > largest:
            raise self.fail(f"the number {digits[:24]} is out of range")
        return int(digits)

    def _positive(self, digits: str, largest: int) -> int:
        if digits == "0":
            raise self.fail("a size or count is zero")
        return self._bounded(digits, largest)

    def _json(self, text: str) -> str:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise self.fail("a name is not valid JSON") from error
        if not isinstance(value, str) or json.dumps(value) != text:
            raise self.fail("a name is not escaped as JSON's shortest ASCII form")
        return value
