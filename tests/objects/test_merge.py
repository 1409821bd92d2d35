from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.objects import manifest
from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment
from mvc.objects.merge import merge_trees, same_file
from mvc.objects.model import EXEC, FILE, LINK, TreeItem
from tests.objects.realgit import RealGit

Flat = dict[str, TreeItem]
ONE, TWO, THREE = (TreeItem(FILE, digit * 40) for digit in "123")
FLAT = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([ONE, TWO, THREE]), max_size=4)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (ONE, ONE, TWO, TWO),
        (ONE, TWO, ONE, TWO),
        (ONE, TWO, TWO, TWO),
        (ONE, None, ONE, None),
        (ONE, ONE, None, None),
        (ONE, None, None, None),
        (None, ONE, None, ONE),
        (None, None, ONE, ONE),
        (None, ONE, ONE, ONE),
        (ONE, TWO, THREE, "content"),
        (ONE, None, TWO, "modify/delete"),
        (ONE, TWO, None, "modify/delete"),
        (None, ONE, TWO, "add/add"),
    ],
)
def test_one_path(base: TreeItem | None, ours: TreeItem | None, theirs: TreeItem | None, merged: object) -> None:
    def flat(item: TreeItem | None) -> Flat:
        return {"p": item} if item else {}

    result = merge_trees(flat(base), flat(ours), flat(theirs))
    if isinstance(merged, str):
        (conflict,) = result.conflicts
        assert (conflict.path, conflict.base, conflict.ours, conflict.theirs) == ("p", base, ours, theirs)
        assert conflict.kind == merged and result.items == {}
    else:
        assert result.items == flat(merged) and result.conflicts == ()  # type: ignore[arg-type]


@given(FLAT, FLAT, FLAT)
def test_laws(base: Flat, ours: Flat, theirs: Flat) -> None:
    assert merge_trees(base, ours, base).items == ours
    assert merge_trees(base, base, theirs).items == theirs
    assert merge_trees(base, ours, ours).items == ours
    here, there = merge_trees(base, ours, theirs), merge_trees(base, theirs, ours)
    assert here.items == there.items
    assert [c.path for c in here.conflicts] == [c.path for c in there.conflicts]
    for path in {c.path for c in here.conflicts}:
        assert ours.get(path) != theirs.get(path) != base.get(path) != ours.get(path)


def test_the_executable_bit_and_content_merge() -> None:
    base, mode, content = TreeItem(FILE, "1" * 40), TreeItem(EXEC, "1" * 40), TreeItem(FILE, "2" * 40)
    for ours, theirs in ((mode, content), (content, mode)):
        assert merge_trees({"p": base}, {"p": ours}, {"p": theirs}).items == {"p": TreeItem(EXEC, "2" * 40)}
    link = TreeItem(LINK, "1" * 40)
    assert merge_trees({"p": base}, {"p": link}, {"p": content}).conflicts


def test_a_file_where_the_other_has_a_folder() -> None:
    result = merge_trees({}, {"a": ONE, "x": ONE}, {"a/b": TWO, "a/c/d": TWO})
    assert [(c.path, c.kind) for c in result.conflicts] == [("a", "file/folder")]
    assert result.items == {"a/b": TWO, "a/c/d": TWO, "x": ONE}
    assert merge_trees({"a": ONE}, {"a": ONE}, {"a/b": TWO}).items == {"a/b": TWO}


def stored(git: RealGit, digest: int, rules: str) -> TreeItem:
    made = Manifest(
        5, bytes([digest]) * 32, "opaque", rules, (ManifestSegment("opaque", 5, None, (ChunkRef(b"c" * 32, 5),)),)
    )
    with git.objects.batch() as batch:
        item = TreeItem(FILE, batch.blob(manifest.dump(made)))
        batch.seal()
    return item


def test_one_file_cut_by_two_rules_is_one_file(git: RealGit) -> None:
    one, again, other = stored(git, 1, "1"), stored(git, 1, "2"), stored(git, 2, "1")
    same = same_file(git.objects)
    assert same(one, again) and not same(one, other) and not same(one, TreeItem(EXEC, again.id))
    result = merge_trees({"p": one}, {"p": again}, {"p": other}, same=same)
    assert result.items == {"p": other}
    assert merge_trees({}, {"p": one}, {"p": again}, same=same).items == {"p": one}


@settings(max_examples=12, deadline=None)
@given(FLAT, FLAT, FLAT)
def test_as_git_merges(tmp_path_factory: pytest.TempPathFactory, base: Flat, ours: Flat, theirs: Flat) -> None:
    git = RealGit(tmp_path_factory.mktemp("merge") / "repo")
    index = {"GIT_INDEX_FILE": str(git.path / "index")}
    # Contents unlike each other, or git would find renames.
    blobs = {item.id: git.run("hash-object", "-w", "--stdin", data=item.id.encode() * 9) for item in (ONE, TWO, THREE)}
    found = []
    for flat in (base, ours, theirs):
        rows = "".join(f"100644 blob {blobs[item.id]}\t{name}\n" for name, item in flat.items())
        found.append(git.run("mktree", data=rows.encode()))
    git.run("read-tree", "-m", "--aggressive", "-i", *found, **index)
    listed = [line.split() for line in git.run("ls-files", "-s", **index).splitlines()]
    result = merge_trees(base, ours, theirs)
    assert {path: blob for _, blob, stage, path in listed if stage == "0"} == {
        path: blobs[item.id] for path, item in result.items.items()
    }
    assert {path for _, _, stage, path in listed if stage != "0"} == {conflict.path for conflict in result.conflicts}
