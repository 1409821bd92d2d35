"""Push: Git objects, chunks and refs to a remote, as one entry of its log.

The order is what makes it safe: chunks and then their idx, the Git pack beside them, then the entry. Until that is
there the remote is the old one, and what was put is garbage that a repeat takes up, or gc of the remote takes away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvc.errors import NotFound, Refused
from mvc.lazy import load
from mvc.objects.model import Signature
from mvc.objects.packwriter import PackWriter
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.sync import condemned
from mvc.sync.absorbed import Absorbed
from mvc.sync.cargo import Cargo, Loading, PushedFile
from mvc.sync.lease import Lease
from mvc.sync.probed import require_writable
from mvc.sync.publication import Publication
from mvc.sync.remotes import Remote
from mvc.sync.sealedgit import SealedGit, outgoing_folder
from mvc.sync.state import ChunkPack, State
from mvc.sync.verdicts import ANY, PushedRef, PushStatus, RefUpdate, check_updates

__all__ = ["ANY", "PushResult", "PushStatus", "PushedFile", "PushedRef", "RefUpdate", "push"]

if TYPE_CHECKING:
    from mvc.store.chunkstore import ChunkStore
    from mvc.sync.outgoing import Outgoing

SENDING = {
    "chunks": "mvc.repo.chunks:open_chunks",
    "outgoing": "mvc.sync.outgoing:Outgoing",
}
"""Loaded when there is something to send: a push that finds nothing to do ends sooner without numpy and codecs."""

_RESTARTS = 5
"""So often gc of the remote may come between."""


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


def together(one: PushResult, other: PushResult) -> PushResult:
    """What two pushes did, the second after the first."""
    return PushResult(
        one.refs + other.refs,
        one.objects + other.objects,
        one.chunks + other.chunks,
        one.bytes_sent + other.bytes_sent,
        one.bytes_of_model + other.bytes_of_model,
        one.files + other.files,
        max(one.seq, other.seq),
    )


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
    publication = Publication(remote, updates, atomic=atomic, head=head, who=who)
    run = _Push(remote, publication, who, jobs or remote.backend.capabilities.parallel, progress)
    check_updates(remote.repo.objects, updates)
    for _ in range(_RESTARTS):
        result = run.once(dry_run)
        if result is not None:
            return result
    raise Refused(f"{remote.backend.url} is being cleaned up all the time", hint="repeat the push")


class _Push:
    """What goes is found (cargo), sent (outgoing, sealedgit), and published (publication)."""

    def __init__(self, remote: Remote, publication: Publication, who: Signature, jobs: int, progress: Progress) -> None:
        self._remote, self._publication = remote, publication
        self._who, self._jobs, self._progress = who, jobs, progress
        self._repo: Repository = remote.repo

    def once(self, dry_run: bool) -> PushResult | None:
        """One try; None if gc of the remote came between, so that what it has must be looked at again."""
        state = self._state(create=not dry_run)
        verdicts = self._publication.judge(state)
        if not any(one.moves for one in verdicts):
            self._publication.track(verdicts)
            return PushResult(verdicts, seq=state.seq)
        if not dry_run:
            require_writable(self._remote)
        chunks: ChunkStore = load(SENDING["chunks"])(self._repo)
        with contextlib.ExitStack() as stack:
            folder = outgoing_folder(self._remote)
            git = PackWriter(folder, self._repo.tmp_dir)
            stack.callback(git.discard)
            tips = [one.new for one in verdicts if one.moves and one.new is not None]
            cargo = Loading(self._remote, state, chunks, self._progress).collect(tips, git)
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

    # ---- sending

    def _send(
        self, state: State, verdicts: tuple[PushedRef, ...], cargo: Cargo, chunks: ChunkStore
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
            # The Git pack and its idx go beside the chunks: the entry alone tells of any of them, and comes after all.
            with ThreadPoolExecutor(2, thread_name_prefix="send-git") as pool:
                puts = [pool.submit(put) for put in (git.puts() if git is not None else ())]
                if outgoing is not None:
                    self._progress.begin("sending", cargo.stored)
                    try:
                        outgoing.send([name for name in names if name not in outgoing], cargo.dtypes, cargo.stored)
                        packs = outgoing.list_packs()
                    finally:
                        self._progress.end()
                for done_put in puts:
                    done_put.result()
            git_pack = git.pack if git is not None else None
            done = self._publication.publish(state, verdicts, git_pack, packs, lease)
        if done is None:
            return None
        state, verdicts = done
        if outgoing is not None:
            outgoing.published()
        if git_pack is not None:
            Absorbed(self._remote.memory).add(state, [git_pack.id])
        self._publication.track(verdicts)
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

    def _result(self, verdicts: tuple[PushedRef, ...], cargo: Cargo, seq: int, chunks: int, sent: int) -> PushResult:
        return PushResult(verdicts, len(cargo.git), chunks, sent, cargo.raw, tuple(cargo.files), seq)
