"""`annotate`, and metrics of tags: Git notes that show, log and diff count in, and that no two lose when they meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mvc import fsio
from mvc.hub.messages import Right
from mvc.metadata.model import NOTES
from mvc.objects.model import Signature
from mvc.ops.annotate import Said, annotate
from mvc.ops.caller import Caller
from mvc.ops.known import Known
from mvc.repo.repository import Repository
from tests.cli.world import Mvc, git
from tests.hub.serving import serving


@pytest.fixture
def shared(mvc: Mvc, repo: Path) -> Path:
    """A commit with a metric, pushed to `hub` beside it."""
    (repo / "a").write_text("1")
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "one", "--metric", "acc=0.5", "--no-environment", cwd=repo)
    mvc("remote", "add", "origin", "../hub", cwd=repo)
    mvc("push", "-u", "origin", "main", cwd=repo)
    return repo.parent / "hub"


def metrics(mvc: Mvc, folder: Path, revision: str = "HEAD") -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(mvc("show", "--json", revision, cwd=folder).out)["objects"][0]
    return dict(shown.get("target", shown)["metrics"])


def test_what_comes_later_counts_in_and_is_marked(mvc: Mvc, shared: Path, repo: Path) -> None:
    told = mvc("annotate", "--metric", "acc=.93", "--metric", "late=nan", "--param", "seed=7", "--tag", "ok=yes",
               "-m", "on the large set", cwd=repo).err  # fmt: skip
    assert "metrics.acc = 0.93" in told and "annotated commit" in told
    assert mvc("annotate", "--remove", "metrics.late", cwd=repo).out == ""
    assert metrics(mvc, repo) == {"acc": 0.93}
    text = mvc("show", cwd=repo).out
    assert "acc  0.93   added 20" in text and "by Ann Other" in text and ": on the large set" in text
    text = mvc("log", cwd=repo).out
    assert (
        "metrics  acc=0.93" in text
        and "later    params.seed (added 20" in text
        and "late" not in text.split("later")[0]
    )
    (repo / "b").write_text("2")
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "two", "--metric", "acc=0.95", cwd=repo)
    assert "0.93 (added 20" in mvc("diff", "HEAD~1", "HEAD", cwd=repo).out
    document = json.loads(mvc("diff", "--json", "HEAD~1", "HEAD", cwd=repo).out)
    (acc,) = (one for one in document["metadata"] if one["name"] == "acc")
    assert acc["old"] == 0.93 and acc["old_added_later"]["who"] == "Ann Other <ann@example.org>"
    assert [one["tags"] for one in json.loads(mvc("log", "--json", cwd=repo).out)["commits"]] == [{}, {"ok": "yes"}]


def test_git_reads_and_writes_the_same_notes(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("annotate", "--metric", "acc=0.6", cwd=repo)
    line = git(repo, "notes", "--ref=mvc", "show", "HEAD")
    assert json.loads(line)["metrics"] == {"acc": 0.6}
    who = ["-c", "user.name=G", "-c", "user.email=g@x"]
    git(repo, *who, "notes", "--ref=mvc", "append", "-m", '{"id":"by-hand","at":4000000000,"metrics":{"f1":1}}', "HEAD")
    git(repo, *who, "notes", "--ref=mvc", "append", "-m", "looks good", "HEAD")
    mvc("annotate", "--metric", "acc=0.7", cwd=repo)
    assert metrics(mvc, repo) == {"acc": 0.7, "f1": 1}
    assert b"looks good" in git(repo, "notes", "--ref=mvc", "show", "HEAD")
    assert b"error" not in git(repo, "fsck", "--strict") and mvc("fsck", cwd=repo).code == 0


def test_an_annotated_tag(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("tag", "-m", "released", "v1", "--metric", "acc=0.8", "--tag", "stage=live", cwd=repo)
    assert metrics(mvc, repo, "v1") == {"acc": 0.8} == metrics(mvc, repo, "HEAD")
    assert "metrics.acc = 0.8" in mvc("show", "v1", cwd=repo).out
    mvc("annotate", "v1", "--metric", "acc=0.9", cwd=repo)
    tag = git(repo, "rev-parse", "v1").decode().strip()
    assert len(git(repo, "notes", "--ref=mvc", "show", tag).splitlines()) == 2
    mvc("annotate", "v1^{}", "--metric", "f1=0.1", cwd=repo)
    assert metrics(mvc, repo) == {"acc": 0.9, "f1": 0.1}
    mvc("push", "origin", "v1", cwd=repo)
    other = repo.parent / "other"
    mvc("clone", str(shared), str(other), cwd=repo.parent)
    assert metrics(mvc, other, "v1") == {"acc": 0.9, "f1": 0.1}
    mvc("tag", "-d", "v1", cwd=repo)
    assert metrics(mvc, repo) == {"acc": 0.5, "f1": 0.1}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--metric", "acc=high"], 2),
        (["--metric", "acc=1e400"], 2),
        (["--metric", "acc"], 2),
        (["--remove", "acc"], 2),
        (["--remove", "metrics.gone"], 4),
        (["HEAD:a", "--metric", "acc=1"], 2),
        (["gone", "--metric", "acc=1"], 4),
        (["--tag", "x=" + "y" * 2_000_000], 2),
    ],
)
def test_what_cannot_be_said(arguments: list[str], code: int, mvc: Mvc, shared: Path, repo: Path) -> None:
    assert mvc("annotate", *arguments, cwd=repo, code=code).err.startswith("error: ")
    assert Repository.discover(repo).refs.read(NOTES) is None
    assert mvc("annotate", cwd=repo).out == ""


def test_two_clones_lose_nothing(mvc: Mvc, shared: Path, repo: Path) -> None:
    other = repo.parent / "other"
    mvc("clone", str(shared), str(other), cwd=repo.parent)
    for number in range(3):
        mvc("annotate", "--metric", f"a{number}={number}", cwd=repo)
        mvc("annotate", "--metric", f"b{number}={number}", cwd=other, MVC_AUTHOR_NAME="Bob")
        assert "annotations pushed" in mvc("push", cwd=repo).err
        assert "annotations pushed" in mvc("push", cwd=other).err
    mvc("fetch", cwd=repo)
    expected = {"acc": 0.5} | {f"{side}{number}": number for side in "ab" for number in range(3)}
    assert metrics(mvc, repo) == expected == metrics(mvc, other)
    assert Repository.discover(repo).refs.read(NOTES) == Repository.discover(other).refs.read(NOTES)
    assert "up-to-date" in mvc("push", cwd=repo).err
    third = repo.parent / "third"
    mvc("clone", "--depth", "1", str(shared), str(third), cwd=repo.parent)
    assert metrics(mvc, third) == expected


def test_a_dry_run_and_a_lone_url_bring_none(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("annotate", "--metric", "a=1", cwd=repo)
    mvc("push", "--dry-run", cwd=repo)
    assert NOTES not in mvc("ls-remote", "origin", cwd=repo).out
    mvc("push", cwd=repo)
    assert NOTES in mvc("ls-remote", "origin", cwd=repo).out
    fresh = repo.parent / "fresh"
    fresh.mkdir()
    mvc("init", cwd=fresh)
    mvc("fetch", str(shared), "main", cwd=fresh)
    assert Repository.discover(fresh).refs.read(NOTES) is None


def test_two_processes_at_once_lose_nothing(shared: Path, repo: Path) -> None:
    script = (
        "import sys; from mvc.cli.program import run\n"
        "for n in range(8): assert run(['annotate', '-q', '--metric', f'{sys.argv[1]}{n}={n}']) == 0"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, name], cwd=repo, env={**os.environ, "PYTHONPATH": _root()})
        for name in "xyz"
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    lines = git(repo, "notes", "--ref=mvc", "show", "HEAD").splitlines()
    said = {name for line in lines for name in json.loads(line)["metrics"]}
    assert said == {f"{name}{number}" for name in "xyz" for number in range(8)} and len(lines) == 24
    assert b"error" not in git(repo, "fsck", "--strict")


def test_a_server_takes_them_from_who_may_append(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    (repo / "a").write_text("1")
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "one", cwd=repo)
    (tmp_path / "served").mkdir()
    with serving(str(tmp_path / "served")) as server:
        mvc("remote", "add", "origin", f"{server.url}/team/model", cwd=repo)
        append, read = server.token(Right.APPEND), server.token(Right.READ)
        mvc("push", "-u", "origin", "main", cwd=repo, MVC_TOKEN=append)
        other = tmp_path / "other"
        mvc("clone", f"{server.url}/team/model", str(other), cwd=tmp_path, MVC_TOKEN=append)
        mvc("annotate", "--metric", "a=1", cwd=repo)
        mvc("annotate", "--metric", "b=2", cwd=other)
        mvc("push", cwd=repo, MVC_TOKEN=append)
        mvc("push", cwd=other, MVC_TOKEN=append)
        mvc("fetch", cwd=repo, MVC_TOKEN=read)
        assert metrics(mvc, repo) == {"a": 1, "b": 2} == metrics(mvc, other)
        mvc("annotate", "--metric", "c=3", cwd=repo)
        told = mvc("push", cwd=repo, MVC_TOKEN=read, code=None)
        assert "annotations were not pushed" in told.err and "annotations pushed" not in told.err
        mvc("push", cwd=repo, MVC_TOKEN=append)
        mvc("fetch", cwd=other, MVC_TOKEN=read)
        assert metrics(mvc, other) == {"a": 1, "b": 2, "c": 3}


def _root() -> str:
    return str(Path(__file__).resolve().parents[2])


def test_killed_at_any_step_it_is_the_old_note_or_the_new_one(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("annotate", "--metric", "a=1", cwd=repo)
    here = Repository.discover(repo)
    caller = Caller(Signature("A", "a@x", 1_700_000_000, 0))
    commit = here.refs.head().id or ""

    class Killed(BaseException):
        pass

    for number in range(200):
        left = [number]

        def hook(operation: str, path: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        before = len(Known(Repository.discover(repo)).annotations(commit))
        try:
            with fsio.hooked(hook):
                annotate(Repository.discover(repo), "HEAD", Said(metrics={"b": number}), caller=caller)
        except Killed:
            found = Known(Repository.discover(repo)).annotations(commit)
            assert len(found) in (before, before + 1) and {"a": 1} in [one.metrics for one in found]
            for lock in (repo / ".mvc").rglob("*.lock"):
                lock.unlink()  # of a process that is gone
        else:
            break
    assert 3 < number < 199
    assert {"b": number} in [one.metrics for one in Known(Repository.discover(repo)).annotations(commit)]
    assert b"error" not in git(repo, "fsck", "--strict")
