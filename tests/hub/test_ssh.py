"""ssh: addresses that could be taken for something else, and a real sshd at the other end."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvc.backends.base import Backend
from mvc.backends.open import is_local, open_backend
from mvc.backends.ssh import command_of, parse
from mvc.errors import MvcError, NetworkError, NotFound, UsageError
from tests.hub import sshd
from tests.sync.making import MAIN, TRACKED, Peer, model, noise, tuned

needs_sshd = pytest.mark.skipif(bool(sshd.reason()), reason=sshd.reason() or "there is one")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as found:
        yield found


# ---- addresses


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ssh://host/models/x", ["ssh", "host", "mvc serve --stdio /models/x"]),
        ("ssh://me@host:2222/m", ["ssh", "-p", "2222", "me@host", "mvc serve --stdio /m"]),
        ("ssh://host/~/m", ["ssh", "host", "mvc serve --stdio '~/m'"]),
        ("me@host:models/x y", ["ssh", "me@host", "mvc serve --stdio 'models/x y'"]),
        ("host:$(touch x)", ["ssh", "host", "mvc serve --stdio '$(touch x)'"]),
        ("host:it's", ["ssh", "host", """mvc serve --stdio 'it'"'"'s'"""]),
        ("host:-x", ["ssh", "host", "mvc serve --stdio ./-x"]),
        ("ssh://[::1]/m", ["ssh", "::1", "mvc serve --stdio /m"]),
        ("ssh://host/m?mvc=/opt/mvc", ["ssh", "host", "/opt/mvc serve --stdio /m"]),
        ("ssh://host/m?mvc=~/bin/mvc", ["ssh", "host", "~/bin/mvc serve --stdio /m"]),
        ("ssh://host/a%20b", ["ssh", "host", "mvc serve --stdio '/a b'"]),
    ],
)
def test_what_is_started(url: str, words: list[str]) -> None:
    assert not is_local(url)
    assert command_of(parse(url, {}), {}) == words


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=touch%20x/m",
        "ssh://-oProxyCommand=x@host/m",
        "-oProxyCommand=touch x:m",
        "-x@host:m",
        "ssh://user:secret@host/m",
        "ssh://host/m?mvc=rm%20-rf%20x;mvc",
        "ssh://host/m?mvc=$(x)",
        "ssh://host/m?mvc=-x",
        "ssh://host/m?other=1",
        "ssh://host/m#f",
        "ssh://ho st/m",
        "ssh://host/a%0ab",
        "ssh:///m",
        "ssh://host",
        "host:",
        "ssh://host:99999999/m",
    ],
)
def test_what_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as error:
        command_of(parse(url, {}), {})
    assert "secret" not in error.value.message


@pytest.mark.parametrize("path", ["/a:b", "./a:b", "a/b:c", "C:\\models", "C:/models", "plain", "/", "."])
def test_what_is_a_path(path: str) -> None:
    assert is_local(path)


def test_which_ssh() -> None:
    address = parse("host:m", {})
    assert command_of(address, {"GIT_SSH": "/opt/ssh"})[0] == "/opt/ssh"
    words = command_of(address, {"GIT_SSH_COMMAND": "git-ssh", "MVC_SSH_COMMAND": "ssh -v"})
    assert words[:2] == ["sh", "-c"] and words[2].startswith("ssh -v ")
    assert command_of(parse("host:m", {"MVC_REMOTE_COMMAND": "nice mvc"}), {})[-1] == "nice mvc serve --stdio m"


# ---- without ssh: what it would start


def local(folder: Path, **environment: str) -> Backend:
    """Starts the far side here, in the place of ssh."""
    here = f"env PYTHONPATH={shlex.quote(os.fspath(sshd.ROOT))} {shlex.quote(sys.executable)} -m"
    found = {**os.environ, "MVC_SSH_COMMAND": 'f() { shift; eval "$@"; }; f', "MVC_REMOTE_COMMAND": f"{here} mvc"}
    return open_backend(f"ssh://here{folder}", environment={**found, **environment})


def peer(tmp_path: Path, name: str, backend: Backend) -> Peer:
    (tmp_path / name).mkdir(exist_ok=True)
    return Peer(tmp_path / name, backend)


def share(tmp_path: Path, url_of: object) -> None:
    """Alice pushes, Bob takes it, changes it and pushes; Alice takes that."""
    assert callable(url_of)
    alice, bob = (peer(tmp_path, name, url_of()) for name in ("alice", "bob"))
    alice.commit({"m.safetensors": model(), "a": b"1", "x.bin": noise(3_000_000)})
    assert alice.push().refs[0].status == "new"
    assert alice.push().refs[0].status == "up-to-date"
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == noise(3_000_000)
    second = bob.commit({"m.safetensors": tuned()})
    bob.push()
    alice.fetch()
    alice.checkout(TRACKED)
    assert alice.read("m.safetensors") == tuned() and alice.repo.refs.read(TRACKED) == second
    for one in (alice, bob):
        one.check()
        one.backend.close()


def test_a_pipe_carries_it_all(tmp_path: Path) -> None:
    share(tmp_path, lambda: local(tmp_path / "remote"))


def test_a_repository_with_a_worktree_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    work = peer(tmp_path, "work", local(tmp_path / "x"))
    for folder in (work.top, work.top / ".mvc"):
        backend = local(folder)
        with pytest.raises(NetworkError, match="exit code 5"):
            backend.get("mvc-remote")
        backend.close()
    assert "somebody works in" in capfd.readouterr().err


def test_nobody_has_pushed_there(tmp_path: Path) -> None:
    backend = local(tmp_path / "nothing")
    with pytest.raises(NotFound):
        peer(tmp_path, "alice", backend).fetch()
    assert not (tmp_path / "nothing").exists()
    backend.close()


@pytest.mark.parametrize("after", [0.02, 0.1, 0.3, 0.6])
def test_the_far_side_is_killed_while_it_works(tmp_path: Path, after: float) -> None:
    """Whatever was killed: a repeat completes, and both sides are whole."""
    pids = tmp_path / "pids"
    kept = f"echo $$ >> {shlex.quote(os.fspath(pids))}; exec"
    here = f"env PYTHONPATH={shlex.quote(os.fspath(sshd.ROOT))} {shlex.quote(sys.executable)} -m mvc"
    backend = local(tmp_path / "remote", MVC_REMOTE_COMMAND=f"{kept} {here}")
    alice = peer(tmp_path, "alice", backend)
    alice.commit({"m.safetensors": model(), "x.bin": noise(5_000_000)})
    ended = threading.Event()

    def kill() -> None:
        while not pids.exists() and not ended.is_set():
            time.sleep(0.01)
        time.sleep(after)
        for line in pids.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with contextlib.suppress(MvcError):
            alice.push()
    finally:
        ended.set()
        killer.join()
        backend.close()
    alice.backend = local(tmp_path / "remote")
    alice.push()
    alice.backend.close()
    bob = peer(tmp_path, "bob", local(tmp_path / "remote"))
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == noise(5_000_000)
    alice.check()
    bob.check()
    bob.backend.close()


# ---- through sshd


@needs_sshd
def test_through_a_real_sshd(server: sshd.Sshd, tmp_path: Path) -> None:
    share(tmp_path, lambda: open_backend(server.url(tmp_path / "re mote"), environment=server.environment))


@needs_sshd
def test_no_mvc_there(server: sshd.Sshd, tmp_path: Path) -> None:
    backend = open_backend(
        f"ssh://{server.user}@127.0.0.1:{server.port}{tmp_path}/x?mvc=no-such-mvc", environment=server.environment
    )
    with pytest.raises(NetworkError, match="no mvc on its path"):
        backend.get("mvc-remote")


@needs_sshd
def test_no_way_in(server: sshd.Sshd, tmp_path: Path) -> None:
    command = server.environment["MVC_SSH_COMMAND"].replace("IdentitiesOnly=yes", "PubkeyAuthentication=no")
    backend = open_backend(server.url(tmp_path), environment={**server.environment, "MVC_SSH_COMMAND": command})
    with pytest.raises(NetworkError, match="ssh could not connect"):
        backend.get("mvc-remote")


@needs_sshd
def test_the_command_line(server: sshd.Sshd, tmp_path: Path) -> None:
    """As people use it: clone, push, pull."""

    def mvc(*words: str, cwd: Path = tmp_path) -> str:
        environment = {**os.environ, "PYTHONPATH": os.fspath(sshd.ROOT), "HOME": os.fspath(tmp_path)}
        environment |= {"MVC_AUTHOR_NAME": "a", "MVC_AUTHOR_EMAIL": "a@example.org"}
        done = subprocess.run(
            [sys.executable, "-m", "mvc", *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    mvc("init", "alice")
    alice = tmp_path / "alice"
    (alice / "x.bin").write_bytes(noise(200_000))
    mvc("add", ".", cwd=alice)
    mvc("commit", "-m", "first", cwd=alice)
    mvc("remote", "add", "origin", f"{server.user}@127.0.0.1:{tmp_path}/remote", cwd=alice)
    mvc("config", "core.sshCommand", f"{server.environment['MVC_SSH_COMMAND']} -p {server.port}", cwd=alice)
    mvc("config", "remote.origin.mvcCommand", os.fspath(server.mvc), cwd=alice)
    mvc("push", "-u", "origin", "main", cwd=alice)
    assert MAIN in mvc("ls-remote", "origin", cwd=alice)
