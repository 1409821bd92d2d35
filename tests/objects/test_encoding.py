from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import ParseError, UsageError
from mvc.objects import encoding
from mvc.objects.model import EXEC, FILE, LINK, TREE, Signature, TreeEntry
from tests.objects.realgit import WHO, RealGit

ID = st.binary(min_size=20, max_size=20).map(bytes.hex)
NAME = st.binary(min_size=1, max_size=12).map(
    lambda raw: raw.replace(b"\0", b"n").replace(b"/", b"s").decode("utf-8", "surrogateescape")
)
TREES = st.dictionaries(NAME, st.tuples(st.sampled_from([FILE, EXEC, LINK, TREE]), ID), max_size=12).map(
    lambda rows: [TreeEntry(name, mode, sha) for name, (mode, sha) in rows.items()]
)
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)


@given(TREES)
def test_trees_round_trip(entries: list[TreeEntry]) -> None:
    data = encoding.dump_tree(entries)
    parsed = encoding.parse_tree(data)
    assert sorted(parsed) == sorted(entries)
    assert encoding.dump_tree(parsed) == data


@given(TREES)
def test_a_cut_tree_is_refused(entries: list[TreeEntry]) -> None:
    data = encoding.dump_tree(entries)
    for cut in {1, 10, 19} if data else ():
        with pytest.raises(ParseError):
            encoding.parse_tree(data[:-cut])


def test_trees_sort_as_git_sorts(git: RealGit) -> None:
    blob = git.run("hash-object", "-w", "--stdin", data=b"x")
    folder = git.run("mktree", data=f"100644 blob {blob}\tinner\n".encode())
    names = ["a", "a.b", "a-b", "a0", "ab", "b.txt", "b", "b-", "b0", "é", "Z", "a b"]
    rows = [TreeEntry(name, TREE if at % 2 else FILE, folder if at % 2 else blob) for at, name in enumerate(names)]
    text = "".join(f"{mode:06o} {'tree' if mode == TREE else 'blob'} {sha}\t{name}\n" for name, mode, sha in rows)
    expected = git.run("mktree", data=text.encode())
    assert encoding.object_id("tree", encoding.dump_tree(rows)) == expected
    assert encoding.dump_tree(rows) == git.raw("cat-file", "tree", expected)


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        encoding.dump_tree([TreeEntry(name, FILE, "0" * 40)])


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(UsageError):
        encoding.dump_tree([TreeEntry("a", FILE, "0" * 40), TreeEntry("a", TREE, "0" * 40)])


@given(TEXT, TEXT, st.integers(0, 2**40), st.integers(-14 * 60, 14 * 60), TEXT, st.lists(ID, max_size=3))
def test_commits_round_trip(name: str, email: str, time: int, offset: int, message: str, parents: list[str]) -> None:
    who = Signature(name, email, time, offset)
    data = encoding.dump_commit("1" * 40, parents, who, WHO, message)
    commit = encoding.parse_commit("0" * 40, data)
    assert commit.parents == tuple(parents)
    assert (commit.author.time, commit.author.offset_minutes) == (time, offset)
    assert commit.message == (message if message.endswith("\n") or not message else message + "\n")
    assert encoding.dump_commit(commit.tree, commit.parents, commit.author, commit.committer, commit.message) == data


def test_git_reads_what_stands_in_a_commit(git: RealGit) -> None:
    author = Signature("Zoë <&> Q.", "zoe@example.org", 1_234_567_890, -210)
    with git.objects.batch() as batch:
        tree = batch.tree([TreeEntry("f", FILE, batch.blob(b"x"))])
        new = batch.commit(tree, (), author, WHO, "summary\n\nbody ☃")
        batch.seal()
    shown = git.run("log", "-1", "--format=%an|%ae|%ad|%cn|%cd|%B", "--date=raw", new)
    assert shown == "Zoë & Q|zoe@example.org|1234567890 -0330|A U Thor|1700000000 +0530|summary\n\nbody ☃"
    assert git.fsck(new) == ""


def test_odd_commits_of_others_are_read() -> None:
    data = (
        b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\nauthor  <> 5 +051800\n"
        b"committer M\xfcller <m@x> 17\nencoding iso-8859-1\ngpgsig -----BEGIN\n more\n -----END\n\ngr\xfc\xdfe\n"
    )
    commit = encoding.parse_commit("0" * 40, data)
    assert commit.message == "grüße\n"
    assert commit.committer == Signature("Müller", "m@x", 17, 0)
    assert commit.author == Signature("", "", 5, 0)  # 518 hours are no zone
    assert dict(commit.extra)["gpgsig"] == "-----BEGIN\nmore\n-----END"


def test_bytes_that_are_no_utf8_survive() -> None:
    data = b"tree " + b"1" * 40 + b"\nauthor \xff <\xfe> 1 +0000\ncommitter \xff <\xfe> 1 +0000\n\n\xfd\n"
    commit = encoding.parse_commit("0" * 40, data)
    again = encoding.dump_commit(commit.tree, commit.parents, commit.author, commit.committer, commit.message)
    assert again == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"tree 123\n\n",
        b"tree " + b"1" * 40 + b"\n\nx",
        b"tree " + b"g" * 40 + b"\nauthor a\ncommitter a\n\n",
    ],
)
def test_what_is_no_commit_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        encoding.parse_commit("0" * 40, data)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    for parse in (encoding.parse_commit, encoding.parse_tag):
        with contextlib.suppress(ParseError):
            parse("0" * 40, b"tree " + b"1" * 40 + b"\n" + data)
    encoding.parse_signature(data)


def test_annotated_tags(git: RealGit) -> None:
    commit = git.commit()
    with git.objects.batch() as batch:
        tag = batch.tag(commit, "commit", "v1.0", WHO, "first release")
        batch.seal()
    git.run("update-ref", "refs/tags/v1.0", tag)
    assert git.run("describe", commit) == "v1.0"
    assert git.run("tag", "-l", "-n1") == "v1.0            first release"
    assert git.objects.tag(tag).target == git.objects.peel(tag) == commit
    assert git.fsck() == ""
    made = git.run("tag", "-a", "-m", "from git", "v2", commit) or git.run("rev-parse", "v2")
    read = git.objects.tag(made)
    assert (read.target, read.kind, read.name, read.message) == (commit, "commit", "v2", "from git\n")
