"""The client over HTTP: the contract, over a server that takes every key; addresses, tokens, what servers answer."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mvc.backends import http_address, http_pool
from mvc.backends.base import Backend
from mvc.backends.http import HttpBackend, open_http
from mvc.backends.memory import MemoryBackend
from mvc.backends.open import open_backend
from mvc.errors import (
    IntegrityError,
    MvcError,
    NetworkError,
    NotFound,
    Refused,
    RemoteRefused,
    RemoteUnavailable,
    UnsupportedFormat,
    UsageError,
)
from tests.backends.contract import Contract

BASE = "/repo/-/mvc/1/"
SECRET = "s3cret-token"


class Open(http.server.BaseHTTPRequestHandler):
    """The protocol's requests on bytes by key: what a gateway checks and refuses is left out. In the place of one, for
    a gateway has keys of its own and takes no others; tests/hub does the same with a real one."""

    protocol_version = "HTTP/1.1"
    store: MemoryBackend
    page = 7

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def key(self) -> str:
        return urlsplit(self.path).path.removeprefix(BASE + "objects/")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def do_HEAD(self) -> None:
        size = self.store.size(self.key())
        if size is None:
            self.answer(404)
        else:
            self.answer(200, b"\0" * size)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == BASE + "list":
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            rows = list(self.store.list(query.get("prefix", ""), query.get("after", "")))
            text = "".join(f"{row.key} {row.size}\n" for row in rows[: self.page])
            self.answer(200, text.encode(), Mvc_More="1" if len(rows) > self.page else "0")
            return
        try:
            data = self.store.get(self.key())
        except NotFound:
            self.answer(404, b'{"error":"no"}')
            return
        wanted = self.headers.get("Range")
        if wanted is None:
            self.answer(200, data)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        if not part:
            self.answer(416)
        else:
            self.answer(206, part, Content_Range=f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")

    def do_PUT(self) -> None:
        data = self.body()
        if len(data) != int(self.headers.get("Content-Length", 0)):
            self.close_connection = True  # the client broke off
            return
        if self.headers.get("If-None-Match") == "*":
            self.answer(201 if self.store.put_if_absent(self.key(), data) else 412)
        else:
            self.store.put(self.key(), data)
            self.answer(201)

    def do_POST(self) -> None:
        self.answer(200, self.body())

    def do_DELETE(self) -> None:
        self.store.delete([self.key()])
        self.answer(204)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextlib.contextmanager
def listening(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/repo"
        finally:
            server.shutdown()
            thread.join()


class TestHttp(Contract):
    secrets = (SECRET,)

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        handler = type("Handler", (Open,), {"store": MemoryBackend()})
        with listening(handler) as url:
            found = open_backend(url, environment={"MVC_TOKEN": SECRET})
            yield found
            found.close()


# ---- addresses and tokens


def test_where_a_token_goes(tmp_path: Path) -> None:
    def token(url: str, **environment: str) -> str | None:
        return http_address.parse(url, environment).token

    assert token("https://h/r") is None
    assert token("https://h/r", MVC_TOKEN="t") == "t"
    assert token("http://127.0.0.1:1/r", MVC_TOKEN="t") == token("http://localhost/r", MVC_TOKEN="t") == "t"
    assert token("http://[::1]/r", MVC_TOKEN="t") == "t"
    assert token("http://h/r?insecure=true", MVC_TOKEN="t") == "t"
    for url in ("http://h/r", "http://127.0.0.1.evil.example/r", "http://localhost.evil.example/r"):
        with pytest.raises(UsageError, match="everybody on the way"):
            token(url, MVC_TOKEN="t")
    assert token("https://h/r", MVC_TOKEN="t", MVC_ENDPOINT="https://h:443") == "t"
    for other in ("https://other", "http://h", "https://h:444", "https://sub.h", "nonsense://["):
        assert token("https://h/r", MVC_TOKEN="t", MVC_ENDPOINT=other) is None
    for bad in ("a b", "a\r\nX: y", "\u00e9", "x" * 5000):
        with pytest.raises(UsageError):
            token("https://h/r", MVC_TOKEN=bad)
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine h login x password p\nmachine other login x password q\ndefault login d password d\n")
    netrc.chmod(0o600)
    assert token("https://h/r", HOME=str(tmp_path)) == token("https://h/r", NETRC=str(netrc)) == "p"
    assert token("https://third/r", NETRC=str(netrc)) is None, "default is for every host there is"
    assert token("https://h/r", MVC_TOKEN="t", NETRC=str(netrc)) == "t"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://",
            "https://h",
            "https://h/",
            "https://u:p@h/r",
            "https://u@h/r",
            "https://h/r?x=1",
            "https://h/r#f",
        ),
        *("https://h/a%2fb", "https://h/../r", "https://h/a//b", "https://h:x/r", "https://h/r?insecure=false"),
        *(
            "https://h\u00f6st/r",
            "https://a b/r",
            "https://-h/r",
            "https://[::1/r",
            "https://[::1%25x]/r",
            'https://h"/r',
        ),
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError) as error:
        http_address.parse(url, {})
    assert "u:p" not in error.value.message


def test_nothing_of_a_token_shows() -> None:
    address = http_address.parse("https://h:8443/team/model/", {"MVC_TOKEN": SECRET, "https_proxy": "http://u:pw@p:1"})
    assert (address.url, address.authority) == ("https://h:8443/team/model", "h:8443")
    backend = open_http(address)
    for text in (repr(address), repr(backend), backend.url):
        assert SECRET not in text and "pw" not in text


def test_proxies() -> None:
    def proxy(url: str, **environment: str) -> tuple[str, int] | None:
        found = http_address.parse(url, environment).proxy
        return (found.host, found.port) if found else None

    assert proxy("https://h/r", https_proxy="http://p:3128") == ("p", 3128)
    assert proxy("https://h/r", HTTPS_PROXY="p") == ("p", 80)
    assert proxy("http://h/r", HTTP_PROXY="http://p:1") is None, "a CGI's header"
    assert proxy("http://h/r", http_proxy="http://p:1") == proxy("http://h/r", all_proxy="http://p:1") == ("p", 1)
    assert proxy("https://a.h/r", https_proxy="http://p:1", no_proxy="x, h") is None
    assert proxy("https://ah/r", https_proxy="http://p:1", no_proxy="x, h") == ("p", 1)
    assert proxy("https://127.0.0.1/r", https_proxy="http://p:1") is None
    with pytest.raises(UsageError):
        proxy("https://h/r", https_proxy="socks5://p:1")


def test_through_a_proxy() -> None:
    seen: list[tuple[str, str | None]] = []

    class Proxy(Open):
        store = MemoryBackend()

        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Proxy-Authorization")))
            self.answer(200, b"data")

    with listening(Proxy) as url:
        address = url.removeprefix("http://").partition("/")[0]
        backend = open_backend("http://h.example/repo", environment={"http_proxy": f"http://u:p@{address}"})
        assert backend.get("mvc-remote") == b"data"
        backend.close()
    assert seen == [("http://h.example/repo/-/mvc/1/objects/mvc-remote", "Basic dTpw")]


# ---- what a server may answer


@contextlib.contextmanager
def answering(act: Callable[[Open], None]) -> Iterator[HttpBackend]:
    """A client of a server that does this with every request."""

    class Handler(Open):
        store = MemoryBackend()
        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = act

    with listening(Handler) as url:
        backend = open_http(http_address.parse(url, {"MVC_TOKEN": SECRET}))
        yield backend
        backend.close()


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/repo", "https://evil.example/", "/repo/-/mvc/1/objects/x", "//e/"]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(target: str, status: int) -> None:
    asked: list[str] = []

    def act(handler: Open) -> None:
        asked.append(handler.path)
        handler.answer(status, Location=target)

    with answering(act) as backend, pytest.raises(NetworkError, match="elsewhere"):
        backend.get("mvc-remote")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "refused", NetworkError),
        (401, "refused", RemoteRefused),
        (403, "refused", RemoteRefused),
        (404, "refused", NotFound),
        (413, "refused", Refused),
        (418, "refused", NetworkError),
        (422, "refused", Refused),
        (422, "integrity", IntegrityError),
        (422, "format", UnsupportedFormat),
        (429, "refused", RemoteUnavailable),
        (500, "refused", RemoteUnavailable),
        (503, "refused", RemoteUnavailable),
        (507, "refused", NetworkError),
    ],
)
def test_statuses(status: int, kind: str, error: type[MvcError]) -> None:
    told = json.dumps({"error": "why \x1b[31m so\n", "hint": None, "kind": kind}).encode()
    with answering(lambda handler: handler.answer(status, told, Retry_After="3")) as backend:
        with pytest.raises(error) as found:
            backend.get("mvc-remote", 0, 100)
        assert type(found.value) is error and "\x1b" not in found.value.message and "\n" not in found.value.message
        if isinstance(found.value, RemoteUnavailable):
            assert found.value.after == 3


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 5}', b"[" * 100_000, b"\xff"])
def test_errors_that_make_no_sense(body: bytes) -> None:
    with answering(lambda handler: handler.answer(403, body)) as backend, pytest.raises(RemoteRefused):
        backend.get("mvc-remote")


def test_more_than_was_asked_for() -> None:
    with answering(lambda handler: handler.answer(200, b"x" * 1000)) as backend:
        with pytest.raises(NetworkError, match="more than"):
            backend.get("mvc-remote", 0, 100)
        with pytest.raises(NetworkError, match="other bytes"):
            backend.get("mvc-remote", 10, 2000)
    with (
        answering(lambda handler: handler.answer(206, b"x" * 10, Content_Range="bytes 5-14/99")) as backend,
        pytest.raises(NetworkError, match="other bytes"),
    ):
        backend.get("mvc-remote", 10, 10)


def raw(text: bytes) -> Callable[[Open], None]:
    def act(handler: Open) -> None:
        handler.wfile.write(text)
        handler.close_connection = True

    return act


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"junk\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc" + b"x" * 300,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 200\r\n\r\n" + b"\x1f\x8b" * 100,
    ],
)
def test_answers_that_are_none(text: bytes) -> None:
    with answering(raw(text)) as backend, pytest.raises(NetworkError):
        backend.get("mvc-remote", 0, 100)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_a_page_to_log_in_is_no_success(method: str) -> None:
    def act(handler: Open) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        handler.answer(200, b"<html>Welcome to the hotel</html>", Content_Type="text/html; charset=utf-8")

    ask: dict[str, Callable[[HttpBackend], object]] = {
        "GET": lambda backend: backend.get("mvc-remote", 0, 4096),
        "HEAD": lambda backend: backend.size("packs/x"),
        "PUT": lambda backend: backend.put("packs/x", b"1"),
        "POST": lambda backend: backend.put_if_absent("txn/000000000001", b"1"),
        "DELETE": lambda backend: backend.delete(["leases/x"]),
    }
    with answering(act) as backend, pytest.raises(NetworkError, match="no mvc server"):
        ask[method](backend)


def test_an_answer_without_end_to_what_was_done() -> None:
    """Nothing but its end is looked for."""

    def act(handler: Open) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        handler.close_connection = True
        with contextlib.suppress(OSError):  # until the client has enough
            while True:
                handler.wfile.write(bytes(1 << 16))

    with answering(act) as backend:
        for ask in (
            lambda: backend.put("packs/x", b"1"),
            lambda: backend.put_if_absent("txn/000000000001", b"1"),
            lambda: backend.delete(["leases/x"]),
        ):
            with pytest.raises(NetworkError, match="more than was asked for"):
                ask()


def test_an_entry_that_nobody_says_to_have_taken() -> None:
    def act(handler: Open) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.answer(200)

    with answering(act) as backend, pytest.raises(NetworkError, match="no mvc server"):
        backend.put_if_absent("txn/000000000001", b"1")


def test_what_comes_before_the_answer_has_an_end() -> None:
    with answering(
        raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 10 + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    ) as one:
        assert one.get("mvc-remote") == b"x"

    def act(handler: Open) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):  # until the client has enough
            while True:
                handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with answering(act) as backend, pytest.raises(NetworkError, match="as it should"):
        backend.get("mvc-remote")


@pytest.mark.parametrize(
    "row", [b"no", b"txn/2 x", b"../x 5", b"other/1 5", b"txn/2 1\ntxn/1 1", b"txn/1 1\ntxn/1 1", b"\xff 1"]
)
def test_listings_that_make_no_sense(row: bytes) -> None:
    act = raw_listing(row + b"\n")
    with answering(act) as backend, pytest.raises((NetworkError, UsageError)):
        list(backend.list("txn/"))


def raw_listing(text: bytes) -> Callable[[Open], None]:
    return lambda handler: handler.answer(200, text, Mvc_More="1")


def test_a_listing_without_end() -> None:
    with answering(lambda handler: handler.answer(200, b"", Mvc_More="1")) as backend:
        assert list(backend.list("txn/")) == []


def test_a_stall_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pool, "STALL_SECONDS", 0.2)
    over, held = threading.Event(), []

    def act(handler: Open) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        handler.wfile.flush()
        held.append(over.wait(300))
        handler.close_connection = True

    with answering(act) as backend:
        with pytest.raises(RemoteUnavailable, match="not to the end"):
            backend.get("mvc-remote", 0, 100)
        assert not held, "it is the client that gave up"
        over.set()


def test_an_answer_before_the_body_was_read(tmp_path: Path) -> None:
    """The server refuses and closes, while a large body is on its way: its reason is what is told."""
    (tmp_path / "large").write_bytes(bytes(30_000_000))

    def act(handler: Open) -> None:
        if handler.command == "HEAD":
            handler.answer(404)
        else:
            handler.answer(413, b'{"error":"too much"}', Connection="close")
            handler.close_connection = True

    with answering(act) as backend, pytest.raises((Refused, RemoteUnavailable)):
        backend.put("packs/x", tmp_path / "large")


def test_connections_are_used_again_and_dead_ones_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []
    has_ended = http_pool._has_ended

    def waiting(connection: http.client.HTTPConnection) -> bool:
        end = time.monotonic() + 300
        while len(ports) == 3 and not has_ended(connection):  # the server is about to close it
            assert time.monotonic() < end
            time.sleep(0.001)
        return has_ended(connection)

    def act(handler: Open) -> None:
        ports.append(handler.client_address[1])
        handler.answer(200, b"x")
        if len(ports) == 3:
            handler.close_connection = True

    monkeypatch.setattr(http_pool, "_has_ended", waiting)
    with answering(act) as backend:
        for _ in range(5):
            assert backend.get("mvc-remote") == b"x"
    assert len(set(ports)) == 2


def test_what_the_server_tells_itself_is_not_sent() -> None:
    with answering(lambda handler: handler.answer(500)) as backend:
        backend.put("latest", b"5\n")


def test_nobody_is_there() -> None:
    backend = open_http(http_address.parse("http://127.0.0.1:1/repo", {}))
    with pytest.raises(RemoteUnavailable, match="refuses connections"):
        backend.get("mvc-remote")


def test_what_is_wrong_with_a_certificate(tmp_path: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key", "-out", "request")
    for days, name, said, hint in (
        ("2", "", "is not trusted", "SSL_CERT_FILE"),
        ("2", "elsewhere", "is for another name", ""),
        ("-1", "localhost", "has expired", "clock"),
    ):
        openssl("x509", "-req", "-in", "request", "-signkey", "key", "-days", days, "-out", "certificate")
        there, here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        there.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
        if name:
            here.load_verify_locations(tmp_path / "certificate")
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = there.wrap_bio(to_server, to_client, server_side=True)
        client = here.wrap_bio(to_client, to_server, server_hostname=name or "localhost")
        with pytest.raises(ssl.SSLCertVerificationError) as failure:
            for side in (client, server, client):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        error = http_pool.translated(failure.value, "https://localhost/x")
        assert said in str(error) and hint in (error.hint or "")
