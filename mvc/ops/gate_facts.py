"""What a gate may ask of a commit: metrics, params, tags, and what `add` recorded of the weights. Reads no weights."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from math import prod
from typing import Any

from mvc.codecs.dtypes import KINDS
from mvc.metadata.model import CommitMetadata
from mvc.objects import trees
from mvc.objects.manifest import Manifest
from mvc.objects.model import TreeItem
from mvc.ops.file_diff import stored_manifest, version
from mvc.ops.file_versions import FileDiff, Version
from mvc.ops.known import Known
from mvc.ops.tensor_changes import TensorStatus
from mvc.ops.weights_diff import weights_diff
from mvc.repo.readable import Readable

GROUPS = ("metrics", "params", "tags")
WEIGHTS = {
    "size": "bytes of all files",
    "files": "how many files",
    "tensors.count": "how many tensors",
    "tensors.parameters": "numbers in all tensors",
    "tensors.bytes": "bytes of all tensors",
    "tensors.nan": "values that are NaN",
    "tensors.inf": "values that are infinite",
    "tensors.dtype": "the dtypes",
    "tensors.changed": "tensors that differ from the base: values, dtype or shape",
    "tensors.added": "tensors that the base has not",
    "tensors.removed": "tensors that the base alone has",
}
"""What may be asked of the weights."""

AGAINST = ("tensors.changed", "tensors.added", "tensors.removed")
"""Those that need a base."""

_CHANGED = (TensorStatus.CHANGED, TensorStatus.RECAST, TensorStatus.RESHAPED)
_FEW = 3


class Absent(Exception):
    """What was asked for is not there, or not known: `why`, for people, and names that were perhaps meant."""

    def __init__(self, why: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.why, self.near = why, near


@dataclass(frozen=True, slots=True)
class Dtypes:
    """The dtypes of a model's tensors, with how many tensors have each."""

    counts: Mapping[str, int]

    def __str__(self) -> str:
        return ", ".join(sorted(self.counts))


@dataclass(slots=True)
class _File:
    """A file of the commit; `manifest` is None for one that is no model."""

    version: Version
    manifest: Manifest | None = None
    read: bool = False


@dataclass(slots=True)
class _Weights:
    """Sums over the tensors of some files."""

    count: int = 0
    parameters: int = 0
    bytes: int = 0
    nan: int = 0
    inf: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)
    uncounted: Counter[str] = field(default_factory=Counter)
    """Tensors in which nobody counted NaN, by dtype."""


class Facts:
    """All that may be asked of one commit. Manifests are read when the first question needs them."""

    def __init__(self, repo: Readable, commit_id: str, *, known: Known | None = None) -> None:
        self._repo = repo
        self.commit = repo.objects.commit(commit_id)
        self.id = commit_id
        self._known = known or Known(repo)
        self._compared: tuple[str, tuple[FileDiff, ...]] | None = None

    @cached_property
    def metadata(self) -> CommitMetadata:
        """Params, metrics, tags, with what was said of the commit later."""
        return self._known.read(self.id)

    def value(self, name: str, scope: str | None, base: Facts | None = None) -> Any:
        """What `name`, of the file `scope`, is; `base` is what AGAINST compares with. Raises Absent."""
        if name in WEIGHTS:
            return self._weight(name, scope, base)
        group, _, rest = name.partition(".")
        if group in GROUPS and rest:
            return self._recorded(group, rest, scope)
        return self._recorded("metrics", name, scope)

    # ---- what the commit says

    def _recorded(self, group: str, name: str, scope: str | None) -> Any:
        values: Mapping[str, Any] = getattr(self.metadata, group)
        wanted = name if scope is None else f"{name}@{scope}"
        if wanted in values:
            return values[wanted]
        kind = {"metrics": "metric", "params": "param", "tags": "tag"}[group]
        if any(one.startswith(wanted + ".") for one in values):
            raise Absent(f"'{wanted}' is a group of {group}, not one {kind}", self._near(group, name, wanted, values))
        raise Absent(f"there is no {kind} '{wanted}'", self._near(group, name, wanted, values))

    def _near(self, group: str, name: str, wanted: str, values: Mapping[str, Any]) -> tuple[str, ...]:
        within = [one for one in values if one.startswith((wanted + ".", name + "@"))]
        same = [one for one in values if one.partition("@")[0].rpartition(".")[2] == name.rpartition(".")[2]]
        near = [*within, *same, *difflib.get_close_matches(wanted, list(values), _FEW, 0.5)]
        prefix = "" if group == "metrics" else f"{group}."
        others = [f"{other}.{name}" for other in GROUPS if other != group and wanted in getattr(self.metadata, other)]
        if group == "metrics":
            others += difflib.get_close_matches(wanted, list(WEIGHTS), _FEW, 0.7)
        return tuple(dict.fromkeys([*others, *(prefix + one for one in near)]))[:_FEW]

    # ---- what its files are

    @cached_property
    def _files(self) -> dict[str, _File]:
        items = trees.flatten(self._repo.objects, self.commit.tree)
        return {path: self._file(item) for path, item in items.items()}

    def _file(self, item: TreeItem) -> _File:
        return _File(version(self._repo, item))

    def _chosen(self, scope: str | None) -> dict[str, _File]:
        if scope is None:
            return self._files
        found = {path: one for path, one in self._files.items() if fits(path, scope)}
        if not found:
            alike = [path for path in self._files if scope.lower() in path.lower()]
            near = dict.fromkeys([*alike, *difflib.get_close_matches(scope, list(self._files), _FEW, 0.5)])
            raise Absent(f"there is no file '{scope}'", tuple(near)[:_FEW])
        return found

    def _manifests(self, scope: str | None) -> Iterable[Manifest]:
        for path, one in self._chosen(scope).items():
            if not one.read:
                one.manifest, one.read = stored_manifest(self._repo, path, one.version), True
            if one.manifest is not None:
                yield one.manifest

    def _weight(self, name: str, scope: str | None, base: Facts | None) -> Any:
        if name == "size":
            return sum(one.version.size for one in self._chosen(scope).values())
        if name == "files":
            return len(self._chosen(scope))
        if name in AGAINST:
            return self._against(name, scope, base)
        found = _sums(self._manifests(scope))
        if not found.count:
            raise Absent(f"there are no tensors{f' in {scope!r}' if scope else ''}")
        if name in ("tensors.nan", "tensors.inf") and found.uncounted:
            kinds = ", ".join(sorted(found.uncounted))
            raise Absent(f"in {found.uncounted.total():,} tensors nobody counted them ({kinds})")
        if name == "tensors.dtype":
            return Dtypes(dict(found.dtypes))
        return getattr(found, name.removeprefix("tensors."))

    def _against(self, name: str, scope: str | None, base: Facts | None) -> int:
        if base is None:
            raise Absent("there is no base to compare with")
        diffs = self._diff(base)
        if scope is not None:
            self._chosen(scope)
            diffs = tuple(one for one in diffs if fits(one.path, scope))
        wanted = {
            "tensors.changed": _CHANGED,
            "tensors.added": (TensorStatus.ADDED,),
            "tensors.removed": (TensorStatus.REMOVED,),
        }[name]
        return sum(one.tensors.count(status) for one in diffs if one.tensors is not None for status in wanted)

    def _diff(self, base: Facts) -> tuple[FileDiff, ...]:
        if self._compared is None or self._compared[0] != base.id:
            self._compared = (base.id, weights_diff(self._repo, base.commit.tree, self.commit.tree))
        return self._compared[1]


def fits(path: str, scope: str) -> bool:
    """Whether a file is the one meant: by its path, a folder above it, or a pattern with `*`."""
    return path == scope or path.startswith(scope.rstrip("/") + "/") or fnmatchcase(path, scope)


def _sums(manifests: Iterable[Manifest]) -> _Weights:
    found = _Weights()
    for manifest in manifests:
        for segment in manifest.segments:
            tensor = segment.tensor
            if tensor is None:
                continue
            found.count += 1
            found.parameters += prod(tensor.shape)
            found.bytes += segment.length
            found.dtypes[tensor.dtype] += 1
            kind = KINDS.get(tensor.dtype)
            if segment.nan is not None:
                found.nan, found.inf = found.nan + segment.nan, found.inf + (segment.inf or 0)
            elif segment.length and (kind is None or kind.exponent is not None):
                found.uncounted[tensor.dtype] += 1
    return found
