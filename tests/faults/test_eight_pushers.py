"""Eight people push to one branch at once, over a folder and over a server: a linear history, each commit whole.

They take turns by what `push` says alone: refused, they `pull --rebase` and push again. With MVC_TEST_SECONDS=60 it is
the minute of eight that the project promises; else four push once each.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mvc.hub.messages import Right
from mvc.ops.fsck import fsck
from mvc.repo.repository import Repository
from tests.hub.serving import serving
from tests.models import fine_tuned, layers, write_model

SECONDS = float(os.environ.get("MVC_TEST_SECONDS", "0"))
PUSHERS = 8 if SECONDS else 4
TURNS = 10_000 if SECONDS else 1
REFUSED = 5
TOP = Path(__file__).parents[2]


def run(top: Path, work: Path, *arguments: str, token: str = "") -> tuple[int, str]:
    """Exit code, and what stood on stderr."""
    environment = {
        **os.environ,
        "HOME": str(top),
        "PYTHONPATH": str(TOP),
        "MVC_AUTHOR_NAME": work.name,
        "MVC_AUTHOR_EMAIL": f"{work.name}@example.org",
        "MVC_TOKEN": token,
    }
    command = [sys.executable, "-m", "mvc", *arguments]
    ran = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr and "mistake in mvc" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stderr


def must(top: Path, work: Path, *arguments: str, token: str = "") -> None:
    code, err = run(top, work, *arguments, token=token)
    assert code == 0, err


def keep_pushing(top: Path, work: Path, number: int, until: float, token: str) -> list[str]:
    """Commit, push, rebase, push. Returns the subjects of what `push` took."""
    model = layers(number, count=1, width=160)
    pushed: list[str] = []
    for turn in range(TURNS):
        model = fine_tuned(model, seed=100 * number + turn)
        write_model(work / f"model{number}.safetensors", model)
        subject = f"{work.name}.{turn}"
        must(top, work, "add", f"model{number}.safetensors", token=token)
        must(top, work, "commit", "-q", "-m", subject, "--no-environment", token=token)
        while not SECONDS or time.monotonic() < until:
            code, err = run(top, work, "push", "-q", "origin", "main", token=token)
            if code == 0:
                pushed.append(subject)
                break
            assert code == REFUSED and ("rejected" in err or "fetch first" in err), err
            must(top, work, "pull", "-q", "--rebase", "origin", "main", token=token)
        else:
            break
    return pushed


@pytest.fixture(params=["folder", "http"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A URL, and a token for it."""
    if request.param == "folder":
        yield str(tmp_path / "hub"), ""
        return
    (tmp_path / "served").mkdir()
    with serving(str(tmp_path / "served")) as server:
        yield f"{server.url}/team/model", server.token(Right.WRITE)


@pytest.mark.slow
def test_a_branch_that_all_push_to(hub: tuple[str, str], tmp_path: Path) -> None:
    url, token = hub
    first = tmp_path / "first"
    first.mkdir()
    must(tmp_path, first, "init", "-q")
    (first / "README.md").write_text("text")
    must(tmp_path, first, "add", ".")
    must(tmp_path, first, "commit", "-q", "-m", "begin")
    must(tmp_path, first, "remote", "add", "origin", url)
    must(tmp_path, first, "push", "-q", "-u", "origin", "main", token=token)
    people = [tmp_path / f"p{number}" for number in range(PUSHERS)]
    for person in people:
        must(tmp_path, tmp_path, "clone", "-q", url, person.name, token=token)

    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(PUSHERS) as pool:
        turns = [pool.submit(keep_pushing, tmp_path, one, at, until, token) for at, one in enumerate(people)]
        pushed = [subject for turn in turns for subject in turn.result()]

    must(tmp_path, tmp_path, "clone", "-q", "--all-data", url, "last", token=token)
    last = tmp_path / "last"
    repo = Repository.discover(last)
    with contextlib.closing(repo.objects):
        git = ["git", f"--git-dir={last / '.mvc'}"]
        log = subprocess.run([*git, "log", "--format=%s %p"], capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in log.splitlines()]
        assert all(len(line) == 2 for line in lines[:-1]), "linear: each has one parent, but for the first"
        assert sorted(line[0] for line in lines) == sorted([*pushed, "begin"])
        assert not fsck(repo).findings
    assert pushed if SECONDS else len(pushed) == PUSHERS
