"""How a body gets from an event loop to a thread: pace, order, room, ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.hub import pace as paces
from mvc.hub.exchange import Exchange, Message
from mvc.hub.inflow import BodyBroken, Inflow
from mvc.hub.options import Patience
from mvc.hub.pace import Pace, TooSlow

QUICK = Patience(stall=120)


def script(messages: Sequence[Message], asked: list[int] | None = None) -> Callable[[], Awaitable[Message]]:
    """A client that sends these, and then nothing for ever."""
    left = iter(messages)

    async def receive() -> Message:
        if asked is not None:
            asked.append(1)
        for message in left:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    return receive


def parts(blocks: Sequence[bytes]) -> list[Message]:
    last = len(blocks) - 1
    return [{"type": "http.request", "body": b, "more_body": number < last} for number, b in enumerate(blocks)]


async def read_all(inflow: Inflow, size: int) -> bytes:
    def work() -> bytes:
        came = b""
        while block := bytes(inflow.read(size)):
            assert len(block) <= size
            came += block
        assert not inflow.read(size), "the end stays the end"
        return came

    return await asyncio.to_thread(work)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=20), st.integers(1, 30))
def test_what_comes_is_read_in_order(blocks: list[bytes], size: int) -> None:
    async def run() -> None:
        exchange = Exchange(("", 0))
        inflow = Inflow(script(parts(blocks)), None, Pace(QUICK), exchange)
        assert await read_all(inflow, size) == b"".join(blocks)
        assert inflow.whole and exchange.received == sum(map(len, blocks))
        await inflow.stop()

    asyncio.run(run())


def test_nothing_is_asked_of_the_client_before_the_first_read() -> None:
    async def run() -> None:
        asked: list[int] = []
        inflow = Inflow(script(parts([b"x"]), asked), 1, Pace(QUICK), Exchange(("", 0)))
        await asyncio.sleep(0.02)
        await inflow.stop()
        assert not asked and not inflow.whole

    asyncio.run(run())


def test_no_more_than_a_few_blocks_wait() -> None:
    block = bytes(400_000)

    async def run() -> None:
        asked: list[int] = []
        inflow = Inflow(script(parts([block] * 50), asked), None, Pace(QUICK), Exchange(("", 0)))
        await asyncio.to_thread(inflow.read, 1)
        await asyncio.sleep(0.05)
        assert len(asked) <= 4
        assert len(await read_all(inflow, 1 << 20)) == 50 * len(block) - 1
        await inflow.stop()

    asyncio.run(run())


def test_a_client_that_goes() -> None:
    async def run() -> None:
        messages: list[Message] = [*parts([b"abc", b""])[:1], {"type": "http.disconnect"}]
        inflow = Inflow(script(messages), 100, Pace(QUICK), Exchange(("", 0)))
        with pytest.raises(BodyBroken):
            await read_all(inflow, 10)
        assert inflow.gone and not inflow.whole

    asyncio.run(run())


def test_a_client_that_falls_silent() -> None:
    async def run() -> None:
        inflow = Inflow(script(parts([b"abc", b""])[:1]), 100, Pace(Patience(stall=0.05)), Exchange(("", 0)))
        with pytest.raises(BodyBroken):
            await read_all(inflow, 10)
        assert str(inflow.slow) == "no byte for 0.05 seconds"

    asyncio.run(run())


def test_a_reader_who_stops_holds_nothing_up() -> None:
    async def run() -> None:
        inflow = Inflow(script(parts([bytes(2 << 20)] * 9)), None, Pace(QUICK), Exchange(("", 0)))
        await asyncio.to_thread(inflow.read, 10)
        await asyncio.wait_for(inflow.stop(), 120)

    asyncio.run(run())


@pytest.mark.parametrize("patience", [QUICK, Patience(stall=0.05)], ids=["unread", "slow"])
def test_what_gives_the_body_is_let_go(patience: Patience) -> None:
    """At once, not when Python next looks for garbage: the server closes the connection no sooner."""

    async def run() -> None:
        receive = script(parts([b"abc", b""])[:1])
        held = weakref.ref(receive)
        inflow = Inflow(receive, 100, Pace(patience), Exchange(("", 0)))
        del receive
        assert await asyncio.to_thread(inflow.read, 10) == b"abc"
        while inflow.slow is None and patience is not QUICK:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        await inflow.stop()
        assert held() is None

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


class Clock:
    """What the pace of a body is measured by."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def waits(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(paces, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("patience", "each", "why"),
    [
        (Patience(grace=0.1, slowest=10_000), 10, "less than 10000 bytes a second"),
        (Patience(longest=0.1), 1 << 20, "more than 0.1 seconds for one body"),
    ],
)
def test_a_trickle_ends(clock: Clock, patience: Patience, each: int, why: str) -> None:
    async def run() -> None:
        pace = Pace(patience)
        with pytest.raises(TooSlow, match=why):
            while clock.now < 10:
                await pace.wait(clock.waits(0.02))
                pace.moved(each)
        assert 0.1 <= clock.now < 0.2

    asyncio.run(run())


def test_the_servers_own_time_does_not_count(clock: Clock) -> None:
    async def run() -> None:
        pace = Pace(Patience(grace=0, slowest=1000, longest=0.05))
        for _ in range(5):
            await pace.wait(clock.waits(0.001))
            pace.moved(100)
            clock.now += 0.03

    asyncio.run(run())
