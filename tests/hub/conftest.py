"""What the tests of servers share: a folder with a repository to serve, and the stores of the tests of backends."""

from __future__ import annotations

import pytest

from tests.backends.conftest import radosgw
from tests.hub.made import NOISE, Made, pushed

__all__ = ["radosgw"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """`team/model`, with a pack of some size, below a folder that a server may serve."""
    top = tmp_path_factory.mktemp("served")
    return pushed(top / "all" / "team" / "model", top / "peer", noise=NOISE)
