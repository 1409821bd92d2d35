"""A flipped bit in any byte of any pack or idx is found by `verify`, and never served by `read`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mvc.codecs.base import Base
from mvc.codecs.encode import encode
from mvc.errors import IntegrityError
from mvc.hashing import digest
from mvc.settings import StoreSettings
from mvc.store import verify
from mvc.store.chunkstore import ChunkStore
from tests.store.making import add, chunk, idx_files, open_store, pack_files, put, records_in


@contextmanager
def flipped(path: Path, at: int, bit: int) -> Iterator[None]:
    with open(path, "r+b") as file:
        file.seek(at)
        before = file.read(1)[0]
        file.seek(at)
        file.write(bytes([before ^ 1 << bit]))
    try:
        yield
    finally:
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([before]))


def quick(root: Path) -> ChunkStore:
    return ChunkStore.open(root / "chunks", root / "tmp", StoreSettings(threads=1))


def weights(seed: int, count: int) -> bytes:
    """BF16 numbers as training makes them: their high bytes are alike."""
    rng = random.Random(seed)
    return b"".join(bytes((rng.randrange(256), rng.choice((0x3C, 0x3C, 0xBC, 0x3D)))) for _ in range(count))


@pytest.fixture
def filled(tmp_path: Path) -> tuple[ChunkStore, dict[bytes, bytes]]:
    """A store with a record of each codec that applies, and with deltas on deltas."""
    store = open_store(tmp_path)
    raws: dict[bytes, bytes] = {}
    with store.intend("test") as intent, store.writer(intent) as writer:
        for raw in (chunk(1, 40), b"text " * 40, b""):
            raws[digest(raw)] = raw
            writer.add(digest(raw), encode(raw), raw_size=len(raw))
        last = weights(1, 120)
        raws[digest(last)] = last
        writer.add(digest(last), encode(last, "BF16"), raw_size=len(last))
        writer.flush()
        for depth in (1, 2):
            new = bytearray(last)
            for at in range(0, len(new), 12 * depth):
                new[at] ^= 1
            encoded = encode(bytes(new), "BF16", (Base("same", last),))
            bases = (digest(last),) if encoded.base is not None else ()
            raws[digest(new)] = bytes(new)
            writer.add(digest(new), encoded, raw_size=len(new), bases=bases, depth=depth if bases else 0)
            last = bytes(new)
    return store, raws


def served_wrong(root: Path, raws: dict[bytes, bytes]) -> list[bytes]:
    """The chunks that are read as other than they were."""
    store = quick(root)
    wrong = []
    for name, raw in raws.items():
        try:
            if store.read(name) != raw:
                wrong.append(name)
        except IntegrityError:
            pass
    return wrong


def test_every_byte_of_every_file(tmp_path: Path, filled: tuple[ChunkStore, dict[bytes, bytes]]) -> None:
    store, raws = filled
    files = pack_files(store) + idx_files(store)
    assert len(files) == 4 and store.verify() == []
    rng = random.Random(4)
    for path in files:
        for at in range(path.stat().st_size):
            with flipped(path, at, rng.randrange(8)):
                damage = quick(tmp_path).verify()
                assert damage and {one.path for one in damage} <= set(files), (path, at)
                assert path in {one.path for one in damage}, (path, at)
                assert served_wrong(tmp_path, raws) == [], (path, at)
    assert store.verify() == []


def test_a_thousand_random_flips(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    raws = {digest(raw): raw for raw in (chunk(n, 2000) for n in range(40))}
    for part in (list(raws.values())[:25], list(raws.values())[25:]):
        with store.intend("test") as intent, store.writer(intent) as writer:
            for raw in part:
                add(writer, raw)
    files = pack_files(store) + idx_files(store)
    sizes = [path.stat().st_size for path in files]
    rng = random.Random(7)
    for _ in range(1000):
        path = rng.choices(files, sizes)[0]
        at = rng.randrange(path.stat().st_size)
        with flipped(path, at, rng.randrange(8)):
            damage = quick(tmp_path).verify(decode=False)
            assert path in {one.path for one in damage}
            named = {one.name for one in damage if one.name}
            if path.suffix == ".pack" and 16 <= at < path.stat().st_size - 48:
                hit = [name for name, offset in offsets(path).items() if offset <= at < offset + 64 + 2000]
                assert named == set(hit)
                with pytest.raises(IntegrityError):
                    open_store(tmp_path).read_stored(hit[0])


_known: dict[Path, dict[bytes, int]] = {}


def offsets(path: Path) -> dict[bytes, int]:
    """The records of a pack, from the idx that lists it, as its own heads may be damaged."""
    if path not in _known:
        root = path.parents[3]
        found = {name: place.offset for name, place in open_store(root).records() if place.pack.hex() == path.stem}
        _known[path] = found
    return _known[path]


def test_a_file_that_is_cut_or_longer_is_found(tmp_path: Path, filled: tuple[ChunkStore, dict[bytes, bytes]]) -> None:
    store, raws = filled
    for path in pack_files(store) + idx_files(store):
        data = path.read_bytes()
        for length in (0, 1, 15, 16, 17, len(data) // 2, len(data) - 48, len(data) - 1):
            path.write_bytes(data[:length])
            assert path in {one.path for one in quick(tmp_path).verify()}, length
            assert served_wrong(tmp_path, raws) == []
        for more in (b"\0", data, bytes(100)):
            path.write_bytes(data + more)
            assert path in {one.path for one in quick(tmp_path).verify()}
            assert served_wrong(tmp_path, raws) == []
        path.write_bytes(data)
    assert store.verify() == []


def test_without_an_idx_a_damaged_pack_still_shows(
    tmp_path: Path, filled: tuple[ChunkStore, dict[bytes, bytes]]
) -> None:
    store, _ = filled
    for path in idx_files(store):
        path.unlink()
    path = pack_files(store)[0]
    assert records_in(path)
    for at in range(path.stat().st_size):
        with flipped(path, at, at % 8):
            assert path in {one.path for one in quick(tmp_path).verify(decode=False)}, at


def test_records_of_another_pack_under_its_name_are_found(
    tmp_path: Path, filled: tuple[ChunkStore, dict[bytes, bytes]]
) -> None:
    store, raws = filled
    one, other = pack_files(store)
    one.write_bytes(other.read_bytes())
    assert one in {damage.path for damage in quick(tmp_path).verify()}
    assert served_wrong(tmp_path, raws) == []


def test_a_delta_whose_base_is_lost_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.intend("test") as intent, store.writer(intent) as writer:
        base = add(writer, chunk(1))
        writer.flush()
        name = add(writer, chunk(2), [base], 1)
    [lost] = [path for path in pack_files(store) if base in records_in(path)]
    lost.unlink()
    store.rebuild_idx()
    assert [damage.name for damage in store.verify(decode=False)] == [name]


@pytest.mark.parametrize("threads", [1, 3])
def test_many_batches_in_the_same_memory(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_BATCH", 4096)
    monkeypatch.setattr(verify, "_ROOM", 6000)
    settings = StoreSettings(threads=threads)
    store = open_store(tmp_path, settings)
    put(store, *(chunk(n, 300 + n * 700 % 9001) for n in range(60)))
    (pack,) = pack_files(store)
    assert store.verify() == []
    places = offsets(pack)
    for name, offset in list(places.items())[::7]:
        with flipped(pack, offset + 200, 3):
            assert [(one.name, one.offset) for one in store.verify()] == [(name, offset)]
    assert store.verify() == []
