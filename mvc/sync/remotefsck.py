"""fsck of a remote: the log, every pack, every record, every Git object, and that all hangs together."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mvc.errors import IntegrityError, MissingObject, MvcError, NetworkError, NotFound
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.packindex import dump_index
from mvc.objects.reachable import Reached, walk_objects
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.tensors import chunk_refs
from mvc.store.idx import Idx
from mvc.store.records import Location
from mvc.sync import keys
from mvc.sync.logcheck import check_log
from mvc.sync.packcheck import PackReport, check_packs, idx_is_sound
from mvc.sync.remotechunks import RemoteChunks
from mvc.sync.remotegit import RemoteGit
from mvc.sync.remoteindex import RemoteIndex, idx_folder
from mvc.sync.remotelog import RemoteLog
from mvc.sync.remotes import Remote
from mvc.sync.remotesweep import listed_keys
from mvc.sync.state import GitPack, State
from mvc.sync.stepped import STEPPED, stepped

_NAMED = 5


@dataclass(frozen=True, slots=True)
class RemoteFinding:
    """Something wrong. `what` names it (a key, chunk, object, ref); `touches` the files and commits it spoils."""

    what: str
    message: str
    touches: tuple[str, ...] = ()


@dataclass(slots=True)
class RemoteFsck:
    """What was found, and what repair needs to know of it."""

    state: State
    findings: list[RemoteFinding] = field(default_factory=list)
    entries: int = 0
    objects: int = 0
    chunks: int = 0
    raw_bytes: int = 0
    unlisted: int = 0
    """Objects of the store that no entry lists: what gc of the remote deletes in time."""
    unlisted_bytes: int = 0
    packs: list[PackReport] = field(default_factory=list)
    bad_idx: set[str] = field(default_factory=set)
    bad_git: set[GitPack] = field(default_factory=set)
    lacking: set[bytes] = field(default_factory=set)
    """Chunks that files need and that are not there in sound form."""
    lacking_by_ref: dict[str, set[bytes]] = field(default_factory=dict)

    def tell(self, what: str, message: str, touches: Sequence[str] = ()) -> None:
        shown = tuple(touches[:_NAMED])
        if len(touches) > _NAMED:
            shown += (f"and {len(touches) - _NAMED} more",)
        self.findings.append(RemoteFinding(what, message, shown))


def fsck_remote(
    remote: Remote, git: RemoteGit, *, connectivity_only: bool = False, progress: Progress = SILENT
) -> RemoteFsck:
    """Check all that a remote holds. `connectivity_only`: packs of chunks are not read, only whether they are there.

    `git` takes its Git objects. Damage is in the result; raises what keeps it from being looked at: NotFound,
    UnsupportedFormat, IntegrityError (a log without a sound newest entry), NetworkError, AuthError.
    """
    log = RemoteLog(remote.backend, None, remote.repo.settings.store.naming)
    hinted = log.hinted()  # before the newest is looked for: others may push meanwhile
    found = RemoteFsck(log.latest())
    remote.state()
    found.entries, wrong = check_log(remote.backend, found.state)
    if hinted > found.state.seq:
        found.tell(keys.entry(hinted), f"it is not there, but '{keys.LATEST}' names it: what was pushed last is lost")
    for key, message in wrong:
        found.tell(key, message)
    run = _Fsck(remote, git, found, progress)
    run.git_packs()
    run.idx()
    run.packs(connectivity_only)
    run.files()
    run.unlisted()
    return found


class _Fsck:
    def __init__(self, remote: Remote, git: RemoteGit, found: RemoteFsck, progress: Progress) -> None:
        self._remote, self._git, self._found, self._progress = remote, git, found, progress
        self._index = RemoteIndex(found.state, [])
        self._bad: dict[bytes, list[str]] = defaultdict(list)
        """Chunks of which a copy is damaged, and the findings on them."""
        self._touched: dict[bytes, list[str]] = defaultdict(list)
        self._told: set[str] = set()
        self._pending: list[tuple[str, str, bytes]] = []

    def git_packs(self) -> None:
        """Each Git pack whole, and its idx against it."""
        found, git = self._found, self._git
        git.bring(found.state.git_packs, tolerant=True)
        for pack, why in git.broken.items():
            found.bad_git.add(pack)
            found.tell(keys.git_pack(pack.id), why)
        for pack in found.state.git_packs:
            if pack in git.broken:
                continue
            found.objects += len(git.held[pack])
            wanted = dump_index(git.held[pack], bytes.fromhex(pack.id))
            try:
                same = self._remote.backend.get(keys.git_idx(pack.id)) == wanted and len(wanted) == pack.idx_size
            except NotFound:
                same = False
            if not same:
                found.bad_git.add(pack)
                found.tell(keys.git_idx(pack.id), "it is not the index of its pack")

    def idx(self) -> None:
        """Each idx against its name; and that it lists the packs that it should."""
        state, found = self._found.state, self._found
        opened: dict[str, Idx] = {}
        for idx_id, size in sorted({(pack.idx_id, pack.idx_size) for pack in state.chunk_packs}):
            if not idx_is_sound(self._remote, idx_id, size):
                found.bad_idx.add(idx_id)
                found.tell(keys.chunk_idx(idx_id), "the idx is missing or damaged")
        with contextlib.suppress(IntegrityError):
            RemoteIndex.of(self._remote, state, self._progress)
        for idx_id in {pack.idx_id for pack in state.chunk_packs}:
            with contextlib.suppress(FileNotFoundError, IntegrityError):
                one = Idx(idx_folder(self._remote.memory) / f"{idx_id}.idx")
                one.check()
                opened[idx_id] = one
        for pack in state.chunk_packs:
            idx = opened.get(pack.idx_id)
            if idx is not None and (bytes.fromhex(pack.id), pack.size) not in idx.packs:
                found.bad_idx.add(pack.idx_id)
                found.tell(keys.chunk_idx(pack.idx_id), f"it does not list pack {pack.id}")
        self._index = RemoteIndex(state, list(opened.values()))

    def packs(self, connectivity_only: bool) -> None:
        """Each pack of chunks, and that each base is there."""
        state = self._found.state
        listed = self._listed()
        source = self._source()
        if connectivity_only:
            for pack in state.chunk_packs:
                rows = listed.get(bytes.fromhex(pack.id), [])
                report = PackReport(pack, rows)
                size = self._remote.backend.size(keys.chunk_pack(pack.id))
                if size != pack.size:
                    report.damage = [(None, None, "the pack is missing" if size is None else "has another size")]
                    report.damage += [(name, place.offset, "its pack is missing") for name, place in rows]
                    report.rows = []
                self._take(report)
        else:
            every = check_packs(self._remote, state.chunk_packs, listed, source, decoding=True, progress=self._progress)
            for report in every:
                self._take(report)
        self._bases()

    def _listed(self) -> dict[bytes, list[tuple[bytes, Location]]]:
        found: dict[bytes, dict[tuple[int, bytes], Location]] = defaultdict(dict)
        sizes = {bytes.fromhex(pack.id) for pack in self._found.state.chunk_packs}
        for idx in self._index.all:
            for name, place in idx:
                if place.pack in sizes:
                    found[place.pack][place.offset, name] = place
        return {
            pack_id: [(name, place) for (_, name), place in sorted(rows.items(), key=lambda one: one[0])]
            for pack_id, rows in found.items()
        }

    def _take(self, report: PackReport) -> None:
        found = self._found
        found.packs.append(report)
        found.chunks += len(report.rows)
        found.raw_bytes += report.raw
        for name, offset, message in report.damage:
            where = keys.chunk_pack(report.pack.id) + (f" at {offset}" if offset is not None else "")
            if name is None:
                found.tell(where, message)
            else:
                self._pending.append((f"{where}: chunk {name.hex()}", message, name))

    def _bases(self) -> None:
        """That every sound record's bases are there, sound, at smaller depths."""
        while True:
            depths: dict[bytes, int] = {}
            for report in self._found.packs:
                for name, place in report.rows:
                    depths[name] = min(place.depth, depths.get(name, place.depth))
            lost = False
            for report in self._found.packs:
                kept = []
                for name, place in report.rows:
                    if all(depths.get(base, 255) < place.depth for base in place.bases):
                        kept.append((name, place))
                        continue
                    lost = True
                    where = f"{keys.chunk_pack(report.pack.id)} at {place.offset}: chunk {name.hex()}"
                    self._pending.append((where, "a base that it rests on is not there", name))
                    report.damage.append((name, place.offset, "a base that it rests on is not there"))
                report.rows = kept
            if not lost:
                return

    def files(self) -> None:
        """That all that refs reach is there; and which files what was found touches."""
        found = self._found
        sound = {name: place.raw_size for report in found.packs for name, place in report.rows}
        bad = {name for _, _, name in self._pending}
        source = self._source()
        self._walk("", list(found.state.refs.values()), sound, bad, source)
        if found.lacking or self._told:
            # Only now it matters which ref needs what: each history is followed by itself.
            for ref, tip in sorted(found.state.refs.items()):
                self._walk(ref, [tip], sound, bad, source)
        self._names(found)
        for what, message, name in self._pending:
            found.tell(what, message, list(dict.fromkeys(self._touched.get(name, ()))))
        for name in sorted(found.lacking - bad):
            found.tell(f"chunk {name.hex()}", "is missing", list(dict.fromkeys(self._touched[name])))

    def _names(self, found: RemoteFsck) -> None:
        """That aliases and reviews keep their rules. (Of one of which an object lacks it was told already.)"""
        for ref, tip in sorted(found.state.refs.items()):
            if ref.startswith(STEPPED):
                with contextlib.suppress(MissingObject):
                    status, reason = stepped(self._git.objects, ref, None, tip)
                    if status == "rejected":
                        found.tell(ref, reason)

    def _walk(self, ref: str, tips: list[str], sound: dict[bytes, int], bad: set[bytes], source: RemoteChunks) -> None:
        """Follow refs: one by its name, or (with "") all at once."""
        objects = self._git.objects

        def broken(wanted: Reached, error: MvcError) -> None:
            where = f"{wanted.commit[:10]}:{wanted.path}" if wanted.path else wanted.commit[:10]
            if wanted.id not in self._told:
                self._told.add(wanted.id)
                self._found.tell(f"object {wanted.id}", error.message, [where] if where else [])

        for one in walk_objects(objects, tips, on_error=broken):
            if one.kind != "blob":
                continue
            if not objects.contains(one.id):
                broken(one, IntegrityError("is missing"))
            elif not one.mode or is_file(one.mode):
                try:
                    self._file(ref, one, sound, bad, source)
                except NetworkError:
                    raise
                except MvcError as error:
                    broken(one, error)

    def _file(self, ref: str, one: Reached, sound: dict[bytes, int], bad: set[bytes], source: RemoteChunks) -> None:
        """Hold a file's manifest against the chunks that are there in sound form."""
        data = self._git.objects.blob(one.id)
        if not is_manifest(data):
            return
        for segment in parse(data).segments:
            label = f"{one.commit[:10]}:{one.path}"
            label += f" (tensor {segment.tensor.name})" if segment.tensor else ""
            rows = [(row.name, row.size) for row in segment.lists]
            with contextlib.suppress(IntegrityError):
                rows += [(row.name, row.size) for row in chunk_refs(source, segment)]
            for name, size in rows:
                if name in sound and sound[name] == size and name not in bad:
                    continue
                if ref:
                    if name not in sound:
                        self._found.lacking_by_ref.setdefault(ref, set()).add(name)
                    continue
                self._touched[name].append(label)
                if name not in sound:
                    self._found.lacking.add(name)
                elif sound[name] != size:
                    self._found.tell(f"chunk {name.hex()}", f"has {sound[name]} bytes, not {size}", [label])

    def unlisted(self) -> None:
        """What stands in the store and in no entry."""
        listed = listed_keys(self._found.state)
        for prefix in ("git/", "idx/", "packs/"):
            for entry in self._remote.backend.list(prefix):
                if entry.key not in listed:
                    self._found.unlisted += 1
                    self._found.unlisted_bytes += entry.size

    def _source(self) -> RemoteChunks:
        return RemoteChunks(self._remote, self._index, open_chunks(replace(self._remote.repo, missing_chunks=None)))
