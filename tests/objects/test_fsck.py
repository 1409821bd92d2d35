from __future__ import annotations

import random
from pathlib import Path

import pytest

from mvc.errors import MissingObject
from mvc.objects import fsck, trees
from mvc.objects.encoding import object_id
from mvc.objects.model import FILE, LINK, TreeEntry, TreeItem
from mvc.objects.packwriter import PackWriter
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.refs import RefChange
from tests.objects.realgit import WHO, RealGit


@pytest.fixture
def full(git: RealGit) -> RealGit:
    """Two commits, a tag, something dangling."""
    with git.objects.batch() as batch:
        blobs = [batch.blob(b"content %d" % at) for at in range(6)]
        metadata = batch.tree([TreeEntry("params.yaml", FILE, blobs[0])])
        one = trees.build(batch, {"a/b/c": TreeItem(FILE, blobs[1]), "d": TreeItem(FILE, blobs[2])}, metadata=metadata)
        two = trees.update(batch, one, {"a/b/e": TreeItem(FILE, blobs[3]), "link": TreeItem(LINK, blobs[4])})
        first = batch.commit(one, (), WHO, WHO, "first")
        second = batch.commit(two, (first,), WHO, WHO, "second")
        tag = batch.tag(first, "commit", "v1", WHO, "tagged")
        batch.seal()
    git.refs.update([RefChange("HEAD", None, first)], message="one", author=WHO)
    git.refs.update([RefChange("HEAD", first, second), RefChange("refs/tags/v1", None, tag)], message="two", author=WHO)
    return git


def problems(git: RealGit) -> list[fsck.Problem]:
    git.reopen()
    return list(fsck.check(git.objects, git.refs).problems)


def test_a_sound_repository(full: RealGit) -> None:
    seen: list[Reached] = []
    report = fsck.check(full.objects, full.refs, on_blob=seen.append)
    assert report.problems == ()
    assert report.objects == len(set(full.objects.ids()))
    assert report.dangling == (full.run("hash-object", "--stdin", data=b"content 5"),)
    assert {(one.path, one.mode) for one in seen} == {
        ("a/b/c", FILE), ("a/b/e", FILE), ("d", FILE), ("link", LINK), (".mvcmeta/params.yaml", FILE),
    }  # fmt: skip
    extra = fsck.check(full.objects, full.refs, extra_tips=report.dangling)
    assert extra.dangling == () and extra.problems == ()


def test_any_flipped_bit_of_pack_and_index_is_found(full: RealGit) -> None:
    chance = random.Random(5)
    for suffix in ("pack", "idx"):
        path = next((full.path / "objects/pack").glob(f"*.{suffix}"))
        path.chmod(0o644)
        good = path.read_bytes()
        for bit in chance.sample(range(len(good) * 8), 60):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bad)
            found = problems(full)
            assert found and any(path.stem in problem.what for problem in found), (suffix, bit)
        path.write_bytes(good)
    assert problems(full) == []


def test_what_a_damaged_object_touches_is_named(full: RealGit) -> None:
    head = full.refs.head().id or ""
    blob = trees.flatten(full.objects, full.objects.commit(head).tree)["a/b/e"].id
    offset = full.objects.packs.packs()[0].find(bytes.fromhex(blob)) or 0
    path = full.objects.packs.packs()[0].path
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[offset + 6] ^= 0x10
    path.write_bytes(data)
    found = problems(full)
    assert any(one.what == blob and one.path == "a/b/e" and one.commit == head for one in found), found


@pytest.mark.parametrize("kind", ["blob", "tree", "commit"])
def test_what_is_missing_is_named(full: RealGit, kind: str) -> None:
    head = full.refs.head().id or ""
    commit = full.objects.commit(head)
    folder = trees.entry_at(full.objects, commit.tree, "a/b")
    file = trees.entry_at(full.objects, commit.tree, "a/b/c")
    assert folder and file
    gone = {"blob": file.id, "tree": folder.id, "commit": commit.parents[0]}[kind]
    pack = full.objects.packs.packs()[0]
    writer = PackWriter(pack.path.parent, full.path / "tmp")
    for name in full.objects.ids():
        if name != gone:
            writer.add(bytes.fromhex(name), *full.objects.raw(name))
    writer.seal(None)
    pack.idx_path.unlink()
    found = problems(full)
    assert any(one.what == gone for one in found)
    with pytest.raises(MissingObject):
        list(
            walk_objects(full.objects, [full.refs.read("refs/tags/v1") or "", head])
            if kind != "blob"
            else [full.objects.blob(gone)]
        )


def plant(git: RealGit, kind: str, data: bytes) -> str:
    """Write an object that no honest writer would."""
    name = object_id(kind, data)  # type: ignore[arg-type]
    writer = PackWriter(git.path / "objects/pack", git.path / "tmp")
    writer.add(bytes.fromhex(name), kind, data)  # type: ignore[arg-type]
    writer.seal(None)
    return name


BLOB = b"\1" * 20


@pytest.mark.parametrize(
    "data",
    [
        b"100644 .git\0" + BLOB,
        b"40000 .MVC\0" + BLOB,
        b"100644 a\0" + BLOB + b"100644 a\0" + BLOB,
        b"100644 b\0" + BLOB + b"100644 a\0" + BLOB,
        b"100664 a\0" + BLOB,
        b"160000 module\0" + BLOB,
        b"0100644 a\0" + BLOB,
        b"100644 a/b\0" + BLOB,
        b"100644 ..\0" + BLOB,
        b"100644 a\0" + BLOB[:10],
        b"120000 .gitmodules\0" + BLOB,
        b"100644 .mvcmeta\0" + BLOB,
        b"40000 \xe2\x80\x8c.Git\0" + BLOB,
        b"junk",
    ],
)
def test_trees_that_must_not_be(git: RealGit, data: bytes) -> None:
    tree = plant(git, "tree", data)
    assert any(problem.what == tree for problem in problems(git))


def test_metadata_where_it_must_not_be(git: RealGit) -> None:
    with git.objects.batch() as batch:
        blob = batch.blob(b"x")
        odd = batch.tree([TreeEntry("run.sh", FILE, blob)])
        batch.seal()
    inner = plant(git, "tree", b"40000 .mvcmeta\0" + bytes.fromhex(odd))
    outer = plant(git, "tree", b"40000 below\0" + bytes.fromhex(inner))
    git.reopen()
    with git.objects.batch() as batch:
        commits = [batch.commit(tree, (), WHO, WHO, "x") for tree in (inner, outer)]
        batch.seal()
    for at, commit in enumerate(commits):
        git.refs.update([RefChange(f"refs/heads/b{at}", None, commit)], message="x", author=WHO)
    found = {(problem.path, problem.what) for problem in problems(git)}
    # The same tree is fine as a root, and is not below.
    assert ("below", inner) in found and (".mvcmeta", odd) in found


def test_broken_refs_and_logs(full: RealGit) -> None:
    head = full.refs.head().id or ""
    tree = full.objects.commit(head).tree
    (full.path / "refs/heads/junk").write_text("junk\n")
    (full.path / "refs/heads/lost").write_text("1" * 40 + "\n")
    (full.path / "refs/heads/tree").write_text(tree + "\n")
    (full.path / "refs/heads/dead").write_text("ref: refs/heads/none\n")
    with open(full.path / "logs/HEAD", "a") as log:
        log.write("torn line\n" + "2" * 40 + " " + head + " A <a> 1 +0000\tx\n")
    found = {problem.what for problem in problems(full)}
    assert found == {
        "refs/heads/junk", "refs/heads/lost", "refs/heads/tree", "refs/heads/dead", "reflog of HEAD",
    }  # fmt: skip
    (full.path / "packed-refs").write_text("# pack-refs\nnonsense\n")
    assert "packed-refs" in {problem.what for problem in problems(full)}


def test_a_link_that_is_a_file_elsewhere_comes_as_both(git: RealGit, tmp_path: Path) -> None:
    with git.objects.batch() as batch:
        blob = batch.blob(b"target")
        root = trees.build(
            batch, {"a-link": TreeItem(LINK, blob), "b": TreeItem(FILE, blob), "c": TreeItem(FILE, blob)}
        )
        batch.seal()
    found = [(one.path, one.mode) for one in walk_objects(git.objects, [root]) if one.kind == "blob"]
    assert found == [("a-link", LINK), ("b", FILE)]


def test_a_head_that_names_no_branch(full: RealGit) -> None:
    for name in ("refs/hdads/main", "refs/tags/v1", "refs/heads"):
        (full.path / "HEAD").write_text(f"ref: {name}\n")
        assert "HEAD" in {problem.what for problem in problems(full)}, name
