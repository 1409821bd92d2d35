"""What a purge takes out: the files, the chunks that only they name, and what all refs become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mvc.errors import MvcError, NotFound
from mvc.metadata.model import NOTES
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.refnames import REVIEWS
from mvc.objects.revparse import resolve
from mvc.objects.rewrite import Rewriter
from mvc.ops.caller import Caller
from mvc.ops.notes import moved
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.repo.repository import Repository
from mvc.repo.roots import roots
from mvc.repo.settling import settle
from mvc.sync.remotes import Remote

TEMPORARY = "refs/purge/"
_NOTES = NOTES.removeprefix("refs")


@dataclass(frozen=True, slots=True)
class PurgedFile:
    """A version of a file that goes: a path it stands at, its size, the stored bytes of chunks that only such name."""

    path: str
    id: str
    raw: int
    stored: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A content that stays though its file goes: it stands at another path, too."""

    path: str
    id: str
    other: str


@dataclass(slots=True)
class Plan:
    """What a rewriting comes to."""

    rewriter: Rewriter
    refs: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """What each holds, and what it is to hold; None: it goes."""
    banned: set[bytes] = field(default_factory=set)
    """Chunks that nothing names but what goes."""
    files: list[PurgedFile] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)

    def new_of(self, object_id: str | None) -> str | None:
        """What an id of a reflog or state file becomes."""
        if object_id is None:
            return None
        try:
            return self.rewriter.object(object_id)
        except MvcError:
            return None  # what is not here names nothing that could be kept


def contents(repo: Repository, revisions: Sequence[str]) -> set[str]:
    """The blobs that revisions stand for."""
    objects = repo.objects
    found: set[str] = set()
    for text in revisions:
        object_id = resolve(objects, repo.refs, text)
        kind = objects.kind(objects.peel(object_id))
        if kind == "blob":
            found.add(objects.peel(object_id))
        elif ":" in text:
            found.update(item.id for item in trees.flatten(objects, objects.peel(object_id, "tree")).values())
        else:
            commit = objects.commit(objects.peel(object_id, "commit"))
            before = objects.commit(commit.parents[0]).tree if commit.parents else None
            old = {item.id for item in trees.flatten(objects, before).values()}
            found.update(item.id for item in trees.flatten(objects, commit.tree).values() if item.id not in old)
            if not found:
                raise NotFound(f"{text} brought no content of its own", hint="mvc purge PATH, or REV:PATH")
    return found


def _is_review(ref: str, value: str) -> bool:
    """Also of a remote's, as it was fetched to be looked at. (A branch may be called reviews/x, but not by its id.)"""
    return f"/{REVIEWS.removeprefix('refs/')}" in ref and ref.endswith(f"/{value}")


def make_plan(repo: Repository, batch: ObjectBatch, paths: Sequence[str], blobs: set[str], caller: Caller) -> Plan:
    """Rewrite all that refs and reflogs name, into `batch`, without `paths` and `blobs`; nothing is moved yet."""
    rewriter = Rewriter(repo.objects, batch, paths, blobs)
    plan = Plan(rewriter)
    caller.progress.begin("rewriting", None, "commits")
    try:
        for ref, value in repo.refs.list().items():
            if repo.refs.symbolic(ref) is None:
                new = rewriter.object(value)
                # A review is for the one commit that was looked at, and its ref has its own id.
                plan.refs[ref] = value, (None if _is_review(ref, value) and new != value else new)
        for tip in roots(repo).objects:
            plan.new_of(tip)
        for ref, (old, kept) in plan.refs.items():
            # What was said of a commit goes on being said of it.
            if kept is not None and (ref == NOTES or (ref.startswith(TEMPORARY) and ref.endswith(_NOTES))):
                plan.refs[ref] = old, moved(batch, kept, plan.new_of, caller.who)
    finally:
        caller.progress.end()
    chunks = open_chunks(repo)
    settle(chunks, caller.progress)
    stays: dict[str, str] = {}
    tips = [new for _, new in plan.refs.values() if new is not None]
    tips += [new for new in rewriter.commits.values() if new is not None]
    live: set[bytes] = set()
    for file in chunked_files(batch.reader, _blobs(walk_objects(batch.reader, tips), stays)):
        live.update(chunk_names(chunks, file.manifest))
    left = dict(_sizes(repo))
    gone = {blob: where for blob, where in rewriter.removed.items() if blob not in stays}
    reached = (Reached("blob", blob, min(where), 0, "") for blob, where in sorted(gone.items()) if _is_here(repo, blob))
    known: set[str] = set()
    for file in chunked_files(repo.objects, reached):
        names = set(chunk_names(chunks, file.manifest)) - live
        plan.banned |= names
        known.add(file.id)
        stored = sum(left.pop(name, 0) for name in names)
        plan.files.append(PurgedFile(file.path, file.id, file.manifest.size, stored))
    for blob, where in gone.items():
        if blob not in known and _is_here(repo, blob):
            size = repo.objects.size(blob)
            plan.files.append(PurgedFile(min(where), blob, size, size))
    plan.files.sort(key=lambda file: (-file.raw, file.path, file.id))
    remain = ((min(where), blob) for blob, where in rewriter.removed.items() if blob in stays and _is_here(repo, blob))
    plan.elsewhere += [Elsewhere(path, blob, stays[blob]) for path, blob in sorted(remain)]
    return plan


def _blobs(reached: Iterable[Reached], places: dict[str, str] | None = None) -> Iterable[Reached]:
    """The blobs among them; `places` is told where each stands."""
    for one in reached:
        if one.kind == "blob":
            if places is not None:
                places.setdefault(one.id, one.path)
            yield one


def _is_here(repo: Repository, blob: str) -> bool:
    return repo.objects.contains(blob) and repo.objects.kind(blob) == "blob"


def _sizes(repo: Repository) -> Mapping[bytes, int]:
    return {name: place.stored_size for name, place in open_chunks(repo).records()}


def is_staged(repo: Repository, paths: Sequence[str], blobs: set[str]) -> bool:
    """Whether a stage names something of this: no commit need do."""
    return any(entry.id in blobs or is_under(entry.path, paths) for entry in _stage_entries(repo))


def _stage_entries(repo: Repository) -> Iterable[Reached]:
    return [Reached("blob", blob, path, 0, "") for blob, path in roots(repo).staged.items()]


def is_under(path: str, paths: Sequence[str]) -> bool:
    """Whether it is one of these paths, or below one."""
    return any(path == one or path.startswith(f"{one}/") for one in paths)


def live_here(repo: Repository) -> set[bytes]:
    """The chunks of all that is named here."""
    chunks = open_chunks(replace(repo, missing_chunks=None))
    found = roots(repo)
    staged = [Reached("blob", blob, path, 0, "") for blob, path in found.staged.items()]
    live: set[bytes] = set()
    for file in chunked_files(repo.objects, [*_blobs(walk_objects(repo.objects, found.objects)), *staged]):
        live.update(chunk_names(chunks, file.manifest, lambda _name: True))
    return live


def live_there(repo: Repository, remote: Remote) -> set[bytes]:
    """The chunks of all that the remote's refs name; all of that must have been fetched."""
    live: set[bytes] = set()
    chunks = open_chunks(repo)
    for file in chunked_files(repo.objects, _blobs(walk_objects(repo.objects, remote.state().refs.values()))):
        live.update(chunk_names(chunks, file.manifest))
    return live
