"""The backend in memory keeps the contract."""

from __future__ import annotations

import pytest

from mvc.backends.base import Backend
from mvc.backends.memory import MemoryBackend
from tests.backends.contract import Contract


class TestMemory(Contract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()
