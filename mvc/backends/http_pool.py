"""HTTP/1.1 connections that are kept and used again, over whatever carries them: TCP, TLS, a pipe to ssh.

On the standard library's client, so that reaching a server needs no further package. One exchange is one request and
its whole answer; nothing is followed, repeated or unpacked here.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mvc.backends.base import FilePart
from mvc.backends.sending import send_part
from mvc.errors import MvcError, NetworkError, RemoteUnavailable
from mvc.fsio import Buffer

CONNECT_SECONDS = 15.0
STALL_SECONDS = 30.0
"""An answer of which no byte comes for so long is given up."""
WORK_SECONDS = 300.0
"""The same for the first byte where the server has work to do before it: it verifies what was sent."""
_MOST_ERROR = 64 * 1024
_MOST_DRAINED = 256 * 1024

_MOST_INTERIM = 16
"""So many times a server may say "100 Continue" before it answers, which the library would read for ever."""

Connect = Callable[[], http.client.HTTPConnection]
Body = Buffer | Iterable[Buffer | FilePart]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Exchange(Protocol):
    """What carries requests. Thread-safe."""

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body = b"",
        *,
        length: int = 0,
        most: int | None = None,
        works: bool = False,
    ) -> Answer:
        """One request. `length`: bytes of `body`. `most`: the largest answer that is taken (a success; None: any).
        `works`: the server has something to do before it answers.

        Raises RemoteUnavailable, NetworkError, and what reading `body` raises.
        """

    def close(self) -> None:
        """Let go of the connections."""


class _Bounded(http.client.HTTPResponse):
    """The library's, but for an end to what comes before the answer."""

    _interim = 0

    def _read_status(self) -> tuple[str, int, str]:
        found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        self._interim += found[1] == http.client.CONTINUE
        if self._interim > _MOST_INTERIM:
            raise http.client.HTTPException("no end of what comes before the answer")
        return found


class Pool:
    """An Exchange over connections that `connect` opens."""

    def __init__(self, connect: Connect, url: str) -> None:
        """`url`: for messages."""
        self._connect, self._url = connect, url
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body = b"",
        *,
        length: int = 0,
        most: int | None = None,
        works: bool = False,
    ) -> Answer:
        connection = self._take()
        keep = False
        try:
            try:
                response = self._send(connection, method, target, headers, body, length, works)
                answer = self._receive(response, method, most)
            except (OSError, http.client.HTTPException) as error:
                raise translated(error, self._url) from error
            keep = not response.will_close and response.isclosed()
            return answer
        finally:
            if keep and not self._closed:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                made = self._connect()
                made.response_class = _Bounded
                return made
            if not _has_ended(connection):
                return connection
            connection.close()

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
        length: int,
        works: bool,
    ) -> http.client.HTTPResponse:
        sent = {"Accept-Encoding": "identity", **headers}
        if length or method in ("PUT", "POST"):
            sent["Content-Length"] = str(length)
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(STALL_SECONDS)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # One that is broken may have answered before all was sent, and the answer says why.
            if isinstance(body, bytes | bytearray | memoryview):
                connection.request(method, target, body if length else None, sent)
            else:
                connection.request(method, target, None, sent)
                for block in body:
                    if isinstance(block, FilePart):
                        send_part(connection.sock, block)
                    else:
                        connection.send(block)
        if works:
            connection.sock.settimeout(WORK_SECONDS)
        response = connection.getresponse()
        if connection.sock is not None:
            connection.sock.settimeout(STALL_SECONDS)
        return response

    def _receive(self, response: http.client.HTTPResponse, method: str, most: int | None) -> Answer:
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status >= 300:
            data = response.read(_MOST_ERROR)
            if not response.isclosed() and (response.length or 0) <= _MOST_DRAINED:
                response.read(_MOST_DRAINED)
            return Answer(response.status, headers, data)
        if method == "HEAD":
            response.read()
            return Answer(response.status, headers, b"")
        if most is not None:
            if (response.length or 0) > most:
                raise NetworkError(f"{self._url} answers with more than was asked for")
            data = response.read(response.length if response.length is not None else most + 1)
            if len(data) > most:
                raise NetworkError(f"{self._url} answers with more than was asked for")
            if not response.isclosed():
                response.read(0 if response.length else 1)
        else:
            data = response.read()
        told = headers.get("content-length")
        if told is not None and told.isdecimal() and len(data) != int(told):
            raise RemoteUnavailable(f"{self._url} broke the connection")
        return Answer(response.status, headers, data)


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed a connection that nothing is asked of."""
    if connection.sock is None:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([connection.sock], [], [], 0)[0])
    poll = select.poll()  # unlike select, for any descriptor
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


_UNTRUSTED = ("is not trusted", "SSL_CERT_FILE names one's own")
_CLOCK = "is the clock of this machine right?"
_CERTIFICATE: Mapping[int, tuple[str, str | None]] = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", _CLOCK),
    62: ("is for another name", None),
    64: ("is for another address", None),
}
"""OpenSSL's X509_V_ERR_... -> what is wrong with it, and what may help; all else is `_UNTRUSTED`."""


def translated(error: Exception, url: str) -> MvcError:
    """What the library raises, as an error of mvc that may be shown."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what, hint = _CERTIFICATE.get(error.verify_code, _UNTRUSTED)
        return NetworkError(f"{url} has a TLS certificate that {what}", hint=hint)
    if isinstance(error, ssl.SSLError):
        return RemoteUnavailable(f"{url}: TLS failed")
    if isinstance(error, socket.gaierror):
        return RemoteUnavailable(f"{url} has a host that is not known")
    if isinstance(error, ConnectionRefusedError):
        return RemoteUnavailable(f"{url} refuses connections")
    if isinstance(error, TimeoutError):
        return RemoteUnavailable(f"{url} does not answer, or not to the end")
    if isinstance(error, http.client.HTTPException) and not isinstance(
        error, http.client.IncompleteRead | http.client.RemoteDisconnected | http.client.BadStatusLine
    ):
        return NetworkError(f"{url} does not speak HTTP as it should")
    return RemoteUnavailable(f"{url} broke the connection")
