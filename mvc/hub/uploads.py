"""What may be written but the log: packs, idx, leases, and the remote's own first object.

A body goes to a temporary file while it is verified, and gets its key at the end. What stands already is not touched:
keys are names of content, and what a key of the newest entry holds must stay.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path

from blake3 import blake3

from mvc import fsio
from mvc.errors import IntegrityError, MvcError, NotFound, ParseError, Refused, UsageError
from mvc.fsio import Buffer
from mvc.hub.chunkcheck import Decoding, Part, pending, reader_of, write_note
from mvc.hub.gitcheck import index_of
from mvc.hub.messages import Request, Response
from mvc.hub.passing import PassingPack, Rows
from mvc.hub.replies import Status, plain, unprocessable
from mvc.hub.served import Served
from mvc.store.idx import HEADER, ID_SIZE, MAGIC, MAX_FAN_BITS, VERSION, sections
from mvc.store.records import Location
from mvc.sync import keys
from mvc.sync.remotelog import format_of
from mvc.writeback import start_writeback

_BLOCK = 1024 * 1024
_BEHIND = 8 * 1024 * 1024
"""Bytes after which the kernel is told to begin writing, so that the sync at the end waits for little."""
_CHUNKS = re.compile(r"packs/([0-9a-f]{2})/(\1[0-9a-f]{62})\.pack")
_IDX = re.compile(r"idx/([0-9a-f]{64})\.idx")
_GIT = re.compile(r"git/([0-9a-f]{40})\.(pack|idx)")
_LEASE = re.compile(r"leases/[0-9a-f]{32}(?:\.beat)?")
_MOST_LEASE = 4 * 1024 * 1024
_MOST_PACKS = 1 << 18
"""Of one idx."""
_TRAILER = 20

Take = Callable[[Served, Request, str, str], None]
"""Takes the body that goes to a key, and is named so (the id within the key)."""


def put_object(served: Served, request: Request, key: str, *, keyed: bool) -> Response:
    """PUT of `key`. Raises Status, and whatever fails inside."""
    if request.length is None:
        raise Status(411, "a body without a length is not taken")
    if key == keys.FORMAT:
        return _make(served, request, keyed)
    served.naming()
    served.require_writable()
    if found := _CHUNKS.fullmatch(key):
        return _put(served, request, key, served.limits.pack, _chunk_pack, found[2])
    if found := _IDX.fullmatch(key):
        return _put(served, request, key, served.limits.idx, _idx, found[1])
    if found := _GIT.fullmatch(key):
        if found[2] == "idx":
            return _git_idx(served, request, key, found[1])
        return _put(served, request, key, served.limits.git_pack, _git_pack, found[1])
    if _LEASE.fullmatch(key):
        _limited(request, _MOST_LEASE)
        served.backend.put(key, _whole(request))
        return plain(201)
    raise Status(403, "this is not written by clients")


def delete_object(served: Served, key: str) -> Response:
    """DELETE of a lease. Raises Status."""
    if not _LEASE.fullmatch(key):
        raise Status(403, "only leases are removed by clients")
    served.naming()
    served.backend.delete([key])
    return Response(204, {})


def _make(served: Served, request: Request, keyed: bool) -> Response:
    """The remote's first object: made once, by whoever comes first."""
    if request.headers.get("if-none-match") != "*":
        raise Status(400, "a repository is made with If-None-Match: *")
    _limited(request, 4096)
    text = _whole(request)
    naming = format_of(text)
    if naming is None:
        raise Status(422, "a repository of this server has format 1")
    if naming != "naming plain" and not keyed:
        raise Status(422, "chunks that are named by a key could not be verified here", hint="push it over ssh")
    with contextlib.suppress(NotFound):
        served.naming()
        raise Status(412, "the repository is there already")
    if not served.make(text):
        raise Status(412, "the repository is there already")
    return plain(201)


def _put(served: Served, request: Request, key: str, most: int, take: Take, name: str) -> Response:
    """Take something that is named by its content, unless it stands."""
    _limited(request, most)
    size = served.holds(key)
    if size is None:
        size = served.backend.size(key)
    elif size != request.length:
        raise Status(422, f"another '{key}' stands here")
    if size == request.length:
        return plain(200)
    try:
        take(served, request, key, name)
    except (IntegrityError, ParseError, UsageError, Refused) as error:
        raise unprocessable(error) from error
    return plain(201)


# ---- each kind


def _chunk_pack(served: Served, request: Request, key: str, pack_id: str) -> None:
    size = request.length or 0
    rows = Rows(bytes.fromhex(pack_id))
    with _landing(served, key) as landing, _Verifying(served, rows, landing.path) as verifying:
        naming = 0 if served.naming() == "naming plain" else 1
        passing = PassingPack(rows.pack_id, size, served.limits.records, naming, verifying.take)
        for block in _pieces(request):
            landing.write(block)
            passing.feed(block)
        passing.finish()
        landing.land()
    if verifying.whole:
        write_note(served, rows, size)


class _Verifying:
    """Decodes records of a pack while it passes. What rests on chunks that are not here yet is left."""

    def __init__(self, served: Served, rows: Rows, path: Path) -> None:
        self._served, self._rows = served, rows
        self._decoding = Decoding(served, served.index(served.listed().state))
        self._file, read_at = reader_of(path)
        self._decoding.add(Part(rows.pack_id, rows.find, read_at))
        self._looked = False
        self.whole = True

    def __enter__(self) -> _Verifying:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def take(self, name: bytes, place: Location, record: memoryview) -> None:
        self._rows.add(name, place)
        if self._decoding.check(name, place, record):
            return
        if not self._looked:
            self._looked = True
            for part in pending(self._served):
                self._decoding.add(part)
            if self._decoding.check(name, place, record):
                return
        self.whole = False


def _idx(served: Served, request: Request, key: str, idx_id: str) -> None:
    hasher = blake3()
    tail = b""
    with _landing(served, key) as landing:
        for block in _blocks(request):
            landing.write(block)
            tail += block
            hasher.update(tail[:-ID_SIZE])
            tail = tail[-ID_SIZE:]
        if tail != hasher.digest() or tail.hex() != idx_id:
            raise IntegrityError("the idx is not what its name stands for")
        _check_head(landing.path)
        landing.land()


def _check_head(path: Path) -> None:
    """The sizes that an idx tells make its size, and it lists not more packs than anybody could hold in memory."""
    with fsio.RandomFile(path) as file:
        head = file.read_at(0, HEADER.size)
        if len(head) < HEADER.size or head[: len(MAGIC)] != MAGIC:
            raise IntegrityError("it does not begin as an idx does")
        _, version, bits, zero, packs, records, bases = HEADER.unpack(head)
        fits = bits <= MAX_FAN_BITS and sections(packs, bits, records, bases).size == file.stat().st_size
        if version != VERSION or zero != 0 or not fits or packs > _MOST_PACKS:
            raise IntegrityError("the head of an idx makes no sense")


def _git_pack(served: Served, request: Request, key: str, pack_id: str) -> None:
    digest = sha1(usedforsecurity=False)
    tail = b""
    with _landing(served, key) as landing:
        for block in _blocks(request):
            landing.write(block)
            tail += block
            digest.update(tail[:-_TRAILER])
            tail = tail[-_TRAILER:]
        if tail != digest.digest() or tail.hex() != pack_id:
            raise IntegrityError("the Git pack is not what its name stands for")
        made = index_of(served, landing.path, tail)
        # First the idx: a pack that stands has its idx.
        served.backend.put(keys.git_idx(pack_id), made)
        landing.land()


def _git_idx(served: Served, request: Request, key: str, pack_id: str) -> Response:
    """It is made here when its pack comes, so the client's is not kept: it is held against ours, if that is there.

    If it comes before its pack (they may travel side by side), it is only looked at whether it is that pack's.
    """
    _limited(request, served.limits.idx)
    size = served.backend.size(key)
    same = size is None or size == request.length
    at, digest, tail = 0, sha1(usedforsecurity=False), b""
    for block in _blocks(request):
        if size is not None:
            same = same and served.backend.get(key, at, len(block)) == block
            at += len(block)
        # An idx ends with the checksum of its pack, then its own.
        tail += block
        digest.update(tail[: -2 * _TRAILER])
        tail = tail[-2 * _TRAILER :]
    digest.update(tail[:_TRAILER])
    if not same or tail != bytes.fromhex(pack_id) + digest.digest():
        raise Status(422, "the idx is not that of its pack")
    return plain(200)


# ---- bodies


def _limited(request: Request, most: int) -> None:
    if request.length is not None and request.length > most:
        raise Status(413, f"this may have {most} bytes")


def _blocks(request: Request) -> Iterator[bytes]:
    """The body. Raises as `_pieces`."""
    return (bytes(block) for block in _pieces(request))


def _pieces(request: Request) -> Iterator[Buffer]:
    """The body as it comes. Raises Status if it is not as long as it was said to be, or does not come to its end."""
    left = request.length or 0
    while left:
        try:
            block = request.body.read(min(left, _BLOCK))
        except (OSError, MvcError) as error:
            raise Status(400, "the body was cut") from error
        if not block or len(block) > left:
            raise Status(400, "the body has not the length that it was said to have")
        left -= len(block)
        yield block


def _whole(request: Request) -> bytes:
    return b"".join(_blocks(request))


read_body = _whole
"""A whole body, in memory: the caller has looked at its length."""


class _Landing:
    """A temporary file that gets a key when all is well; removed at the end of the `with` block."""

    def __init__(self, served: Served, key: str) -> None:
        self._served, self._key = served, key
        self._told = 0
        folder = served.storage.folder
        self._out = folder.incoming(key) if folder is not None else fsio.DurableFile(served.own("tmp"))

    def __enter__(self) -> _Landing:
        return self

    def __exit__(self, *exc: object) -> None:
        self._out.discard()

    @property
    def path(self) -> Path:
        return self._out.path

    def write(self, data: Buffer) -> None:
        self._out.write(data)
        if self._out.size - self._told >= _BEHIND:
            start_writeback(self._out.fileno(), self._told, self._out.size - self._told)
            self._told = self._out.size

    def land(self) -> None:
        """Give it its key."""
        folder = self._served.storage.folder
        if folder is not None:
            self._out.commit(folder.path(self._key))
        else:
            self._served.backend.put(self._key, self._out.path)


def _landing(served: Served, key: str) -> _Landing:
    return _Landing(served, key)
