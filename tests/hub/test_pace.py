"""Waiting for a client: one timer for all steps of a body, and who is cancelled for what; blocks of what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mvc.hub.exchange import Exchange, Message
from mvc.hub.messages import FileSlice, Response
from mvc.hub.options import Patience
from mvc.hub.outflow import BLOCK, LARGE_BLOCK, Outflow
from mvc.hub.pace import Pace, TooSlow


def timers_of(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """The timers that are set from now on."""
    made: list[asyncio.TimerHandle] = []
    at: Callable[..., asyncio.TimerHandle] = loop.call_at

    def call_at(*args: Any, **options: Any) -> asyncio.TimerHandle:
        made.append(at(*args, **options))
        return made[-1]

    monkeypatch.setattr(loop, "call_at", call_at)
    return made


def test_one_timer_watches_over_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made = timers_of(asyncio.get_running_loop(), monkeypatch)
        pace = Pace(Patience(stall=600))
        for _ in range(100):
            await pace.wait(asyncio.sleep(0))
            pace.moved(1)
        assert len(made) == 1
        pace.close()
        assert made[0].cancelled()

    asyncio.run(run())


def test_a_step_that_comes_late_ends_after_others_came() -> None:
    async def run() -> None:
        pace = Pace(Patience(stall=0.05))
        for _ in range(3):
            await pace.wait(asyncio.sleep(0))
        with pytest.raises(TooSlow, match=r"no byte for 0\.05 seconds"):
            await pace.wait(asyncio.Event().wait())
        task = asyncio.current_task()
        assert task is not None and not task.cancelling()
        assert await pace.wait(asyncio.sleep(0, "further")) == "further"
        pace.close()

    asyncio.run(run())


def test_time_between_steps_is_nobodys_stall() -> None:
    async def run() -> None:
        pace = Pace(Patience(stall=0.02))
        await pace.wait(asyncio.sleep(0))
        await asyncio.sleep(0.1)
        assert await pace.wait(asyncio.sleep(0, "there")) == "there"
        pace.close()

    asyncio.run(run())


def test_who_is_cancelled_from_outside_is_not_slow() -> None:
    async def run() -> None:
        pace = Pace(Patience(stall=600))
        task = asyncio.ensure_future(pace.wait(asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pace.close()

    asyncio.run(run())


def test_blocks_are_large_while_few_are_sent(tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * LARGE_BLOCK // 256)
    path = tmp_path / "pack"
    path.write_bytes(content)

    async def sent(threads: ThreadPoolExecutor, at_once: int) -> list[list[bytes]]:
        """What each of so many answers is made of, all of them sent side by side."""
        ready = asyncio.Barrier(at_once)

        async def one() -> list[bytes]:
            blocks: list[bytes] = []

            async def send(message: Message) -> None:
                if message.get("body"):
                    if len(blocks) < 2:
                        await ready.wait()
                    blocks.append(message["body"])

            outflow = Outflow(send, threads, Pace(Patience(stall=600)), Exchange(("", 0)))
            await outflow.respond(Response(200, {}, FileSlice(path, 0, len(content))), head=False, receive=None)
            return blocks

        return await asyncio.gather(*(one() for _ in range(at_once)))

    async def run() -> None:
        with ThreadPoolExecutor(2) as threads:
            (alone,) = await sent(threads, 1)
            many = await sent(threads, 40)
        assert b"".join(alone) == content and max(map(len, alone)) == LARGE_BLOCK
        for blocks in many:
            # The second was read when all had begun and none could have ended.
            assert b"".join(blocks) == content and len(blocks[1]) <= BLOCK

    asyncio.run(run())
