from __future__ import annotations

from pathlib import Path

import pytest

from tests.objects.realgit import RealGit


@pytest.fixture
def git(tmp_path: Path) -> RealGit:
    return RealGit(tmp_path / "repo")
