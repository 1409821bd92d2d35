"""Hooks go where Git says, keep those that stand, and leave no trace."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvc.errors import NotARepository, Refused
from mvc.fsio import hooked
from mvc.gitlink.driver import driver_state, install_driver, uninstall_driver
from mvc.gitlink.hookfiles import find_hooks, install_hooks, uninstall_hooks
from mvc.gitlink.hookscripts import HOOKS, Program, is_ours, script
from mvc.gitlink.outer import find_project, git_path
from tests.gitlink.project import ROOT, Outer

NOBODY = Program("/nowhere/python", "/nowhere/mvc/__main__.py")


@pytest.fixture
def outer(tmp_path: Path) -> Outer:
    """A Git project; mvc is not needed to put hooks in."""
    top = tmp_path / 'it\'s a "project"\n'
    top.mkdir()
    made = Outer(top, tmp_path)
    made.git("init", "-q", "-b", "main")
    made.write(a="1\n")
    made.git("add", ".")
    made.git("commit", "-q", "-m", "one")
    return made


def put(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_install_uninstall_to_the_byte(outer: Outer) -> None:
    folder = outer.top / ".git" / "hooks"
    put(folder / "pre-commit", "#!/bin/sh\nexit 0\n# no end", 0o754)
    put(folder / "post-checkout", "not run: no x\n", 0o640)
    put(outer.top / "scripts" / "push.sh", "#!/bin/sh\n")
    (folder / "pre-push").symlink_to("../../scripts/push.sh")
    before, project = outer.hooks(), find_project(outer.top)
    hooks, written = install_hooks(project, NOBODY)
    assert hooks.folder == folder and set(written) == set(HOOKS) and not hooks.shared
    once = outer.hooks()
    assert {one.name: one.before is not None for one in hooks.files} == {
        name: name in ("pre-commit", "post-checkout", "pre-push") for name in HOOKS
    }
    assert install_hooks(project, NOBODY)[1] == (), "twice is once"
    assert outer.hooks() == once
    newer = NOBODY._replace(python="/other/python")
    assert set(install_hooks(project, newer)[1]) == set(HOOKS), "another interpreter: written anew, chained once"
    assert len(outer.hooks()) == len(once)
    _, gone, stayed = uninstall_hooks(project)
    assert set(gone) == set(HOOKS) and not stayed
    assert outer.hooks() == before
    assert uninstall_hooks(project)[1:] == ((), ())


def test_a_hook_that_took_our_place_is_not_lost(outer: Outer) -> None:
    folder, project = outer.top / ".git" / "hooks", find_project(outer.top)
    put(folder / "pre-commit", "#!/bin/sh\n# first\n")
    install_hooks(project, NOBODY)
    (folder / "pre-commit").unlink()
    put(folder / "pre-commit", "#!/bin/sh\n# later\n")
    before = outer.hooks()
    with pytest.raises(Refused, match="took the place"):
        install_hooks(project, NOBODY)
    assert outer.hooks() == before
    assert uninstall_hooks(project)[2] == ("pre-commit",)
    assert (folder / "pre-commit").read_text().endswith("later\n")
    assert (folder / "pre-commit.before-mvc").read_text().endswith("first\n")


def test_an_install_that_was_killed_is_completed(outer: Outer) -> None:
    folder, project = outer.top / ".git" / "hooks", find_project(outer.top)
    put(folder / "pre-commit", "#!/bin/sh\n")
    os.link(folder / "pre-commit", folder / "pre-commit.before-mvc")
    assert "pre-commit" in install_hooks(project, NOBODY)[1]
    assert is_ours((folder / "pre-commit").read_bytes())
    uninstall_hooks(project)
    assert list(outer.hooks().values()) == [b"#!/bin/sh\n"]


def test_an_install_that_is_killed_at_any_step_is_completed_or_taken_back(outer: Outer) -> None:
    folder, project, config = outer.top / ".git" / "hooks", find_project(outer.top), outer.top / ".git" / "config"
    put(folder / "pre-commit", "#!/bin/sh\n")
    (folder / "pre-push").symlink_to("pre-commit")
    before = outer.hooks(), config.read_bytes()
    steps = 0
    while True:
        left = itertools.count(steps, -1)

        def die(_: str, path: str, left: Iterator[int] = left) -> None:
            if not next(left):
                raise Killed(path)

        try:
            with hooked(die):
                install_hooks(project, NOBODY)
                install_driver(project, NOBODY)
        except Killed:
            if steps % 2:
                install_hooks(project, NOBODY)
        uninstall_hooks(project)
        uninstall_driver(project)
        assert (outer.hooks(), config.read_bytes()) == before, steps
        if next(left) > 0:
            break
        steps += 1
    assert steps > 15


class Killed(BaseException):
    """As if the process had ended."""


@pytest.mark.parametrize("where", ["relative hooks", "../outside", "absolute"])
def test_the_folder_is_what_git_says(outer: Outer, where: str, tmp_path: Path) -> None:
    path = str(tmp_path / "far") if where == "absolute" else where
    outer.git("config", "core.hooksPath", path)
    project = find_project(outer.top)
    hooks, _ = install_hooks(project, NOBODY)
    assert hooks.folder == Path(os.path.normpath(outer.top / path))
    assert hooks.shared == (where != "relative hooks")
    assert all(stat.S_IMODE(one.path.stat().st_mode) & 0o111 for one in hooks.files)
    ran = outer.git("commit", "-q", "--allow-empty", "-m", "x")
    # From outside it serves others, too: nothing of mvc here, nothing to say.
    assert ("mvc is not here" in ran.err) == (where == "relative hooks")
    outer.git("config", "--unset", "core.hooksPath")
    assert not any(one.runs for one in find_hooks(project, NOBODY).files)


def test_worktrees_share_hooks_and_submodules_have_their_own(outer: Outer, tmp_path: Path) -> None:
    outer.git("worktree", "add", "-q", str(tmp_path / "side"))
    side = find_project(tmp_path / "side")
    assert side.is_linked and side.main_top() == outer.top
    assert install_hooks(side, NOBODY)[0].folder == outer.top / ".git" / "hooks"
    assert find_hooks(find_project(outer.top), NOBODY).files[0].state == "installed"
    other = outer.at(tmp_path / "other")
    other.top.mkdir()
    other.git("init", "-q")
    other.git("submodule", "--quiet", "add", str(outer.top), "lib")
    inner = find_project(other.top / "lib")
    folder = install_hooks(inner, NOBODY)[0].folder
    assert folder == other.top / ".git" / "modules" / "lib" / "hooks" and not inner.is_linked
    assert not any(one.runs for one in find_hooks(find_project(other.top), NOBODY).files)


def test_no_project_and_a_bare_one(outer: Outer, tmp_path: Path) -> None:
    with pytest.raises(NotARepository):
        find_project(tmp_path)
    bare = tmp_path / "bare.git"
    outer.git("clone", "-q", "--bare", str(outer.top), str(bare))
    with pytest.raises(Refused, match="bare"):
        install_hooks(find_project(bare), NOBODY)


def test_managers_are_told_what_to_put_in(outer: Outer) -> None:
    outer.git("config", "core.hooksPath", ".husky/_")
    put(outer.top / ".husky" / "_" / "pre-commit", "#!/bin/sh\n")
    project = find_project(outer.top)
    with pytest.raises(Refused, match="husky"):
        install_hooks(project, NOBODY)
    put(outer.top / ".husky" / "pre-push", 'mvc hooks run pre-push -- "$@"\n')
    states = {one.name: one.state for one in find_hooks(project, NOBODY).files}
    assert states["pre-push"] == "through" and states["pre-commit"] == "other"
    assert "pre-commit" in install_hooks(project, NOBODY, force=True)[1]
    outer.git("config", "--unset", "core.hooksPath")
    put(outer.top / ".git" / "hooks" / "pre-commit", "#!/bin/sh\nexec lefthook run pre-commit\n")
    outer.write(lefthook__yml="pre-push: {commands: {mvc: {run: 'mvc hooks run pre-push'}}}\n")
    with pytest.raises(Refused, match="lefthook"):
        install_hooks(project, NOBODY)


def test_the_frameworks_hook_that_runs_ours_is_known(outer: Outer) -> None:
    """`pre-commit install` moves what stands to NAME.legacy, and runs it first."""
    folder, project = outer.top / ".git" / "hooks", find_project(outer.top)
    install_hooks(project, NOBODY)
    (folder / "pre-commit").rename(folder / "pre-commit.legacy")
    put(folder / "pre-commit", "#!/bin/sh\n# File generated by pre-commit: https://pre-commit.com\n")
    found = find_hooks(project, NOBODY)
    assert found.manager is not None and found.manager.name == "pre-commit"
    assert {one.name: one.state for one in found.files}["pre-commit"] == "through"
    assert install_hooks(project, NOBODY)[1] == ()


@pytest.mark.parametrize("text", [None, b"", b"*.png binary\n", b"*.png binary"])
def test_the_merge_driver_leaves_no_trace(outer: Outer, text: bytes | None) -> None:
    project, config = find_project(outer.top), outer.top / ".git" / "config"
    attributes = git_path(project, "info/attributes")
    if text is not None:
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_bytes(text)
    before = config.read_bytes()
    assert driver_state(project, NOBODY) == "absent"
    assert install_driver(project, NOBODY) and not install_driver(project, NOBODY)
    assert driver_state(project, NOBODY) == "installed"
    assert outer.git("check-attr", "merge", "a/mvc.lock").out == "a/mvc.lock: merge: mvc-lock\n"
    assert uninstall_driver(project) and not uninstall_driver(project)
    assert config.read_bytes() == before
    assert (attributes.read_bytes() if attributes.exists() else None) == text


def test_what_others_write_into_the_attributes_stays(outer: Outer) -> None:
    project = find_project(outer.top)
    install_driver(project, NOBODY)
    attributes = git_path(project, "info/attributes")
    attributes.write_bytes(attributes.read_bytes() + b"*.jpg binary\n")
    uninstall_driver(project)
    assert attributes.read_bytes() == b"*.jpg binary\n"


@pytest.mark.parametrize("name", HOOKS)
def test_scripts_chain_and_pass_when_mvc_is_not_there(outer: Outer, name: str) -> None:
    """Arguments, stdin and exit code are those of the hook that stood there; mvc lacking is one line."""
    folder = outer.top / "hooks"
    put(folder / name, "#!/bin/sh\ncat > ../in\nprintf '%s|' \"$@\" > ../args\nexit ${FAIL:-0}\n".replace("../", ""))
    os.link(folder / name, folder / f"{name}.before-mvc")
    (folder / name).unlink()
    (folder / name).write_bytes(script(name, NOBODY, shared=False))
    (folder / name).chmod(0o755)
    bare = outer.at(outer.top)
    odd = ["a b", "it's", '"$(x)"', ""]
    command = [str(folder / name), *odd]
    ran = bare.run(*command, data="refs/a 1 refs/b 2\nrefs/c 1 refs/d 2\n", PATH="/usr/bin:/bin")
    assert (outer.top / "args").read_text() == 'a b|it\'s|"$(x)"||'
    assert (outer.top / "in").read_text() == "refs/a 1 refs/b 2\nrefs/c 1 refs/d 2\n"
    assert ran.err.count("\n") == 1 and "mvc is not here" in ran.err
    assert bare.run(*command, FAIL="7", PATH="/usr/bin:/bin", code=7)
    assert bare.run(*command, MVC_SKIP_HOOKS="1", PATH="/usr/bin:/bin").err == ""
    (folder / f"{name}.before-mvc").chmod(0o644)
    (outer.top / "args").unlink()
    bare.run(*command, PATH="/usr/bin:/bin")
    assert not (outer.top / "args").exists(), "Git runs none that is not executable"


@pytest.mark.parametrize("name", HOOKS)
def test_scripts_find_mvc_on_the_path(outer: Outer, name: str) -> None:
    put(outer.top / "bin" / "mvc", '#!/bin/sh\nprintf "%s|" "$@"; cat; exit 3\n')
    (outer.top / "hook").write_bytes(script(name, NOBODY, shared=False))
    path = f"{outer.top / 'bin'}:/usr/bin:/bin"
    ran = outer.run("sh", "hook", "-x", "a b", data="line\n", PATH=path, code=None)
    assert ran.out == f"hooks|run|{name}|--|-x|a b|line\n"
    assert ran.code == (0 if name.startswith("post-") else 3)


def test_scripts_ask_for_no_path(outer: Outer, tmp_path: Path) -> None:
    """A graphical client may start git with an empty one: what is pushed has to reach mvc all the same."""
    program = Program(str(tmp_path / "python"), str(tmp_path / "python"))
    outer.write(mvc__yaml="")
    put(tmp_path / "python", '#!/bin/sh\nwhile IFS= read -r line; do printf "got %s\\n" "$line"; done\n')
    for before in (False, True):
        if before:
            put(outer.top / "pre-push.before-mvc", "#!/bin/sh\nwhile read -r line; do echo first; done\n")
        put(outer.top / "pre-push", script("pre-push", program, shared=True).decode())
        ran = outer.run("/bin/sh", "./pre-push", "origin", data="a  b\\\nc\n", PATH="")
        assert (ran.out, ran.err) == (before * "first\nfirst\n" + "got a  b\\\ngot c\n", "")


def test_commands(outer: Outer) -> None:
    assert "mvc hooks install" in outer.mvc("hooks", "status").err
    assert "installed in" in outer.mvc("hooks", "install").err
    found = json.loads(outer.mvc("hooks", "status", "--json").out)
    assert all(one["state"] == "installed" and one["runs"] for one in found["hooks"])
    assert (found["driver"], found["shared"], found["manager"]) == ("installed", False, None)
    assert "already" in outer.mvc("hooks", "install").err
    assert str(ROOT / "mvc" / "__main__.py") in (outer.top / ".git" / "hooks" / "pre-push").read_text()
    assert "pre-push" in outer.mvc("hooks", "uninstall").err
    assert outer.hooks() == {}
