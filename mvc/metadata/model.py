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


NOTES = "refs/notes/mvc"
"""The ref of what was said of commits later (`mvc.metadata.annotations`)."""

CACHE = "metadata-cache"
"""The file of `.mvc` in which params and metrics are remembered (`mvc.metadata.remembered`)."""

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
    split: str | None = None
    """Which part of it: "train", "validation"."""
    licence: str | None = None
    """As SPDX names it, where it is known: "CC-BY-4.0"."""


class Base(NamedTuple):
    """What a model was fine-tuned from: a commit of this repository, or a URI (with `commit`, an mvc repository's)."""

    commit: str | None = None
    """40 hex digits."""
    location: str | None = None
    """A URI without credentials; None for this repository."""
    path: str | None = None
    """Of the base's file, where one is known."""
    of: str | None = None
    """The file of this commit that was made from it; None for the commit as a whole."""
    found: bool = False
    """Whether mvc saw it in the tensors; else somebody said so."""


class Table(NamedTuple):
    """A figure of rows and columns, such as a confusion matrix."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """Scalars; each row as long as `columns`."""


class Point(NamedTuple):
    """What a series says of one step."""

    step: int
    values: Mapping[str, Any]
    """Metric name to number."""


_NO_TABLES: Mapping[str, Table] = MappingProxyType({})


class CommitMetadata(NamedTuple):
    """The files of `.mvcmeta/`. False where they say nothing. (NamedTuples, as `log` has to start quickly.)"""

    params: Flat = _NONE
    metrics: Flat = _NONE
    """Numbers as a rule. A name may be scoped to a path: "accuracy@model.safetensors"."""
    datasets: tuple[Dataset, ...] = ()
    environment: Flat = _NONE
    tags: Flat = _NONE
    """Free words: {"task": "ner"}."""
    links: Flat = _NONE
    """The run elsewhere: {"wandb.url": "https://...", "slurm.job": "4711"}."""
    bases: tuple[Base, ...] = ()
    tables: Mapping[str, Table] = _NO_TABLES
    series: tuple[Point, ...] = ()
    """Metrics by step, in its order. Read only when asked for: it may be long."""

    def __bool__(self) -> bool:
        return any(self)


NOTHING = CommitMetadata()
