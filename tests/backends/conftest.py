"""Servers that several files of tests use."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mvc.store.locks import hold
from tests.backends import servers


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """Ceph's gateway: one for all workers of pytest-xdist, since it takes ten seconds to start."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        with servers.radosgw() as server:
            yield server
    else:
        with shared(tmp_path_factory.getbasetemp().parent / "radosgw", worker) as server:
            yield server


def withdraw(folder: Path, about: Path) -> None:
    """Nobody takes it from now on. With the lock: who has seen that it is there reads it."""
    with hold(folder / "start.lock", wait=600):
        about.unlink()


@contextlib.contextmanager
def shared(folder: Path, worker: str) -> Iterator[servers.Server]:
    """A server that the first worker starts, and stops when no other uses it any more."""
    folder.mkdir(exist_ok=True)
    # A worker uses it more than once where several folders of tests import the fixture: each has a file of its own.
    mine, about = folder / f"{worker}-{uuid.uuid4().hex}.user", folder / "server.json"
    with contextlib.ExitStack() as stack:
        with hold(folder / "start.lock", wait=600):
            mine.touch()
            if about.exists():
                server = servers.Server(**json.loads(about.read_text()))
            else:
                server = stack.enter_context(servers.radosgw())
                about.write_text(json.dumps(dataclasses.asdict(server)))
                # A worker may have the longest tests of all before it, and its end is the end of the session.
                others = partial(servers.wait_for, lambda: not list(folder.glob("*.user")), "the end of others' tests")
                stack.callback(others, seconds=3600)
                stack.callback(withdraw, folder, about)
        try:
            yield server
        finally:
            with hold(folder / "start.lock", wait=600):
                mine.unlink()
