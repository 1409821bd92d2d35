"""The outermost layer: each request is logged and counted, and whatever goes wrong inside becomes a 500."""

from __future__ import annotations

import asyncio
import time
import traceback
from datetime import UTC, datetime
from typing import Any

from mvc.hub.exchange import App, Exchange, Message, Receive, Scope, Send, begin, header, refuse
from mvc.hub.meter import Meter
from mvc.hub.requestlog import RequestLog

_LONGEST = 300
"""Letters of a path or of a client's name for itself that are logged."""


class Watch:
    """Around all of the others."""

    def __init__(self, app: App, log: RequestLog, meter: Meter) -> None:
        self._app, self._log, self._meter = app, log, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = begin(scope)
        began, came = time.monotonic(), datetime.now(UTC)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        self._meter.begin()
        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            exchange.failure = error
            if not exchange.status:
                await refuse(sending, 500, "the server failed; its log tells more")
        except asyncio.CancelledError:
            exchange.cut = exchange.cut or "the server is stopped"
            raise
        finally:
            seconds = time.monotonic() - began
            self._meter.end(scope["method"], exchange, seconds)
            self._log.write(_line(scope, exchange, came, seconds))


def _line(scope: Scope, exchange: Exchange, came: datetime, seconds: float) -> dict[str, Any]:
    """What is logged. Neither the token nor the query, which somebody may have put one into."""
    failure = exchange.failure
    told = {
        "time": came.isoformat(timespec="milliseconds"),
        "client": exchange.client,
        "forwarded": (header(scope, b"x-forwarded-for") or "")[:_LONGEST],
        "token": exchange.token,
        "name": exchange.identity.name if exchange.identity else "",
        "method": scope["method"][:20],
        "path": scope["raw_path"][:_LONGEST].decode("latin-1"),
        "repository": exchange.repository,
        "endpoint": exchange.endpoint,
        "status": exchange.status,
        "received": exchange.received,
        "sent": exchange.sent,
        "seconds": round(seconds, 4),
        "cut": exchange.cut,
        "agent": (header(scope, b"user-agent") or "")[:_LONGEST],
        "failure": "".join(traceback.format_exception(failure)) if failure is not None else "",
    }
    return {key: value for key, value in told.items() if value not in ("", None)}
