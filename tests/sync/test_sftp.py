"""Push, fetch and what is broken meanwhile, through sftp:// and a real sshd; and the folder is one of every kind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mvc.backends.base import Backend
from mvc.backends.open import open_backend
from mvc.errors import MvcError
from tests.hub import sshd
from tests.sync.making import TRACKED, Peer, model, noise, tuned

pytestmark = [
    pytest.mark.skipif(find_spec("asyncssh") is None, reason="asyncssh is not installed"),
    pytest.mark.skipif(bool(sshd.reason()), reason=sshd.reason() or "there is one"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.fixture
def there(server: sshd.Sshd, tmp_path: Path) -> Iterator[Callable[[], Backend]]:
    """Opens the remote; all that it opened are closed in the end."""
    with contextlib.ExitStack() as stack:

        def opened() -> Backend:
            backend = open_backend(server.sftp(tmp_path / "remote"), environment={"HOME": os.fspath(server.home)})
            stack.callback(backend.close)
            return backend

        yield opened


def peer(tmp_path: Path, name: str, backend: Backend) -> Peer:
    (tmp_path / name).mkdir(exist_ok=True)
    return Peer(tmp_path / name, backend)


def test_two_share(there: Callable[[], Backend], tmp_path: Path) -> None:
    """Alice over SFTP, Bob over the same folder as a path."""
    alice = peer(tmp_path, "alice", there())
    bob = peer(tmp_path, "bob", open_backend(os.fspath(tmp_path / "remote"), environment={}))
    alice.commit({"m.safetensors": model(), "x.bin": noise(3_000_000)})
    assert alice.push().refs[0].status == "new"
    assert alice.push().refs[0].status == "up-to-date"
    bob.fetch()
    bob.checkout(TRACKED)
    second = bob.commit({"m.safetensors": tuned()})
    bob.push()
    alice.fetch()
    alice.checkout(TRACKED)
    assert alice.read("m.safetensors") == tuned() and alice.repo.refs.read(TRACKED) == second
    for one in (alice, bob):
        one.check()


def test_several_push_to_one_branch(there: Callable[[], Backend], tmp_path: Path) -> None:
    """One wins, and the others are told."""
    peers = [peer(tmp_path, f"p{number}", there()) for number in range(4)]
    peers[0].commit({"a": b"0"})
    peers[0].push()
    for number, one in enumerate(peers):
        one.fetch()
        one.checkout(TRACKED)
        one.commit({f"f{number}": noise(1000, number)})
    statuses: list[str] = []
    threads = [threading.Thread(target=lambda one=one: statuses.append(one.push().refs[0].status)) for one in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == ["ok", "rejected", "rejected", "rejected"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.parametrize("after", [0.02, 0.15, 0.3])
def test_the_line_is_cut_while_it_works(
    server: sshd.Sshd, there: Callable[[], Backend], tmp_path: Path, after: float
) -> None:
    """Every 50 ms, for a while: the push completes by itself or by a repeat, and both sides are whole."""
    alice = peer(tmp_path, "alice", there())
    alice.commit({"m.safetensors": model(), "x.bin": noise(8_000_000)})
    over = threading.Event()

    def cut() -> None:
        time.sleep(after)
        for _ in range(4):
            for pid in server.sessions():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if over.wait(0.05):
                return

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        with contextlib.suppress(MvcError):
            alice.push()
    finally:
        over.set()
        cutter.join()
    alice.push()
    bob = peer(tmp_path, "bob", there())
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == noise(8_000_000)
    alice.check()
    bob.check()


def test_the_command_line(server: sshd.Sshd, tmp_path: Path) -> None:
    """As people use it; the remote is checked and cleaned up over SFTP too."""
    url = server.sftp(tmp_path / "remote")

    def mvc(*words: str, cwd: Path = tmp_path, code: int = 0, home: Path = server.home) -> str:
        environment = {**os.environ, "PYTHONPATH": os.fspath(sshd.ROOT), "HOME": os.fspath(home)}
        environment |= {"MVC_AUTHOR_NAME": "a", "MVC_AUTHOR_EMAIL": "a@example.org"}
        done = subprocess.run(
            [sys.executable, "-m", "mvc", *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    mvc("init", "alice")
    alice = tmp_path / "alice"
    (alice / "x.bin").write_bytes(noise(200_000))
    mvc("add", ".", cwd=alice)
    mvc("commit", "-m", "first", cwd=alice)
    mvc("remote", "add", "origin", url, cwd=alice)
    mvc("push", "-u", "origin", "main", cwd=alice)
    mvc("clone", url, "bob")
    assert (tmp_path / "bob/x.bin").read_bytes() == noise(200_000)
    (alice / "x.bin").write_bytes(noise(200_001))
    mvc("commit", "-qam", "second", cwd=alice)
    mvc("push", cwd=alice)
    mvc("pull", cwd=tmp_path / "bob")
    assert (tmp_path / "bob/x.bin").read_bytes() == noise(200_001)
    mvc("remote", "fsck", "origin", cwd=alice)
    mvc("remote", "gc", "origin", cwd=alice)
    (tmp_path / "stranger/.ssh").mkdir(parents=True)
    said = mvc("ls-remote", url, code=7, home=tmp_path / "stranger")
    assert said.startswith("error: ") and "known_hosts" in said and said.count("\n") == 2
    (tmp_path / "stranger/.ssh/known_hosts").write_text((server.home / ".ssh/known_hosts").read_text())
    said = mvc("ls-remote", url, code=8, home=tmp_path / "stranger")
    assert "takes none of our keys" in said and said.count("\n") == 2
