"""sftp:// keeps the contract, towards a real sshd; what is refused, and that no host is trusted unseen."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.backends.base import Backend
from mvc.backends.open import open_backend
from mvc.backends.retrying import RetryingBackend
from mvc.backends.sftp_address import parse
from mvc.errors import MvcError, NetworkError, NotFound, RemoteRefused, RemoteUnavailable, Unsupported, UsageError
from tests.backends.contract import Contract
from tests.backends.servers import reserved_port, wait_for
from tests.hub import sshd

needs_asyncssh = pytest.mark.skipif(find_spec("asyncssh") is None, reason="asyncssh is not installed")
needs_sshd = pytest.mark.skipif(bool(sshd.reason()), reason=sshd.reason() or "there is one")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
if find_spec("asyncssh") is not None:
    from mvc.backends.sftp import open_sftp


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as found:
        yield found


def opened(server: sshd.Sshd, path: Path, **environment: str) -> Backend:
    """Without retries: what happens once is what is looked at."""
    return open_sftp(parse(server.sftp(path), {"HOME": os.fspath(server.home), **environment}))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sftp://host/models/x", (None, "host", None, "/models/x")),
        ("sftp://me@host:2222/m", ("me", "host", 2222, "/m")),
        ("sftp://host/~/m", (None, "host", None, "~/m")),
        ("sftp://[::1]/a%20b", (None, "::1", None, "/a b")),
    ],
)
def test_addresses(url: str, place: tuple[object, ...]) -> None:
    assert parse(url, {}).place == place


@pytest.mark.parametrize(
    "url",
    [
        "sftp://user:secret@host/m",
        "sftp://-oProxyCommand=secret/m",
        "sftp://$(secret)/m",
        "sftp://host/m?mvc=secret",
        "sftp://host/m#secret",
        "sftp://ho st/m",
        "sftp://host/a%0ab",
        "sftp:///m",
        "sftp://host",
        "sftp://host/",
        "sftp://host/~/",
        "sftp://host:99999999/m",
    ],
)
def test_what_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as error:
        open_backend(url, environment={})
    assert "secret" not in f"{error.value.message} {error.value.hint}"


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        place = parse(f"sftp://{text}", {}).place
        assert not place.host.startswith("-") and not (place.user or "").startswith("-")
        assert place.path[0] == "/" or place.path[:1] == "~"


def test_without_asyncssh_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mvc.backends.sftp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(Unsupported, match="sftp:// needs the package asyncssh") as caught:
        open_backend("sftp://host/m", environment={})
    assert caught.value.hint == "pip install 'mvc-models[sftp]'"


@needs_asyncssh
@needs_sshd
class TestSftp(Contract):
    @pytest.fixture
    def backend(self, server: sshd.Sshd, tmp_path: Path) -> Iterator[Backend]:
        backend = opened(server, tmp_path / "re mote")
        yield backend
        backend.close()


@needs_asyncssh
@needs_sshd
class TestServer:
    """What the contract does not say."""

    def test_a_shared_folder_stays_one(self, server: sshd.Sshd, tmp_path: Path) -> None:
        root = tmp_path / "shared"
        root.mkdir()
        root.chmod(0o2770)
        backend = opened(server, root)
        backend.put("a/b", b"1")
        backend.put_if_absent("c", b"1")
        backend.close()
        assert stat.S_IMODE((root / "a").stat().st_mode) == 0o2770
        assert {stat.S_IMODE((root / name).stat().st_mode) for name in ("a/b", "c")} == {0o660}

    def test_what_is_above_is_not_made(self, server: sshd.Sshd, tmp_path: Path) -> None:
        backend = opened(server, tmp_path / "no/such")
        with pytest.raises(NotFound, match="folder above"):
            backend.put("k", b"1")
        backend.close()
        assert not (tmp_path / "no").exists()

    def test_what_killed_writers_left_goes_after_days(self, server: sshd.Sshd, tmp_path: Path) -> None:
        (tmp_path / ".tmp").mkdir()
        for name, days in (("old", 4), ("new", 1)):
            (tmp_path / ".tmp" / name).touch()
            os.utime(tmp_path / ".tmp" / name, (time.time() - days * 86400,) * 2)
        backend = opened(server, tmp_path)
        backend.put("k", b"1")
        backend.close()
        assert [file.name for file in (tmp_path / ".tmp").iterdir()] == ["new"]

    def test_what_may_not_be_read(self, server: sshd.Sshd, tmp_path: Path) -> None:
        if os.getuid() == 0:
            pytest.skip("root may read everything")
        (tmp_path / "k").touch(mode=0)
        backend = opened(server, tmp_path)
        with pytest.raises(RemoteRefused):
            backend.get("k")
        backend.close()

    @needs_proc
    def test_a_broken_line_is_made_anew(self, server: sshd.Sshd, tmp_path: Path) -> None:
        backend = RetryingBackend(opened(server, tmp_path))
        backend.put("k", b"1")
        send(server.sessions(), signal.SIGKILL)
        assert backend.get("k") == b"1"
        backend.close()

    @needs_proc
    def test_a_server_that_stands_still_is_given_up(self, server: sshd.Sshd, tmp_path: Path) -> None:
        from mvc.backends.sftp import SftpBackend
        from mvc.backends.sftp_line import Line

        address = parse(server.sftp(tmp_path), {"HOME": os.fspath(server.home)})
        line = Line(address)
        backend = SftpBackend(address, line=line)
        backend.put("k", b"1")
        pids = server.sessions()
        try:
            send(pids, signal.SIGSTOP)
            patience, line._stall = line._stall, 0.5
            with pytest.raises(RemoteUnavailable, match="does not answer"):
                backend.get("k")
            line._stall = patience
        finally:
            send(pids, signal.SIGCONT)
        assert backend.get("k") == b"1"
        backend.close()

    def test_an_agent_is_enough(self, server: sshd.Sshd, tmp_path: Path) -> None:
        if shutil.which("ssh-agent") is None:
            pytest.skip("ssh-agent is not installed")
        home = copied(server, tmp_path, config="")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "s")], stdout=subprocess.DEVNULL)
        try:
            environment = {**os.environ, "SSH_AUTH_SOCK": str(tmp_path / "s")}
            add = ["ssh-add", "-q", server.home.parent / "user"]
            wait_for(lambda: not subprocess.run(add, env=environment, check=False).returncode, "ssh-agent")
            backend = opened(server, tmp_path, HOME=str(home), SSH_AUTH_SOCK=environment["SSH_AUTH_SOCK"])
            backend.put("k", b"1")
            backend.close()
        finally:
            agent.kill()
            agent.wait()

    @pytest.mark.parametrize("known", ["", "other", None])
    @pytest.mark.parametrize(
        "config", ["", "StrictHostKeyChecking no\nUserKnownHostsFile none\n", "UserKnownHostsFile /dev/null\n"]
    )
    def test_no_host_is_trusted_unseen(self, server: sshd.Sshd, tmp_path: Path, known: str | None, config: str) -> None:
        other = f"[127.0.0.1]:{server.port} {(server.home.parent / 'user.pub').read_text()}"
        home = copied(server, tmp_path, config=f"IdentityFile {server.home.parent}/user\n{config}")
        file = home / ".ssh/known_hosts"
        if known is None:
            file.unlink()
        else:
            file.write_text(other if known else "")
        backend = opened(server, tmp_path, HOME=str(home))
        with pytest.raises(NetworkError, match="does not stand in known_hosts") as caught:
            backend.put("k", b"1")
        assert caught.value.hint == f"connect once by ssh, and compare the fingerprint: ssh -p {server.port} 127.0.0.1"
        backend.close()
        assert not (tmp_path / "k").exists()

    def test_no_key_of_ours(self, server: sshd.Sshd, tmp_path: Path) -> None:
        backend = opened(server, tmp_path, HOME=str(copied(server, tmp_path, config="PubkeyAuthentication no\n")))
        with pytest.raises(RemoteRefused, match="takes none of our keys"):
            backend.get("k")
        backend.close()

    def test_a_config_that_names_nothing(self, server: sshd.Sshd, tmp_path: Path) -> None:
        for config in ("IdentityFile /no/such/key\n", "Port x\n", "Match nonsense x\n"):
            shutil.rmtree(tmp_path / "home", ignore_errors=True)
            backend = opened(server, tmp_path, HOME=str(copied(server, tmp_path, config=config)))
            with pytest.raises(MvcError) as caught:
                backend.get("k")
            assert isinstance(caught.value, NetworkError | RemoteRefused)
            backend.close()

    def test_nobody_there(self, server: sshd.Sshd, tmp_path: Path) -> None:
        with reserved_port() as port:
            backend = open_sftp(parse(f"sftp://127.0.0.1:{port}{tmp_path}", {"HOME": str(server.home)}))
            with pytest.raises(RemoteUnavailable, match="refuses connections"):
                backend.get("k")
            backend.close()
            backend.close()


def send(pids: list[int], what: signal.Signals) -> None:
    """A signal to processes, of which some may end when others do."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def copied(server: sshd.Sshd, folder: Path, *, config: str) -> Path:
    """A home of the test's own."""
    home = folder / "home"
    shutil.copytree(server.home, home)
    (home / ".ssh/config").write_text(config)
    return home
