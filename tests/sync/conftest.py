"""A backend in memory, and repositories beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvc.backends.memory import MemoryBackend
from tests.sync.making import Peer, Peers


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def peers(tmp_path: Path, backend: MemoryBackend) -> Peers:
    def make(name: str) -> Peer:
        (tmp_path / name).mkdir(exist_ok=True)
        return Peer(tmp_path / name, backend)

    return make
