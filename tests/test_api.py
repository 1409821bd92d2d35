"""The Python interface where docs/python.md, which is doctested, says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mvc
from mvc.errors import NotFound, ParseError
from mvc.objects.model import Signature
from tests.models import write_model

ANA = Signature("Ana", "ana@example.org", 1_700_000_000)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mvc.Repo:
    """Nobody has said who they are."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return mvc.Repo.init(tmp_path / "work")


def test_tensors_of_a_small_file(repo: mvc.Repo) -> None:
    """An adapter of a few kilobytes is a plain blob; its tensors are there all the same."""
    write_model(repo.worktree / "adapter.safetensors", {"lora.a": np.arange(6, dtype=np.float32).reshape(2, 3)})
    repo.add(["."])
    repo.commit("adapter", author=ANA)
    assert repo.tensors("HEAD", "adapter.safetensors")["lora.a"].shape == (2, 3)
    assert repo.read_tensor("HEAD", "adapter.safetensors", "lora.a").tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(NotFound, match=r"lora\.b") as error:
        repo.read_tensor("HEAD", "adapter.safetensors", "lora.b")
    assert error.value.hint == "did you mean lora.a?"


def test_a_commit_finds_what_the_project_declares(repo: mvc.Repo) -> None:
    declared = "metrics: m.json\nparams: gone.yaml\ntags: {task: ner}\ndatasets: {train: data}\n"
    (repo.worktree / "mvc.yaml").write_text(declared)
    (repo.worktree / "m.json").write_text('{"acc": 0.9, "loss": 1}')
    repo.add(["."])
    with pytest.warns(UserWarning, match=r"mvc.yaml: line 2: params: gone.yaml is not there"):
        first = repo.commit("x", metrics={"acc": 0.5}, datasets={"train": "hf://glue"}, author=ANA)
    found = repo.show(first)
    assert found.metrics == {"acc": 0.5, "loss": 1} and found.tags == {"task": "ner"}
    assert [one.location for one in found.datasets] == ["hf://glue"]
    second = repo.commit("y", metrics={"acc": 0.6}, allow_empty=True, author=ANA, project=False)
    assert repo.show(second).metrics == {"acc": 0.6} and repo.show(second).tags == {}
    (repo.worktree / "mvc.yaml").write_text("metrics: [")
    with pytest.raises(ParseError, match=r"mvc\.yaml") as error:
        repo.commit("z", allow_empty=True, author=ANA)
    assert error.value.hint == "project=False leaves mvc.yaml alone"


def test_checkout_asks_nobody_who_they_are(repo: mvc.Repo) -> None:
    for text in "ab":
        (repo.worktree / "notes").write_text(text)
        repo.add(["."])
        repo.commit(text, author=ANA)
    repo.checkout("HEAD~1")
    assert (repo.worktree / "notes").read_text() == "a"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_a_long_training_keeps_few_files_open(repo: mvc.Repo) -> None:
    """Each commit makes a pack; the ones that others took the place of were kept open until the process ended."""
    counts = []
    for number in range(60):
        (repo.worktree / "notes").write_text(str(number))
        repo.add(["."])
        repo.commit(str(number), author=ANA)
        assert repo.read_file(f"HEAD~{number // 2}", "notes")
        counts.append(len(os.listdir("/proc/self/fd")))
    # The number rises and falls with the garbage collector, which other tests' objects set off too. One that leaked a
    # descriptor a commit would have risen by 20.
    assert max(counts[40:]) < max(counts[:40]) + 10


def test_what_a_clone_lacks_comes_when_it_is_read(repo: mvc.Repo, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"t{n}": rng.normal(size=(300, 300)).astype(np.float32) for n in range(4)}
    write_model(repo.worktree / "m.safetensors", tensors)
    repo.add(["."])
    first = repo.commit("one", author=ANA)
    write_model(repo.worktree / "m.safetensors", {**tensors, "t0": tensors["t1"]})
    repo.commit("two", stage_all=True, author=ANA)
    for arguments in (["remote", "add", "origin", "../hub"], ["push", "-q", "origin", "main"]):
        _mvc(repo.worktree, *arguments)
    _mvc(tmp_path, "clone", "-q", "-n", "hub", "copy")
    with mvc.Repo.open(tmp_path / "copy") as copy:
        stored = tmp_path / "copy" / ".mvc" / "chunks" / "packs"
        assert not list(stored.rglob("*.pack"))
        assert np.array_equal(copy.read_tensor("HEAD", "m.safetensors", "t2"), tensors["t2"])
        size = sum(path.stat().st_size for path in stored.rglob("*.pack"))
        assert size < 1.1 * tensors["t2"].nbytes
        assert copy.read_file(first, "m.safetensors") == copy.read_file("HEAD~1", "m.safetensors")
        copy.checkout(first, force=True)
        assert (tmp_path / "copy" / "m.safetensors").stat().st_size > sum(one.nbytes for one in tensors.values())
        copy.close()
        assert np.array_equal(copy.read_tensor("HEAD", "m.safetensors", "t0"), tensors["t0"])
    (tmp_path / "hub").rename(tmp_path / "gone")
    _mvc(tmp_path, "clone", "-q", "-n", "gone", "other")
    (tmp_path / "gone").rename(tmp_path / "hub")
    with mvc.Repo.open(tmp_path / "other") as other, pytest.raises(mvc.MvcError):
        other.read_tensor("HEAD", "m.safetensors", "t2")


def _mvc(cwd: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "mvc", *arguments], cwd=cwd, check=True)


def test_the_environment_names_the_author(repo: mvc.Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for the command line: a container has no config."""
    monkeypatch.delenv("MVC_AUTHOR_NAME", raising=False)
    with pytest.raises(mvc.errors.UsageError, match="it is not known who you are"):
        repo.commit("x", allow_empty=True)
    monkeypatch.setenv("MVC_AUTHOR_NAME", "CI")
    monkeypatch.setenv("MVC_AUTHOR_EMAIL", "ci@example.org")
    first = repo.commit("x", allow_empty=True)
    assert repo.show(first).author.name == "CI"
    own = mvc.Repo(
        mvc.Repo.open(repo.worktree)._repo, environment={"MVC_AUTHOR_NAME": "Ann", "MVC_AUTHOR_EMAIL": "a@b"}
    )
    assert own.show(own.commit("y", allow_empty=True)).author.name == "Ann"
