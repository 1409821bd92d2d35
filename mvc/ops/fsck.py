"""`mvc fsck`: every object, pack, idx, ref and stage; and which files and commits an error touches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from mvc.errors import MissingObject, MvcError
from mvc.objects import fsck as objects_fsck
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.reachable import Reached
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.roots import roots, worktrees
from mvc.repo.stage import Stage
from mvc.repo.tensors import chunk_refs
from mvc.store.chunkstore import ChunkStore
from mvc.store.report import Damage
from mvc.sync.promised import Promises

_NAMED = 5

MISSING = "is missing"
"""What a finding says of a chunk that is nowhere."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong. `what` names it (a pack, object, ref, chunk); `touches` the files and commits it spoils."""

    what: str
    message: str
    touches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FsckResult:
    """What was found and how much was checked."""

    findings: tuple[Finding, ...]
    objects: int
    chunks: int
    raw_bytes: int
    dangling: tuple[str, ...]
    promised: Mapping[str, int] = field(default_factory=dict)
    """Chunks that history names and which are not here, but which a remote was seen to hold: its name -> how many."""


@dataclass(slots=True)
class _Uses:
    """Which file versions need which chunk: file numbers by chunk name, and what each number stands for."""

    files: list[str] = field(default_factory=list)
    by_chunk: dict[bytes, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    findings: list[Finding] = field(default_factory=list)
    promised: dict[bytes, str] = field(default_factory=dict)

    def touched(self, name: bytes | None) -> tuple[str, ...]:
        if name is None:
            return ()
        found = [
            self.files[number] + (f" (tensor {tensor})" if tensor else "")
            for number, tensor in self.by_chunk.get(name, [])
        ]
        return tuple(found[:_NAMED]) + ((f"and {len(found) - _NAMED} more",) if len(found) > _NAMED else ())


def fsck(repo: Repository, *, connectivity_only: bool = False, progress: Progress = SILENT) -> FsckResult:
    """Check the whole repository. `connectivity_only` leaves out decoding every chunk.

    Nothing is asked of a remote. Never raises for damage: all of it is in the result.
    """
    repo = replace(repo, missing_chunks=None)
    uses = _Uses()
    extra = _stages(repo, uses)
    chunks = open_chunks(repo)
    promises = Promises(repo)
    received = [] if connectivity_only else _settled(chunks, progress)
    report = objects_fsck.check(
        repo.objects,
        repo.refs,
        extra_tips=extra,
        on_blob=lambda blob: _look(repo, chunks, promises, blob, uses),
        progress=progress,
    )
    findings = [Finding(p.what, p.message, _where(p.path, p.commit)) for p in report.problems]
    damage = received + chunks.verify(progress, decode=not connectivity_only)
    findings += uses.findings
    findings += [_damaged(one, uses) for one in damage]
    figures = chunks.statistics()
    promised = dict(sorted(Counter(uses.promised.values()).items()))
    return FsckResult(tuple(findings), report.objects, figures.chunks, figures.raw_bytes, report.dangling, promised)


def _settled(chunks: ChunkStore, progress: Progress) -> list[Damage]:
    """Check what came from remotes and was not looked at yet; what is wrong with it. It goes."""
    try:
        return chunks.settle(progress)
    except OSError as error:
        return [Damage(chunks.paths.chunks, f"what was received could not be checked: {error.strerror}")]


def rebuild_idx(repo: Repository, *, progress: Progress = SILENT) -> tuple[Finding, ...]:
    """Write the idx of all packs anew, from the packs; returns what is damaged and was left out."""
    return tuple(_damaged(one, _Uses()) for one in open_chunks(repo).rebuild_idx(progress))


def _stages(repo: Repository, uses: _Uses) -> tuple[str, ...]:
    """What the stages and unfinished operations need; a stage that cannot be read is a finding."""
    try:
        found = roots(repo)
    except MvcError as error:
        for place in worktrees(repo):
            try:
                Stage.load(place.stage_path)
            except MvcError as broken:
                uses.findings.append(Finding("stage", broken.message))
        if not uses.findings:
            uses.findings.append(Finding("refs", error.message))
        return ()
    return (*found.objects, *found.staged)


def _look(repo: Repository, chunks: ChunkStore, promises: Promises, blob: Reached, uses: _Uses) -> None:
    """Hold a file's manifest against the chunks that are there."""
    if blob.mode and not is_file(blob.mode):
        return
    where = _where(blob.path, blob.commit) or (f"staged blob {blob.id}",)
    try:
        data = repo.objects.blob(blob.id)
        if not is_manifest(data):
            return
        manifest = parse(data)
    except MvcError as error:
        uses.findings.append(Finding(blob.id, error.message, where))
        return
    uses.files.append(where[0])
    number = len(uses.files) - 1
    try:
        for name, size, tensor in _needed(chunks, manifest, promises):
            uses.by_chunk[name].append((number, tensor))
            found = chunks.find_own(name)
            if found is None and chunks.received is not None:
                found = chunks.received.find(name)
            holder = promises.holder(name) if found is None else None
            if holder is not None:
                uses.promised[name] = holder
            elif found is None and chunks.shared is not None and chunks.shared.read(name) is not None:
                message = "is in the shared store alone, which is a cache: mvc gc takes it into the repository"
                uses.findings.append(Finding(f"chunk {name.hex()}", message, where))
            elif found is None:
                uses.findings.append(
                    Finding(f"chunk {name.hex()}", MISSING, (where[0] + (f" (tensor {tensor})" if tensor else ""),))
                )
            elif found.raw_size != size:
                uses.findings.append(Finding(f"chunk {name.hex()}", f"has {found.raw_size} bytes, not {size}", where))
    except MvcError as error:
        uses.findings.append(Finding(blob.id, error.message, where))


def _needed(chunks: ChunkStore, manifest: Manifest, promises: Promises) -> Iterator[tuple[bytes, int, str]]:
    """(chunk, its size, its tensor's name or "") for all chunks of a file, lists too. What a list names that is
    itself only promised cannot be told."""
    for segment in manifest.segments:
        tensor = segment.tensor.name if segment.tensor else ""
        for row in segment.lists:
            yield row.name, row.size, tensor
        if any(not chunks.has(row.name) and promises.holder(row.name) is not None for row in segment.lists):
            continue
        try:
            refs = chunk_refs(chunks, segment)
        except MissingObject:
            if not all(_is_promised(chunks, promises, row.name) for row in segment.lists):
                raise
            continue  # one is spoilt in the shared store
        for ref in refs:
            yield ref.name, ref.size, tensor


def _is_promised(chunks: ChunkStore, promises: Promises, name: bytes) -> bool:
    return chunks.find_own(name) is not None or promises.holder(name) is not None


def _damaged(damage: Damage, uses: _Uses) -> Finding:
    at = f" at byte {damage.offset}" if damage.offset is not None else ""
    chunk = f": chunk {damage.name.hex()}" if damage.name is not None else ""
    return Finding(f"{damage.path.name}{at}{chunk}", damage.message, uses.touched(damage.name))


def _where(path: str, commit: str) -> tuple[str, ...]:
    if not path:
        return (commit[:10],) if commit else ()
    return (f"{commit[:10]}:{path}" if commit else path,)
