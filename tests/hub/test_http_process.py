"""A server as a process: how much at once, several processes, TLS, the end."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path
from shutil import which

import pytest

from mvc.backends.open import open_backend
from mvc.hub.messages import Right
from mvc.hub.tokens import open_tokens
from tests.hub.made import INFO, Made, pack_of
from tests.hub.serving import LONG, put, refused, running_now, serving, status_of, wait_until
from tests.sync.making import Peer, noise

# ---- how much at once


def test_too_many_at_once_are_told_to_come_again(made: Made) -> None:
    place = str(made.folder.parents[1])
    with serving(place, "--max-client", "3", "--max-requests", "5") as running:
        one, other = running.token(Right.APPEND, "team/*"), running.token(Right.APPEND, "team/*")
        lease = f"{INFO}objects/leases/{'0' * 32}"
        held = [running.connect() for _ in range(5)]
        for number, connection in enumerate(held):
            connection.sendall(put(lease, 100, one if number < 3 else other))
            if number == 2:
                wait_until(lambda: running_now(running) == 4)
                status, headers, _ = running.ask("GET", INFO, token=one)
                assert (status, headers["retry-after"]) == (429, "1")
                assert running.ask("GET", INFO, token=other)[0] == 200
        wait_until(lambda: running_now(running) == 6)
        status, headers, _ = running.ask("GET", INFO, token=other)
        assert (status, headers["retry-after"]) == (503, "1")
        assert running.ask("GET", "/healthz")[0] == 200
        for connection in held:
            connection.sendall(b"x" * 100)
            assert status_of(connection.recv(1000)) == 201
            connection.close()
        wait_until(lambda: running.ask("GET", INFO, token=one)[0] == 200)


def test_many_download_in_little_memory(made: Made) -> None:
    with serving(str(made.folder.parents[1])) as running:
        token = running.token(Right.READ)
        size = made.size(made.pack)
        came: list[int] = []

        def download() -> None:
            buffer = bytearray(1 << 18)
            with running.connect() as connection:
                connection.sendall(
                    f"GET {pack_of(made)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                total = 0
                while count := connection.recv_into(buffer):
                    total += count
                came.append(total)

        threads = [threading.Thread(target=download) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(came) == 64 and min(came) > size
        assert not [line for line in running.lines() if line["status"] >= 400 or "cut" in line]
        (worker,) = running.workers()
        told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
        assert told and int(told[1]) < 300 * 1024, "64 times the pack would be 1.6 GB"


def test_several_processes_count_together(made: Made) -> None:
    with serving(str(made.folder.parents[1]), "--workers", "2", "--anonymous", "read") as running:
        for _ in range(20):
            assert running.ask("GET", INFO)[0] == 200
        text = running.ask("GET", "/metrics")[2].decode()
        assert re.search(r'^mvc_requests_total\{endpoint="info",method="GET",status="200"\} 20.0$', text, re.M), text
        assert len(running.workers()) == 2


# ---- who asks, what fails


@pytest.mark.slow
def test_a_revoked_token_ends(made: Made, tmp_path: Path) -> None:
    with serving(str(made.folder.parents[1]), "--access-log", os.devnull) as running:
        token = running.token(Right.READ)
        assert running.ask("GET", INFO, token=token)[0] == 200
        open_tokens(running.place, {}).revoke(token.split("_")[1])
        end = time.monotonic() + LONG
        while (status := running.ask("GET", INFO, token=token)[0]) == 200 and time.monotonic() < end:
            time.sleep(0.2)
        assert status == 401


def test_an_open_server(made: Made) -> None:
    with serving(str(made.folder.parents[1]), "--anonymous", "read") as running:
        assert running.ask("GET", INFO)[0] == 200
        assert running.ask("PUT", f"{INFO}objects/leases/{'0' * 32}", b"x")[0] == 401
        writer = running.token(Right.APPEND, "team/new")
        assert running.ask("GET", INFO, token=writer)[0] == 200
        assert running.ask("PUT", f"{INFO}objects/leases/{'0' * 32}", b"x", token=writer)[0] == 403


def test_a_failure_inside_is_for_the_log_alone(made: Made, tmp_path: Path) -> None:
    broken = tmp_path / "all" / "team" / "broken"
    (broken / "txn").mkdir(parents=True)
    (broken / "mvc-remote").write_text("mvc-remote 1\nnaming plain\n")
    (broken / "latest").write_text("1\n")
    (broken / "txn" / "000000000001").write_text("secret nonsense")
    with serving(str(tmp_path / "all")) as running:
        token = running.token(Right.READ)
        status, _, body = running.ask("GET", "/team/broken/-/mvc/1/objects/latest", token=token)
        assert status == 500
        assert b"Traceback" not in body and str(tmp_path).encode() not in body
        assert "Traceback" in running.logged(status=500)["failure"]


# ---- the end


def test_what_runs_comes_to_its_end(made: Made) -> None:
    with serving(str(made.folder.parents[1])) as running:
        token = running.token(Right.APPEND, "team/*")
        data = made.read(made.pack)
        down, up, idle = running.connect(), running.connect(), running.connect()
        down.sendall(f"GET {pack_of(made)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        came = down.recv(1000)
        up.sendall(put(f"{INFO}objects/leases/{'1' * 32}", 100, token) + b"x" * 50)
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status_of(idle.recv(1000)) == 200
        wait_until(lambda: running_now(running) == 3)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(running))
        assert idle.recv(1000) == b"", "who asks nothing is not waited for"
        up.sendall(b"x" * 50)
        assert status_of(up.recv(1000)) == 201
        while part := down.recv(1 << 20):
            came += part
        assert came.endswith(data)
        assert running.process.wait(LONG) == 0
        for connection in (down, up, idle):
            connection.close()


def test_nobody_holds_it_up_for_long(made: Made) -> None:
    with serving(str(made.folder.parents[1]), "--grace", "1", "--stall", "3600", talks=True) as running:
        token = running.token(Right.APPEND, "team/*")
        with running.connect() as connection:
            connection.sendall(put(f"{INFO}objects/leases/{'1' * 32}", 100, token) + b"x" * 50)
            wait_until(lambda: running_now(running) == 2)
            assert running.stop() == 0, "the client is still there, and has an hour"


def test_new_processes_on_sighup(made: Made) -> None:
    with serving(str(made.folder.parents[1])) as running:
        before = running.workers()
        running.log.rename(running.log.with_suffix(".old"))
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.workers() and not set(before) & set(running.workers()))
        assert running.ask("GET", "/healthz")[0] == 200
        assert running.logged(path="/healthz")


@pytest.mark.slow
def test_a_killed_process_is_replaced(made: Made) -> None:
    with serving(str(made.folder.parents[1]), talks=True) as running:
        (before,) = running.workers()
        time.sleep(6)  # granian takes a process that dies young for one that always will
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: running.workers() not in ([], [before]))
        wait_until(lambda: not refused(running))
        assert running.ask("GET", "/healthz")[0] == 200


# ---- TLS


def test_of_a_killed_server_nothing_answers_on(made: Made) -> None:
    """Its processes end with it, once what runs is done: so the next can have the address."""
    # Python's tracker of semaphores outlives it, and says what it takes away: before the test ends, or after.
    with serving(str(made.folder.parents[1]), talks=True) as running:
        lease, token = f"{INFO}objects/leases/{'2' * 32}", running.token(Right.APPEND)
        with running.connect() as connection:
            connection.sendall(put(lease, 100, token))
            wait_until(lambda: running_now(running) == 2)
            running.process.kill()
            wait_until(lambda: refused(running))
            connection.sendall(b"x" * 100)
            assert status_of(connection.recv(1000)) == 201


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
def test_tls(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving(str(made.folder.parents[1]), *options) as running:
        assert running.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=certificate)
        with trusted.wrap_socket(running.connect(), server_hostname="127.0.0.1") as connection:
            assert connection.version() == "TLSv1.3"
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status_of(connection.recv(1000)) == 200
        plain = running.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", silence=1)
        assert b"200 OK" not in plain
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        environment = {"MVC_TOKEN": running.token(Right.READ)}
        backend = open_backend(f"{running.url}/team/model", environment=environment)
        (tmp_path / "fresh").mkdir()
        fresh = Peer(tmp_path / "fresh", backend)
        assert fresh.fetch().refs[0].new == made.commit
        backend.close()
        environment = {"MVC_TOKEN": running.token(Right.APPEND)}
        backend = open_backend(f"{running.url}/team/tls", environment=environment)
        (tmp_path / "other").mkdir()
        other = Peer(tmp_path / "other", backend)
        other.commit({"x.bin": noise(300_000)})
        assert other.push().refs[0].status == "new"
        backend.close()
