"""`mvc.ops.forget`: what stays and why, here and in a remote, and what gc frees then."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest

from mvc import fsio
from mvc.errors import NotFound, UsageError
from mvc.metadata.model import CommitMetadata, Point
from mvc.objects.model import Signature
from mvc.objects.refs import RefChange
from mvc.ops.caller import Caller
from mvc.ops.checkpoint import RunKnown, commit_checkpoint, commit_summary
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from mvc.ops.connect import Outside
from mvc.ops.forget import Best, Forgotten, Rules, forget, forget_there
from mvc.ops.fsck import fsck
from mvc.ops.gc import gc
from mvc.ops.push import push
from mvc.ops.remote_care import remote_gc
from mvc.ops.runfiles import LOCK, check_name, run_folder, runs_of
from mvc.repo.create import init
from mvc.repo.repository import Repository
from mvc.store.locks import hold

NOW = int(time.time())  # as the tests are collected: minutes, or an hour, before they run
CALLER = Caller(Signature("Ann", "ann@example.org", NOW, 0))
LOSSES = {100: 0.9, 200: 0.5, 300: math.nan, 400: 0.3, 500: 0.4, 600: 0.3}


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return init(tmp_path / "repo", initial_branch="main")[0]


@pytest.fixture
def run(repo: Repository) -> dict[int, str]:
    """Six checkpoints of a run; each is random, so that none is a difference from another."""
    return store(repo, "a")


def store(repo: Repository, name: str) -> dict[int, str]:
    known = RunKnown(name, CommitMetadata(params={"lr": 1}))
    made = {}
    for number, (step, loss) in enumerate(LOSSES.items()):
        weights = np.random.default_rng(number).bytes(150_000)
        at = Caller(Signature("Ann", "ann@example.org", NOW - 86_400 * (6 - number), 0))
        metrics = {"val_loss": loss, "acc": -loss}
        made[step] = commit_checkpoint(repo, known, step, {"w.bin": weights}, metrics=metrics, caller=at).id
    series = [Point(200, {"later": 5}), Point(300, {"later": 7})]
    commit_summary(repo, known, "finished", metrics={}, series=series, caller=CALLER)
    return made


def left(repo: Repository, name: str = "a") -> list[int]:
    return list(runs_of(repo.refs.list())[name].steps)


def kept(done: Forgotten) -> list[int]:
    return [one.step for one in done.kept]


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (Rules(last=2), [500, 600]),
        (Rules(last=99), [100, 200, 300, 400, 500, 600]),
        (Rules(every=200), [200, 400, 600]),
        (Rules(best=(Best("val_loss"),)), [400]),  # of equals the earliest; NaN is none
        (Rules(best=(Best("val_loss", "max"),)), [100]),
        (Rules(best=(Best("acc"),)), [400]),
        (Rules(best=(Best("val_loss", None, 3),)), [400, 500, 600]),
        (Rules(best=(Best("later"),)), [300]),  # measured afterwards, of that step
        (Rules(younger=2.5 * 86_400), [500, 600]),
        (Rules(last=1, every=300, best=(Best("val_loss"),)), [300, 400, 600]),
        (Rules(all=True), []),
    ],
)
def test_rules(repo: Repository, run: dict[int, str], rules: Rules, wanted: list[int]) -> None:
    before = repo.refs.list()
    planned = forget(repo, ["a"], rules, dry_run=True, caller=CALLER)
    assert kept(planned) == wanted and repo.refs.list() == before
    done = forget(repo, ["a"], rules, caller=CALLER)
    assert done == planned or rules.all
    if not rules.all:
        assert left(repo) == wanted


def test_gc_frees_what_was_told(repo: Repository, run: dict[int, str]) -> None:
    done = forget(repo, ["a"], Rules(last=1), caller=CALLER)
    told = sum(one.frees for one in done.dropped)
    assert told > 700_000 and all(one.size == 150_000 for one in done.checkpoints)
    freed = gc(repo, prune_after_days=0, caller=CALLER)
    assert sum(file.stored for file in freed.files) == told
    assert not fsck(repo).findings and left(repo) == [600]


def test_a_base_of_what_stays_is_not_counted(repo: Repository) -> None:
    known = RunKnown("d", CommitMetadata())
    weights, like = np.random.default_rng(0).standard_normal(100_000).astype(np.float32), None
    for step in range(3):
        np.save(repo.require_worktree() / "w.npy", weights + np.float32(1e-6) * step)
        files = {"w.npy": repo.require_worktree() / "w.npy"}
        like = commit_checkpoint(repo, known, step, files, metrics={}, like=like, caller=CALLER).id
    done = forget(repo, ["d"], Rules(last=1), caller=CALLER)
    freed = gc(repo, prune_after_days=0, caller=CALLER)
    assert sum(one.frees for one in done.dropped) == sum(file.stored for file in freed.files) < 100_000
    assert not fsck(repo).findings


def test_what_others_hold_stays(repo: Repository, run: dict[int, str]) -> None:
    moves = {"refs/tags/best": run[100], "refs/heads/from-here": run[200], "refs/aliases/production": run[300]}
    changes = [RefChange(ref, None, target) for ref, target in moves.items()]
    repo.refs.update(changes, message="test", author=CALLER.who)
    options = CommitFilesOptions(start=run[500])
    commit_files(repo, "goes-on", {"more": b"x"}, "goes on", options, caller=CALLER)
    with repo.objects.batch() as batch:
        tag = batch.tag(run[400], "commit", "annotated", CALLER.who, "said")
        batch.seal()
    repo.refs.update([RefChange("refs/tags/annotated", None, tag)], message="test", author=CALLER.who)
    done = forget(repo, ["a"], Rules(last=1), caller=CALLER)
    assert {one.step: one.reasons for one in done.checkpoints} == {
        100: ("refs/tags/best",),
        200: ("refs/heads/from-here",),
        300: ("refs/aliases/production",),
        400: ("refs/tags/annotated",),
        500: ("another ref's history",),
        600: ("last",),
    }
    assert left(repo) == list(LOSSES)


def test_what_head_is_at_stays(repo: Repository, run: dict[int, str]) -> None:
    repo.refs.set_head(run[100], message="test", author=CALLER.who)
    assert kept(forget(repo, ["a"], Rules(last=1), caller=CALLER)) == [100, 600]


def test_what_was_stored_anew_meanwhile_stays(repo: Repository, run: dict[int, str]) -> None:
    """A training that stores a step again between the look and the drop wins."""
    again: list[str] = []

    def hook(operation: str, path: str) -> None:
        if operation in ("create", "link") and path.endswith("/200.lock") and not again:
            again.append("x")
            known = RunKnown("a", CommitMetadata())
            again.append(commit_checkpoint(repo, known, 200, {"w": b"anew"}, metrics={}, caller=CALLER).id)

    with fsio.hooked(hook):
        done = forget(repo, ["a"], Rules(last=1), caller=CALLER)
    assert [one.step for one in done.checkpoints if one.status] == [200] and left(repo) == [200, 600]
    assert repo.refs.read("refs/runs/a/200") == again[1]


def test_all_takes_the_run_along(repo: Repository, run: dict[int, str]) -> None:
    folder = run_folder(repo, "a")
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("")
    repo.refs.update([RefChange("refs/tags/best", None, run[100])], message="test", author=CALLER.who)
    done = forget(repo, ["a"], Rules(all=True), caller=CALLER)
    assert done.runs == () and left(repo) == [100] and folder.is_dir()  # one stays, so the run does
    repo.refs.update([RefChange("refs/tags/best", run[100], None)], message="test", author=CALLER.who)
    with hold(folder / LOCK):
        assert forget(repo, ["a"], Rules(all=True), caller=CALLER).runs == ()
        assert folder.is_dir() and "refs/runs/a/summary" in repo.refs.list()
    assert forget(repo, ["a"], Rules(all=True), caller=CALLER).runs == ("a",)
    assert not folder.exists() and not repo.refs.list("refs/runs/")


def test_several_runs_by_glob(repo: Repository, run: dict[int, str]) -> None:
    store(repo, "b")
    done = forget(repo, ["*"], Rules(last=1), caller=CALLER)
    assert [(one.run, one.step) for one in done.kept] == [("a", 600), ("b", 600)]


def test_what_makes_no_sense(repo: Repository, run: dict[int, str]) -> None:
    for rules in (Rules(), Rules(last=1, all=True), Rules(last=-1), Rules(best=(Best("x", None, 0),))):
        with pytest.raises(UsageError):
            forget(repo, ["a"], rules, caller=CALLER)
    with pytest.raises(NotFound, match="there is no run 'b'"):
        forget(repo, ["a", "b"], Rules(last=1), caller=CALLER)
    with pytest.raises(NotFound, match="no checkpoint of 'a' has the metric 'bleu'"):
        forget(repo, ["a"], Rules(last=1, best=(Best("bleu"),)), caller=CALLER)
    assert left(repo) == list(LOSSES)
    for name in ("a/b", "", ".", "a..b", "x~", "a b"):
        with pytest.raises(UsageError):
            check_name(name)


def test_in_a_remote(repo: Repository, run: dict[int, str], tmp_path: Path) -> None:
    outside = Outside(dict(os.environ), tmp_path)
    url = str(tmp_path / "remote")
    push(repo, url, ["refs/runs/*:refs/runs/*", f"{run[100]}:refs/tags/best"], outside=outside, caller=CALLER)
    rules = Rules(last=1, best=(Best("val_loss"),))
    planned = forget_there(repo, url, ["a"], rules, dry_run=True, outside=outside, caller=CALLER)
    assert kept(planned) == [100, 400, 600] and not planned.exact
    assert sum(one.frees for one in planned.dropped) > 400_000
    done = forget_there(repo, url, ["a"], rules, outside=outside, caller=CALLER)
    assert done == planned and left(repo) == list(LOSSES)
    again = forget_there(repo, url, ["a"], rules, outside=outside, caller=CALLER)
    assert [one.step for one in again.checkpoints] == [100, 400, 600]
    freed = remote_gc(repo, url, prune_after_days=0, outside=outside, caller=CALLER).result
    assert freed is not None
    gone = forget_there(repo, url, ["a"], Rules(all=True), outside=outside, caller=CALLER)
    assert kept(gone) == [100]
