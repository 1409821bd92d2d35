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
    """Waits for one body to come or to go, one step at a time, within the limits. To be closed.

    One timer watches over all steps: one for each took a third of the event loop's time in an upload.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waited = 0.0
        self._moved = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        """Who waits."""
        self._since = 0.0
        self._expired = False

    async def wait(self, step: Awaitable[Result]) -> Result:
        """What `step` gives, which takes as long as the client likes. Raises TooSlow."""
        task = self._task = asyncio.current_task()
        assert task is not None
        asked = task.cancelling()
        self._since = time.monotonic()
        if self._timer is None:
            self._look_in(self._patience.stall)
        try:
            result = await step
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= asked:
                raise TooSlow(f"no byte for {self._patience.stall:g} seconds") from None
            raise
        finally:
            self._task = task = None  # the exception has this frame, and a task that is cancelled the exception
        self._waited += time.monotonic() - self._since
        return result

    def moved(self, count: int) -> None:
        """So many bytes went."""
        self._moved += count
        patience = self._patience
        if self._waited > patience.grace and self._moved < self._waited * patience.slowest:
            raise TooSlow(f"less than {patience.slowest:g} bytes a second")
        if self._waited > patience.longest:
            raise TooSlow(f"more than {patience.longest:g} seconds for one body")

    def close(self) -> None:
        """Nothing more is waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        left = self._since + self._patience.stall - time.monotonic()
        if left > 0:
            self._look_in(left)
        else:
            self._expired = True
            self._task.cancel()
