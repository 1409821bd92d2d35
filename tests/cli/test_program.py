"""The frame around all commands: start-up, help, errors, exit codes, signals."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mvc import __version__, errors
from mvc.cli.errors import EXIT_CODES, report
from mvc.cli.registry import GROUPS, VERBS
from mvc.cli.session import Session
from mvc.lazy import load
from tests.cli.world import History, Mvc

ROOT = str(Path(__file__).resolve().parents[2])
LOADED = """
import sys
from mvc.cli.program import run
code = run(sys.argv[1:])
print(sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""
HANGS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what was started in the background ignores it
import mvc.cli.program, mvc.cli.session
mvc.cli.session.Session.repo = lambda self: (print("here", flush=True), time.sleep(600))
sys.exit(mvc.cli.program.run(["log"]))
"""
HEAVY = {"numpy", "zstandard", "rich", "yaml", "dulwich", "pyfastcdc"}


def python(code: str, *arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environment, **more
    )


def test_version_loads_nothing_else() -> None:
    done = python(LOADED.replace("mvc.cli.program import run", "mvc.cli.main import main as run"), "--version")
    assert done.stdout == f"mvc {__version__}\n"
    mine = {name for name in ast.literal_eval(done.stderr) if name.startswith(("mvc", "click"))}
    assert mine == {"mvc", "mvc.cli", "mvc.cli.main", "mvc.lazy"}


def test_help_imports_no_command() -> None:
    modules = set(ast.literal_eval(python(LOADED, "--help").stderr))
    targets = {entry.target.split(":")[0] for entry in VERBS.values()}
    assert not modules & (targets | HEAVY)
    assert not any(name.startswith(("mvc.ops", "mvc.objects", "mvc.repo")) for name in modules)


@pytest.mark.parametrize(
    "command", [["log"], ["log", "--oneline"], ["branch"], ["tag"], ["rev-parse", "HEAD"], ["config", "--list"]]
)
def test_quick_commands_load_nothing_heavy(command: list[str], history: History, repo: Path) -> None:
    history.commit("one", {"a": "1"})
    history.write()
    done = python(LOADED, *command, cwd=repo)
    assert not set(ast.literal_eval(done.stderr)) & HEAVY


def test_help_lists_every_verb_with_its_group(mvc: Mvc) -> None:
    out = mvc("--help").out
    for title, verbs in GROUPS.items():
        assert f"{title.capitalize()}:" in out
        for verb, entry in verbs.items():
            assert f"  {verb} " in out and entry.help in out
    assert mvc().out == out


@pytest.mark.parametrize("verb", VERBS)
def test_every_target_is_a_command(verb: str) -> None:
    assert isinstance(load(VERBS[verb].target), click.Command)
    assert not VERBS[verb].help.endswith(".")


def test_a_verb_that_is_misspelt(mvc: Mvc) -> None:
    ran = mvc("comit", "-m", "x", code=2)
    assert ran.err == "error: 'comit' is not a verb of mvc\nhint:  did you mean mvc commit?\n"
    assert mvc("qqq", code=2).err.endswith("hint:  mvc --help\n")


def test_an_option_that_is_misspelt(mvc: Mvc) -> None:
    ran = mvc("log", "--onelin", code=2)
    assert ran.err == "error: no such option '--onelin'\nhint:  did you mean --oneline?\n"
    assert mvc("log", "--oneline=3", code=2).err.endswith("hint:  mvc log --help\n")
    assert "mvc log --help" in mvc("log", "-n", "x", code=2).err


def test_from_another_folder(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    assert mvc("-C", "repo", "rev-parse", "--show-toplevel", cwd=tmp_path).out == f"{repo}\n"
    assert mvc("-C", tmp_path, "-C", "repo", "rev-parse", "--show-toplevel").out == f"{repo}\n"
    assert mvc("-C", "nowhere", "log", cwd=tmp_path, code=4).err.startswith("error: no such folder")
    assert mvc("rev-parse", "--git-dir", cwd=tmp_path, MVC_DIR=str(repo / ".mvc")).out == f"{repo / '.mvc'}\n"


def test_no_repository(mvc: Mvc, tmp_path: Path) -> None:
    ran = mvc("log", cwd=tmp_path, code=3)
    assert ran.err.startswith("error: there is no mvc repository") and "hint:  mvc init" in ran.err


def session(tmp_path: Path, **environment: str) -> tuple[Session, io.StringIO]:
    err = io.StringIO()
    environment = {"MVC_HOME": str(tmp_path / "home of mvc"), **environment}
    return Session(tmp_path, environment, out=io.StringIO(), err=err, arguments=("log", "--token", "geheim")), err


def kinds(base: type[errors.MvcError]) -> list[type[errors.MvcError]]:
    """What mvc/errors.py defines; a module may have a kind of its own that never leaves it."""
    known = (kind for kind in base.__subclasses__() if kind.__module__ == errors.__name__)
    return [base, *(inner for kind in known for inner in kinds(kind))]


@pytest.mark.parametrize("kind", kinds(errors.MvcError)[1:])
def test_every_error_has_the_exit_code_that_its_tree_draws(kind: type[errors.MvcError], tmp_path: Path) -> None:
    at, err = session(tmp_path)
    code = report(kind("it went wrong", hint="do this"), at)
    drawn = next(line for line in (errors.__doc__ or "").splitlines() if f"─ {kind.__name__} " in line)
    assert drawn.endswith(f"exit {code}")
    assert err.getvalue() == "error: it went wrong\nhint:  do this\n"


def test_exit_codes_are_told_by_the_most_general_kind() -> None:
    assert {kind for kind, _ in EXIT_CODES} == {
        kind for kind in kinds(errors.MvcError) if kind.__base__ is errors.MvcError
    }


def test_what_stands_in_the_way_is_listed(tmp_path: Path) -> None:
    at, err = session(tmp_path)
    paths = ["a.bin", "odd\nname", *(f"f{n}" for n in range(20))]
    assert report(errors.WouldOverwrite("uncommitted changes", paths=paths, hint="commit"), at) == 5
    assert "         a.bin\n" in err.getvalue() and '"odd\\nname"' in err.getvalue() and "and 12 more" in err.getvalue()


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, 5, "no space is left"),
        (errno.EROFS, 5, "read-only"),
        (errno.EACCES, 5, "permission denied"),
        (errno.EIO, 6, "input/output error"),
        (errno.ENOENT, 4, "no such file"),
    ],
)
def test_errors_of_the_system_are_one_clear_line(number: int, code: int, words: str, tmp_path: Path) -> None:
    at, err = session(tmp_path)
    assert report(OSError(number, os.strerror(number), "/a/pack\n"), at) == code
    first = err.getvalue().splitlines()[0]
    assert first.startswith('error: "/a/pack\\n": ') and words in first


def test_an_unexpected_error_leaves_a_log(tmp_path: Path) -> None:
    at, err = session(tmp_path)
    try:
        raise KeyError("Überraschung")
    except KeyError as error:
        assert report(error, at) == 70
    [log] = (tmp_path / "home of mvc" / "logs").iterdir()
    assert str(log) in err.getvalue() and "Traceback" not in err.getvalue()
    text = log.read_text(encoding="utf-8")
    assert "Überraschung" in text and f"mvc {__version__}" in text and "Traceback" in text
    assert "geheim" not in text and "--token ***" in text


def test_an_unexpected_error_without_a_place_for_its_log(tmp_path: Path) -> None:
    at, err = session(tmp_path, MVC_HOME="/dev/null/nowhere")
    assert report(RuntimeError(), at) == 70
    assert err.getvalue() == "error: unexpected RuntimeError\nhint:  this is a mistake in mvc\n"


def test_output_that_nobody_reads(repo: Path, history: History) -> None:
    for number in range(400):
        history.commit(f"message {number}\n\n" + "text\n" * 40, {"a": str(number)}, parents=(number,) if number else ())
    history.write()
    command = f"{shlex.quote(sys.executable)} -m mvc log | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=repo,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.startswith("commit ")


def test_interrupted(repo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=repo,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "error: interrupted\n")


def test_json_has_no_nan(tmp_path: Path) -> None:
    out = io.StringIO()
    at = Session(tmp_path, {}, out=out, err=io.StringIO())
    at.emit_json("x", {"a": [float("nan"), float("-inf"), 1.5], "name": "\udcff", "b": {"c": float("inf")}})
    text = out.getvalue()
    assert text.isascii()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "schema": 1,
        "kind": "x",
        "a": ["NaN", "-Infinity", 1.5],
        "name": "\udcff",
        "b": {"c": "Infinity"},
    }


def test_colour_rules(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def painted(stream: io.StringIO, **environment: str) -> str:
        return Session(tmp_path, environment, out=stream, err=stream).paint("x", "red bold")

    assert painted(Terminal()) == "\x1b[31;1mx\x1b[0m"
    assert painted(io.StringIO()) == "x"
    assert painted(Terminal(), NO_COLOR="1") == "x"
    assert painted(Terminal(), TERM="dumb") == "x"
    assert painted(io.StringIO(), FORCE_COLOR="1") != "x"
    assert painted(Terminal(), NO_COLOR="1", FORCE_COLOR="1") == "x"


def test_nobody_is_asked_where_nobody_can_answer(tmp_path: Path) -> None:
    at, _ = session(tmp_path)
    with pytest.raises(errors.UsageError, match="nobody is there"):
        at.confirm("Remove it?")
    at.confirm("Remove it?", yes=True)


def test_who_is_not_known(mvc: Mvc, repo: Path, history: History) -> None:
    history.commit("one", {"a": "1"})
    history.write()
    nobody = {"MVC_AUTHOR_NAME": "", "MVC_AUTHOR_EMAIL": "", "USER": "ann"}
    ran = mvc("tag", "-m", "text", "v1", cwd=repo, code=2, **nobody)
    assert "user.name" in ran.err
    mvc("tag", "v1", cwd=repo, **nobody)  # a light tag is by nobody
    mvc("branch", "topic", cwd=repo, **nobody)
    assert "ann <ann@" in (repo / ".mvc/logs/refs/heads/topic").read_text()


def test_the_date_may_be_given(mvc: Mvc, tmp_path: Path) -> None:
    """Then the same files by the same author make the same commit, here and elsewhere."""
    ids = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        mvc("init", "-q", cwd=tmp_path / name)
        (tmp_path / name / "f").write_text("1")
        mvc("add", "f", cwd=tmp_path / name)
        mvc("commit", "-qm", "x", "--no-environment", cwd=tmp_path / name, MVC_DATE="2026-01-31 12:00 +0100")
        ids.add(mvc("rev-parse", "HEAD", cwd=tmp_path / name).out)
        assert "Sat Jan 31 12:00:00 2026 +0100" in mvc("log", cwd=tmp_path / name).out
    assert len(ids) == 1
    assert "'nonsense' is not a date" in mvc("commit", "-m", "x", cwd=tmp_path / "a", code=2, MVC_DATE="nonsense").err


def test_the_author_falls_back_to_git(mvc: Mvc, repo: Path, history: History, tmp_path: Path) -> None:
    history.commit("one", {"a": "1"})
    history.write()
    (tmp_path / "home/.gitconfig").write_text("[user]\n\tname = Git Name\n\temail = git@example.org\n")
    nobody = {"MVC_AUTHOR_NAME": "", "MVC_AUTHOR_EMAIL": ""}
    mvc("tag", "-m", "text", "v1", cwd=repo, **nobody)
    assert "Tagger: Git Name <git@example.org>" in mvc("show", "v1", cwd=repo).out
    mvc("config", "--global", "user.name", "Mvc Name", cwd=repo)
    mvc("tag", "-m", "text", "v2", cwd=repo, **nobody)
    assert "Tagger: Mvc Name <git@example.org>" in mvc("show", "v2", cwd=repo).out
