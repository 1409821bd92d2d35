"""Writes into a worktree: whatever stands there, nothing outside is touched."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvc import fsio
from mvc.errors import UnsafePath, WouldOverwrite
from mvc.objects.model import EXEC, FILE, LINK, TREE
from mvc.repo.folders import HAS_DESCRIPTORS, Folders
from mvc.repo.place import Placer
from mvc.repo.stage import stat_of

KINDS = [pytest.param(True, id="by descriptor"), pytest.param(False, id="by path")]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"precious")
    return folder


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(params=KINDS)
def by_descriptor(request: pytest.FixtureRequest) -> bool:
    if request.param and not HAS_DESCRIPTORS:
        pytest.skip("no openat here")
    return bool(request.param)


@pytest.fixture
def placer(top: Path, by_descriptor: bool) -> Iterator[Placer]:
    with Placer(top, by_descriptor=by_descriptor) as found:
        yield found


@pytest.fixture
def forced(top: Path, by_descriptor: bool) -> Iterator[Placer]:
    with Placer(top, force=True, by_descriptor=by_descriptor) as found:
        yield found


def names(folder: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(base, name), folder) for base, _, files in os.walk(folder) for name in files
    )


def write_large(placer: Placer, path: str, data: bytes, mode: int = FILE) -> None:
    with placer.begin(path, mode, len(data)) as file:
        half = len(data) // 2
        file.pwrite(data[half:], half)
        file.pwrite(data[:half], 0)
        file.commit()


def test_files_links_and_modes(top: Path, placer: Placer) -> None:
    old = os.umask(0o027)
    try:
        assert placer.small("a/b/file", b"data", FILE) == stat_of(os.lstat(top / "a/b/file"))
        placer.small("a/run", b"#!/bin/sh\n", EXEC)
        placer.small("empty", b"", FILE)
        placer.small("link", b"no/where/\xff", LINK)
        write_large(placer, "big/model", bytes(range(256)) * 999, EXEC)
    finally:
        os.umask(old)
    assert (top / "a/b/file").read_bytes() == b"data"
    assert stat.S_IMODE(os.stat(top / "a/b/file").st_mode) == 0o640
    assert stat.S_IMODE(os.stat(top / "a/run").st_mode) == 0o750
    assert stat.S_IMODE(os.stat(top / "big/model").st_mode) == 0o750
    assert (top / "empty").read_bytes() == b""
    assert os.readlink(os.fsencode(top / "link")) == b"no/where/\xff"
    assert (top / "big/model").read_bytes() == bytes(range(256)) * 999
    assert names(top) == ["a/b/file", "a/run", "big/model", "empty", "link"]


def test_odd_names(top: Path, placer: Placer) -> None:
    odd = [b"new\nline", b"\xff\xfe", "ünï/cödé".encode(), b" ", b"-rf", b"*", "e\u0301".encode(), b"a" * 255]
    for name in odd:
        placer.small(name.decode("utf-8", "surrogateescape"), name, FILE)
        write_large(placer, (name + b".d/x")[-250:].decode("utf-8", "surrogateescape"), name)
    for name in odd:
        assert (top / os.fsdecode(name)).read_bytes() == name
        assert placer.remove(name.decode("utf-8", "surrogateescape"))


def test_who_has_the_old_file_open_keeps_it(top: Path, placer: Placer) -> None:
    (top / "model").write_bytes(b"old")
    with open(top / "model", "rb") as mapped:
        placer.small("model", b"new", FILE)
        assert mapped.read() == b"old"
        write_large(placer, "model", b"newest")
        assert mapped.seek(0) == 0 and mapped.read() == b"old"
    assert (top / "model").read_bytes() == b"newest"


@pytest.mark.parametrize("target", ["../outside", "../outside/", "{outside}", "missing", "loop"])
def test_a_link_is_not_a_folder(top: Path, outside: Path, placer: Placer, forced: Placer, target: str) -> None:
    (top / "loop").symlink_to("loop")
    (top / "dir").symlink_to(target.format(outside=outside))
    for path in ("dir/precious", "dir/new", "dir/sub/new"):
        with pytest.raises(WouldOverwrite) as raised:
            placer.small(path, b"evil", FILE)
        assert raised.value.paths == ("dir",)
        with pytest.raises(WouldOverwrite):
            placer.begin(path, FILE, 4)
        assert placer.remove(path) is False
        assert placer.lstat(path) is None
        with pytest.raises(OSError):
            placer.open_read(path)
        with pytest.raises(OSError):
            placer.chmod(path, EXEC)
    assert names(outside) == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"

    forced.small("dir/precious", b"mine", FILE)
    write_large(forced, "dir/sub/new", b"mine")
    assert not (top / "dir").is_symlink()
    assert (top / "dir/precious").read_bytes() == b"mine"
    assert names(outside) == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"


def test_a_link_placed_then_a_file_through_it(top: Path, outside: Path, placer: Placer) -> None:
    placer.small("dir/a", b"1", FILE)
    placer.remove("dir/a")
    placer.small("dir", b"../outside", LINK)
    with pytest.raises(WouldOverwrite):
        placer.small("dir/precious", b"evil", FILE)
    with pytest.raises(WouldOverwrite):
        placer.begin("dir/precious", FILE, 1)
    assert (outside / "precious").read_bytes() == b"precious"


def test_a_link_at_the_path_itself_is_replaced_not_followed(top: Path, outside: Path, placer: Placer) -> None:
    for path in ("one", "two", "three", "four"):
        (top / path).symlink_to("../outside/precious")
    placer.small("one", b"mine", FILE)
    write_large(placer, "two", b"mine")
    assert placer.remove("three")
    with pytest.raises(UnsafePath):
        placer.chmod("four", EXEC)
    with pytest.raises(UnsafePath):
        placer.open_read("four")
    assert [(top / path).is_symlink() for path in ("one", "two")] == [False, False]
    assert not (top / "three").is_symlink()
    assert (outside / "precious").read_bytes() == b"precious"
    assert not os.access(outside / "precious", os.X_OK) or os.geteuid() == 0


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/etc/x",
        "a//b",
        "a/",
        ".mvc/config",
        "a/.MVC/config",
        ".git/hooks/post-checkout",
        "GIT~1/config",
        ".git\u200c/config",
        ".mvc::$INDEX_ALLOCATION/x",
        ".mvcmeta/params.yaml",
        "a/.git",
        "nul\x00byte",
    ],
)
def test_guarded_paths_are_refused(top: Path, outside: Path, placer: Placer, path: str) -> None:
    for act in (
        lambda: placer.small(path, b"evil", FILE),
        lambda: placer.begin(path, FILE, 4),
        lambda: placer.remove(path),
        lambda: placer.chmod(path, EXEC),
    ):
        with pytest.raises(UnsafePath):
            act()
    assert os.listdir(top) == []
    assert names(outside) == ["precious"]


def test_modes_that_are_no_files(placer: Placer) -> None:
    for mode in (TREE, 0o160000, 0):
        with pytest.raises(UnsafePath):
            placer.small("a", b"", mode)
    with pytest.raises(UnsafePath):
        placer.begin("a", LINK, 1)


def test_a_folder_in_the_way_is_kept_unless_it_is_empty(top: Path, placer: Placer, forced: Placer) -> None:
    (top / "full").mkdir()
    (top / "full/work").write_bytes(b"mine")
    (top / "empty").mkdir()
    for one in (placer, forced):
        with pytest.raises(WouldOverwrite):
            one.small("full", b"", FILE)
        with pytest.raises(WouldOverwrite):
            write_large(one, "full", b"xy")
        assert not one.remove("full")
    placer.small("empty", b"now a file", FILE)
    assert (top / "empty").read_bytes() == b"now a file"
    assert names(top) == ["empty", "full/work"]


def test_removing_takes_folders_that_get_empty(top: Path, placer: Placer) -> None:
    placer.small("a/b/c/file", b"", FILE)
    placer.small("a/other", b"", FILE)
    assert placer.remove("a/b/c/file")
    assert os.listdir(top / "a") == ["other"]
    assert not placer.remove("a/b/c/file")
    assert placer.remove("a/other")
    assert os.listdir(top) == []
    placer.small("a/b/c/file", b"again", FILE)
    assert (top / "a/b/c/file").read_bytes() == b"again"


def test_what_is_not_committed_leaves_nothing(top: Path, placer: Placer) -> None:
    with placer.begin("a/model", FILE, 100) as file:
        file.pwrite(b"x", 99)
    assert names(top) == []
    with pytest.raises(KeyboardInterrupt), placer.begin("a/model", FILE, 100):
        raise KeyboardInterrupt
    assert names(top) == []


@pytest.mark.parametrize("large", [False, True])
def test_a_crash_at_any_step_leaves_the_old_or_the_new(top: Path, placer: Placer, large: bool) -> None:
    def act() -> None:
        if large:
            write_large(placer, "a/model", b"new!")
        else:
            placer.small("a/model", b"new!", FILE)

    (top / "a").mkdir()
    steps: list[str] = []
    with fsio.hooked(lambda operation, _: steps.append(operation)):
        act()
    assert steps[-1] == "rename"
    for crash in range(len(steps)):
        (top / "a/model").write_bytes(b"old")
        count = 0

        def hook(operation: str, _: str, crash: int = crash) -> None:
            nonlocal count
            count += 1
            if count == crash + 1:
                raise KeyboardInterrupt(operation)

        with pytest.raises(KeyboardInterrupt), fsio.hooked(hook):
            act()
        assert (top / "a/model").read_bytes() == b"old"
        assert names(top) == ["a/model"]


def test_many_threads_write_one_file(top: Path, placer: Placer) -> None:
    block = 65536
    with placer.begin("m", FILE, 64 * block) as file:

        def write(start: int) -> None:
            for number in range(start, 64, 8):
                file.pwrite(bytes([number]) * block, number * block)

        threads = [threading.Thread(target=write, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stat_now = file.commit()
    assert (top / "m").read_bytes() == b"".join(bytes([number]) * block for number in range(64))
    assert stat_now == stat_of(os.lstat(top / "m"))


def test_the_executable_bit(top: Path, placer: Placer) -> None:
    placer.small("run", b"", FILE)
    os.chmod(top / "run", 0o640)
    placer.chmod("run", EXEC)
    assert stat.S_IMODE(os.stat(top / "run").st_mode) == 0o750
    assert placer.chmod("run", FILE) == stat_of(os.lstat(top / "run"))
    assert stat.S_IMODE(os.stat(top / "run").st_mode) == 0o640


def test_more_folders_than_are_kept_open(top: Path, placer: Placer) -> None:
    for round_ in range(2):
        for number in range(150):
            placer.small(f"d{number}/e/f", b"%d" % round_, FILE)
    assert len(names(top)) == 150
    assert all(placer.remove(f"d{number}/e/f") for number in range(150))
    assert os.listdir(top) == []


def test_a_pipe_is_not_read(top: Path, by_descriptor: bool) -> None:
    os.mkfifo(top / "pipe")
    with Folders(top, by_descriptor=by_descriptor) as folders, pytest.raises(UnsafePath):
        folders.open_file("pipe")


@pytest.mark.skipif(not HAS_DESCRIPTORS, reason="no openat here")
def test_a_folder_swapped_for_a_link_between_two_writes(top: Path, outside: Path) -> None:
    with Placer(top) as placer:
        placer.small("dir/a", b"1", FILE)
        os.rename(top / "dir", top / "moved")
        (top / "dir").symlink_to("../outside")
        placer.small("dir/b", b"2", FILE)
    assert names(outside) == ["precious"]
    assert (top / "moved/b").read_bytes() == b"2"
