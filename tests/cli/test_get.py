"""`mvc get` as it is called: what it says, and with which code it ends."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.cli.world import Mvc

SIZE = 300_000


@pytest.fixture
def shared(mvc: Mvc, repo: Path) -> Path:
    """Two versions, the first tagged v1, pushed to `hub` beside the repository; returns the folder of both."""
    for number in (1, 2):
        (repo / "model.bin").write_bytes(os.urandom(SIZE))
        (repo / "readme").write_text(str(number))
        mvc("add", ".", cwd=repo)
        mvc("commit", "-m", f"version {number}", cwd=repo)
    mvc("tag", "v1", "HEAD~1", cwd=repo)
    mvc("remote", "add", "origin", "../hub", cwd=repo)
    mvc("push", "-u", "origin", "main", "v1", cwd=repo)
    return repo.parent


def test_what_it_says(mvc: Mvc, shared: Path) -> None:
    ran = mvc("get", "hub@v1", "-o", "out", cwd=shared)
    assert ran.out == "" and " + model.bin  300 kB" in ran.err and "is now at" in ran.err and "moved 30" in ran.err
    assert "is already at" in mvc("get", "hub@v1", "-o", "out", cwd=shared).err
    assert mvc("get", "hub", "-o", "out", "-q", cwd=shared).err == ""
    assert (shared / "out" / "readme").read_text() == "2"
    (shared / "inner").mkdir()
    mvc("get", "../hub@v1:readme", "-o", ".", cwd=shared / "inner")
    assert (shared / "inner" / "readme").read_text() == "1"


def test_the_code_tells_whether_anything_changed(mvc: Mvc, shared: Path) -> None:
    for options in ([], ["--atomic"]):
        place = f"out{len(options)}"
        for revision, code in (("v1", 1), ("v1", 0), ("main", 1), ("main", 0), ("v1", 1)):
            mvc("get", f"hub@{revision}", "-o", place, "--exit-code", *options, cwd=shared, code=code)
    os.truncate(shared / "out0" / "model.bin", 9)
    mvc("get", "hub@v1", "-o", "out0", "--exit-code", cwd=shared, code=1)


def test_json(mvc: Mvc, shared: Path) -> None:
    document = json.loads(mvc("get", "hub@v1", "-o", "out", "--atomic", "--json", cwd=shared).out)
    assert document["schema"] == 1 and document["kind"] == "get" and document["changed"] is True
    assert document["path"] == str(shared / "out") and document["folder"].startswith(f"{shared}/out.versions/")
    assert {one["path"]: one["status"] for one in document["files"]} == {"model.bin": "written", "readme": "written"}
    assert document["bytes_of_model"] == SIZE + 1 < document["bytes_moved"]
    document = json.loads(mvc("get", "hub@v1", "-o", "out", "--atomic", "--json", cwd=shared).out)
    assert document["changed"] is False and document["bytes_moved"] < 1000


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere@v1", "-o", "x"], 4, "neither a repository nor a remote"),
        (["hub@v9", "-o", "x"], 4, "'v9' is not a revision"),
        (["hub@v1:nope", "-o", "x"], 4, "there is no 'nope'"),
        (["hub@v1", "-o", "model"], 5, "is a repository"),
        (["hub@v1", "-o", "hub/latest"], 5, "is not a folder"),
        (["hub@v1"], 2, "--output"),
        (["hub@v1", "-o", "x", "--keep", "2"], 2, "--keep goes with --atomic"),
        (["@v1", "-o", "x"], 2, "names no repository"),
        (["s4://bucket/x@v1", "-o", "x"], 2, "s4"),
    ],
)
def test_what_cannot_be(mvc: Mvc, shared: Path, repo: Path, arguments: list[str], code: int, says: str) -> None:
    arguments = [repo.name if one == "model" else one for one in arguments]
    assert says in mvc("get", *arguments, cwd=shared, code=code).err


def test_a_repository_on_this_disk(mvc: Mvc, shared: Path, repo: Path) -> None:
    """A clone in which the older version's chunks are not: they come from its remote."""
    mvc("clone", "-q", "hub", "clone", cwd=shared)
    mvc("get", "clone@v1", "-o", "out", cwd=shared)
    mvc("get", f"{repo}@v1", "-o", "other", cwd=shared)
    assert (shared / "out" / "model.bin").read_bytes() == (shared / "other" / "model.bin").read_bytes()
    mvc("get", ".@HEAD:readme", "-o", "../third", cwd=repo)
    assert (shared / "third" / "readme").read_text() == "2"


def test_a_cache_that_cannot_be_written(mvc: Mvc, shared: Path) -> None:
    (shared / "file").write_text("")
    mvc("get", "hub@v1", "-o", "out", cwd=shared, MVC_HOME=str(shared / "file"))
    assert (shared / "out" / "readme").read_text() == "1"


def test_into_another_repositorys_worktree(mvc: Mvc, shared: Path) -> None:
    """What came can be versioned there; what `get` keeps for itself is not."""
    mvc("init", "other", cwd=shared)
    other = shared / "other"
    mvc("get", "../hub@v1", "-o", "base", cwd=other)
    assert mvc("status", "-s", cwd=other).lines == ["?? base/"]
    mvc("add", "base", cwd=other)
    assert mvc("ls-files", cwd=other).lines == ["base/model.bin", "base/readme"]
    mvc("commit", "-m", "base", cwd=other)
    mvc("get", "../hub@main", "-o", "base", "-q", cwd=other)
    assert mvc("status", "-s", cwd=other).lines == [" M base/model.bin", " M base/readme"]
    mvc("init", "inner", cwd=other)
    (other / "inner" / "x").write_text("x")
    assert mvc("status", "-s", cwd=other).lines == [" M base/model.bin", " M base/readme"]


def test_a_bundle(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("bundle", "create", "../all.bundle", cwd=repo)
    mvc("get", "all.bundle@v1", "-o", "out", cwd=shared)
    mvc("get", "hub@v1", "-o", "other", cwd=shared)
    assert (shared / "out" / "model.bin").read_bytes() == (shared / "other" / "model.bin").read_bytes()
    assert "as a bundle does" in mvc("get", f"{repo.name}/readme@v1", "-o", "x", cwd=shared, code=None).err


def test_over_a_pipe(mvc: Mvc, shared: Path) -> None:
    """As over ssh: a server at the other end."""
    root = Path(__file__).resolve().parents[2]
    here = f"env PYTHONPATH={shlex.quote(str(root))} {shlex.quote(sys.executable)} -m mvc"
    told = {"MVC_SSH_COMMAND": 'f() { shift; eval "$@"; }; f', "MVC_REMOTE_COMMAND": here}
    url = f"ssh://here{shared}/hub"
    document = json.loads(mvc("get", f"{url}@v1", "-o", "out", "--json", cwd=shared, **told).out)
    assert document["url"] == url and (shared / "out" / "readme").read_text() == "1"
    assert not json.loads(mvc("get", f"{url}@v1", "-o", "out", "--json", cwd=shared, **told).out)["changed"]
