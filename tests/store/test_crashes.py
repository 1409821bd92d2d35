"""Killed at every step that changes the disk: the store stays whole, a repeat completes, left-overs are collected."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.hashing import digest
from mvc.settings import StoreSettings
from mvc.store import compact
from mvc.store.chunkstore import ChunkStore
from tests.forked import KILLED, in_child, killer
from tests.store.making import (
    add,
    chunk,
    idx_files,
    open_store,
    pack_files,
    prune,
    put,
    put_delta,
    raw_encoded,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SMALL_PACKS = StoreSettings(pack_size=2500, threads=1)


def kill_everywhere(
    tmp_path: Path, prepare: Callable[[Path], None], work: Callable[[Path], None], check: Callable[[Path, bool], None]
) -> int:
    """Kill `work` before each of its steps in turn; `check` what is left, then again after a repeat."""
    original = tmp_path / "original"
    original.mkdir()
    prepare(original)
    step = 0
    while True:
        root = tmp_path / "copy"
        shutil.copytree(original, root)  # copies times too: packs stay as old as they are

        code = in_child(lambda where=root: work(where), killer(step + 1))  # type: ignore[misc]
        assert code in (0, KILLED), step
        check(root, False)
        if code == 0:
            assert step > 5
            return step
        work(root)
        check(root, True)
        shutil.rmtree(root)
        step += 1


def expect(store: ChunkStore, present: set[bytes], raws: dict[bytes, bytes]) -> None:
    assert store.verify() == []
    for name in present:
        assert store.read(name) == raws[name]
    for name in set(store.names()) - present:
        try:
            assert store.read(name) == raws[name]
        except IntegrityError:  # a gc that was killed has condemned it, and removed its base
            assert store.paths.condemned.exists()


def raws_of(count: int) -> dict[bytes, bytes]:
    return {digest(raw): raw for raw in (chunk(n) for n in range(count))}


def nothing_left_over(root: Path) -> None:
    """After a gc nothing but packs and idx files stands."""
    store = open_store(root, SMALL_PACKS)
    for path in store.paths.tmp.iterdir():
        os.utime(path, (1, 1))  # else it may be of the very moment in which the sweep begins
    prune(store, set(store.names()))
    for folder in (store.paths.tmp, store.paths.intents, store.paths.locks):
        assert list(folder.iterdir()) == []
    listed = {pack.path for pack in store.packs()}
    assert set(pack_files(store)) == listed and not store.paths.condemned.exists()
    assert store.verify() == []


def test_storing(tmp_path: Path) -> None:
    raws = raws_of(7)
    names = list(raws)

    def prepare(root: Path) -> None:
        put(open_store(root), raws[names[0]], raws[names[1]])

    def work(root: Path) -> None:
        store = open_store(root, SMALL_PACKS)
        with store.intend("test") as intent, store.writer(intent) as writer:
            for n, name in enumerate(names):
                bases = [names[n - 1]] if n % 3 else []
                if writer.begin(name):
                    writer.add(name, raw_encoded(raws[name]), raw_size=1000, bases=tuple(bases), depth=n % 3)

    def check(root: Path, complete: bool) -> None:
        store = open_store(root)
        expect(store, set(names) if complete else set(names[:2]), raws)
        if complete:
            nothing_left_over(root)
            expect(open_store(root), set(names), raws)

    assert kill_everywhere(tmp_path, prepare, work, check) > 25


def test_what_was_sealed_before_a_kill_is_not_stored_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def killed() -> None:
        with store.intend("test") as intent, store.writer(intent) as writer:
            for n in range(10):
                add(writer, chunk(n))
            writer.flush()
            os.kill(os.getpid(), 9)

    assert in_child(killed) == KILLED
    with store.intend("test") as intent, store.writer(intent) as writer:
        assert not any(writer.begin(digest(chunk(n))) for n in range(10))


def test_collecting(tmp_path: Path) -> None:
    raws = raws_of(20)
    names = list(raws)
    live = {*names[:3], names[9], names[12]}

    def prepare(root: Path) -> None:
        store = open_store(root)
        put(store, *(raws[name] for name in names[:6]))  # half of it goes: rewritten
        put(store, *(raws[name] for name in names[6:9]))  # goes but for the base of a live one
        put_delta(store, raws[names[9]], [names[7]], 1)  # stays
        put(store, *(raws[name] for name in names[10:12]))  # goes
        put_delta(store, raws[names[12]], [names[9]], 2)  # stays
        put_delta(store, raws[names[13]], [names[10]], 1)  # goes, and so does what it rests on

    def work(root: Path) -> None:
        prune(open_store(root, SMALL_PACKS), live)

    def check(root: Path, complete: bool) -> None:
        store = open_store(root)
        expect(store, live, raws)
        if complete:
            assert set(store.names()) == live | {names[7]}
            nothing_left_over(root)
            assert set(open_store(root).names()) == live | {names[7]}

    assert kill_everywhere(tmp_path, prepare, work, check) > 20


def test_merging_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raws = raws_of(4)
    names = list(raws)

    def prepare(root: Path) -> None:
        for name in names:
            put(open_store(root), raws[name])
        monkeypatch.setattr(compact, "MAX_IDX", 4)

    def work(root: Path) -> None:
        put(open_store(root), b"one more")

    def check(root: Path, complete: bool) -> None:
        store = open_store(root)
        expect(store, set(names), raws | {digest(b"one more"): b"one more"})
        if complete:
            assert digest(b"one more") in store
            nothing_left_over(root)
            assert len(idx_files(store)) <= compact.MAX_IDX

    kill_everywhere(tmp_path, prepare, work, check)


def test_rebuilding_the_idx(tmp_path: Path) -> None:
    raws = raws_of(9)
    names = list(raws)

    def prepare(root: Path) -> None:
        for n in range(3):
            put(open_store(root), *(raws[name] for name in names[3 * n : 3 * n + 3]))

    def work(root: Path) -> None:
        assert open_store(root).rebuild_idx() == []

    def check(root: Path, complete: bool) -> None:
        store = open_store(root)
        expect(store, set(names), raws)
        if complete:
            assert len(idx_files(store)) == 1
            nothing_left_over(root)

    kill_everywhere(tmp_path, prepare, work, check)


def test_a_full_disk_at_every_step(tmp_path: Path) -> None:
    """An error instead of a kill: what raises must leave the store whole, and nothing in tmp/."""
    raws = raws_of(6)
    names = list(raws)
    step, failures = 0, 0
    while True:
        root = tmp_path / str(step)
        root.mkdir()
        put(open_store(root), raws[names[0]])
        left = [step]

        def full(operation: str, path: str, left: list[int] = left) -> None:
            if operation in ("create", "write", "fsync", "rename", "mkdir"):
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(28, "No space left on device", path)

        store = open_store(root, SMALL_PACKS)
        try:
            with fsio.hooked(full), store.intend("test") as intent, store.writer(intent) as writer:
                for name in names:
                    add(writer, raws[name])
        except OSError as error:
            assert error.errno == 28
            failures += 1
        expect(open_store(root), {names[0]}, raws)
        assert list(store.paths.tmp.iterdir()) == []
        if left[0] >= 0:
            break
        step += 1
        shutil.rmtree(root)
    assert failures > 15


def test_gc_removes_nothing_on_the_word_of_a_damaged_idx(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    names = put(store, *(chunk(n) for n in range(20)))
    path = idx_files(store)[0]
    data = bytearray(path.read_bytes())
    at = data.index(names[3])
    data[at + 31] ^= 1
    path.write_bytes(data)
    before = pack_files(store)
    broken = open_store(tmp_path)
    assert broken.find(names[3]) is None
    with pytest.raises(IntegrityError):
        prune(broken, {names[3]})
    assert pack_files(store) == before
    assert broken.rebuild_idx() == []
    prune(broken, {names[3]})
    assert broken.read(names[3]) == chunk(3)
