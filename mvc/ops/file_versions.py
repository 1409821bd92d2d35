"""What is told of a file that differs between two states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mvc.objects.model import is_link
from mvc.ops.tensor_changes import TensorChanges


class Status(Enum):
    """What became of a file; the value is the letter of `--name-status`."""

    ADDED = "A"
    DELETED = "D"
    MODIFIED = "M"
    RENAMED = "R"
    TYPE = "T"
    """A file became a link, or the other way round."""
    UNMERGED = "U"


@dataclass(frozen=True, slots=True)
class Version:
    """A file on one side: its mode, size in bytes, and the id of its blob (None: it is not stored yet)."""

    mode: int
    size: int
    id: str | None
    chunked: bool


@dataclass(frozen=True, slots=True)
class FileDiff:
    """A file that differs. `old_path` is where a renamed one was; `tensors` for models on both sides."""

    status: Status
    path: str
    old: Version | None
    new: Version | None
    old_path: str | None = None
    tensors: TensorChanges | None = None


def status_of(old: Version | None, new: Version | None) -> Status:
    if old is None:
        return Status.ADDED
    if new is None:
        return Status.DELETED
    return Status.TYPE if is_link(old.mode) != is_link(new.mode) else Status.MODIFIED


def in_order(files: Iterable[FileDiff]) -> tuple[FileDiff, ...]:
    return tuple(sorted(files, key=lambda one: one.path.encode("utf-8", "surrogateescape")))
