"""Clients that must not be believed: each gets a status, and the store stays as it was."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import Path

import pytest

from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, MvcError, Refused, RemoteRefused
from mvc.hashing import digest
from mvc.hub.messages import Response, Right
from mvc.hub.service import Service
from mvc.hub.storage import repositories_in
from mvc.objects.encoding import raw_object_id
from mvc.objects.packwriter import PackWriter
from mvc.settings import ChunkNaming
from mvc.store.idx import Idx
from mvc.store.idxwrite import write_pack_idx
from mvc.store.packfile import PackBuilder
from mvc.store.records import Location, make_lead
from mvc.sync import keys
from mvc.sync.sealedgit import git_pack_of
from mvc.sync.state import ChunkPack, Entry, GitPack, State, dump, hash_of
from mvc.sync.verdicts import RefUpdate
from tests.hub.making import ask, client, over, whole
from tests.sync.making import MAIN, Peer, model, noise, tuned


@dataclass
class Scene:
    """A server with one commit; Alice has made another that she has not pushed."""

    service: Service
    store: MemoryBackend
    tmp: Path
    alice: Peer
    first: str
    second: str

    def state(self) -> State:
        return self.alice.remote(client(self.service)).state()

    def text(self, **changes: object) -> bytes:
        """The entry that would come next."""
        seq = self.state().seq
        before = hash_of(self.store.get(keys.entry(seq)))
        state = replace(self.state(), seq=seq + 1, **changes)  # type: ignore[arg-type]
        return dump(Entry(state, before, os.urandom(16).hex(), 0, "x"))

    def post(self, right: Right = Right.WRITE, **changes: object) -> Response:
        return ask(self.service, "POST", "txn", self.text(**changes), right=right)

    def refused(self, status: int, response: Response, *words: str) -> None:
        """So it was answered, and nothing has changed."""
        told = json.loads(whole(response))
        assert response.status == status, told
        assert response.failure is None
        for word in words:
            assert word in told["error"], told
        assert self.state().refs == {MAIN: self.first}

    def put(self, key: str, data: bytes, right: Right = Right.APPEND) -> Response:
        return ask(self.service, "PUT", f"objects/{key}", data, right=right)

    # ---- what an honest client would send

    def git(self, *objects: tuple[str, bytes]) -> GitPack:
        """Upload a Git pack with these objects, else with all that Alice has."""
        writer = PackWriter(self.tmp / "git", self.tmp)
        source = objects or [self.alice.repo.objects.raw(one) for one in self.alice.repo.objects.ids()]
        for kind, data in source:
            writer.add(raw_object_id(kind, data), kind, data)  # type: ignore[arg-type]
        idx_path = writer.seal(None)
        pack = git_pack_of(idx_path.with_suffix(".pack"), idx_path)
        data = idx_path.with_suffix(".pack").read_bytes()
        answer = self.put(keys.git_pack(pack.id), data)
        if answer.status >= 300:
            raise IntegrityError(json.loads(whole(answer))["error"])
        assert self.put(keys.git_idx(pack.id), idx_path.read_bytes()).status == 200
        return pack

    def pack(
        self, *records: tuple[bytes, bytes, tuple[bytes, ...], int], **lies: int
    ) -> tuple[ChunkPack, bytes, bytes]:
        """A pack of records (name, payload, bases, depth), stored raw, and its idx; nothing is sent."""
        builder = PackBuilder(self.tmp, ChunkNaming())
        rows: dict[bytes, Location] = {}
        for name, payload, bases, depth in records:
            lead, stored = make_lead(
                name, lies.get("raw", len(payload)), lies.get("codec", 0), depth, bases, b"", [payload]
            )
            offset = builder.append(lead, [payload])
            rows[name] = Location(
                b"", offset, lies.get("raw", len(payload)), stored, lies.get("codec", 0), depth, 0, bases
            )
        pack_id = builder.finish()
        data = builder.path.read_bytes()
        builder.discard()
        path = write_pack_idx(pack_id, len(data), rows, self.tmp / "idx", self.tmp)
        return ChunkPack(pack_id.hex(), len(data), path.stem, path.stat().st_size), data, path.read_bytes()

    def sent(self, *records: tuple[bytes, bytes, tuple[bytes, ...], int]) -> ChunkPack:
        """The same, sent."""
        pack, data, idx = self.pack(*records)
        assert self.put(keys.chunk_pack(pack.id), data).status == 201
        assert self.put(keys.chunk_idx(pack.idx_id), idx).status == 201
        return pack


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = MemoryBackend()
    service = Service(over(store, tmp_path / "memory"))
    (tmp_path / "alice").mkdir()
    alice = Peer(tmp_path / "alice", client(service))
    first = alice.commit({"m.safetensors": model(width=128)})
    alice.push()
    second = alice.commit({"m.safetensors": tuned(width=128), "x": noise(100_000)})
    yield Scene(service, store, tmp_path, alice, first, second)
    service.close()


# ---- who may do what


def test_without_a_token(scene: Scene) -> None:
    for method, target in [
        ("GET", ""),
        ("GET", "objects/latest"),
        ("PUT", "objects/leases/" + "0" * 32),
        ("POST", "txn"),
    ]:
        answer = ask(scene.service, method, target, right=Right.NONE, name="")
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert ask(scene.service, method, target, right=Right.NONE).status == 404
    assert ask(scene.service, "POST", "txn", b"x", right=Right.READ, name="").status == 401


def test_a_reader_writes(scene: Scene) -> None:
    backend = client(scene.service, Right.READ)
    with pytest.raises(RemoteRefused):
        scene.alice.push(backend=backend)
    scene.refused(403, scene.put("leases/" + "0" * 32, b"", Right.READ))
    scene.refused(403, scene.post(Right.READ))
    scene.refused(403, ask(scene.service, "DELETE", "objects/leases/" + "0" * 32, right=Right.READ))
    scene.refused(403, ask(scene.service, "GET", "list?prefix=gc/", right=Right.READ))


def test_who_may_append_rewrites_nothing(scene: Scene) -> None:
    backend = client(scene.service, Right.APPEND)
    peer = scene.alice
    peer.push(backend=backend)
    peer.push(RefUpdate(scene.first, "refs/heads/other"), RefUpdate(scene.first, "refs/tags/v1"), backend=backend)
    peer.push(RefUpdate(scene.second, "refs/heads/other"), backend=backend)
    for update in (
        RefUpdate(scene.first, MAIN, force=True),
        RefUpdate(None, "refs/heads/other"),
        RefUpdate(scene.second, "refs/tags/v1", force=True),
        RefUpdate(None, "refs/tags/v1"),
    ):
        with pytest.raises(RemoteRefused, match="may not rewrite"):
            peer.push(update, backend=backend)
    state = scene.state()
    assert state.refs == {MAIN: scene.second, "refs/heads/other": scene.second, "refs/tags/v1": scene.first}
    assert ask(scene.service, "POST", "txn", scene.text(head="refs/heads/other"), right=Right.APPEND).status == 403
    assert ask(scene.service, "POST", "txn", scene.text(head="refs/heads/other"), right=Right.WRITE).status == 201


# ---- entries that lie


def test_what_no_client_may(scene: Scene) -> None:
    state = scene.state()
    scene.refused(422, scene.post(Right.ADMIN, generation=1), "gc")
    scene.refused(422, scene.post(Right.ADMIN, chunk_packs=()), "gc")
    scene.refused(422, scene.post(Right.ADMIN, git_packs=()), "gc")
    larger = tuple(replace(pack, size=pack.size + 1) for pack in state.chunk_packs)
    scene.refused(422, scene.post(Right.ADMIN, chunk_packs=larger))
    other = tuple(replace(pack, idx_size=pack.idx_size + 1) for pack in state.git_packs)
    scene.refused(422, scene.post(Right.ADMIN, git_packs=other))


def test_refs_that_cannot_be(scene: Scene) -> None:
    refs = scene.state().refs
    tree = scene.alice.repo.objects.commit(scene.first).tree
    scene.refused(422, scene.post(refs={**refs, "refs/heads/x": "1" * 40}), "not there")
    scene.refused(422, scene.post(refs={**refs, "refs/heads/x": scene.second}), "not there")
    scene.refused(422, scene.post(refs={**refs, "refs/heads/x": tree}), "no commit")
    scene.refused(422, scene.post(refs={**refs, f"{MAIN}/below": scene.first}), "beside")
    scene.refused(422, scene.post(refs={**refs, "refs/heads": scene.first}), "cannot be a ref")


def test_an_entry_that_follows_nothing(scene: Scene) -> None:
    text = scene.text()
    scene.refused(422, ask(scene.service, "POST", "txn", b"junk"))
    scene.refused(422, ask(scene.service, "POST", "txn", text[:-1]))
    scene.refused(422, ask(scene.service, "POST", "txn", text.replace(b"seq 2", b"seq 3")))
    state = replace(scene.state(), seq=2)
    scene.refused(422, ask(scene.service, "POST", "txn", dump(Entry(state, "1" * 64, "2" * 32, 0, "x"))), "follow")
    based = Entry(state, hash_of(scene.store.get(keys.entry(1))), "2" * 32, 0, "x", (1, "3" * 64))
    scene.refused(422, ask(scene.service, "POST", "txn", dump(based, scene.state())), "snapshot")
    newer = text.replace(b"mvc-txn 1", b"mvc-txn 2")
    assert json.loads(whole(ask(scene.service, "POST", "txn", newer)))["kind"] == "format"
    scene.refused(422, ask(scene.service, "POST", "txn", newer))


def test_another_came_first(scene: Scene) -> None:
    mine, theirs = scene.text(), scene.text()
    assert ask(scene.service, "POST", "txn", mine).status == 201
    assert ask(scene.service, "POST", "txn", mine).status == 200, "its answer was lost"
    answer = ask(scene.service, "POST", "txn", theirs)
    assert answer.status == 409 and answer.headers["mvc-newest"] == "2"


# ---- chunks


def test_a_claim_to_chunks_that_were_never_sent(scene: Scene) -> None:
    git = scene.git()
    answer = scene.post(refs={MAIN: scene.second}, git_packs=tuple(sorted([*scene.state().git_packs, git])))
    scene.refused(422, answer, "needs chunk", "which is not there")


def test_objects_that_were_never_sent(scene: Scene) -> None:
    objects = scene.alice.repo.objects
    git = scene.git(("commit", objects.raw(scene.second)[1]))
    answer = scene.post(refs={MAIN: scene.second}, git_packs=tuple(sorted([*scene.state().git_packs, git])))
    scene.refused(422, answer, "is missing")


def test_garbage_under_a_true_name(scene: Scene) -> None:
    true = noise(1000, 1)
    pack, data, idx = scene.pack((digest(true), noise(1000, 2), (), 0))
    scene.refused(422, scene.put(keys.chunk_pack(pack.id), data), "named by")
    assert scene.store.size(keys.chunk_pack(pack.id)) is None
    assert scene.put(keys.chunk_idx(pack.idx_id), idx).status == 201
    packs = tuple(sorted([*scene.state().chunk_packs, pack]))
    scene.refused(422, scene.post(chunk_packs=packs), "not there")
    # Somebody who can write to the store itself put it there: it is still found out.
    scene.store.put(keys.chunk_pack(pack.id), data)
    scene.refused(422, scene.post(chunk_packs=packs), "named by")


def test_packs_that_are_none(scene: Scene) -> None:
    true = noise(1000, 1)
    pack, data, _ = scene.pack((digest(true), true, (), 0))
    key = keys.chunk_pack(pack.id)
    spoilt = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (0, 9, 20, 60, 70, 100, 500, len(data) - 1)]
    for bad in [*spoilt, data[:-1], data + b"\0", data[:20], b"", b"\0" * len(data)]:
        scene.refused(422, scene.put(key, bad))
    other = key.replace(pack.id[2:], "0" * 62)
    scene.refused(422, scene.put(other, data), "name stands for")
    large, huge, _ = scene.pack((digest(true), true, (), 0), raw=64 << 20)
    scene.refused(422, scene.put(keys.chunk_pack(large.id), huge))
    strange, unknown, _ = scene.pack((digest(true), true, (), 0), codec=99)
    scene.refused(422, scene.put(keys.chunk_pack(strange.id), unknown))
    assert not [entry for entry in scene.store.list("packs/") if entry.key == key]
    assert scene.put(key, data).status == 201
    assert scene.put(key, data).status == 200, "it stands"


def test_a_delta_on_what_is_not_there(scene: Scene) -> None:
    pack = scene.sent((digest(b"new"), b"zzz", (digest(b"nowhere"),), 1))
    packs = tuple(sorted([*scene.state().chunk_packs, pack]))
    scene.refused(422, scene.post(chunk_packs=packs), "not there")


def test_an_idx_that_lies(scene: Scene) -> None:
    one, two = noise(1000, 1), noise(1000, 2)
    pack = scene.sent((digest(one), one, (), 0), (digest(two), two, (), 0))
    packs = scene.state().chunk_packs
    path = scene.tmp / "idx" / f"{pack.idx_id}.idx"
    places = dict(Idx(path))
    name, place = next(iter(places.items()))
    elsewhere = {**places, name: place._replace(offset=place.offset + 1)}
    for lie in ({name: place}, elsewhere, {**places, digest(b"never"): place}):
        made = write_pack_idx(bytes.fromhex(pack.id), pack.size, lie, scene.tmp / "lies", scene.tmp)
        assert scene.put(keys.chunk_idx(made.stem), made.read_bytes()).status == 201
        lying = replace(pack, idx_id=made.stem, idx_size=made.stat().st_size)
        scene.refused(422, scene.post(chunk_packs=tuple(sorted([*packs, lying]))), "does not tell what its packs hold")
    scene.refused(422, scene.post(chunk_packs=tuple(sorted([*packs, replace(pack, size=pack.size + 1)]))))
    scene.refused(422, scene.post(chunk_packs=tuple(sorted([*packs, replace(pack, idx_size=pack.idx_size + 1)]))))
    other = replace(pack, idx_id=packs[0].idx_id, idx_size=packs[0].idx_size)
    scene.refused(422, scene.post(chunk_packs=tuple(sorted([*packs, other]))), "does not list")
    moved = tuple(replace(old, idx_id=pack.idx_id, idx_size=pack.idx_size) for old in packs)
    scene.refused(422, scene.post(chunk_packs=moved))
    data = path.read_bytes()
    for bad in (data[:-1], data + b"\0", data[:50] + b"\1" + data[51:], b"", data[:10]):
        scene.refused(422, scene.put(keys.chunk_idx("1" * 64), bad))
    assert scene.post(chunk_packs=tuple(sorted([*packs, pack]))).status == 201


def test_a_pack_that_comes_to_stand_under_another_is_not_touched(scene: Scene) -> None:
    state = scene.state()
    for key in (keys.chunk_pack(state.chunk_packs[0].id), keys.git_pack(state.git_packs[0].id)):
        before = scene.store.get(key)
        scene.refused(422, scene.put(key, b"other"), "stands here")
        assert scene.put(key, b"\0" * len(before)).status == 200
        assert scene.store.get(key) == before
    key = keys.git_idx(state.git_packs[0].id)
    scene.refused(422, scene.put(key, b"\0" * (scene.store.size(key) or 0)), "not that of its pack")


# ---- Git objects


def _packed(*entries: bytes) -> tuple[str, bytes]:
    body = b"PACK" + (2).to_bytes(4) + len(entries).to_bytes(4) + b"".join(entries)
    checksum = sha1(body).digest()
    return checksum.hex(), body + checksum


def test_trees_that_would_run_code(scene: Scene) -> None:
    blob = scene.alice.repo.objects.raw(next(iter(scene.alice.repo.objects.ids())))
    for name in (b".git", b".mvc", b"..", b".GIT", b"a/b", b"git~1"):
        tree = b"100644 " + name + b"\0" + raw_object_id(*blob)
        with pytest.raises(IntegrityError):
            scene.git(("tree", tree))


def test_git_packs_that_are_none(scene: Scene) -> None:
    blob = b"\x33" + zlib.compress(b"abc")
    for entries in (
        [],
        [blob[:-3]],
        [b"\x3f" + zlib.compress(b"abc")],
        [b"\x73" + b"\1" * 20 + zlib.compress(b"abc")],
        [b"\x7f\x04" + bytes.fromhex(scene.first) + zlib.compress(b"abc")],
        [b"\x6f\x01\x01" + zlib.compress(b"\x03\x03\x90\x03")],
        [blob, blob],
        [b"\x13" + zlib.compress(b"abc")],
        [b"\x23" + zlib.compress(b"abc")],
        [b"\xbf\xff\xff\xff\xff\xff\x0f" + zlib.compress(b"\0" * 100)],
    ):
        pack_id, data = _packed(*entries)
        if not entries:
            continue
        scene.refused(422, scene.put(f"git/{pack_id}.pack", data))
    pack_id, data = _packed(blob)
    scene.refused(422, scene.put(f"git/{pack_id}.pack", data[:-1] + b"\0"))
    scene.refused(422, scene.put(f"git/{'1' * 40}.pack", data))
    other = b"an idx" + bytes.fromhex(pack_id)
    for bad in (
        b"before its pack",
        b"",
        other,
        other + bytes(20),
        other[:-1] + b"\0" + sha1(other[:-1] + b"\0").digest(),
    ):
        scene.refused(422, scene.put(f"git/{pack_id}.idx", bad))
    assert scene.put(f"git/{pack_id}.idx", other + sha1(other).digest()).status == 200
    assert scene.store.size(f"git/{pack_id}.idx") is None, "taken, not kept: the server makes its own"
    assert scene.put(f"git/{pack_id}.pack", data).status == 201
    scene.refused(422, scene.put(f"git/{pack_id}.idx", b"\xfftOc"))


def test_git_objects_that_unpack_without_end(scene: Scene) -> None:
    base = zlib.compress(bytes(1 << 20))
    # Deltas that copy the whole base 60 times, again and again: 60 MB each for a hundred bytes.
    copies = b"\xf0\x00\x00\x10" * 60
    delta = zlib.compress(b"\x80\x80\x40" + b"\x80\x80\x80\x1e" + copies)
    first = b"\xb0\x80\x80\x04" + base
    entries, at = [first], 12 + len(first)
    for _ in range(8):
        back, digits = at - 12, []
        digits.append(back & 127)
        while back := back >> 7:
            back -= 1
            digits.append(128 | back & 127)
        size = len(b"\x80\x80\x40" + b"\x80\x80\x80\x1e" + copies)
        head = bytes([0xE0 | size & 15, size >> 4])
        entries.append(head + bytes(reversed(digits)) + delta)
        at += len(entries[-1])
    pack_id, data = _packed(*entries)
    assert len(data) < 10_000
    scene.refused(422, scene.put(f"git/{pack_id}.pack", data), "unpacks to too much")
    huge = b"\xb0\x80\x80\x80\x04" + zlib.compress(bytes(128 << 20), 9)
    pack_id, data = _packed(huge)
    scene.refused(422, scene.put(f"git/{pack_id}.pack", data), "too large")


def test_a_manifest_that_lies(scene: Scene) -> None:
    chunk = noise(70_000, 5)
    pack = scene.sent((digest(chunk), chunk, (), 0))
    text = (
        f"mvc-manifest 1\nsize 80000\nblake3 {digest(chunk).hex()}\nformat opaque\nrules x1\nopaque 80000\n"
        f"chunk {digest(chunk).hex()} 80000\n"
    ).encode()
    for blob in (text, text.replace(b"size 80000", b"size 80001"), b"mvc-manifest 1\njunk\n"):
        tree = b"100644 m\0" + raw_object_id("blob", blob)
        who = "a <a@example.org> 1700000000 +0000"
        commit = f"tree {raw_object_id('tree', tree).hex()}\nparent {scene.first}\nauthor {who}\ncommitter {who}\n\nx\n"
        git = scene.git(("blob", blob), ("tree", tree), ("commit", commit.encode()))
        answer = scene.post(
            refs={MAIN: raw_object_id("commit", commit.encode()).hex()},
            git_packs=tuple(sorted([*scene.state().git_packs, git])),
            chunk_packs=tuple(sorted([*scene.state().chunk_packs, pack])),
        )
        scene.refused(422, answer)


# ---- addresses, bodies


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/-/",
        "/team/model",
        "/team/model/-/mvc/2/",
        "/team/model/-/mvc/1/nothing",
        "/../etc/-/mvc/1/",
        "/a/../b/-/mvc/1/",
        "/a/%2e%2e/-/mvc/1/",
        "/a//b/-/mvc/1/",
        "//a/-/mvc/1/",
        "/.hidden/-/mvc/1/",
        "/a b/-/mvc/1/",
        "/a\0/-/mvc/1/",
        "/a/b/c/d/e/-/mvc/1/",
        "/a.lock/-/mvc/1/",
        "/a/packs/-/mvc/1/",
        "/a/-/mvc/1/-/mvc/1/",
        "/" + "a" * 101 + "/-/mvc/1/",
        "/-a/-/mvc/1/",
        "/team/model/-/mvc/1/objects/../../mvc-remote",
        "/team/model/-/mvc/1/objects//mvc-remote",
        "/team/model/-/mvc/1/objects/",
        "/team/model/-/mvc/1/objects/server/verified/" + "0" * 64,
        "/team/model/-/mvc/1/objects/probe/x",
        "/team/model/-/mvc/1/objects/txn/1",
        "/team/model/-/mvc/1/objects/leases/" + "0" * 32,
        "/team/model/-/mvc/1/objects/packs/../mvc-remote",
    ],
)
def test_what_is_not_there(scene: Scene, path: str) -> None:
    answer = (
        ask(scene.service, "GET", path or "x", right=Right.ADMIN)
        if path
        else ask(scene.service, "GET", "/", right=Right.ADMIN)
    )
    assert answer.status == 404 and answer.failure is None
    json.loads(whole(answer))


@pytest.mark.parametrize(
    "key",
    [
        *("txn/000000000002", "latest", "server/verified/" + "0" * 64, "probe/x", "gc/x", "leases/x", "leases/../x"),
        *("packs/00/" + "1" * 64 + ".pack", "packs/" + "1" * 64 + ".pack", "idx/x.idx", "git/x.pack"),
        *("mvc-remote/x", "../x", "x"),
    ],
)
def test_what_is_not_written(scene: Scene, key: str) -> None:
    before = set(scene.store._objects)
    assert scene.put(key, b"x", Right.ADMIN).status in (400, 403, 404, 422)
    assert ask(scene.service, "DELETE", f"objects/{key}", right=Right.ADMIN).status in (403, 404)
    assert set(scene.store._objects) == before


def test_no_place_of_the_server_is_told(tmp_path: Path) -> None:
    service = Service(repositories_in(str(tmp_path), environment={}))
    for method, target, body in (
        ("GET", "objects/latest", b""),
        ("GET", "objects/txn/000000000001", b""),
        ("GET", f"objects/idx/{'0' * 64}.idx", b""),
        ("HEAD", f"objects/idx/{'0' * 64}.idx", b""),
        ("GET", "list?prefix=txn/", b""),
        ("POST", "txn", b"mvc-txn 1\nseq 1\n"),
        ("POST", "have", b"x" * 32),
        ("PUT", f"objects/idx/{'0' * 64}.idx", b"x"),
        ("DELETE", f"objects/leases/{'0' * 32}", b""),
    ):
        answer = ask(service, method, target, body)
        assert answer.status == 404 and answer.failure is None
        assert str(tmp_path).encode() not in whole(answer)
    assert not list(tmp_path.iterdir()), "asking makes nothing"


def test_nothing_is_pushed_among_the_files_that_somebody_works_on(tmp_path: Path) -> None:
    service = Service(repositories_in(str(tmp_path), environment={}))
    worked_in = tmp_path / "team" / "model"
    (worked_in / ".mvc").mkdir(parents=True)
    answer = ask(service, "PUT", "objects/mvc-remote", b"mvc-remote 1\nnaming plain\n", if_none_match="*")
    assert answer.status == 422 and b"somebody works in" in whole(answer)
    assert [one.name for one in worked_in.iterdir()] == [".mvc"]


def test_a_repository_is_made_once(scene: Scene) -> None:
    text = b"mvc-remote 1\nnaming plain\n"
    for body in (b"", b"mvc-remote 2\n", text + b"x", b"mvc-remote 1\nnaming keyed " + b"0" * 32 + b"\n"):
        answer = ask(scene.service, "PUT", "objects/mvc-remote", body, if_none_match="*")
        assert answer.status == 422
    assert ask(scene.service, "PUT", "objects/mvc-remote", text, if_none_match="*").status == 412
    assert ask(scene.service, "PUT", "objects/mvc-remote", text).status == 400
    assert scene.store.get("mvc-remote") == text


def test_bodies(scene: Scene) -> None:
    true = noise(1000, 1)
    pack, data, _ = scene.pack((digest(true), true, (), 0))
    target = f"objects/{keys.chunk_pack(pack.id)}"
    for verb, where in (("PUT", target), ("POST", "txn"), ("POST", "have"), ("POST", "locate")):
        assert ask(scene.service, verb, where, data, length=None).status == 411
        assert ask(scene.service, verb, where, data, length=1 << 62).status == 413
    assert ask(scene.service, "PUT", target, data[:-5], length=len(data)).status == 400
    assert ask(scene.service, "PUT", target, b"", length=len(data)).status == 400
    assert ask(scene.service, "PUT", "objects/leases/" + "0" * 32, b"x" * (5 << 20)).status == 413
    for body in (b"", b"x", b"x" * 33):
        scene.refused(422, ask(scene.service, "POST", "have", body))
        scene.refused(422, ask(scene.service, "POST", "locate", body))
    assert ask(scene.service, "POST", "have", b"x" * 32 * 65_537).status == 413
    assert ask(scene.service, "PATCH", target).status == 405
    assert not list((scene.tmp / "memory" / "tmp").iterdir()), "nothing is left behind"


def test_what_is_uploaded_shows_to_nobody(scene: Scene) -> None:
    true = noise(1000, 1)
    pack = scene.sent((digest(true), true, (), 0))
    target = f"objects/{keys.chunk_pack(pack.id)}"
    assert ask(scene.service, "GET", target, right=Right.ADMIN).status == 404
    assert ask(scene.service, "HEAD", target, right=Right.READ).status == 404
    assert ask(scene.service, "HEAD", target, right=Right.APPEND).headers["content-length"] == str(pack.size)
    assert whole(ask(scene.service, "POST", "have", digest(true))) == b"\xff"


def test_ranges(scene: Scene) -> None:
    pack = scene.state().chunk_packs[0]
    target, data = f"objects/{keys.chunk_pack(pack.id)}", scene.store.get(keys.chunk_pack(pack.id))
    for text, expected in (
        ("bytes=0-9", data[:10]),
        ("bytes=5-", data[5:]),
        ("bytes=10-999999999999", data[10:]),
        ("bytes=-5", data),
        ("bytes=9-5", data),
        ("bytes=0-1,5-6", data),
        ("lines=1-2", data),
    ):
        answer = ask(scene.service, "GET", target, range=text)
        assert whole(answer) == expected and answer.status == (206 if expected != data else 200)
    assert ask(scene.service, "GET", target, range=f"bytes={len(data)}-").status == 416


def test_the_store_is_whole_after_all_that(scene: Scene) -> None:
    for attack in (test_an_idx_that_lies, test_packs_that_are_none, test_git_packs_that_are_none):
        attack(scene)
    with pytest.raises((MvcError, Refused)):
        scene.alice.push(RefUpdate("1" * 40, MAIN))
    scene.alice.push()
    (scene.tmp / "bob").mkdir()
    bob = Peer(scene.tmp / "bob", client(scene.service, Right.READ))
    bob.fetch()
    bob.checkout("refs/remotes/origin/main")
    assert bob.read("m.safetensors") == tuned(width=128)
    bob.check()
