"""Bundles: what goes in comes out, in parts too; what is cut goes on; what lies is refused and does no harm."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from mvc.backends import bundlefile
from mvc.backends.bundlefile import FOOTER, HEADER, BundleFile, BundleWriter, open_bundle, parse_table, part_path
from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, MvcError, NotFound, Refused, Unsupported, UnsupportedFormat
from mvc.objects.refs import RefChange
from mvc.ops.bundle import bundle_info, create_bundle, unbundle
from mvc.ops.caller import Caller
from mvc.ops.clone import CloneOptions, clone
from mvc.ops.connect import Outside
from mvc.repo.repository import Repository
from mvc.sync.bundle import SMALLEST_PART
from mvc.sync.fetch import fetch
from mvc.sync.state import parse
from mvc.sync.verdicts import RefUpdate
from tests.forked import KILLED, in_child, killer
from tests.sync.making import MAIN, WHO, Peer, model, noise, tuned
from tests.sync.test_faults import steps_of

GOLDEN = Path(__file__).parent / "golden" / "v1.bundle"


class Scene:
    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "alice").mkdir()
        self.alice = Peer(top / "alice", MemoryBackend())
        self.first = self.alice.commit({"m.safetensors": model(), "a": b"1"})
        self.second = self.alice.commit({"m.safetensors": tuned(), "x.bin": noise(300_000)})
        self.alice.repo.refs.update([RefChange("refs/tags/v1", None, self.first)], message="t", author=WHO)
        self.outside = Outside({}, top)
        self.whole = top / "whole.bundle"
        create_bundle(self.alice.repo, self.whole, caller=self.alice.caller)
        self.count = 0

    def peer(self) -> Peer:
        self.count += 1
        place = self.top / f"peer{self.count}"
        place.mkdir()
        return Peer(place, MemoryBackend())

    def take(self, peer: Peer, path: Path) -> object:
        return unbundle(peer.repo, path, outside=self.outside, caller=peer.caller)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def same_files(peer: Peer, scene: Scene, revision: str) -> None:
    peer.checkout(revision)
    for name in ("m.safetensors", "x.bin"):
        assert peer.read(name) == scene.alice.read(name)
    peer.check()


def test_what_goes_in_comes_out(scene: Scene) -> None:
    bob = scene.peer()
    info = bundle_info(scene.whole, bob.repo, read=True)
    assert info.state.refs == {MAIN: scene.second, "refs/tags/v1": scene.first}
    assert (info.missing, info.damage, info.parts, info.needs) == ((), (), 1, ())
    scene.take(bob, scene.whole)
    assert bob.repo.refs.list("refs/bundles/") == {
        "refs/bundles/heads/main": scene.second,
        "refs/bundles/tags/v1": scene.first,
    }
    assert bob.chunk_names() == scene.alice.chunk_names()
    same_files(bob, scene, "refs/bundles/heads/main")
    assert not list((bob.repo.common_dir / "remote-cache").iterdir())
    assert scene.take(bob, scene.whole).chunks == 0  # type: ignore[attr-defined]


def test_clone_and_fetch_from_the_file(scene: Scene, tmp_path: Path) -> None:
    done = clone(str(scene.whole), tmp_path / "c", CloneOptions(), outside=scene.outside, caller=scene.alice.caller)
    assert done.branch == MAIN and (tmp_path / "c" / "x.bin").read_bytes() == scene.alice.read("x.bin")
    bob = scene.peer()
    assert [ref.new for ref in fetch(bob.remote(BundleFile(scene.whole)), who=WHO, tags="none").refs] == [scene.second]
    bob.checkout("refs/remotes/origin/main", backend=BundleFile(scene.whole))
    assert bob.read("m.safetensors") == scene.alice.read("m.safetensors")


@pytest.mark.parametrize("split", [SMALLEST_PART, 100_001, 1 << 20])
def test_parts(scene: Scene, split: int, tmp_path: Path) -> None:
    path = tmp_path / "b.mvc"
    done = create_bundle(scene.alice.repo, path, split=split, caller=scene.alice.caller)
    parts = [part_path(path, number) for number in range(1, done.parts + 1)]
    sizes = [part.stat().st_size for part in parts]
    assert all(size == split for size in sizes[:-1]) and sizes[-1] <= split and sum(sizes) == done.bytes
    assert not path.exists() and not part_path(path, done.parts + 1).exists()
    for name in (path, parts[0]):
        assert not bundle_info(name, None, read=True).damage
    bob = scene.peer()
    scene.take(bob, parts[-1])
    same_files(bob, scene, "refs/bundles/heads/main")
    if done.parts > 2:
        parts[1].rename(tmp_path / "away")
        with pytest.raises(IntegrityError):
            open_bundle(path)
        shutil.copy(parts[0], parts[1])
        with pytest.raises(IntegrityError, match="is not part 2"):
            open_bundle(path)
        (tmp_path / "away").replace(parts[1])
        parts[-1].unlink()
        with pytest.raises(IntegrityError):
            open_bundle(path)


def test_every_border_of_parts(tmp_path: Path) -> None:
    """Wherever the stream ends, the footer is found, also where it lies in two parts."""
    for size in range(SMALLEST_PART - 400, SMALLEST_PART + 10):
        path = tmp_path / f"b{size}"
        writer = BundleWriter(path, split=SMALLEST_PART)
        data = os.urandom(size)
        writer.put("mvc-remote", data)
        parts, _ = writer.finish()
        bundle = BundleFile(path)
        assert bundle.parts == parts and bundle.get("mvc-remote") == data
        assert bundle.get("mvc-remote", size - 5, 100) == data[-5:]
        bundle.close()
        for number in range(1, parts + 1):
            part_path(path, number).unlink()


def test_since_holds_what_is_new_alone(scene: Scene, tmp_path: Path) -> None:
    whole, later = scene.whole, tmp_path / "later"
    done = create_bundle(scene.alice.repo, later, ["main"], since=[scene.first], caller=scene.alice.caller)
    assert done.needs == (scene.first,) and done.bytes < 0.8 * whole.stat().st_size
    bob = scene.peer()
    with pytest.raises(Refused, match="not here"):
        scene.take(bob, later)
    assert bundle_info(later, bob.repo).missing == (scene.first,)
    create_bundle(scene.alice.repo, tmp_path / "first", ["v1"], caller=scene.alice.caller)
    scene.take(bob, tmp_path / "first")
    scene.take(bob, later)
    same_files(bob, scene, "refs/bundles/heads/main")


def test_a_base_that_lies_too_deep_here(scene: Scene, tmp_path: Path) -> None:
    """Bob has the base as a delta on something of his own."""
    carol = scene.peer()
    base, tip = tuned(9, 1), tuned(9, 2)
    carol.commit({"m.safetensors": base})
    first = carol.repo.refs.read(MAIN)
    assert first is not None
    carol.commit({"m.safetensors": tip})
    create_bundle(carol.repo, tmp_path / "first", ["main"], caller=carol.caller)
    create_bundle(carol.repo, tmp_path / "later", ["main"], since=[first], caller=carol.caller)
    bob = scene.peer()
    bob.commit({"m.safetensors": model(9)})
    bob.commit({"m.safetensors": base})
    # Bob has the history of `first` from elsewhere, and its chunks from his own commit.
    fetch(bob.remote(BundleFile(tmp_path / "first")), who=WHO)
    scene.take(bob, tmp_path / "later")
    bob.checkout("refs/bundles/heads/main")
    assert bob.read("m.safetensors") == tip
    bob.check()


def test_what_is_refused(scene: Scene, tmp_path: Path) -> None:
    alice = scene.alice
    with pytest.raises(Refused, match="there already"):
        create_bundle(alice.repo, scene.whole, caller=alice.caller)
    with pytest.raises(NotFound):
        create_bundle(alice.repo, tmp_path / "x", ["nowhere"], caller=alice.caller)
    with pytest.raises(NotFound):
        create_bundle(alice.repo, tmp_path / "no" / "x", caller=alice.caller)
    with pytest.raises(Refused, match="empty"):
        create_bundle(scene.peer().repo, tmp_path / "x", caller=alice.caller)
    assert not list(tmp_path.iterdir())
    other = scene.peer()
    new = RefUpdate(other.commit({"a": b"2"}), "refs/heads/new")
    with pytest.raises(Unsupported):
        other.push(new, backend=BundleFile(scene.whole))
    with pytest.raises(NotFound):
        open_bundle(tmp_path / "nothing")


@pytest.mark.slow
def test_unbundle_is_killed_at_every_step(scene: Scene) -> None:
    first = scene.peer()
    total = steps_of(lambda: scene.take(first, scene.whole))
    for step in range(1, total + 1, 5):
        bob = scene.peer()
        assert in_child(lambda: scene.take(bob, scene.whole), killer(step)) in (KILLED, 0)  # noqa: B023
        bob = Peer(bob.top, bob.backend)
        scene.take(bob, scene.whole)
        bob.check()
        assert bob.chunk_names() == scene.alice.chunk_names()


@pytest.mark.parametrize("seed", range(40))
def test_a_bundle_that_lies_does_no_harm(scene: Scene, seed: int, tmp_path: Path) -> None:
    """A flipped bit, a hole, a piece cut out or put in: an error of ours, or all is right; and nothing else changes."""
    rng = random.Random(seed)
    data = bytearray(scene.whole.read_bytes())
    how, at = (
        seed % 4,
        rng.randrange(len(data)) if seed % 3 else rng.choice([rng.randrange(64), len(data) - 1 - rng.randrange(900)]),
    )
    if how == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif how == 1:
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
    elif how == 2:
        del data[at : at + rng.randrange(1, 5000)]
    else:
        data[at:at] = rng.randbytes(rng.randrange(1, 300))
    path = tmp_path / "x.bundle"
    path.write_bytes(data)
    bob = scene.peer()
    mine = bob.commit({"m.safetensors": model(5, width=64)})
    try:
        scene.take(bob, path)
        assert bob.repo.refs.read("refs/bundles/heads/main") == scene.second
    except MvcError:
        assert not bob.repo.refs.list("refs/bundles/")
    bob.check()
    assert bob.repo.refs.read(MAIN) == mine
    scene.take(bob, scene.whole)
    same_files(bob, scene, "refs/bundles/heads/main")


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"mvc-bundle 2\nend\n",
        b"mvc-bundle 1\nfile 0 5 " + b"0" * 64 + b" ../../etc/passwd\nend\n",
        b"mvc-bundle 1\nfile 0 5 " + b"0" * 64 + b" leases/x\nend\n",
        b"mvc-bundle 1\nfile 5 5 " + b"0" * 64 + b" mvc-remote\nend\n",
        b"mvc-bundle 1\nfile 0 9999999999999999999 " + b"0" * 64 + b" mvc-remote\nend\n",
        b"mvc-bundle 1\nfile 0 2 " + b"0" * 64 + b" mvc-remote\nfile 2 3 " + b"0" * 64 + b" mvc-remote\nend\n",
        b"mvc-bundle 1\nneed xyz\nend\n",
    ],
)
def test_tables_that_make_no_sense(table: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_table(table, 5)


def test_heads_and_footers_that_lie(scene: Scene, tmp_path: Path) -> None:
    good = scene.whole.read_bytes()
    path = tmp_path / "b"

    def opened(data: bytes) -> None:
        path.write_bytes(data)
        BundleFile(path)

    with pytest.raises(UnsupportedFormat):
        opened(HEADER.pack(bundlefile.MAGIC, 2, 0, 1, bytes(16), 0, bytes(24)) + good[64:])
    with pytest.raises(IntegrityError):
        opened(good[:64])
    magic, offset, size, digest, parts, zero = FOOTER.unpack(good[-64:])
    for lie in ((offset, 1 << 60, parts), (1 << 63, size, parts), (offset + 1, size - 1, parts), (offset, size, 9)):
        with pytest.raises(IntegrityError):
            opened(good[:-64] + FOOTER.pack(magic, lie[0], lie[1], digest, lie[2], zero))


def test_the_golden_file_reads(tmp_path: Path) -> None:
    """Version 1, as it was first written (by the lines of `make`)."""
    info = bundle_info(GOLDEN, None, read=True)
    assert info.state.refs == {MAIN: "3bf7f41d79722debdb0a1218ccf501856001e432"}
    assert not info.damage and not info.needs
    top = tmp_path / "c"
    clone(
        str(GOLDEN),
        top,
        CloneOptions(),
        outside=Outside({}, tmp_path),
        caller=Caller(WHO),
    )
    assert (top / "zeros.bin").read_bytes() == bytes(200_000)
    assert (top / "text").read_bytes() == b"golden\n"
    bundle = open_bundle(GOLDEN)
    assert parse(bundle.get("txn/000000000001")).by == "a <a@example.org>"
    assert Repository.open(top).refs.read(MAIN) == info.state.refs[MAIN]


def make(top: Path) -> None:
    """How the golden file was made."""
    peer = Peer(top, MemoryBackend())
    peer.commit({"zeros.bin": bytes(200_000), "text": b"golden\n"})
    create_bundle(peer.repo, GOLDEN, caller=peer.caller)
