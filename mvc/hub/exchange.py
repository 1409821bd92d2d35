"""What the layers of the server tell each other of one request, and what they answer by themselves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from mvc.hub.messages import Identity

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""ASGI 3 (https://asgi.readthedocs.io/en/latest/specs/main.html)."""

_KEY = "mvc.exchange"


@dataclass(slots=True)
class Exchange:
    """One request and its answer, as far as known."""

    peer: tuple[str, int]
    """Address and port of the other end: the client's, or a proxy's."""
    token: str = ""
    """Id of the token, "" without one. Never the token itself."""
    identity: Identity | None = None
    repository: str = ""
    endpoint: str = ""
    status: int = 0
    """0: none was sent."""
    received: int = 0
    """Bytes of the request's body that were read."""
    sent: int = 0
    """Bytes of the answer's body."""
    cut: str = ""
    """Why the answer ended before its end."""
    failure: BaseException | None = None
    """What went wrong inside, for the log."""

    @property
    def client(self) -> str:
        return self.peer[0]

    @property
    def who(self) -> str:
        """By whom requests are counted."""
        return self.token or self.client


def begin(scope: Scope) -> Exchange:
    """The exchange of a request that has just come."""
    host, port = scope.get("client") or ("", 0)
    made = Exchange((str(host), int(port)))  # granian gives the port as text
    scope[_KEY] = made
    return made


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that an outer layer began."""
    found = scope[_KEY]
    assert isinstance(found, Exchange)
    return found


def header(scope: Scope, name: bytes) -> str | None:
    """A header of the request, None if it is not there."""
    for key, value in scope["headers"]:
        if key.lower() == name:
            return str(value.decode("latin-1"))
    return None


async def refuse(
    send: Send, status: int, error: str, hint: str | None = None, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """An error, in the form of docs/protocol/sync.md."""
    body = json.dumps({"error": error, "hint": hint, "kind": "refused"}).encode() + b"\n"
    await whole(send, status, body, [(b"content-type", b"application/json"), *headers])


async def whole(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """An answer that is at hand."""
    told = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
