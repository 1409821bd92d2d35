"""Retries over a backend that fails: the contract holds as if it did not, and the pauses are as they should be."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, Plan, Request, at, randomly
from mvc.backends.memory import MemoryBackend
from mvc.backends.probe import probe
from mvc.backends.retrying import Policy, RetryingBackend
from mvc.errors import NotFound, RemoteRefused, RemoteUnavailable
from tests.backends.contract import Contract

PASSING = (Fault.BEFORE, Fault.AFTER, Fault.CUT, Fault.HANG, Fault.TWICE)


class Clock:
    """Time that passes only when somebody sleeps or hangs."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def hang(self, seconds: float) -> None:
        self.now += seconds


def retrying(
    inner: Backend, clock: Clock, chance: Callable[[], float] = lambda: 1.0, **policy: float
) -> RetryingBackend:
    return RetryingBackend(inner, Policy(**policy), clock=clock, sleep=clock.sleep, chance=chance)  # type: ignore[arg-type]


class Unreliable(Contract):
    """The contract, but for what a lost answer changes: put_if_absent may then say False of what is ours."""

    plan: Plan

    def around(self, inner: Backend) -> Backend:
        clock = Clock()
        faulty = FaultyBackend(inner, self.plan, hang=clock.hang, stall=1.0)
        return retrying(faulty, clock, random.Random(5).random, attempts=40, first_attempts=40, total=1e9)

    @pytest.fixture
    def backend(self) -> Backend:
        return self.around(MemoryBackend())


class TestNothingArrivesAtFirst(Unreliable):
    plan = staticmethod(randomly(1, 0.4, (Fault.BEFORE, Fault.HANG)))


class TestLinesBreak(Unreliable):
    """Requests break before the effect; listings, in the middle."""

    plan = staticmethod(randomly(2, 0.3, (Fault.CUT,)))


@pytest.mark.parametrize("seed", range(30))
def test_answers_that_are_lost_or_come_twice(seed: int) -> None:
    """Whatever fails: what was stored is there, once; and of two who create, the bytes tell who was first."""
    store = MemoryBackend()
    clock = Clock()
    clients = [
        retrying(
            FaultyBackend(store, randomly(seed + n, 0.5, PASSING), hang=clock.hang),
            clock,
            attempts=60,
            first_attempts=60,
            total=1e9,
        )
        for n in (0, 100)
    ]
    winners = []
    for number in range(20):
        key = f"txn/{number:04}"
        for name, client in zip((b"one", b"two"), clients, strict=True):
            if client.put_if_absent(key, name) or client.get(key) == name:
                winners.append(name)
        clients[0].put(f"packs/{number}", b"x" * number)
    assert winners == [b"one"] * 20
    assert [entry.size for entry in clients[1].list("packs/")] == [store.size(e.key) for e in store.list("packs/")]
    clients[1].delete(entry.key for entry in clients[1].list("packs/"))
    assert not list(store.list("packs/"))
    assert probe(clients[0]).enforced


def failing(*errors: Exception | None) -> Callable[[int, Request], Fault | None]:
    def plan(number: int, request: Request) -> Fault | None:
        if number < len(errors) and (error := errors[number]) is not None:
            raise error
        return None

    return plan


def test_pauses_double_up_to_a_bound_and_have_jitter() -> None:
    clock = Clock()
    backend = retrying(
        FaultyBackend(MemoryBackend(), at(dict.fromkeys(range(7), Fault.BEFORE))),
        clock,
        first_attempts=8,
        longest_pause=3.0,
    )
    assert backend.size("a") is None
    assert clock.pauses == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    clock = Clock()
    backend = retrying(
        FaultyBackend(MemoryBackend(), at(dict.fromkeys(range(3), Fault.BEFORE))),
        clock,
        iter([0.5, 0.0, 0.25]).__next__,
    )
    assert backend.size("a") is None
    assert clock.pauses == [0.1, 0.0, 0.2]


def test_a_store_that_never_answered_is_given_up_sooner() -> None:
    clock = Clock()
    faulty = FaultyBackend(MemoryBackend(), lambda number, request: Fault.BEFORE if number else None)
    backend = retrying(faulty, clock)
    assert backend.size("a") is None
    with pytest.raises(RemoteUnavailable):
        backend.get("a")
    assert len(faulty.requests) == 1 + 9
    faulty = FaultyBackend(MemoryBackend(), lambda number, request: Fault.BEFORE)
    for _ in range(2):
        with pytest.raises(RemoteUnavailable):
            retrying(faulty, clock).get("a")
    assert len(faulty.requests) == 8


def test_hanging_requests_do_not_go_on_for_ever() -> None:
    clock = Clock()
    faulty = FaultyBackend(MemoryBackend(), lambda number, request: Fault.HANG if number else None, hang=clock.hang)
    backend = retrying(faulty, clock, attempts=1000)
    backend.put("a", b"1")
    with pytest.raises(RemoteUnavailable):
        backend.get("a")
    assert 300 <= clock.now - 1000 < 400 and len(faulty.requests) <= 7


@pytest.mark.parametrize("error", [NotFound("no"), RemoteRefused("no"), OSError(28, "full"), ValueError("a mistake")])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    clock = Clock()
    faulty = FaultyBackend(MemoryBackend(), failing(error))
    with pytest.raises(type(error)):
        retrying(faulty, clock).get("a")
    assert len(faulty.requests) == 1 and not clock.pauses


def test_a_listing_goes_on_where_it_broke() -> None:
    store = MemoryBackend()
    for number in range(100):
        store.put(f"k/{number:03}", b"")
    faulty = FaultyBackend(store, at({0: Fault.CUT, 1: Fault.BEFORE, 2: Fault.CUT, 4: Fault.CUT}))
    assert [entry.key for entry in retrying(faulty, Clock()).list("k/")] == [f"k/{number:03}" for number in range(100)]
    assert len(faulty.requests) == 4


def test_progress_never_tells_a_byte_twice(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    told: list[int] = []
    faulty = FaultyBackend(MemoryBackend(), at({0: Fault.CUT, 1: Fault.AFTER, 2: Fault.CUT}))
    retrying(faulty, Clock()).put("a", tmp_path / "file", progress=told.append)
    assert told == [500, 500]


def test_each_fault_does_what_it_says() -> None:
    store = MemoryBackend()
    store.put("a", b"0123456789")
    calls = ["before", "after", "cut", "short", "wrong", "twice", "refused"]
    faulty = FaultyBackend(store, lambda number, request: Fault[calls[number].upper()])
    for expected in (
        RemoteUnavailable,
        RemoteUnavailable,
        RemoteUnavailable,
        b"01234",
        b"01234\x346789",
        b"0123456789",
        RemoteRefused,
    ):
        if isinstance(expected, bytes):
            assert faulty.get("a") == expected
        else:
            with pytest.raises(expected):
                faulty.get("a")
    assert faulty.requests == [Request("get", "a")] * 7


def test_a_store_that_lies_is_found_out() -> None:
    class Overwrites(MemoryBackend):
        def put_if_absent(self, key: str, data: object) -> bool:
            self.put(key, data)  # type: ignore[arg-type]
            return True

    class ChecksFirst(MemoryBackend):
        """Looks, and writes later: right in turn, wrong at once."""

        barrier = threading.Barrier(8)

        def put_if_absent(self, key: str, data: object) -> bool:
            if self.size(key) is not None:
                return False
            if key != "probe/n1":
                self.barrier.wait(timeout=300)
            self.put(key, data)  # type: ignore[arg-type]
            return True

    class SaysNo(MemoryBackend):
        def put_if_absent(self, key: str, data: object) -> bool:
            return False

    names = map("n{}".format, itertools.count(1))
    assert "over one that is there" in probe(Overwrites()).reason
    assert probe(ChecksFirst(), nonce=names.__next__).reason == "lets 8 of 8 create the same object at once"
    assert "is there already" in probe(SaysNo()).reason
