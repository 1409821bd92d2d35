"""Digests of datasets, remembered by stat: nothing is read twice, and nothing stale is believed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mvc.metadata.datasets import describe_dataset, hash_folder
from mvc.metadata.digests import DigestCache


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for number in range(20):
        (folder / "sub" / f"f{number}\n").write_bytes(b"x" * number)
    (folder / "link").symlink_to("sub")
    return folder


def age(folder: Path) -> None:
    """As if all was written an hour ago (but for the change time, which only waiting moves)."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(time.time_ns() - 3_600 * 10**9,) * 2)
    time.sleep(0.05)


def reads(folder: Path, home: Path) -> tuple[bytes, int]:
    """The digest, and how many files had to be read for it: a file that is gone from under the cache's eyes fails."""
    counted = []
    original = DigestCache.note

    def note(self: DigestCache, path: bytes, *rest: object) -> None:
        counted.append(path)
        original(self, path, *rest)  # type: ignore[arg-type]

    DigestCache.note = note  # type: ignore[method-assign,assignment]
    try:
        return hash_folder(folder, home)[0], len(counted)
    finally:
        DigestCache.note = original  # type: ignore[method-assign]


def test_what_looks_as_it_did_is_not_read(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "cache"
    plain = hash_folder(data)[0]
    age(data)
    assert reads(data, home) == (plain, 20)
    assert reads(data, home) == (plain, 0)
    (data / "sub" / "f3\n").write_bytes(b"new")
    changed, count = reads(data, home)
    assert changed == hash_folder(data)[0] != plain and count == 1


def test_what_is_as_new_as_the_cache_is_not_believed(data: Path, tmp_path: Path) -> None:
    """A file changed within one step of the clock, to the same size: its stat would be the same."""
    home = tmp_path / "cache"
    age(data)
    file = data / "sub" / "f5\n"
    file.write_bytes(b"aaaaa")
    first = reads(data, home)[0]
    seen = file.stat()
    file.write_bytes(b"bbbbb")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    second, count = reads(data, home)
    assert second == hash_folder(data)[0] != first and count >= 1


def test_a_time_set_back_is_noticed_by_the_change_time(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "cache"
    age(data)
    first = reads(data, home)[0]
    file = data / "sub" / "f7\n"
    seen = file.stat()
    file.write_bytes(b"1234567")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert reads(data, home) == (hash_folder(data)[0], 1)
    assert hash_folder(data)[0] != first


@pytest.mark.parametrize("damage", [b"", b"mvc datasets 1\n", b"nonsense" * 100])
def test_a_damaged_cache_is_none(damage: bytes, data: Path, tmp_path: Path) -> None:
    home = tmp_path / "cache"
    age(data)
    expected, _ = reads(data, home)
    (file,) = home.iterdir()
    half = file.read_bytes()[: file.stat().st_size // 2]
    for content in (damage, half, half + b"\0" + half):
        file.write_bytes(content)
        assert reads(data, home) == (expected, 20)


def test_a_cache_that_cannot_be_written_is_done_without(data: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file is in the way")
    assert hash_folder(data, tmp_path / "cache") == hash_folder(data)


def test_a_single_file(tmp_path: Path) -> None:
    file = tmp_path / "train.bin"
    file.write_bytes(b"1" * 100_000)
    age(tmp_path)
    home = tmp_path / "cache"
    plain = describe_dataset("d", "train.bin", tmp_path, None)
    assert describe_dataset("d", "train.bin", tmp_path, None, home) == plain
    assert describe_dataset("d", "train.bin", tmp_path, None, home) == plain
    file.write_bytes(b"2" * 100_000)
    assert describe_dataset("d", "train.bin", tmp_path, None, home).digest != plain.digest
