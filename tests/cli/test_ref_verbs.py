"""`branch`, `tag`, `reflog`, `rev-parse`, `config`, `completion`: as typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.world import History, Mvc, git

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def history(history: History) -> History:
    """main: a - b - c; topic: a - t; a tag v1 at a."""
    a = history.commit("a\n", {"f": "a"})
    b = history.commit("b\n", {"f": "b"}, parents=(a,))
    history.commit("c\n", {"f": "c"}, parents=(b,))
    history.commit("t\n", {"g": "t"}, parents=(a,), ref="refs/heads/topic")
    history.tag("v1", a)
    history.write()
    return history


def names(mvc: Mvc, path: Path, *arguments: str) -> list[str]:
    return [line[2:] for line in mvc("branch", *arguments, cwd=path).lines]


def test_branches_are_listed(mvc: Mvc, history: History) -> None:
    assert mvc("branch", cwd=history.path).lines == ["* main", "  topic"]
    assert names(mvc, history.path, "--list", "t*") == ["topic"]
    assert names(mvc, history.path, "--merged") == ["main"]
    assert names(mvc, history.path, "--no-merged", "main") == ["topic"]
    assert names(mvc, history.path, "--contains", "v1") == ["main", "topic"]
    assert names(mvc, history.path, "--contains", "main~1") == ["main"]
    assert names(mvc, history.path, "--points-at", "topic") == ["topic"]
    assert names(mvc, history.path, "--sort", "-date") == ["topic", "main"]
    assert mvc("branch", "--show-current", cwd=history.path).out == "main\n"
    assert [line[:8].rstrip() for line in mvc("branch", "-v", cwd=history.path).lines] == ["* main", "  topic"]
    document = json.loads(mvc("branch", "--json", cwd=history.path).out)
    assert [(one["name"], one["head"], one["summary"]) for one in document["branches"]] == [
        ("main", True, "c"),
        ("topic", False, "t"),
    ]


def test_branches_of_a_detached_head(mvc: Mvc, history: History) -> None:
    git(history.path, "update-ref", "--no-deref", "HEAD", "v1")
    lines = mvc("branch", cwd=history.path).lines
    assert re.fullmatch(r"\* \(HEAD detached at [0-9a-f]{7}\)", lines[0]) and lines[1:] == ["  main", "  topic"]
    assert mvc("branch", "--show-current", cwd=history.path).out == ""
    assert "HEAD is on no branch" in mvc("branch", "-m", "new", cwd=history.path, code=2).err


def test_a_branch_is_made_and_moved(mvc: Mvc, history: History) -> None:
    mvc("branch", "one", cwd=history.path)
    mvc("branch", "two", "v1", cwd=history.path)
    assert git(history.path, "rev-parse", "one", "two") == git(history.path, "rev-parse", "main", "v1")
    assert "mvc branch --force" in mvc("branch", "two", "main", cwd=history.path, code=5).err
    mvc("branch", "-f", "two", "main", cwd=history.path)
    assert git(history.path, "rev-parse", "two") == git(history.path, "rev-parse", "main")
    assert "checked out here" in mvc("branch", "-f", "main", "v1", cwd=history.path, code=5).err
    assert mvc("branch", "x", "nowhere", cwd=history.path, code=4)
    for bad in ("a..b", "-x", "a b", "HEAD", "x.lock", "@"):
        assert mvc("branch", "--", bad, cwd=history.path, code=2).err.startswith("error: ")
    assert mvc("branch", "a", "b", "c", cwd=history.path, code=2)
    assert "Created from v1" in (history.path / ".mvc/logs/refs/heads/two").read_text()


def test_a_branch_is_deleted(mvc: Mvc, history: History) -> None:
    ran = mvc("branch", "-d", "topic", cwd=history.path, code=5)
    assert "not fully merged" in ran.err and "mvc branch -D topic" in ran.err
    assert re.fullmatch(
        r"Deleted branch topic \(was [0-9a-f]{7}\)\.\n", mvc("branch", "-D", "topic", cwd=history.path).err
    )
    assert names(mvc, history.path) == ["main"]
    assert "checked out here" in mvc("branch", "-D", "main", cwd=history.path, code=5).err
    assert mvc("branch", "-d", "nope", cwd=history.path, code=4)
    assert mvc("branch", "-d", cwd=history.path, code=2)
    mvc("branch", "one", "v1", cwd=history.path)
    assert mvc("branch", "-d", "one", "nope", cwd=history.path, code=4)
    assert names(mvc, history.path) == ["main", "one"]  # all or none
    mvc("-q", "branch", "-d", "one", cwd=history.path)


def test_a_branch_is_renamed(mvc: Mvc, history: History) -> None:
    mvc("branch", "-m", "trunk", cwd=history.path)
    assert mvc("branch", cwd=history.path).lines == ["  topic", "* trunk"]
    assert git(history.path, "symbolic-ref", "HEAD") == b"refs/heads/trunk\n"
    mvc("branch", "-m", "topic", "feature/topic", cwd=history.path)
    assert "exists already" in mvc("branch", "-m", "feature/topic", "trunk", cwd=history.path, code=5).err or True
    mvc("branch", "one", cwd=history.path)
    mvc("branch", "-M", "one", "feature/topic", cwd=history.path)
    assert names(mvc, history.path) == ["feature/topic", "trunk"]
    assert mvc("branch", "-m", "nope", "x", cwd=history.path, code=4)


def test_a_branch_that_another_worktree_is_on(mvc: Mvc, history: History, tmp_path: Path) -> None:
    linked = history.path / ".mvc/worktrees/w"
    linked.mkdir(parents=True)
    (linked / "HEAD").write_text("ref: refs/heads/topic\n")
    (linked / "commondir").write_text("../..\n")
    (linked / "gitdir").write_text(f"{tmp_path / 'w' / '.mvc'}\n")
    assert mvc("branch", cwd=history.path).lines == ["* main", "+ topic"]
    for arguments in (["-D", "topic"], ["-f", "topic", "v1"]):
        assert "is checked out at" in mvc("branch", *arguments, cwd=history.path, code=5).err


def test_tags(mvc: Mvc, history: History) -> None:
    path = history.path
    mvc("tag", "v2", cwd=path)
    mvc("tag", "-m", "Release", "-m", "Details", "v3", "main~1", cwd=path)
    (path / "text").write_text("From a file\n")
    mvc("tag", "-F", "text", "v4", cwd=path)
    assert mvc("tag", cwd=path).lines == ["v1", "v2", "v3", "v4"]
    assert mvc("tag", "-l", "*3", "v1", cwd=path).lines == ["v1", "v3"]
    assert mvc("tag", "-n", cwd=path).lines == [
        f"{name:<15} {text}" for name, text in (("v1", "a"), ("v2", "c"), ("v3", "Release"), ("v4", "From a file"))
    ]
    assert mvc("tag", "-n3", "-l", "v3", cwd=path).lines == [f"{'v3':<15} Release", "    ", "    Details"]
    assert mvc("tag", "--contains", "main~1", cwd=path).lines == ["v2", "v3", "v4"]
    assert mvc("tag", "--points-at", "main~1", cwd=path).lines == ["v3"]
    assert mvc("tag", "--sort", "-name", cwd=path).lines == ["v4", "v3", "v2", "v1"]
    assert git(path, "cat-file", "-t", "v3") == b"tag\n" and git(path, "cat-file", "-t", "v2") == b"commit\n"
    assert (
        git(path, "for-each-ref", "refs/tags/v3", "--format=%(contents)%(taggername)")
        == b"Release\n\nDetails\nAnn Other\n"
    )
    assert "mvc tag --force v2 HEAD" in mvc("tag", "v2", cwd=path, code=5).err
    mvc("tag", "-f", "v2", "v1", cwd=path)
    assert git(path, "rev-parse", "v2") == git(path, "rev-parse", "v1")
    assert "Deleted tag 'v2'" in mvc("tag", "-d", "v2", cwd=path).err
    assert mvc("tag", "-d", "v2", cwd=path, code=4)
    assert mvc("tag", "a b", cwd=path, code=2)
    rows = json.loads(mvc("tag", "--json", cwd=path).out)["tags"]
    assert [(row["name"], row["annotated"], row["kind"]) for row in rows] == [
        ("v1", False, "commit"),
        ("v3", True, "commit"),
        ("v4", True, "commit"),
    ]
    git(path, "fsck", "--strict")


def test_a_tag_from_the_editor(mvc: Mvc, history: History, tmp_path: Path) -> None:
    script = tmp_path / "an editor.sh"
    script.write_text("#!/bin/sh\nprintf 'Typed\\n\\n\\n\\nmore  \\n# comment\\n' > \"$1\"\n")
    script.chmod(0o755)
    mvc("tag", "-a", "v9", cwd=history.path, MVC_EDITOR=f"'{script}'")
    assert git(history.path, "for-each-ref", "refs/tags/v9", "--format=%(contents)") == b"Typed\n\nmore\n\n"
    assert "no message" in mvc("tag", "-a", "v8", cwd=history.path, MVC_EDITOR="true", code=2).err
    assert "the editor failed" in mvc("tag", "-a", "v8", cwd=history.path, MVC_EDITOR="false", code=5).err
    ran = mvc("tag", "-a", "v8", cwd=history.path, code=2, MVC_EDITOR="", GIT_EDITOR="", VISUAL="", EDITOR="")
    assert "no terminal to edit on" in ran.err


def test_tags_of_other_objects(mvc: Mvc, history: History) -> None:
    mvc("tag", "file", "main:f", cwd=history.path)
    mvc("tag", "-m", "x", "tree", "main^{tree}", cwd=history.path)
    mvc("tag", "-m", "x", "tagged", "tree", cwd=history.path)
    rows = {row["name"]: row["kind"] for row in json.loads(mvc("tag", "--json", cwd=history.path).out)["tags"]}
    assert rows == {"file": "blob", "tagged": "tree", "tree": "tree", "v1": "commit"}
    assert mvc("tag", "--contains", "v1", cwd=history.path).lines == ["v1"]
    assert mvc("log", "--all", "--oneline", cwd=history.path).lines
    assert mvc("show", "tagged", cwd=history.path).lines[0] == "tag tagged"


def test_reflog(mvc: Mvc, history: History) -> None:
    path = history.path
    mvc("branch", "one", "main", cwd=path)
    mvc("branch", "-f", "one", "v1", cwd=path)
    lines = mvc("reflog", "one", cwd=path).lines
    assert [re.sub(r"^[0-9a-f]{7}( \(.*?\))? ", "", line) for line in lines] == [
        "one@{0}: branch: Reset to v1",
        "one@{1}: branch: Created from main",
    ]
    assert mvc("reflog", "show", "-n", "1", "one", cwd=path).lines == lines[:1]
    assert mvc("rev-parse", "one@{1}", cwd=path).out == mvc("rev-parse", "main", cwd=path).out
    entries = json.loads(mvc("reflog", "show", "--json", "one", cwd=path).out)["entries"]
    assert entries[1]["old"] is None and entries[0]["message"] == "branch: Reset to v1"
    assert mvc("reflog", "show", "nope", cwd=path, code=4)


def test_reflogs_are_forgotten(mvc: Mvc, history: History) -> None:
    path = history.path
    mvc("branch", "one", "main", cwd=path)
    mvc("branch", "-f", "one", "v1", cwd=path)
    assert mvc("reflog", "expire", "one", cwd=path).err == ""
    assert mvc("reflog", "expire", "one", "--expire", "yesterday", cwd=path).err == ""
    ran = mvc("reflog", "expire", "one", "--expire", "never", "--expire-unreachable", "now", "-n", cwd=path)
    assert ran.err == "refs/heads/one: would forget 1 move\n"
    ran = mvc("reflog", "expire", "one", "--expire", "never", "--expire-unreachable", "now", cwd=path)
    assert ran.err == "refs/heads/one: forgot 1 move\n" and len(mvc("reflog", "one", cwd=path).lines) == 1
    assert (
        json.loads(mvc("reflog", "expire", "--all", "--expire", "now", "--json", cwd=path).out)["refs"][
            "refs/heads/one"
        ]
        == 1
    )
    assert mvc("reflog", "one", cwd=path).lines == []
    assert mvc("reflog", "expire", cwd=path, code=2)
    assert mvc("reflog", "expire", "--all", "--expire", "bald", cwd=path, code=2)


REVISIONS = (
    "HEAD @ main v1 HEAD~1 HEAD^ HEAD~2 main:f HEAD^{tree} v1^{} refs/heads/topic heads/topic v1..main v1.. "
    "main...topic ^topic :/t"
)


@pytest.mark.parametrize("spec", REVISIONS.split())
def test_rev_parse_is_gits(spec: str, mvc: Mvc, history: History) -> None:
    assert sorted(mvc("rev-parse", spec, cwd=history.path).raw.split()) == sorted(
        git(history.path, "rev-parse", spec).split()
    )


def test_rev_parse(mvc: Mvc, history: History) -> None:
    path = history.path
    (path / "sub").mkdir()
    assert mvc("rev-parse", "--abbrev-ref", "HEAD", cwd=path).out == "main\n"
    assert mvc("rev-parse", "--symbolic-full-name", "HEAD", "v1", cwd=path).lines == ["refs/heads/main", "refs/tags/v1"]
    full = mvc("rev-parse", "HEAD", cwd=path).out.strip()
    assert mvc("rev-parse", "--short", "HEAD", cwd=path).out.strip() == full[:7]
    assert mvc("rev-parse", "--short=12", "HEAD", cwd=path).out.strip() == full[:12]
    assert mvc("rev-parse", full[:5], cwd=path).out.strip() == full
    assert mvc("rev-parse", "--show-prefix", cwd=path / "sub").out == "sub/\n"
    assert mvc("rev-parse", "--show-prefix", cwd=path).out == "\n"
    assert mvc("rev-parse", "--is-inside-work-tree", cwd=path / "sub").out == "true\n"
    assert mvc("rev-parse", "--is-inside-work-tree", cwd=path.parent).out == "false\n"
    assert mvc("rev-parse", "nope", cwd=path, code=4).err.startswith("error: 'nope'")
    ran = mvc("rev-parse", "-q", "--verify", "nope", cwd=path, code=1)
    assert (ran.out, ran.err) == ("", "")
    assert mvc("rev-parse", "--verify", cwd=path, code=2)
    assert json.loads(mvc("rev-parse", "--json", "HEAD", cwd=path).out)["lines"] == [full]


def test_config(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    assert mvc("config", "core.threads", cwd=repo, code=1).out == ""
    mvc("config", "core.threads", "4", cwd=repo)
    assert mvc("config", "core.threads", cwd=repo).out == "4\n"
    assert git(repo, "config", "core.threads") == b"4\n"
    mvc("config", "--global", "core.threads", "2", cwd=repo)
    assert (tmp_path / "home/.config/mvc/config").read_text() == "[core]\n\tthreads = 2\n"
    assert mvc("config", "core.threads", cwd=repo).out == "4\n"
    assert mvc("config", "--global", "core.threads", cwd=repo).out == "2\n"
    assert mvc("config", "--get-all", "core.threads", cwd=repo).lines == ["2", "4"]
    mvc("config", "--unset", "core.threads", cwd=repo)
    assert mvc("config", "core.threads", cwd=repo).out == "2\n"
    assert mvc("config", "--unset", "core.threads", cwd=repo, code=4)
    assert "core.threads=2" in mvc("config", "-l", cwd=repo).lines
    mvc("config", "--add", "remote.a.fetch", "one", cwd=repo)
    mvc("config", "--add", "remote.a.fetch", "two", cwd=repo)
    assert mvc("config", "--local", "--get-all", "remote.a.fetch", cwd=repo).lines == ["one", "two"]
    assert json.loads(mvc("config", "--json", "remote.a.fetch", cwd=repo).out)["values"] == ["two"]
    assert {"key": "core.threads", "value": "2"} in json.loads(mvc("config", "--json", cwd=repo).out)["settings"]


def test_config_outside_of_a_repository(mvc: Mvc, tmp_path: Path) -> None:
    mvc("config", "--global", "user.name", "Ann Other", cwd=tmp_path)
    assert mvc("config", "user.name", cwd=tmp_path).out == "Ann Other\n"
    assert mvc("config", "core.threads", "3", cwd=tmp_path, code=3)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("core.threads", "many", 2),
        ("core.threads", "-1", 2),
        ("core.deltaDepth", "9", 2),
        ("gc.reflogExpire", "soon", 2),
        ("core.verifyWrites", "perhaps", 2),
        ("threads", "3", 2),
        ("a.b\nc", "3", 2),
        ("mvc.format", "2", 5),
        ("mvc.chunkKey", "00", 5),
        ("extensions.objectFormat", "sha256", 5),
    ],
)
def test_config_that_would_lock_the_repository_is_refused(
    key: str, value: str, code: int, mvc: Mvc, repo: Path
) -> None:
    before = (repo / ".mvc/config").read_bytes()
    for extra in ([], ["--add"], ["--global"]):
        assert mvc("config", *extra, key, value, cwd=repo, code=code).err.startswith("error: ")
    assert (repo / ".mvc/config").read_bytes() == before
    mvc("branch", cwd=repo)


def test_config_mends_what_a_hand_broke(mvc: Mvc, repo: Path) -> None:
    with (repo / ".mvc/config").open("a") as file:
        file.write("[core]\n\tthreads = many\n")
    assert "core.threads = many" in mvc("branch", cwd=repo, code=2).err
    mvc("config", "core.threads", "4", cwd=repo)
    mvc("branch", cwd=repo)


def test_changes_as_json(mvc: Mvc, history: History) -> None:
    def names_of(*arguments: str) -> list[str]:
        found = json.loads(mvc(*arguments, "--json", cwd=history.path).out)
        return [one["name"] for one in found.get("branches", found.get("tags", ()))]

    assert names_of("branch", "new") == names_of("branch", "-u", "main", "new") == ["new"]
    assert names_of("branch", "-m", "new", "newer") == ["newer"]
    assert names_of("branch", "--unset-upstream", "newer") == ["newer"]
    assert names_of("branch", "--show-current") == ["main"]
    gone = json.loads(mvc("branch", "-d", "newer", "--json", cwd=history.path).out)
    assert [one["name"] for one in gone["deleted"]] == ["newer"]
    assert names_of("tag", "v2") == names_of("tag", "-f", "-m", "m", "v2") == ["v2"]
    gone = json.loads(mvc("tag", "-d", "v1", "v2", "--json", cwd=history.path).out)
    assert [one["name"] for one in gone["deleted"]] == ["v1", "v2"]
    mvc("checkout", "--detach", cwd=history.path)
    assert names_of("branch", "--show-current") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, mvc: Mvc, tmp_path: Path) -> None:
    script = mvc("completion", shell).out
    assert "_MVC_COMPLETE" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)


def complete(path: Path, *words: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": ROOT, "_MVC_COMPLETE": "bash_complete"}
    environment |= {"COMP_WORDS": " ".join(["mvc", *words]), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        [sys.executable, "-m", "mvc"], env=environment, cwd=path, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_paths_of_a_revision_in_bash(history: History, mvc: Mvc) -> None:
    """Which breaks words at a colon, so that what it replaces begins there."""
    path = history.path
    for name in ("one/two/a,b c.bin", "one/two/d", "one/two/\udcff", "other"):
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x")
    mvc("add", "-A", cwd=path)
    mvc("commit", "-q", "-m", "m", "--no-environment", cwd=path)
    (path / "script").write_text(mvc("completion", "bash").out)
    wrapper = path / "mvc"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mvc "$@"\n')
    wrapper.chmod(0o755)

    def typed(line: str) -> list[str]:
        code = """source ./script; compopt() { :; }
            COMP_LINE=$1 COMP_POINT=${#1}; _mvc_completion ./mvc; printf '%s\\n' "${COMPREPLY[@]}" """
        environment = {**os.environ, "PYTHONPATH": ROOT}
        command = ["bash", "--norc", "-c", code, "bash", line]
        done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=True)
        assert not done.stderr
        return done.stdout.splitlines()

    assert typed("mvc show HEAD:o") == ["one/", "other"]
    assert typed("mvc show HEAD:on") == [r"one/two/a\,b\ c.bin", "one/two/d"]
    assert typed("mvc cat-file HEAD~0:one/two/d") == ["one/two/d"]
    assert typed("mvc show HE") == ["HEAD"]
    assert "show" in typed("mvc ") and typed("mvc sho") == ["show"]


def test_completion(history: History, tmp_path: Path) -> None:
    path = history.path
    assert sorted(complete(path, "rev")) == ["plain,rev-parse", "plain,revert"]
    assert complete(path, "branch", "-d", "to") == ["plain,topic"]
    assert complete(path, "log", "v1..t") == ["plain,v1..topic"]
    assert complete(path, "log", "--one") == ["plain,--oneline"]
    assert complete(path, "log", "--contain") == []
    assert complete(path, "add", "m") == ["file,m"]
    assert sorted(complete(path, "stash", "p")) == ["plain,pop", "plain,push"]
    assert "plain,--include-untracked" in complete(path, "stash", "--")  # of push, which runs when none is named
    assert complete(path, "stash", "README") == ["file,README"]
    assert complete(path, "reflog", "e") == ["plain,expire"]
    assert "plain,topic" in complete(path, "reflog", "to")
    assert complete(path, "branch", "--sort", "n") == ["plain,name"]
    assert complete(path, "show", "topic:") == ["plain,topic:f", "plain,topic:g"]
    assert complete(path, "show", "nothing:") == complete(path, "show", "HEAD:none/") == []
    assert complete(tmp_path, "log", "v") == ["file,v"]  # no repository: no trouble
    assert complete(tmp_path, "-C", "repo", "tag", "v") == ["plain,v1"]


def test_options_as_scripts_for_git_pass_them(mvc: Mvc, history: History) -> None:
    path = history.path
    for name in ("v1.10", "v1.9", "v2"):
        mvc("tag", name, "main", cwd=path)
    mvc("reset", "--hard", cwd=path)
    assert mvc("tag", "--sort=version:refname", cwd=path).lines == ["v1", "v1.9", "v1.10", "v2"]
    assert mvc("tag", "--sort=-v:refname", cwd=path).lines == ["v2", "v1.10", "v1.9", "v1"]
    assert mvc("branch", "--sort=-committerdate", cwd=path).code == 0
    mvc("revert", "--no-edit", "HEAD", cwd=path)
    assert "(HEAD" not in mvc("log", "--no-decorate", "--oneline", cwd=path).out
    assert "1 file changed" in mvc("show", "--stat", cwd=path).out
    assert "1 file changed" not in mvc("show", "-s", cwd=path).out
    mvc("config", "user.name", "Ann", cwd=path)
    assert mvc("config", "--get", "user.name", cwd=path).lines == ["Ann"]
    assert mvc("config", "--get-regexp", "^user", cwd=path).lines == ["user.name Ann"]
    assert mvc("config", "--get-regexp", "^nothing", cwd=path, code=1).lines == []
    mvc("config", "--unset-all", "user.name", cwd=path)
    mvc("merge", "--no-edit", "topic", cwd=path)
    assert "one branch at a time" in mvc("merge", "main", "v2", cwd=path, code=2).err
    mvc("ls-files", "-o", "--exclude-standard", cwd=path)
    mvc("worktree", "prune", "-v", cwd=path)
