"""Files in chunks that nobody wants in the worktree are not there, and nothing takes that for a deletion."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import UsageError
from mvc.repo.selection import Selection, split_patterns
from tests.cli.conftest import mvc, own_world  # noqa: F401
from tests.cli.test_remote_verbs import chunks
from tests.cli.world import Mvc

SIZE = 100_000
BIG = ("encoder/a.bin", "encoder/b.bin", "decoder/a.bin", "top.gguf")


@pytest.fixture
def top(mvc: Mvc, tmp_path: Path) -> Path:  # noqa: F811
    """`ann` has four large files and a small one each beside, pushed to `hub`."""
    ann = tmp_path / "ann"
    ann.mkdir()
    mvc("init", cwd=ann)
    for name in BIG:
        (ann / name).parent.mkdir(exist_ok=True)
        (ann / name).write_bytes(os.urandom(SIZE))
        (ann / name).with_suffix(".json").write_text("{}")
    mvc("add", ".", cwd=ann)
    mvc("commit", "-m", "one", cwd=ann)
    mvc("remote", "add", "origin", "../hub", cwd=ann)
    mvc("push", "-u", "origin", "main", cwd=ann)
    return tmp_path


def large(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size == SIZE)
    return sorted(path.relative_to(folder).as_posix() for path in found if ".mvc" not in path.parts)


def status(mvc: Mvc, folder: Path) -> str:  # noqa: F811
    return mvc("status", "--porcelain", cwd=folder).out


def test_a_clone_with_patterns(mvc: Mvc, top: Path) -> None:  # noqa: F811
    ran = mvc("clone", "--include", "encoder/,*.gguf", "--exclude", "b.*", "hub", "copy", cwd=top)
    copy = top / "copy"
    assert large(copy) == ["encoder/a.bin", "top.gguf"] and "for 200 kB of model" in ran.err
    assert (copy / "decoder" / "a.json").exists() and status(mvc, copy) == ""
    assert chunks(mvc, copy) < chunks(mvc, top / "ann") * 0.7
    for verb in (["diff"], ["diff", "HEAD"], ["ls-files", "-d"], ["stash", "list"]):
        assert mvc(*verb, cwd=copy).out == ""
    assert mvc("fsck", cwd=copy).code == 0
    # A commit keeps what is not here.
    (copy / "encoder" / "a.bin").write_bytes(os.urandom(SIZE))
    (copy / "new.json").write_text("{}")
    mvc("add", "-A", ".", cwd=copy)
    mvc("commit", "-am", "two", cwd=copy)
    assert mvc("ls-files", cwd=copy).lines == sorted([*mvc("ls-files", cwd=top / "ann").lines, "new.json"])
    mvc("push", cwd=copy)
    mvc("pull", cwd=top / "ann")
    assert large(top / "ann") == sorted(BIG)
    assert (top / "ann/encoder/a.bin").read_bytes() == (copy / "encoder/a.bin").read_bytes()


def test_it_is_remembered_by_all_that_write_files(mvc: Mvc, top: Path) -> None:  # noqa: F811
    mvc("clone", "-X", "decoder", "hub", "copy", cwd=top)
    ann, copy = top / "ann", top / "copy"
    for name in ("decoder/a.bin", "encoder/b.bin"):
        (ann / name).write_bytes(os.urandom(SIZE))
    (ann / "decoder" / "more.bin").write_bytes(os.urandom(SIZE))
    mvc("add", ".", cwd=ann)
    mvc("commit", "-m", "two", cwd=ann)
    mvc("push", cwd=ann)
    mvc("pull", cwd=copy)
    wanted = ["encoder/a.bin", "encoder/b.bin", "top.gguf"]
    assert large(copy) == wanted and (copy / wanted[1]).read_bytes() == (ann / wanted[1]).read_bytes()
    for line in (
        "reset --hard HEAD~1",
        "merge origin/main",
        "switch -c topic HEAD~1",
        "checkout main",
        "restore .",
        "checkout -f main",
        "switch --detach HEAD~1",
        "switch topic",
    ):
        mvc(*line.split(), cwd=copy)
        assert large(copy) == wanted and status(mvc, copy) == "", line
    (copy / "mine").write_text("x")
    mvc("add", ".", cwd=copy)
    mvc("commit", "-m", "mine", cwd=copy)
    mvc("rebase", "main", cwd=copy)
    mvc("cherry-pick", "--allow-empty", "HEAD", cwd=copy, code=None)
    mvc("reset", "--hard", cwd=copy)
    (copy / "mine").write_text("y")
    mvc("stash", cwd=copy)
    mvc("stash", "pop", cwd=copy)
    assert large(copy) == wanted and status(mvc, copy) == " M mine\n"
    mvc("worktree", "add", "../beside", "main", cwd=copy)
    assert large(top / "beside") == wanted


def test_what_is_named_comes_and_is_then_as_any_other(mvc: Mvc, top: Path) -> None:  # noqa: F811
    mvc("clone", "-X", "*.bin", "hub", "copy", cwd=top)
    copy = top / "copy"
    assert large(copy) == ["top.gguf"]
    mvc("restore", "encoder/a.bin", cwd=copy)
    assert large(copy) == ["encoder/a.bin", "top.gguf"] and status(mvc, copy) == ""
    (copy / "encoder" / "a.bin").write_bytes(b"x" * SIZE)
    assert status(mvc, copy) == " M encoder/a.bin\n"
    mvc("restore", ".", cwd=copy)
    assert status(mvc, copy) == "" and (copy / "encoder/a.bin").read_bytes() == (top / "ann/encoder/a.bin").read_bytes()
    # One's own file at such a path is seen.
    (copy / "decoder" / "a.bin").write_bytes(b"y" * SIZE)
    assert status(mvc, copy) == " M decoder/a.bin\n"
    (copy / "decoder" / "a.bin").unlink()
    (copy / "encoder" / "a.bin").unlink()
    assert status(mvc, copy) == ""
    mvc("rm", "decoder/a.bin", cwd=copy)
    assert status(mvc, copy) == "D  decoder/a.bin\n"
    mvc("commit", "-m", "without", cwd=copy)
    (copy / "top.gguf").unlink()
    assert status(mvc, copy) == " D top.gguf\n"


def test_the_settings_can_be_changed(mvc: Mvc, top: Path) -> None:  # noqa: F811
    mvc("clone", "-X", "encoder", "hub", "copy", cwd=top)
    copy = top / "copy"
    mvc("config", "--unset", "checkout.exclude", cwd=copy)
    assert status(mvc, copy) == " D encoder/a.bin\n D encoder/b.bin\n"
    mvc("config", "checkout.exclude", "b.bin", cwd=copy)
    mvc("restore", ".", cwd=copy)
    assert large(copy) == ["decoder/a.bin", "encoder/a.bin", "top.gguf"] and status(mvc, copy) == ""
    assert "is no pattern" in mvc("clone", "-X", "!x", "hub", "bad", cwd=top, code=2).err
    assert not (top / "bad").exists()


def test_all_data_of_what_is_wanted(mvc: Mvc, top: Path) -> None:  # noqa: F811
    mvc("clone", "--all-data", "-I", "top.gguf", "hub", "copy", cwd=top)
    assert json.loads(mvc("whereis", "--json", cwd=top / "copy").out)["files"][-1]["places"]["here"] > 0
    assert chunks(mvc, top / "copy") < chunks(mvc, top / "ann") / 2


def test_a_merge_of_what_is_not_here(mvc: Mvc, top: Path) -> None:  # noqa: F811
    """Taken over where one side changed it; told as a conflict where both did."""
    mvc("clone", "-X", "encoder", "hub", "copy", cwd=top)
    ann, copy = top / "ann", top / "copy"
    (ann / "encoder" / "a.bin").write_bytes(os.urandom(SIZE))
    mvc("commit", "-am", "ann's", cwd=ann)
    mvc("push", cwd=ann)
    (copy / "notes").write_text("x")
    mvc("add", ".", cwd=copy)
    mvc("commit", "-m", "mine", cwd=copy)
    mvc("pull", "--no-rebase", cwd=copy)
    assert status(mvc, copy) == "" and "encoder/a.bin" not in large(copy)
    told = mvc("rev-parse", "HEAD:encoder/a.bin", cwd=copy).out
    assert told == mvc("rev-parse", "HEAD:encoder/a.bin", cwd=ann).out


@given(
    st.lists(st.sampled_from(["a", "b/", "/c", "*.bin", "a/*", "x/**/y", "?"]), max_size=3),
    st.text("abcxy/.", max_size=9),
)
def test_a_selection_is_all_but_what_is_excluded(patterns: list[str], path: str) -> None:
    """Include and exclude of the same patterns are each other's opposite."""
    inside = Selection(patterns).wants(path) if patterns else True
    outside = Selection((), patterns).wants(path) if patterns else False
    assert inside != outside
    assert Selection().wants(path) and Selection().everything


def test_patterns_as_typed() -> None:
    assert split_patterns(["a, b/", "", "*.bin"]) == ("a", "b/", "*.bin")
    for bad in ("!a", "#a"):
        with pytest.raises(UsageError):
            split_patterns([bad])
