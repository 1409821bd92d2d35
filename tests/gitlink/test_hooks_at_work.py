"""Git's own commands with mvc's hooks in place: real git, mvc started by the hooks."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from mvc.gitlink.driver import install_driver
from mvc.gitlink.hookfiles import install_hooks
from mvc.gitlink.hookscripts import this_program
from mvc.gitlink.lockfile import read_lock
from mvc.gitlink.outer import find_project
from tests.gitlink.project import ROOT, Outer, new_project

PROGRAM = this_program(sys.executable, ROOT / "mvc")


def install(outer: Outer) -> None:
    project = find_project(outer.top)
    install_hooks(project, PROGRAM)
    install_driver(project, PROGRAM)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Outer:
    """main: models a; tuned: models b on top. Git is on main."""
    outer = new_project(tmp_path_factory.mktemp("made"))
    install(outer)
    outer.models("a")
    outer.git("checkout", "-q", "-b", "tuned")
    outer.models("b")
    outer.git("checkout", "-q", "main")
    assert (outer.read(), outer.branch()) == ("a", "main")
    return outer


@pytest.fixture
def outer(made: Outer, tmp_path: Path) -> Outer:
    shutil.copytree(made.top.parent, tmp_path / "w", symlinks=True)
    return Outer(tmp_path / "w" / made.top.name, tmp_path / "w" / "home")


def clean(outer: Outer) -> bool:
    """Does neither Git nor mvc see a change?"""
    git = outer.git("status", "--porcelain", "-uall").out
    return git + outer.mvc("status", "--porcelain").out == ""


def test_models_follow_a_checkout(outer: Outer) -> None:
    ran = outer.git("checkout", "tuned")
    assert "models are at" in ran.err and (outer.read(), outer.branch()) == ("b", "tuned")
    assert clean(outer)
    outer.git("checkout", "-q", "main~1")
    assert outer.branch() == "tuned", "no mvc.lock there: nothing to follow"
    outer.git("checkout", "-q", "tuned~1")
    assert (outer.read(), outer.branch()) == ("a", None)
    outer.git("switch", "-q", "-c", 'new/it\'s "odd"'.replace(" ", "-"))
    assert (outer.read(), outer.branch()) == ("a", 'new/it\'s-"odd"')
    assert outer.git("checkout", "-q", "main", MVC_SKIP_HOOKS="1").err == ""
    assert outer.branch() == 'new/it\'s-"odd"'
    outer.git("checkout", "tuned", "--", "mvc.lock")
    assert outer.read() == "a", "a file alone"


def test_status_tells_where_git_has_no_hook(outer: Outer) -> None:
    assert "mvc.lock" not in outer.mvc("status").out
    outer.git("cherry-pick", "tuned")
    ours, locked = outer.head(), outer.head("tuned")
    assert outer.read() == "a" and ours != locked
    assert f"mvc.lock names another commit, {locked[:7]}\n" in outer.mvc("status").out
    outer.mvc("hooks", "sync")
    assert (outer.read(), outer.branch()) == ("b", "main")
    assert "mvc.lock" not in outer.mvc("status").out
    outer.write(mvc__lock="a conflict")
    assert "mvc.lock" not in outer.mvc("status").out


def test_uncommitted_work_stands_in_the_way(outer: Outer) -> None:
    outer.write(model__bin="mine" * 30_000)
    ran = outer.git("checkout", "tuned")
    assert "model.bin" in ran.err and "Git's checkout stands" in ran.err
    assert outer.git("symbolic-ref", "--short", "HEAD").out == "tuned\n"
    assert (outer.read(), outer.branch()) == ("m", "main")
    refused = outer.mvc("hooks", "sync", code=5)
    assert "model.bin" in refused.err
    outer.mvc("hooks", "sync", "--force")
    assert (outer.read(), outer.branch()) == ("b", "tuned")
    assert "already" in outer.mvc("hooks", "sync").err


def test_a_branch_of_mvcs_is_not_moved_back_unless_something_holds_it(outer: Outer) -> None:
    outer.write(model__bin="c" * 70_000)
    outer.mvc("commit", "-q", "-a", "-m", "not in Git yet", "--no-environment")
    ahead = outer.head()
    assert outer.git("status", "--porcelain").out == "M  mvc.lock\n"
    outer.git("reset", "-q", "--hard")
    ran = outer.mvc("hooks", "sync", code=5)
    assert "'not in Git yet'" in ran.err and ahead[:10] in ran.err
    outer.mvc("branch", "kept", ahead)
    outer.mvc("hooks", "sync")
    assert (outer.read(), outer.branch()) == ("a", "main")
    assert outer.head("kept") == ahead


def test_a_rebase_is_followed_at_its_end(outer: Outer) -> None:
    outer.write(train__py="more\n")
    outer.git("commit", "-q", "-a", "-m", "code on main")
    outer.git("checkout", "-q", "tuned")
    outer.git("commit", "-q", "--allow-empty", "-m", "another")
    ran = outer.git("rebase", "main")
    assert "models" not in ran.err, "nothing changed for them, and no step was followed"
    assert (outer.read(), outer.branch()) == ("b", "tuned") and clean(outer)
    outer.git("checkout", "-q", "main")
    outer.git("rebase", "tuned")
    assert (outer.read(), outer.branch()) == ("b", "main"), "a rebase that goes forward only"
    assert outer.git("symbolic-ref", "--short", "HEAD").out == "main\n" and clean(outer)
    # git-am's way leaves no trace by which such a one could be told: the next commit is on Git's branch again.
    outer.models("n")
    outer.git("checkout", "-q", "tuned")
    outer.git("rebase", "-q", "--apply", "main")
    assert (outer.read(), outer.branch()) == ("n", None)
    outer.models("o")
    assert outer.branch() == "tuned" and clean(outer)


def test_a_rebase_that_stops_at_the_lock(outer: Outer) -> None:
    outer.models("c")
    outer.git("checkout", "-q", "tuned")
    ran = outer.git("rebase", "main", code=1)
    assert f"both sides changed the models: mvc merge {outer.head('main')[:10]} joins" in ran.out + ran.err
    assert outer.read() == "b", "mvc waits for the end"
    _, merge, then, *_ = (outer.top / "mvc.lock").read_text().splitlines()
    assert then == "#   git rebase --continue"
    outer.mvc(*merge.removeprefix("#   mvc ").split(), "-X", "theirs")
    outer.git("rebase", "--continue", GIT_EDITOR="true")
    assert (outer.read(), outer.branch()) == ("c", "tuned") and clean(outer)


def test_a_merge_takes_the_newer_lock(outer: Outer) -> None:
    """Both sides changed the file, one's commit holds the other's: lines would conflict."""
    outer.git("checkout", "-q", "tuned")
    outer.models("d")
    outer.git("checkout", "-q", "-b", "half", "tuned~1")
    assert outer.read() == "b"
    outer.write(train__py="half\n")
    outer.git("commit", "-q", "-a", "-m", "half")
    outer.git("checkout", "-q", "-b", "early", "main")
    outer.git("commit", "-q", "--allow-empty", "-m", "x")
    outer.git("merge", "-q", "half", "-m", "m")
    outer.git("merge", "-q", "tuned", "-m", "m")
    assert (outer.read(), outer.branch()) == ("d", "early") and clean(outer)


def test_models_that_both_sides_changed_are_for_mvc_to_merge(outer: Outer) -> None:
    outer.write(card__md="card")
    outer.mvc("add", "card.md")
    outer.mvc("commit", "-q", "-m", "card", "--no-environment")
    outer.git("add", ".gitignore")
    outer.git("commit", "-q", "-m", "card")
    ran = outer.git("merge", "tuned", code=1)
    theirs = outer.head("tuned")
    assert f"mvc merge {theirs[:10]} joins them" in ran.out + ran.err
    text = (outer.top / "mvc.lock").read_text()
    assert f"#   mvc merge {theirs}\n#   git commit\n" in text and "<<<<<<< ours" in text
    assert "conflict" in outer.mvc("hooks", "sync", code=6).err
    outer.mvc("merge", theirs)
    assert outer.git("diff", "--name-only", "--diff-filter=U").out == ""
    outer.git("commit", "-q", "--no-edit")
    assert outer.read() == "b" and (outer.top / "card.md").exists() and clean(outer)
    # The other side now takes that, and a third that has both already keeps its own.
    outer.git("checkout", "-q", "tuned")
    outer.git("merge", "-q", "main")
    assert outer.head() == outer.head("main") and clean(outer)


def test_the_driver_without_mvcs_repository_merges_lines(outer: Outer) -> None:
    outer.models("c")
    shutil.rmtree(outer.top / ".mvc")
    ran = outer.git("merge", "tuned", code=1)
    assert "no mvc repository" in ran.out + ran.err
    assert "<<<<<<< ours" in (outer.top / "mvc.lock").read_text()


def test_a_new_worktree_of_git_gets_one_of_mvc(outer: Outer, tmp_path: Path) -> None:
    side = outer.at(tmp_path / "si de")
    ran = outer.git("worktree", "add", "-q", str(side.top), "tuned")
    assert "models are at" in ran.err
    assert (side.read(), side.branch()) == ("b", "tuned") and clean(side)
    assert (outer.read(), outer.branch()) == ("a", "main")
    side.models("e")
    side.git("checkout", "-q", "--detach", "main")
    assert (side.read(), side.branch()) == ("a", None)
    outer.git("checkout", "-q", "tuned")
    assert (outer.read(), outer.branch()) == ("e", "tuned")


def test_a_bisection_brings_the_models_of_each_step(outer: Outer) -> None:
    outer.git("checkout", "-q", "tuned")
    outer.models("c")
    outer.models("d")
    ran = outer.git("bisect", "start", "HEAD", "HEAD~3")
    outer.git("bisect", "run", "sh", "-c", 'test "$(head -c1 model.bin)" != c && test "$(head -c1 model.bin)" != d')
    found = outer.git("show", "-s", "--format=%s", "refs/bisect/bad").out
    ran = outer.git("bisect", "reset")
    assert found == "models\n" and outer.git("rev-parse", "refs/heads/tuned~1").out != ""
    assert ran.code == 0 and (outer.read(), outer.branch()) == ("d", "tuned") and clean(outer)


def test_without_mvc_here_nothing_happens(outer: Outer, tmp_path: Path) -> None:
    plain = outer.at(tmp_path / "plain")
    outer.git("init", "-q", str(plain.top))
    install(plain)
    plain.write(a="1")
    plain.git("add", ".")
    assert plain.git("commit", "-q", "-m", "1").err == ""
    assert plain.git("checkout", "-q", "-b", "x").err == ""
    plain.git("init", "-q", "--bare", str(tmp_path / "bare"))
    assert plain.git("push", "-q", str(tmp_path / "bare"), "x").err == ""
    shutil.rmtree(outer.top / ".mvc")
    ran = outer.git("checkout", "-q", "tuned")
    assert ran.err == "warning: the models of this Git commit are not here: mvc hooks sync brings them\n"
    hooks = outer.top / ".git" / "hooks"
    outer.git("config", "--global", "core.hooksPath", str(hooks))
    bare = outer.at(tmp_path / "bare")
    bare.git("init", "-q", "--bare", str(tmp_path / "other"))
    assert bare.git("push", "-q", str(tmp_path / "other"), "x").err == ""
    outer.git("config", "--global", "--unset", "core.hooksPath")


# -- into Git


def test_commit_refuses_weights_and_pickles(outer: Outer) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> object:
            return (print, ("hello",))

    big = (8).to_bytes(8, "little") + b'{"a": 1}' + bytes(2 << 20)
    outer.write(
        **{"weights.dat": big, "a b.safetensors": big, "evil.pkl": pickle.dumps(Evil()), "fine.pkl": pickle.dumps([1])}
    )
    outer.write(**{"ptr.safetensors": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9999999\n"})
    outer.git("add", "-f", ".")
    outer.write(**{"weights.dat": "small now: the index counts\n"})
    ran = outer.git("commit", "-q", "-m", "x", code=1)
    assert [line.split()[0] for line in ran.err.splitlines() if line.startswith("  ")] == [
        "a",
        "evil.pkl",
        "weights.dat",
    ]
    assert "loading it calls __builtin__.print" in ran.err or "loading it calls builtins.print" in ran.err
    found = json.loads(outer.mvc("hooks", "check", "--json", code=1).out)
    assert [one["reason"] for one in found["refused"]] == ["weights", "pickle", "weights"]
    outer.write(mvc__yaml="hooks:\n  weights: 4 MB\n  allow: [evil.pkl]\n")
    outer.git("commit", "-q", "-m", "x")
    assert outer.mvc("hooks", "check", "--max-size", "1m", "HEAD", code=1).err.count("2.1 MB") == 2
    # What is merged in is in Git already.
    (outer.top / "mvc.yaml").unlink()
    outer.git("checkout", "-q", "-f", "tuned")
    outer.git("merge", "-q", "--no-commit", "--no-ff", "main")
    outer.git("commit", "-q", "-m", "merge")


# -- to a remote


@pytest.fixture
def shared(outer: Outer, tmp_path: Path) -> Outer:
    """With a remote for Git and one for mvc, both empty."""
    outer.git("init", "-q", "--bare", "-b", "main", str(tmp_path / "code.git"))
    outer.git("remote", "add", "origin", str(tmp_path / "code.git"))
    outer.mvc("remote", "add", "origin", str(tmp_path / "models"))
    return outer


def there(outer: Outer, tmp_path: Path) -> dict[str, str]:
    """mvc's refs on the remote."""
    rows = outer.mvc("ls-remote", str(tmp_path / "models")).out.splitlines()
    return {name: commit for commit, name in (row.split("\t") for row in rows) if name != "HEAD"}


def test_push_brings_models_first(shared: Outer, tmp_path: Path) -> None:
    ran = shared.git("push", "-q", "origin", "main")
    assert "models pushed" in ran.err
    assert there(shared, tmp_path) == {"refs/heads/main": shared.head("main")}
    shared.git("push", "-q", "origin", "tuned:review/1")
    assert there(shared, tmp_path)["refs/heads/review/1"] == shared.head("tuned")
    shared.git("commit", "-q", "--allow-empty", "-m", "code alone")
    (tmp_path / "models").rename(tmp_path / "away")
    assert shared.git("push", "-q", "origin", "main").err == "", "known to be there: not even asked"
    shared.models("c")
    ran = shared.git("push", "origin", "main", code=1)
    assert "so Git's push was stopped" in ran.err
    assert shared.git("rev-parse", "origin/main").out != shared.git("rev-parse", "main").out
    shared.git("push", "-q", "origin", "main", MVC_SKIP_HOOKS="1")
    shared.git("push", "-q", "origin", ":review/1")


def test_push_never_forces_and_loses_nothing(shared: Outer, tmp_path: Path) -> None:
    shared.git("push", "-q", "origin", "main", "tuned")
    shared.git("checkout", "-q", "tuned")
    old = shared.head()
    shared.write(model__bin="f" * 70_000)
    shared.mvc("commit", "-q", "-a", "--amend", "--no-edit", "--no-environment")
    shared.git("commit", "-q", "--amend", "--no-edit")
    ran = shared.git("push", "-q", "-f", "origin", "tuned")
    assert "went beside it" in ran.err
    new = shared.head()
    refs = there(shared, tmp_path)
    assert refs["refs/heads/tuned"] == old and refs[f"refs/locked/{new}"] == new
    # A clone finds them by the lock alone.
    clone = shared.at(tmp_path / "clone")
    shared.git("clone", "-q", "-b", "tuned", str(tmp_path / "code.git"), str(clone.top))
    clone.mvc("hooks", "sync", "--remote", str(tmp_path / "models"))
    assert (clone.read(), clone.branch(), clone.head()) == ("f", "tuned", new)


def test_each_pushed_commit_has_its_models_there(shared: Outer, tmp_path: Path) -> None:
    shared.git("push", "-q", "origin", "main")
    shared.models("c")
    dropped = shared.head()
    shared.mvc("reset", "-q", "--hard", "HEAD~1")
    shared.git("commit", "-q", "-m", "back again")
    shared.git("tag", "-a", "-m", "v1", "v1", "tuned")
    shared.git("push", "-q", "origin", "main", "v1")
    refs = there(shared, tmp_path)
    assert refs[f"refs/locked/{dropped}"] == dropped and refs[f"refs/locked/{shared.head('tuned')}"]
    assert refs["refs/heads/main"] == shared.head("main")


def test_a_colleague_pulls(shared: Outer, tmp_path: Path) -> None:
    shared.models("c", "with a remote now")
    shared.git("push", "-q", "origin", "main")
    bob = shared.at(tmp_path / "bob")
    shared.git("clone", "-q", str(tmp_path / "code.git"), str(bob.top))
    install(bob)
    ran = bob.mvc("hooks", "sync")
    assert (bob.read(), bob.branch()) == ("c", "main") and "models are at" in ran.err and clean(bob)
    shared.models("d")
    shared.git("push", "-q", "origin", "main")
    bob.git("pull", "-q")
    assert (bob.read(), bob.head()) == ("d", shared.head()) and clean(bob)
    # Both go on: the second to push is told.
    bob.models("e")
    shared.models("f")
    shared.git("push", "-q", "origin", "main")
    ran = bob.git("push", "origin", "main", code=1)
    assert "stopped" in ran.err and "mvc pull" in ran.err
    bob.git("fetch", "-q")
    ran = bob.git("merge", "origin/main", code=1)
    assert "mvc merge" in ran.out + ran.err
    bob.mvc("merge", "-X", "ours", shared.head())
    bob.git("commit", "-q", "--no-edit")
    bob.git("push", "-q", "origin", "main")
    assert bob.read() == "e" and there(shared, tmp_path)["refs/heads/main"] == bob.head()
    history = bob.at(tmp_path / "ci")
    bob.git("clone", "-q", str(tmp_path / "code.git"), str(history.top))
    history.mvc("hooks", "sync", "--history")
    assert not (history.top / "model.bin").exists() and history.head() == bob.head()
    assert history.branch() == "main" and history.git("status", "--porcelain").out == ""


def test_sync_goes_to_the_remote_that_is_named_whatever_was_there(shared: Outer, tmp_path: Path) -> None:
    shared.git("push", "-q", "origin", "main")
    clone = shared.at(tmp_path / "clone")
    shared.git("clone", "-q", str(tmp_path / "code.git"), str(clone.top))
    clone.mvc("hooks", "sync", "--history", "--remote", str(tmp_path / "mistyped"), code=4)
    ran = clone.mvc("hooks", "sync", "--history", "--remote", "../models")
    assert f"origin is ../models from now on; it was {tmp_path / 'mistyped'}" in ran.err
    assert (clone.head(), clone.branch()) == (shared.head(), "main")
    assert clone.mvc("config", "branch.main.remote").out == "origin\n"
    # What CI's cache kept: the models moved house since, and the pipeline says where to.
    (tmp_path / "models").rename(tmp_path / "moved")
    shared.mvc("remote", "set-url", "origin", str(tmp_path / "moved"))
    shared.models("c")
    shared.git("push", "-q", "origin", "main")
    clone.git("pull", "-q")
    clone.mvc("hooks", "sync", "--remote", str(tmp_path / "moved"))
    assert (clone.read(), clone.head()) == ("c", shared.head())
    assert "origin is" not in clone.mvc("hooks", "sync", "--remote", "../moved").err


def test_without_a_remote_of_mvcs_git_pushes_all_the_same(outer: Outer, tmp_path: Path) -> None:
    outer.git("init", "-q", "--bare", str(tmp_path / "code.git"))
    ran = outer.git("push", "-q", str(tmp_path / "code.git"), "main")
    assert "mvc has no remote" in ran.err
    (outer.top / "mvc.lock").write_text("mvc-lock 1\ncommit " + "ab" * 20 + "\n")
    outer.git("commit", "-q", "-a", "-m", "a lock of nothing")
    outer.mvc("remote", "add", "origin", str(tmp_path / "models"))
    outer.git("push", "-q", str(tmp_path / "code.git"), "main", code=1)
    assert "no mvc remote" in outer.mvc("hooks", "sync", code=4).err
    outer.mvc("push", "-q", "origin", "main")
    assert "nor on the remote" in outer.mvc("hooks", "sync", code=4).err


def test_the_lock_is_staged_and_no_dirty_code(outer: Outer) -> None:
    outer.write(model__bin="z" * 70_000, new__bin="y" * 70_000)
    outer.mvc("add", "-A")
    outer.mvc("commit", "-q", "-m", "first")
    outer.write(model__bin="x" * 70_000)
    outer.mvc("commit", "-q", "-a", "-m", "second")
    assert "dirty: false" in outer.mvc("show", "HEAD:.mvcmeta/environment.yaml").out
    lock = read_lock(outer.top)
    assert lock is not None and lock.commit == outer.head()
    assert outer.git("show", ":mvc.lock").out == (outer.top / "mvc.lock").read_text()
    with open(outer.top / ".gitignore", "a") as file:
        file.write("/mvc.lock\n")
    outer.git("rm", "-q", "--cached", "mvc.lock")
    outer.mvc("commit", "-q", "--allow-empty", "-m", "third", "--no-environment")
    assert outer.git("ls-files", "mvc.lock").out == "", "a project may keep it out"


def test_a_project_below_the_top_and_two_of_them(outer: Outer, tmp_path: Path) -> None:
    project = new_project(tmp_path / "w", "deep")
    install(project)
    shutil.rmtree(project.top / ".mvc")
    parts = [project.at(project.top / name) for name in ("a b", "it's")]
    for part in parts:
        part.top.mkdir()
        part.mvc("init", "-q")
        part.write(model__bin="1" * 70_000)
        part.mvc("add", "model.bin")
        part.mvc("commit", "-q", "-m", "1", "--no-environment")
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "1")
    project.git("checkout", "-q", "-b", "next")
    parts[1].write(model__bin="2" * 70_000)
    parts[1].mvc("commit", "-q", "-a", "-m", "2", "--no-environment")
    project.git("commit", "-q", "-m", "2")
    project.git("checkout", "-q", "main")
    assert [part.read() for part in parts] == ["1", "1"]
    project.git("merge", "-q", "next")
    assert [(part.read(), part.branch()) for part in parts] == [("1", "main"), ("2", "main")]
