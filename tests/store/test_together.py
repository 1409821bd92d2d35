"""Writers and gc in processes of their own, all at once: what is published can be read, whatever gc did meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from mvc import fsio
from mvc.hashing import digest
from mvc.settings import StoreSettings
from mvc.store.chunkstore import ChunkStore
from tests.store.making import add, chunk, open_store, prune

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SECONDS = float(os.environ.get("MVC_TEST_SECONDS", "2"))
UNIVERSE = 60
RAWS = [chunk(n, 150) for n in range(UNIVERSE)]


def opened(root: Path) -> ChunkStore:
    return open_store(root, StoreSettings(pack_size=1500, threads=1))


def published(root: Path) -> set[bytes]:
    """What all refs name. A ref is a file of names that its writer replaces."""
    names: set[bytes] = set()
    for ref in (root / "refs").iterdir():
        data = ref.read_bytes()
        names.update(data[at : at + 32] for at in range(0, len(data), 32))
    return names


def publish(root: Path, ref: str, names: list[bytes]) -> None:
    fsio.write_atomic(root / "refs" / ref, b"".join(names), tmp_dir=root, sync=False)


def write(root: Path, number: int) -> None:
    """Store random sets of chunks out of few, so that most are garbage of other writers, and publish each set."""
    rng = random.Random(number * 1000 + os.getpid())
    deadline = time.monotonic() + SECONDS
    store = opened(root)
    while time.monotonic() < deadline:
        wanted = rng.sample(range(UNIVERSE), rng.randrange(1, 12))
        with store.intend("test") as intent, store.writer(intent) as writer:
            for at, n in enumerate(wanted):
                base = digest(RAWS[wanted[at - 1]])
                before = writer.find(base) if at and rng.random() < 0.5 else None
                # gc may have taken the copy that was found, and left a deeper one: only what is adopted stays.
                if before is not None and before.depth < 4 and writer.adopt((base,), before.depth + 1):
                    add(writer, RAWS[n], [base], before.depth + 1)
                else:
                    add(writer, RAWS[n])
                if number == 2 and rng.random() < 0.005:
                    os.kill(os.getpid(), signal.SIGKILL)
            writer.flush()
            intent.check()
            publish(root, str(number), [digest(RAWS[n]) for n in wanted])
        for n in wanted:
            assert store.read(digest(RAWS[n])) == RAWS[n]


def collect(root: Path) -> None:
    deadline = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < deadline or rounds < 3:
        store = opened(root)
        cutoff = store.begin_sweep(grace_seconds=0, tmp_grace_seconds=0)
        live = published(root)
        store.remove_unreachable(live, cutoff, prune_now=rounds % 2 == 0)
        rounds += 1


def read(root: Path) -> None:
    """A reader that keeps its store open all along, and reads what is published."""
    store = opened(root)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for ref in (root / "refs").iterdir():
            data = ref.read_bytes()
            for at in range(0, len(data), 32):
                name = data[at : at + 32]
                try:
                    found = bytes(store.read(name))
                except Exception:
                    if ref.read_bytes() == data:  # else its writer has published another set meanwhile
                        raise
                    break
                assert digest(found) == name


def test_writers_readers_and_gc(tmp_path: Path) -> None:
    (tmp_path / "refs").mkdir()
    opened(tmp_path)
    context = multiprocessing.get_context("fork")
    jobs = [
        *((write, (tmp_path, number)) for number in range(3)),
        (collect, (tmp_path,)),
        (read, (tmp_path,)),
    ]
    children = [context.Process(target=target, args=args) for target, args in jobs]
    for child in children:
        child.start()
    for child in children:
        child.join()
    codes = [child.exitcode for child in children]
    assert codes == [0, 0, codes[2], 0, 0] and codes[2] in (0, -9)
    store = opened(tmp_path)
    live = published(tmp_path)
    prune(store, live)
    store = opened(tmp_path)
    assert store.verify() == []
    for name in live:
        assert digest(store.read(name)) == name
