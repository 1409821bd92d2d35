"""`mvc.start_run`: what is logged and stored, and that nothing holds up or fails the training."""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mvc
from mvc import fsio
from mvc.errors import Locked, NotFound, ParseError, Refused, UnsafePath, UsageError
from mvc.metadata.model import Point
from mvc.metadata.series import dump_point, dump_series
from mvc.metadata.tree import SERIES, read_metadata
from mvc.objects import trees
from mvc.ops.checkpoint import thinned
from mvc.ops.runfiles import load_log, point_line, read_log, run_folder
from mvc.ops.runs import list_runs
from mvc.repo.repository import Repository
from mvc.training.run import Run
from tests.training.weights import Weights, assert_sound, read_safetensors, steps_of

At = Callable[[int], Weights]
LINES = [
    b'{"step":1,"at":0,"values":{"a":1}}', b'{"step":2,"values":{"a":"NaN","b":1.5}}', b'{"back":1}', b'{"back":-1}',
    b'{"step":1,"values":{"":1}}', b'{"step":1,"values":{"a":true}}', b'{"step":1,"values":{"a":[1]}}', b"[" * 50,
    b'{"step":true,"values":{}}', b'{"step":1,"values":{"\\ud800":1}}', b'{"step":1e400,"values":{"a":1}}',
    b'{"step":3,"values":{"a":1e999,"b":-0.0}}', b'{"step":3,"values":{"a":' + b"9" * 5000 + b"}}", b"null", b"",
]  # fmt: skip


def metadata(repo: Repository, ref: str, *files: str) -> Any:
    commit = repo.refs.read(f"refs/runs/{ref}")
    assert commit is not None
    tree = repo.objects.commit(commit).tree
    return read_metadata(repo.objects, tree, **({"files": files} if files else {}))


def test_a_run_from_begin_to_end(repo: Repository, weights: At) -> None:
    given = {"lr": 1e-3, "optimizer": {"name": "adamw"}}
    with mvc.start_run(given, name="bert", repo="repo", tags={"task": "ner"}) as run:
        for step in range(25):
            run.log(step=step, loss=1 / (step + 1))
            if step % 10 == 0:
                run.checkpoint(step, {"model.safetensors": weights(step)}, metrics={"val": {"acc": step / 100}})
        run.summarize(test_acc=0.5)
    assert run.problems.all == [] and steps_of(repo, "bert") == [0, 10, 20]
    said = metadata(repo, "bert/20")
    assert said.params == {"lr": 1e-3, "optimizer.name": "adamw"} and said.metrics == {"loss": 1 / 21, "val.acc": 0.2}
    assert said.tags == {"task": "ner", "run.name": "bert", "run.step": 20} and said.environment["python"]
    points = metadata(repo, "bert/10", SERIES).series
    assert [point.step for point in points] == list(range(11)) and points[3].values == {"loss": 0.25}
    summary = metadata(repo, "bert/summary")
    assert summary.metrics == {"loss": 1 / 25, "test_acc": 0.5} and summary.tags["run.status"] == "finished"
    assert repo.objects.commit(repo.refs.list("refs/runs/")["refs/runs/bert/20"]).parents == ()
    assert not list((run_folder(repo, "bert") / "spool").iterdir())
    assert repo.refs.head().id is None and list(repo.refs.list()) == sorted(repo.refs.list("refs/runs/"))
    assert_sound(repo)


def test_checkpoints_are_differences_and_come_back(repo: Repository, weights: At, tmp_path: Path) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        sizes = []
        for step in range(4):
            run.checkpoint(step, {"model.safetensors": weights(step)})
            assert run.wait()
            sizes.append(sum(path.stat().st_size for path in (tmp_path / "repo/.mvc/chunks/packs").rglob("*.pack")))
        assert sizes[3] - sizes[0] < sizes[0]  # three more for less than one
        assert run.restore("back", 2).step == 2
    found = read_safetensors(Path("back/model.safetensors"))
    assert all((found[name] == value).all() for name, value in weights(2).items())


def test_a_folder_that_was_restored_is_a_checkpoint_again(repo: Repository, tmp_path: Path) -> None:
    """What `restore` keeps in it for itself is no part of it."""
    with mvc.start_run(name="a", repo="repo") as run:
        Path("state").mkdir()
        Path("state/model.bin").write_bytes(b"1" * 300_000)
        run.checkpoint(1, "state")
    with mvc.start_run(name="a", repo="repo", resume="must") as run:
        run.restore("state")
        Path("state/model.bin").write_bytes(b"2" * 300_000)
        run.checkpoint(2, "state")
    reader = mvc.Repo.open("repo")
    assert reader.read_file("refs/runs/a/2", "model.bin") == b"2" * 300_000


def test_files_may_be_overwritten_at_once(repo: Repository, tmp_path: Path) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        for step in range(6):
            Path("model.bin").write_bytes(bytes([step]) * 300_000)
            run.checkpoint(step, "model.bin")
        Path("model.bin").write_bytes(b"x")
    reader = mvc.Repo.open("repo")
    for step in range(6):
        assert reader.read_file(f"refs/runs/a/{step}", "model.bin") == bytes([step]) * 300_000


def test_a_linked_file_that_is_written_to_is_not_stored_wrongly(repo: Repository) -> None:
    Path("model.bin").write_bytes(b"1" * 200_000)
    written = threading.Event()

    def wait(operation: str, path: str) -> None:
        if threading.current_thread().name == "mvc-run":
            written.wait(300)

    with fsio.hooked(wait), mvc.start_run(name="a", repo="repo") as run:
        run.checkpoint(1, "model.bin", keep="link")
        with open("model.bin", "r+b") as file:
            file.write(b"2" * 100)
        written.set()
        run.checkpoint(2, "model.bin")
    assert steps_of(repo, "a") == [2] and "written to in place" in run.problems.all[0]


def test_what_files_can_be(repo: Repository, weights: At, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "a.txt").write_text("a")
    (out / "sub" / "b.bin").write_bytes(b"b" * 100_000)
    (out / "link.txt").symlink_to("a.txt")
    with mvc.start_run(name="a", repo="repo") as run:
        run.checkpoint(1, out)
        run.checkpoint(2, [out / "a.txt", out / "sub"])
        run.checkpoint(3, {"x": out, "n.json": {"k": [1]}, "raw": b"\0\1", "w.safetensors": {"w": np.arange(3)}})
        run.checkpoint(4, out, keep="link")
        run.checkpoint(5, {"moved": out / "a.txt", "linked": out / "sub/b.bin"}, keep="move")
    found = {step: sorted(mvc.Repo.open("repo").files(f"refs/runs/a/{step}")) for step in range(1, 6)}
    assert found[1] == found[4] == ["a.txt", "link.txt", "sub/b.bin"] and found[2] == ["a.txt", "sub/b.bin"]
    assert found[3] == ["n.json", "raw", "w.safetensors", "x/a.txt", "x/link.txt", "x/sub/b.bin"]
    assert found[5] == ["linked", "moved"] and not (out / "a.txt").exists()
    assert json.loads(mvc.Repo.open("repo").read_file("refs/runs/a/3", "n.json")) == {"k": [1]}


def test_what_makes_no_sense_is_told_at_once(repo: Repository) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        for files, wanted in (
            ("nowhere", NotFound),
            ({"x.bin": "nowhere"}, NotFound),
            ({}, UsageError),
            ({"x.xyz": 3}, UsageError),
            ({"m.safetensors": {"a": "text"}}, UsageError),
            ({"m.safetensors": {"a": np.array(["text"])}}, UsageError),
            ({"../x": b""}, UnsafePath),
            ({".mvc/x": b""}, UnsafePath),
            (3, UsageError),
        ):
            with pytest.raises(wanted):
                run.checkpoint(1, files)  # type: ignore[arg-type]
        for step in (-1, 1.5, True, "3", None, 2**70):
            with pytest.raises(UsageError, match="a step is a whole number"):
                run.checkpoint(step, {"x": b""})
    assert run.problems.all == [] and not steps_of(repo, "a")
    with pytest.raises(UsageError, match="has ended"):
        run.log(loss=1)


def test_metrics_of_every_kind(repo: Repository) -> None:
    values = {
        "a": 1, "b": 0.5, "c": True, "d": np.float32(0.25), "e": np.int64(7), "f": np.array(3.0), "g": np.array([4]),
        "nan": math.nan, "inf": math.inf, "minf": np.float16(-np.inf), "h": Fraction(1, 4), "i": {"j": {"k": 1}},
        "with spaces/and ünicode": 2,
    }  # fmt: skip
    with mvc.start_run(name="a", repo="repo") as run:
        run.log(values, step=3)
        for name, bad in (
            ("text", "high"),
            ("vector", np.zeros(3)),
            ("none", None),
            ("list", [1.0]),
            ("huge", 10**400),
            ("empty", np.zeros(0)),
            ("", 1),
        ):
            with pytest.raises(UsageError) as told:
                run.log({name: bad}, step=4)
            assert "\n" not in told.value.message
        run.log({"text": 1}, step=4)
        run.checkpoint(3, {"x": b""})
    (point, _) = metadata(repo, "a/summary", SERIES).series
    said = dict(point.values)
    assert math.isnan(said.pop("nan")) and said.pop("inf") == math.inf and said.pop("minf") == -math.inf
    assert said == {
        "a": 1, "b": 0.5, "c": 1, "d": 0.25, "e": 7, "f": 3.0, "g": 4, "h": 0.25, "i.j.k": 1,
        "with spaces/and ünicode": 2,
    }  # fmt: skip
    assert load_log(repo, "a").points[3]["inf"] == math.inf
    assert math.isnan(metadata(repo, "a/3").metrics["nan"])


def test_names_that_cannot_stand_together(repo: Repository) -> None:
    """Nobody loses a checkpoint for the name of a metric."""
    with mvc.start_run(name="a", repo="repo") as run:
        run.log(step=1, loss=1, **{"loss.val": 2, "acc.top1": 3, "..": 4, "x.": 5})
        run.log(step=1, acc=6)
        run.log(step=2, **{"loss.val": 7, "acc": 8})
        run.checkpoint(1, {"x": b""})
    said = {"loss": 1, "loss/val": 2, "acc.top1": 3, "//": 4, "x/": 5, "acc/value": 6}
    assert metadata(repo, "a/1").metrics == said and steps_of(repo, "a") == [1]
    assert load_log(repo, "a").points[2] == {"loss/val": 7, "acc/value": 8}
    assert any("'loss.val' is kept as 'loss/val'" in text for text in run.problems.all)
    for name in ("\ud800", "a\nb", "\0", "x" * 501):
        with pytest.raises(UsageError), mvc.start_run(repo="repo") as run:
            run.log({name: 1})


def test_params_of_every_kind(repo: Repository) -> None:
    @dataclass
    class Config:
        width: int = 3
        path: Path = Path("x")

    params = {
        "a": np.float32(0.5), "b": Path("p"), "c": Config(), "d": (1, {2}), "e": None, "f": 10**400, "g": "\ud800",
        "h": {1: {"x": np.int64(2)}}, "i": print, "j": math.nan,
    }  # fmt: skip
    with mvc.start_run(params, name="a", repo="repo") as run:
        run.update({"k": np.bool_(True)}, tags={"t": np.str_("x")})
        run.checkpoint(1, {"x": b""})
    said = dict(metadata(repo, "a/1").params)
    assert run.problems.all == [] and math.isnan(said.pop("j")) and said.pop("i").startswith("<built-in")
    assert said.pop("f").startswith("1000") and said == {
        "a": 0.5, "b": "p", "c.width": 3, "c.path": "x", "d": [1, [2]], "e": None, "g": "?", "h.1.x": 2, "k": True,
    }  # fmt: skip
    for bad in ({"a": 1, "a.b": 2}, {f"p{n}": n for n in range(30_000)}):
        with pytest.raises(ParseError):
            mvc.start_run(bad, name="b", repo="repo")
    assert [one.name for one in list_runs(repo)] == ["a"]


@given(st.lists(st.binary(max_size=60) | st.sampled_from(LINES), max_size=8))
def test_any_log_is_read(parts: list[bytes]) -> None:
    data = b"\n".join(parts)
    log = read_log(data)
    for step, values in log.series():
        dump_point(Point(step, values))
    again = read_log(b"".join(point_line(step, 0.0, values) for step, values in log.series()))
    assert repr(again.series()) == repr(log.series()) and not again.skipped


def test_steps_go_on_by_themselves(repo: Repository) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        run.log(loss=1)
        run.log(loss=2)
        run.log(step=10, loss=3)
        run.log(step=10, acc=4)
        run.log(loss=5)
    assert load_log(repo, "a").points == {0: {"loss": 1}, 1: {"loss": 2}, 10: {"loss": 3, "acc": 4}, 11: {"loss": 5}}


def test_many_threads_log(repo: Repository) -> None:
    with mvc.start_run(name="a", repo="repo") as run:

        def log(number: int) -> None:
            for step in range(200):
                run.log({f"m{number}": step}, step=step)

        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = load_log(repo, "a")
    assert not found.skipped and all(found.points[step] == {f"m{n}": step for n in range(8)} for step in range(200))


def test_exceptions_mark_the_run(repo: Repository) -> None:
    for name, error in (
        ("failed", ValueError("the loss\nis NaN")),
        ("stopped", KeyboardInterrupt()),
        ("out", SystemExit(0)),
    ):
        with pytest.raises(type(error)), mvc.start_run(name=name, repo="repo") as run:
            run.checkpoint(1, {"x": name.encode()})
            raise error
    runs = {run.name: run for run in list_runs(repo)}
    assert {name: run.status for name, run in runs.items()} == {
        "failed": "failed", "stopped": "interrupted", "out": "finished",
    }  # fmt: skip
    assert runs["failed"].note == "ValueError: the loss is NaN" and runs["stopped"].checkpoints == (1,)


def test_a_run_that_is_there(repo: Repository) -> None:
    with mvc.start_run({"lr": 1, "epochs": 3}, name="a", repo="repo") as run:
        run.log(step=1, loss=1)
        with pytest.raises(Locked, match="writes the run 'a'"):
            mvc.start_run(name="a", repo="repo", resume=True)
    with pytest.raises(Refused, match="there is a run 'a' already"):
        mvc.start_run(name="a", repo="repo")
    with pytest.raises(NotFound, match="there is no run 'b'"):
        mvc.start_run(name="b", repo="repo", resume="must")
    for name in ("", "a/b", "..", "-x", "x.lock", ".x", "a b", "x" * 101):
        with pytest.raises(UsageError):
            mvc.start_run(name=name, repo="repo")
    with mvc.start_run({"lr": 2}, name="a", repo="repo", resume=True) as run:
        run.log(loss=2)
    assert metadata(repo, "a/summary").params == {"lr": 2, "epochs": 3}
    assert load_log(repo, "a").points == {1: {"loss": 1}, 2: {"loss": 2}}
    with mvc.start_run(repo="repo") as one, mvc.start_run(repo="repo") as two:
        assert one.name != two.name


def test_restore_takes_back_what_was_logged_later(repo: Repository, weights: At) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        for step in range(10):
            run.log(step=step, loss=step)
            if step == 5:
                run.checkpoint(step, {"m.safetensors": weights(step)})
    with mvc.start_run(name="a", repo="repo", resume=True) as run:
        last = run.last
        assert last is not None and (last.step, last.metrics) == (5, {"loss": 5})
        assert run.restore("back").step == 5
        run.log(loss=60)
        with pytest.raises(NotFound, match="no checkpoint 7"):
            run.restore("back", 7)
    assert list(load_log(repo, "a").points) == [0, 1, 2, 3, 4, 5, 6] and load_log(repo, "a").points[6] == {"loss": 60}


def test_a_torn_line_is_healed(repo: Repository) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        run.log(step=1, loss=1)
    path = run_folder(repo, "a") / "log.jsonl"
    with path.open("ab") as file:
        file.write(b'\0\0\0\n{"step":7,"at":1.0,"val')
    assert list(load_log(repo, "a").points) == [1]
    with mvc.start_run(name="a", repo="repo", resume=True) as run:
        run.log(step=2, loss=2)
    assert path.read_bytes().count(b"\n") == 3 and list(load_log(repo, "a").points) == [1, 2]


def test_a_full_disk_fails_nothing(repo: Repository, caplog: pytest.LogCaptureFixture) -> None:
    full = threading.Event()

    def hook(operation: str, path: str) -> None:
        if full.is_set() and operation in ("write", "create", "mkdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with fsio.hooked(hook), mvc.start_run(name="a", repo="repo") as run:
        run.checkpoint(1, {"x": b"1" * 100_000})
        assert run.wait()
        full.set()
        run.log(step=2, loss=2)
        run.checkpoint(2, {"x": b"2" * 100_000})  # there is no room to put it aside
        assert any("checkpoint 2 is not stored: No space left" in text for text in run.problems.all)
        full.clear()
        run.checkpoint(3, {"x": b"3" * 100_000})
        assert run.wait()
    assert steps_of(repo, "a") == [1, 3] and load_log(repo, "a").points == {2: {"loss": 2}}
    assert "No space left" in caplog.text
    assert_sound(repo)


def test_what_could_not_be_stored_is_tried_again(repo: Repository) -> None:
    broken = threading.Event()

    def hook(operation: str, path: str) -> None:
        if broken.is_set() and threading.current_thread().name == "mvc-run" and operation == "create":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with fsio.hooked(hook), mvc.start_run(name="a", repo="repo") as run:
        run.wait()
        Path("w.bin").write_bytes(b"w" * 100_000)
        broken.set()
        run.checkpoint(1, "w.bin")
        assert not run.wait() and steps_of(repo, "a") == []
        broken.clear()
        run.checkpoint(2, "w.bin")
    assert steps_of(repo, "a") == [1, 2]
    assert any("checkpoint 1 is not stored yet" in text for text in run.problems.all)


def worker(run: Run) -> None:
    run.log(step=99, loss=99)
    run.checkpoint(99, {"x": b"from a worker"})
    run.finish()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader_write_nothing(repo: Repository, method: str) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        run.log(step=1, loss=1)
        process = multiprocessing.get_context(method).Process(target=worker, args=(run,))
        process.start()
        process.join()
        assert process.exitcode == 0
        run.log(step=2, loss=2)
    assert list(load_log(repo, "a").points) == [1, 2] and steps_of(repo, "a") == []
    assert pickle.loads(pickle.dumps(run)).name == "a"


def test_only_the_first_rank_writes(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with mvc.start_run(name="a", repo="repo") as run:
        run.log(step=1, loss=1)
        run.checkpoint(1, {"x": b""})
        assert run.wait() and run.last is None
    monkeypatch.setenv("RANK", "0")
    with mvc.start_run(name="a", repo="repo") as run:
        run.checkpoint(2, {"x": b""})
    assert steps_of(repo, "a") == [2]


def test_from_two_processes_at_once(repo: Repository) -> None:
    children = []
    for name in ("a", "b", "c"):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with mvc.start_run(name=name, repo="repo") as run:
                    for step in range(5):
                        run.checkpoint(step, {"x": name.encode() * 70_000})
                code = len(run.problems.all)
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert all(steps_of(repo, name) == [0, 1, 2, 3, 4] for name in "abc")
    assert_sound(repo)


def test_nobody_to_sign(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MVC_AUTHOR_NAME")
    with pytest.raises(UsageError, match="it is not known who you are"):
        mvc.start_run(name="a", repo="repo")


def test_datasets_base_and_links(repo: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    (tmp_path / "train.csv").write_text("a,b\n")
    ann = mvc.Signature("Ann", "ann@example.org", 0, 0)
    base = mvc.Repo.open("repo").commit_files("main", {"m.bin": tmp_path / "train.csv"}, "base", author=ann)
    with pytest.raises(NotFound):
        mvc.start_run(name="a", repo="repo", datasets={"train": "nowhere.csv"})
    given = {"train": "train.csv", "extra": "s3://bucket/x"}
    with mvc.start_run(name="a", repo="repo", datasets=given, base="main") as run:
        run.checkpoint(1, {"x": b""})
    said = metadata(repo, "a/1")
    assert [(one.name, bool(one.digest)) for one in sorted(said.datasets)] == [("extra", False), ("train", True)]
    assert said.bases[0].commit == base and said.links["slurm.job"] == "4711"


def test_a_long_series_is_thinned() -> None:
    many = [Point(step, {"loss": 1.0}) for step in range(45_000)]
    wide = [Point(step, {f"metric.{number}": 1.0 for number in range(300)}) for step in range(2000)]
    for series in (many, wide):
        points = thinned(series)
        assert 0 < len(points) <= 20_000 and points[-1] == series[-1] and len(dump_series(points)) < 12 << 20
    assert thinned(many[:5]) == tuple(many[:5])


def test_a_checkpoint_of_the_same_step_replaces(repo: Repository) -> None:
    with mvc.start_run(name="a", repo="repo") as run:
        run.checkpoint(1, {"x": b"one"})
        run.wait()
        run.checkpoint(1, {"y": b"two"})
    commit = repo.objects.commit(repo.refs.list("refs/runs/")["refs/runs/a/1"])
    assert list(trees.flatten(repo.objects, commit.tree)) == ["y"]


def test_the_loop_is_not_held_up(repo: Repository, weights: At) -> None:
    over = threading.Event()

    def wait(operation: str, path: str) -> None:
        if threading.current_thread().name == "mvc-run":
            assert over.wait(300)

    with mvc.start_run(name="a", repo="repo") as run:
        run.wait()
        with fsio.hooked(wait):
            began = time.thread_time()
            for step in range(2000):
                run.log(step=step, loss=1.0, acc=0.5)
            assert (time.thread_time() - began) / 2000 < 0.002  # tens of microseconds
            run.checkpoint(1, {"m.safetensors": weights(1)})
            assert run.held > 0 and steps_of(repo, "a") == [], "what stores it stands still, and nobody waits"
            over.set()
            assert run.wait()
    assert steps_of(repo, "a") == [1]
