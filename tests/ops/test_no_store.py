"""`pull --no-store`: what comes goes into the files, and nowhere else."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from mvc.backends.faulty import Fault, FaultyBackend, at
from mvc.backends.memory import MemoryBackend
from mvc.errors import MvcError
from mvc.ops.reset import Mode, reset
from mvc.ops.status import status
from mvc.repo.repository import Repository
from mvc.sync.streamed import Streamed
from tests.cli.conftest import mvc, own_world  # noqa: F401
from tests.cli.test_remote_verbs import chunks
from tests.cli.world import Mvc
from tests.sync.conftest import backend, peers  # noqa: F401
from tests.sync.making import Counted, Peer, Peers, model, noise, tuned

MB = 1 << 20


def streaming(peer: Peer, store: object) -> tuple[Repository, Streamed]:

    source = Streamed(peer.repo, lambda _config: peer.remote(store))  # type: ignore[arg-type]
    return replace(peer.repo, streamed=source), source


def stream(peer: Peer, revision: str, store: object) -> int:
    repo, source = streaming(peer, store)
    reset(repo, revision, Mode.HARD, caller=peer.caller)
    source.close()
    return source.moved


def test_files_come_and_no_chunk_stays(peers: Peers, backend: MemoryBackend) -> None:  # noqa: F811
    alice, bob = peers("alice"), peers("bob")
    files = {"a.bin": noise(40 * MB, 1), "m.safetensors": model(width=512), "b.bin": noise(3 * MB, 2), "small": b"x"}
    first = alice.commit(files)
    second = alice.commit({"m.safetensors": tuned(width=512)})
    alice.push()
    bob.fetch()
    counted = Counted(backend)
    moved = stream(bob, first, counted)
    assert all(bob.read(path) == data for path, data in files.items())
    assert not bob.chunk_names() and moved > 43 * MB
    assert sum(1 for call, key in counted.calls if key.startswith("packs/")) < 25
    # Of what stands here nothing comes again: neither what stayed, nor what a difference rests on.
    time.sleep(0.05)
    status(bob.repo)  # a file as new as the stage is not trusted to be as it was written
    again = stream(bob, second, backend)
    assert bob.read("m.safetensors") == tuned(width=512) and not bob.chunk_names()
    assert again < 0.7 * len(tuned(width=512))
    bob.check()


def test_what_is_here_is_not_asked_for(peers: Peers, backend: MemoryBackend) -> None:  # noqa: F811
    alice, bob = peers("alice"), peers("bob")
    commit = alice.commit({"a.bin": noise(5 * MB, 1)})
    alice.push()
    bob.fetch()
    bob.checkout(commit)
    (bob.top / "a.bin").unlink()
    counted = Counted(backend)
    stream(bob, commit, counted)
    assert bob.read("a.bin") == noise(5 * MB, 1)
    assert not [key for call, key in counted.calls if key.startswith("packs/")]


class Busiest:
    """Passes on to another backend, and knows how many ranges of packs it was asked for at once.

    The first wait for each other until there were as many as there may be.
    """

    def __init__(self, inner: MemoryBackend, jobs: int) -> None:
        self.inner, self.now, self.most, self.lock = inner, 0, 0, threading.Lock()
        self.jobs, self.enough = jobs, threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if not key.startswith("packs/"):
            return self.inner.get(key, offset, length)
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now >= self.jobs:
                self.enough.set()
        assert self.enough.wait(300)
        time.sleep(0.005)
        with self.lock:
            self.now -= 1
        return self.inner.get(key, offset, length)


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_at_once_than_was_said(peers: Peers, backend: MemoryBackend, jobs: int) -> None:  # noqa: F811
    alice, bob = peers("alice"), peers("bob")
    files = {f"{number}.bin": noise(10 * MB, number) for number in range(4)}
    commit = alice.commit(files)
    alice.push()
    bob.fetch()
    store = Busiest(backend, jobs)
    source = Streamed(bob.repo, lambda _config: bob.remote(store), jobs=jobs)  # type: ignore[arg-type]
    reset(replace(bob.repo, streamed=source), commit, Mode.HARD, caller=bob.caller)
    source.close()
    assert store.most == jobs and all(bob.read(path) == data for path, data in files.items())


def test_memory_is_bounded(peers: Peers, backend: MemoryBackend) -> None:  # noqa: F811
    alice, bob = peers("alice"), peers("bob")
    data = b"".join(os.urandom(4096) * 256 for _ in range(200))  # 200 MB that take 1
    commit = alice.commit({"a.bin": data})
    alice.push()
    bob.fetch()
    tracemalloc.start()
    stream(bob, commit, backend)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bob.read("a.bin") == data and peak < 150 * MB


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.CUT, Fault.WRONG])
def test_a_fault_leaves_what_stood(peers: Peers, backend: MemoryBackend, fault: Fault) -> None:  # noqa: F811
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"m.safetensors": model(width=256), "a.bin": noise(200_000, 1)})
    second = alice.commit({"m.safetensors": tuned(width=256), "a.bin": noise(200_000, 2)})
    alice.push()
    bob.fetch()
    counted = Counted(backend)
    stream(bob, first, counted)
    for number in range(len(counted.calls)):
        try:
            stream(bob, second, FaultyBackend(backend, at({number: fault})))
        except MvcError:
            whole = {bob.read("a.bin"), bob.read("m.safetensors")}
            assert whole <= {noise(200_000, 1), noise(200_000, 2), model(width=256), tuned(width=256)}
        stream(bob, second, backend)
        assert bob.read("m.safetensors") == tuned(width=256) and bob.read("a.bin") == noise(200_000, 2)
        stream(bob, first, backend)
    assert not bob.chunk_names()
    bob.check()


def test_as_typed(mvc: Mvc, tmp_path: Path) -> None:  # noqa: F811
    ann = tmp_path / "ann"
    ann.mkdir()
    mvc("init", cwd=ann)
    (ann / "model.bin").write_bytes(os.urandom(300_000))
    mvc("add", ".", cwd=ann)
    mvc("commit", "-m", "one", cwd=ann)
    mvc("remote", "add", "origin", "../hub", cwd=ann)
    mvc("push", "-u", "origin", "main", cwd=ann)
    mvc("clone", "hub", "copy", cwd=tmp_path)
    copy = tmp_path / "copy"
    before = chunks(mvc, copy)
    (ann / "model.bin").write_bytes(os.urandom(300_000))
    mvc("commit", "-am", "two", cwd=ann)
    mvc("push", cwd=ann)
    ran = mvc("pull", "--no-store", cwd=copy)
    assert (copy / "model.bin").read_bytes() == (ann / "model.bin").read_bytes()
    assert "for 300 kB of model" in ran.err and chunks(mvc, copy) == before
    assert mvc("status", "--porcelain", cwd=copy).out == "" and mvc("fsck", cwd=copy).code == 0
    # What is not in the store comes when it is needed, as ever.
    (copy / "model.bin").unlink()
    mvc("restore", ".", cwd=copy)
    assert chunks(mvc, copy) > before
