"""Push: Git objects, chunks and refs to a remote, as one entry of its log.

The order is what makes it safe: packs of chunks, their idx, the Git pack, then the entry. Until the entry is there
the remote is the old one, and what was put is garbage that a repeat takes up, or gc of the remote takes away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mvc.errors import MissingObject, NotFound, RefChanged, Refused
from mvc.lazy import load
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import Signature, is_file
from mvc.objects.packwriter import PackWriter
from mvc.objects.reachable import Reached
from mvc.objects.refs import RefChange
from mvc.objects.refspec import tracking_ref
from mvc.objects.transfer import new_objects
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.repo.tensors import chunk_refs
from mvc.settings import MAX_DEPTH
from mvc.sync import condemned
from mvc.sync.absorbed import Absorbed
from mvc.sync.lease import Lease
from mvc.sync.located import index_for
from mvc.sync.probed import require_writable
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote
from mvc.sync.sealedgit import SealedGit, outgoing_folder
from mvc.sync.state import ChunkPack, GitPack, State
from mvc.sync.verdicts import ANY, PushedRef, PushStatus, RefUpdate, check_updates, judge, moved

__all__ = ["ANY", "PushResult", "PushStatus", "PushedFile", "PushedRef", "RefUpdate", "push"]

_ATTEMPTS = 200
"""So often another may come first. Each time somebody's push went through, so this is no endless race."""
if TYPE_CHECKING:
    from mvc.store.chunkstore import ChunkStore
    from mvc.sync.outgoing import Outgoing

SENDING = {
    "chunks": "mvc.repo.chunks:open_chunks",
    "bring": "mvc.sync.chunks:bring",
    "ends there": "mvc.sync.depth:ends_there",
    "outgoing": "mvc.sync.outgoing:Outgoing",
    "with packs": "mvc.sync.outgoing:with_packs",
}
"""Loaded when there is something to send: a push that finds nothing to do ends sooner without numpy and codecs."""

_RESTARTS = 5
"""So often gc of the remote may come between."""


@dataclass(frozen=True, slots=True)
class PushedFile:
    """A version of a file that the push publishes and the remote lacked chunks of (`--dry-run` lists them)."""

    path: str
    size: int
    sent: int
    """Stored bytes of its chunks that go (each chunk counted once, with the first file that needs it)."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What was pushed, or with `dry_run` would be."""

    refs: tuple[PushedRef, ...]
    objects: int = 0
    """Git objects sent."""
    chunks: int = 0
    """Chunks sent."""
    bytes_sent: int = 0
    """All bytes that were put: packs, idx, Git packs. With `dry_run`: stored bytes of the chunks and Git objects."""
    bytes_of_model: int = 0
    """Sizes of the file versions that were published newly (those in `files`)."""
    files: tuple[PushedFile, ...] = ()
    seq: int = 0
    """The remote's log after it."""

    @property
    def rejected(self) -> bool:
        """Whether any ref was."""
        return any(ref.status == "rejected" for ref in self.refs)


@dataclass(slots=True)
class _Cargo:
    """What is to go: a Git pack, and chunks by the depth at which they are stored here."""

    git: PackWriter
    files: list[PushedFile] = field(default_factory=list)
    levels: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(MAX_DEPTH + 1)])
    dtypes: dict[bytes, str] = field(default_factory=dict)
    """Of the deltas: if one must be encoded anew, this tells how."""
    stored: int = 0
    raw: int = 0
    index: RemoteIndex | None = None
    """Which chunks the remote has; None where nobody had to know."""

    @property
    def names(self) -> list[bytes]:
        return [name for level in self.levels for name in level]


def push(
    remote: Remote,
    updates: Sequence[RefUpdate],
    *,
    atomic: bool = False,
    dry_run: bool = False,
    head: str = "",
    who: Signature,
    jobs: int = 0,
    progress: Progress = SILENT,
) -> PushResult:
    """Push. Rejected refs are in the result, not raised; the others move (with `atomic`: none).

    `head`: the branch that HEAD of a new remote is to name. `who`: for the log and the reflogs. `jobs`: uploads
    at once, 0 for what the backend likes. Remote-tracking refs of a named remote follow what was pushed.
    Raises MissingObject (a chunk to be pushed is not here and not there), Unsupported (a store that two could write
    to at once), UsageError, NetworkError, AuthError.
    """
    run = _Push(remote, updates, atomic, head, who, jobs or remote.backend.capabilities.parallel, progress)
    check_updates(remote.repo.objects, updates)
    for _ in range(_RESTARTS):
        result = run.once(dry_run)
        if result is not None:
            return result
    raise Refused(f"{remote.backend.url} is being cleaned up all the time", hint="repeat the push")


class _Push:
    def __init__(
        self,
        remote: Remote,
        updates: Sequence[RefUpdate],
        atomic: bool,
        head: str,
        who: Signature,
        jobs: int,
        progress: Progress,
    ) -> None:
        self._remote, self._updates, self._atomic, self._head = remote, updates, atomic, head
        self._who, self._jobs, self._progress = who, jobs, progress
        self._repo: Repository = remote.repo

    def once(self, dry_run: bool) -> PushResult | None:
        """One try; None if gc of the remote came between, so that what it has must be looked at again."""
        state = self._state(create=not dry_run)
        verdicts = self._judge(state)
        if not any(one.moves for one in verdicts):
            self._track(verdicts)
            return PushResult(verdicts, seq=state.seq)
        if not dry_run:
            require_writable(self._remote)
        chunks: ChunkStore = load(SENDING["chunks"])(self._repo)
        with contextlib.ExitStack() as stack:
            folder = outgoing_folder(self._remote)
            git = PackWriter(folder, self._repo.tmp_dir)
            stack.callback(git.discard)
            cargo = self._collect(state, verdicts, chunks, git)
            if dry_run:
                sent = cargo.stored + (git.size if len(git) else 0)
                return self._result(verdicts, cargo, state.seq, len(cargo.names), sent)
            return self._send(state, verdicts, cargo, chunks)

    def _state(self, *, create: bool) -> State:
        try:
            return self._remote.state(create=create)
        except NotFound:
            if create or self._remote.remembered() is not None:
                raise
            return State()  # a dry run makes nothing

    def _judge(self, state: State) -> tuple[PushedRef, ...]:
        return judge(self._repo.objects, state, self._updates, atomic=self._atomic)

    # ---- what is to go

    def _collect(self, state: State, verdicts: Sequence[PushedRef], chunks: ChunkStore, git: PackWriter) -> _Cargo:
        objects = self._repo.objects
        cargo = _Cargo(git)
        tips = [one.new for one in verdicts if one.moves and one.new is not None]
        have = [value for value in set(state.refs.values()) if objects.contains(value)]
        seen: set[bytes] = set()
        self._progress.begin("objects", None, "objects")
        try:
            for reached in self._lacking(state, tips, have):
                kind, data = objects.raw(reached.id)
                git.add(bytes.fromhex(reached.id), kind, data)
                self._progress.advance(1)
                if kind == "blob" and is_file(reached.mode) and is_manifest(data):
                    if cargo.index is None:
                        cargo.index, _ = index_for(self._remote, state, self._progress)
                    self._file(cargo, cargo.index, chunks, reached, parse(data), seen)
        finally:
            self._progress.end()
        return cargo

    def _lacking(self, state: State, tips: list[str], have: list[str]) -> Iterator[Reached]:
        """The objects that the remote lacks."""
        objects = self._repo.objects
        if objects.shallow:
            have += load(SENDING["ends there"])(self._remote, state, tips, have)
        try:
            return new_objects(objects, tips, have)
        except MissingObject:
            # A commit of the remote is here, but not all behind it (gc took that): only what our refs hold is whole.
            whole = set(self._repo.refs.list().values())
            return new_objects(objects, tips, [one for one in have if one in whole])

    def _file(
        self,
        cargo: _Cargo,
        index: RemoteIndex,
        chunks: ChunkStore,
        file: Reached,
        manifest: Manifest,
        seen: set[bytes],
    ) -> None:
        """Of a file's chunks those that the remote lacks."""
        lists = [ref.name for segment in manifest.segments for ref in segment.lists]
        self._bring_lists([name for name in lists if name not in chunks and name in index])
        sent = 0
        lacking: list[bytes] = []
        rows = [
            (one, [*(row.name for row in one.lists), *(ref.name for ref in chunk_refs(chunks, one))])
            for one in manifest.segments
        ]
        index.prepare(name for _, names in rows for name in names if name not in seen)
        for segment, names in rows:
            dtype = segment.tensor.dtype if segment.tensor is not None else None
            for name in names:
                if name in seen:
                    continue
                seen.add(name)
                if name in index:
                    continue
                place = chunks.find(name)
                if place is None:
                    lacking.append(name)
                    continue
                cargo.levels[place.depth].append(name)
                if place.depth and dtype is not None:
                    cargo.dtypes[name] = dtype
                sent += place.record_size
        sent += self._from_elsewhere(cargo, chunks, lacking, file)
        if sent:
            cargo.files.append(PushedFile(file.path, manifest.size, sent))
            cargo.stored += sent
            cargo.raw += manifest.size

    def _bring_lists(self, names: list[bytes]) -> None:
        """Chunk lists that only the remote has are read here, to know what they name."""
        if names:
            load(SENDING["bring"])(self._remote, names, progress=self._progress)

    def _from_elsewhere(self, cargo: _Cargo, chunks: ChunkStore, names: list[bytes], file: Reached) -> int:
        """Chunks that are neither here nor there come from another remote, if one has them."""
        if not names:
            return 0
        chunks.ensure(names)
        chunks.reload()
        total = 0
        for name in names:
            place = chunks.find(name)
            if place is None:
                where = f"chunk {name.hex()} of '{file.path}' in {file.commit[:10]}"
                raise MissingObject(
                    f"{where} is neither here nor at {self._remote.backend.url}",
                    hint="mvc fsck tells what is lacking; fetch it from a remote that has it",
                )
            cargo.levels[place.depth].append(name)
            total += place.record_size
        return total

    # ---- sending

    def _send(
        self, state: State, verdicts: tuple[PushedRef, ...], cargo: _Cargo, chunks: ChunkStore
    ) -> PushResult | None:
        packs: list[ChunkPack] = []
        outgoing: Outgoing | None = None
        names = cargo.names
        if names and cargo.index is not None:
            make: type[Outgoing] = load(SENDING["outgoing"])
            outgoing = make(self._remote, state, cargo.index, chunks, self._jobs, self._progress)
            outgoing.resume(names)
        with contextlib.ExitStack() as stack:
            git = stack.enter_context(SealedGit(self._remote, cargo.git)) if len(cargo.git) else None
            lease = self._lease(stack, outgoing, git)
            if outgoing is not None:
                self._progress.begin("sending", cargo.stored)
                try:
                    outgoing.send([name for name in names if name not in outgoing], cargo.dtypes, cargo.stored)
                    packs = outgoing.list_packs()
                finally:
                    self._progress.end()
            if git is not None:
                git.put()
            git_pack = git.pack if git is not None else None
            done = self._publish(state, verdicts, git_pack, packs, lease)
        if done is None:
            return None
        state, verdicts = done
        if outgoing is not None:
            outgoing.published()
        if git_pack is not None:
            Absorbed(self._remote.memory).add(state, [git_pack.id])
        self._track(verdicts)
        sent = (outgoing.sent if outgoing else 0) + (git_pack.size + git_pack.idx_size if git_pack else 0)
        return self._result(verdicts, cargo, state.seq, outgoing.chunks if outgoing else 0, sent)

    def _lease(self, stack: contextlib.ExitStack, outgoing: Outgoing | None, git: SealedGit | None) -> Lease | None:
        """Tell gc of the remote what is taken up and put; and take up nothing that gc is about to remove.

        The lease is written first, then gc's lists are read; gc writes its list first, and then reads leases. So at
        least one of the two sees the other.
        """
        if outgoing is None and git is None:
            return None
        resumed = outgoing.resumed() if outgoing is not None else []
        keep = [*resumed, *(git.keys if git is not None else ())]
        lease = stack.enter_context(Lease(self._remote.backend, str(self._who), keep=keep))
        going = condemned.names(condemned.read_all(self._remote.backend))
        if outgoing is not None and not going.isdisjoint(resumed):
            outgoing.forget()
        if git is not None and not going.isdisjoint(git.keys):
            git.rename()
        return lease

    def _publish(
        self,
        before: State,
        verdicts: tuple[PushedRef, ...],
        git_pack: GitPack | None,
        packs: Sequence[ChunkPack],
        lease: Lease | None,
    ) -> tuple[State, tuple[PushedRef, ...]] | None:
        """Append the entry; again on what stands by then, if others come first. None: gc came between, or may have."""
        state = before
        for _ in range(_ATTEMPTS):
            if not any(one.moves for one in verdicts):
                return state, verdicts
            if lease is not None and not lease.holds:
                return None
            if self._remote.log.append(self._after(state, before, verdicts, git_pack, packs), by=str(self._who)):
                return self._remote.remembered() or state, verdicts
            state = self._remote.state()
            if state.generation != before.generation:
                return None
            verdicts = self._judge(state)
        raise Refused(f"{self._remote.backend.url}: others came first {_ATTEMPTS} times", hint="repeat the push")

    def _after(
        self,
        state: State,
        before: State,
        verdicts: Sequence[PushedRef],
        git_pack: GitPack | None,
        packs: Sequence[ChunkPack],
    ) -> State:
        refs = moved(dict(state.refs), verdicts)
        head = state.head or self._head or next((ref for ref in refs if ref.startswith("refs/heads/")), "")
        git_packs = {*state.git_packs, *([git_pack] if git_pack is not None else [])}
        after = replace(state, refs=refs, head=head, git_packs=tuple(sorted(git_packs)))
        if packs:
            after = load(SENDING["with packs"])(after, packs, before)
        return after

    # ---- afterwards

    def _track(self, verdicts: Sequence[PushedRef]) -> None:
        """Remote-tracking refs follow. One that another process moves at this moment is left to it."""
        for one in verdicts:
            ref = tracking_ref(self._remote.config.fetch, one.target) if one.status != "rejected" else None
            if ref is None or self._repo.refs.read(ref) == one.new:
                continue
            change = RefChange(ref, self._repo.refs.read(ref), one.new)
            with contextlib.suppress(RefChanged, Refused):
                self._repo.refs.update([change], message="update by push", author=self._who, head_follows=False)

    def _result(self, verdicts: tuple[PushedRef, ...], cargo: _Cargo, seq: int, chunks: int, sent: int) -> PushResult:
        return PushResult(verdicts, len(cargo.git), chunks, sent, cargo.raw, tuple(cargo.files), seq)
