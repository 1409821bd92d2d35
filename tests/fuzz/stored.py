"""What mvc and Git keep in a repository, as a hostile or damaged one may hold it. See targets.py."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from zlib import crc32

from mvc.codecs import zstandards
from mvc.codecs.decode import decode
from mvc.errors import IntegrityError, ParseError, UnsupportedFormat
from mvc.objects import outergit, packindex, reffiles, reflog, refnames
from mvc.ops import sequence
from mvc.repo import columns
from mvc.repo.stage import Stage
from mvc.store import condemned, holder, idx, packfile, records
from tests import scratch

_FOLDER = scratch.make(in_memory=True)
_HELD = IntegrityError, UnsupportedFormat
LARGEST_RAW = 1 << 20


def _file(data: bytes) -> Path:
    path = _FOLDER / "input"
    path.write_bytes(data)
    return path


def chunk_index(data: bytes) -> None:
    """An idx file; also as the body of one whose header fits: two bytes choose the sizes of its parts."""
    texts = [data]
    if len(data) > 4:
        packs, bits, records_, bases = data[0] & 3, data[0] >> 2 & 7, data[1] & 15, data[1] >> 4
        size = idx.sections(packs, bits, records_, bases).size
        head = idx.HEADER.pack(idx.MAGIC, idx.VERSION, bits, 0, packs, records_, bases)
        texts.append((head + data[2:]).ljust(size, b"\0")[:size])
    for text in texts:
        with contextlib.suppress(*_HELD):
            _look_up(idx.Idx(_file(text), mapped=False))


def _look_up(found: idx.Idx) -> None:
    names = list(found.names())
    for name in [*names[:8], bytes(32), b"\xff" * 32]:
        for number in found.find_all(name):
            assert found.name(number) == name
            with contextlib.suppress(*_HELD):
                assert len(found.location(number).bases) <= 255
    found.check()


def git_index(data: bytes) -> None:
    """The index of a Git pack; also with the magic and a fanout that counts to the first byte."""
    texts = [data]
    if len(data) > 9:
        count = data[0] & 7
        steps = sorted(data[1 : 1 + count])
        fanout = struct.pack(">256I", *(sum(step <= value for step in steps) for value in range(256)))
        body = data[1 + count :].ljust(28 * count, b"\0")
        body = body[: 28 * count + (len(body) - 28 * count) // 8 * 8]
        texts.append(b"\xfftOc\0\0\0\x02" + fanout + body + bytes(40))
    for text in texts:
        with contextlib.suppress(IntegrityError):
            found = packindex.PackIndex(_file(text), mapped=False)
            for raw_id in [*list(found.ids())[:8], bytes(20), data[:20].ljust(20, b"\xff")]:
                with contextlib.suppress(IntegrityError):
                    found.find(raw_id)
                assert found.shared_digits(raw_id) <= 40
                assert len(list(found.with_prefix(raw_id.hex()[:5]))) <= found.count
            found.rows()
            found.verify()


def record(data: bytes) -> None:
    """A record of a pack, and a pack's header and trailer."""
    for parse in (packfile.parse_header, lambda part: packfile.parse_trailer(part[: packfile.TRAILER_SIZE])):
        with contextlib.suppress(*_HELD):
            parse(data)
    try:
        header = records.parse_lead(data)
    except IntegrityError:
        return
    assert header.lead_size <= min(len(data), records.MAX_LEAD)
    records.is_sound(data)
    with contextlib.suppress(IntegrityError):
        _, payload = records.parse_record(data, header.name, header.located(b"", 0))
        assert len(payload) == header.stored_size
        assert records.make_lead(
            header.name, header.raw_size, header.codec, header.depth, header.bases, header.params, [payload]
        )[1] == len(payload)


def chunk(data: bytes) -> None:
    """Decoding: six bytes choose codec, raw size, lengths of params and base (in 16 bytes), how many bases."""
    if len(data) < 6:
        return
    raw_size = int.from_bytes(data[1:3]) % 4096 or LARGEST_RAW
    params, rest = data[6 : 6 + data[3]], data[6 + data[3] :]
    base, payload = rest[: 16 * data[4]], rest[16 * data[4] :]
    bases = (base,) if data[5] & 1 else (base[: data[5]], base[data[5] :]) if data[5] & 2 else ()
    for into in (None, bytearray(raw_size)):
        with contextlib.suppress(ParseError):
            assert len(decode(data[0] % 6, params, payload, raw_size, bases, into)) == raw_size
    with contextlib.suppress(ParseError):
        assert len(zstandards.decompress(payload, raw_size)) == raw_size


def stage(data: bytes) -> None:
    """A stage; also one whose checksums and lengths are right: six bytes choose the lengths of its columns."""
    texts = [data]
    if len(data) > 8:
        rows = data[0] & 7
        lengths = [columns.STAT.size * rows, data[1], rows, 20 * rows, data[2], data[3]]
        rest = data[4:].ljust(sum(lengths), b"\0")
        parts: list[bytes] = []
        for length in lengths:
            parts.append(rest[:length])
            rest = rest[length:]
        head = columns.HEADER.pack(
            columns.MAGIC, columns.VERSION, 0, rows, data[4:24].ljust(20, b"\0"), *map(crc32, parts), *lengths
        )
        texts.append(b"".join([head, struct.pack("<I", crc32(head)), *parts]))
    for text in texts:
        with contextlib.suppress(*_HELD):
            found = columns.parse(text)
            entries, conflicts = list(found.entries()), found.conflicts()
            assert len(entries) == found.rows
            held = Stage(columns.parse(text))
            assert len(held.items()) <= found.rows
            for entry in (*entries[:3], *conflicts[:3]):
                held.get(entry.path)
                held.put(entry)
            columns.parse(held.columns().dump())


def holders(data: bytes) -> None:
    """A lock or an intent, and the list of condemned packs."""
    for text in (data, b"mvc-lock 1\n" + data + b"\nend\n"):
        found = holder.parse(text)
        if found is not None:
            assert "\n" not in found.describe()
            holder.has_ended(found)
            assert holder.parse(holder.dump(found)) is not None
    for text in (data, b"mvc-condemned 1 final\n" + data):
        with contextlib.suppress(IntegrityError):
            condemned.read(_file(text))


def refs(data: bytes) -> None:
    """A reflog, packed refs, a ref's name and content, a list of steps, and the policy beside it."""
    path = _file(data)
    entries = reflog.read(path)
    assert len(entries) + reflog.malformed(path) == data.count(b"\n")
    for entry in entries[:5]:
        assert reflog.dump(entry).count(b"\n") == 1
    with contextlib.suppress(IntegrityError):
        found = reffiles.parse_packed(data)
        assert reffiles.parse_packed(reffiles.dump_packed(found)) == found
    text = data.decode("utf-8", "surrogateescape")
    if refnames.is_valid(text):
        assert ".." not in text and not text.startswith("/") and "\0" not in text
    with contextlib.suppress(IntegrityError):
        sequence.parse_todo(text)
    with contextlib.suppress(IntegrityError):
        sequence._parse_policy(text)


def outer_index(data: bytes) -> None:
    """The index of an outer Git project; also with its header given."""
    for text in (data, b"DIRC\0\0\0" + bytes((2 + data[0] % 3,)) + b"\0\0\0" + data[1:] if data else b""):
        with contextlib.suppress(struct.error, ValueError, IndexError, outergit._AskGit):
            for name, mode in outergit._parse(text, 20):
                assert isinstance(name, bytes) and mode >= 0
