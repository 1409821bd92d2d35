"""A repository to train in, and an author, whatever the machine says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mvc.repo.create import init
from mvc.repo.repository import Repository
from tests.training.weights import Weights


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("XDG_CONFIG_HOME", "MVC_DIR", "MVC_STORE", "GIT_CONFIG_GLOBAL", "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MVC_AUTHOR_NAME", "Ann Other")
    monkeypatch.setenv("MVC_AUTHOR_EMAIL", "ann@example.org")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return init(tmp_path / "repo", initial_branch="main")[0]


@pytest.fixture
def weights() -> Callable[[int], Weights]:
    """The weights of a step: a little further than those of the step before."""

    def at(step: int) -> Weights:
        base = np.random.default_rng(0).standard_normal((400, 256)).astype(np.float32)
        return {"layer.weight": base + np.float32(step) * np.float32(1e-6), "layer.bias": base[0] * step}

    return at
