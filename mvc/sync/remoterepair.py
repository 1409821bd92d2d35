"""Repair of a remote after fsck found damage: what is sound is listed anew, and what is here is put again.

Nothing is deleted: what is listed no more goes by gc of the remote, after the usual grace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mvc.codecs.encode import encode
from mvc.errors import IntegrityError, MvcError, RefChanged
from mvc.objects.model import Signature
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.receive import Incoming
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.store import idxbuild
from mvc.store.graph import Row
from mvc.store.records import Location, make_lead
from mvc.sync import condemned, keys
from mvc.sync.lease import Lease
from mvc.sync.outgoing import write_table
from mvc.sync.probed import require_writable
from mvc.sync.remotefsck import RemoteFsck
from mvc.sync.remotegit import RemoteGit
from mvc.sync.remoteindex import idx_folder
from mvc.sync.remotepacks import PacksOut, read_records
from mvc.sync.remotes import Remote
from mvc.sync.sealedgit import SealedGit, outgoing_folder
from mvc.sync.state import ChunkPack, GitPack, State


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done."""

    chunks: int = 0
    """Chunks that were put again from here."""
    copied: int = 0
    """Sound records that were copied out of damaged packs."""
    objects: int = 0
    """Git objects that were put anew."""
    dropped_refs: tuple[str, ...] = ()
    lost: tuple[bytes, ...] = ()
    """Chunks that files need and that are neither there nor here."""
    seq: int = 0


def repair(
    remote: Remote,
    git: RemoteGit,
    found: RemoteFsck,
    *,
    drop_refs: bool = False,
    who: Signature,
    progress: Progress = SILENT,
) -> Repaired:
    """Bring the remote into order, as far as what is here goes. `found`: what fsck has just found.

    With `drop_refs`, refs that lack something afterwards are deleted there. Raises RefChanged where somebody pushed
    since the fsck, Unsupported, NetworkError, AuthError.
    """
    require_writable(remote)
    run = _Repair(remote, git, found, who, progress)
    return run.go(drop_refs)


class _Repair:
    def __init__(self, remote: Remote, git: RemoteGit, found: RemoteFsck, who: Signature, progress: Progress) -> None:
        self._remote, self._git, self._found = remote, git, found
        self._who, self._progress = who, progress
        self._local = open_chunks(replace(remote.repo, missing_chunks=None))

    def go(self, drop_refs: bool) -> Repaired:
        remote, found = self._remote, self._found
        with contextlib.ExitStack() as stack:
            lease = stack.enter_context(Lease(remote.backend, str(self._who)))
            state = found.state
            bad = [report for report in found.packs if report.damage]
            copied, brought, lost = 0, 0, set(found.lacking)
            packs = state.chunk_packs
            if bad or found.bad_idx or found.lacking:
                packs, copied, brought, lost = self._chunks()
            git_packs, objects, lease2 = self._objects(stack)
            refs = dict(state.refs)
            dropped: tuple[str, ...] = ()
            if drop_refs:
                dropped = tuple(sorted(ref for ref, tip in refs.items() if not self._whole(ref, tip, lost)))
                refs = {ref: tip for ref, tip in refs.items() if ref not in dropped}
            after = replace(state, generation=state.generation + 1, refs=refs, chunk_packs=packs, git_packs=git_packs)
            same = (after.refs, after.chunk_packs, after.git_packs) == (state.refs, state.chunk_packs, state.git_packs)
            if same:
                return Repaired(lost=tuple(sorted(lost)), seq=state.seq)
            if remote.state() != state or not lease.holds or (lease2 is not None and not lease2.holds):
                raise RefChanged(f"somebody pushed to {remote.backend.url} meanwhile", hint="repeat the repair")
            if not remote.log.append(after, by=str(self._who), snapshot=True):
                raise RefChanged(f"somebody pushed to {remote.backend.url} meanwhile", hint="repeat the repair")
            return Repaired(brought, copied, objects, dropped, tuple(sorted(lost)), state.seq + 1)

    # ---- chunks

    def _chunks(self) -> tuple[tuple[ChunkPack, ...], int, int, set[bytes]]:
        """The packs to list, how many records were copied and brought, and what is lost."""
        found = self._found
        bad = [report for report in found.packs if report.damage]
        good = [report for report in found.packs if not report.damage]
        here = {name for report in found.packs for name, _ in report.rows}
        wanted = {name for report in bad for name, _, _ in report.damage if name is not None} | found.lacking
        out = PacksOut(self._remote, self._progress)
        try:
            copied = self._copy((row for report in bad for row in report.rows), out)
            brought: set[bytes] = set()
            for name in sorted(wanted - here):
                if self._put_again(name, out):
                    brought.add(name)
            out.flush()
        finally:
            out.discard()
        rows = [(name, place) for report in good for name, place in report.rows]
        known = [(bytes.fromhex(report.pack.id), report.pack.size) for report in good]
        table = idxbuild.merge([*out.tables(), idxbuild.from_records(known, rows)])
        lost = found.lacking - brought
        if not len(table.entries):
            return (), copied, len(brought), lost
        path = write_table(table, idx_folder(self._remote.memory), self._remote.repo.tmp_dir, unique=not out.sizes)
        self._remote.backend.put(keys.chunk_idx(path.stem), path)
        size = path.stat().st_size
        made = [ChunkPack(pack_id, length, path.stem, size) for pack_id, length in out.sizes.items()]
        made += [replace(report.pack, idx_id=path.stem, idx_size=size) for report in good if report.rows]
        return tuple(sorted(made)), copied, len(brought), lost

    def _copy(self, rows: Iterable[tuple[bytes, Location]], out: PacksOut) -> int:
        """Copy records out of damaged packs, those first that others rest on."""
        ordered = sorted(rows, key=lambda one: (one[1].depth, one[1].pack, one[1].offset))
        count = 0
        for row, record in read_records(self._remote, [Row(-1, name, place) for name, place in ordered]):
            out.append(row.name, row.place, record)
            count += 1
        return count

    def _put_again(self, name: bytes, out: PacksOut) -> bool:
        """A chunk from here, encoded by itself; whether it is here."""
        try:
            raw = self._local.read(name)
        except MvcError:
            return False
        encoded = encode(raw, None, (), zstd_level=self._remote.repo.settings.store.zstd_level)
        lead, stored = make_lead(name, len(raw), encoded.codec, 0, (), encoded.params, encoded.payload)
        place = Location(b"", 0, len(raw), stored, encoded.codec, 0, len(encoded.params), ())
        out.append(name, place, memoryview(b"".join((lead, *encoded.payload))))
        return True

    # ---- Git objects

    def _objects(self, stack: contextlib.ExitStack) -> tuple[tuple[GitPack, ...], int, Lease | None]:
        """The Git packs to list: the sound ones, and one of what the others held, or should have, as far as it is
        there or here."""
        found, git, state = self._found, self._git, self._found.state
        good = [pack for pack in state.git_packs if pack not in found.bad_git]
        lacking = self._bring_objects(state)
        if not found.bad_git and not lacking:
            return state.git_packs, 0, None
        listed: set[bytes] = set()
        for pack in good:
            listed |= git.ids(pack)
        seen: set[str] = set()
        for _ in walk_objects(git.objects, state.refs.values(), seen=seen, on_error=lambda _w, _e: None):
            pass
        live = {bytes.fromhex(name[:40]) for name in seen}
        wanted = {one for one in live if git.objects.contains(one.hex())} - listed
        if not wanted:
            return tuple(sorted(good)), 0, None
        sealed = stack.enter_context(SealedGit(self._remote, git.writer(wanted, outgoing_folder(self._remote))))
        lease = stack.enter_context(Lease(self._remote.backend, str(self._who), keep=sealed.keys))
        names = condemned.names(condemned.read_all(self._remote.backend))
        # A pack of the same name that is damaged there is listed still: it must not be taken for this one's.
        if not names.isdisjoint(sealed.keys) or sealed.pack.id in {pack.id for pack in state.git_packs}:
            sealed.rename()
        sealed.put()
        return tuple(sorted([*good, sealed.pack])), len(wanted), lease

    def _bring_objects(self, state: State) -> int:
        """Take what refs need and the remote lacks from here; returns how many objects that were."""
        objects, total = self._remote.repo.objects, 0
        while True:
            missing: set[str] = set()

            def note(wanted: Reached, _error: MvcError, missing: set[str] = missing) -> None:
                missing.add(wanted.id)

            for one in walk_objects(self._git.objects, state.refs.values(), on_error=note):
                if one.kind == "blob" and not self._git.objects.contains(one.id):
                    missing.add(one.id)
            with Incoming(self._git.objects) as incoming:
                for name in sorted(missing):
                    with contextlib.suppress(IntegrityError):
                        incoming.add(*objects.raw(name))
                count = len(incoming)
                incoming.seal()
            total += count
            if not count:
                return total

    def _whole(self, ref: str, tip: str, lost: set[bytes]) -> bool:
        """Whether all of a ref is there now."""
        wrong: list[str] = []
        for one in walk_objects(self._git.objects, [tip], on_error=lambda wanted, _e: wrong.append(wanted.id)):
            if one.kind == "blob" and not self._git.objects.contains(one.id):
                wrong.append(one.id)
        return not wrong and lost.isdisjoint(self._found.lacking_by_ref.get(ref, ()))
