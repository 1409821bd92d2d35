"""The log of a remote: its text, finding the newest entry, and appending against others."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.faulty import Fault, FaultyBackend, at
from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, MvcError, NotFound, ParseError, RemoteUnavailable, UnsupportedFormat
from mvc.settings import ChunkNaming
from mvc.sync import keys
from mvc.sync.remotelog import RemoteLog
from mvc.sync.state import NOTHING, ChunkPack, Entry, GitPack, State, base_of, dump, hash_of, parse

ids = st.integers(0, 2**160 - 1).map(lambda n: f"{n:040x}")
hashes = st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}")
sizes = st.integers(1, 2**62)
names = st.text("ab/é-", min_size=1, max_size=8).map(lambda t: "refs/heads/x" + t.replace("/", "/x").rstrip("/"))


@st.composite
def states(draw: st.DrawFn, seq: int = 5) -> State:
    packs = {p.id: p for p in draw(st.lists(st.builds(ChunkPack, hashes, sizes, hashes, sizes), max_size=5))}
    git = {p.id: p for p in draw(st.lists(st.builds(GitPack, ids, sizes, sizes), max_size=5))}
    return State(
        seq,
        draw(st.integers(0, 1000)),
        draw(st.dictionaries(names, ids, max_size=5)),
        draw(st.sampled_from(["", "refs/heads/main"])),
        tuple(sorted(git.values())),
        tuple(sorted(packs.values())),
    )


@given(states(), states(9), st.text(max_size=20))
def test_an_entry_comes_back_as_it_was(old: State, new: State, by: str) -> None:
    entry = Entry(old, NOTHING, "ab" * 16, 17, "a <b@c>")
    text = dump(entry)
    assert parse(text) == entry
    assert base_of(text) is None
    later = Entry(new, hash_of(text), "cd" * 16, 18, by, base=(5, hash_of(text)))
    changes = dump(later, old)
    assert parse(changes, old).state == new
    assert base_of(changes) == (5, hash_of(text))
    with pytest.raises(ParseError):
        parse(changes)


@given(states(), st.data())
def test_a_changed_byte_is_noticed(state: State, data: st.DataObject) -> None:
    text = dump(Entry(state, NOTHING, "ab" * 16, 17, "me"))
    at_byte = data.draw(st.integers(0, len(text) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    for broken in (text[:at_byte], text[:at_byte] + bytes([text[at_byte] ^ bit]) + text[at_byte + 1 :], text + b"\n"):
        with pytest.raises((ParseError, UnsupportedFormat)):
            parse(broken)


def sealed(body: str) -> bytes:
    """A body that somebody wrote by hand, with the right checksum."""
    text = body.encode("utf-8", "surrogateescape")
    return text + b"end %s\n" % hash_of(text).encode()


HEAD = (
    f"mvc-txn 1\nseq 1\nbefore {NOTHING}\nnonce {'ab' * 16}\n"
    "generation 0\nat 1\nby me\nhead refs/heads/main\nsnapshot\n"
)


@pytest.mark.parametrize(
    "body",
    [
        HEAD + f"+ref {'a' * 40} refs/heads/../../config\n",
        HEAD + f"+ref {'a' * 40} HEAD\n",
        HEAD + f"+ref {'a' * 40} refs/heads/x.lock\n",
        HEAD + f"+ref {'a' * 39} refs/heads/x\n",
        HEAD + f"+ref {'a' * 40} refs/heads/b\n+ref {'a' * 40} refs/heads/a\n",
        HEAD + f"+ref {'a' * 40} refs/heads/a\n+ref {'b' * 40} refs/heads/a\n",
        HEAD + f"-ref {'a' * 40} refs/heads/a\n",
        HEAD + f"+git {'a' * 40} 0 5\n",
        HEAD + f"+git {'a' * 40} 9999999999999999999 5\n",
        HEAD + f"+git ../{'a' * 37} 5 5\n",
        HEAD + f"+chunks {'A' * 64} 5 {'a' * 64} 5\n",
        HEAD + "\n",
        HEAD + "+unknown\n",
        HEAD.replace("seq 1", "seq 01"),
        HEAD.replace("seq 1", "seq 9999999999999"),
        HEAD.replace("head refs/heads/main", "head refs/tags/main"),
        HEAD.replace("head refs/heads/main", "head refs/heads/../x"),
        HEAD.replace("snapshot", f"base 0 {NOTHING}"),
        HEAD.replace("at 1", "at -1"),
        "",
    ],
)
def test_what_no_writer_writes_is_refused(body: str) -> None:
    with pytest.raises(ParseError):
        parse(sealed(body))


def test_a_newer_format_is_told_as_such() -> None:
    with pytest.raises(UnsupportedFormat, match="format 2"):
        parse(sealed(HEAD.replace("mvc-txn 1", "mvc-txn 2")))


def log(backend: MemoryBackend | FaultyBackend, memory: Path | None = None) -> RemoteLog:
    return RemoteLog(backend, memory, ChunkNaming())


def grown(state: State, number: int) -> State:
    return replace(state, refs={**state.refs, f"refs/heads/b{number}": f"{number:040x}"})


def test_all_readers_come_to_the_same_state(backend: MemoryBackend, tmp_path: Path) -> None:
    """Through many snapshots: one who follows, one who asks now and then, one who comes late, one without a hint."""
    writer, following = log(backend), log(backend, tmp_path / "following")
    state = writer.latest(create=True)
    for number in range(700):
        if number % 40 == 7:
            state = replace(state, refs={})
        assert writer.append(grown(state, number), by="w")
        state = writer.latest()
        assert following.latest() == state
        if number % 100 == 0:
            assert log(backend, tmp_path / "seldom").latest() == state
    assert log(backend, tmp_path / "seldom").remembered() != state
    assert log(backend, tmp_path / "seldom").latest() == state
    assert log(backend, tmp_path / "following").remembered() == state
    assert log(backend).latest() == state
    backend.delete([keys.LATEST])
    assert log(backend).latest() == state
    backend.put(keys.LATEST, b"900\n")
    assert log(backend).latest() == state
    backend.put(keys.LATEST, b"3\n")
    assert log(backend).latest() == state
    backend.put(keys.LATEST, b"../../x\n")
    assert log(backend).latest() == state


def test_the_log_stays_small(backend: MemoryBackend) -> None:
    writer = log(backend)
    state = writer.latest(create=True)
    packs = tuple(sorted(ChunkPack(f"{n:064x}", 5, f"{n:064x}", 5) for n in range(5000)))
    writer.append(replace(state, chunk_packs=packs), by="w")
    state = writer.latest()
    snapshot = backend.size(keys.entry(1)) or 0
    for number in range(100):
        writer.append(grown(state, number), by="w")
        state = writer.latest()
    assert sum(backend.size(keys.entry(n)) or 0 for n in range(2, 102)) < snapshot


def test_of_two_who_append_one_is_told_no(backend: MemoryBackend) -> None:
    one, two = log(backend), log(backend)
    start = one.latest(create=True)
    two.latest()
    assert one.append(grown(start, 1), by="w")
    assert not two.append(grown(start, 2), by="w")
    assert two.latest().refs == grown(start, 1).refs
    assert two.append(grown(two.latest(), 2), by="w")
    assert set(one.latest().refs) == {"refs/heads/b1", "refs/heads/b2"}


@pytest.mark.parametrize("fault", [Fault.AFTER, Fault.TWICE])
def test_a_lost_answer_is_no_lost_race(backend: MemoryBackend, fault: Fault) -> None:
    log(backend).latest(create=True)
    faulty = FaultyBackend(backend)
    writer = log(faulty)
    start = writer.latest()
    faulty.plan = at({len(faulty.requests): fault})
    assert writer.append(grown(start, 1), by="w")
    assert log(backend).latest().seq == 1


def test_an_append_that_never_arrived_is_an_error(backend: MemoryBackend) -> None:
    log(backend).latest(create=True)
    faulty = FaultyBackend(backend)
    writer = log(faulty)
    start = writer.latest()
    faulty.plan = at({len(faulty.requests): Fault.BEFORE})
    with pytest.raises(RemoteUnavailable):
        writer.append(grown(start, 1), by="w")
    assert writer.append(grown(start, 1), by="w")


def test_no_remote_is_told_apart_from_a_strange_one(backend: MemoryBackend) -> None:
    with pytest.raises(NotFound):
        log(backend).latest()
    backend.put(keys.FORMAT, b"hello")
    with pytest.raises(IntegrityError, match="no mvc remote"):
        log(backend).latest()
    backend.put(keys.FORMAT, b"mvc-remote 7\nwhatever\n")
    with pytest.raises(UnsupportedFormat, match="format 7"):
        log(backend).latest()
    backend.put(keys.FORMAT, b"mvc-remote 1\nrequires magic\n")
    with pytest.raises(UnsupportedFormat):
        log(backend).latest()


def test_a_log_that_is_lost_is_not_begun_anew(backend: MemoryBackend) -> None:
    writer = log(backend)
    for number in range(3):
        writer.append(grown(writer.latest(create=True), number), by="w")
    backend.delete([entry.key for entry in backend.list(keys.LOG)])
    for create in (False, True):
        with pytest.raises(IntegrityError, match="entry 3 of the log is gone"):
            log(backend).latest(create=create)


def test_a_remote_that_was_begun_anew_is_noticed(backend: MemoryBackend, tmp_path: Path) -> None:
    writer = log(backend, tmp_path)
    for number in range(3):
        writer.append(grown(writer.latest(create=True), number), by="w")
    backend.delete([entry.key for entry in backend.list("")])
    other = log(backend)
    other.append(grown(other.latest(create=True), 99), by="x")
    assert set(log(backend, tmp_path).latest().refs) == {"refs/heads/b99"}
    for number in range(5):
        other.append(grown(other.latest(), number + 10), by="x")
    assert log(backend, tmp_path).latest() == other.latest()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_memory_that_is_damaged_does_no_harm(data: st.DataObject) -> None:
    backend = MemoryBackend()
    writer = log(backend)
    for number in range(3):
        writer.append(grown(writer.latest(create=True), number), by="w")
    state = writer.latest()
    with tempfile.TemporaryDirectory() as folder:
        memory = Path(folder)
        log(backend, memory).latest()
        for path in sorted(memory.iterdir()):
            kept = path.read_bytes()
            path.write_bytes(kept[: data.draw(st.integers(0, len(kept)))] + data.draw(st.binary(max_size=3)))
        assert log(backend, memory).latest() == state


def test_an_entry_that_rests_on_another_snapshot_is_refused(backend: MemoryBackend) -> None:
    writer = log(backend)
    for number in range(3):
        writer.append(grown(writer.latest(create=True), number), by="w")
    backend.put(keys.entry(1), dump(Entry(State(1, refs={"refs/heads/b0": "b" * 40}), NOTHING, "ee" * 16, 1, "x")))
    with pytest.raises(MvcError, match="another snapshot"):
        log(backend).latest()
