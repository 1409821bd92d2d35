from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from mvc.errors import IntegrityError, Refused
from mvc.store import condemned, heartbeat, intents
from mvc.store.holder import dump, this_process
from mvc.store.intents import Claims, list_intents, register
from tests.forked import KILLED, in_child
from tests.store.making import open_store, prune, put


def far_intent(folder: Path, start_ns: int, beat: float | None = None) -> Path:
    """An intent as a writer on another machine has it."""
    path = folder / f"{start_ns:020d}-0123456789abcdef.intent"
    path.write_bytes(dump(replace(this_process("mvc add"), host="elsewhere", boot="another")))
    if beat is not None:
        os.utime(path, (beat, beat))
    return path


def test_an_intent_stands_while_it_is_held(tmp_path: Path) -> None:
    with register(tmp_path, "add") as intent:
        [seen] = list_intents(tmp_path)
        assert (seen.path, seen.alive, seen.near) == (intent.path, True, True)
        assert abs(seen.start_ns - intent.path.stat().st_mtime_ns) < 10**9
        assert "(add)" in seen.describe()
        intent.check()
        start = seen.start_ns
        os.utime(intent.path, (2**31, 2**31))
        heartbeat.beat()
        assert list_intents(tmp_path)[0].start_ns == start
    assert list_intents(tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_the_intent_of_a_killed_process_is_dead(tmp_path: Path) -> None:
    def killed() -> None:
        with register(tmp_path, "add"):
            os.kill(os.getpid(), 9)

    assert in_child(killed) == KILLED
    [seen] = list_intents(tmp_path)
    assert not seen.alive
    intents.remove_dead(tmp_path, [seen], before_ns=0)
    assert list_intents(tmp_path) == []


def test_an_intent_of_another_machine_lives_by_its_heartbeat(tmp_path: Path) -> None:
    path = far_intent(tmp_path, 5, beat=1_000_000)
    limit = int((1_000_000 + intents.DEAD_SECONDS) * 1e9)
    assert [one.alive for one in list_intents(tmp_path, now_ns=limit - 1)] == [True]
    assert [one.alive for one in list_intents(tmp_path, now_ns=limit + 1)] == [False]
    assert not list_intents(tmp_path)[0].near
    path.write_bytes(b"not to be read")
    assert [(one.alive, one.near) for one in list_intents(tmp_path)] == [(True, False)]


def test_who_was_taken_for_dead_finds_out(tmp_path: Path) -> None:
    with register(tmp_path, "add") as intent:
        intent.path.unlink()
        with pytest.raises(Refused):
            intent.check()


def test_the_cutoff_is_before_any_writer_began(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    far_intent(store.paths.intents, 5_000)
    with store.intend("add") as intent:
        cutoff = store.begin_sweep(grace_seconds=0)
        assert cutoff.packs_ns == cutoff.writers_ns == 5_000 and len(cutoff.writers) == 2
        assert cutoff.tmp_ns == 5_000
        intent.check()
    for path in store.paths.intents.iterdir():
        path.unlink()
    cutoff = store.begin_sweep(grace_seconds=100, tmp_grace_seconds=10)
    assert cutoff.writers_ns - cutoff.packs_ns == 100 * 10**9
    assert cutoff.writers_ns - cutoff.tmp_ns == 10 * 10**9
    (store.paths.intents / "garbled.intent").write_bytes(b"?")
    assert store.begin_sweep(grace_seconds=0).packs_ns == 0


def test_nothing_is_removed_while_another_machine_writes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, b"one")
    cutoff = store.begin_sweep(grace_seconds=0)
    path = far_intent(store.paths.intents, 2**62)  # it registered after the sweep began
    assert store.remove_unreachable(set(), cutoff, prune_now=True).removed_chunks == ()
    path.unlink()
    assert len(prune(store, set())) == 1


def test_claims(tmp_path: Path) -> None:
    pack, listed = tmp_path / "a.pack", tmp_path / "condemned"
    claims = Claims(listed)
    assert not claims.claim(b"a" * 32, pack)  # it is gone
    pack.write_bytes(b"x")
    os.utime(pack, (1, 1))
    condemned.write(listed, [b"b" * 32, b"a" * 32], tmp_path, final=False)
    assert not claims.claim(b"a" * 32, pack)
    assert pack.stat().st_mtime > 1  # its sign was set before it looked
    assert condemned.read(listed) == condemned.Condemned(frozenset([b"a" * 32, b"b" * 32]), False)
    condemned.write(listed, [b"b" * 32], tmp_path, final=True)
    assert condemned.read(listed).final
    assert claims.claim(b"a" * 32, pack)
    condemned.write(listed, [b"a" * 32], tmp_path, final=True)
    assert claims.claim(b"a" * 32, pack)  # claimed once is claimed: gc has seen it
    claims.own(b"b" * 32, pack)
    assert claims.claim(b"b" * 32, tmp_path / "none")


@pytest.mark.parametrize("data", [b"", b"mvc-condemned 2 final\n", b"mvc-condemned 1 final\nxyz\n", b"\xff"])
def test_a_list_that_cannot_be_read_is_told_and_dropped(tmp_path: Path, data: bytes) -> None:
    store = open_store(tmp_path)
    [name] = put(store, b"one")
    store.paths.condemned.write_bytes(data)
    with pytest.raises(IntegrityError):
        condemned.read(store.paths.condemned)
    assert [one.path for one in store.verify()] == [store.paths.condemned]
    assert prune(store, {name}) == [] and store.verify() == []


def test_a_clock_that_is_set_back_makes_no_claim_old(tmp_path: Path) -> None:
    pack = tmp_path / "a.pack"
    pack.write_bytes(b"x")
    began = pack.stat().st_mtime_ns + 3600 * 10**9
    assert Claims(tmp_path / "none", began).claim(b"a" * 32, pack)
    assert pack.stat().st_mtime_ns == began
