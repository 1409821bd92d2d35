"""The objects of a repository: Git's loose objects and packs, as `git` itself reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mvc.objects.batch import ObjectBatch
from mvc.objects.model import Kind
from mvc.objects.reader import ObjectReader


class Objects(ObjectReader):
    """All objects below one `objects/` folder (and its `info/alternates`).

    Safe to use from several threads. A miss reloads the list of packs once, so that what
    another process packed meanwhile is found.
    """

    def __init__(self, objects_dir: Path, *, tmp_dir: Path | None = None, mapped: bool = True) -> None:
        """`tmp_dir` (on the same file system) takes what is being written: default `<objects_dir>/../tmp`.

        `mapped=False` reads pack indexes whole instead of mapping them (network file systems).
        """
        raise NotImplementedError

    def raw(self, object_id: str) -> tuple[Kind, bytes]: raise NotImplementedError
    def kind(self, object_id: str) -> Kind: raise NotImplementedError
    def size(self, object_id: str) -> int: raise NotImplementedError
    def contains(self, object_id: str) -> bool: raise NotImplementedError

    def resolve_prefix(self, prefix: str) -> tuple[str, ...]:
        """All ids that begin with these hex digits (at least 4), sorted; empty if there is none."""
        raise NotImplementedError

    def ids(self) -> Iterator[str]:
        """The id of every object here, each once, in no order."""
        raise NotImplementedError

    def batch(self, *, keep: str | None = None) -> ObjectBatch:
        """Begin to write objects that become visible together, as one pack.

        With `keep` (a label such as "stage main": who needs it), the pack carries a `.keep` file,
        so that no `git gc`, not even `--prune=now`, takes what no ref reaches yet; objects that
        exist but in no kept pack are written again, for the same reason.
        """
        raise NotImplementedError

    def kept(self) -> dict[str, str]:
        """The packs that mvc keeps: pack name -> label."""
        raise NotImplementedError

    def drop_keep(self, label: str) -> int:
        """Drop the `.keep` of all packs with this label, and return how many. Call it when a ref
        reaches all that was staged under the label; packs of others stay kept."""
        raise NotImplementedError
