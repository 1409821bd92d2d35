"""Remotes that lie: nothing of what they say gets into the repository, and nothing is written outside of it."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.memory import MemoryBackend
from mvc.codecs.base import Encoded
from mvc.errors import IntegrityError, MissingObject, MvcError, ParseError, UnsafePath
from mvc.hashing import digest
from mvc.objects import encoding
from mvc.objects.model import Kind
from mvc.objects.packentry import OFS_DELTA, REF_DELTA, TYPES, encode_head, encode_offset
from mvc.objects.refs import RefChange
from mvc.repo.chunks import open_chunks
from mvc.settings import ChunkNaming
from mvc.store.idx import HEADER, Idx
from mvc.store.idxwrite import write_pack_idx
from mvc.store.packfile import PackBuilder
from mvc.store.records import Location, make_lead
from mvc.sync import keys
from mvc.sync.chunks import bring
from mvc.sync.remotelog import RemoteLog
from mvc.sync.state import ChunkPack, GitPack, State
from tests.sync.making import MAIN, WHO, Peer, Peers, model, noise

WHEN = b"a <a@example.org> 1700000000 +0000"
Object = tuple[Kind, bytes]


def entry(kind: Kind, data: bytes, *, told: int | None = None) -> bytes:
    return encode_head(TYPES[kind], len(data) if told is None else told) + zlib.compress(data)


def packed(entries: Sequence[bytes], *, count: int | None = None, tail: bytes = b"") -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(entries) if count is None else count) + b"".join(entries) + tail
    return body + sha1(body).digest()


def tree(*rows: tuple[str, str, str]) -> bytes:
    """A tree in the order given: (mode, name, id)."""
    return b"".join(b"%s %s\0%s" % (m.encode(), n.encode(), bytes.fromhex(i)) for m, n, i in rows)


def commit(tree_id: str, *parents: str) -> bytes:
    lines = [b"tree " + tree_id.encode(), *(b"parent " + p.encode() for p in parents)]
    return b"\n".join([*lines, b"author " + WHEN, b"committer " + WHEN, b"", b"m\n"])


def ids(*objects: Object) -> list[str]:
    return [encoding.object_id(kind, data) for kind, data in objects]


def serve(backend: MemoryBackend, pack: bytes, tip: str, *, pack_id: str | None = None) -> None:
    """Make a remote of one Git pack, whose branch is `tip`."""
    name = pack_id or pack[-20:].hex()
    backend.put(keys.git_pack(name), pack)
    log = RemoteLog(backend, None, ChunkNaming())
    state = log.latest(create=True)
    assert log.append(replace(state, refs={MAIN: tip}, head=MAIN, git_packs=(GitPack(name, len(pack), 1),)), by="x")


def everything(top: Path) -> dict[str, bytes]:
    """All files of a repository, but for what is only remembered of remotes."""
    found = {path.relative_to(top).as_posix(): path for path in top.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".mvc/remote-cache")}


def refused(peer: Peer, *errors: type[MvcError]) -> None:
    """A fetch fails with one of these, and leaves no trace."""
    before = everything(peer.top)
    with pytest.raises(errors or (MvcError,)):
        peer.fetch()
    assert everything(peer.top) == before


BLOB: Object = ("blob", b"x")
(BLOB_ID,) = ids(BLOB)

HOSTILE_TREES = {
    "mvc": tree(("40000", ".mvc", BLOB_ID)),
    "config": tree(("100644", ".MVC", BLOB_ID)),
    "git": tree(("40000", ".git", BLOB_ID)),
    "up": tree(("40000", "..", BLOB_ID)),
    "slash": tree(("100644", "../../x", BLOB_ID)),
    "short": tree(("40000", "git~1", BLOB_ID)),
    "submodule": tree(("160000", "x", BLOB_ID)),
    "twice": tree(("100644", "x", BLOB_ID), ("120000", "x", BLOB_ID)),
    "modules": tree(("120000", ".gitmodules", BLOB_ID)),
    "unsorted": tree(("100644", "b", BLOB_ID), ("100644", "a", BLOB_ID)),
    "mode": tree(("100600", "b", BLOB_ID)),
    "garbage": b"100644 x\0abc",
    "kind": tree(("40000", "x", BLOB_ID)),
    "lacking": tree(("100644", "x", "0" * 39 + "1")),
}


@pytest.mark.parametrize("name", HOSTILE_TREES)
def test_a_hostile_tree_does_not_get_in(peers: Peers, backend: MemoryBackend, name: str) -> None:
    data = HOSTILE_TREES[name]
    (tree_id,) = ids(("tree", data))
    made: Object = ("commit", commit(tree_id))
    serve(backend, packed([entry(*BLOB), entry("tree", data), entry(*made)]), ids(made)[0])
    refused(peers("bob"), UnsafePath, IntegrityError)


@pytest.mark.parametrize("deep", [False, True])
def test_a_hostile_tree_below_or_aside_does_not_get_in(peers: Peers, backend: MemoryBackend, deep: bool) -> None:
    bad = HOSTILE_TREES["git"]
    top = tree(("40000", "sub", ids(("tree", bad))[0])) if deep else tree(("100644", "x", BLOB_ID))
    made: Object = ("commit", commit(ids(("tree", top))[0]))
    serve(backend, packed([entry(*BLOB), entry("tree", bad), entry("tree", top), entry(*made)]), ids(made)[0])
    refused(peers("bob"), UnsafePath)


def test_metadata_that_is_not_at_the_root_does_not_get_in(peers: Peers, backend: MemoryBackend) -> None:
    params = tree(("100644", "params.yaml", BLOB_ID))
    inner = tree(("40000", ".mvcmeta", ids(("tree", params))[0]))
    top = tree(("40000", "sub", ids(("tree", inner))[0]))
    made: Object = ("commit", commit(ids(("tree", top))[0]))
    parts = [entry(*BLOB), *(entry("tree", one) for one in (params, inner, top)), entry(*made)]
    serve(backend, packed(parts), ids(made)[0])
    refused(peers("bob"), UnsafePath)


TREE = tree(("100644", "x", BLOB_ID))
COMMIT: Object = ("commit", commit(ids(("tree", TREE))[0]))
TIP = ids(COMMIT)[0]
GOOD = [entry(*BLOB), entry("tree", TREE), entry(*COMMIT)]


def test_the_good_pack_of_these_tests_gets_in(peers: Peers, backend: MemoryBackend) -> None:
    serve(backend, packed(GOOD), TIP)
    bob = peers("bob")
    bob.fetch()
    bob.check()


def test_deltas_on_what_stands_before_get_in(peers: Peers, backend: MemoryBackend) -> None:
    base = b"0123456789" * 10
    delta = bytes([100, 104, 0x80 | 0x10, 100, 4]) + b"abcd"
    result: Object = ("blob", base + b"abcd")
    first = entry("blob", base)
    by_offset = encode_head(OFS_DELTA, len(delta)) + encode_offset(len(first)) + zlib.compress(delta)
    top = tree(("100644", "x", ids(result)[0]))
    made: Object = ("commit", commit(ids(("tree", top))[0]))
    serve(backend, packed([first, by_offset, entry("tree", top), entry(*made)]), ids(made)[0])
    bob = peers("bob")
    bob.fetch()
    assert bob.repo.objects.blob(ids(result)[0]) == result[1]
    bob.check()


@pytest.mark.parametrize(
    "pack",
    [
        packed(GOOD[:2]),
        packed(GOOD[1:]),
        packed(GOOD, count=4),
        packed(GOOD, count=2),
        packed(GOOD, count=2**32 - 1),
        packed(GOOD, tail=b"more"),
        packed([entry(*BLOB, told=2), *GOOD[1:]]),
        packed([entry(*BLOB, told=0), *GOOD[1:]]),
        packed([entry(*BLOB, told=2**40), *GOOD]),
        packed([entry("blob", b"\0" * (1 << 26), told=10), *GOOD]),
        packed([GOOD[0][:-3], *GOOD[1:]]),
        packed([GOOD[0][:1] + b"\x78\x9c" + b"\xff" * 9, *GOOD[1:]]),
        packed([encode_head(OFS_DELTA, 1) + encode_offset(5) + zlib.compress(b"x"), *GOOD]),
        packed([encode_head(OFS_DELTA, 1) + encode_offset(1 << 40) + zlib.compress(b"x"), *GOOD]),
        packed([encode_head(REF_DELTA, 1) + b"\1" * 20 + zlib.compress(b"x"), *GOOD]),
        packed([encode_head(5, 1) + zlib.compress(b"x"), *GOOD]),
        packed([b"\xff" * 30, *GOOD]),
        packed([*GOOD[:2], entry("commit", b"tree nonsense\n\nm")]),
        packed([*GOOD, entry("tag", b"object x\n\nm")]),
        packed(GOOD)[:-1] + b"\0",
        packed(GOOD)[:30],
        b"",
    ],
    ids=str,
)
def test_a_pack_that_lies_does_not_get_in(peers: Peers, backend: MemoryBackend, pack: bytes) -> None:
    serve(backend, pack or b"x", TIP, pack_id=None if len(pack) > 20 else "a" * 40)
    refused(peers("bob"), IntegrityError, ParseError)


def test_a_pack_of_another_name_or_size_does_not_get_in(peers: Peers, backend: MemoryBackend) -> None:
    serve(backend, packed(GOOD), TIP, pack_id="ab" * 20)
    refused(peers("bob"), IntegrityError)
    pack = packed(GOOD)
    log = RemoteLog(backend, None, ChunkNaming())
    state = log.latest()
    for size in (len(pack) - 1, len(pack) + 1, 2**61):
        name = pack[-20:].hex()
        backend.put(keys.git_pack(name), pack)
        assert log.append(replace(state, git_packs=(GitPack(name, size, 1),)), by="x")
        refused(peers("bob"), IntegrityError)


@pytest.mark.parametrize("tip", ["0" * 39 + "1", BLOB_ID, ids(("tree", TREE))[0]])
def test_a_ref_that_points_nowhere_or_at_no_commit_moves_nothing(
    peers: Peers, backend: MemoryBackend, tip: str
) -> None:
    serve(backend, packed(GOOD), tip)
    bob = peers("bob")
    try:
        bob.fetch()
    except MvcError:
        assert not bob.repo.refs.list()
    else:
        # A remote-tracking ref may stand for anything; what is there hangs together.
        assert all(bob.repo.objects.contains(one) for one in bob.repo.refs.list().values())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_pack_never_gets_in(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    body = bytearray(packed(GOOD)[:-20])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(8, len(body) - 1))] = data.draw(st.integers(0, 255))
    pack = bytes(body) + sha1(body).digest()
    backend = MemoryBackend()
    serve(backend, pack, TIP)
    bob = shared_peer(tmp_path_factory, backend)
    try:
        bob.fetch()
    except MvcError:
        return
    assert bob.repo.objects.raw(TIP) == COMMIT


_SHARED: list[Path] = []


def shared_peer(factory: pytest.TempPathFactory, backend: MemoryBackend) -> Peer:
    if not _SHARED:
        _SHARED.append(factory.mktemp("shared"))
    peer = Peer(_SHARED[0], backend)
    shutil.rmtree(peer.top / ".mvc" / "remote-cache", ignore_errors=True)
    for ref, value in peer.repo.refs.list().items():
        peer.repo.refs.update([RefChange(ref, value, None)], message="m", author=WHO)
    for path in (peer.top / ".mvc" / "objects" / "pack").glob("*"):
        path.unlink()
    return Peer(_SHARED[0], backend)


# ---- chunks


def plant(
    backend: MemoryBackend, tmp: Path, records: Sequence[tuple[bytes, Encoded, int, tuple[bytes, ...], int]]
) -> State:
    """A remote with a pack of these records (name, encoded, raw size, bases, depth), listed as it should be."""
    builder = PackBuilder(tmp / "tmp", ChunkNaming())
    places: dict[bytes, Location] = {}
    for name, encoded, raw_size, bases, depth in records:
        lead, stored = make_lead(name, raw_size, encoded.codec, depth, bases, encoded.params, encoded.payload)
        offset = builder.append(lead, encoded.payload)
        places[name] = Location(b"", offset, raw_size, stored, encoded.codec, depth, len(encoded.params), bases)
    pack_id = builder.finish()
    backend.put(keys.chunk_pack(pack_id.hex()), builder.path)
    idx = write_pack_idx(pack_id, builder.size, places, tmp / "idx", tmp / "tmp")
    backend.put(keys.chunk_idx(idx.stem), idx)
    log = RemoteLog(backend, None, ChunkNaming())
    state = log.latest(create=True)
    pack = ChunkPack(pack_id.hex(), builder.size, idx.stem, idx.stat().st_size)
    builder.discard()
    assert log.append(replace(state, chunk_packs=(*state.chunk_packs, pack)), by="x")
    return log.latest()


def raw(data: bytes) -> Encoded:
    return Encoded(0, b"", (data,))


def test_wrong_bytes_under_a_true_name_are_not_stored(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    """Else what somebody adds later would count as stored, and be lost."""
    true = noise(80_000)
    bob = peers("bob")
    bob.write({"x.bin": true})
    alice = peers("alice")
    alice.commit({"x.bin": true})
    names = sorted(alice.chunk_names())
    plant(backend, tmp_path, [(name, raw(noise(10_000, 5)), 10_000, (), 0) for name in names])
    with bob.remote() as remote, pytest.raises(IntegrityError):
        bring(remote, names)
    assert not bob.chunk_names()
    bob.commit({"x.bin": true})
    bob.check()


def test_bombs_and_unknown_codecs_are_refused(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 28))
    bad = {
        digest(b"1"): (Encoded(1, b"", (bomb,)), 1000, (), 0),
        digest(b"2"): (Encoded(1, b"", (bomb,)), 60 << 20, (), 0),
        digest(b"3"): (Encoded(77, b"", (b"x",)), 1, (), 0),
        digest(b"4"): (Encoded(3, b"\xff" * 9, (b"x",)), 1, (digest(b"3"),), 1),
        digest(b"5"): (Encoded(3, b"", (b"x",)), 1, (digest(b"nowhere"),), 1),
    }
    for name, (encoded, size, bases, depth) in bad.items():
        plant(backend, tmp_path, [(name, encoded, size, bases, depth)])
    bob = peers("bob")
    for name in bad:
        with bob.remote() as remote, pytest.raises(IntegrityError):
            bring(remote, [name])
    assert not bob.chunk_names()


def test_circles_of_bases_are_refused(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    one, two = digest(b"1"), digest(b"2")
    plant(backend, tmp_path, [(one, raw(b"1"), 1, (two,), 2), (two, raw(b"2"), 1, (one,), 2)])
    bob = peers("bob")
    with bob.remote() as remote, pytest.raises(IntegrityError, match="base"):
        bring(remote, [one])


Tamper = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: HEADER.pack(b"mvcidx\0\0", 1, 24, 0, 2**32 - 1, 2**60, 2**60) + data[HEADER.size :],
    ],
)
def test_an_idx_that_is_not_what_its_name_says_is_refused(peers: Peers, backend: MemoryBackend, tamper: Tamper) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"m.safetensors": model()})
    alice.push()
    (listed,) = backend.list("idx/")
    backend.put(listed.key, tamper(backend.get(listed.key)))
    with pytest.raises(IntegrityError):
        bob.fetch()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_an_idx_that_lies_under_its_right_name_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whoever writes to the remote can name any bytes by their hash."""
    backend = MemoryBackend()
    top = tmp_path_factory.mktemp("idx")
    chunk = noise(2000)
    state = plant(backend, top, [(digest(chunk), raw(chunk), 2000, (), 0)])
    (listed,) = backend.list("idx/")
    body = bytearray(backend.get(listed.key)[:-32])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    lie = bytes(body) + digest(bytes(body))
    name = digest(bytes(body)).hex()
    backend.put(keys.chunk_idx(name), lie)
    log = RemoteLog(backend, None, ChunkNaming())
    log.latest()
    pack = replace(state.chunk_packs[0], idx_id=name, idx_size=len(lie))
    assert log.append(replace(state, chunk_packs=(pack,)), by="x")
    bob = Peer(top, backend)
    try:
        with bob.remote() as remote:
            bring(remote, [digest(chunk)])
    except MvcError:
        pass
    chunks = open_chunks(bob.repo)
    assert set(chunks.names()) <= {digest(chunk)}
    for one in chunks.names():
        assert chunks.read(one) == chunk


def test_a_pack_whose_idx_lists_another_is_refused(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    chunk = noise(2000)
    state = plant(backend, tmp_path, [(digest(chunk), raw(chunk), 2000, (), 0)])
    log = RemoteLog(backend, None, ChunkNaming())
    log.latest()
    assert log.append(replace(state, chunk_packs=(replace(state.chunk_packs[0], id="a" * 64),)), by="x")
    bob = peers("bob")
    with bob.remote() as remote, pytest.raises(IntegrityError, match="does not list"):
        bring(remote, [digest(chunk)])


def test_a_chunk_that_nobody_has_is_told_with_the_remote(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"m.safetensors": model()})
    alice.push()
    bob.fetch()
    log = RemoteLog(backend, None, ChunkNaming())
    assert log.append(replace(log.latest(), chunk_packs=()), by="x")
    bob.fetch()
    before = everything(bob.top)
    with pytest.raises(MissingObject, match="origin"):
        bob.checkout("origin/main")
    assert {name for name in everything(bob.top) if not name.startswith(".mvc/")} == {
        name for name in before if not name.startswith(".mvc/")
    }


def test_an_idx_of_absurd_size_is_not_read(backend: MemoryBackend, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        path = tmp_path / "x.idx"
        path.write_bytes(HEADER.pack(b"mvcidx\0\0", 1, 24, 0, 2**32 - 1, 2**60, 2**60))
        Idx(path)
