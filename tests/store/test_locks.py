from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mvc.errors import Locked
from mvc.store import heartbeat, holder
from mvc.store.holder import Holder, dump, has_ended, parse, this_process
from mvc.store.locks import UNWRITTEN_SECONDS, break_lock, hold, list_locks, remove_stale
from tests.forked import KILLED, in_child, killer

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "repo.lock"
    with hold(path, what="mvc commit") as held:
        held.check()
        with pytest.raises(Locked) as caught, hold(path):
            raise AssertionError
        assert f"process {os.getpid()} on " in caught.value.holder and "(mvc commit)" in caught.value.holder
        assert caught.value.hint is not None and "mvc unlock" in caught.value.hint
    assert not path.exists()
    with hold(path):
        pass


def test_it_is_released_when_the_block_raises(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "a.lock"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_waiting(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    slept: list[float] = []
    ready = threading.Event()

    def first() -> None:
        with hold(path):
            ready.set()
            while len(slept) < 4:
                time.sleep(0.001)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(0.005)

    thread = threading.Thread(target=first)
    thread.start()
    ready.wait()
    with hold(path, wait=300, sleep=sleep):
        assert slept == sorted(slept)
    thread.join()


def test_many_processes_never_hold_it_together(tmp_path: Path) -> None:
    """Each adds one to a number in a file, ten times, with the lock; a third of them are killed while they hold it."""
    path, number = tmp_path / "a.lock", tmp_path / "number"
    number.write_text("0")
    context = multiprocessing.get_context("fork")

    def work(index: int) -> None:
        for turn in range(10):
            with hold(path, wait=300):
                inside = tmp_path / "inside"
                inside.touch(exist_ok=False)
                value = int(number.read_text())
                time.sleep(0.0005)
                number.write_text(str(value + 1))
                inside.unlink()
                if index % 3 == 0 and turn == 5:
                    os.kill(os.getpid(), signal.SIGKILL)

    children = [context.Process(target=work, args=(index,)) for index in range(9)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [-9, 0, 0] * 3
    assert int(number.read_text()) == 6 * 10 + 3 * 6


@linux
@pytest.mark.parametrize("reaped", [True, False])
def test_the_lock_of_a_killed_process_is_broken(tmp_path: Path, reaped: bool) -> None:
    path = tmp_path / "a.lock"
    child = os.fork()
    if child == 0:
        with hold(path, what="mvc add"):
            os.kill(os.getpid(), signal.SIGKILL)
    if reaped:
        os.waitpid(child, 0)
    else:
        while parse_state(child) != "Z":
            time.sleep(0.01)
    [standing] = list_locks(tmp_path)
    assert standing.stale and f"process {child}" in standing.holder
    with hold(path):
        assert [lock.stale for lock in list_locks(tmp_path)] == [False]
    assert list(tmp_path.iterdir()) == []
    if not reaped:
        os.waitpid(child, 0)


def parse_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@linux
def test_killed_at_each_step_of_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"

    def both() -> None:
        with hold(path, what="first"), hold(path.with_name("b.lock")):
            pass

    for step in range(20):
        code = in_child(both, killer(step + 1))
        assert code in (0, KILLED)
        with hold(path), hold(path.with_name("b.lock")):
            pass
        assert list(path.parent.iterdir()) == []
        if code == 0:
            assert step >= 4
            return
    raise AssertionError


@linux
def test_a_breaker_that_was_killed_is_broken_itself(tmp_path: Path) -> None:
    """Killed between taking `a.lock.break` and removing the stale lock."""
    path = tmp_path / "a.lock"

    def leave() -> None:
        with hold(path):
            os.kill(os.getpid(), signal.SIGKILL)

    def held() -> None:
        with hold(path):
            pass

    def at_unlink(operation: str, target: str) -> None:
        if operation == "unlink" and target == str(path):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(leave) == KILLED and in_child(held, at_unlink) == KILLED
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.lock", "a.lock.break"]
    with hold(path):
        pass
    assert list(tmp_path.iterdir()) == []


@linux
def test_a_process_id_that_was_given_again_is_not_the_holder(tmp_path: Path) -> None:
    me = this_process("x")
    assert has_ended(me) is False
    assert has_ended(replace(me, started="1")) is True
    assert has_ended(replace(me, pid=2**40)) is True, "the system has no such number"
    path = tmp_path / "a.lock"
    path.write_bytes(dump(replace(me, started="1")))
    with hold(path):
        pass


def far(**changes: object) -> Holder:
    return replace(this_process("mvc push"), **{"host": "elsewhere", "boot": "another", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("foreign", [far(), far(boot=this_process("").boot, namespace="pid:[1]"), far(boot="")])
def test_a_lock_of_another_machine_goes_by_its_heartbeat(tmp_path: Path, foreign: Holder) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(dump(foreign))
    os.utime(path, (1_000_000, 1_000_000))
    young = 1_000_000 + heartbeat.STALE_SECONDS - 1
    with pytest.raises(Locked, match="on elsewhere"), hold(path, clock=lambda: young):
        raise AssertionError
    [standing] = list_locks(tmp_path, clock=lambda: young)
    assert not standing.stale and standing.age_seconds == heartbeat.STALE_SECONDS - 1
    with hold(path, clock=lambda: young + 2):
        assert parse(path.read_bytes()) != foreign
    assert list(tmp_path.iterdir()) == []


def test_by_default_the_file_systems_clock_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(dump(far()))
    with pytest.raises(Locked), hold(path):
        raise AssertionError
    old = path.stat().st_mtime - heartbeat.STALE_SECONDS - 5
    os.utime(path, (old, old))
    with hold(path):
        pass


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"", UNWRITTEN_SECONDS),  # being made, or its maker was killed at that
        (b"1234567890123456789012345678901234567890\n", heartbeat.STALE_SECONDS),  # real git's, over a ref
        (b"\xff\xfe", heartbeat.STALE_SECONDS),
    ],
)
def test_a_lock_without_a_name_is_left_alone_for_a_time(tmp_path: Path, data: bytes, limit: float) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(data)
    made = path.stat().st_mtime
    with pytest.raises(Locked), hold(path, clock=lambda: made + limit - 1):
        raise AssertionError
    with hold(path, clock=lambda: made + limit + 1):
        pass


def test_who_lost_a_lock_finds_out_and_does_not_remove_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(path) as held:
        assert break_lock(path) is not None
        with pytest.raises(Locked):
            held.check()
        path.write_bytes(dump(far()))
        with pytest.raises(Locked, match="taken from this process"):
            held.check()
    assert path.exists()


def test_unlock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert break_lock(path) is None
    path.write_bytes(dump(far()))
    assert break_lock(path) == f"process {os.getpid()} on elsewhere (mvc push)"
    assert not path.exists()


def test_gc_takes_away_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "far.lock").write_bytes(dump(far()))
    (tmp_path / "old.lock").write_bytes(dump(far()))
    os.utime(tmp_path / "old.lock", (1, 1))
    (tmp_path / "tmp-clock-x").touch()
    with hold(tmp_path / "mine.lock"):
        remove_stale(tmp_path, before_ns=time.time_ns() + 10**9)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["far.lock", "mine.lock"]


def test_a_heartbeat_renews_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(path):
        os.utime(path, (1, 1))
        heartbeat.beat()
        assert path.stat().st_mtime > 1000
    path.touch()
    os.utime(path, (1, 1))
    heartbeat.beat()
    assert path.stat().st_mtime == 1  # released: no longer ours to renew


@pytest.mark.parametrize("what", ["mvc add", "", "two\nlines  and blanks", "snow ☃", "x" * 1000])
def test_the_text_of_a_holder(what: str) -> None:
    holder_ = this_process(what)
    assert parse(dump(holder_)) == holder_
    whole = dump(holder_)
    for cut in range(len(whole) - 4):
        assert parse(whole[:cut]) is None


def test_of_a_process_whose_name_is_odd_the_start_is_read(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    tool = tmp_path / "a) b (c"
    tool.symlink_to("/bin/sleep")
    child = subprocess.Popen([tool, "60"])
    try:
        assert (holder._start_of(child.pid) or "").isdecimal()
    finally:
        child.kill()
        child.wait()
