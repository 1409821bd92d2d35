"""A rate is kept, by a clock that the test gives; the contract holds within it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.backends.base import Backend
from mvc.backends.limited import UNLIMITED, LimitedBackend, Rates, parse_rates
from mvc.backends.memory import MemoryBackend
from mvc.backends.open import open_backend
from mvc.backends.retrying import RetryingBackend
from mvc.errors import UsageError
from tests.backends.contract import Contract, pattern

MB = 1 << 20


class Clock:
    """Time that passes only when somebody sleeps; sleepers do not wait for each other."""

    def __init__(self) -> None:
        self.now = 50.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


def limited(inner: Backend, clock: Clock, **rates: float) -> LimitedBackend:
    return LimitedBackend(inner, Rates(**rates), clock=clock, sleep=clock.sleep)


class TestLimited(Contract):
    @pytest.fixture
    def backend(self) -> Backend:
        return limited(MemoryBackend(), Clock(), up=MB, down=MB / 4)


def test_each_way_has_its_own_rate(tmp_path: Path) -> None:
    clock = Clock()
    backend = limited(MemoryBackend(), clock, up=2 * MB, down=MB / 2)
    file = tmp_path / "file"
    file.write_bytes(pattern(20 * MB))
    backend.put("a", file)
    assert clock.now - 50 == pytest.approx(10)
    backend.put("b", pattern(4 * MB))
    assert clock.now - 60 == pytest.approx(2)
    assert backend.put_if_absent("c", bytes(MB)) and clock.now - 62 == pytest.approx(0.5)
    start = clock.now
    assert backend.get("a", 5, 3 * MB) == pattern(20 * MB)[5 : 5 + 3 * MB]
    assert clock.now - start == pytest.approx(6)
    assert len(backend.get("b")) == 4 * MB and clock.now - start == pytest.approx(14)


def test_one_way_alone() -> None:
    clock = Clock()
    backend = limited(MemoryBackend(), clock, down=MB)
    backend.put("a", bytes(9 * MB))
    assert clock.now == 50
    backend.get("a", 0, 9 * MB)
    assert clock.now == pytest.approx(59)


def test_time_in_which_nothing_moved_is_not_saved_up() -> None:
    clock = Clock()
    backend = limited(MemoryBackend(), clock, up=MB)
    backend.put("a", bytes(MB))
    clock.now += 1000
    backend.put("b", bytes(3 * MB))
    assert clock.now - 50 == pytest.approx(1004)


def test_a_long_range_comes_in_pieces() -> None:
    asked: list[int] = []

    class Noted(MemoryBackend):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            asked.append(length or 0)
            return super().get(key, offset, length)

    inner = Noted()
    inner.put("a", pattern(5 * MB + 7))
    assert limited(inner, Clock(), down=1000).get("a", 1, 8 * MB) == pattern(5 * MB + 7)[1:]
    assert asked == [MB] * 6
    asked.clear()
    limited(inner, Clock(), down=100 * MB).get("a", 0, 5 * MB)
    assert asked == [5 * MB]


def test_threads_share_the_rate() -> None:
    waited: list[float] = []
    backend = LimitedBackend(MemoryBackend(), Rates(up=MB), clock=lambda: 0.0, sleep=waited.append)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: backend.put(f"k{number}", bytes(MB)), range(8)))
    assert sorted(waited) == pytest.approx(list(range(1, 9)))


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("10M", Rates(10 * MB, 10 * MB)),
        ("up=5M,down=20M", Rates(5 * MB, 20 * MB)),
        ("down=1.5k", Rates(None, 1536)),
        ("up=none", UNLIMITED),
        ("1G/s", Rates(1 << 30, 1 << 30)),
        (" up = 3 , down = 0 ", Rates(3, None)),
        ("100KiB", Rates(102400, 102400)),
    ],
)
def test_how_rates_are_written(text: str, rates: Rates) -> None:
    assert parse_rates(text) == rates


@pytest.mark.parametrize(
    "text", ["", "fast", "-1", "up=", "up=1,up=2", "1M,up=2", "sideways=1", "0.1", "1e9", "1,2", "1T"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match="is no rate"):
        parse_rates(text)


@given(st.text(max_size=30))
def test_any_text_is_a_rate_or_refused(text: str) -> None:
    try:
        rates = parse_rates(text)
    except UsageError:
        return
    assert all(rate is None or rate >= 1 for rate in (rates.up, rates.down))


def test_what_is_said_goes_before_what_is_set() -> None:
    assert Rates(up=1).over(Rates(up=2, down=3)) == Rates(1, 3)


def test_where_it_stands_in_the_stack(tmp_path: Path) -> None:
    backend = open_backend(str(tmp_path), environment={}, rates=Rates(up=MB))
    assert isinstance(backend, RetryingBackend) and isinstance(backend.inner, LimitedBackend)
    assert isinstance(open_backend(str(tmp_path), environment={}), RetryingBackend)
    assert not isinstance(open_backend(str(tmp_path), environment={}).inner, LimitedBackend)  # type: ignore[attr-defined]
