"""A server in this process, and clients that ask it without a line between."""

from __future__ import annotations

import io
import traceback
from collections.abc import Mapping
from pathlib import Path

from mvc.backends.base import Backend
from mvc.backends.http import HttpBackend
from mvc.backends.http_pool import Answer, Body
from mvc.errors import NetworkError
from mvc.hub.messages import Everywhere, FileSlice, Identity, Request, Response, Right
from mvc.hub.service import Service
from mvc.hub.storage import Storage, StorageOf
from tests.backends.making import content

PATH = "/team/model"


def over(backend: Backend, memory: Path) -> StorageOf:
    """Every repository of a server lies in this backend: for tests with one."""
    return lambda repository: Storage(backend, None, memory)


def whole(response: Response) -> bytes:
    """The body, however it comes."""
    body = response.body
    if isinstance(body, FileSlice):
        with body.path.open("rb") as file:
            file.seek(body.offset)
            return file.read(body.length)
    return body if isinstance(body, bytes) else b"".join(bytes(part) for part in body)


class InProcess:
    """An Exchange that calls a service."""

    def __init__(self, service: Service, identity: Identity) -> None:
        self.service, self.identity = service, identity
        self.requests: list[tuple[str, str, int]] = []
        """Method, path, status."""
        self.failures: list[Exception] = []
        self.sent = 0
        self.received = 0

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
        data = bytes(body) if isinstance(body, bytes | bytearray | memoryview) else b"".join(map(content, body))
        assert len(data) == length
        path, _, query = target.partition("?")
        asked = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        small = {name.lower(): value for name, value in headers.items()}
        response = self.service.handle(Request(method, path, asked, small, io.BytesIO(data), length, self.identity))
        if response.failure is not None:
            self.failures.append(response.failure)
            traceback.print_exception(response.failure)
        answer = whole(response)
        self.requests.append((method, target, response.status))
        self.sent += len(data)
        self.received += len(answer)
        if method != "HEAD" and response.status != 204:
            assert response.headers["content-length"] == str(len(answer))
        if most is not None and response.status < 300 and len(answer) > most:
            raise NetworkError("more than was asked for")
        return Answer(response.status, response.headers, answer)

    def close(self) -> None:
        pass


def client(service: Service, right: Right = Right.WRITE, path: str = PATH) -> HttpBackend:
    """A backend of one repository of a server in this process."""
    return HttpBackend(InProcess(service, Everywhere(right, "somebody")), f"http://server{path}", path)


def ask(
    service: Service,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    right: Right = Right.WRITE,
    name: str = "somebody",
    length: int | None = -1,
    **headers: str,
) -> Response:
    """One request, as it stands. `target`: behind the protocol's version."""
    path, _, query = target.partition("?")
    asked = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return service.handle(
        Request(
            method,
            path if path.startswith("/") else f"{PATH}/-/mvc/1/{path}",
            asked,
            given,
            io.BytesIO(body),
            len(body) if length == -1 else length,
            Everywhere(right, name),
        )
    )
