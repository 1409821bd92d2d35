"""The first pass of a scan: the compiled loop against the one in Python."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from mvc.repo import statpass
from mvc.repo.columns import PATHS, STATS, Columns
from mvc.repo.folders import Folders
from mvc.repo.pathspec import EVERYTHING, Pathspec
from mvc.repo.stage import Stage, StageEntry, stat_of

ID = "ab" * 20
needs_native = pytest.mark.skipif(statpass._native is None, reason="not compiled here")


def staged(top: Path, paths: list[str]) -> Stage:
    stage = Stage()
    for path in paths:
        found = os.lstat(os.path.join(os.fsencode(top), path.encode("utf-8", "surrogateescape")))
        stage.put(StageEntry(path, 0o100644, ID, found.st_size, None, stat_of(found)))
    return stage


def both(top: Path, stage: Stage, pathspec: Pathspec = EVERYTHING) -> list[str]:
    """What differs, as both loops see it."""
    with Folders(top) as folders:
        slow = statpass.differing(folders, stage, pathspec, native=False)
        assert statpass.differing(folders, stage, pathspec) == slow
    with Folders(top, by_descriptor=False) as folders:
        assert statpass.differing(folders, stage, pathspec) == slow
    return [path for path, _ in slow]


def test_both_loops_say_the_same(tmp_path: Path) -> None:
    names = [
        "a",
        "b/c",
        "b/d/e",
        "é",
        "line\nend",
        os.fsdecode(b"\xff\xfe"),
        "sp ace",
        "z" * 200,
        "link",
        "gone",
        "x/y",
    ]
    for name in names:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == "link":
            target.symlink_to("nowhere")
        else:
            target.write_bytes(name.encode("utf-8", "surrogateescape"))
    stage = staged(tmp_path, names)
    assert both(tmp_path, stage) == []
    (tmp_path / "gone").unlink()
    os.utime(tmp_path / "é", ns=(-5, -(10**9) - 7))
    (tmp_path / "b" / "c").write_bytes(b"other")
    (tmp_path / "sp ace").unlink()
    (tmp_path / "sp ace").mkdir()
    assert both(tmp_path, stage) == ["b/c", "gone", "sp ace", "é"]
    assert both(tmp_path, stage, Pathspec.parse(["b", "gone"])) == ["b/c", "gone"]
    os.rename(tmp_path / "b", tmp_path / "moved")
    (tmp_path / "b").symlink_to("moved")
    assert both(tmp_path, stage) == ["b/c", "b/d/e", "gone", "sp ace", "é"]
    os.rename(tmp_path / "x", tmp_path / "folder")
    (tmp_path / "x").write_bytes(b"")
    assert "x/y" in both(tmp_path, stage)


def test_times_before_1970_are_known_again(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    os.utime(tmp_path / "old", ns=(-(10**18) - 3, -(10**18) - 3))
    assert both(tmp_path, staged(tmp_path, ["old"])) == []


def test_an_unknown_stat_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    stage = Stage()
    stage.put(StageEntry("a", 0o100644, ID, 0))
    assert both(tmp_path, stage) == ["a"]


def test_an_empty_stage(tmp_path: Path) -> None:
    assert both(tmp_path, Stage()) == []


def test_many_rows_are_shared_among_threads(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    stat = stat_of(os.lstat(tmp_path / "f"))
    paths = sorted(["f", *(f"absent/{number:05d}" for number in range(0, 40_000))])
    stage = Stage()
    stage.replace(StageEntry(path, 0o100644, ID, 0, None, stat) for path in paths)
    columns = stage.columns()
    parts = statpass._parts(columns.column(PATHS), columns.rows)
    assert len(parts) > 1
    assert [columns.paths()[row] for _, _, row in parts] == [
        columns.column(PATHS)[start:stop].split(b"\0")[0].decode() for start, stop, _ in parts
    ]
    with Folders(tmp_path) as folders:
        found = statpass._native_pass(folders, columns)
    assert found is None or found == paths[:-1]


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 5000, 20_000])
def test_the_parts_cover_all_rows_once(rows: int) -> None:
    paths = b"\0".join(b"p" * (1 + number % 40) for number in range(rows))
    seen = [name for start, stop, _ in statpass._parts(paths, rows) for name in paths[start:stop].split(b"\0")]
    assert b"\0".join(seen) == paths


@needs_native
def test_columns_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        for paths, stats, start, stop, row in [
            (b"a\0b", bytes(32), 0, 3, 0),
            (b"a", bytes(31), 0, 1, 0),
            (b"a", bytes(32), 0, 2, 0),
            (b"a", bytes(32), -1, 1, 0),
            (b"a", bytes(32), 0, 1, -1),
            (b"a", bytes(32), 1, 0, 0),
        ]:
            with pytest.raises(ValueError, match="fit"):
                statpass._native.differing(fd, paths, stats, start, stop, row)
        assert statpass._native.differing(fd, b"a", bytes(32), 0, 1, 0) == struct.pack("I", 0)
    finally:
        os.close(fd)
    with pytest.raises(OSError):
        statpass._native.differing(fd, b"a", bytes(32), 0, 1, 0)


def test_columns_keep_to_their_order() -> None:
    columns = Columns(0, None, [b""] * 6)
    assert columns.column(PATHS) == columns.column(STATS) == b""
