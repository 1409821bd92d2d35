"""What a long log remembers of params and metrics: the same as the objects say, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

from mvc.errors import ParseError
from mvc.metadata import remembered
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.remembered import RememberingReader, append, line_of
from mvc.metadata.tree import METRICS, PARAMS, MetadataReader, read_metadata, write_tree
from mvc.metadata.typed import words
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
    assert whole.startswith(b"mvc metadata 2\n")
    for at in range(0, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        again = reader(objects, path)
        assert [again.read(tree) for tree in trees] == before
        # A line that does not fit its checksum costs itself alone; one whose end is gone, the next as well.
        assert again.fresh == (len(trees) if at < 15 else 1) or (again.fresh == 2 and whole[at] == 10)
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


def test_lines_are_added_whatever_was_cut_short(objects: Objects, trees: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    lines = [line_of(objects, tree) for tree in trees]
    for number, line in enumerate(lines):
        assert line is not None
        append(path, line, tmp_path)
        if number % 3 == 0:
            with open(path, "ab") as file:  # as a process leaves it that is killed, or has no more room
                file.write(b"\n" + b"f" * number + line[number : 7 * number])
    found = reader(objects, path)
    assert [found.read(tree).metrics for tree in trees] == [read_metadata(objects, tree).metrics for tree in trees]
    assert found.fresh == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_added_to_what_is_none(objects: Objects, trees: list[str], tmp_path: Path) -> None:
    line = line_of(objects, trees[1])
    assert line is not None
    path = tmp_path / "file"
    for other in (b"", b"mvc metadata 1 0000", b"mvc metadata 3\n", b"mvc metadata 2\n" + bytes(remembered.MAX_BYTES)):
        path.write_bytes(other)
        append(path, line, tmp_path)
        assert path.read_bytes() == other
    path.unlink()
    append(path, line * 1000, tmp_path)
    assert not path.exists()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)  # nobody waits for its other end
        append(path, line, tmp_path)
        assert reader(objects, path).read(trees[2]).metrics == {"loss": 1 / 7}


def test_values_that_no_terminal_shows_come_back(objects: Objects, tmp_path: Path) -> None:
    params = {"prompt": "one\ntwo\tthree", "odd": "\x1b[31m", "separators": "\x1e\x1f", "none": None, "yes": True}
    with objects.batch() as batch:
        folder = write_tree(batch, CommitMetadata(params=params, metrics={"a b=c": 1e16, "nan": float("inf")}))
        assert folder is not None
        tree = batch.tree([TreeEntry(".mvcmeta", TREE, folder)], root=True)
        batch.seal()
    line = line_of(objects, tree)
    assert line is not None and line.count(b"\n") == 0
    append(tmp_path / "file", line, tmp_path)
    found = reader(objects, tmp_path / "file")
    back = found.read(tree)
    assert found.fresh == 0 and dict(back.params) == params and getattr(back.params, "words", "") is None
    assert getattr(back.metrics, "words", "") == "a b=c=1e+16\tnan=inf"


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
    line = remembered._line(b"0" * 40, CommitMetadata(params=flat, metrics={"loss": 0.5}))
    if line is not None:
        with TemporaryDirectory() as folder:
            path = Path(folder, "file")
            remembered.append(path, line, Path(folder))
            remembered.append(path, line, Path(folder))
            found = RememberingReader(MetadataReader(Objects(Path(folder)), ()), path)
            back = found.read("0" * 40)
        assert found.fresh == 0 and bool(back.params) == bool(flat)
        assert getattr(back.metrics, "words", "") == "loss=0.5"
        shown = getattr(back.params, "words", "")
        if shown is None:
            assert same(dict(back.params), flat)
        elif flat:
            assert shown.split("\t") == words(flat) and shown.replace("\t", "").isprintable()
