"""Who asks: the layer that reads `Authorization`."""

from __future__ import annotations

import asyncio

from mvc.errors import MvcError
from mvc.hub.exchange import App, Receive, Scope, Send, exchange_of, header, refuse
from mvc.hub.messages import Everywhere, Right
from mvc.hub.tokens import Bearer, TokenCache

CHALLENGE = (b"www-authenticate", b'Bearer realm="mvc"')
_LONGEST = 512


class Identify:
    """Notes the identity in the exchange. A token that is none of ours is refused, never taken for nobody."""

    def __init__(self, app: App, tokens: TokenCache, anonymous: Right) -> None:
        self._app, self._tokens, self._anonymous = app, tokens, anonymous

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        given = header(scope, b"authorization")
        if given is None:
            exchange.identity = Everywhere(self._anonymous)
        else:
            try:
                bearer = await self._bearer(given)
            except MvcError as error:
                exchange.failure = error
                await refuse(
                    send,
                    503,
                    "who asks cannot be told now: the store does not answer",
                    headers=[(b"retry-after", b"5")],
                )
                return
            if bearer is None:
                await refuse(send, 401, "this token is unknown, expired or revoked", headers=[CHALLENGE])
                return
            exchange.identity, exchange.token = bearer, bearer.token.id
        await self._app(scope, receive, send)

    async def _bearer(self, given: str) -> Bearer | None:
        kind, _, text = given.partition(" ")
        if kind.lower() != "bearer" or len(given) > _LONGEST:
            return None
        known = self._tokens.bearer
        return await asyncio.to_thread(lambda: known(text.strip(), floor=self._anonymous))
