"""Servers that several files of tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends import servers


@pytest.fixture(scope="session")
def radosgw() -> Iterator[servers.Server]:
    with servers.radosgw() as server:
        yield server
