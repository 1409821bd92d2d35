"""The way in, whatever the source: killed and taken up again, resumed, told apart, kept from gc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvc.errors import Refused, UnsupportedFormat, UsageError
from mvc.importers.dvc import DvcSource
from mvc.importers.intake import Intake
from mvc.importers.record import Record
from mvc.objects.refs import RefChange
from mvc.ops.add import add
from mvc.ops.fsck import fsck
from mvc.ops.gc import gc
from tests.forked import KILLED, in_child, killer
from tests.importers.importing import WHO, Target
from tests.importers.making import DvcProject, git, noise, put
from tests.models import fine_tuned, layers, safetensors_bytes


@pytest.fixture
def project(tmp_path: Path) -> DvcProject:
    """Three versions of a model, a merge, a small file."""
    made = DvcProject(tmp_path / "project")
    weights = layers()
    made.add("model.safetensors", safetensors_bytes(weights))
    put(made.path / "a.py", "1")
    made.commit("one")
    git(made.path, "switch", "-qc", "side")
    made.add("other.bin", noise(5))
    made.commit("side")
    git(made.path, "switch", "-q", "main")
    made.add("model.safetensors", safetensors_bytes(fine_tuned(weights)))
    made.commit("two")
    git(made.path, "merge", "-q", "--no-edit", "side", when=1_700_009_000)
    return made


class Killed(BaseException):
    """What no code catches."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_step_it_goes_on(project: DvcProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvc.importers.work._EVERY_SECONDS", 0.0)
    whole, target = Target(tmp_path / "whole"), Target(tmp_path / "killed")
    expected = whole.take(DvcSource(project.path, {})).commits
    step, kills = 1, 0
    while _killed(target, project, step):
        kills += 1
        assert not fsck(target.repo).findings, f"killed before step {step}"
        if kills % 4 == 0:
            gc(target.repo, prune_after_days=0.0, caller=target.caller)
        # Now and then from the beginning, else on from what was killed, a few steps further each time.
        step += 5 if kills % 4 else 2
    assert kills > 5
    done = target.take(DvcSource(project.path, {}))
    assert done.commits == expected
    assert target.files("main") == whole.files("main")
    target.check()


def _killed(target: Target, project: DvcProject, step: int) -> bool:
    """Import in a child that dies before its step number `step`; whether it came to that."""
    code = in_child(lambda: target.take(DvcSource(project.path, {})), killer(step))
    assert code in (0, KILLED)
    return code != 0


def test_a_killed_import_reads_no_content_twice(
    project: DvcProject, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvc.importers.work._EVERY_SECONDS", 0.0)
    source = DvcSource(project.path, {})
    opened: list[str] = []
    opening = source.open

    def open_file(entry):  # type: ignore[no-untyped-def]
        opened.append(entry.key)
        if len(set(opened)) == 4:
            raise Killed
        return opening(entry)

    monkeypatch.setattr(source, "open", open_file)
    with pytest.raises(Killed):
        target.take(source)
    assert target.repo.refs.list("refs/imports/")
    first = set(opened[:-1])
    again = DvcSource(project.path, {})
    opened.clear()
    opening = again.open
    monkeypatch.setattr(again, "open", lambda entry: (opened.append(entry.key), opening(entry))[1])
    target.take(again)
    assert opened
    assert not first & set(opened)
    target.check()


def test_fine_tunes_are_differences(project: DvcProject, target: Target) -> None:
    done = target.take(DvcSource(project.path, {}))
    sizes = {path: len(data) for path, data in target.files("main").items()}
    assert done.stored < 1.5 * sizes["model.safetensors"] + sizes["other.bin"]


def test_deleted_branches_come_again(project: DvcProject, target: Target) -> None:
    target.take(DvcSource(project.path, {}))
    repo = target.repo
    changes = [RefChange(ref, value, None) for ref, value in repo.refs.list().items()]
    repo.refs.update(changes, message="gone", author=WHO)
    for log in (target.path / ".mvc/logs").rglob("*"):
        if log.is_file():
            log.unlink()
    (target.path / ".mvc/stage").unlink()
    gc(target.repo, prune_after_days=0.0, caller=target.caller)
    done = target.take(DvcSource(project.path, {}))
    assert done.new == 4
    target.check()


def test_dry_run_writes_nothing(project: DvcProject, target: Target) -> None:
    before = sorted(path for path in target.path.rglob("*") if path.name != "locks")
    done = target.take(DvcSource(project.path, {}), dry_run=True)
    assert (done.new, done.total, done.contents) == (4, 4, 4)
    assert sorted(path for path in target.path.rglob("*") if path.name != "locks") == before


def test_a_staged_change_is_in_the_way(project: DvcProject, target: Target) -> None:
    target.take(DvcSource(project.path, {}))
    put(target.path / "new", b"new")
    add(target.repo, ["new"])
    project.commit("three")
    with pytest.raises(Refused, match="the stage holds changes"):
        target.take(DvcSource(project.path, {}))


def test_bad_prefix(project: DvcProject, target: Target) -> None:
    with pytest.raises(UsageError):
        target.take(DvcSource(project.path, {}), prefix="a..b")


def test_a_record_of_a_newer_version(project: DvcProject, target: Target) -> None:
    target.take(DvcSource(project.path, {}))
    (record,) = (target.path / ".mvc/imports").iterdir()
    text = record.read_bytes()
    record.write_bytes(text.replace(b"mvc-import 1", b"mvc-import 2"))
    with pytest.raises(UnsupportedFormat, match="of version 2"):
        target.take(DvcSource(project.path, {}))
    record.write_bytes(b"\xff\x00 what\n" + text + b"commit torn " + b"4" * 40)
    assert target.take(DvcSource(project.path, {})).new == 0
    target.check()


def test_record_keeps_odd_keys(tmp_path: Path) -> None:
    path = tmp_path / "imports/x"
    record = Record(path, "mlflow", "/a\nb")
    record.add_content("file:a b%\n", "1" * 40)
    record.add_commit("run 1", "2" * 40)
    record.save()
    record.add_content("later", "3" * 40)
    record.save()
    with open(path, "ab") as file:
        file.write(b"commit torn " + b"4" * 40)
    again = Record(path, "mlflow", "/a\nb")
    again.load(lambda commit: True, set())
    assert again.commits == {"run 1": "2" * 40}
    assert again.contents == {"file:a b%\n": "1" * 40}
    again.load(lambda commit: True, {"3" * 40})
    assert "later" in again.contents
    again.add_commit("x", "5" * 40)
    again.save()
    third = Record(path, "mlflow", "/a\nb")
    third.load(lambda commit: commit != "2" * 40, set())
    assert third.commits == {"x": "5" * 40}
    assert third.contents == {"later": "3" * 40}


def test_two_imports_at_once(project: DvcProject, target: Target) -> None:
    with Intake(target.repo, DvcSource(project.path, {}), WHO), pytest.raises(Refused):
        target.take(DvcSource(project.path, {}))
