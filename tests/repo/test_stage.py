"""The stage, in memory and as a file."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc import fsio
from mvc.errors import IntegrityError, UnsupportedFormat
from mvc.objects.model import EXEC, FILE, LINK
from mvc.repo.columns import CHUNKED, CONFLICTS, KINDS, Columns, parse
from mvc.repo.stage import Stage, StageEntry, Stat, is_fresh, stat_of
from tests.golden import make_stage

ID = "0123456789abcdef0123456789abcdef01234567"
OTHER = "ff" * 20

names = st.binary(min_size=1, max_size=6).map(
    lambda raw: raw.replace(b"\0", b"n").replace(b"/", b"s").decode("utf-8", "surrogateescape")
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
stats = st.none() | st.builds(Stat, st.integers(1, 2**62), st.integers(1, 2**62), st.integers(1, 2**64 - 1), st.just(0))


@st.composite
def entries(draw: st.DrawFn) -> StageEntry:
    size = draw(st.integers(0, 2**63))
    stat = draw(stats)
    digest = draw(st.none() | st.binary(min_size=32, max_size=32))
    return StageEntry(
        draw(paths),
        draw(st.sampled_from((FILE, EXEC, LINK))),
        draw(st.binary(min_size=20, max_size=20)).hex(),
        size,
        digest,
        stat._replace(size=size) if stat else None,
        0,
        draw(st.integers(0, 2**64 - 1)) if digest else 0,
    )


def plain(path: str, blob: str = ID, mode: int = FILE, size: int = 3) -> StageEntry:
    return StageEntry(path, mode, blob, size)


def by_bytes(paths: list[str]) -> list[str]:
    return sorted(paths, key=lambda path: path.encode("utf-8", "surrogateescape"))


def fits(path: str, others: dict[str, StageEntry]) -> dict[str, StageEntry]:
    """The others, without those that `path` makes impossible."""
    return {
        other: entry
        for other, entry in others.items()
        if not other.startswith(path + "/") and not path.startswith(other + "/")
    }


@given(st.lists(entries(), max_size=12))
def test_what_is_put_comes_back_from_the_file(put: list[StageEntry]) -> None:
    stage, model = Stage(), {}
    for entry in put:
        stage.put(entry)
        model = fits(entry.path, model)
        model[entry.path] = entry
    again = Stage(parse(stage.columns().dump()))
    for found in (stage, again):
        assert list(found) == [model[path] for path in by_bytes(list(model))]
        assert {path: found.get(path) for path in model} == model
        assert found.paths() == by_bytes(list(model))
        assert len(found) == len(model)
        assert found.items() == {path: (entry.mode, entry.id) for path, entry in model.items()}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "remove", "refresh", "save"]),
            st.sampled_from(["a", "a/b", "a/b/c", "a-b", "b", "b/c"]),
        )
    )
)
def test_a_random_history_equals_a_dictionary(history: list[tuple[str, str]]) -> None:
    stage, model = Stage(), {}
    for number, (verb, path) in enumerate(history):
        if verb == "put":
            entry = plain(path, f"{number:040x}")
            stage.put(entry)
            model = {**fits(path, model), path: entry}
        elif verb == "remove":
            assert stage.remove(path) == (model.pop(path, None) is not None)
        elif verb == "refresh" and path in model:
            stat = Stat(number + 1, 2, 3, 3)
            stage.refresh(path, stat)
            model[path] = model[path]._replace(stat=stat)
        elif verb == "save":
            stage = Stage(parse(stage.columns().dump()))
        assert {entry.path: entry for entry in stage} == model
        assert [path in stage for path in ("a", "a/b", "b/c")] == [path in model for path in ("a", "a/b", "b/c")]
        for folder in ("", "a", "a/b"):
            assert stage.under(folder) == [p for p in by_bytes(list(model)) if p.startswith(folder + "/") or not folder]
        needed = {p.rsplit("/", n)[0] for p in model for n in range(1, p.count("/") + 1)}
        assert needed <= stage.folders()
        assert not stage.folders() & model.keys()


def test_conflicts_are_kept_until_the_path_is_put(tmp_path: Path) -> None:
    stage = Stage()
    stage.put(plain("m"))
    stage.put(plain("z"))
    versions = [plain("m", blob)._replace(conflict=n) for n, blob in ((1, ID), (2, OTHER), (3, "ab" * 20))]
    versions[1] = versions[1]._replace(blake3=b"x" * 32, size=1 << 40)
    stage.put_conflict("m", versions)
    assert "m" not in stage
    stage.save(tmp_path / "stage")
    again = Stage.load(tmp_path / "stage")
    assert again.conflicts() == {"m": {entry.conflict: entry for entry in versions}}
    assert again.paths() == ["z"]
    again.put(plain("m", OTHER))
    assert again.conflicts() == {}
    again.save(tmp_path / "stage")
    assert Stage.load(tmp_path / "stage").paths() == ["m", "z"]


def test_a_conflict_is_removed_with_its_path() -> None:
    stage = Stage()
    stage.put_conflict("m", [plain("m")._replace(conflict=2)])
    assert stage.remove("m")
    assert not stage.conflicts()
    assert not stage.remove("m")


def test_the_tree_lasts_until_content_changes(tmp_path: Path) -> None:
    stage = Stage()
    stage.replace([plain("a"), plain("b")], tree=OTHER)
    stage.refresh("a", Stat(1, 2, 3, 3))
    stage.put(plain("b")._replace(stat=Stat(1, 2, 3, 3)))
    stage.save(tmp_path / "stage")
    assert Stage.load(tmp_path / "stage").tree == OTHER
    for change in (
        lambda s: s.put(plain("a", OTHER)),
        lambda s: s.put(plain("a", mode=EXEC)),
        lambda s: s.put(plain("c")),
        lambda s: s.remove("a"),
        lambda s: s.put_conflict("q", [plain("q")._replace(conflict=1)]),
    ):
        stage = Stage.load(tmp_path / "stage")
        change(stage)
        assert stage.tree is None
        assert stage.changed


def test_it_can_be_used_on_after_saving(tmp_path: Path) -> None:
    stage = Stage()
    stage.put(plain("a"))
    stage.save(tmp_path / "stage")
    assert not stage.changed
    assert [entry.path for entry in stage] == ["a"]
    stage.put(plain("b"))
    stage.save(tmp_path / "stage")
    assert Stage.load(tmp_path / "stage").paths() == ["a", "b"]


def test_no_file_is_an_empty_stage(tmp_path: Path) -> None:
    stage = Stage.load(tmp_path / "none")
    assert len(stage) == 0
    assert stage.paths() == [] and stage.tree is None


def test_any_flipped_bit_is_noticed() -> None:
    stage = Stage()
    stage.put(plain("weights/é")._replace(blake3=b"d" * 32, stored=7))
    stage.put_conflict("c", [plain("c")._replace(conflict=1)])
    data = stage.columns().dump()
    for at in range(len(data)):
        for bit in (0, 7):
            broken = bytearray(data)
            broken[at] ^= 1 << bit
            with pytest.raises((IntegrityError, UnsupportedFormat)):
                columns = parse(bytes(broken))
                list(columns.entries())
                columns.conflicts()


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_raise_our_errors(data: bytes) -> None:
    for start in (b"", b"mvcstage\1\0\0\0"):
        with pytest.raises((IntegrityError, UnsupportedFormat)):
            parse(start + data)


def test_a_newer_version_is_refused() -> None:
    data = bytearray(Stage().columns().dump())
    data[8] = 2
    with pytest.raises(UnsupportedFormat, match="newer"):
        parse(bytes(data))


def test_a_stat_as_new_as_the_stage_is_not_kept(tmp_path: Path) -> None:
    old = Stat(5, 5 * 10**9 + 1, 1, 3)
    now = stat_of(os.stat(tmp_path))
    fresh = now._replace(size=3, mtime_ns=now.mtime_ns + 3600 * 10**9)  # however long saving takes
    stage = Stage()
    stage.put(plain("old")._replace(stat=old))
    stage.put(plain("new")._replace(stat=fresh))
    stage.save(tmp_path / "stage")
    again = Stage.load(tmp_path / "stage")
    assert again.get("old").stat == old
    assert again.get("new").stat is None
    again.refresh("old", fresh)
    again.save(tmp_path / "stage")
    assert Stage.load(tmp_path / "stage").get("old").stat is None


def test_fresh_depends_on_the_clock_of_the_file_system() -> None:
    second = 10**9
    assert is_fresh(Stat(0, 100 * second + 1, 1, 1), 100 * second + 10_000_000)
    assert not is_fresh(Stat(0, 100 * second + 1, 1, 1), 100 * second + 30_000_000)
    assert is_fresh(Stat(100 * second, 100 * second, 1, 1), 101 * second), "whole seconds: perhaps FAT"
    assert not is_fresh(Stat(100 * second, 100 * second, 1, 1), 103 * second)
    assert is_fresh(Stat(200 * second + 1, 0, 1, 1), 100 * second), "a time in the future proves nothing"


def test_a_size_that_is_not_the_files_makes_the_stat_unknown() -> None:
    stage = Stage()
    stage.put(plain("a", size=3)._replace(stat=Stat(1, 2, 3, 4)))
    assert Stage(parse(stage.columns().dump())).get("a").stat is None


def test_a_crash_at_any_step_of_saving_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "stage"
    stage = Stage()
    stage.put(plain("old"))
    stage.save(path)
    steps: list[str] = []
    with fsio.hooked(lambda operation, _: steps.append(operation)):
        Stage(parse(path.read_bytes())).save(path)
    assert {"fsync", "rename", "fsync-dir"} <= set(steps)
    for crash in range(len(steps)):
        left = iter(range(crash, -1, -1))

        def hook(operation: str, _: str, left: object = left) -> None:
            if next(left) == 0:  # type: ignore[call-overload]
                raise KeyboardInterrupt(operation)

        changed = Stage.load(path)
        changed.put(plain(f"new{crash}"))
        with pytest.raises(KeyboardInterrupt), fsio.hooked(hook):
            changed.save(path)
        assert "old" in Stage.load(path)


def test_the_golden_stage_is_read_as_ever() -> None:
    data = (Path(__file__).parents[1] / "golden" / "stage-1.bin").read_bytes()
    stage = Stage(parse(data))
    assert sorted(stage) == sorted(make_stage.ENTRIES)
    assert stage.conflicts() == {"head.bin": {entry.conflict: entry for entry in make_stage.CONFLICT}}
    assert stage.tree == make_stage.TREE
    assert make_stage.make() == data, "what is written has changed: a new version"


def test_the_golden_stage_is_as_documented() -> None:
    """Read by the page alone, not by the code."""
    data = (Path(__file__).parents[1] / "golden" / "stage-1.bin").read_bytes()
    magic, version, flags, rows, tree = struct.unpack_from("<8sHHI20s", data)
    assert (magic, version, flags, rows, tree.hex()) == (b"mvcstage", 1, 0, 5, make_stage.TREE)
    crcs, lengths = struct.unpack_from("<6I", data, 36), struct.unpack_from("<6Q", data, 60)
    assert struct.unpack_from("<I", data, 108)[0] == zlib.crc32(data[:108])
    columns, at = [], 112
    for length in lengths:
        columns.append(data[at : at + length])
        at += length
    assert at == len(data)
    assert crcs == tuple(map(zlib.crc32, columns))
    stats, paths, kinds, ids, chunked, conflicts = columns
    names = paths.split(b"\0")
    assert (
        names
        == sorted(names)
        == [b"README.md", b"latest", "models/é.safetensors".encode(), b"models/\xff\n", b"run.sh"]
    )
    assert list(kinds) == [0, 2, 4, 0, 1]
    assert ids[40:60].hex() == "33" * 20
    assert struct.unpack_from("<qqQQ", stats, 64) == (-5, 1_700_000_002_000_000_003, 2**64 - 1, 1 << 40)
    assert struct.unpack_from("<qqQQ", stats, 32) == (0, 0, 0, 17)
    assert (chunked[:32], struct.unpack_from("<Q", chunked, 32)[0], len(chunked)) == (bytes(range(32)), 123_456_789, 40)
    number, kind, blob, size, digest, length = struct.unpack_from("<BB20sQ32sI", conflicts, 66 + 8)
    assert (number, kind, blob.hex(), size, digest) == (2, 4, "77" * 20, 1 << 20, bytes(range(32, 64)))
    assert len(conflicts) == 3 * (66 + length) and conflicts.endswith(b"head.bin")


@pytest.mark.parametrize(
    "harm",
    [
        lambda columns: {KINDS: b"\3"},
        lambda columns: {KINDS: b"\x80"},
        lambda columns: {KINDS: b"\4"},
        lambda columns: {CHUNKED: bytes(40)},
        lambda columns: {CONFLICTS: b"\1"},
        lambda columns: {CONFLICTS: b"\4" + bytes(65)},
        lambda columns: {CONFLICTS: b"\1\3" + bytes(64)},
        lambda columns: {CONFLICTS: b"\1\0" + bytes(60) + b"\1\0\0\0"},
    ],
)
def test_one_whose_checksums_are_right_but_not_its_rows(harm: Callable[[Columns], dict[int, bytes]]) -> None:
    """As somebody may have made it who wants harm: an error of ours, whatever is asked."""
    stage = Stage()
    stage.put(StageEntry("a", FILE, "1" * 40, 3))
    whole = parse(stage.columns().dump())
    changed = harm(whole)
    made = Columns(1, None, [changed.get(number, whole.column(number)) for number in range(6)])
    found = parse(made.dump())
    with pytest.raises(IntegrityError):
        list(found.entries())
        found.conflicts()


def test_the_stat_of_a_large_file_that_was_just_placed_is_kept(tmp_path: Path) -> None:
    """Else whatever comes next reads all of it again. Saving lets the file system's clock go on instead."""
    large, small = tmp_path / "large", tmp_path / "small"
    path, stage = tmp_path / "stage", Stage()
    for number in range(5):
        for file, size in ((small, 1), (large, 4 << 20)):
            file.write_bytes(bytes(size))
            stage.put(StageEntry(file.name, 0o100644, f"{number:040d}", size, None, stat_of(file.stat())))
        stage.save(path)
        entry = Stage.load(path).get("large")
        assert entry is not None and entry.stat == stat_of(large.stat())
