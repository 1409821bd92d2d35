"""Packs and idx files of each version of the formats can be read for ever, and are written to the byte as they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mvc.hashing import digest
from mvc.settings import ChunkNaming
from mvc.store import idxbuild
from mvc.store.idx import Idx
from mvc.store.packfile import PackBuilder, PackFile, walk
from tests.store.make_golden import GOLDEN, numbers
from tests.store.making import chunk, open_store

RAWS = [b"", b"a small chunk", chunk(1, 300), b"text that repeats itself, " * 40, *(numbers(n) for n in range(3))]
PACKS = sorted(GOLDEN.glob("*.pack"))
IDX = sorted(GOLDEN.glob("*.idx"))


def test_they_are_there() -> None:
    assert len(PACKS) == len(IDX) == 1


@pytest.mark.parametrize("pack", PACKS, ids=["version 1"])
def test_all_chunks_are_read(tmp_path: Path, pack: Path) -> None:
    store = open_store(tmp_path)
    target = store.paths.pack(bytes.fromhex(pack.stem))
    target.parent.mkdir(parents=True)
    shutil.copyfile(pack, target)
    for path in IDX:
        shutil.copyfile(path, store.paths.idx / path.name)
    store.reload()
    assert {name for name in store.names()} == {digest(raw) for raw in RAWS}
    assert [bytes(store.read(digest(raw))) for raw in RAWS] == RAWS
    assert sorted(place.depth for _, place in store.records()) == [0, 0, 0, 0, 0, 1, 2]
    assert store.verify() == []
    assert store.rebuild_idx() == []
    assert [path.read_bytes() for path in sorted(store.paths.idx.glob("*.idx"))] == [path.read_bytes() for path in IDX]


@pytest.mark.parametrize("pack", PACKS, ids=["version 1"])
def test_the_same_records_make_the_same_pack(tmp_path: Path, pack: Path) -> None:
    data = pack.read_bytes()
    builder = PackBuilder(tmp_path, ChunkNaming())
    for offset, record in walk(PackFile(pack), bytes.fromhex(pack.stem)):
        lead = data[offset : offset + record.lead_size]
        builder.append(lead, (data[offset + record.lead_size : offset + record.record_size],))
    assert builder.finish().hex() == pack.stem
    builder.commit(tmp_path / pack.name)
    assert (tmp_path / pack.name).read_bytes() == data


@pytest.mark.parametrize("path", IDX, ids=["version 1"])
def test_the_same_idx_is_written(tmp_path: Path, path: Path) -> None:
    idx = Idx(path)
    idx.check()
    written = idxbuild.write(idxbuild.merge([idxbuild.from_idx(idx)]), tmp_path, tmp_path)
    assert written is not None and written.name == path.name and written.read_bytes() == path.read_bytes()


def test_another_salt_is_another_name(tmp_path: Path) -> None:
    """The one other way in which a writer names the same records (docs/format/pack.md)."""
    builder = PackBuilder(tmp_path, ChunkNaming())
    names = [builder.finish(), builder.salt(), builder.salt()]
    assert len(set(names)) == 3
    builder.commit(tmp_path / f"{names[2].hex()}.pack")
    assert list(walk(PackFile(tmp_path / f"{names[2].hex()}.pack"), names[2])) == []
