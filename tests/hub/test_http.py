"""A server as a process: who may ask, what it answers, what it logs and counts, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from mvc.hub.messages import Right
from tests.hub.made import Made, pushed
from tests.hub.serving import Running, serving

INFO = "/team/model/-/mvc/1/"
NEW = "/team/new/-/mvc/1/"
NOISE = 24 << 20
"""More than what lies between two ends of a connection, so that who does not read can be told."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    top = tmp_path_factory.mktemp("served")
    return pushed(top / "all" / "team" / "model", top / "peer", noise=NOISE)


@pytest.fixture(scope="module")
def server(made: Made) -> Iterator[Running]:
    with serving(str(made.folder.parents[1]), "--stall", "1.5") as running:
        yield running


@pytest.fixture(scope="module")
def reader(server: Running) -> str:
    return server.token(Right.READ, "team/*")


def pack_of(made: Made) -> str:
    return f"{INFO}objects/{made.pack}"


# ---- who asks


def test_nobody_gets_nothing(server: Running, made: Made) -> None:
    for path in (INFO, pack_of(made), NEW, f"{INFO}objects/mvc-remote"):
        status, headers, body = server.ask("GET", path)
        assert (status, headers["www-authenticate"].split()[0]) == (401, "Bearer")
        assert set(json.loads(body)) == {"error", "hint", "kind"}


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer mvc_000000000000_" + "a" * 43, "x" * 5000, "Bearer \xff"]
)
def test_garbage_is_no_token(server: Running, given: str) -> None:
    assert server.ask("GET", INFO, Authorization=given)[0] == 401


def test_a_token_works_where_it_says(server: Running, reader: str) -> None:
    assert server.ask("GET", INFO, token=reader)[0] == 200
    assert server.ask("GET", "/other/-/mvc/1/", token=reader)[0] == 404


def test_a_read_token_writes_nothing(server: Running, made: Made, reader: str) -> None:
    before = sorted(made.folder.rglob("*"))
    pack = made.read(made.pack)[:1000]
    key = "packs/00/" + "0" * 64 + ".pack"
    assert server.ask("PUT", f"{INFO}objects/{key}", pack, token=reader)[0] == 403
    assert server.ask("POST", f"{INFO}txn", b"mvc-txn 1\n", token=reader)[0] == 403
    assert server.ask("DELETE", f"{INFO}objects/leases/{'0' * 32}", token=reader)[0] == 403
    assert sorted(made.folder.rglob("*")) == before


def test_tokens_end(server: Running) -> None:
    ended = server.token(Right.READ, expires=int(time.time()) - 1)
    assert server.ask("GET", INFO, token=ended)[0] == 401


@pytest.mark.slow
def test_a_revoked_token_ends(made: Made, tmp_path: Path) -> None:
    with serving(str(made.folder.parents[1]), "--access-log", os.devnull) as running:
        from mvc.hub.tokens import open_tokens

        token = running.token(Right.READ)
        assert running.ask("GET", INFO, token=token)[0] == 200
        open_tokens(running.place, {}).revoke(token.split("_")[1])
        end = time.monotonic() + 15
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


# ---- what it sends


def test_a_pack_whole_and_in_parts(server: Running, made: Made, reader: str) -> None:
    data = made.read(made.pack)
    status, headers, body = server.ask("GET", pack_of(made), token=reader)
    assert (status, body) == (200, data)
    assert int(headers["content-length"]) == len(data)
    for first, last in ((0, 0), (5, 1 << 20), (len(data) - 3, len(data) + 99), (1 << 18, (1 << 18) + 7)):
        status, headers, body = server.ask("GET", pack_of(made), token=reader, Range=f"bytes={first}-{last}")
        assert (status, body) == (206, data[first : last + 1])
    assert server.ask("GET", pack_of(made), token=reader, Range=f"bytes={len(data)}-")[0] == 416
    status, headers, body = server.ask("HEAD", pack_of(made), token=reader)
    assert (status, int(headers["content-length"]), body) == (200, len(data), b"")


def test_a_connection_carries_many_requests(server: Running, reader: str) -> None:
    request = f"GET {INFO} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\n\r\n".encode()
    assert server.raw(request * 5).count(b"HTTP/1.1 200 OK") == 5


def test_what_is_sent_to_nobody_is_not_read_on(server: Running, made: Made, reader: str) -> None:
    with server.connect() as connection:
        connection.sendall(
            f"GET {pack_of(made)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\n\r\n".encode()
        )
        assert connection.recv(1000)
    line = server.logged(cut="the client is gone", method="GET")
    assert line["sent"] < NOISE


def test_who_does_not_read_is_cut_off(server: Running, made: Made, reader: str) -> None:
    with server.connect() as connection:
        connection.sendall(
            f"GET {pack_of(made)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\n\r\n".encode()
        )
        line = server.logged(cut="no byte for 1.5 seconds")
        assert line["status"] == 200
        wait_until(lambda: connections(server) == 0)
        came = 0
        while part := connection.recv(1 << 20):
            came += len(part)
        assert came < NOISE


def connections(server: Running) -> int:
    """How many the server holds."""
    (worker,) = server.workers()
    files = {os.readlink(path) for path in Path(f"/proc/{worker}/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return sum(row[3] == established and f"socket:[{row[9]}]" in files for row in rows)


# ---- bodies


def put(path: str, length: object, token: str, more: str = "") -> bytes:
    return (
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found[1])


@pytest.fixture(scope="module")
def writer(server: Running) -> str:
    token = server.token(Right.WRITE, "team/*")
    text = b"mvc-remote 1\nnaming plain\n"
    assert server.ask("PUT", f"{NEW}objects/mvc-remote", text, token=token, If_None_Match="*")[0] == 201
    return token


def test_a_pack_goes_up(server: Running, made: Made, writer: str) -> None:
    data = made.read(made.pack)
    path = f"{NEW}objects/{made.pack}"
    assert server.ask("PUT", path, data, token=writer)[0] == 201
    assert server.ask("PUT", path, data, token=writer)[0] == 200
    stored = made.folder.parent / "new" / made.pack
    assert stored.read_bytes() == data
    assert server.logged(method="PUT", received=len(data), status=201)["repository"] == "team/new"


def test_who_waits_to_be_asked_sends_nothing_that_is_there(server: Running, made: Made, writer: str) -> None:
    server.ask("PUT", f"{NEW}objects/{made.pack}", made.read(made.pack), token=writer)
    size = len(made.read(made.pack))
    with server.connect() as connection:
        connection.sendall(put(f"{NEW}objects/{made.pack}", size, writer, "Expect: 100-continue\r\n"))
        assert status_of(connection.recv(1000)) == 200


def test_a_wrong_pack_is_refused_and_leaves_nothing(server: Running, made: Made, writer: str) -> None:
    data = bytearray(made.read(made.pack))
    data[len(data) // 2] ^= 1
    key = "packs/00/" + "0" * 64 + ".pack"
    assert server.ask("PUT", f"{NEW}objects/{key}", bytes(data), token=writer)[0] == 422
    assert not (made.folder.parent / "new" / key).exists()


def test_a_silent_body_is_told_so(server: Running, made: Made, writer: str) -> None:
    key = "packs/00/" + "0" * 64 + ".pack"
    with server.connect() as connection:
        began = time.monotonic()
        connection.sendall(put(f"{NEW}objects/{key}", 1 << 20, writer) + made.read(made.pack)[:1000])
        assert status_of(connection.recv(1000)) == 408
        assert time.monotonic() - began > 1
        assert connection.recv(1000) == b"", "and the connection is closed"
    assert server.logged(status=408)["received"] == 1000


def test_a_body_that_is_cut(server: Running, made: Made, writer: str) -> None:
    key = "packs/00/" + "0" * 64 + ".pack"
    with server.connect() as connection:
        connection.sendall(put(f"{NEW}objects/{key}", 1 << 20, writer) + made.read(made.pack)[:2000])
    line = server.logged(method="PUT", cut="the client is gone")
    assert (line["status"], line["received"]) == (0, 2000)
    assert not (made.folder.parent / "new" / key).exists()


@pytest.mark.parametrize("length", [20 << 30, 10**18, 10**19, -1, "1e3", "0x10", "5, 6", " "])
def test_lengths_that_are_none_or_too_much(server: Running, writer: str, length: object) -> None:
    key = "packs/00/" + "0" * 64 + ".pack"
    answer = server.raw(put(f"{NEW}objects/{key}", length, writer) + b"abc", end=True)
    assert not answer or 400 <= status_of(answer) < 500


def test_a_body_without_an_end_is_not_read(server: Running, writer: str) -> None:
    key = "packs/00/" + "0" * 64 + ".pack"
    head = put(f"{NEW}objects/{key}", 0, writer).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with server.connect() as connection:
        connection.sendall(head)
        answer: list[bytes] = []
        listener = threading.Thread(target=lambda: answer.append(connection.recv(1000)))
        listener.start()
        sent = 0
        try:
            while sent < 256 << 20:
                sent += connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            pass
        listener.join()
    assert status_of(answer[0]) == 411
    assert sent < 64 << 20


def test_a_get_with_a_body_is_none(server: Running, reader: str) -> None:
    assert server.ask("GET", INFO, b"abc", token=reader)[0] == 400


# ---- garbage


@pytest.mark.parametrize(
    "path",
    [
        "/team/../team/model/-/mvc/1/",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/-/mvc/1/",
        "//-/mvc/1/",
        "/-/tokens/",
        "/-/-/mvc/1/objects/tokens/000000000000",
        "/team/model/-/mvc/1/objects/../../../-/tokens",
        "/team/model/-/mvc/1/objects/%2e%2e/x",
        "/team/model/-/mvc/1/objects/.server/x",
        "/team/model/-/mvc/1/objects/server/verified/x",
        "/team/model/-/mvc/2/",
        "/team/model/packs/-/mvc/1/",
        "/" + "a/" * 200 + "-/mvc/1/",
        "/team\\model/-/mvc/1/",
        "/team/model/-/mvc/1/objects/packs/%00",
        "/healthz/x",
        "/" + "x" * 8000,
    ],
)
def test_names_that_are_none(server: Running, path: str) -> None:
    admin = server.token(Right.ADMIN)
    for method in ("GET", "PUT"):
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n"
        request = f"{head}Connection: close\r\nContent-Length: 0\r\n\r\n"
        assert status_of(server.raw(request.encode("latin-1"))) in (400, 403, 404, 405)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * (2 << 20) + b"\r\n\r\n",
        b"GET /" + b"x" * (2 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\na\x00b: c\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\nzz\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
        b"%s / HTTP/1.1\r\nHost: x\r\n\r\n" % (b"A" * 3000),
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/team/model/-/mvc/1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?" + b"a=b&" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ],
    ids=range(20),
)
def test_what_is_no_request(server: Running, data: bytes) -> None:
    answer = server.raw(data, end=True)
    assert not answer or 400 <= status_of(answer) < 500
    assert server.ask("GET", "/healthz")[0] == 200


def test_the_same_process_served_all_of_it(server: Running) -> None:
    workers = server.workers()
    assert len(workers) == 1
    assert server.ask("GET", "/healthz")[0] == 200
    assert not [line for line in server.lines() if line["status"] == 500], "no request failed inside"


# ---- what it tells who runs it


def test_the_log_has_no_secret(server: Running, reader: str) -> None:
    server.ask("GET", f"{INFO}?token={reader}", token=reader, User_Agent='test "\\x1b')
    line = server.logged(agent='test "\\x1b')
    text = server.log.read_text()
    assert reader.split("_", 2)[2] not in text
    assert line["token"] == reader.split("_")[1]
    told = {"time", "client", "token", "name", "method", "path", "repository", "endpoint", "status", "received", "sent"}
    assert told | {"seconds", "agent"} == set(line)
    assert (line["repository"], line["endpoint"], line["name"]) == ("team/model", "info", "READ")


def test_health_and_metrics(server: Running, reader: str) -> None:
    status, _, body = server.ask("GET", "/healthz")
    assert (status, json.loads(body)["status"]) == (200, "ok")

    def count() -> float:
        text = server.ask("GET", "/metrics")[2].decode()
        assert "team" not in text
        found = re.search(r'^mvc_requests_total\{endpoint="info",method="GET",status="200"\} (\S+)$', text, re.M)
        return float(found[1]) if found else 0

    before = count()
    server.ask("GET", INFO, token=reader)
    server.ask("BREW", INFO, token=reader)
    assert count() == before + 1
    text = server.ask("GET", "/metrics")[2].decode()
    assert "BREW" not in text
    assert "mvc_requests_running 1.0" in text


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
        wait_until(lambda: running.ask("GET", "/healthz")[0] == 503)
        for connection in held:
            connection.sendall(b"x" * 100)
            assert status_of(connection.recv(1000)) == 201
            connection.close()
        wait_until(lambda: running.ask("GET", INFO, token=one)[0] == 200)


def running_now(server: Running) -> float:
    found = re.search(r"^mvc_requests_running (\S+)$", server.ask("GET", "/metrics")[2].decode(), re.M)
    return float(found[1]) if found else -1


def wait_until(holds: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_several_processes_count_together(made: Made) -> None:
    with serving(str(made.folder.parents[1]), "--workers", "2", "--anonymous", "read") as running:
        for _ in range(20):
            assert running.ask("GET", INFO)[0] == 200
        text = running.ask("GET", "/metrics")[2].decode()
        assert re.search(r'^mvc_requests_total\{endpoint="info",method="GET",status="200"\} 20.0$', text, re.M), text
        assert len(running.workers()) == 2


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
        assert running.process.wait(20) == 0
        for connection in (down, up, idle):
            connection.close()


def refused(server: Running) -> bool:
    try:
        socket.create_connection(server.address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_nobody_holds_it_up_for_long(made: Made) -> None:
    with serving(str(made.folder.parents[1]), "--grace", "1", talks=True) as running:
        token = running.token(Right.APPEND, "team/*")
        with running.connect() as connection:
            connection.sendall(put(f"{INFO}objects/leases/{'1' * 32}", 100, token) + b"x" * 50)
            wait_until(lambda: running_now(running) == 2)
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 15


def test_new_processes_on_sighup(made: Made) -> None:
    with serving(str(made.folder.parents[1])) as running:
        before = running.workers()
        running.log.rename(running.log.with_suffix(".old"))
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.workers() and not set(before) & set(running.workers()), 30)
        assert running.ask("GET", "/healthz")[0] == 200
        assert running.logged(path="/healthz")


@pytest.mark.slow
def test_a_killed_process_is_replaced(made: Made) -> None:
    with serving(str(made.folder.parents[1]), talks=True) as running:
        (before,) = running.workers()
        time.sleep(6)  # granian takes a process that dies young for one that always will
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: running.workers() not in ([], [before]), 30)
        wait_until(lambda: not refused(running))
        assert running.ask("GET", "/healthz")[0] == 200


# ---- TLS


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
def test_tls(made: Made, tmp_path: Path) -> None:
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
        plain = running.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" not in plain
