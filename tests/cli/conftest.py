"""Commands run in this process, as from a shell: arguments in; exit code, output and errors out."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvc.cli.program import run
from mvc.repo.create import init
from tests.cli.world import History, Mvc, Ran


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home, an author and a terminal that are the same everywhere."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "MVC_DIR",
        "MVC_HOME",
        "GIT_CONFIG_GLOBAL",
        "FORCE_COLOR",
        "PAGER",
        "MVC_PAGER",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MVC_AUTHOR_NAME", "Ann Other")
    monkeypatch.setenv("MVC_AUTHOR_EMAIL", "ann@example.org")
    monkeypatch.setenv("COLUMNS", "100")
    yield


@pytest.fixture
def mvc(monkeypatch: pytest.MonkeyPatch) -> Mvc:
    """Runs a command line: `mvc("log", "--oneline", cwd=folder)`. Fails the test on a mistake of mvc itself."""

    def call(
        *arguments: str, cwd: Path | None = None, code: int | None = 0, stdin: str = "", **environment: str
    ) -> Ran:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            if cwd is not None:
                patch.chdir(cwd)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8", newline="\n"))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="utf-8", newline="\n"))
            got = run(list(map(str, arguments)))
            sys.stdout.flush()
            sys.stderr.flush()
            ran = Ran(got, out.getvalue(), err.getvalue().decode("utf-8", "replace"))
        assert "Traceback" not in ran.err
        if code is not None:
            assert ran.code == code, ran.err
        return ran

    return call


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """The folder of a fresh repository."""
    path = tmp_path / "repo"
    path.mkdir()
    init(path, initial_branch="main")
    return path


@pytest.fixture
def history(repo: Path) -> History:
    return History(repo)
