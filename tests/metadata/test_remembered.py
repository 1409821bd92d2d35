"""What a long log remembers of params and metrics: the same as the objects say, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from mvc.errors import ParseError
from mvc.metadata import remembered
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.remembered import RememberingReader
from mvc.metadata.tree import METRICS, PARAMS, MetadataReader, write_tree
from mvc.metadata.values import flatten
from mvc.objects.database import Objects
from mvc.objects.model import EMPTY_TREE, TREE, TreeEntry
from mvc.repo.create import init
from tests.metadata.strategies import nested, same


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return init(tmp_path_factory.mktemp("repo"), initial_branch="main")[0].objects


@pytest.fixture(scope="module")
def trees(objects: Objects) -> list[str]:
    made = [EMPTY_TREE]
    with objects.batch() as batch:
        for number in range(20):
            metadata = CommitMetadata(params={"lr": 1e-5, "betas": [0.9, number]}, metrics={"loss": number / 7})
            folder = write_tree(batch, metadata)
            assert folder is not None
            made.append(batch.tree([TreeEntry(".mvcmeta", TREE, folder)], root=True))
        batch.seal()
    return made


def reader(objects: Objects, path: Path) -> RememberingReader:
    return RememberingReader(MetadataReader(objects, (PARAMS, METRICS)), path)


def test_it_comes_back_without_the_objects(objects: Objects, trees: list[str], tmp_path: Path) -> None:
    first = reader(objects, tmp_path / "file")
    before = [first.read(tree) for tree in trees]
    assert first.fresh == len(trees) and before[0] == NOTHING and before[3].params["betas"] == [0.9, 2]
    first.save(tmp_path)
    again = reader(objects, tmp_path / "file")
    assert [again.read(tree) for tree in trees] == before
    assert again.fresh == 0


def test_a_damaged_file_counts_as_none(objects: Objects, trees: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = reader(objects, path)
    before = [first.read(tree) for tree in trees]
    first.save(tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        again = reader(objects, path)
        assert again.read(trees[at % len(trees)]) == before[at % len(trees)] and again.fresh == 1
        path.write_bytes(whole[:at])
        assert reader(objects, path).read(trees[1]) == before[1]


def test_what_does_not_fit_goes(
    objects: Objects, trees: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reader(objects, tmp_path / "file")
    for tree in trees:
        first.read(tree)
    first.save(tmp_path)
    monkeypatch.setattr(remembered, "MAX_BYTES", (tmp_path / "file").stat().st_size // 2)
    second = reader(objects, tmp_path / "file")
    for tree in trees[:3]:
        second.read(tree)
    second.save(tmp_path)
    third = reader(objects, tmp_path / "file")
    for tree in trees:
        third.read(tree)
    assert third.fresh == len(trees) - 3


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written to")
def test_a_folder_that_cannot_be_written_to_is_no_error(objects: Objects, trees: list[str], tmp_path: Path) -> None:
    first = reader(objects, tmp_path / "closed" / "file")
    (tmp_path / "closed").mkdir(mode=0o500)
    first.read(trees[1])
    first.save(tmp_path / "closed")


@given(nested())
def test_what_is_remembered_is_what_was_read(groups: dict[str, object]) -> None:
    try:
        flat = flatten(groups)
    except ParseError:
        return
    text = remembered._encoded(CommitMetadata(params=flat))
    if text is not None:
        back = remembered._decoded(text)
        assert back is not None and same(dict(back.params), flat)
