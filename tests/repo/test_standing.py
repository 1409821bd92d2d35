"""A checkout reads what it can from the file that it replaces, and what it writes is right whatever stands there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import mvc
from mvc.objects.model import Signature
from mvc.store.files import OpenPacks
from mvc.store.records import Location
from tests.models import fine_tuned, layers, write_model

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="nothing is read from what stands without preadv")
PATH = "model.safetensors"
WHO = Signature("a", "a@example.org", 1_700_000_000)


@dataclass
class World:
    """A repository whose worktree holds the second of two versions; one of its four layers of 4 MiB was trained."""

    repo: mvc.Repo
    first: bytes
    second: bytes
    read: list[int]
    """Stored bytes of each record that was read from a pack."""

    @property
    def file(self) -> Path:
        return self.repo.worktree / PATH

    def checkout(self, revision: str, *, force: bool = False) -> int:
        """Check out; returns how many bytes were read from packs."""
        self.read.clear()
        self.repo.checkout(revision, force=force)
        return sum(self.read)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    repo = mvc.Repo.init(tmp_path / "work")
    weights = layers(count=4, width=1024)
    trained = weights | fine_tuned({name: weights[name] for name in weights if ".2." in name})
    versions = []
    for number, tensors in enumerate((weights, trained)):
        versions.append(write_model(repo.worktree / PATH, tensors))
        time.sleep(0.05)  # a file that is as new as its reading has no stat that proves anything
        repo.add([PATH])
        repo.commit(f"version {number}", author=WHO)
    world = World(repo, versions[0], versions[1], [])
    fetch = OpenPacks.fetch

    def counting(self: OpenPacks, location: Location) -> bytes:
        world.read.append(location.record_size)
        return fetch(self, location)

    monkeypatch.setattr(OpenPacks, "fetch", counting)
    return world


def test_what_stayed_is_read_from_the_file_that_stands(world: World) -> None:
    to_first = world.checkout("HEAD~1")
    assert world.file.read_bytes() == world.first
    assert to_first < len(world.first) / 3  # the layer that changed, of four
    to_second = world.checkout("main")
    assert world.file.read_bytes() == world.second
    assert to_second < 0.75 * to_first  # its difference alone: the base stands in the worktree


def test_a_file_that_changed_under_the_same_stat_does_no_harm(world: World) -> None:
    """No tool can see such a change, but what is written must be what was committed."""
    world.checkout("HEAD~1")
    found = world.file.stat()
    with world.file.open("r+b") as file:
        for offset in range(0, len(world.first), 100_000):
            file.seek(offset)
            file.write(b"\xff")
    os.utime(world.file, ns=(found.st_atime_ns, found.st_mtime_ns))
    world.repo.checkout("main", force=True)
    assert world.file.read_bytes() == world.second


@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: os.truncate(p, 1000), lambda p: p.write_bytes(b"x")])
def test_whatever_stands_there_a_forced_checkout_writes_what_was_committed(
    world: World, spoil: Callable[[Path], None]
) -> None:
    spoil(world.file)
    world.repo.checkout("HEAD~1", force=True)
    assert world.file.read_bytes() == world.first


def test_a_file_that_shrinks_while_it_helps_does_no_harm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, preadv = [0], os.preadv

    def shrinking(fd: int, buffers: list[memoryview], offset: int) -> int:
        reading[0] += 1
        if reading[0] == 3:
            os.truncate(world.file, len(world.second) // 4)
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", shrinking)
    world.repo.checkout("HEAD~1")
    assert reading[0] > 3
    assert world.file.read_bytes() == world.first


def test_no_descriptor_is_left_open(world: World) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("no /proc here")
    world.checkout("HEAD~1")
    before = len(os.listdir(folder))
    for revision in ("main", "HEAD~1") * 3:
        world.checkout(revision)
    assert len(os.listdir(folder)) <= before + 2  # packs and idx that this store keeps open
