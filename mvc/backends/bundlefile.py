"""A bundle's file, or its parts, as a store of objects: read by anybody, written once. docs/format/bundle.md."""

from __future__ import annotations

import os
import re
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from blake3 import blake3

from mvc import fsio
from mvc.backends.base import (
    Capabilities,
    Entry,
    Report,
    Source,
    Streamed,
    check_key,
    check_prefix,
    check_range,
    is_key,
)
from mvc.errors import IntegrityError, NotFound, Unsupported, UnsupportedFormat
from mvc.fsio import Buffer

MAGIC = b"mvcbndl\0"
END_MAGIC = b"mvcbend\0"
VERSION = 1
HEADER = struct.Struct("<8sHHI16sQ24s")
"""magic, version, 0, part, id, bytes of a part's file, zeros."""
FOOTER = struct.Struct("<8sQQ32sII")
"""magic, offset and size of the table, its hash, parts, 0."""
MAX_TABLE = 256 * 1024 * 1024
MAX_PARTS = 999
_BLOCK = 8 * 1024 * 1024
_FILE = re.compile(r"file (0|[1-9][0-9]{0,18}) (0|[1-9][0-9]{0,18}) ([0-9a-f]{64}) (\S{1,300})")
_NEED = re.compile(r"need ([0-9a-f]{40})")
_KEY = re.compile(
    r"mvc-remote|latest|txn/0{11}1|git/[0-9a-f]{40}\.(?:pack|idx)|packs/[0-9a-f]{2}/[0-9a-f]{64}\.pack|idx/[0-9a-f]{64}\.idx"
)
_CAPABILITIES = Capabilities(
    put_if_absent=False, atomic_put=False, ranges=True, list_after=True, parallel=4, part=8 << 20
)


@dataclass(frozen=True, slots=True)
class Member:
    """What stands in a bundle under a key: where in the stream, how many bytes, their BLAKE3 (hex)."""

    key: str
    offset: int
    size: int
    hash: str


def is_bundle(path: Path) -> bool:
    """Whether this is the file of a bundle, or the name that its parts have in common."""
    for one in (path, part_path(path, 1)):
        try:
            if one.is_file():
                with fsio.RandomFile(one) as file:
                    return file.read_at(0, len(MAGIC)) == MAGIC
        except OSError:
            return False
    return False


def bundle_name(path: Path) -> Path | None:
    """The name to open a bundle by, from a path that is it, or its parts' name, or a part; None: there is no bundle."""
    whole = path.with_suffix("")
    if re.fullmatch(r"\.[0-9]{3}", path.suffix) and not path.is_dir() and is_bundle(whole):
        return whole
    return path if is_bundle(path) else None


def part_path(path: Path, number: int) -> Path:
    """The file of a part."""
    return path.with_name(f"{path.name}.{number:03d}")


class BundleFile:
    """A bundle open for reading: a backend that nobody can write to."""

    def __init__(self, path: Path, *, url: str | None = None) -> None:
        """`path`: the file, or what the parts' names have in common. Raises NotFound, IntegrityError (parts that are
        missing, or a bundle that does not hold together), UnsupportedFormat."""
        self.url = url or os.fspath(path)
        self.capabilities = _CAPABILITIES
        self._path = path
        self._files: list[fsio.RandomFile] = []
        self._starts: list[int] = []
        try:
            self._open()
            self.needs, members = self._table()
            self.capabilities = replace(_CAPABILITIES, needs=tuple(self.needs))
        except BaseException:
            self.close()
            raise
        self.members = {member.key: member for member in members}
        self._keys = sorted(self.members)

    def _open(self) -> None:
        split = not self._path.is_file()
        first = part_path(self._path, 1) if split else self._path
        if not first.is_file():
            raise NotFound(f"there is no bundle at {self.url}")
        number, total, identity, size = 1, 0, b"", 0
        paths = [first]
        while paths:
            path = paths.pop()
            file = fsio.RandomFile(path)
            self._files.append(file)
            head = file.read_at(0, HEADER.size)
            if len(head) < HEADER.size or not head.startswith(MAGIC):
                raise IntegrityError(f"{path} does not begin as a bundle does")
            _, version, zero, part, one, part_size, rest = HEADER.unpack(head)
            if version != VERSION or zero or any(rest):
                raise UnsupportedFormat(f"{path} is a bundle of version {version}; this mvc knows {VERSION}")
            if number == 1:
                identity, size = one, part_size
            if (part, one, part_size) != (number, identity, size) or bool(size) != split:
                raise IntegrityError(f"{path} is not part {number} of this bundle")
            self._starts.append(total)
            length = file.stat().st_size
            total += length - HEADER.size
            number += 1
            following = part_path(self._path, number)
            if split and length == size and number <= MAX_PARTS and following.is_file():
                paths.append(following)
        self._total = total

    def _table(self) -> tuple[list[str], list[Member]]:
        if self._total < FOOTER.size:
            raise IntegrityError(f"{self.url} is cut short, or its last part is missing")
        magic, offset, size, wanted, parts, zero = FOOTER.unpack(self._read(self._total - FOOTER.size, FOOTER.size))
        if magic != END_MAGIC or zero:
            raise IntegrityError(f"{self.url} does not end as a bundle does: is a part missing?")
        if parts != len(self._files):
            raise IntegrityError(f"{self.url} has {parts} parts, and {len(self._files)} are here")
        if size > MAX_TABLE or offset + size + FOOTER.size != self._total:
            raise IntegrityError(f"{self.url} has a table that cannot be")
        text = self._read(offset, size)
        if blake3(text).digest() != wanted:
            raise IntegrityError(f"the table of {self.url} is damaged")
        return parse_table(text, offset)

    def _read(self, offset: int, length: int) -> bytes:
        """Bytes of the stream, over the parts' borders; fewer where a file became shorter."""
        found: list[bytes] = []
        number = bisect_right(self._starts, offset) - 1
        while length > 0 and number < len(self._files):
            start = self._starts[number]
            end = self._starts[number + 1] if number + 1 < len(self._starts) else self._total
            want = min(length, end - offset)
            if want <= 0:
                break
            data = self._files[number].read_at(HEADER.size + offset - start, want)
            found.append(data)
            if len(data) < want:
                break
            offset, length, number = offset + want, length - want, number + 1
        return b"".join(found)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_range(offset, length)
        member = self.members.get(check_key(key))
        if member is None:
            raise NotFound(f"'{key}' is not in {self.url}")
        left = max(0, member.size - offset)
        return self._read(member.offset + offset, left if length is None else min(length, left))

    def size(self, key: str) -> int | None:
        member = self.members.get(check_key(key))
        return None if member is None else member.size

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        wanted = [key for key in self._keys if key.startswith(prefix) and key > after]
        return iter([Entry(key, self.members[key].size, None) for key in wanted])

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        raise Unsupported(f"{self.url} is a bundle: it is written once", hint="mvc bundle create")

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        raise Unsupported(f"{self.url} is a bundle: it is written once", hint="mvc bundle create")

    def delete(self, keys: Iterable[str]) -> None:
        raise Unsupported(f"{self.url} is a bundle: it is written once")

    def close(self) -> None:
        for file in self._files:
            file.close()

    @property
    def parts(self) -> int:
        return len(self._files)

    def check(self, progress: Report = lambda _: None) -> Iterator[tuple[Member, str]]:
        """Read every byte; what is wrong with which member."""
        for member in self.members.values():
            hasher, at = blake3(), 0
            while at < member.size:
                data = self._read(member.offset + at, min(_BLOCK, member.size - at))
                if not data:
                    break
                hasher.update(data)
                at += len(data)
                progress(len(data))
            if hasher.hexdigest() != member.hash:
                yield member, "its bytes are not those that were written"


def open_bundle(path: Path, *, url: str | None = None) -> BundleFile:
    """A bundle by the path of its file, of one of its parts, or by what its parts' names have in common."""
    return BundleFile(bundle_name(path) or path, url=url)


def parse_table(text: bytes, end: int) -> tuple[list[str], list[Member]]:
    """Needed commits and members. `end`: where in the stream the table begins. Raises IntegrityError."""
    lines = text.decode("utf-8", "replace").split("\n")
    if lines[0] != "mvc-bundle 1" or lines[-2:] != ["end", ""]:
        raise IntegrityError("the bundle's table does not make sense")
    needs: list[str] = []
    members: list[Member] = []
    at = 0
    for line in lines[1:-2]:
        if found := _NEED.fullmatch(line):
            needs.append(found[1])
            continue
        found = _FILE.fullmatch(line)
        if found is None or not _KEY.fullmatch(found[4]) or not is_key(found[4]) or int(found[1]) != at:
            raise IntegrityError("the bundle's table has a line that makes no sense")
        members.append(Member(found[4], at, int(found[2]), found[3]))
        at += int(found[2])
    if at != end or len({member.key for member in members}) != len(members):
        raise IntegrityError("the bundle's table does not fit its bytes")
    return needs, members


class BundleWriter:
    """A bundle that is being written: a backend that takes each object once, in any order. Thread-safe.

    Its files have other names (`.partial` behind them) until `finish`. What is not part of a bundle (leases) is let go.
    """

    def __init__(self, path: Path, *, split: int = 0) -> None:
        """`split`: bytes of a part's file, 0 for one file."""
        self.url = os.fspath(path)
        self.capabilities = _CAPABILITIES
        self._path, self._split = path, split
        self._identity = os.urandom(16)
        self._lock = threading.Lock()
        self._members: dict[str, Member] = {}
        self._outs: list[fsio.DurableFile] = []
        self._stream = 0
        self.needs: list[str] = []

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        check_key(key)
        if not _KEY.fullmatch(key):
            return
        with self._lock:
            if key in self._members:
                return
            start, hasher = self._stream, blake3()
            for block in _blocks(source):
                hasher.update(block)
                self._write(block)
                if progress is not None:
                    progress(len(block))
            self._members[key] = Member(key, start, self._stream - start, hasher.hexdigest())

    def finish(self) -> tuple[int, int]:
        """Write the table, make all durable and name it; returns how many parts, and the bytes of all."""
        table = ["mvc-bundle 1", *(f"need {one}" for one in self.needs)]
        table += [f"file {one.offset} {one.size} {one.hash} {one.key}" for one in self._members.values()]
        text = "\n".join([*table, "end", ""]).encode()
        offset = self._stream
        self._write(text)
        # The footer must know how many parts there are: itself it may begin one.
        room = self._split - self._outs[-1].size if self._split else FOOTER.size
        more = -(-(FOOTER.size - room) // (self._split - HEADER.size)) if room < FOOTER.size else 0
        self._write(FOOTER.pack(END_MAGIC, offset, len(text), blake3(text).digest(), len(self._outs) + more, 0))
        total = sum(out.size for out in self._outs)
        # The first part is named last: without it the others are nothing.
        for number in range(len(self._outs), 0, -1):
            self._outs[number - 1].commit(part_path(self._path, number) if self._split else self._path)
        parts, self._outs = len(self._outs), []
        return parts, total

    def _write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        while len(view):
            if not self._outs or (self._split and self._outs[-1].size >= self._split):
                self._begin()
            out = self._outs[-1]
            room = self._split - out.size if self._split else len(view)
            part = view[: min(room, len(view))]
            out.write(part)
            self._stream += len(part)
            view = view[len(part) :]

    def _begin(self) -> None:
        number = len(self._outs) + 1
        if number > MAX_PARTS:
            raise Unsupported(f"a bundle has at most {MAX_PARTS} parts", hint="--split with a larger size")
        out = fsio.DurableFile(self._path.parent)
        self._outs.append(out)
        out.write(HEADER.pack(MAGIC, VERSION, 0, number, self._identity, self._split, bytes(24)))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        raise NotFound(f"'{key}' cannot be read: the bundle is being written")

    def size(self, key: str) -> int | None:
        member = self._members.get(key)
        return None if member is None else member.size

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        self.put(key, data)
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        pass

    def close(self) -> None:
        for out in self._outs:
            out.discard()
        self._outs = []


def _blocks(source: Source) -> Iterator[Buffer]:
    if isinstance(source, Streamed):
        yield from source.blocks()
        return
    if not isinstance(source, Path):
        yield source
        return
    with fsio.RandomFile(source) as file:
        at = 0
        while block := file.read_at(at, _BLOCK):
            yield block
            at += len(block)
