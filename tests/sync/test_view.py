"""Reading a remote without a clone: what comes, how many requests it takes, and that every fault is told."""

from __future__ import annotations

import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, at
from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, MissingObject, MvcError, NotFound, UnsupportedFormat
from mvc.hub.messages import Right
from mvc.hub.service import Service
from mvc.objects import trees
from mvc.objects.manifest import Manifest, parse
from mvc.objects.packentry import OFS_DELTA, REF_DELTA, TYPES, encode_head, encode_offset
from mvc.objects.packindex import PackIndex, dump_index
from mvc.objects.packranges import RangedPackIndex
from mvc.repo.tensors import file_chunks, read_chunk, read_tensor
from mvc.settings import ChunkNaming
from mvc.store import idxbuild
from mvc.store.idx import Idx
from mvc.store.idxranges import RangedIdx
from mvc.store.records import Location
from mvc.sync import keys, viewindex, viewobjects
from mvc.sync.remotelog import RemoteLog
from mvc.sync.view import RemoteView
from tests.hub.making import InProcess, client, over
from tests.models import fine_tuned, layers, safetensors_bytes
from tests.sync.making import Counted, Peer, Peers, model, noise, tuned
from tests.sync.test_hostile import commit, entry, ids, packed, serve, tree

FIRST = {"m.safetensors": model(width=512), "d/x": b"1", "noise": noise(200_000)}
SECOND = {"m.safetensors": tuned(width=512), "d/x": b"2"}


class Scene:
    """Two commits, pushed one by one; `first` has the tag v1."""

    def __init__(self, top: Path) -> None:
        self.backend = MemoryBackend()
        (top / "a").mkdir()
        self.peer = Peer(top / "a", self.backend)
        self.first = self.peer.commit(FIRST)
        self.peer.push()
        self.second = self.peer.commit(SECOND)
        self.peer.push()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("view"))


def manifest(view: RemoteView, revision: str, path: str = "m.safetensors") -> Manifest:
    tree = view.objects.commit(view.resolve(revision)).tree
    return parse(view.objects.blob(trees.flatten(view.objects, tree)[path].id))


def content(view: RemoteView, revision: str, path: str = "m.safetensors") -> bytes:
    found = manifest(view, revision, path)
    return b"".join(bytes(read_chunk(view.chunks, ref, one)) for _, ref, one in file_chunks(view.chunks, found))


def test_revisions(scene: Scene, tmp_path: Path) -> None:
    with RemoteView(scene.backend, tmp_path) as view:
        assert {view.resolve(one) for one in ("", "HEAD", "main", "@", scene.second, scene.second[:9])} == {
            scene.second
        }
        assert {view.resolve(one) for one in ("main~1", "HEAD^", scene.first[:7], f"{scene.second}~")} == {scene.first}
        for wrong in ("v9", "main~2", "0123456", "main@{1}", "@{yesterday}", "f" * 40):
            with pytest.raises(NotFound):
                view.resolve(wrong)


@pytest.mark.parametrize("git_idx", [0, 1 << 20], ids=["ranges of Git idx", "whole Git idx"])
@pytest.mark.parametrize("small", [0, 1 << 20], ids=["ranges of Git packs", "whole Git packs"])
@pytest.mark.parametrize("small_idx", [0, 1 << 20], ids=["ranges of idx", "whole idx"])
def test_every_version(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, small_idx: int, git_idx: int
) -> None:
    monkeypatch.setattr(viewobjects, "SMALL_IDX", git_idx)
    monkeypatch.setattr(viewobjects, "PER_OBJECT", 0)
    monkeypatch.setattr(viewobjects, "SMALL_PACK", small)
    monkeypatch.setattr(viewindex, "SMALL_IDX", small_idx)
    if not small_idx:
        monkeypatch.setattr(viewindex, "_pays", lambda size, wanted: False)
    with RemoteView(scene.backend, tmp_path) as view:
        assert content(view, "main") == SECOND["m.safetensors"]
        assert content(view, "main~1") == FIRST["m.safetensors"]
        assert content(view, "main", "noise") == FIRST["noise"]
        assert view.resolve(scene.first[:8]) == scene.first
    with RemoteView(scene.backend, tmp_path) as view:
        flat = trees.flatten(view.objects, view.objects.commit(view.resolve("main")).tree)
        view.bring_objects([item.id for item in flat.values()])
        assert view.objects.blob(flat["d/x"].id) == b"2"


def test_few_requests_for_one_tensor(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    """A tensor of 1 MiB that is a delta: refs and idx known, its chunk and its base are two requests."""
    base = layers(0, 12, 512)
    alice = peers("alice")
    for weights in (base, fine_tuned(base)):
        alice.commit({"m.safetensors": safetensors_bytes(weights)})
        alice.push()
    counted = Counted(backend)
    with RemoteView(counted, tmp_path / "cache") as view:  # type: ignore[arg-type]
        found = manifest(view, "main")
        counted.calls.clear()
        one = read_tensor(view.chunks, found, "encoder.layer.7.weight").data
        assert one == fine_tuned(base)["encoder.layer.7.weight"].tobytes() and len(one) == 1 << 20
        assert len(counted.calls) == 4  # two of them bring idx
        counted.calls.clear()
        before = view.moved
        assert before < 2 << 20  # all that was read so far, from the first request on
        read_tensor(view.chunks, found, "encoder.layer.3.weight")
        assert len(counted.calls) == 2 and view.moved - before < 2 << 20
    counted.calls.clear()
    with RemoteView(counted, tmp_path / "cache") as view:  # type: ignore[arg-type]
        # Anew, with what is remembered: two requests tell that nothing came.
        read_tensor(view.chunks, manifest(view, "main"), "encoder.layer.7.weight")
        assert [key for _, key in counted.calls[:2]] == [keys.entry(3), keys.entry(2)] and len(counted.calls) == 4
    counted.calls.clear()
    tip = alice.repo.refs.head().id
    with RemoteView(counted, tmp_path / "cache") as view:  # type: ignore[arg-type]
        # An id says the same at all times: nobody is asked for what came since.
        read_tensor(view.chunks, manifest(view, tip or ""), "encoder.layer.7.weight")
        assert len(counted.calls) == 2


def test_a_batch_joins_what_is_near(scene: Scene, tmp_path: Path) -> None:
    counted = Counted(scene.backend)
    with RemoteView(counted, tmp_path) as view:  # type: ignore[arg-type]
        found = manifest(view, "main")
        refs = [ref for _, ref, _ in file_chunks(view.chunks, found)]
        view.chunks.find(refs[0].name)
        counted.calls.clear()
        with view.batch([ref.name for ref in refs]) as records:
            assert b"".join(bytes(records.read(ref.name)) for ref in refs) == SECOND["m.safetensors"]
        assert len(counted.calls) == 2
        with pytest.raises(MissingObject):
            view.chunks.read(bytes(32))


def everything(backend: Backend, cache: Path) -> None:
    with RemoteView(backend, cache) as view:
        assert content(view, "main") == SECOND["m.safetensors"]


@pytest.mark.parametrize("fault", [one for one in Fault if one is not Fault.TWICE])
def test_every_request_fails(scene: Scene, tmp_path: Path, fault: Fault) -> None:
    """An error, or the right bytes; and the repeat, with what was kept, has the right bytes."""
    counting = FaultyBackend(scene.backend)
    everything(counting, tmp_path / "count")
    for number in range(len(counting.requests)):
        cache = tmp_path / str(number)
        try:
            everything(FaultyBackend(scene.backend, at({number: fault})), cache)
        except MvcError as error:
            assert error.message
        everything(scene.backend, cache)
        shutil.rmtree(cache)


def test_a_pack_that_gc_took_is_looked_for_anew(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    """The remote's chunks move to another pack between a look at its state and a read."""
    alice, other = peers("alice"), MemoryBackend()
    alice.commit({"m.safetensors": model()})
    alice.push()
    (tmp_path / "bob").mkdir()
    bob = Peer(tmp_path / "bob", other)
    bob.commit({"m.safetensors": model(), "n": noise(100_000)})
    bob.push()
    with RemoteView(backend, tmp_path / "cache") as view:
        found = manifest(view, "main")
        log = RemoteLog(backend, None, ChunkNaming())
        state = log.latest()
        for key, data in other._objects.items():
            if key.startswith(("packs/", "idx/")):
                backend._objects[key] = data
        for pack in state.chunk_packs:
            backend.delete([keys.chunk_pack(pack.id)])
        theirs = RemoteLog(other, None, ChunkNaming()).latest()
        assert log.append(replace(state, generation=1, chunk_packs=theirs.chunk_packs), by="gc")
        assert {pack.id for pack in theirs.chunk_packs}.isdisjoint({pack.id for pack in state.chunk_packs})
        assert read_tensor(view.chunks, found, "encoder.layer.0.weight").data in model()


def test_nothing_there(tmp_path: Path, scene: Scene) -> None:
    with RemoteView(MemoryBackend(), tmp_path / "a") as view, pytest.raises(NotFound, match="no mvc remote"):
        view.resolve("main")
    keyed = ChunkNaming(b"k" * 32)
    with RemoteView(scene.backend, tmp_path / "b", keyed) as view, pytest.raises(UnsupportedFormat, match="key"):
        view.resolve("main")


def spread(count: int, copies: int) -> list[tuple[bytes, Location]]:
    random = np.random.default_rng(count)
    rows = []
    for number in range(count):
        name = random.bytes(32)
        for copy in range(copies if number % 7 == 0 else 1):
            bases = tuple(random.bytes(32) for _ in range(copy % 3))
            rows.append((name, Location(bytes([copy]) * 32, 16 + number * 100, 9, 30, copy % 4, copy % 3, 0, bases)))
    return rows


@pytest.mark.parametrize(("count", "copies"), [(1, 1), (5, 4), (3000, 3)])
def test_ranges_of_an_idx_find_what_the_idx_finds(tmp_path: Path, count: int, copies: int) -> None:
    rows = spread(count, copies)
    packs = [(bytes([copy]) * 32, 1 << 40) for copy in range(copies)]
    table = idxbuild.merge([idxbuild.from_records(packs, rows)])
    idx = Idx(idxbuild.write(table, tmp_path, tmp_path))
    data = bytes(idx.data)
    asked = [0]

    def read_at(offset: int, length: int) -> bytes:
        asked[0] += 1
        return data[offset : offset + length]

    ranged = RangedIdx(read_at, len(data))
    for name in [name for name, _ in rows[::11]] + [bytes(32), b"\xff" * 32, b"\x80" * 32]:
        asked[0] = 0
        assert ranged.copies(name) == [idx.location(number) for number in idx.find_all(name)]
        assert asked[0] <= 2 + copies
    with pytest.raises(IntegrityError):
        RangedIdx(read_at, len(data) + 1)
    with pytest.raises(IntegrityError):
        RangedIdx(lambda offset, length: bytes(length), len(data))


@pytest.mark.parametrize(("count", "far"), [(0, False), (1, False), (300, True), (20_000, False)])
def test_ranges_of_a_git_index_find_what_the_index_finds(tmp_path: Path, count: int, far: bool) -> None:
    random = np.random.default_rng(count)
    beyond = 1 << 31 if far else 0
    rows = [(random.bytes(20), 0, 12 + number * 50 + beyond * (number % 3)) for number in range(count)]
    path = tmp_path / "x.idx"
    path.write_bytes(dump_index(rows, bytes(20)))
    data = path.read_bytes()
    whole, read = PackIndex(path), [0]

    def read_at(offset: int, length: int) -> bytes:
        read[0] += length
        return data[offset : offset + length]

    ranged = RangedPackIndex(read_at, len(data))
    for name in [row[0] for row in rows[::7]] + [bytes(20), b"\xff" * 20, random.bytes(20)]:
        read[0] = 0
        assert ranged.find(name) == whole.find(name) and read[0] < 4096
        prefix = name.hex()[:4]
        assert ranged.with_prefix(prefix) == list(whole.with_prefix(prefix))
    with pytest.raises(IntegrityError):
        RangedPackIndex(read_at, len(data) - 1)
    with pytest.raises(IntegrityError):
        RangedPackIndex(lambda offset, length: bytes(length), len(data))


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, list[bytes]]]:
    """Sound indexes of both kinds, with names that are in them, and one that is not."""
    top = tmp_path_factory.mktemp("sound")
    rows = spread(300, 2)
    packs = [(bytes([copy]) * 32, 1 << 40) for copy in range(2)]
    path = idxbuild.write(idxbuild.merge([idxbuild.from_records(packs, rows)]), top, top)
    assert path is not None
    ids = [name[:20] for name, _ in rows]
    git = dump_index([(name, 0, 12 + at) for at, name in enumerate(dict.fromkeys(ids))], bytes(20))
    return [(path.read_bytes(), [rows[0][0], rows[-1][0], bytes(32)]), (git, [ids[0], ids[-1], bytes(20)])]


@settings(max_examples=150)
@given(data=st.data())
def test_an_idx_that_lies_is_an_error_or_does_no_harm(
    indexes: list[tuple[bytes, list[bytes]]], data: st.DataObject
) -> None:
    """Any bytes of either kind of index changed: a place or none, or an error of mvc, in few reads."""
    good, names = data.draw(st.sampled_from(indexes))
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        # Mostly where counts and offsets stand.
        at = data.draw(st.one_of(st.integers(0, 1100), st.integers(0, len(body) - 1)))
        body[min(at, len(body) - 1)] = data.draw(st.integers(0, 255))
    reads = [0]

    def read_at(offset: int, length: int) -> bytes:
        reads[0] += 1
        if offset < 0 or offset + length > len(body):
            raise IntegrityError("too little")
        return bytes(body[offset : offset + length])

    try:
        if len(names[0]) == 20:
            index = RangedPackIndex(read_at, len(body))
            found = [index.find(name) for name in names]
            index.with_prefix(names[0].hex()[:4])
        else:
            ranged = RangedIdx(read_at, len(body))
            found = [ranged.copies(name) for name in names]  # type: ignore[misc]
        assert len(found) == len(names)
    except (IntegrityError, UnsupportedFormat):
        pass
    assert reads[0] < 60


def large_pack(backend: MemoryBackend, entries: list[bytes], rows: list[tuple[bytes, int, int]], tip: str) -> None:
    """A remote whose one Git pack is read by ranges, with an idx that tells `rows`."""
    pack = packed(entries)
    serve(backend, pack, tip)
    log = RemoteLog(backend, None, ChunkNaming())
    idx = dump_index(rows, pack[-20:])
    state = log.latest()
    backend.put(keys.git_idx(state.git_packs[0].id), idx)
    git = (replace(state.git_packs[0], idx_size=len(idx)),)
    assert log.append(replace(state, git_packs=git), by="x")


def test_git_packs_that_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewobjects, "SMALL_PACK", 0)
    good = tree(("100644", "a", "1" * 40))
    evil = tree(("100644", "..", "1" * 40))
    bomb = encode_head(TYPES["blob"], 300 << 20) + zlib.compress(b"x")
    cases = [
        ([entry("tree", good)], ids(("blob", b"x")), "not what its index tells"),
        ([entry("tree", evil)], ids(("tree", evil)), "component"),
        ([entry("blob", b"x", told=99)], ids(("blob", b"x")), "size"),
        ([bomb], ids(("blob", b"x")), "too large"),
        ([encode_head(REF_DELTA, 3) + bytes(20) + zlib.compress(b"abc")], ids(("blob", b"x")), "missing"),
    ]
    for number, (entries, names, says) in enumerate(cases):
        backend = MemoryBackend()
        large_pack(backend, entries, [(bytes.fromhex(names[0]), 0, 12)], names[0])
        with RemoteView(backend, tmp_path / str(number)) as view, pytest.raises(MvcError, match=says):
            view.resolve("main")
        assert not list((tmp_path / str(number)).rglob("*.pack"))


def test_deltas_of_a_large_git_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's writer makes none; the format has them."""
    monkeypatch.setattr(viewobjects, "SMALL_PACK", 0)
    base, changed = b"some words that stand for themselves\n" * 9, b"some words that stand for themselves\n" * 8
    delta = varint(len(base)) + varint(len(changed)) + b"\xb0" + len(changed).to_bytes(2, "little")
    root = tree(("100644", "a", ids(("blob", changed))[0]), ("100644", "b", ids(("blob", base))[0]))
    made = commit(ids(("tree", root))[0])
    head = [entry("commit", made), entry("tree", root), entry("blob", base)]
    places = [12, 12 + len(head[0]), 12 + len(head[0]) + len(head[1])]
    at = places[2] + len(head[2])
    by_offset = encode_head(OFS_DELTA, len(delta)) + encode_offset(at - places[2]) + zlib.compress(delta)
    by_id = encode_head(REF_DELTA, len(delta)) + bytes.fromhex(ids(("blob", base))[0]) + zlib.compress(delta)
    for number, last in enumerate((by_offset, by_id)):
        backend = MemoryBackend()
        names = ids(("commit", made), ("tree", root), ("blob", base), ("blob", changed))
        rows = [(bytes.fromhex(name), 0, place) for name, place in zip(names, [*places, at], strict=True)]
        large_pack(backend, [*head, last], rows, names[0])
        with RemoteView(backend, tmp_path / str(number)) as view:
            flat = trees.flatten(view.objects, view.objects.commit(view.resolve("main")).tree)
            assert [view.objects.blob(flat[name].id) for name in "ab"] == [changed, base]


def varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7])


def test_a_server_is_asked_where_chunks_lie(tmp_path: Path) -> None:
    """No idx comes: one question for a batch, of which the answer tells the bases, too."""
    service = Service(over(MemoryBackend(), tmp_path / "memory"))
    (tmp_path / "a").mkdir()
    alice = Peer(tmp_path / "a", client(service))
    for version in (FIRST, SECOND):
        alice.commit(version)
        alice.push()
    backend = client(service, Right.READ)
    exchange = backend._exchange
    assert isinstance(exchange, InProcess)
    with RemoteView(backend, tmp_path / "cache") as view:
        found = manifest(view, "main")
        before = len(exchange.requests)
        with view.batch([ref.name for _, ref, _ in file_chunks(view.chunks, found)]) as records:
            data = b"".join(bytes(records.read(ref.name)) for _, ref, _ in file_chunks(view.chunks, found))
        assert data == SECOND["m.safetensors"]
        asked = [(method, target.rpartition("/mvc/1/")[2]) for method, target, _ in exchange.requests[before:]]
        assert asked[0] == ("POST", "locate") and len(asked) == 3
        assert not any("idx" in target for _, target, _ in exchange.requests)
        assert view.meter.received > 200_000 and view.meter.requests == len(exchange.requests)
        with pytest.raises(MissingObject):
            view.chunks.read(bytes(32))
    service.close()


def test_most_of_a_large_git_pack_comes_whole(peers: Peers, backend: MemoryBackend, tmp_path: Path) -> None:
    files = {f"d{number % 9}/{number}": noise(20_000, number) for number in range(150)}
    alice = peers("alice")
    alice.commit(files)
    alice.push()
    size = max(len(data) for key, (data, _) in backend._objects.items() if key.startswith("git/"))
    assert size > viewobjects.SMALL_PACK
    with RemoteView(backend, tmp_path / "cache") as view:
        flat = trees.flatten(view.objects, view.objects.commit(view.resolve("main")).tree)
        before = view.meter.requests
        view.bring_objects([item.id for item in flat.values()])
        assert view.meter.requests - before <= 2
        assert {path: view.objects.blob(item.id) for path, item in flat.items()} == files
        assert view.meter.requests - before <= 2


def test_several_threads_and_processes_read_at_once(scene: Scene, tmp_path: Path) -> None:
    """One cache, several views, several threads each."""

    def read(number: int) -> None:
        with RemoteView(scene.backend, tmp_path / "cache") as view:
            found = [manifest(view, "main"), manifest(view, "main~1")]
            names = [f"encoder.layer.{layer}.weight" for layer in range(3)]
            with ThreadPoolExecutor(4) as pool:
                tasks = [(one, name) for one in found for name in names] * 2
                for data in pool.map(lambda task: read_tensor(view.chunks, *task).data, tasks[number % 3 :]):
                    assert len(data) == 1 << 20
            assert content(view, "main") == SECOND["m.safetensors"]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(read, range(12)))
