"""What a commit says of itself, as values. The file form is in docs/format/metadata.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Value = None | bool | int | float | str | list[Any]
"""A leaf: a scalar, or a list (whose items may be lists and mappings of the same kinds).
A mapping is a leaf only when it is empty or inside a list."""

Flat = Mapping[str, Any]
"""Dotted names to leaves: {"optimizer.lr": 3e-05}. In the file the groups are nested."""


_NONE: Flat = MappingProxyType({})


class Dataset(NamedTuple):
    """Data that a commit's model was made from.

    `location` is a path (relative to the repository, "/"-separated, where it lies inside) or a
    URI without credentials; `digest` is "algorithm:hex", or what the user gave.
    """

    name: str
    location: str
    digest: str | None = None
    size: int | None = None
    """Bytes, of a local file or of all files of a local folder."""
    files: int | None = None
    """Number of files of a local folder."""


class CommitMetadata(NamedTuple):
    """The four files of `.mvcmeta/`. False where they say nothing. (NamedTuples, as `log` has to start quickly.)"""

    params: Flat = _NONE
    metrics: Flat = _NONE
    """Numbers as a rule. A name may be scoped to a path: "accuracy@model.safetensors"."""
    datasets: tuple[Dataset, ...] = ()
    environment: Flat = _NONE

    def __bool__(self) -> bool:
        return bool(self.params or self.metrics or self.datasets or self.environment)


NOTHING = CommitMetadata()
