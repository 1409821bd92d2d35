"""The innermost layer over HTTP: from ASGI to the service, which is synchronous, and back."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl

from mvc.hub.exchange import Exchange, Receive, Scope, Send, exchange_of, refuse
from mvc.hub.inflow import Inflow
from mvc.hub.messages import Everywhere, Request, Right
from mvc.hub.options import Crowds, Patience
from mvc.hub.outflow import Outflow
from mvc.hub.pace import Pace
from mvc.hub.service import Service

_BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
_MOST_FIELDS = 20


class Face:
    """Gives requests to the service, each in a thread: those with a body in threads of their own, which it may hold for
    long."""

    def __init__(self, service: Service, patience: Patience, crowds: Crowds) -> None:
        self._service = service
        self._patience = patience
        self._readers = ThreadPoolExecutor(crowds.readers, thread_name_prefix="read")
        self._takers = ThreadPoolExecutor(crowds.uploads, thread_name_prefix="take")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        headers = headers_of(scope)
        length = length_of(headers)
        if length is not None and length < 0:
            await refuse(send, 400, "the length of the body is no number")
            return
        if length != 0 and scope["method"] in _BODILESS:
            await refuse(send, 400, f"a {scope['method']} has no body")
            return
        inflow = Inflow(receive, length, Pace(self._patience), exchange)
        request = _request(scope, headers, inflow, length, exchange)
        if request is None:
            await refuse(send, 400, "too many fields in the query")
            return
        threads = self._takers if length != 0 else self._readers
        response = await asyncio.get_running_loop().run_in_executor(threads, self._service.handle, request)
        await inflow.stop()
        exchange.repository, exchange.endpoint = response.repository, response.endpoint
        exchange.failure = response.failure
        if inflow.gone:
            exchange.failure, exchange.cut = None, "the client is gone"
            return
        if inflow.slow is not None:
            exchange.failure = None
            await refuse(send, 408, f"too slow: {inflow.slow}", headers=[(b"connection", b"close")])
            return
        encrypted = scope.get("scheme") == "https"
        outflow = Outflow(send, self._readers, Pace(self._patience), exchange, encrypted=encrypted)
        told = receive if inflow.whole else None
        await outflow.respond(response, head=scope["method"] == "HEAD", receive=told)

    def close(self) -> None:
        """End the threads and the service, once what runs is done."""
        self._takers.shutdown()
        self._readers.shutdown()
        self._service.close()


def headers_of(scope: Scope) -> dict[str, str]:
    """By name in small letters; one that comes twice is joined by commas, as RFC 9110, 5.3, has it."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def length_of(headers: dict[str, str]) -> int | None:
    """Bytes of the body: 0 if there is none, None if they are not told, negative if what is told is no number."""
    told = headers.get("content-length")
    if "transfer-encoding" in headers:
        return None
    if told is None:
        return 0
    return int(told) if told.isascii() and told.isdigit() and len(told) < 19 else -1


def _request(
    scope: Scope, headers: dict[str, str], inflow: Inflow, length: int | None, exchange: Exchange
) -> Request | None:
    try:
        fields = dict(parse_qsl(scope["query_string"].decode("latin-1"), True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return None
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        fields,
        headers,
        inflow,
        length,
        exchange.identity or Everywhere(Right.NONE),
    )
