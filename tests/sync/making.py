"""Repositories that share a remote, made with the operations that people use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mvc.backends.base import Backend
from mvc.backends.memory import MemoryBackend
from mvc.codecs.base import Encoded
from mvc.fsio import Buffer
from mvc.objects import trees
from mvc.objects.model import Signature
from mvc.objects.refspec import parse_fetch
from mvc.ops.add import add
from mvc.ops.caller import Caller
from mvc.ops.commit import CommitOptions, commit
from mvc.ops.fsck import fsck
from mvc.ops.init import init
from mvc.ops.reset import Mode, reset
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.sync.chunks import FromRemotes
from mvc.sync.fetch import FetchResult, fetch
from mvc.sync.push import PushResult, push
from mvc.sync.remotes import Remote, RemoteConfig
from mvc.sync.verdicts import RefUpdate
from tests.models import fine_tuned, layers, safetensors_bytes

WHO = Signature("a", "a@example.org", 1_700_000_000)
MAIN = "refs/heads/main"
TRACKED = "refs/remotes/origin/main"


class Peer:
    """A repository with a remote called origin."""

    def __init__(self, top: Path, backend: Backend, *, config: str = "") -> None:
        if not (top / ".mvc").exists():
            init(top, initial_branch="main")
            with open(top / ".mvc" / "config", "a", encoding="utf-8") as file:
                file.write('[remote "origin"]\n\turl = x:y\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n' + config)
        self.top = top
        self.backend = backend
        self.repo = Repository.open(top)
        self.caller = Caller(WHO)

    def remote(self, backend: Backend | None = None) -> Remote:
        spec = parse_fetch("+refs/heads/*:refs/remotes/origin/*")
        return Remote(self.repo, RemoteConfig("origin", "x:y", "x:y", (spec,)), backend or self.backend)

    def write(self, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            (self.top / path).parent.mkdir(parents=True, exist_ok=True)
            (self.top / path).write_bytes(data)

    def commit(self, files: Mapping[str, bytes], message: str = "m") -> str:
        self.write(files)
        add(self.repo, ["."])
        return commit(self.repo, message, CommitOptions(), caller=self.caller).id

    def push(self, *updates: RefUpdate, backend: Backend | None = None, **options: object) -> PushResult:
        wanted = updates or (RefUpdate(self.repo.refs.read(MAIN), MAIN),)
        return push(self.remote(backend), wanted, who=WHO, head=MAIN, **options)  # type: ignore[arg-type]

    def fetch(self, *, backend: Backend | None = None, **options: object) -> FetchResult:
        return fetch(self.remote(backend), who=WHO, **options)  # type: ignore[arg-type]

    def lazy(self, backend: Backend | None = None) -> Repository:
        """The repository as one that asks its remote for what it lacks."""
        hook = FromRemotes(self.repo, lambda _config: self.remote(backend))
        return replace(self.repo, missing_chunks=hook)

    def checkout(self, revision: str, *, backend: Backend | None = None) -> None:
        """HEAD, stage and worktree to a revision, with what is lacking from the remote."""
        reset(self.lazy(backend), revision, Mode.HARD, caller=self.caller)

    def rename(self, revision: str, old: str, new: str) -> str:
        """A commit on top of another, with one file under another name, and without touching a chunk."""
        objects = self.repo.objects
        item = trees.flatten(objects, objects.commit(revision).tree)[old]
        with objects.batch() as batch:
            tree = trees.update(batch, objects.commit(revision).tree, {old: None, new: item})
            made = batch.commit(tree, [revision], WHO, WHO, "renamed")
            batch.seal()
        return made

    def read(self, path: str) -> bytes:
        return (self.top / path).read_bytes()

    def check(self) -> None:
        found = [one for one in fsck(self.repo).findings]
        assert not found, found

    def chunk_names(self) -> set[bytes]:
        return set(open_chunks(self.repo).names())


class Counted:
    """Passes on to another backend, and notes each request."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.calls: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in {"get", "size", "put", "put_if_absent", "list", "delete"}:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, str(arguments[0])))
            return found(*arguments, **named)

        return call


class Sized(Counted):
    """Also adds up the bytes that came."""

    received = 0

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        call = super().__getattr__(name)
        if name != "get":
            return call

        def get(*arguments: object, **named: object) -> bytes:
            data: bytes = call(*arguments, **named)
            self.received += len(data)
            return data

        return get


class Overwriting(MemoryBackend):
    """A store that says yes to "only if it is not there", and overwrites."""

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        self.put(key, data)
        return True


def model(seed: int = 0, count: int = 3, width: int = 256) -> bytes:
    return safetensors_bytes(layers(seed, count, width))


def tuned(seed: int = 0, step: int = 1, count: int = 3, width: int = 256) -> bytes:
    return safetensors_bytes(fine_tuned(layers(seed, count, width), step))


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


Peers = Callable[[str], Peer]


def damage(peer: Peer, name: bytes) -> None:
    """Change a byte of the chunk's payload in its pack."""
    chunks = open_chunks(peer.repo)
    place = chunks.find_own(name)
    assert place is not None
    path = chunks.paths.pack(place.pack)
    data = bytearray(path.read_bytes())
    data[place.offset + place.record_size - 1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def damage_of_two(peer: Peer) -> None:
    """Store a chunk without bases twice, and damage the copy that is met first."""
    chunks = open_chunks(peer.repo)
    hurt = sorted(chunks.names())[0]
    record = chunks.read_stored(hurt)
    with chunks.intend("test") as intent, chunks.writer(intent) as writer:
        header = chunks.header(hurt)
        payload = record[header.lead_size :]
        writer.add(hurt, Encoded(header.codec, header.params, (payload,)), raw_size=header.raw_size, again=True)
    damage(peer, hurt)
    assert open_chunks(peer.repo).read_stored(hurt) == record
