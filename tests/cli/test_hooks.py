"""mvc hooks and mvc ci as typed: what they refuse, and with which code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.world import Mvc
from tests.repo.making import git, write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Git project without mvc."""
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    write(top, {"a.py": b"code"})
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "one")
    return top


@pytest.mark.parametrize("verb", ["install", "uninstall", "status", "sync", "check"])
def test_outside_of_git(mvc: Mvc, tmp_path: Path, verb: str) -> None:
    ran = mvc("hooks", verb, cwd=tmp_path, code=3)
    assert "is in no Git project" in ran.err and "git init" in ran.err and ran.err.count("\n") == 2


def test_a_project_without_mvc(mvc: Mvc, project: Path) -> None:
    assert "no mvc.lock" in mvc("hooks", "sync", cwd=project, code=4).err
    assert mvc("hooks", "check", cwd=project).out == ""
    assert "1 file: no raw weights" in mvc("hooks", "check", "HEAD", cwd=project).err
    for name in ("post-checkout", "post-merge", "post-rewrite", "pre-commit", "pre-push"):
        ran = mvc("hooks", "run", name, "--", "a", "b", "1", cwd=project)
        assert ran.out + ran.err == ""
    assert "no hooks are installed" in mvc("hooks", "uninstall", cwd=project).err


def test_what_makes_no_sense(mvc: Mvc, project: Path) -> None:
    assert "is no size" in mvc("hooks", "check", "--max-size", "big", cwd=project, code=2).err
    assert "not-there" in mvc("hooks", "check", "not-there", cwd=project, code=4).err
    assert "post-commit" in mvc("hooks", "run", "post-commit", cwd=project, code=2).err
    assert mvc("hooks", "run", "pre-push", cwd=project, stdin="rubbish\n", code=6).err.count("\n") == 1
    assert "mvc.yaml" in _with(project, "hooks: {a: 1}\n", mvc).err
    assert "github" in mvc("ci", "init", "other", cwd=project, code=2).err


def _with(project: Path, text: str, mvc: Mvc) -> object:
    (project / "mvc.yaml").write_text(text)
    return mvc("hooks", "check", cwd=project, code=6)


def test_json(mvc: Mvc, project: Path) -> None:
    done = json.loads(mvc("hooks", "install", "--json", cwd=project).out)
    assert (done["kind"], len(done["written"]), done["driver"]) == ("hooks-install", 5, True)
    shown = json.loads(mvc("hooks", "status", "--json", cwd=project).out)
    assert {one["state"] for one in shown["hooks"]} == {"installed"}
    assert json.loads(mvc("hooks", "check", "--json", "HEAD", cwd=project).out)["refused"] == []
    gone = json.loads(mvc("hooks", "uninstall", "--json", cwd=project).out)
    assert (len(gone["removed"]), gone["left"]) == (5, [])


def test_a_bare_project(mvc: Mvc, project: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(project), "bare.git")
    bare = tmp_path / "bare.git"
    assert "bare" in mvc("hooks", "install", cwd=bare, code=5).err
    assert mvc("hooks", "run", "pre-push", cwd=bare).err == ""
    assert mvc("hooks", "check", "main", cwd=bare).code == 0
