"""What a server may do to a client: refuse, break off, fall silent. An error of mvc comes of it, and no secret."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from mvc.backends.addresses import parse
from mvc.backends.base import Backend
from mvc.errors import MvcError, NetworkError, NotFound, RemoteRefused, RemoteUnavailable

if find_spec("opendal") is None:
    pytest.skip("opendal is not installed", allow_module_level=True)

from mvc.backends.opendal_store import OpendalBackend

KEYS = {"AWS_ACCESS_KEY_ID": "AKIASECRET", "AWS_SECRET_ACCESS_KEY": "verysecret", "AWS_SESSION_TOKEN": "tokensecret"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
Answer = Callable[[socket.socket], None]


class Server:
    """Answers each request on a connection by `answer`, whatever it was."""

    def __init__(self) -> None:
        self.answer: Answer = lambda connection: None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.requests.append(connection.recv(1 << 16))
                self.answer(connection)
            except OSError:
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def backend(server: Server) -> Backend:
    return OpendalBackend(parse(f"s3://bucket/p?endpoint=http://127.0.0.1:{server.port}", KEYS))


@pytest.fixture
def impatient(server: Server) -> Backend:
    return OpendalBackend(parse(f"s3://bucket/p?endpoint=http://127.0.0.1:{server.port}", KEYS), stall=0.5)


def status(line: str, body: str = "") -> Answer:
    return lambda c: c.sendall(
        f"HTTP/1.1 {line}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )


def s3_error(line: str, code: str) -> Answer:
    leak = "AKIASECRET verysecret tokensecret"
    return status(line, f"<Error><Code>{code}</Code><Message>{leak}</Message><Resource>{leak}</Resource></Error>")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (s3_error("403 Forbidden", "SignatureDoesNotMatch"), RemoteRefused),
        (s3_error("401 Unauthorized", "ExpiredToken"), RemoteRefused),
        (s3_error("404 Not Found", "NoSuchKey"), NotFound),
        (s3_error("404 Not Found", "NoSuchBucket"), NetworkError),
        (s3_error("503 Service Unavailable", "SlowDown"), RemoteUnavailable),
        (s3_error("500 Internal Server Error", "InternalError"), RemoteUnavailable),
        (s3_error("429 Too Many Requests", "TooManyRequests"), RemoteUnavailable),
        (s3_error("409 Conflict", "OperationAborted"), RemoteUnavailable),
        (status("502 Bad Gateway", "<html>AKIASECRET verysecret</html>"), RemoteUnavailable),
        (status("418 teapot", "verysecret"), NetworkError),
        (status("301 Moved Permanently"), NetworkError),
        (lambda c: c.sendall(b"garbage verysecret\r\n\r\n"), RemoteUnavailable),
        (lambda c: None, RemoteUnavailable),
    ],
)
def test_answers_of_a_server(server: Server, backend: Backend, answer: Answer, error: type[MvcError]) -> None:
    server.answer = answer
    calls: list[Callable[[], object]] = [
        lambda: backend.get("a/b"),
        lambda: backend.put("a/b", b"1"),
        lambda: backend.put_if_absent("a/b", b"1"),
    ]  # not `list`: opendal holds Python's lock while it waits for one, and this server is in this process
    for call in calls:
        with pytest.raises(MvcError) as caught:
            call()
        assert type(caught.value) is error
        text = f"{caught.value.message} {caught.value.hint}"
        assert not any(secret in text for secret in KEYS.values()) and "\n" not in text
        assert caught.value.__suppress_context__ and caught.value.__cause__ is None
        assert f"127.0.0.1:{server.port}" in text or error is NotFound


def test_an_answer_that_is_cut(server: Server, backend: Backend) -> None:
    server.answer = lambda c: c.sendall(OK + b"x" * 100)
    with pytest.raises(RemoteUnavailable):
        backend.get("a/b")


def test_silence_is_given_up(server: Server, impatient: Backend) -> None:
    for begins in (b"", OK + b"x" * 100):
        over, held = threading.Event(), []

        def answer(connection: socket.socket, begins: bytes = begins, over: threading.Event = over) -> None:
            connection.sendall(begins)
            held.append(over.wait(300))  # noqa: B023

        server.answer = answer
        with pytest.raises(RemoteUnavailable, match="does not answer, or not to the end"):
            impatient.get("a/b")
        assert not held, "it is the client that gave up"
        over.set()


def test_a_slow_answer_is_not_silence(server: Server) -> None:
    """More than `stall` in all, in pieces that come sooner; with more time for each where the machine stood still."""
    stall, last, longest = 2.0, 0.0, 0.0

    def drip(connection: socket.socket) -> None:
        nonlocal last, longest
        last, longest = time.monotonic(), 0.0
        connection.sendall(OK)
        for _ in range(10):
            time.sleep(stall / 8)
            connection.sendall(b"x" * 100)
            now = time.monotonic()
            last, longest = now, max(longest, now - last)

    server.answer = drip
    while True:
        backend = OpendalBackend(parse(f"s3://bucket/p?endpoint=http://127.0.0.1:{server.port}", KEYS), stall=stall)
        try:
            assert backend.get("a/b") == b"x" * 1000
            return
        except RemoteUnavailable:
            if max(longest, time.monotonic() - last) < stall / 2:
                raise
            stall *= 4


def test_nobody_listens() -> None:
    backend = OpendalBackend(parse("s3://bucket?endpoint=http://127.0.0.1:9", KEYS))
    with pytest.raises(RemoteUnavailable, match="refuses connections"):
        backend.get("a")
    backend = OpendalBackend(parse("s3://bucket?endpoint=http://no-such-host.invalid", KEYS))
    with pytest.raises(RemoteUnavailable, match="not known"):
        backend.get("a")


def test_a_server_that_knows_no_ranges(server: Server, backend: Backend) -> None:
    server.answer = lambda c: c.sendall(OK + bytes(range(250)) * 4)
    for offset, length in ((0, 10), (5, 10)):
        with pytest.raises(NetworkError):
            backend.get("a/b", offset, length)
