"""Chunks are freed here only where a remote was seen to hold them; whatever was freed comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.memory import MemoryBackend
from mvc.errors import NotFound
from mvc.ops.cat_file import file_content
from mvc.ops.connect import Outside, supplied
from mvc.ops.drop import DropOptions, DropResult, drop
from mvc.ops.fsck import fsck
from mvc.ops.push import push
from mvc.ops.push_plan import PushOptions
from mvc.ops.remote import add_remote
from mvc.ops.whereis import whereis
from mvc.repo.chunks import open_chunks
from mvc.repo.pathspec import Pathspec
from tests.models import safetensors_bytes
from tests.sync.making import Peer, model, noise, tuned

MB = 1 << 20


@pytest.fixture
def alice(tmp_path: Path) -> Peer:
    (tmp_path / "alice").mkdir()
    Peer(tmp_path / "alice", MemoryBackend())
    (tmp_path / "alice" / ".mvc" / "config").write_text(
        (tmp_path / "alice" / ".mvc" / "config").read_text().replace("url = x:y", f"url = {tmp_path / 'hub'}")
    )
    return Peer(tmp_path / "alice", MemoryBackend())


def beyond(peer: Peer) -> Outside:
    return Outside({}, peer.top)


def send(peer: Peer, *specs: str, remote: str = "origin", **options: bool) -> None:
    push(peer.repo, remote, specs or ("main",), PushOptions(**options), outside=beyond(peer), caller=peer.caller)  # type: ignore[arg-type]


def freed(peer: Peer, *revisions: str, paths: tuple[str, ...] = (), **options: bool) -> DropResult:
    spec = Pathspec.exact(paths) if paths else None
    return drop(peer.repo, revisions, spec, DropOptions(**options), outside=beyond(peer), caller=peer.caller)


def read(peer: Peer, spec: str) -> bytes:
    repo, source = supplied(Peer(peer.top, peer.backend).repo, beyond(peer))
    found = b"".join(file_content(repo, spec))
    source.close()
    return found


def names(peer: Peer) -> set[bytes]:
    return set(open_chunks(peer.repo).names())


def test_an_old_version_goes_and_comes_back(alice: Peer) -> None:
    first = alice.commit({"m.bin": noise(3 * MB, 1), "small": b"x"})
    alice.commit({"m.bin": noise(3 * MB, 2)})
    send(alice)
    before = names(alice)
    told = freed(alice, first, dry_run=True)
    assert names(alice) == before
    done = freed(alice, first)
    assert done == told and [file.path for file in done.files] == ["m.bin"]
    assert done.chunks == len(before) - len(names(alice)) and done.freed > 2.9 * MB
    assert fsck(alice.repo).promised == {"origin": done.chunks} and not fsck(alice.repo).findings
    assert read(alice, f"{first}:m.bin") == noise(3 * MB, 1)
    assert freed(alice, first, verify=True).chunks == done.chunks
    assert freed(alice, first).chunks == 0


def test_what_is_nowhere_else_is_refused_and_nothing_goes(alice: Peer) -> None:
    first = alice.commit({"a.bin": noise(MB, 1)})
    send(alice)
    second = alice.commit({"b.bin": noise(MB, 2)})
    before = names(alice)
    done = freed(alice, second)
    assert [file.path for file in done.refused] == ["b.bin"] and done.chunks == 0
    assert names(alice) == before
    assert freed(alice, second, dry_run=True).refused == done.refused
    assert not freed(alice, first, paths=("a.bin",)).refused


def test_a_file_that_is_checked_out_stays_though_an_older_version_has_it_too(alice: Peer) -> None:
    first = alice.commit({"m.bin": noise(MB, 1), "tokenizer.bin": noise(MB, 3)})
    alice.commit({"m.bin": noise(MB, 2)})
    send(alice)
    done = freed(alice, first)
    assert [file.path for file in done.files] == ["m.bin"] and done.in_use == MB
    assert not freed(alice, f"{first}:tokenizer.bin").files
    assert b"".join(file_content(alice.repo, "HEAD:tokenizer.bin")) == noise(MB, 3)  # without any remote
    assert [file.path for file in freed(alice, first, "HEAD:tokenizer.bin").files] == ["tokenizer.bin"]


@pytest.mark.parametrize("fault", ["missing", "short", "damaged"])
def test_the_remote_is_looked_at_now(alice: Peer, tmp_path: Path, fault: str) -> None:
    alice.commit({"a.bin": noise(MB, 1)})
    send(alice)
    (pack,) = (tmp_path / "hub" / "packs").rglob("*.pack")
    data = bytearray(pack.read_bytes())
    if fault == "missing":
        pack.unlink()
    else:
        data[len(data) // 2] ^= 1
        pack.write_bytes(data[:-1] if fault == "short" else data)
    before = names(alice)
    assert freed(alice, "HEAD", verify=True).refused
    if fault != "damaged":  # what has its size is believed, unless it is to be read
        assert freed(alice, "HEAD").refused
    assert names(alice) == before


def test_a_remote_that_is_gone_proves_nothing(alice: Peer, tmp_path: Path) -> None:
    alice.commit({"a.bin": noise(MB, 1)})
    send(alice)
    shutil.move(tmp_path / "hub", tmp_path / "away")
    done = freed(alice, "HEAD")
    assert done.refused and [type(error) for error in done.silent] == [NotFound]
    shutil.move(tmp_path / "away", tmp_path / "hub")
    assert not freed(alice, "HEAD").refused


def test_what_no_ref_of_the_remote_reaches_may_go_there_any_day(alice: Peer) -> None:
    alice.commit({"a.bin": noise(MB, 1)})
    send(alice)
    second = alice.commit({"a.bin": noise(MB, 2)})
    send(alice, "main:topic")
    assert not freed(alice, second, dry_run=True).refused
    send(alice, "topic", delete=True)
    assert freed(alice, second).refused


def test_bases_stay_for_what_rests_on_them(alice: Peer) -> None:
    first = alice.commit({"m.safetensors": model(width=1024)})
    alice.commit({"m.safetensors": tuned(width=1024)})
    send(alice)
    done = freed(alice, first)
    assert done.as_bases > 0
    shutil.rmtree(alice.top.parent / "hub")
    assert b"".join(file_content(alice.repo, "HEAD:m.safetensors")) == tuned(width=1024)


def test_both_go_together(alice: Peer) -> None:
    first = alice.commit({"m.safetensors": model(width=1024)})
    second = alice.commit({"m.safetensors": tuned(width=1024)})
    send(alice)
    done = freed(alice, second, first)
    assert done.as_bases == done.in_use == 0 and not names(alice)
    assert read(alice, f"{second}:m.safetensors") == tuned(width=1024)
    assert read(alice, f"{first}:m.safetensors") == model(width=1024)


def test_what_is_checked_out_or_staged_stays_unless_it_is_named(alice: Peer) -> None:
    shared, mine = noise(2 * MB, 1), noise(2 * MB, 2)
    first = alice.commit({"m.bin": shared})
    alice.commit({"m.bin": shared + mine})
    send(alice)
    done = freed(alice, first)
    assert done.in_use > MB and done.chunks <= 2  # at most where the end of one ran on in the other
    done = freed(alice, paths=("m.bin",))
    assert not names(alice) and done.in_use == 0
    assert alice.read("m.bin") == shared + mine


def test_any_of_several_remotes_will_do(alice: Peer, tmp_path: Path) -> None:
    first = alice.commit({"a.bin": noise(MB, 1)})
    second = alice.commit({"b.bin": noise(MB, 2)})
    add_remote(alice.repo, "backup", str(tmp_path / "backup"))
    alice.repo = Peer(alice.top, alice.backend).repo
    send(alice, f"{first}:refs/heads/main")
    send(alice, remote="backup")
    (pack,) = (tmp_path / "backup" / "packs").rglob("*.pack")
    found = whereis(alice.repo, [second], outside=beyond(alice))
    assert found.places == ("here", "backup", "origin")
    by_path = {file.path: file for file in found.files}
    assert set(by_path["a.bin"].places.values()) == {by_path["a.bin"].chunks}
    assert by_path["b.bin"].places["origin"] == 0 and by_path["b.bin"].nowhere == 0
    assert not freed(alice, second, dry_run=True).refused
    pack.unlink()
    assert [file.path for file in freed(alice, second).refused] == ["b.bin"]
    assert not whereis(alice.repo, [second], outside=beyond(alice)).silent


def test_a_list_of_chunks_stays(alice: Peer) -> None:
    """A tensor of more than 64 chunks."""
    long = np.random.default_rng(0).integers(0, 2, (66, 1 << 18)).astype(np.float32)
    data = safetensors_bytes({"long": long})
    first = alice.commit({"m.safetensors": data})
    send(alice)
    freed(alice, first)
    assert len(names(alice)) == 1
    (file,) = whereis(alice.repo, [first], outside=beyond(alice)).files
    assert file.chunks > 60
    assert file.places["here"] == 1 and file.nowhere == 0
    assert not fsck(alice.repo).findings
    assert read(alice, f"{first}:m.safetensors") == data


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whatever_is_dropped_every_version_can_be_had(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    top = tmp_path_factory.mktemp("drop")
    (top / "p").mkdir()
    Peer(top / "p", MemoryBackend())
    config = top / "p" / ".mvc" / "config"
    config.write_text(config.read_text().replace("url = x:y", f"url = {top / 'hub'}"))
    peer = Peer(top / "p", MemoryBackend())
    made: dict[str, bytes] = {}
    for step in range(data.draw(st.integers(2, 5), label="commits")):
        content = tuned(step=step, width=128) if data.draw(st.booleans()) else model(step, width=128)
        content += bytes([step])
        made[peer.commit({"m.safetensors": content})] = content
        if data.draw(st.booleans(), label="push"):
            send(peer)
        which = data.draw(st.lists(st.sampled_from(sorted(made)), max_size=3), label="drop")
        if which:
            freed(peer, *which)
            assert not fsck(peer.repo).findings
    for commit, content in made.items():
        assert read(peer, f"{commit}:m.safetensors") == content


def test_what_lies_in_a_shared_store_is_not_this_repositorys_to_free(alice: Peer, tmp_path: Path) -> None:
    first = alice.commit({"a.bin": noise(MB, 1)})
    second = alice.commit({"b.bin": noise(MB, 2)})
    send(alice)
    freed(alice, f"{second}:a.bin")
    with open(alice.top / ".mvc" / "config", "a") as file:
        file.write(f"[core]\n\tsharedStore = {tmp_path / 'shared'}\n")
    alice = Peer(alice.top, alice.backend)
    assert read(alice, f"{first}:a.bin") == noise(MB, 1)  # it came into the shared store
    own = names(alice)
    done = freed(alice, second, first)
    assert done.chunks == len(own) and not names(alice) and [file.path for file in done.files] == ["b.bin"]
    assert read(alice, f"{first}:a.bin") == noise(MB, 1)
