from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import IntegrityError
from mvc.store import idxbuild, idxwrite
from mvc.store.compact import MAX_IDX, choose
from mvc.store.idx import Idx
from mvc.store.idxset import IdxSet
from mvc.store.records import Location

Record = tuple[bytes, Location]
PACKS = [(bytes([number]) * 32, 10_000 + number) for number in range(5)]

# Few distinct first bytes, and shared beginnings: so that buckets fill and names are alike.
names = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.builds(lambda a, b: bytes([a]) * 31 + bytes([b]), st.sampled_from([0, 1, 255]), st.integers(0, 255)),
    st.builds(lambda a: b"\0" * a + b"\1" * (32 - a), st.integers(0, 32)),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    bases = tuple(draw(st.lists(names, max_size=3)))
    place = Location(
        draw(st.sampled_from(PACKS))[0],
        draw(st.integers(0, 2**40)),
        draw(st.integers(0, 2**26)),
        draw(st.integers(0, 2**26)),
        draw(st.integers(0, 5)),
        draw(st.integers(1, 4)) if bases else 0,
        draw(st.integers(0, 255)),
        bases,
    )
    return draw(names), place


def write(folder: Path, found: list[Record]) -> Path | None:
    folder.mkdir(parents=True, exist_ok=True)
    return idxbuild.write(idxbuild.merge([idxbuild.from_records(PACKS, found)]), folder, folder)


@settings(max_examples=60, deadline=None)
@given(found=st.lists(records(), max_size=60), absent=st.lists(names, max_size=10), mapped=st.booleans())
def test_finds_just_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, found: list[Record], absent: list[bytes], mapped: bool
) -> None:
    folder = tmp_path_factory.mktemp("idx")
    path = write(folder, found)
    model: dict[bytes, set[Location]] = {}
    for name, place in found:
        model.setdefault(name, set()).add(place)
    if path is None:
        assert not model
        return
    idx = Idx(path, mapped=mapped)
    idx.check()
    # Two records at the same place of the same pack are one: any of them may be the one.
    seen = list(idx)
    assert [name for name, _ in seen] == sorted(name for name, _ in seen)
    assert {(name, place.pack, place.offset) for name, place in seen} == {(n, p.pack, p.offset) for n, p in found}
    for name, places in model.items():
        copies = [idx.location(number) for number in idx.find_all(name)]
        assert set(copies) <= places
        assert [copy.depth for copy in copies] == sorted(copy.depth for copy in copies)
        assert idx.location(idx.find(name)) == copies[0]
    for name in absent:
        assert (idx.find(name) >= 0) == (name in model)


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.lists(records(), max_size=15), max_size=5), gone=st.sets(st.sampled_from(PACKS)))
def test_a_merge_keeps_all_but_what_lay_in_the_packs_that_go(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Record]], gone: set[tuple[bytes, int]]
) -> None:
    folder = tmp_path_factory.mktemp("idx")
    without = {pack_id for pack_id, _ in gone}
    unique = {(name, place.pack, place.offset): place for part in parts for name, place in part}
    tables = [idxbuild.from_records(PACKS, [(n, unique[n, p.pack, p.offset]) for n, p in part]) for part in parts]
    path = idxbuild.write(idxbuild.merge(tables, without=without), folder, folder)
    expected = {(name, place) for (name, _, _), place in unique.items() if place.pack not in without}
    if path is None:
        assert not expected
    else:
        idx = Idx(path)
        assert set(idx) == expected
        assert {pack_id for pack_id, _ in idx.packs}.isdisjoint(without)


def test_the_same_records_give_the_same_file(tmp_path: Path) -> None:
    rng = random.Random(3)
    found = [
        (rng.randbytes(32), Location(PACKS[n % 5][0], n, n, n, 0, 1 if n % 3 else 0, 0, (bytes(32),) if n % 3 else ()))
        for n in range(300)
    ]
    one = write(tmp_path / "one", found)
    rng.shuffle(found)
    other = write(tmp_path / "other", found)
    assert one is not None and other is not None
    assert one.name == other.name and one.read_bytes() == other.read_bytes()


def test_a_file_that_is_cut_or_longer_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [(bytes(32), Location(PACKS[0][0], 16, 1, 1, 0, 0, 0, ()))])
    assert path is not None
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(IntegrityError):
            Idx(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(IntegrityError):
        Idx(path)


@given(st.lists(st.integers(1, 10**6), min_size=MAX_IDX + 1, max_size=60))
def test_a_merge_leaves_few_files_and_spares_the_large(sizes: list[int]) -> None:
    sizes.sort()
    count = choose(sizes)
    assert 2 <= count <= len(sizes)
    assert len(sizes) - count + 1 <= MAX_IDX // 2 + 1
    if count < len(sizes):
        assert sizes[count] > 2 * sum(sizes[:count])


def test_each_record_is_merged_a_few_times_only(tmp_path: Path) -> None:
    files: list[int] = []
    moved = 0
    for _ in range(3000):
        files.append(700)
        if len(files) > MAX_IDX:
            files.sort()
            count = choose(files)
            moved += sum(files[:count])
            files[:count] = [sum(files[:count])]
    assert moved / (3000 * 700) < 6


def test_a_reload_sees_what_came_and_went(tmp_path: Path) -> None:
    idx = IdxSet(tmp_path, mapped=True)
    assert not idx.reload()
    first = write(tmp_path, [(b"a" * 32, Location(PACKS[0][0], 16, 1, 1, 0, 0, 0, ()))])
    assert first is not None
    assert idx.find(b"a" * 32) is None
    assert idx.reload() and idx.find(b"a" * 32) is not None
    write(tmp_path, [(b"b" * 32, Location(PACKS[1][0], 16, 1, 1, 0, 0, 0, ()))])
    first.unlink()
    assert idx.reload() and not idx.reload()
    assert idx.find(b"a" * 32) is None and idx.find(b"b" * 32) is not None


@settings(max_examples=40, deadline=None)
@given(found=st.dictionaries(names, records(), min_size=1, max_size=80), size=st.integers(64, 2**50))
def test_that_of_one_pack_is_the_same_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, found: dict[bytes, Record], size: int
) -> None:
    """What is written without numpy, and what numpy makes of the same records."""
    pack = b"\7" * 32
    placed = {name: place._replace(pack=pack) for name, (_, place) in found.items()}
    folder = tmp_path_factory.mktemp("idx")
    quick = idxwrite.write_pack_idx(pack, size, placed, folder / "quick", folder)
    table = idxbuild.from_records([(pack, size)], placed.items())
    slow = idxbuild.write(idxbuild.merge([table]), folder / "slow", folder)
    assert slow is not None and quick.name == slow.name
    assert quick.read_bytes() == slow.read_bytes()
    Idx(quick).check()


def test_what_was_found_lately_is_looked_up_again_once_the_files_change(tmp_path: Path) -> None:
    name, pack = b"\1" * 32, PACKS[0][0]
    deep = Location(pack, 500, 10, 10, 3, 1, 0, (b"\2" * 32,))
    first = write(tmp_path, [(name, deep)])
    idx = IdxSet(tmp_path, mapped=True)
    assert idx.copies(name) == idx.copies(name) == (deep,)
    assert idx.copies(b"\3" * 32) == ()
    flat = Location(pack, 900, 10, 10, 0, 0, 0, ())
    write(tmp_path, [(name, flat), (b"\3" * 32, flat)])
    assert idx.copies(name) == (deep,)
    idx.reload()
    assert idx.copies(name) == (flat, deep) and idx.copies(b"\3" * 32) == (flat,)
    assert first is not None
    first.unlink()
    idx.reload()
    assert idx.copies(name) == (flat,)
    idx.leave_out(idx.all[0], IntegrityError("damaged"))
    assert idx.copies(name) == ()
