"""A part of a history: it ends where git's does, costs what it is, survives faults and kills."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, at
from mvc.backends.memory import MemoryBackend
from mvc.errors import MvcError
from mvc.objects.refspec import parse_fetch
from mvc.sync import viewobjects
from mvc.sync.remotes import Remote, RemoteConfig, forget
from mvc.sync.verdicts import RefUpdate
from tests.cli.world import History
from tests.forked import KILLED, in_child, killer
from tests.sync.making import TRACKED, Counted, Peer, Peers, Sized
from tests.sync.test_faults import steps_of


def histories() -> st.SearchStrategy[list[tuple[int, ...]]]:
    """For each commit the marks of its parents."""

    @st.composite
    def draw(choose: st.DrawFn) -> list[tuple[int, ...]]:
        rows: list[tuple[int, ...]] = []
        for mark in range(1, choose(st.integers(1, 12)) + 1):
            earlier = st.integers(max(1, mark - 4), mark - 1) if mark > 1 else st.nothing()
            rows.append(tuple(choose(st.lists(earlier, max_size=2, unique=True))) if mark > 1 else ())
        return rows

    return draw()


def real(git_dir: Path, *arguments: str) -> list[str]:
    ran = subprocess.run(["git", "--git-dir", str(git_dir), *arguments], capture_output=True, text=True, check=True)
    return sorted(ran.stdout.splitlines())


@settings(max_examples=8, deadline=None)
@given(rows=histories(), depths=st.lists(st.integers(1, 6), min_size=1, max_size=3), large=st.booleans())
def test_it_ends_where_gits_does(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]], depths: list[int], large: bool
) -> None:
    top = tmp_path_factory.mktemp("depth")
    for name in ("alice", "bob"):
        (top / name).mkdir()
    alice = Peer(top / "alice", MemoryBackend())
    history = History(top / "alice")
    for mark, parents in enumerate(rows, 1):
        history.commit(f"c{mark}", {f"f{mark % 3}": str(mark)}, parents=parents, ref=f"refs/heads/b{mark % 2}")
    history.write()
    heads = {f"refs/heads/b{n}" for n in (0, 1)} & set(alice.repo.refs.list("refs/heads/"))
    alice.push(*(RefUpdate(alice.repo.refs.read(ref), ref) for ref in sorted(heads)))
    bob = Peer(top / "bob", alice.backend)
    subprocess.run(["git", "init", "-q", "--bare", str(top / "git")], check=True)
    source = f"file://{top / 'alice' / '.mvc'}"
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(viewobjects, "SMALL_PACK", 0)
        for depth in depths:
            bob.fetch(depth=depth)
            refspec = "+refs/heads/*:refs/remotes/origin/*"
            real(top / "git", "fetch", "-q", f"--depth={depth}", "--update-shallow", source, refspec)
            ours = top / "bob" / ".mvc"
            assert real(ours, "rev-list", "--all") == real(top / "git", "rev-list", "--all")
            real(ours, "fsck", "--strict")
            Peer(bob.top, bob.backend).check()
    bob = Peer(bob.top, bob.backend)
    if bob.repo.objects.shallow:
        bob.fetch(unshallow=True)
    assert real(ours, "rev-list", "--all") == real(top / "alice" / ".mvc", "rev-list", "--all")
    assert not (ours / "shallow").exists()


@pytest.fixture
def long(peers: Peers) -> Peer:
    """300 commits of 5 KB each, in one pack of the remote, and one more in another."""
    alice = peers("alice")
    history = History(alice.top)
    for mark in range(1, 301):
        text = "".join(f"{mark} {line} {hash((mark, line))}\n" for line in range(200))
        history.commit(f"c{mark}", {"f": text}, parents=(mark - 1,) if mark > 1 else ())
    history.write()
    alice.push()
    return alice


def test_it_costs_what_it_is(long: Peer, peers: Peers, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewobjects, "SMALL_PACK", 1 << 16)
    monkeypatch.setattr(viewobjects, "_WINDOW", 1 << 14)
    counted = Sized(backend)
    bob, carol = peers("bob"), peers("carol")
    found = bob.fetch(backend=counted, depth=1)
    assert found.objects == 3 and found.bytes <= counted.received
    few, requests = counted.received, len(counted.calls)
    whole = Sized(backend)
    carol.fetch(backend=whole)
    assert few < whole.received / 10 and requests < 12
    # What comes later is what is new.
    long.commit({"g": b"new"})
    long.push()
    counted.received = 0
    assert bob.fetch(backend=counted).objects <= 6
    assert counted.received < 40_000
    assert len(bob.repo.objects.shallow) == 1
    # What fetches all takes the packs whole, whatever it took of them before.
    bob.fetch(backend=counted, unshallow=True)
    bob.check()


def test_it_is_pushed_from(long: Peer, peers: Peers) -> None:
    bob, carol = peers("bob"), peers("carol")
    tip = bob.fetch(depth=1).refs[0].new
    assert tip is not None
    long.commit({"g": b"new"})
    long.push()
    with bob.repo.objects.batch() as batch:
        tree = batch.reader.commit(tip).tree
        made = batch.commit(tree, [tip], bob.caller.who, bob.caller.who, "mine")
        batch.seal()
    # The remote's refs are not here: that it has the commit at which the history ends here is found out.
    assert bob.push(RefUpdate(made, "refs/heads/mine")).objects == 1
    carol.fetch()
    carol.check()
    forget(bob.repo, "origin")
    with pytest.raises(MvcError, match="shallow update not allowed"):
        bob.push(RefUpdate(made, "refs/heads/x"), backend=MemoryBackend())


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.CUT, Fault.WRONG])
def test_every_request_fails_once(long: Peer, peers: Peers, backend: MemoryBackend, fault: Fault) -> None:
    counted = Counted(backend)
    peers("count").fetch(backend=counted, depth=2)
    for number in range(len(counted.calls)):
        bob = peers(f"bob{number}")
        faulty: Backend = FaultyBackend(backend, at({number: fault}))
        try:
            bob.fetch(backend=faulty, depth=2)
        except MvcError:
            bob.check()
            assert bob.repo.refs.read(TRACKED) is None
        bob.fetch(depth=2)
        bob.check()
        assert len(real(bob.top / ".mvc", "rev-list", "--all")) == 2


def test_it_is_killed_at_every_step(long: Peer, peers: Peers, tmp_path: Path) -> None:
    bob = peers("bob")
    for depth, options in ((3, {"depth": 3}), (1, {"depth": 1}), (300, {"unshallow": True}), (2, {"depth": 2})):
        total = steps_of(lambda: peers("other").fetch(**options))  # noqa: B023
        for step in range(1, total + 1, 3):
            assert in_child(lambda: bob.fetch(**options), killer(step)) in (KILLED, 0)  # noqa: B023
            Peer(bob.top, bob.backend).check()
            if not (bob.top / ".mvc" / "shallow").exists():
                break
        bob = Peer(bob.top, bob.backend)
        if bob.repo.objects.shallow or depth < 300:
            bob.fetch(**options)
        assert len(real(bob.top / ".mvc", "rev-list", "--all")) == depth
        Peer(bob.top, bob.backend).check()


def test_a_named_ref_alone(long: Peer, peers: Peers) -> None:
    bob = peers("bob")
    spec = parse_fetch("+refs/heads/main:refs/remotes/origin/main")
    remote = Remote(bob.repo, RemoteConfig("origin", "x:y", "x:y", (spec,)), bob.backend)
    with remote:
        assert remote.state().refs.keys() == {"refs/heads/main"}
    bob.fetch(refspecs=[spec], depth=5)
    assert len(real(bob.top / ".mvc", "rev-list", "--all")) == 5
