from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import IntegrityError, UnsafePath
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.model import EMPTY_TREE, EXEC, FILE, LINK, TREE, TreeEntry, TreeItem
from tests.objects.realgit import RealGit

Flat = dict[str, TreeItem]

IDS = st.sampled_from([f"{at}" * 40 for at in "123456"])
ITEMS = st.builds(TreeItem, st.sampled_from([FILE, EXEC, LINK]), IDS)
NAMES = st.sampled_from(["a", "b", "a.b", "a-", "a0", "é", "dir", "x"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def fits(items: Mapping[str, object]) -> bool:
    """Whether no path is a file and a folder."""
    return not any(other.startswith(path + "/") for path in items for other in items)


FLAT = st.dictionaries(PATHS, ITEMS, max_size=10).filter(fits)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectBatch]:
    with RealGit(tmp_path_factory.mktemp("trees") / "repo").objects.batch() as batch:
        yield batch


HYPOTHESIS = settings(deadline=None, max_examples=70)


@HYPOTHESIS
@given(FLAT)
def test_what_is_built_is_read_again(batch: ObjectBatch, items: Flat) -> None:
    tree = trees.build(batch, items)
    assert trees.flatten(batch.reader, tree) == items
    for path, item in items.items():
        assert trees.entry_at(batch.reader, tree, path) == item
    assert trees.entry_at(batch.reader, tree, "none") is None
    assert trees.entry_at(batch.reader, tree, "a/none/x") is None


@HYPOTHESIS
@given(FLAT, FLAT)
def test_diff_is_the_difference(batch: ObjectBatch, before: Flat, after: Flat) -> None:
    old, new = trees.build(batch, before), trees.build(batch, after)
    changes = list(trees.diff(batch.reader, old, new))
    assert {change.path: (change.old, change.new) for change in changes} == {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }
    assert len({change.path for change in changes}) == len(changes)


@HYPOTHESIS
@given(FLAT, st.dictionaries(PATHS, st.none() | ITEMS, max_size=6))
def test_update_is_build_with_changes(batch: ObjectBatch, before: Flat, changes: dict[str, TreeItem | None]) -> None:
    added = {path: item for path, item in changes.items() if item is not None}
    if not fits(added):
        return
    after = {path: item for path, item in before.items() if path not in changes}
    for path in added:
        # A file takes the place of a folder, and a folder that of a file.
        after = {old: item for old, item in after.items() if not old.startswith(path + "/")}
        after = {old: item for old, item in after.items() if not path.startswith(old + "/")}
    after.update(added)
    base = trees.build(batch, before)
    assert trees.update(batch, base, changes) == trees.build(batch, after)


def test_update_writes_only_what_changes(git: RealGit) -> None:
    with git.objects.batch() as batch:
        blob = batch.blob(b"x")
        base = trees.build(batch, {f"{a}/{b}/file": TreeItem(FILE, blob) for a in "abcdef" for b in "abcdef"})
        batch.seal()
    with git.objects.batch() as batch:
        new = trees.update(batch, base, {"c/d/file": TreeItem(EXEC, blob), "e/none": None})
        assert len(batch) == 3
        batch.seal()
    assert git.run("diff-tree", "-r", "--name-only", base, new) == "c/d/file"


def test_the_same_trees_as_git(git: RealGit) -> None:
    names = ["a.b", "a/x", "a-b/y", "a0", "b/c/d/e", "z", "é/ü"]
    with git.objects.batch() as batch:
        blob = batch.blob(b"x")
        tree = trees.build(batch, {name: TreeItem(FILE, blob) for name in names})
        batch.seal()
    for name in names:
        git.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    assert git.run("write-tree") == tree
    assert git.run("ls-tree", "-r", "--name-only", "-z", tree).rstrip("\0").split("\0") == list(
        trees.flatten(git.objects, tree)
    )
    assert git.fsck(tree) == ""


def test_metadata_is_no_content(git: RealGit) -> None:
    with git.objects.batch() as batch:
        blob = batch.blob(b"x")
        metadata = batch.tree([TreeEntry("params.yaml", FILE, blob)])
        plain = trees.build(batch, {"f": TreeItem(FILE, blob)})
        told = trees.build(batch, {"f": TreeItem(FILE, blob)}, metadata=metadata)
        read = batch.reader
        assert told == trees.with_metadata(batch, plain, metadata) == trees.update(batch, plain, {}, metadata=metadata)
        assert plain == trees.with_metadata(batch, told, None) == trees.update(batch, told, {})
        assert trees.same_content(read, plain, told) and not trees.same_content(read, plain, EMPTY_TREE)
        assert trees.metadata_tree(read, told) == metadata and trees.metadata_tree(read, plain) is None
        assert list(trees.diff(read, plain, told)) == []
        assert [change.path for change in trees.diff(read, plain, told, metadata=True)] == [".mvcmeta/params.yaml"]
        assert list(trees.flatten(read, told)) == ["f"]
        assert list(trees.flatten(read, told, metadata=True)) == [".mvcmeta/params.yaml", "f"]
        with pytest.raises(UnsafePath):
            trees.build(batch, {"below/.mvcmeta/params.yaml": TreeItem(FILE, blob)})
        with pytest.raises(UnsafePath):
            batch.tree([TreeEntry(".mvcmeta", FILE, blob)], root=True)


@pytest.mark.parametrize(
    "path", ["", "/a", "a//b", "a/", "../a", "a/..", "./a", ".git/config", "a/.mvc/x", "a\0b", "GIT~1"]
)
def test_unsafe_paths_are_not_built(git: RealGit, path: str) -> None:
    with git.objects.batch() as batch:
        item = TreeItem(FILE, batch.blob(b"x"))
        with pytest.raises(UnsafePath):
            trees.build(batch, {path: item})
        with pytest.raises(UnsafePath):
            trees.update(batch, None, {path: item})


def test_a_path_is_a_file_or_a_folder(git: RealGit) -> None:
    with git.objects.batch() as batch:
        item = TreeItem(FILE, batch.blob(b"x"))
        for build in (lambda items: trees.build(batch, items), lambda items: trees.update(batch, None, items)):
            with pytest.raises(UnsafePath):
                build({"a": item, "a/b": item})


def test_trees_deeper_than_any_path_are_refused(git: RealGit) -> None:
    with git.objects.batch() as batch:
        item = TreeItem(FILE, batch.blob(b"x"))
        deep = trees.build(batch, {"/".join("d" * 400): item})
        assert list(trees.flatten(batch.reader, deep)) == ["/".join("d" * 400)]
        assert len(list(trees.diff(batch.reader, None, deep))) == 1
        for _ in range(200):
            deep = batch.tree([TreeEntry("d", TREE, deep)])
        with pytest.raises(IntegrityError):
            trees.flatten(batch.reader, deep)
        with pytest.raises(IntegrityError):
            list(trees.diff(batch.reader, None, deep))


def test_many_entries(tmp_path: Path) -> None:
    with RealGit(tmp_path / "repo").objects.batch() as batch:
        blob = batch.blob(b"x")
        items = {
            f"{letter}/{number:04d}.bin": TreeItem(FILE, blob)
            for letter in string.ascii_lowercase
            for number in range(99)
        }
        tree = trees.build(batch, items)
        assert trees.flatten(batch.reader, tree) == items
        assert list(trees.flatten(batch.reader, tree)) == sorted(items)
