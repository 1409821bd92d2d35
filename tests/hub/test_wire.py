"""The wire's parsers under whatever bytes: they answer, or refuse; nothing else."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, NotFound
from mvc.hashing import digest
from mvc.hub.messages import Everywhere, Right
from mvc.hub.passing import PassingPack, Rows
from mvc.hub.routing import is_repository, route
from mvc.hub.service import Service
from mvc.hub.stdio import converse
from mvc.settings import ChunkNaming
from mvc.store import idxbuild
from mvc.store.idx import Idx
from mvc.store.idxwrite import write_pack_idx
from mvc.store.packfile import PackBuilder
from mvc.store.records import Location, make_lead
from tests.hub.making import over

SLOW_SETUP = settings(deadline=None, max_examples=60)
PIECES = st.text("abz.-_/%A09 ~\\\0\u00e9", max_size=30)


@given(PIECES, PIECES)
def test_routes(before: str, behind: str) -> None:
    for path in (before + behind, f"/{before}/-/mvc/1/{behind}", f"{before}/-/mvc/{behind}"):
        with contextlib.suppress(NotFound):
            found = route(path)
            assert is_repository(found.repository)
            parts = found.repository.split("/")
            assert not {".", "..", "-", "packs", "txn"} & set(parts)
            assert all(part and part[0].isalnum() and part.isascii() for part in parts) or not found.repository


# ---- packs


def made(tmp: Path, payloads: list[bytes]) -> tuple[bytes, bytes, dict[bytes, Location]]:
    """Id, bytes and records of a pack that stores these raw."""
    builder = PackBuilder(tmp, ChunkNaming())
    rows: dict[bytes, Location] = {}
    for number, payload in enumerate(payloads):
        name = digest(payload)
        bases = (digest(payloads[0]),) if number % 2 else ()
        lead, stored = make_lead(name, len(payload), 0, number % 2, bases, b"p" * (number % 5), [payload])
        rows[name] = Location(
            b"", builder.append(lead, [payload]), len(payload), stored, 0, number % 2, number % 5, bases
        )
    pack_id = builder.finish()
    data = builder.path.read_bytes()
    builder.discard()
    return pack_id, data, {name: place._replace(pack=pack_id) for name, place in rows.items()}


@SLOW_SETUP
@given(
    st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(1, 90), min_size=1, max_size=40),
)
def test_a_pack_passes_in_any_pieces(tmp_path: Path, payloads: list[bytes], steps: list[int]) -> None:
    pack_id, data, expected = made(tmp_path, payloads)
    rows = Rows(pack_id)
    seen: dict[bytes, bytes] = {}

    def take(name: bytes, place: Location, record: memoryview) -> None:
        rows.add(name, place)
        seen[name] = bytes(record)

    passing = PassingPack(pack_id, len(data), 10, 0, take)
    at = turn = 0
    while at < len(data):
        step = steps[turn % len(steps)]
        passing.feed(data[at : at + step])
        at, turn = at + step, turn + 1
    passing.finish()
    assert {name: rows.find(name) for name in expected} == expected
    assert all(data[place.offset :].startswith(seen[name]) for name, place in expected.items())
    path = write_pack_idx(pack_id, len(data), expected, tmp_path / "idx", tmp_path)
    assert idxbuild.dumped(rows.table(len(data)))[0] == path.read_bytes(), "as a client makes it"
    assert dict(Idx(path)) == expected


@SLOW_SETUP
@given(st.data())
def test_a_spoilt_pack_does_not_pass(tmp_path: Path, data: st.DataObject) -> None:
    pack_id, good, _ = made(tmp_path, [b"one", b"two" * 30, b"three"])
    bad = bytearray(good)
    at = data.draw(st.integers(0, len(bad) - 1))
    bad[at] ^= data.draw(st.integers(1, 255))
    rows = Rows(pack_id)
    passing = PassingPack(pack_id, len(bad), 10, 0, lambda name, place, _: rows.add(name, place))
    with pytest.raises(IntegrityError):
        for start in range(0, len(bad), 37):
            passing.feed(bytes(bad[start : start + 37]))
        passing.finish()


@given(st.binary(max_size=600), st.integers(0, 1000))
def test_any_bytes_are_no_pack(data: bytes, size: int) -> None:
    with pytest.raises(IntegrityError):
        passing = PassingPack(b"\0" * 32, size, 10, 0, lambda *_: None)
        passing.feed(b"mvcpack\0\1\0\0\0\0\0\0\0" + data)
        passing.finish()


def test_too_many_records(tmp_path: Path) -> None:
    pack_id, data, _ = made(tmp_path, [b"%d" % n for n in range(12)])
    passing = PassingPack(pack_id, len(data), 11, 0, lambda *_: None)
    with pytest.raises(IntegrityError, match="may hold 11"):
        passing.feed(data)


def test_a_chunk_that_comes_twice(tmp_path: Path) -> None:
    rows = Rows(b"\0" * 32)
    place = Location(b"\0" * 32, 16, 1, 1, 0, 0, 0, ())
    rows.add(b"a" * 32, place)
    with pytest.raises(IntegrityError, match="twice"):
        rows.add(b"a" * 32, place)


# ---- the pipe


def conversation(service: Service, text: bytes) -> bytes:
    """What is answered to all this."""
    ours, theirs = os.pipe()
    back, forth = os.pipe()
    answer = bytearray()

    def read() -> None:
        while part := os.read(back, 65536):
            answer.extend(part)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(theirs, text)
        os.close(theirs)

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    converse(service, Everywhere(Right.ADMIN, "x"), ours, forth, lambda error: None)
    os.close(forth)
    os.close(ours)
    for thread in threads:
        thread.join()
    os.close(back)
    return bytes(answer)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(over(MemoryBackend(), tmp_path / "memory"))


@SLOW_SETUP
@given(st.binary(max_size=400))
def test_any_bytes_over_a_pipe(service: Service, data: bytes) -> None:
    for text in (
        data,
        b"GET /-/mvc/1/ HTTP/1.1\r\n" + data,
        b"GET /" + data.replace(b"\n", b"") + b" HTTP/1.1\r\n\r\n",
    ):
        answer = conversation(service, text)
        assert not answer or answer.startswith(b"HTTP/1.1 ")


def test_requests_in_a_row(service: Service) -> None:
    info = b"GET /-/mvc/1/ HTTP/1.1\r\nHost: x\r\n\r\n"
    put = b"PUT /-/mvc/1/objects/leases/" + b"0" * 32 + b" HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789"
    answer = conversation(service, info + put + info + b"DELETE /nothing HTTP/1.1\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.count(b"HTTP/1.1 404 Not Found") == 2


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\na: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(100)) + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request(service: Service, text: bytes) -> None:
    answer = conversation(service, text + b"GET /-/mvc/1/ HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1


def test_a_body_that_nobody_reads(service: Service) -> None:
    """A short one is passed over; a long one ends the conversation."""
    info = b"GET /-/mvc/1/ HTTP/1.1\r\n\r\n"
    for size, answers in ((1000, 2), (5 << 20, 1)):
        head = b"PUT /-/mvc/1/objects/nothing HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
        assert conversation(service, head + bytes(size) + info).count(b"HTTP/1.1 ") == answers
