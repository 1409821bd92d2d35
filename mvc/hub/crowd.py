"""How many requests run at once: the layers that tell others to come back."""

from __future__ import annotations

from collections import Counter

from mvc.hub.exchange import App, Receive, Scope, Send, exchange_of, header, refuse
from mvc.hub.options import Crowds

_LATER = (b"retry-after", b"1")
_BODILESS = frozenset((None, "0"))


OPEN = frozenset(("/healthz", "/metrics"))
"""Answered in any case: a server that has much to do is not to be taken for a dead one."""


class Overall:
    """At most so many requests in this process. Outside of whatever costs anything."""

    def __init__(self, app: App, crowds: Crowds) -> None:
        self._app, self._crowds = app, crowds
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
        elif self._running >= self._crowds.requests:
            await refuse(send, 503, "too many requests at once", headers=[_LATER])
        else:
            self._running += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._running -= 1


class EachClient:
    """At most so many requests of one client; of those that send a body fewer, for each holds a thread."""

    def __init__(self, app: App, crowds: Crowds) -> None:
        self._app, self._crowds = app, crowds
        self._requests: Counter[str] = Counter()
        self._uploads: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        who = exchange_of(scope).who
        uploads = header(scope, b"content-length") not in _BODILESS or header(scope, b"transfer-encoding") is not None
        if self._requests[who] >= self._crowds.client or (
            uploads and self._uploads[who] >= self._crowds.client_uploads
        ):
            await refuse(send, 429, "too many requests of this client at once", headers=[_LATER])
        elif uploads and self._uploads.total() >= self._crowds.uploads:
            await refuse(send, 503, "too many uploads at once", headers=[_LATER])
        else:
            self._requests[who] += 1
            self._uploads[who] += uploads
            try:
                await self._app(scope, receive, send)
            finally:
                self._done(who, uploads)

    def _done(self, who: str, uploads: bool) -> None:
        self._requests[who] -= 1
        self._uploads[who] -= uploads
        for counts in (self._requests, self._uploads):
            if not counts[who]:
                del counts[who]
