"""The history of notes, `refs/notes/mvc`: lines are added to it, and two of it become one by the union of their lines.

All is compare-and-swap on the ref: whoever comes second builds upon what the first has written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mvc.errors import Locked, RefChanged, Refused
from mvc.metadata.annotations import Annotations, note_path, union
from mvc.metadata.model import NOTES
from mvc.metadata.values import MAX_BYTES
from mvc.objects import trees
from mvc.objects.ancestry import is_ancestor
from mvc.objects.batch import ObjectBatch
from mvc.objects.model import FILE, Signature, TreeItem
from mvc.objects.refs import RefChange
from mvc.repo.repository import Repository

_Make = Callable[[ObjectBatch, str | None], str]
"""From the notes' newest commit to one upon it."""

_ATTEMPTS = 200
_WAIT = 30.0


def append(repo: Repository, lines: Mapping[str, bytes], who: Signature, message: str) -> str:
    """Add a line (without line feed) to the note of each object; returns the notes' new commit.

    Raises RefChanged if others never cease to do the same.
    """
    return _moved(repo, lambda batch, tip: _appended(batch, tip, lines, who, message), who, "annotate")


def join(repo: Repository, theirs: str, who: Signature) -> str:
    """Bring the notes of another repository, of which all objects are here, into ours; returns our newest commit."""
    return _moved(repo, lambda batch, tip: _joined(batch, tip, theirs, who), who, "fetch")


def moved(batch: ObjectBatch, tip: str, new_of: Callable[[str], str | None], who: Signature) -> str:
    """The notes at `tip`, each with the object that it is about under its new id; `tip` where all are as they were."""
    base = batch.reader.peel(tip, "tree")
    notes = Annotations(batch.reader, base)
    changes: dict[str, TreeItem | None] = {}
    blobs: dict[str, list[str]] = {}
    for object_id in notes:
        new = new_of(object_id)
        if new is not None and new != object_id:
            places = notes.places(object_id)
            changes.update({path: None for path, _ in places})
            blobs.setdefault(new, notes.blobs(new)).extend(blob for _, blob in places)
    for new, those in blobs.items():
        _put(batch, changes, new, notes.places(new), union(batch.reader.blob(blob) for blob in those))
    if not changes:
        return tip
    return batch.commit(trees.update(batch, base, changes), [tip], who, who, "notes: moved with their commits")


def contains(repo: Repository, commit: str) -> bool:
    """Whether our notes hold all that the notes at `commit` (which may not be here) hold."""
    ours = repo.refs.read(NOTES)
    if ours is None or not repo.objects.contains(commit):
        return False
    return ours == commit or is_ancestor(repo.objects, commit, ours)


def _moved(repo: Repository, make: _Make, who: Signature, why: str) -> str:
    repo.require_writable()
    for attempt in range(_ATTEMPTS):
        tip = repo.refs.read(NOTES)
        with repo.objects.batch() as batch:
            new = make(batch, tip)
            batch.seal()
        if new == tip:
            return new
        try:
            change = RefChange(NOTES, tip, new)
            repo.refs.update([change], message=why, author=who, head_follows=False, wait=_WAIT)
        except (RefChanged, Locked):
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        return new
    raise AssertionError("the last attempt returns or raises")


def _appended(batch: ObjectBatch, tip: str | None, lines: Mapping[str, bytes], who: Signature, message: str) -> str:
    base = None if tip is None else batch.reader.peel(tip, "tree")
    notes = Annotations(batch.reader, base)
    changes: dict[str, TreeItem | None] = {}
    for object_id, line in lines.items():
        places = notes.places(object_id)
        standing = b"".join(batch.reader.blob(blob) for _, blob in places)
        if standing and not standing.endswith(b"\n"):
            standing += b"\n"
        if len(standing) + len(line) >= MAX_BYTES:
            hint = "a series of figures by step: mvc commit --series"
            raise Refused(f"the note of {object_id[:7]} would be larger than {MAX_BYTES >> 20} MiB", hint=hint)
        _put(batch, changes, object_id, places, standing + line + b"\n")
    return batch.commit(trees.update(batch, base, changes), [tip] if tip else [], who, who, message)


def _joined(batch: ObjectBatch, tip: str | None, theirs: str, who: Signature) -> str:
    objects = batch.reader
    if tip is None or is_ancestor(objects, tip, theirs):
        return theirs
    if is_ancestor(objects, theirs, tip):
        return tip
    base, other = objects.peel(tip, "tree"), objects.peel(theirs, "tree")
    ours, those = Annotations(objects, base), Annotations(objects, other)
    changes: dict[str, TreeItem | None] = {}
    for object_id in dict.fromkeys(change.path.replace("/", "") for change in trees.diff(objects, base, other)):
        places = ours.places(object_id)
        blobs = dict.fromkeys([*(blob for _, blob in places), *those.blobs(object_id)])
        if those.blobs(object_id) and set(blobs) != {blob for _, blob in places}:
            _put(batch, changes, object_id, places, union(objects.blob(blob) for blob in blobs))
    tree = trees.update(batch, base, changes)
    return batch.commit(tree, [tip, theirs], who, who, "notes: merged")


def _put(
    batch: ObjectBatch,
    changes: dict[str, TreeItem | None],
    object_id: str,
    places: list[tuple[str, str]],
    data: bytes,
) -> None:
    """A note where it stands, or at a place of its own; at no second one."""
    path = places[0][0] if places else note_path(object_id)
    changes.update({other: None for other, _ in places[1:]})
    changes[path] = TreeItem(FILE, batch.blob(data))
