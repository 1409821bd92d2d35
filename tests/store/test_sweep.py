from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc import fsio
from mvc.codecs.base import Encoded
from mvc.hashing import digest
from mvc.settings import StoreSettings
from mvc.store import sweepplan
from mvc.store.chunkstore import ChunkStore
from mvc.store.records import Buffer, Location
from tests.forked import KILLED, in_child
from tests.store.making import add, chunk, open_store, pack_files, prune, put, put_delta, raw_encoded

DAY = 86400.0


def age(store: ChunkStore, days: float) -> None:
    """Make all that stands look as if it was written so long ago."""
    for path in [*pack_files(store), *store.paths.tmp.iterdir()]:
        then = path.stat().st_mtime_ns - int(days * DAY * 1e9)
        os.utime(path, ns=(then, then))


def test_what_is_live_stays_with_what_it_rests_on(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, *(chunk(n) for n in range(6)))
    one = put_delta(store, chunk(10), [names[2]], 1)
    two = put_delta(store, chunk(11), [one, names[3]], 2)
    put_delta(store, chunk(12), [names[4]], 1)
    assert prune(store, {two, names[0]}) == sorted([names[1], names[4], names[5], digest(chunk(12))])
    assert set(store.names()) == {names[0], names[2], names[3], one, two}
    assert store.verify() == []
    assert prune(store, {two, names[0]}) == []


def test_the_dry_run_tells_what_the_run_does(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, *(chunk(n) for n in range(10)))
    put(store, chunk(20))
    (store.paths.tmp / "tmp-left").write_bytes(b"x")
    age(store, 1)
    cutoff = store.begin_sweep(grace_seconds=0, tmp_grace_seconds=0)
    before = pack_files(store)
    told = store.remove_unreachable(set(names[:4]), cutoff, dry_run=True, prune_now=True)
    assert pack_files(store) == before
    size = sum(path.stat().st_size for path in before)
    done = store.remove_unreachable(set(names[:4]), cutoff, prune_now=True)
    assert told.removed_chunks == done.removed_chunks and len(told.removed_chunks) == 7
    assert told.removed_bytes == done.removed_bytes == 7 * 1064
    assert told.packs_removed == done.packs_removed and len(done.packs_written) == 1
    assert told.tmp_removed == done.tmp_removed == ("tmp-left",)
    left = sum(path.stat().st_size for path in pack_files(store))
    # The new pack's own header and trailer are not reckoned.
    assert abs((size - left) - done.freed_bytes) <= 64 and told.freed_bytes == done.freed_bytes


def test_what_is_young_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, chunk(1))
    age(store, 20)
    [young] = put(store, chunk(2))
    base = digest(chunk(1))
    delta = put_delta(store, chunk(3), [base], 1)
    age(store, 5)
    cutoff = store.begin_sweep(grace_seconds=14 * DAY)
    result = store.remove_unreachable(set(), cutoff)
    # The base was claimed when the delta was stored, so its pack is as young.
    assert result.removed_chunks == () and result.kept_young.chunks == 3
    age(store, 10)
    cutoff = store.begin_sweep(grace_seconds=14 * DAY)
    assert set(store.remove_unreachable(set(), cutoff).removed_chunks) == {base, young, delta}


def test_the_base_of_a_young_one_stays_though_it_is_old(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    [base] = put(store, chunk(1))
    delta = put_delta(store, chunk(2), [base], 1)
    place = store.find(base)
    assert place is not None
    os.utime(store.paths.pack(place.pack), ns=(1, 1))
    cutoff = store.begin_sweep(grace_seconds=14 * DAY)
    assert store.remove_unreachable(set(), cutoff).removed_chunks == ()
    assert set(store.names()) == {base, delta} and store.verify() == []


def test_mixed_packs_are_rewritten_when_that_pays(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, *(chunk(n) for n in range(20)))
    age(store, 30)
    cutoff = store.begin_sweep(grace_seconds=DAY)
    result = store.remove_unreachable(set(names[:17]), cutoff)
    assert result.removed_chunks == () and result.kept_mixed.chunks == 3
    cutoff = store.begin_sweep(grace_seconds=DAY)
    result = store.remove_unreachable(set(names[:14]), cutoff)
    assert set(result.removed_chunks) == set(names[14:])
    assert set(store.names()) == set(names[:14]) and store.verify() == []


def test_many_small_packs_are_put_together(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = [put(store, chunk(n))[0] for n in range(sweepplan.MANY_SMALL + 3)]
    assert len(pack_files(store)) > 60
    cutoff = store.begin_sweep(grace_seconds=DAY)
    assert store.remove_unreachable(set(names), cutoff).removed_chunks == ()
    assert len(pack_files(store)) == 1 and set(store.names()) == set(names) and store.verify() == []


def test_left_overs_go_when_they_are_old(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    old, new = store.paths.tmp / "tmp-old", store.paths.tmp / "tmp-new"
    old.write_bytes(b"x")
    age(store, 1)
    new.write_bytes(b"x")
    assert store.remove_unreachable(set(), store.begin_sweep(grace_seconds=0)).tmp_removed == ("tmp-old",)
    assert new.exists()


def test_a_damaged_pack_is_left_as_it_is(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, *(chunk(n) for n in range(4)))
    others = put(store, chunk(10), chunk(11))
    path = store.paths.pack(store.find(names[0]).pack)  # type: ignore[union-attr]
    data = bytearray(path.read_bytes())
    data[16 + 100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    assert prune(store, {names[0], names[1], others[0]}) == [others[1]]
    assert path.read_bytes() == data
    assert store.read(names[1]) == chunk(1) and [one.name for one in store.verify()] == [names[0]]


# Writers at work -------------------------------------------------------------------------------


def test_what_a_live_writer_claims_stays_even_with_prune_now(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    [name] = put(store, chunk(1))
    [other] = put(store, chunk(2))
    with store.intend("add") as intent, store.writer(intent) as writer:
        assert not writer.begin(name)  # it counts on the chunk from here on
        assert prune(open_store(tmp_path), set()) == [other]
        assert store.read(name) == chunk(1)
        add(writer, chunk(3), [name], 1)
        writer.flush()
        assert prune(open_store(tmp_path), set()) == []  # its own, not yet published
    assert open_store(tmp_path).verify() == []
    assert set(prune(open_store(tmp_path), set())) == {name, digest(chunk(3))}


def test_a_writer_that_looks_during_the_sweep_stores_anew(tmp_path: Path) -> None:
    """Between gc's look at the packs' times and their removal, a writer finds the chunk in its idx."""
    store = open_store(tmp_path)
    [name] = put(store, chunk(1))
    asked: list[bool] = []

    def during(operation: str, path: str) -> None:
        if operation == "unlink" and path.endswith(".idx") and not asked:
            asked.append(True)
            with fsio.hooked(lambda _operation, _path: None):
                late = open_store(tmp_path)
                with late.intend("add") as intent, late.writer(intent) as writer:
                    asked.append(writer.begin(name))
                    writer.add(name, raw_encoded(chunk(1)), raw_size=1000)

    with fsio.hooked(during):
        prune(store, set())
    assert asked == [True, True]  # it had to store the chunk, though an idx still listed it
    store.reload()
    assert store.read(name) == chunk(1) and store.verify() == []


def test_a_writer_that_claims_just_before_the_look_keeps_the_pack(tmp_path: Path) -> None:
    """It registers after gc has begun, and claims after gc has made its plan."""
    store = open_store(tmp_path)
    [name] = put(store, chunk(1))
    claimed: list[bool] = []

    def during(operation: str, path: str) -> None:
        if operation == "create" and path == str(store.paths.tmp) and not claimed:
            # gc is about to write the list of condemned packs
            with fsio.hooked(lambda _operation, _path: None):
                late = open_store(tmp_path)
                with late.intend("add") as intent, late.writer(intent) as writer:
                    claimed.append(writer.begin(name))

    cutoff = store.begin_sweep(grace_seconds=0, tmp_grace_seconds=0)
    with fsio.hooked(during):
        result = store.remove_unreachable(set(), cutoff, prune_now=True)
    assert claimed == [False] and result.removed_chunks == ()
    assert open_store(tmp_path).read(name) == chunk(1)


def test_a_killed_writer_protects_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    [name] = put(store, chunk(1))

    def killed() -> None:
        intent = store.intend("add")
        writer = store.writer(intent)
        writer.begin(name)
        add(writer, chunk(2))
        writer.flush()
        add(writer, chunk(3))
        os.kill(os.getpid(), 9)

    assert in_child(killed) == KILLED
    assert len(list(store.paths.intents.iterdir())) == 1 and len(list(store.paths.tmp.iterdir())) == 1
    age(store, 1)  # else it may be of the very moment in which the sweep begins
    assert set(prune(store, set())) == {name, digest(chunk(2))}
    assert list(store.paths.intents.iterdir()) == [] and list(store.paths.tmp.iterdir()) == []


# Against a model -------------------------------------------------------------------------------


@st.composite
def stores(draw: st.DrawFn) -> list[list[tuple[int, list[int]]]]:
    """Sessions of chunks (by number), each with the numbers of chunks that it rests on."""
    sessions: list[list[tuple[int, list[int]]]] = []
    count = 0
    for _ in range(draw(st.integers(1, 5))):
        session = []
        for _ in range(draw(st.integers(1, 5))):
            bases = draw(st.lists(st.integers(0, count - 1), max_size=2, unique=True)) if count else []
            session.append((count, bases))
            count += 1
        sessions.append(session)
    return sessions


@settings(max_examples=60, deadline=None)
@given(sessions=stores(), data=st.data())
def test_a_sweep_keeps_what_the_model_keeps(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[list[tuple[int, list[int]]]], data: st.DataObject
) -> None:
    store = open_store(tmp_path_factory.mktemp("store"), StoreSettings(pack_size=600, threads=1))
    depth: dict[int, int] = {}
    rests_on: dict[int, list[int]] = {}
    for session in sessions:
        with store.intend("test") as intent, store.writer(intent) as writer:
            for number, bases in session:
                bases = [base for base in bases if depth[base] < 4]
                depth[number] = 1 + max(depth[base] for base in bases) if bases else 0
                rests_on[number] = bases
                add(writer, chunk(number, 200), [digest(chunk(base, 200)) for base in bases], depth[number])
    for _ in range(3):
        standing = sorted(number for number in depth if digest(chunk(number, 200)) in store)
        live = set(data.draw(st.lists(st.sampled_from(standing)))) if standing else set()
        needed: set[int] = set()
        todo = list(live)
        while todo:
            number = todo.pop()
            if number not in needed:
                needed.add(number)
                todo += rests_on[number]
        prune(store, {digest(chunk(number, 200)) for number in live})
        store = open_store(store.paths.chunks.parent, StoreSettings(pack_size=600, threads=1))
        assert set(store.names()) == {digest(chunk(number, 200)) for number in needed}
        assert store.verify() == []


# Copies, and repacking --------------------------------------------------------------------------


def test_of_copies_one_stays(tmp_path: Path) -> None:
    stores = [open_store(tmp_path), open_store(tmp_path)]
    with stores[0].intend("test") as intent:
        writers = [store.writer(intent) for store in stores]
        for number, writer in enumerate(writers):
            add(writer, chunk(1))
            add(writer, chunk(10 + number))
        for writer in writers:
            writer.close()
    store = open_store(tmp_path)
    assert len(list(store.records())) == 4 and len(list(store.names())) == 3
    assert prune(store, set(store.names())) == []
    assert len(list(store.records())) == 3 and store.verify() == []


def test_repacking(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    raws = [b"text %d " % n * 200 for n in range(10)]
    names = put(store, *raws)
    last = put_delta(store, b"on top " * 100, [names[9]], 1)
    seen: list[bytes] = []

    def reencode(name: bytes, place: Location, raw: Buffer) -> tuple[Encoded, tuple[bytes, ...], int] | None:
        assert digest(raw) == name
        seen.append(name)
        if name == names[5]:
            return None
        if name == names[6]:
            return raw_encoded(bytes(raw)), (), 0  # no smaller: not taken
        # Two deltas, one on the other: a circle, if both were kept.
        partner = names[1] if name == names[0] else names[0] if name == names[1] else None
        data = __import__("zstandard").compress(raw, 19)
        if partner is not None:
            return Encoded(1, b"", (data,)), (partner,), 1
        return Encoded(1, b"", (data,)), (), 0

    with store.intend("repack") as intent:
        result = store.repack(reencode, intent)
    assert sorted(seen) == sorted([*names, last])
    assert result.rewritten == 9 and result.saved_bytes > 5000
    before = sum(pack.size for pack in store.packs())
    prune(store, set(store.names()))
    after = open_store(tmp_path)
    assert sum(pack.size for pack in after.packs()) < before - 5000
    assert len(list(after.records())) == 11 and set(after.names()) == {*names, last}
    assert after.verify(decode=False) == []
    assert sorted(place.codec for _, place in after.records() if place.codec) == [1] * 7


def test_random_repacks_never_close_a_circle(tmp_path: Path) -> None:
    rng = random.Random(5)
    for turn in range(12):
        store = open_store(tmp_path / str(turn), StoreSettings(pack_size=1500, threads=1))
        names = [put(store, chunk(n, 300))[0] for n in range(8)]
        for _ in range(3):
            with store.intend("test") as intent, store.writer(intent) as writer:
                for name in rng.sample(names, 5):
                    bases = tuple(rng.sample([other for other in names if other != name], rng.randrange(3)))
                    places = [writer.find(base) for base in bases]
                    depth = 1 + max((place.depth for place in places if place), default=-1)
                    if depth <= 4:
                        size = rng.randrange(10, 300)
                        writer.add(
                            name, Encoded(9, b"", (bytes(size),)), raw_size=300, bases=bases, depth=depth, again=True
                        )
            assert store.verify(decode=False) == []
            assert prune(store, set(names)) == []
            assert store.verify(decode=False) == []
            assert sorted(name for name, _ in store.records()) == sorted(names)
