"""Objects that come from elsewhere: verified one by one before any of them can be seen.

Nothing about a pack from outside is trusted: no index (this makes its own), no size, no name in a tree.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from mvc.errors import IntegrityError, ParseError, UsageError
from mvc.fsio import RandomFile
from mvc.objects import encoding, paths
from mvc.objects.database import Objects
from mvc.objects.delta import apply_delta, result_size
from mvc.objects.model import Kind
from mvc.objects.packentry import KIND_OF, TYPES, EntryHead, deflate, encode_head, parse_head
from mvc.objects.packindex import Row
from mvc.objects.reader import ObjectReader

MAX_OBJECT = 256 * 1024 * 1024
"""A larger one is refused: the manifest of a model of a terabyte has some megabytes."""

MAX_COUNT = 2**32 - 1
"""What the header of a pack can tell."""

_HEAD = 64
"""No header of an entry is longer."""
_BLOCK = 64 * 1024
_TRAILER = 20


class Incoming(ObjectReader):
    """Objects on their way into a database. Reads what came so far, and beneath it the database.

    A `with` block: leaving without `seal` throws away what came. Not thread-safe.
    """

    def __init__(self, objects: Objects, *, largest: int = MAX_OBJECT, total: int | None = None) -> None:
        """`largest`: bytes of one object. `total`: bytes of all that come, unpacked; None: without a limit."""
        super().__init__()
        self._objects = objects
        self._largest, self._left = largest, total
        self._writer = objects.new_pack()
        self._known: Callable[[bytes], bool] = objects.known(None)
        self._sealed = False
        self.ends: frozenset[str] | None = None
        """Where the history is to end once this is sealed; None: where it does now."""

    @property
    def shallow(self) -> frozenset[str]:
        return self._objects.shallow if self.ends is None else self.ends

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._sealed:
            self._writer.discard()

    def __len__(self) -> int:
        """How many objects came that the database has not."""
        return len(self._writer)

    def raw(self, object_id: str) -> tuple[Kind, bytes]:
        return self._writer.read(bytes.fromhex(object_id)) or self._objects.raw(object_id)

    def contains(self, object_id: str) -> bool:
        return bytes.fromhex(object_id) in self._writer or self._objects.contains(object_id)

    def kind(self, object_id: str) -> Kind:
        found = self._writer.read(bytes.fromhex(object_id))
        return found[0] if found is not None else self._objects.kind(object_id)

    def take(
        self,
        pack: Path,
        advance: Callable[[int], None] = lambda _: None,
        *,
        most: int = MAX_COUNT,
        listed: Callable[[Row], None] | None = None,
    ) -> int:
        """All objects of a Git pack (its checksum was verified already); returns how many.

        Deltas may rest on what stands before them. Raises IntegrityError, ParseError, UnsafePath.
        `advance` is told of objects; `listed`, what an index says of each. More than `most` are refused.
        """
        with RandomFile(pack) as file:
            end = file.stat().st_size - _TRAILER
            head = file.read_at(0, 12)
            if head[:8] != b"PACK\0\0\0\x02" or end < 12:
                raise IntegrityError("what came is no Git pack of version 2")
            count = int.from_bytes(head[8:12])
            if count > most:
                raise IntegrityError(f"a Git pack that came holds more than {most} objects")
            places: dict[int, bytes] = {}
            at = 12
            for _ in range(count):
                start, at = at, self._entry(file, at, end, places)
                if listed is not None:
                    listed((places[start], zlib.crc32(file.read_exact(start, at - start)), start))
                advance(1)
            if at != end:
                raise IntegrityError("a Git pack that came holds more than it tells")
            return count

    def _entry(self, file: RandomFile, at: int, end: int, places: dict[int, bytes]) -> int:
        """Take the entry at `at`; returns where the next one is."""
        first = file.read_at(at, min(_HEAD, end - at))
        head = parse_head(first, at)
        self._spend(head.size)
        data, length = _inflate(file, at + head.length, end, head.size)
        after = at + head.length + length
        if head.base is None:
            kind = KIND_OF[head.type]
            raw_id = self._check(kind, data)
            if not self._known(raw_id):
                self._writer.add_entry(raw_id, file.read_exact(at, after - at))
        else:
            kind, data = self._undelta(head, data, places)
            raw_id = self._check(kind, data)
            if not self._known(raw_id):
                self._writer.add_entry(raw_id, encode_head(TYPES[kind], len(data)) + deflate(data))
        places[at] = raw_id
        return after

    def _undelta(self, head: EntryHead, delta: bytes, places: dict[int, bytes]) -> tuple[Kind, bytes]:
        base = places.get(head.base) if isinstance(head.base, int) else head.base
        if base is None:
            raise IntegrityError("a delta that came rests on nothing before it")
        self._spend(result_size(delta[:32]))
        kind, data = self.raw(base.hex())
        return kind, apply_delta(data, delta)

    def _spend(self, size: int) -> None:
        """Count what is about to be unpacked. Raises IntegrityError if it is too much."""
        if size > self._largest:
            raise IntegrityError("an object that came is too large")
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise IntegrityError("what came unpacks to too much")

    def _check(self, kind: Kind, data: bytes) -> bytes:
        """The id of an object that is what an object of its kind must be."""
        object_id = encoding.object_id(kind, data)
        try:
            if kind == "commit":
                encoding.parse_commit(object_id, data)
            elif kind == "tag":
                encoding.parse_tag(object_id, data)
            elif kind == "tree":
                entries = encoding.parse_tree(data)
                paths.check_entries(entries, root=True)
                if encoding.dump_tree(entries) != data:
                    raise ParseError("a tree's entries are out of order")
        except (ParseError, UsageError) as error:
            raise IntegrityError(f"object {object_id}, which came from elsewhere: {error.message}") from error
        return bytes.fromhex(object_id)

    def add(self, kind: Kind, data: bytes) -> str:
        """One object that came by itself; returns its id. Raises IntegrityError, UnsafePath."""
        raw_id = self._check(kind, data)
        if not self._known(raw_id):
            self._writer.add(raw_id, kind, data)
        return raw_id.hex()

    def seal(self) -> None:
        """Make what came durable, and visible. To be called once all is known to hang together."""
        if len(self._writer):
            self._objects.sealed(self._writer.seal(None), None)
        else:
            self._writer.discard()
        self._sealed = True


def _inflate(file: RandomFile, at: int, end: int, size: int) -> tuple[bytes, int]:
    """The `size` bytes of the zlib stream at `at`, and the stream's length. Raises IntegrityError."""
    stream = zlib.decompressobj()
    parts: list[bytes] = []
    got = used = 0
    # What is read beyond the stream is copied once more: so not much more is read than it should take.
    step = min(size + 64, _BLOCK)
    try:
        while not stream.eof:
            block = stream.unconsumed_tail
            if not block:
                block = file.read_at(at + used, min(step, end - at - used))
                used += len(block)
                if not block:
                    raise IntegrityError("an object that came is cut short")
            made = stream.decompress(block, size + 1 - got)
            got += len(made)
            parts.append(made)
            if got > size:
                raise IntegrityError("an object that came is larger than it tells")
    except zlib.error as error:
        raise IntegrityError("an object that came has damaged bytes") from error
    if got != size:
        raise IntegrityError("an object that came is smaller than it tells")
    return b"".join(parts), used - len(stream.unused_data)
