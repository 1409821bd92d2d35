"""What gc puts elsewhere is found by each of several threads, though but one of them sees that something changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mvc.store import verify
from mvc.store.chunkstore import ChunkStore
from mvc.store.files import OpenPacks
from mvc.store.packfile import list_packs
from mvc.store.records import Location
from tests.store.making import chunk, open_store, prune, put, put_delta

Read = Callable[[ChunkStore, bytes], object]


@pytest.mark.parametrize(
    "read", [ChunkStore.read, ChunkStore.read_stored, ChunkStore.header], ids=["read", "stored", "header"]
)
def test_a_pack_that_went_while_another_thread_looked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    store = open_store(tmp_path)
    kept, _ = put(store, chunk(1), chunk(2))
    [delta] = [put_delta(store, chunk(3), [kept], 1)]
    reader = open_store(tmp_path)
    prune(store, {kept, delta})
    gone = OpenPacks._gone

    def beside(self: OpenPacks, location: Location, error: OSError) -> Exception:
        reader.reload()  # as a thread does that has met the same
        return gone(self, location, error)

    monkeypatch.setattr(OpenPacks, "_gone", beside)
    assert read(reader, delta) == read(store, delta)
    assert read(reader, kept) == read(store, kept)


def test_a_chunk_that_came_while_another_thread_looked_again(tmp_path: Path) -> None:
    reader = open_store(tmp_path)
    [name] = put(open_store(tmp_path), chunk(1))
    refresh = reader._reader._refresh

    def second() -> bool:
        reader.reload()
        return refresh()

    reader._reader._refresh = second
    assert reader.read(name) == chunk(1)


def test_several_packs_that_go_while_they_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    kept = {put(store, chunk(n), chunk(n + 1))[0] for n in (0, 2, 4)}

    def listed(packs_dir: Path) -> dict[bytes, Path]:
        monkeypatch.undo()
        assert len(prune(open_store(tmp_path), kept)) == 3
        return list_packs(packs_dir)

    monkeypatch.setattr(verify, "list_packs", listed)
    assert store.verify() == []
    assert {name for name, _ in store.records()} == kept
