"""Aliases and annotations with clones and bundles; a clone whose files come later; what a quiet push still tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvc.cli import pushed_text
from tests.cli.world import Mvc


@pytest.fixture
def shared(mvc: Mvc, repo: Path, tmp_path: Path) -> Path:
    """A remote with three commits on main; `production` was at the first and is at the second; v1 is the first."""
    for number in (1, 2, 3):
        (repo / "a").write_text(f"{number}\n")
        (repo / "m.bin").write_bytes(bytes([number]) * 70_000)
        mvc("add", ".", cwd=repo)
        mvc("commit", "-m", f"c{number}", cwd=repo)
    mvc("tag", "v1", "HEAD~2", cwd=repo)
    mvc("alias", "set", "production", "v1", cwd=repo)
    mvc("alias", "set", "production", "HEAD~1", cwd=repo)
    mvc("annotate", "v1", "--metric", "acc=0.5", cwd=repo)
    mvc("remote", "add", "origin", str(tmp_path / "hub"), cwd=repo)
    mvc("push", "-u", "origin", "main", cwd=repo)
    mvc("push", cwd=repo)
    return tmp_path / "hub"


def note(mvc: Mvc, repo: Path, revision: str) -> str:
    return mvc("show", revision, cwd=repo).out


@pytest.mark.parametrize(
    ("options", "subjects"),
    [
        ((), ["c3", "c2", "c1"]),
        (("--single-branch",), ["c2", "c1"]),
        (("--depth", "1"), ["c2"]),
        (("--depth", "2"), ["c2", "c1"]),
    ],
)
def test_a_clone_of_what_an_alias_stands_for(
    mvc: Mvc, shared: Path, repo: Path, tmp_path: Path, options: tuple[str, ...], subjects: list[str]
) -> None:
    ran = mvc("clone", "-b", "production", *options, str(shared), "copy", cwd=tmp_path)
    copy = tmp_path / "copy"
    assert (copy / "a").read_text() == "2\n"
    assert "c2, on no branch" in ran.err
    assert [line.split()[-1] for line in mvc("log", "--oneline", "--all", cwd=copy).lines] == subjects
    assert "all sound" in mvc("fsck", cwd=copy).err
    mvc("alias", "set", "production", "main", cwd=repo)
    mvc("push", cwd=repo)
    mvc("fetch", cwd=copy)
    if "--depth" not in options:
        mvc("switch", "--detach", "production", cwd=copy)
        assert (copy / "a").read_text() == "3\n"


def test_a_clone_of_one_branch_takes_no_alias_later_either(mvc: Mvc, shared: Path, repo: Path, tmp_path: Path) -> None:
    mvc("clone", "--single-branch", str(shared), "copy", cwd=tmp_path)
    copy = tmp_path / "copy"
    mvc("fetch", cwd=copy)
    assert mvc("alias", "list", cwd=copy).out == ""
    mvc("alias", "set", "mine", "main", cwd=copy)
    mvc("push", cwd=copy)
    mvc("fetch", cwd=repo)
    mvc("alias", "set", "mine", "v1", cwd=repo)
    mvc("push", cwd=repo)
    mvc("fetch", cwd=copy)  # what is here is kept up to date
    assert [line.split()[0] for line in mvc("alias", "list", cwd=copy).lines] == ["mine"]
    assert mvc("rev-parse", "mine", cwd=copy).out == mvc("rev-parse", "v1", cwd=repo).out
    mvc("clone", "-b", "production", "--single-branch", str(shared), "third", cwd=tmp_path)
    mvc("fetch", cwd=tmp_path / "third")
    assert [line.split()[0] for line in mvc("alias", "list", cwd=tmp_path / "third").lines] == ["production"]


def test_a_clone_of_an_alias_that_was_removed(mvc: Mvc, shared: Path, repo: Path, tmp_path: Path) -> None:
    mvc("alias", "delete", "production", cwd=repo)
    mvc("push", cwd=repo)
    ran = mvc("clone", "-b", "production", str(shared), "copy", cwd=tmp_path, code=4)
    assert "'production' was removed" in ran.err
    assert not (tmp_path / "copy").exists()


def test_a_first_checkout_writes_the_files(mvc: Mvc, shared: Path, tmp_path: Path) -> None:
    mvc("clone", "--no-checkout", str(shared), "copy", cwd=tmp_path)
    copy = tmp_path / "copy"
    (copy / "a").write_text("mine\n")
    assert "'a' would be overwritten" in mvc("checkout", "main", cwd=copy, code=5).err
    assert (copy / "a").read_text() == "mine\n"
    (copy / "a").write_text("3\n")
    ran = mvc("checkout", "main", cwd=copy)
    assert "m.bin" not in ran.out
    assert (copy / "m.bin").read_bytes() == b"\3" * 70_000
    assert mvc("status", "--porcelain", cwd=copy).out == ""
    # From then on what is gone was removed by somebody.
    mvc("rm", "-q", "--cached", "m.bin", cwd=copy)
    (copy / "m.bin").unlink()
    (copy / "new").write_text("")
    mvc("add", "new", cwd=copy)
    (copy / "a").write_text("4\n")
    assert mvc("checkout", "main", cwd=copy).lines[:3] == ["M\ta", "D\tm.bin", "A\tnew"]
    assert not (copy / "m.bin").exists()


def test_bundles_carry_annotations_and_aliases(mvc: Mvc, shared: Path, repo: Path, tmp_path: Path) -> None:
    mvc("branch", "old", "v1", cwd=repo)
    for name, words in (
        ("all", ()),
        ("main", ("main",)),
        ("old", ("old", "--aliases")),
        ("later", ("main", "--aliases", "--since", "v1")),
    ):
        mvc("bundle", "create", str(tmp_path / name), *words, cwd=repo)
    heads = {
        name: [line.split()[1] for line in mvc("bundle", "list-heads", str(tmp_path / name)).lines]
        for name in ("all", "main", "old", "later")
    }
    ours = "refs/aliases/production"
    assert {name for name, refs in heads.items() if ours in refs} == {"all", "later"}  # old lacks its commit
    assert all("refs/notes/mvc" in refs for refs in heads.values())

    mvc("clone", "old", "copy", "-b", "old", cwd=tmp_path)
    copy = tmp_path / "copy"
    assert "acc" in note(mvc, copy, "HEAD")
    mvc("annotate", "HEAD", "--metric", "here=1", cwd=copy)
    mvc("annotate", "v1", "--metric", "there=2", cwd=repo)
    mvc("bundle", "create", str(tmp_path / "more"), "--since", "v1", cwd=repo)
    ran = mvc("bundle", "unbundle", "../more", cwd=copy)
    assert f"{ours} -> {ours}" in ran.out
    assert "annotations" in ran.err
    assert all(word in note(mvc, copy, "HEAD") for word in ("acc", "here", "there"))
    assert mvc("alias", "list", cwd=copy).out.startswith("production")
    again = mvc("bundle", "unbundle", "../more", cwd=copy)
    assert "annotations" not in again.err
    assert "all sound" in mvc("fsck", cwd=copy).err


def test_a_bundle_that_counts_on_more_says_so(mvc: Mvc, shared: Path, repo: Path, tmp_path: Path) -> None:
    mvc("bundle", "create", str(tmp_path / "later"), "--since", "v1", cwd=repo)
    for words in (("clone", "later", "copy"), ("fetch", str(tmp_path / "later"))):
        cwd = tmp_path if words[0] == "clone" else tmp_path / "empty"
        if words[0] == "fetch":
            mvc("init", str(cwd))
        assert "counts on commits that are not here" in mvc(*words, cwd=cwd, code=5).err


def test_a_quiet_push_tells_what_was_rejected(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("branch", "new", cwd=repo)
    mvc("reset", "--hard", "HEAD~1", cwd=repo)
    ran = mvc("push", "-q", "origin", "main", "new", cwd=repo, code=5)
    assert " ! [rejected]" in ran.err
    assert "[new branch]" not in ran.err


def test_a_share_is_told_where_it_is_one(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    (repo / "a").write_text("1\n")
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "c", cwd=repo)
    mvc("push", str(tmp_path / "small"), "main", cwd=repo)
    assert mvc("clone", "small", "copy", cwd=tmp_path).err.endswith("of model\n")


def test_a_push_says_when_the_history_there_is_in_many_packs(
    mvc: Mvc, shared: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushed_text, "_MANY_PACKS", 5)
    for number, told in ((4, False), (5, True)):
        (repo / "a").write_text(f"{number}\n")
        mvc("commit", "-am", f"c{number}", cwd=repo)
        assert "mvc remote gc" not in mvc("push", "--dry-run", cwd=repo).err
        assert ("mvc remote gc" in mvc("push", cwd=repo).err) == told
    assert "mvc remote gc" not in mvc("push", cwd=repo).err


@pytest.mark.parametrize(
    "url",
    [
        "s3://models/x?secret_access_key=hidden",
        "s3://models/x?endpoint=https://me:hidden@host",
        "s3://hidden@models/x",
        "s3://models/x#hidden",
        "az://models/x?sig=hidden",
        "https://hidden@example.org/team/x",
        "https://example.org/team/x?token=hidden",
        "ssh://host/x?password=hidden",
        "sftp://host/x?password=hidden",
    ],
)
def test_no_token_or_key_gets_into_the_config(mvc: Mvc, repo: Path, tmp_path: Path, url: str) -> None:
    mvc("remote", "add", "other", "s3://models/x?region=eu-1", cwd=repo)
    for words in (("remote", "add", "origin", url), ("remote", "set-url", "other", url)):
        assert "hidden" not in mvc(*words, cwd=repo, code=2).err
    assert "hidden" not in mvc("clone", url, "copy", cwd=tmp_path, code=2).err
    assert "hidden" not in (repo / ".mvc" / "config").read_text()
