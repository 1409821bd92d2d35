"""Upstream branches: ahead and behind, `@{upstream}`, and what makes a branch follow another; told as git tells it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.world import History, Mvc, git


@pytest.fixture
def clone(history: History) -> Path:
    """main is two ahead of origin/main and one behind; `even` is where origin/main is; `lost` follows what is gone."""
    first = history.commit("1", {"a": "1"})
    theirs = history.commit("2", {"a": "2"}, parents=(first,), ref="refs/remotes/origin/main")
    more = history.commit("3", {"b": "1"}, parents=(first,))
    history.commit("4", {"b": "2"}, parents=(more,))
    history.commit("5", {"c": "2"}, parents=(theirs,), ref="refs/remotes/origin/topic")
    history.write()
    config = history.path / ".mvc" / "config"
    config.write_text(
        config.read_text()
        + '[remote "origin"]\n\turl = /nowhere\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        + '[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/main\n'
        + '[branch "lost"]\n\tremote = origin\n\tmerge = refs/heads/lost\n'
    )
    git(history.path, "branch", "--no-track", "even", "origin/main")
    git(history.path, "branch", "--no-track", "lost", "main~2")
    git(history.path, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    return history.path


def as_git(path: Path, *arguments: str) -> list[str]:
    return git(path, *arguments).decode().splitlines()


def test_branches_are_listed_as_git_does(mvc: Mvc, clone: Path) -> None:
    mvc("branch", "-u", "origin/main", "even", cwd=clone)
    for options in (["-v"], ["-vv"], ["-vva"], ["-a"], ["-r"]):
        assert mvc("branch", *options, cwd=clone).lines == as_git(clone, "branch", *options)
    rows = json.loads(mvc("branch", "--json", cwd=clone).out)["branches"]
    assert {row["name"]: row["upstream"] for row in rows}["main"] == {
        "name": "origin/main",
        "gone": False,
        "ahead": 2,
        "behind": 1,
    }


def test_status_tells_ahead_and_behind_as_git_does(mvc: Mvc, clone: Path) -> None:
    mvc("reset", "--hard", cwd=clone)
    plain = clone.parent / "plain"
    subprocess.run(["git", "clone", "-q", "--bare", clone / ".mvc", plain], check=True)
    for branch, start in (("main", "main"), ("main", "main~2"), ("main", "origin/main"), ("lost", "lost")):
        mvc("switch", branch, cwd=clone)
        mvc("reset", "--hard", start, cwd=clone)
        tree = clone.parent / f"tree-{branch}-{start.replace('/', '-')}"
        tree.mkdir()
        told = []
        for options in ([], ["-sb"]):
            command = ["git", f"--git-dir={clone / '.mvc'}", f"--work-tree={tree}", "-c", "core.bare=false"]
            git(clone, f"--work-tree={tree}", "-c", "core.bare=false", "reset", "-q", "--hard")
            text = subprocess.run([*command, "status", *options], capture_output=True, text=True, check=True).stdout
            told.append(text.replace('use "git', 'use "mvc'))
        (clone / ".mvc" / "index").unlink()
        assert mvc("status", cwd=clone).out == told[0]
        assert mvc("status", "-sb", cwd=clone).out == told[1]


@pytest.mark.parametrize("spec", ["@{u}", "@{upstream}", "main@{U}", "@{u}~1", "HEAD@{upstream}", "@{push}", "..@{u}"])
def test_upstream_is_a_revision(mvc: Mvc, clone: Path, spec: str) -> None:
    assert mvc("rev-parse", spec, cwd=clone).lines == as_git(clone, "rev-parse", spec)


def test_names_of_the_upstream(mvc: Mvc, clone: Path) -> None:
    assert mvc("rev-parse", "--abbrev-ref", "@{u}", cwd=clone).out == "origin/main\n"
    assert mvc("rev-parse", "--symbolic-full-name", "main@{u}", cwd=clone).out == "refs/remotes/origin/main\n"
    assert "no upstream configured for branch 'even'" in mvc("rev-parse", "even@{u}", cwd=clone, code=4).err
    assert "is gone" in mvc("rev-parse", "lost@{u}", cwd=clone, code=4).err
    assert "no such branch: 'nope'" in mvc("rev-parse", "nope@{u}", cwd=clone, code=4).err
    mvc("switch", "--detach", "main", cwd=clone)
    assert "HEAD does not point to a branch" in mvc("rev-parse", "@{u}", cwd=clone, code=4).err


@pytest.mark.parametrize("way", ["current", "upstream", "simple", "nothing", "matching"])
def test_push_by_its_default_is_as_git(mvc: Mvc, clone: Path, way: str) -> None:
    mvc("config", "push.default", way, cwd=clone)
    mvc("branch", "-u", "origin/topic", "even", cwd=clone)
    for branch in ("main", "even"):
        try:
            found = as_git(clone, "rev-parse", f"{branch}@{{push}}")
        except subprocess.CalledProcessError:
            mvc("rev-parse", f"{branch}@{{push}}", cwd=clone, code=4)
        else:
            assert mvc("rev-parse", f"{branch}@{{push}}", cwd=clone).lines == found


def test_what_makes_a_branch_follow_another(mvc: Mvc, clone: Path) -> None:
    ran = mvc("branch", "one", "origin/main", cwd=clone)
    assert ran.out == "branch 'one' set up to track 'origin/main'.\n"
    assert mvc("branch", "two", "main", cwd=clone).out == ""
    assert mvc("branch", "--no-track", "three", "origin/main", cwd=clone).out == ""
    mvc("branch", "--track", "four", "main", cwd=clone)
    mvc("reset", "--hard", cwd=clone)
    ran = mvc("switch", "topic", cwd=clone)
    assert (ran.out, ran.err) == (
        "branch 'topic' set up to track 'origin/topic'.\n",
        "Switched to a new branch 'topic'\n",
    )
    mvc("switch", "-c", "five", "origin/main", cwd=clone)
    assert mvc("switch", "main", cwd=clone).lines[0] == "Your branch and 'origin/main' have diverged,"
    mvc("branch", "-D", "topic", cwd=clone)
    mvc("checkout", "--track", "origin/topic", cwd=clone)
    kept = {
        name: as_git(clone, "for-each-ref", "--format=%(upstream)", f"refs/heads/{name}")
        for name in ("one", "two", "three", "four", "five", "topic")
    }
    origin = "refs/remotes/origin/"
    assert kept == {
        "one": [origin + "main"],
        "two": [""],
        "three": [""],
        "four": ["refs/heads/main"],
        "five": [origin + "main"],
        "topic": [origin + "topic"],
    }
    mvc("config", "branch.autoSetupMerge", "false", cwd=clone)
    assert mvc("branch", "six", "origin/main", cwd=clone).out == ""


def test_settings_of_a_branch_go_with_it(mvc: Mvc, clone: Path) -> None:
    mvc("branch", "-m", "main", "trunk", cwd=clone)
    assert as_git(clone, "rev-parse", "trunk@{u}") == as_git(clone, "rev-parse", "origin/main")
    assert '[branch "main"]' not in (clone / ".mvc" / "config").read_text()
    mvc("branch", "-D", "lost", cwd=clone)
    assert "lost" not in (clone / ".mvc" / "config").read_text()
    # What the upstream has may go, though HEAD does not have it.
    mvc("branch", "-u", "origin/main", "even", cwd=clone)
    mvc("branch", "-d", "even", cwd=clone)
    mvc("branch", "--unset-upstream", cwd=clone)
    assert mvc("rev-parse", "@{u}", cwd=clone, code=4)
    assert mvc("branch", "--unset-upstream", cwd=clone, code=4)
    assert mvc("branch", "-u", "origin/none", cwd=clone, code=4)
    assert mvc("branch", "-u", "trunk", cwd=clone, code=2)
