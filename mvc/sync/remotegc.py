"""gc of a remote, the first phase: an entry that lists only what refs need, in few and large packs.

What is no longer listed is deleted in the second phase (remotesweep.py), now or in a later gc. Nothing is locked: an
entry that comes first makes the next try look at what it brought; a push that is under way finds the generation moved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mvc.errors import Refused
from mvc.objects.model import Signature
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.store import idxbuild
from mvc.store.graph import Graph, Row
from mvc.store.idx import Idx
from mvc.store.report import Cutoff
from mvc.store.sweepplan import Plan, make_plan
from mvc.sync import condemned, keys
from mvc.sync.absorbed import Absorbed
from mvc.sync.lease import Lease
from mvc.sync.outgoing import write_table
from mvc.sync.probed import require_writable
from mvc.sync.remotechunks import RemoteChunks
from mvc.sync.remotegit import RemoteGit
from mvc.sync.remoteindex import RemoteIndex, idx_folder
from mvc.sync.remotepacks import PacksOut, graph_of, read_records
from mvc.sync.remotes import Remote
from mvc.sync.remotesweep import Swept, listed_keys, sweep
from mvc.sync.sealedgit import SealedGit, outgoing_folder
from mvc.sync.state import ChunkPack, GitPack, State
from mvc.sync.survey import DeadFile, Survey

MANY_SMALL = 16
"""So many small packs of chunks are put together."""
_SMALL = 1 / 80
"""Of the pack size: less than what a large push makes its packs of (outgoing.py), which so stay as they are."""
MANY_GIT = 8
MANY_IDX = 4
_WORTH = 0.25
_TRIES = 20
_APPENDS = 50
_EVER = 1 << 62


@dataclass(frozen=True, slots=True)
class RemoteGcResult:
    """What was done, or with `dry_run` would be. Bytes."""

    files: tuple[DeadFile, ...]
    """Versions of files that no ref there reaches, and whose chunks are listed no more."""
    chunks: int
    chunk_bytes: int
    objects: int
    """Git objects that are listed no more."""
    packs_before: int
    packs_after: int
    """Packs of chunks that are listed."""
    git_packs_before: int
    git_packs_after: int
    idx_before: int
    idx_after: int
    sent: int
    swept: Swept
    seq: int


@dataclass(slots=True)
class _Work:
    """What one try is to change; ids and packs are those of the state that it was planned for."""

    plan: Plan | None
    graph: Graph | None
    git: set[GitPack]
    """Git packs that go."""
    wanted: set[bytes]
    """Git objects that are copied out of them."""
    merged: set[str]
    """Idx (64 hex) that go."""
    packs: tuple[ChunkPack, ...] = ()
    git_pack: GitPack | None = None
    idx: tuple[str, int] | None = None
    """The new idx."""
    dropped: set[str] = field(default_factory=set)

    @property
    def victims(self) -> set[str]:
        return {one.hex() for one in self.plan.victims} if self.plan is not None else set()

    @property
    def changes(self) -> bool:
        return bool(self.victims or self.git or self.merged)


def gc_remote(
    remote: Remote,
    *,
    grace: float,
    dry_run: bool = False,
    shallow: Container[bytes] = (),
    who: Signature,
    progress: Progress = SILENT,
) -> RemoteGcResult:
    """Free what no ref of the remote needs. What is listed no more is deleted `grace` seconds later, by a later gc;
    with 0 at once, and packs are rewritten for whatever that frees.
    Of the chunks `shallow` the copy of the least depth is kept, however large.

    Raises Refused (others always came first), IntegrityError (damage: nothing is changed), Unsupported, NetworkError,
    AuthError, NotFound.
    """
    run = _Gc(remote, grace, shallow, who, progress)
    with RemoteGit(remote, progress) as git:
        if dry_run:
            state = remote.state()
            survey, work = run.plan(state, git)
            swept = sweep(remote, None, (), grace=grace, dry_run=True)
            return run.result(state, run.after(state, work), survey, work, git, swept)
        require_writable(remote)
        with Lease(remote.backend, str(who)) as lease:
            for _ in range(_TRIES):
                done = run.once(git, lease)
                if done is not None:
                    return done
    raise Refused(f"{remote.backend.url}: others came first {_TRIES} times", hint="repeat the gc")


class _Gc:
    def __init__(
        self, remote: Remote, grace: float, shallow: Container[bytes], who: Signature, progress: Progress
    ) -> None:
        self._remote, self._grace, self._who, self._progress = remote, grace, who, progress
        self._shallow = shallow
        self._local = open_chunks(replace(remote.repo, missing_chunks=None))
        self._sent = 0

    def once(self, git: RemoteGit, lease: Lease) -> RemoteGcResult | None:
        """One try; None if what came between makes another plan necessary."""
        before = self._remote.state()
        survey, work = self.plan(before, git)
        after = before
        if work.changes:
            published = self._change(before, survey, work, git, lease)
            if published is None:
                return None
            after = published
        dropped = listed_keys(before) - listed_keys(after)
        swept = sweep(self._remote, lease, dropped, grace=self._grace)
        return self.result(before, after, survey, work, git, swept)

    # ---- planning

    def plan(self, state: State, git: RemoteGit) -> tuple[Survey, _Work]:
        """What is live, and what is to be done."""
        git.bring(state.git_packs)
        index, _ = RemoteIndex.of(self._remote, state, self._progress)
        survey = Survey(git.objects, RemoteChunks(self._remote, index, self._local))
        self._progress.begin("what is needed", None, "objects")
        try:
            survey.extend(state.refs.values())
        finally:
            self._progress.end()
        graph = graph_of(index, state, self._remote.repo.tmp_dir)
        plan = self._plan_chunks(graph, survey) if graph is not None else None
        going, wanted = self._plan_git(state, survey, git)
        victims = {one.hex() for one in plan.victims} if plan is not None else set()
        # A live pack without any record is in no row.
        return survey, _Work(plan, graph, going, wanted, self._plan_idx(state, index, victims))

    def _plan_chunks(self, graph: Graph, survey: Survey) -> Plan:
        settings = self._remote.repo.settings.store
        none = np.zeros(len(graph.packs), np.int64)
        cutoff = Cutoff(_EVER, _EVER, _EVER, ())
        every = self._grace <= 0
        return make_plan(
            graph,
            survey.chunks,
            none,
            cutoff,
            settings,
            rewrite_all=every,
            small=_SMALL,
            many_small=MANY_SMALL,
            shallow=self._shallow,
        )

    def _plan_git(self, state: State, survey: Survey, git: RemoteGit) -> tuple[set[GitPack], set[bytes]]:
        """Git packs that go, and what is to be copied out of them."""
        live = survey.objects()
        kept: dict[GitPack, set[bytes]] = {}
        taken: set[bytes] = set()
        # What is in two packs counts for the larger.
        for pack in sorted(state.git_packs, key=lambda pack: (-pack.size, pack.id)):
            kept[pack] = (git.ids(pack) & live) - taken
            taken |= kept[pack]
        share = 0.0 if self._grace <= 0 else _WORTH
        going = {
            pack
            for pack in state.git_packs
            if not kept[pack] or len(git.ids(pack)) - len(kept[pack]) > share * len(git.ids(pack))
        }
        left = sorted((pack for pack in state.git_packs if pack not in going), key=lambda pack: (pack.size, pack.id))
        if len(left) + bool(going) > MANY_GIT:
            total = 0
            for number, pack in enumerate(left):
                if number > 1 and pack.size > 2 * total and len(left) - number < MANY_GIT:
                    break
                going.add(pack)
                total += pack.size
        return going, {one for pack in going for one in kept[pack]}

    def _plan_idx(self, state: State, index: RemoteIndex, victims: set[str]) -> set[str]:
        """Idx that are merged: those that tell of much that goes, and the small ones if there are many."""
        gone = {bytes.fromhex(one) for one in victims}
        live = {bytes.fromhex(pack.id) for pack in state.chunk_packs} - gone
        found: set[str] = set()
        left: list[Idx] = []
        for idx in index.all:
            dead = sum(1 for pack_id, size in idx.packs if size and pack_id not in live)
            touched = any(pack_id in gone for pack_id, _ in idx.packs)
            if dead and (touched or dead > _WORTH * len(idx.packs)):
                found.add(idx.path.stem)
            else:
                left.append(idx)
        if len(left) + bool(found) > MANY_IDX:
            total = sum(idx.size for idx in index.all if idx.path.stem in found)
            left.sort(key=lambda idx: idx.size)
            for number, idx in enumerate(left):
                if number > 1 and idx.size > 2 * total and len(left) - number < MANY_IDX:
                    break
                found.add(idx.path.stem)
                total += idx.size
        return found

    # ---- changing

    def _change(self, before: State, survey: Survey, work: _Work, git: RemoteGit, lease: Lease) -> State | None:
        """Put what is new, append the entry; None if it must be planned anew."""
        packs = PacksOut(self._remote, self._progress)
        try:
            self._copy(work, packs)
        finally:
            packs.discard()
        with contextlib.ExitStack() as stack:
            sealed, held = self._seal_git(stack, work, git)
            self._put_idx(before, work, packs)
            work.git_pack = sealed.pack if sealed is not None else None
            self._sent += packs.sent
            state = before
            for _ in range(_APPENDS):
                after = self.after(state, work)
                if not self._is_whole(after, survey, work, git):
                    return None
                if not lease.holds or (held is not None and not held.holds):
                    return None
                if self._remote.log.append(after, by=str(self._who), snapshot=True):
                    if work.git_pack is not None:
                        Absorbed(self._remote.memory).add(after, self._absorbed(work))
                    return self._remote.remembered() or after
                state = self._remote.state()
                if state.generation != before.generation:
                    return None
                git.bring(state.git_packs)
                survey.extend(state.refs.values())
        return None

    def _absorbed(self, work: _Work) -> list[str]:
        """The new Git pack need not be fetched by us, if those that it is made of were."""
        known = Absorbed(self._remote.memory).ids()
        assert work.git_pack is not None
        return [work.git_pack.id] if all(pack.id in known for pack in work.git) else []

    def _copy(self, work: _Work, packs: PacksOut) -> None:
        plan, graph = work.plan, work.graph
        if plan is None or graph is None or not len(plan.copied):
            return
        self._progress.begin("rewriting packs", plan.copied_bytes)
        try:
            for rows in _by_depth(graph, plan):
                for row, record in read_records(self._remote, rows):
                    packs.append(row.name, row.place, record)
            packs.flush()
        finally:
            self._progress.end()

    def _seal_git(
        self, stack: contextlib.ExitStack, work: _Work, git: RemoteGit
    ) -> tuple[SealedGit | None, Lease | None]:
        if not work.wanted:
            return None, None
        writer = git.writer(work.wanted, outgoing_folder(self._remote))
        sealed = stack.enter_context(SealedGit(self._remote, writer))
        lease = stack.enter_context(Lease(self._remote.backend, str(self._who), keep=sealed.keys))
        if not condemned.names(condemned.read_all(self._remote.backend)).isdisjoint(sealed.keys):
            sealed.rename()
        sealed.put()
        self._sent += sealed.pack.size + sealed.pack.idx_size
        return sealed, lease

    def _put_idx(self, state: State, work: _Work, packs: PacksOut) -> None:
        """One idx over the new packs and what the old ones told that go."""
        index, _ = RemoteIndex.of(self._remote, state)
        gone = {bytes.fromhex(one) for one in work.victims}
        live = {bytes.fromhex(pack.id) for pack in state.chunk_packs} - gone
        old = [idx for idx in index.all if idx.path.stem in work.merged]
        dead = {pack_id for idx in old for pack_id, _ in idx.packs if pack_id not in live}
        tables = [*packs.tables(), *(idxbuild.from_idx(idx) for idx in old)]
        table = idxbuild.merge(tables, without=dead)
        if not len(table.entries):
            return
        folder = idx_folder(self._remote.memory)
        path = write_table(table, folder, self._remote.repo.tmp_dir, unique=not packs.sizes)
        self._remote.backend.put(keys.chunk_idx(path.stem), path)
        work.idx = path.stem, path.stat().st_size
        self._sent += work.idx[1]
        work.packs = tuple(ChunkPack(pack_id, size, *work.idx) for pack_id, size in packs.sizes.items())

    def after(self, state: State, work: _Work) -> State:
        """A state, the one planned for or one that came after it, with the change made to it."""
        if not work.changes:
            return state
        victims = work.victims
        packs: set[ChunkPack] = set(work.packs)
        for pack in state.chunk_packs:
            if pack.id in victims:
                continue
            if pack.idx_id in work.merged:
                if work.idx is not None:
                    packs.add(replace(pack, idx_id=work.idx[0], idx_size=work.idx[1]))
            else:
                packs.add(pack)
        git = {pack for pack in state.git_packs if pack not in work.git}
        git |= {work.git_pack} if work.git_pack is not None else set()
        generation = state.generation + 1
        return replace(state, generation=generation, chunk_packs=tuple(sorted(packs)), git_packs=tuple(sorted(git)))

    def _is_whole(self, after: State, survey: Survey, work: _Work, git: RemoteGit) -> bool:
        """Whether all that refs need is in what would be listed, and every base."""
        here: set[bytes] = set(work.wanted)
        for pack in after.git_packs:
            here |= git.ids(pack)
        if not survey.objects() <= here:
            return False
        index, _ = RemoteIndex.of(self._remote, after)
        graph = graph_of(index, after, self._remote.repo.tmp_dir)
        if graph is None:
            return work.graph is None or not work.graph.members(survey.chunks).any()
        there = set(graph.names_of(graph.members(survey.chunks)))
        if work.graph is not None and not there >= set(work.graph.names_of(work.graph.members(survey.chunks))):
            return False
        return not len(graph.unresolved())

    def result(
        self, before: State, after: State, survey: Survey, work: _Work, git: RemoteGit, swept: Swept
    ) -> RemoteGcResult:
        """What is told of it."""
        sizes: dict[bytes, int] = {}
        if work.plan is not None and work.graph is not None:
            graph = work.graph
            removed = work.plan.result(graph, (), ()).removed_chunks
            wanted = set(removed)
            rows = np.flatnonzero(graph.members(wanted)[graph.group])
            for row in rows.tolist():
                sizes[graph.name(row)] = sizes.get(graph.name(row), 0) + int(graph.size[row])
        live = survey.objects()
        lost = {one for pack in work.git for one in git.ids(pack) if one not in live}
        files = [one for one in survey.dead_files(sizes) if one.stored] if sizes else []
        packs_after, idx_after, git_after = _counts(after)
        if work.changes and work.git_pack is None and work.wanted:
            git_after += 1  # a dry run
        if work.plan is not None and len(work.plan.copied) and not work.packs:
            packs_after += 1
        if work.merged and work.idx is None and (packs_after or idx_after):
            idx_after += 1
        packs, idx, git_packs = _counts(before)
        return RemoteGcResult(
            tuple(files),
            len(sizes),
            sum(sizes.values()),
            len(lost),
            packs,
            packs_after,
            git_packs,
            git_after,
            idx,
            idx_after,
            self._sent,
            swept,
            after.seq,
        )


def _counts(state: State) -> tuple[int, int, int]:
    """Packs of chunks, idx, Git packs."""
    return len(state.chunk_packs), len({pack.idx_id for pack in state.chunk_packs}), len(state.git_packs)


def _by_depth(graph: Graph, plan: Plan) -> Sequence[list[Row]]:
    """The rows to copy, those that others rest on first; each level as it lies in the packs."""
    found: list[list[Row]] = []
    depth = graph.depth[plan.copied]
    for level in np.unique(depth).tolist():
        rows = graph.in_pack_order(plan.copied[depth == level])
        found.append([Row(row, graph.name(row), graph.location(row)) for row in rows.tolist()])
    return found
