"""How long a client may keep the server waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from mvc.hub.options import Patience

Result = TypeVar("Result")


class TooSlow(Exception):
    """A client that lets the server wait too long."""


class Pace:
    """Waits for one body to come or to go, within the limits."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waited = 0.0
        self._moved = 0

    async def wait(self, step: Awaitable[Result]) -> Result:
        """What `step` gives, which takes as long as the client likes."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.stall):
                result = await step
        except TimeoutError:
            raise TooSlow(f"no byte for {self._patience.stall:g} seconds") from None
        self._waited += time.monotonic() - began
        return result

    def moved(self, count: int) -> None:
        """So many bytes went."""
        self._moved += count
        patience = self._patience
        if self._waited > patience.grace and self._moved < self._waited * patience.slowest:
            raise TooSlow(f"less than {patience.slowest:g} bytes a second")
        if self._waited > patience.longest:
            raise TooSlow(f"more than {patience.longest:g} seconds for one body")
