"""What differs between the metadata of two commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mvc.metadata.model import Base, CommitMetadata, Dataset


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A name whose value differs. `added` and `removed` tell a missing value from a null."""

    name: str
    old: Any
    new: Any
    added: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class MetadataDiff:
    """Changes by name, sorted. A dataset's old and new value is a Dataset."""

    params: tuple[ValueChange, ...]
    metrics: tuple[ValueChange, ...]
    datasets: tuple[ValueChange, ...]
    environment: tuple[ValueChange, ...]
    tags: tuple[ValueChange, ...] = ()
    bases: tuple[ValueChange, ...] = ()
    """Old and new value are Bases, by the file that was made from them."""
    tables: tuple[ValueChange, ...] = ()
    """Old and new value are Tables."""

    def __bool__(self) -> bool:
        values = self.params or self.metrics or self.datasets or self.environment or self.tags
        return bool(values or self.bases or self.tables)


_OF_THE_MOMENT = ("command",)
"""Parts of the environment that say how a commit was made, not in what."""


def compare(old: CommitMetadata, new: CommitMetadata) -> MetadataDiff:
    """What changed from `old` to `new`. NaN equals NaN; 1 and 1.0 and true differ."""
    return MetadataDiff(
        params=_changes(old.params, new.params),
        metrics=_changes(old.metrics, new.metrics),
        datasets=_changes(_by_name(old.datasets), _by_name(new.datasets)),
        environment=_changes(
            {name: value for name, value in old.environment.items() if name not in _OF_THE_MOMENT},
            {name: value for name, value in new.environment.items() if name not in _OF_THE_MOMENT},
        ),
        tags=_changes(old.tags, new.tags),
        bases=_changes(_by_file(old.bases), _by_file(new.bases)),
        tables=_changes(old.tables, new.tables),
    )


def _by_file(bases: tuple[Base, ...]) -> dict[str, Base]:
    """The bases that somebody named, by the file made from them, else by number. Those found differ in any series."""
    return {base.of or f"base {number}": base for number, base in enumerate(bases, 1) if not base.found}


def _by_name(datasets: tuple[Dataset, ...]) -> dict[str, Dataset]:
    return {dataset.name: dataset for dataset in datasets}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[ValueChange, ...]:
    changes = []
    for name in sorted({*old, *new}):
        # repr tells NaN from a number and 1 from true, and finds NaN equal to itself, in lists too.
        if name not in old or name not in new or repr(old[name]) != repr(new[name]):
            changes.append(ValueChange(name, old.get(name), new.get(name), name not in old, name not in new))
    return tuple(changes)
