"""Which tensors differ between two versions of a model, from their manifests alone: no weight is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from mvc.formats.base import Tensor
from mvc.objects.manifest import Manifest, ManifestSegment


class TensorStatus(Enum):
    """What became of a tensor."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    """The same values, dtype and shape under another name, which the old version did not have."""
    MOVED = "moved"
    """The same values under the same name, from another file: a shard of the same model."""
    RECAST = "recast"
    """Another dtype (and perhaps shape)."""
    RESHAPED = "reshaped"
    """Another shape, the same dtype."""
    CHANGED = "changed"
    """Other values, the same dtype and shape."""


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor that differs. `old` is None if it was added, `new` if it was removed.

    `old_segment` and `new_segment` name its chunks, for whoever wants to compare values. `old_path` is the
    file that it was in, if that is another one.
    """

    status: TensorStatus
    old_segment: ManifestSegment | None
    new_segment: ManifestSegment | None
    old_path: str | None = None

    @property
    def old(self) -> Tensor | None:
        return self.old_segment.tensor if self.old_segment else None

    @property
    def new(self) -> Tensor | None:
        return self.new_segment.tensor if self.new_segment else None

    @property
    def name(self) -> str:
        """Its name now; of a removed one the name that it had."""
        tensor = self.new or self.old
        return tensor.name if tensor else ""

    @property
    def new_nan(self) -> int | None:
        """By how many the count of NaN values grew (negative: shrank); None where they were not counted."""
        before = self.old_segment.nan if self.old_segment else None
        return _grown(before, self.new_segment.nan if self.new_segment else None)

    @property
    def new_inf(self) -> int | None:
        """The same for infinite values."""
        before = self.old_segment.inf if self.old_segment else None
        return _grown(before, self.new_segment.inf if self.new_segment else None)


@dataclass(frozen=True, slots=True)
class TensorChanges:
    """All tensors that differ, in the order of the new file, removed ones last; and how many are the same."""

    changes: tuple[TensorChange, ...] = ()
    unchanged: int = 0
    unchanged_bytes: int = 0
    other_bytes_differ: bool = False
    """Bytes outside of tensors differ: the header, or what no tensor covers."""
    moved_away: int = 0
    """Tensors that were here and are in another file now. That file's changes tell of them."""

    def count(self, status: TensorStatus) -> int:
        return sum(change.status is status for change in self.changes)


@dataclass(slots=True)
class _Sides:
    """The tensors of both versions by name."""

    old: dict[str, ManifestSegment]
    new: dict[str, ManifestSegment]
    old_by_content: dict[tuple[object, ...], list[str]] = field(default_factory=dict)


def tensor_changes(old: Manifest, new: Manifest) -> TensorChanges:
    """Compare two manifests. Tensors are equal when their chunks' names are, which holds only for
    manifests of one repository, cut by the same rules; otherwise an equal tensor may count as changed."""
    sides = _Sides(_tensors(old), _tensors(new))
    for name, segment in sides.old.items():
        if name not in sides.new:
            sides.old_by_content.setdefault(_identity(segment), []).append(name)
    changes: list[TensorChange] = []
    unchanged = unchanged_bytes = 0
    gone = dict.fromkeys(name for name in sides.old if name not in sides.new)
    for name, segment in sides.new.items():
        before = sides.old.get(name)
        if before is None:
            change = _added(sides, segment, gone)
        elif (status := _status(before, segment)) is None:
            unchanged, unchanged_bytes = unchanged + 1, unchanged_bytes + segment.length
            continue
        else:
            change = TensorChange(status, before, segment)
        changes.append(change)
    changes.extend(TensorChange(TensorStatus.REMOVED, sides.old[name], None) for name in gone)
    differ = list(_other_bytes(old)) != list(_other_bytes(new))
    return TensorChanges(tuple(changes), unchanged, unchanged_bytes, differ)


def only_side(manifest: Manifest, status: TensorStatus) -> TensorChanges:
    """What a file that was added (or removed) as a whole says: all its tensors were."""
    added = status is TensorStatus.ADDED
    changes = (
        TensorChange(status, None if added else segment, segment if added else None)
        for segment in _tensors(manifest).values()
    )
    return TensorChanges(tuple(changes))


def moved(old: TensorChange, new: TensorChange, old_path: str) -> TensorChange:
    """What became of a tensor that was removed from the file `old_path` and added to another."""
    before, after = old.old_segment, new.new_segment
    assert before is not None and after is not None  # a removed and an added one
    return TensorChange(_status(before, after) or TensorStatus.MOVED, before, after, old_path)


def _added(sides: _Sides, segment: ManifestSegment, gone: dict[str, None]) -> TensorChange:
    """An added tensor, or a renamed one if one that is gone had the same values."""
    former = sides.old_by_content.get(_identity(segment)) if segment.length else None
    if not former:
        return TensorChange(TensorStatus.ADDED, None, segment)
    name = former.pop(0)
    del gone[name]
    return TensorChange(TensorStatus.RENAMED, sides.old[name], segment)


def _status(old: ManifestSegment, new: ManifestSegment) -> TensorStatus | None:
    assert old.tensor is not None and new.tensor is not None  # only tensors get here
    if old.tensor.dtype != new.tensor.dtype:
        return TensorStatus.RECAST
    if old.tensor.shape != new.tensor.shape:
        return TensorStatus.RESHAPED
    return None if _bytes(old) == _bytes(new) else TensorStatus.CHANGED


def _tensors(manifest: Manifest) -> dict[str, ManifestSegment]:
    return {segment.tensor.name: segment for segment in manifest.segments if segment.tensor is not None}


def _bytes(segment: ManifestSegment) -> tuple[object, ...]:
    """What the bytes of a segment are known by. Lists are cut at fixed multiples: equal bytes, equal lists."""
    return (segment.length, tuple(ref.name for ref in segment.chunks), tuple(ref.name for ref in segment.lists))


def _identity(segment: ManifestSegment) -> tuple[object, ...]:
    assert segment.tensor is not None  # only tensors get here
    return (segment.tensor.dtype, segment.tensor.shape, *_bytes(segment))


def _other_bytes(manifest: Manifest) -> Iterator[tuple[object, ...]]:
    return (_bytes(segment) for segment in manifest.segments if segment.tensor is None)


def _grown(old: int | None, new: int | None) -> int | None:
    return None if new is None else new - (old or 0)
