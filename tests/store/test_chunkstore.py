from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from mvc import fsio
from mvc.codecs.base import Encoded
from mvc.errors import IntegrityError, MissingObject, UsageError
from mvc.hashing import digest
from mvc.settings import ChunkNaming, StoreSettings
from mvc.store.chunkstore import ChunkStore
from mvc.store.compact import MAX_IDX
from mvc.store.records import parse_record
from tests.store.making import add, chunk, idx_files, open_store, pack_files, prune, put, put_delta, raw_encoded


@pytest.mark.parametrize("mapped", [True, False])
def test_what_was_stored_is_read_by_another(tmp_path: Path, mapped: bool) -> None:
    raws = [chunk(n, n * 37) for n in range(60)]
    names = put(open_store(tmp_path), *raws)
    store = open_store(tmp_path, mapped=mapped)
    assert [bytes(store.read(name)) for name in names] == raws
    assert sorted(store.names()) == sorted(names)
    assert all(store.find(name) for name in names) and store.find(b"?" * 32) is None
    assert names[3] in store and b"?" * 32 not in store
    out = bytearray(len(raws[9]))
    assert store.read(names[9], out=out) is out and out == raws[9]
    figures = store.statistics()
    assert (figures.chunks, figures.packs, figures.idx_files) == (60, 1, 1)
    assert figures.raw_bytes == figures.stored_bytes == sum(map(len, raws))
    assert figures.pack_bytes == pack_files(store)[0].stat().st_size
    assert [(pack.records, pack.path) for pack in store.packs()] == [(60, pack_files(store)[0])]


def test_a_record_is_given_as_it_is_stored(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    [base] = put(store, chunk(1))
    name = put_delta(store, chunk(2), [base], 1)
    record = store.read_stored(name)
    place = store.find(name)
    assert place is not None
    header, payload = parse_record(record, name, place)
    assert payload == chunk(2) and header == store.header(name) and header.bases == (base,)
    assert dict(store.records())[name] == place


def test_a_chunk_that_is_not_there(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.find(b"?" * 32) is None
    for read in (store.read, store.header, store.read_stored):
        with pytest.raises(MissingObject):
            read(b"?" * 32)


def test_an_empty_folder_is_an_empty_store(tmp_path: Path) -> None:
    store = ChunkStore.open(tmp_path / "chunks", tmp_path / "tmp", StoreSettings())
    assert store.statistics().chunks == 0 and store.verify() == [] and not (tmp_path / "chunks").exists()
    [name] = put(store, chunk(1))
    assert store.read(name) == chunk(1)


def test_nothing_is_stored_twice(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    [name] = put(store, chunk(1))
    with store.intend("test") as intent, open_store(tmp_path).writer(intent) as writer:
        assert not writer.begin(name)
        assert not writer.add(name, raw_encoded(chunk(1)), raw_size=1000)
        add(writer, chunk(2))
        assert not writer.begin(digest(chunk(2)))
        assert not writer.add(digest(chunk(2)), raw_encoded(chunk(2)), raw_size=1000)
        assert writer.stored_chunks == 1
        assert writer.stored_bytes == 1064
    assert len(pack_files(store)) == 2


def test_threads_that_meet_store_each_chunk_once(tmp_path: Path) -> None:
    store = open_store(tmp_path, StoreSettings(pack_size=50_000))
    raws = [chunk(n) for n in range(300)]
    counts: list[int] = []

    def work(seed: int, use_begin: bool) -> None:
        mine = raws[:]
        random.Random(seed).shuffle(mine)
        done = 0
        for raw in mine:
            name = digest(raw)
            if not use_begin or writer.begin(name):
                done += writer.add(name, raw_encoded(raw), raw_size=len(raw))
        counts.append(done)

    with store.intend("test") as intent, store.writer(intent) as writer:
        threads = [threading.Thread(target=work, args=(n, n % 2 == 0)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(counts) == 300
    assert len(list(store.records())) == 300 and len(pack_files(store)) > 5
    assert all(store.read(digest(raw)) == raw for raw in raws)
    assert store.verify() == []


def test_a_session_sees_its_own_chunks_before_and_after_they_are_sealed(tmp_path: Path) -> None:
    store = open_store(tmp_path, StoreSettings(pack_size=5000))
    raws = [chunk(n) for n in range(30)]
    with store.intend("test") as intent, store.writer(intent) as writer:
        for n, raw in enumerate(raws):
            name = add(writer, raw, [digest(raws[n - 1])] if n % 4 else [], n % 4)
            place = writer.find(name)
            assert place is not None and place.depth == n % 4
            assert [bytes(writer.read(digest(old))) for old in raws[: n + 1]] == raws[: n + 1]
        assert writer.find(b"?" * 32) is None
        with pytest.raises(MissingObject):
            writer.read(b"?" * 32)
    assert store.verify() == []


def test_readers_and_seals_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path, StoreSettings(pack_size=3000))
    raws = [chunk(n) for n in range(200)]
    wrong: list[BaseException] = []
    stop = threading.Event()

    def read_back() -> None:
        rng = random.Random(1)
        try:
            while not stop.is_set():
                raw = raws[rng.randrange(len(raws))]
                if writer.find(digest(raw)) is not None:
                    assert writer.read(digest(raw)) == raw
        except BaseException as error:
            wrong.append(error)

    with store.intend("test") as intent, store.writer(intent) as writer:
        threads = [threading.Thread(target=read_back) for _ in range(2)]
        for thread in threads:
            thread.start()
        for raw in raws:
            add(writer, raw)
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert len(idx_files(store)) <= MAX_IDX


def test_a_base_must_be_there_and_shallower(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    [deep] = put(store, chunk(0))
    for depth in range(1, 5):
        deep = put_delta(store, chunk(depth), [deep], depth)
    with store.intend("test") as intent:
        for bases, depth in [([deep], 1), ([deep], 4), ([deep], 5), ([b"?" * 32], 1), ([digest(chunk(0))], 0)]:
            writer = store.writer(intent)
            with pytest.raises(UsageError):
                add(writer, chunk(9), bases, depth)
            writer.abort()
    assert store.verify() == [] and digest(chunk(9)) not in store


def test_an_aborted_session_leaves_nothing_but_what_was_sealed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.intend("test") as intent:
        with pytest.raises(ZeroDivisionError), store.writer(intent) as writer:
            add(writer, chunk(1))
            writer.flush()
            add(writer, chunk(2))
            raise ZeroDivisionError
        with pytest.raises(UsageError):
            writer.begin(b"?" * 32)
    assert list(store.paths.tmp.iterdir()) == []
    assert sorted(open_store(tmp_path).names()) == [digest(chunk(1))]


def test_a_chunk_begun_but_never_added_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.intend("test") as intent, pytest.raises(UsageError), store.writer(intent) as writer:
        writer.begin(b"?" * 32)


def test_a_failed_write_ends_the_session(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def full(operation: str, path: str) -> None:
        if operation == "write":
            raise OSError(28, "No space left on device", path)

    with store.intend("test") as intent:
        writer = store.writer(intent)
        add(writer, chunk(1))
        with fsio.hooked(full), pytest.raises(OSError, match="No space"):
            add(writer, chunk(2))
        for call in (lambda: writer.begin(b"?" * 32), writer.flush, lambda: add(writer, chunk(3))):
            with pytest.raises(OSError, match="No space"):  # whoever asks is told why
                call()
        writer.abort()
    assert list(store.paths.tmp.iterdir()) == [] and list(store.names()) == []


def test_writes_are_verified_when_asked_to(tmp_path: Path) -> None:
    store = open_store(tmp_path, StoreSettings(verify_writes=True))
    put(store, chunk(1))
    wrong = [raw_encoded(chunk(2, 999)), raw_encoded(chunk(3)), Encoded(77, b"", (chunk(2),)), Encoded(1, b"", (b"x",))]
    for encoded in wrong:
        with store.intend("test") as intent, pytest.raises(IntegrityError), store.writer(intent) as writer:
            writer.add(digest(chunk(2)), encoded, raw_size=1000)
    assert len(list(store.names())) == 1


def test_keyed_names(tmp_path: Path) -> None:
    settings = StoreSettings(naming=ChunkNaming(b"k" * 32))
    store = open_store(tmp_path, settings)
    with store.intend("test") as intent, store.writer(intent) as writer:
        from blake3 import blake3

        name = blake3(chunk(1), key=b"k" * 32).digest()
        writer.add(name, raw_encoded(chunk(1)), raw_size=1000)
    assert store.read(name) == chunk(1) and store.verify() == []
    plain = open_store(tmp_path)
    with pytest.raises(IntegrityError):
        plain.read(name)
    assert any("named in another way" in damage.message for damage in plain.verify())


def test_many_small_sessions_keep_few_idx_files(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = [name for n in range(40) for name in put(store, chunk(n), chunk(1000 + n))]
    assert len(idx_files(store)) <= MAX_IDX
    assert sorted(store.names()) == sorted(names) and len(pack_files(store)) == 40
    assert store.verify() == []


def test_a_reader_survives_gc_under_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, *(chunk(n) for n in range(10)))
    stale = open_store(tmp_path)
    opened = open_store(tmp_path)
    assert opened.read(names[0]) == chunk(0)
    before = pack_files(store)
    prune(store, set(names[:5]))
    assert pack_files(store) != before
    assert stale.read(names[4]) == chunk(4)  # its idx names a pack that is gone
    assert opened.read(names[7]) == chunk(7)  # the pack it has open is gone, but open
    with pytest.raises(IntegrityError):
        stale.read(names[7])


def test_a_reader_finds_what_another_process_has_just_stored(tmp_path: Path) -> None:
    reader = open_store(tmp_path)
    [name] = put(open_store(tmp_path), chunk(1))
    assert reader.find(name) is None
    assert reader.read(name) == chunk(1)
    assert reader.find(name) is not None


def test_a_damaged_copy_is_passed_over_for_a_sound_one(tmp_path: Path) -> None:
    stores = [open_store(tmp_path), open_store(tmp_path)]
    with stores[0].intend("test") as intent:
        writers = [store.writer(intent) for store in stores]
        for n, writer in enumerate(writers):
            add(writer, chunk(1))
            add(writer, chunk(10 + n))
        for writer in writers:
            writer.close()
    packs = pack_files(stores[0])
    assert len(packs) == 2
    for path in packs:
        before = path.read_bytes()
        path.write_bytes(before[:16] + bytes(1064) + before[1080:])
        store = open_store(tmp_path)
        assert store.read(digest(chunk(1))) == chunk(1)
        assert store.read_stored(digest(chunk(1)))[64:] == chunk(1)
        assert len(store.verify()) == 1
        path.write_bytes(before)


def test_a_missing_pack_is_told_with_what_was_in_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, chunk(1), chunk(2))
    os.unlink(pack_files(store)[0])
    with pytest.raises(IntegrityError, match="missing"):
        open_store(tmp_path).read(names[0])
    assert {damage.name for damage in store.verify()} == {None, *names}


def test_the_idx_is_rebuilt_from_the_packs(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, chunk(1), chunk(2))
    names.append(put_delta(store, chunk(3), names, 1))
    before = sorted(store.records())
    for path in idx_files(store):
        path.unlink()
    lost = open_store(tmp_path)
    assert list(lost.names()) == []
    assert lost.verify() == []  # packs that no idx lists are checked by their own word
    assert lost.rebuild_idx() == []
    assert sorted(lost.records()) == before and len(idx_files(store)) == 1
    assert lost.rebuild_idx() == [] and len(idx_files(store)) == 1


def test_a_rebuild_keeps_what_is_sound_in_a_damaged_pack(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, chunk(1), chunk(2), chunk(3))
    path = pack_files(store)[0]
    data = bytearray(path.read_bytes())
    data[16 + 1064] ^= 1  # in the name of the second record
    path.write_bytes(data)
    [damage] = store.rebuild_idx()
    assert damage.path == path
    assert sorted(open_store(tmp_path).names()) == sorted([names[0], names[2]])


def test_order_of_steps(tmp_path: Path) -> None:
    """Pack: sync, rename, folder; then the idx likewise: what an idx lists is durable before the idx is."""
    store = open_store(tmp_path)
    steps: list[str] = []

    def note(operation: str, path: str) -> None:
        if operation in ("fsync", "rename", "fsync-dir") and "intents" not in path and "locks" not in path:
            kind = "pack" if "packs" in path else "idx" if "idx" in path else "tmp"
            steps.append(f"{operation} {kind}")

    with fsio.hooked(note):
        put(store, chunk(1))
    assert steps == [
        "fsync-dir pack",  # packs/, for the new folder packs/<aa>
        "fsync tmp",
        "rename pack",
        "fsync-dir pack",
        "fsync tmp",
        "rename idx",
        "fsync-dir idx",
    ]


def test_no_thread_is_left_when_a_check_is_broken_off(tmp_path: Path) -> None:
    """verify's threads end even if the progress that it reports to raises."""
    store = open_store(tmp_path)
    put(store, chunk(1))

    class Broken:
        def begin(self, title: str, total: int | None = None, unit: str = "bytes") -> None:
            pass

        def advance(self, amount: int) -> None:
            raise ZeroDivisionError

        def warn(self, message: str) -> None:
            pass

        def end(self) -> None:
            pass

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        store.verify(Broken())
    assert threading.active_count() <= before
