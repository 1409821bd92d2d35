"""A server as a process: who may ask, what it sends, bodies and garbage that clients send, what it logs and counts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvc.hub.messages import Right
from tests.hub.made import INFO, NEW, NOISE, Made, pack_of
from tests.hub.serving import Running, put, serving, status_of, wait_until


@pytest.fixture(scope="module")
def server(made: Made) -> Iterator[Running]:
    with serving(str(made.folder.parents[1])) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(made: Made) -> Iterator[Running]:
    """Another that waits for nobody for long: what a busy machine delays does not meet it."""
    with serving(str(made.folder.parents[1]), "--stall", "1.5") as running:
        yield running


@pytest.fixture(scope="module")
def reader(server: Running) -> str:
    return server.token(Right.READ, "team/*")


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
    head = f"GET {INFO} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\n"
    requests = f"{head}\r\n" * 4 + f"{head}Connection: close\r\n\r\n"
    assert server.raw(requests.encode()).count(b"HTTP/1.1 200 OK") == 5


def test_what_is_sent_to_nobody_is_not_read_on(server: Running, made: Made, reader: str) -> None:
    with server.connect() as connection:
        connection.sendall(
            f"GET {pack_of(made)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\n\r\n".encode()
        )
        assert connection.recv(1000)
    line = server.logged(cut="the client is gone", method="GET")
    assert line["sent"] < NOISE


def test_who_does_not_read_is_cut_off(impatient: Running, made: Made) -> None:
    reader = impatient.token(Right.READ, "team/*")
    with impatient.connect() as connection:
        connection.sendall(
            f"GET {pack_of(made)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\n\r\n".encode()
        )
        line = impatient.logged(cut="no byte for 1.5 seconds")
        assert line["status"] == 200
        wait_until(lambda: connections(impatient) == 0)
        came = 0
        while part := connection.recv(1 << 20):
            came += len(part)
        assert came < NOISE


def connections(server: Running) -> int:
    """How many the server holds."""
    (worker,) = server.workers()
    files = set()
    for path in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just been closed
            files.add(os.readlink(path))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return sum(row[3] == established and f"socket:[{row[9]}]" in files for row in rows)


# ---- bodies


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


def test_a_silent_body_is_told_so(impatient: Running, made: Made, writer: str) -> None:
    key = "packs/00/" + "0" * 64 + ".pack"
    with impatient.connect() as connection:
        began = time.monotonic()
        connection.sendall(put(f"{NEW}objects/{key}", 1 << 20, writer) + made.read(made.pack)[:1000])
        assert status_of(connection.recv(1000)) == 408
        assert time.monotonic() - began > 1
        assert connection.recv(1000) == b"", "and the connection is closed"
    assert impatient.logged(status=408)["received"] == 1000


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
    answer = server.raw(put(f"{NEW}objects/{key}", length, writer) + b"abc", end=True, silence=1)
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
    answer = server.raw(data, end=True, silence=1)
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
