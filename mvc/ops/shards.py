"""Tensors that went from one file of a model to another, as when it is cut into other shards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mvc.objects.manifest import Manifest
from mvc.objects.model import is_link
from mvc.ops.file_versions import FileDiff, Status, Version
from mvc.ops.tensor_changes import TensorChange, TensorChanges, TensorStatus, moved, only_side

ManifestOf = Callable[[str, Version], Manifest | None]
"""The manifest of a file if it is a model, by its path and version."""

_NUMBER = re.compile(r"-\d+-of-\d+|(?<=^__)\d+_\d+(?=\.distcp$)")
"""What tells the shards of a model apart: "model-00001-of-00002.safetensors", "__0_1.distcp"."""


@dataclass(slots=True)
class _Part:
    """A file of a model on its way."""

    diff: FileDiff
    tensors: TensorChanges
    gone: dict[str, TensorChange]
    """Those that were removed, by name."""
    found: dict[str, TensorChange] = field(default_factory=dict)
    """Those that were added, of which another file tells where they were."""


def across_shards(files: Sequence[FileDiff], manifest_of: ManifestOf) -> tuple[FileDiff, ...]:
    """Match the tensors that one file of a model lost with those that another gained under the same name.

    Files are one model if their names differ in the shard's number alone (or one has none: the model in one
    piece). Of files that are in both versions it is enough that they lie in one folder.
    """
    done = list(files)
    models: dict[str, list[int]] = {}
    folders: dict[str, list[int]] = {}
    for number, one in enumerate(files):
        folder, _, name = one.path.rpartition("/")
        if _is_file(one):
            models.setdefault(f"{folder}/{_NUMBER.sub('', name)}", []).append(number)
        if one.tensors is not None:
            folders.setdefault(folder, []).append(number)
    for numbers in (*models.values(), *folders.values()):
        if len(numbers) > 1:
            for number, one in zip(numbers, _matched([done[n] for n in numbers], manifest_of), strict=True):
                done[number] = one
    return tuple(done)


def _is_file(one: FileDiff) -> bool:
    sides = [side for side in (one.old, one.new) if side is not None]
    whole = one.status in (Status.ADDED, Status.DELETED)
    return (whole or one.tensors is not None) and not any(is_link(side.mode) for side in sides)


def _matched(files: Sequence[FileDiff], manifest_of: ManifestOf) -> Iterable[FileDiff]:
    """The same files, their changes told anew where a tensor went from one to another."""
    if not (any(map(_may_lose, files)) and any(map(_may_gain, files))):
        return files
    parts = [part for one in files if (part := _part(one, manifest_of)) is not None]
    for part in parts:
        for change in part.tensors.changes:
            if change.status is not TensorStatus.ADDED:
                continue
            origins = [other for other in parts if other is not part and change.name in other.gone]
            if origins:
                told = [moved(origin.gone[change.name], change, origin.diff.path) for origin in origins]
                # Of several with that name the one with the same values.
                best = next((n for n, one in enumerate(told) if one.status is TensorStatus.MOVED), 0)
                part.found[change.name] = told[best]
                del origins[best].gone[change.name]
    by_path = {part.diff.path: _told(part) for part in parts}
    return [by_path.get(one.path, one) for one in files]


def _may_lose(one: FileDiff) -> bool:
    return one.new is None or (one.tensors is not None and one.tensors.count(TensorStatus.REMOVED) > 0)


def _may_gain(one: FileDiff) -> bool:
    return one.old is None or (one.tensors is not None and one.tensors.count(TensorStatus.ADDED) > 0)


def _part(one: FileDiff, manifest_of: ManifestOf) -> _Part | None:
    tensors = one.tensors
    if tensors is None:
        side = one.new or one.old
        manifest = manifest_of(one.path, side) if side is not None else None
        if manifest is None:
            return None
        tensors = only_side(manifest, TensorStatus.REMOVED if one.new is None else TensorStatus.ADDED)
    gone = {change.name: change for change in tensors.changes if change.status is TensorStatus.REMOVED}
    return _Part(one, tensors, gone)


def _told(part: _Part) -> FileDiff:
    """A file that neither gave nor took a tensor is as it was."""
    rest = []
    away = 0
    for change in part.tensors.changes:
        if change.status is TensorStatus.REMOVED and change.name not in part.gone:
            away += 1
        elif change.status is TensorStatus.ADDED:
            rest.append(part.found.get(change.name, change))
        else:
            rest.append(change)
    if not (away or part.found):
        return part.diff
    tensors = replace(part.tensors, changes=tuple(rest), moved_away=part.tensors.moved_away + away)
    return replace(part.diff, tensors=tensors)
