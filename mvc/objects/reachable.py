"""Everything that a set of tips reaches: for gc, fsck and transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from mvc.objects.model import Kind
from mvc.objects.reader import ObjectReader


class Reached(NamedTuple):
    """An object, each once. `path` is the first path it was found at (blobs and trees), `mode` a blob's mode there,
    `commit` the commit through which it was found first ("" below a bare tree or tag)."""

    kind: Kind
    id: str
    path: str
    mode: int
    commit: str


def walk_objects(
    objects: ObjectReader,
    tips: Iterable[str],
    *,
    seen: set[str] | None = None,
    on_error: Callable[[str, Exception], None] | None = None,
) -> Iterator[Reached]:
    """Every object that `tips` (any kind) reach. `seen` holds ids that are known, and collects those found.

    Blobs are not read. Without `on_error`, a missing or damaged object raises; with it, the walk goes on.
    """
    raise NotImplementedError
