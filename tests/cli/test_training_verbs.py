"""`mvc runs` and `mvc forget`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mvc.repo.repository import Repository
from mvc.training.run import start_run
from tests.cli.world import Mvc


@pytest.fixture
def trained(repo: Path) -> Path:
    with start_run({"lr": 0.1}, name="bert-a", repo=repo, tags={"task": "ner"}) as run:
        for step in range(0, 50, 10):
            run.log(step=step, val_loss=1 / (step + 1), acc=step)
            run.checkpoint(step, {"w.bin": np.random.default_rng(step).bytes(100_000)})
    with pytest.raises(ValueError), start_run(name="bert-b", repo=repo) as run:
        raise ValueError("loss is \x1b[31mNaN")
    return repo


def test_runs(mvc: Mvc, trained: Path, repo: Path) -> None:
    lines = mvc("runs", cwd=repo).lines
    assert lines[0].split() == ["run", "status", "step", "stored", "updated", "metrics"]
    assert {tuple(line.split()[:2]) for line in lines[1:]} == {("bert-a", "finished"), ("bert-b", "failed")}
    assert "acc=40 val_loss=0.0243902" in mvc("runs", "list", "*-a", cwd=repo).out
    shown = mvc("runs", "show", "bert-a", cwd=repo).out
    assert "params    lr = 0.1" in shown and "tags      task = ner" in shown and "refs" not in shown
    assert len([line for line in shown.splitlines() if "acc=" in line]) == 5
    broken = mvc("runs", "show", "bert-b", cwd=repo).out
    assert "ValueError: loss is" in broken and "\x1b" not in broken
    found = json.loads(mvc("runs", "show", "bert-a", "--json", cwd=repo).out)
    assert [row["step"] for row in found["stored"]] == [0, 10, 20, 30, 40] == found["checkpoints"]
    assert found["status"] == "finished" and found["params"] == {"lr": 0.1}
    assert len(json.loads(mvc("runs", "--json", cwd=repo).out)["runs"]) == 2
    assert "there is no run 'x'" in mvc("runs", "show", "x", cwd=repo, code=4).err


def test_no_runs(mvc: Mvc, repo: Path) -> None:
    ran = mvc("runs", cwd=repo)
    assert ran.out == "" and "mvc.start_run" in ran.err
    assert "mvc init" in mvc("runs", cwd=repo.parent, code=3).err


def test_forget(mvc: Mvc, trained: Path, repo: Path) -> None:
    rules = ("--keep-last", "1", "--keep-every", "20", "--keep-best", "acc:min")
    ran = mvc("forget", "bert-a", *rules, "--dry-run", cwd=repo)
    assert [line.split()[0] for line in ran.lines] == ["keep", "drop", "keep", "drop", "keep"]
    assert "would drop 2 checkpoints, kept 3 checkpoints; mvc gc frees" in ran.err
    assert "nobody is there to answer" in mvc("forget", "bert-a", *rules, cwd=repo, code=2).err
    found = json.loads(mvc("forget", "bert-a", *rules, "--yes", "--json", cwd=repo).out)
    (place,) = found["places"]
    assert [row["step"] for row in place["checkpoints"] if row["kept"]] == [0, 20, 40] and place["url"] is None
    assert sorted(Repository.open(repo).refs.list("refs/runs/bert-a/")) == [
        f"refs/runs/bert-a/{name}" for name in ("0", "20", "40", "summary")
    ]
    assert mvc("forget", "bert-a", *rules, "--yes", cwd=repo).err == "dropped 0 checkpoints, kept 3 checkpoints\n"


def test_forget_in_a_remote(mvc: Mvc, trained: Path, repo: Path) -> None:
    mvc("remote", "add", "origin", str(repo.parent / "far"), cwd=repo)
    mvc("push", "origin", "refs/runs/*:refs/runs/*", cwd=repo)
    there = ("--remote=origin", "--not-here", "--yes")
    ran = mvc("forget", "bert-a", "--keep-last", "2", *there, cwd=repo)
    assert "dropped 3 checkpoints, kept 2 checkpoints; mvc remote gc frees up to" in ran.err
    assert len(mvc("ls-remote", "origin", "refs/runs/*", cwd=repo).lines) == 4
    assert len(Repository.open(repo).refs.list("refs/runs/bert-a/")) == 6
    ran = mvc("forget", "bert-*", "--all", "--remote=origin", "--yes", cwd=repo)
    assert not Repository.open(repo).refs.list("refs/runs/") and "far: dropped 2" in ran.err
    assert mvc("ls-remote", "origin", "refs/runs/*", cwd=repo, code=None).out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "it is not said what to keep"),
        (("--keep-last", "0"), 2, "--keep-last"),
        (("--keep-last", "many"), 2, "--keep-last"),
        (("--keep-for", "soon"), 2, "is no age"),
        (("--keep-best", ""), 2, "wants a metric"),
        (("--keep-best", "bleu"), 4, "has the metric 'bleu'"),
        (("--all", "--keep-last", "1"), 2, "--all keeps nothing"),
        (("--not-here", "--keep-last", "1"), 2, "--not-here without --remote"),
        (("--keep-last", "1", "--remote=nowhere"), 4, "no remote 'nowhere'"),
    ],
)
def test_forget_refuses(mvc: Mvc, trained: Path, repo: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = mvc("forget", "bert-a", *arguments, "--yes", cwd=repo, code=code)
    assert said in ran.err and len(ran.err.splitlines()) <= 2
    assert "there is no run" in mvc("forget", "nothing", "--keep-last", "1", "--yes", cwd=repo, code=4).err
