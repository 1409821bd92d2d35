"""The Python interface where docs/python.md, which is doctested, says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import mvc
from mvc.errors import NotFound
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
