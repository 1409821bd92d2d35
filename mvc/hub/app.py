"""The server, put together: the one place where its layers are stacked.

    Watch        logs and counts each request; what goes wrong inside is a 500
    Overall      so many requests at once
    Identify     who asks
    EachClient   so many at once of each
    routes       /healthz, /metrics, and all else: Face -> Service

A layer is an ASGI app around another. They tell each other of a request by its `Exchange`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from mvc import __version__
from mvc.hub.crowd import EachClient, Overall
from mvc.hub.exchange import App, Receive, Scope, Send, whole
from mvc.hub.face import Face
from mvc.hub.identify import Identify
from mvc.hub.meter import TYPE, Meter
from mvc.hub.options import ServerOptions
from mvc.hub.requestlog import RequestLog
from mvc.hub.service import Service
from mvc.hub.storage import repositories_in
from mvc.hub.tokens import TokenCache, open_tokens
from mvc.hub.watch import Watch


def build(options: ServerOptions) -> App:
    """The server over `options.place`, as an ASGI app. Its lifespan ends what it holds."""
    log, meter = RequestLog(options.access_log), Meter(options.metrics_folder)
    storage = repositories_in(options.place, environment=options.environment, memory=options.memory)
    face = Face(Service(storage, options.limits), options.patience, options.crowds)
    tokens = TokenCache(open_tokens(options.place, options.environment), options.token_seconds)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        face.close()
        log.close()

    app = Starlette(
        routes=[
            Route("/healthz", endpoint=Health()),
            Route("/metrics", endpoint=Metrics(meter)),
        ],
        middleware=[
            Middleware(Watch, log, meter),
            Middleware(Overall, options.crowds),
            Middleware(Identify, tokens, options.anonymous),
            Middleware(EachClient, options.crowds),
        ],
        lifespan=lifespan,
    )
    # Whatever is no route of the server itself, and as it came: Starlette would redirect to the like with a slash.
    app.router.default, app.router.redirect_slashes = face, False
    built: App = app
    return built


class Health:
    """Says that this process answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = b'{"schema": 1, "status": "ok", "version": "%s"}\n' % __version__.encode()
        await whole(send, 200, text, [(b"content-type", b"application/json"), (b"cache-control", b"no-store")])


class Metrics:
    """Tells Prometheus what was counted."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await whole(send, 200, self._meter.text(), [(b"content-type", TYPE)])
