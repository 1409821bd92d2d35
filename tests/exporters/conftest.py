from __future__ import annotations

from pathlib import Path

import pytest

from tests.importers.importing import Target


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A fresh repository to export from."""
    return Target(tmp_path / "target")
