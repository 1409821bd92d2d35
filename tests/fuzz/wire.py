"""What comes over a line: from a remote that lies, or to a server from whoever asks. See targets.py."""

from __future__ import annotations

import contextlib
from functools import cache
from hashlib import sha1

from mvc.errors import IntegrityError, MissingObject, NotFound, ParseError, UnsafePath, UnsupportedFormat
from mvc.hub.passing import PassingPack, Rows
from mvc.hub.routing import route
from mvc.objects.database import Objects
from mvc.objects.receive import Incoming
from mvc.store import idxbuild
from mvc.store.packfile import END_MAGIC, HEADER_SIZE, TRAILER_SIZE, PackHeader, PackId
from mvc.sync import places, state
from tests import scratch

_FOLDER = scratch.make(in_memory=True)
_NAMES = tuple(bytes([number]) * 32 for number in range(4))
_BODY = b"mvc-txn 1\nseq 7\nbefore %s\nnonce %s\ngeneration 0\nat 1\nby a\nhead \nsnapshot\n" % (b"0" * 64, b"1" * 32)


def entry(data: bytes) -> None:
    """An entry of a remote's log, its checksum made right; alone, and as what follows a head that fits."""
    for body in (data, _BODY + data):
        text = body + b"end %s\n" % state.hash_of(body).encode()
        with contextlib.suppress(ParseError, UnsupportedFormat):
            found = state.parse(text)
            assert state.dump(found) == text


def located(data: bytes) -> None:
    """Answers of a server on where chunks lie; what is taken has exactly one form."""
    for body in (data, b"mvcplace\1\0\0\0\1\0\0\0\4\0\0\0\0\0\0\0" + data):
        with contextlib.suppress(ParseError):
            found = places.parse(body, _NAMES)
            assert found.found.keys() == set(_NAMES)
    with contextlib.suppress(ParseError):
        places.parse_depths(data, len(_NAMES))
    with contextlib.suppress(ParseError):
        assert places.join_names(places.split_names(data, 8)) == data


@cache
def _objects() -> Objects:
    folder = _FOLDER / "objects"
    folder.mkdir()
    return Objects(folder, tmp_dir=folder)


def git_pack(data: bytes) -> None:
    """A Git pack; also as entries behind a header that counts to the first byte."""
    counted = b"PACK\0\0\0\2\0\0\0" + bytes((data[0] & 7,)) + data[1:] if data else b""
    path = _FOLDER / "pack"
    for body in (data, counted):
        path.write_bytes(body + sha1(body, usedforsecurity=False).digest())
        with (
            contextlib.suppress(IntegrityError, ParseError, UnsafePath, MissingObject),
            Incoming(_objects()) as incoming,
        ):
            assert incoming.take(path, most=100) <= 100


def passing(data: bytes) -> None:
    """A pack of chunks as a server takes it, header and id made right, in pieces whose length the first byte tells."""
    body = data[1:]
    header, identity = PackHeader(1, 0, 0, 0), PackId()
    pack_id = identity.digest(header)
    whole = header.dump() + body + (0).to_bytes(8, "little") + pack_id + END_MAGIC
    assert len(whole) == HEADER_SIZE + len(body) + TRAILER_SIZE
    step = data[0] + 1 if data else 1
    for text in (data, whole):
        rows = Rows(pack_id)
        with contextlib.suppress(IntegrityError, ParseError, UnsupportedFormat):
            taker = PassingPack(pack_id, len(text), 64, 0, lambda name, place, record, rows=rows: rows.add(name, place))  # type: ignore[misc]
            for at in range(0, len(text), step):
                taker.feed(text[at : at + step])
            taker.finish()
        if len(rows):
            idxbuild.dumped(rows.table(len(text)))


def request(data: bytes) -> None:
    """The path of a request: it leads to a repository of a name that is safe, or nowhere."""
    path = data.decode("latin-1")
    for text in (path, "/" + path + "/-/mvc/1/txn"):
        with contextlib.suppress(NotFound):
            parts = route(text).repository.split("/")
            assert not {"..", ".", "-"}.intersection(parts)
            assert all(part.isascii() and part.isprintable() and part[:1].isalnum() for part in parts if part)
