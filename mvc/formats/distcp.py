"""PyTorch's distributed checkpoints: a `.distcp` file is archives of `torch.save` in a row, one an item.

Source: `torch/distributed/checkpoint/filesystem.py` (`_write_item`) and `metadata.py` in
https://github.com/pytorch/pytorch. The names of the items are not in the file, but in the pickle
`.metadata` beside it: `Metadata.storage_data` maps (name, offsets of the shard) to (file, offset, length).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment
from mvc.formats.cover import cover
from mvc.formats.cursor import read_exactly
from mvc.formats.limits import MAX_DIMENSIONS, MAX_HEADER, MAX_OPCODES, MAX_TENSORS, Budget
from mvc.formats.pickles import Global, Inert, Pairs, walk
from mvc.formats.pytorch import Budgets, archive_runs, find_root, with_unique_names
from mvc.formats.ziptable import Archive, read_archive

METADATA = ".metadata"

ItemNames = Mapping[int, str]
"""Where an item begins in its file: the item's name."""

_INDEX = Global("torch.distributed.checkpoint.metadata", "MetadataIndex")


def parse(read_at: ReadAt, size: int, name: str, items: ItemNames | None = None) -> Layout:
    """The layout of a `.distcp` file. Without `items` its tensors are called `item.0`, `item.1`, ..."""
    budgets = Budgets()
    archives = _archives(read_at, size, budgets)
    if not archives:
        raise ParseError("distcp: no archive at the end of the file")
    runs: list[Segment] = []
    for number, archive in enumerate(archives):
        root = find_root(archive)
        if root is not None:
            prefix = (items or {}).get(archive.start, f"item.{number}")
            runs += archive_runs(read_at, archive, root, budgets, prefix)
    return cover("distcp", size, with_unique_names(runs))


def _archives(read_at: ReadAt, size: int, budgets: Budgets) -> list[Archive]:
    """The archives, from the last to the first: only its end tells where an archive starts.

    Bytes before the first one that is found this way are no archive (an item in another form).
    """
    found: list[Archive] = []
    end = size
    while end > 0:
        budgets.archives.spend()
        try:
            archive = read_archive(read_at, end, budgets.entries)
        except ParseError:
            break
        found.append(archive)
        end = archive.start
    found.reverse()
    return found


def item_names(read_at: ReadAt, size: int) -> dict[str, dict[int, str]]:
    """What a `.metadata` file says: the name of each `.distcp` beside it to its items' names.

    A tensor that was saved whole has its own name; a shard has the offsets at which it begins behind
    it: `encoder.weight[0,512]`. Raises ParseError.
    """
    if size > MAX_HEADER:
        raise ParseError(f"distcp: {size} bytes of metadata")
    root = walk(read_exactly(read_at, 0, size, "distcp"), Budget(MAX_OPCODES, "pickle opcodes"))
    storage_data = _field(root, "storage_data")
    if not isinstance(storage_data, Pairs):
        raise ParseError("distcp: no storage_data in the metadata")
    sharded = _sharded(_field(root, "state_dict_metadata"))
    files: dict[str, dict[int, str]] = {}
    for index, info in list(zip(storage_data[::2], storage_data[1::2], strict=False))[:MAX_TENSORS]:
        fqn, offsets = _field(index, "fqn"), _field(index, "offset")
        path, start = _field(info, "relative_path"), _field(info, "offset")
        if isinstance(fqn, str) and isinstance(path, str) and type(start) is int:
            shard = f"[{_listed(offsets)}]" if fqn in sharded and _is_offsets(offsets) else ""
            files.setdefault(path, {})[start] = fqn + shard
    return files


def _sharded(metadata: Any) -> set[str]:
    """The names of the tensors that were saved in several shards."""
    if not isinstance(metadata, Pairs):
        return set()
    return {
        name
        for name, kind in zip(metadata[::2], metadata[1::2], strict=False)
        if isinstance(name, str) and type(chunks := _field(kind, "chunks")) is list and len(chunks) > 1
    }


def _field(value: Any, name: str) -> Any:
    """An attribute of an object that was made without arguments and given its state."""
    if isinstance(value, Inert):
        for key, child in _state(value):
            if isinstance(key, str) and key == name:
                return child
    return None


def _state(value: Inert) -> Iterator[tuple[Any, Any]]:
    state = value.state
    if isinstance(state, Pairs):
        yield from zip(state[::2], state[1::2], strict=False)


def _is_offsets(value: Any) -> bool:
    return type(value) is tuple and 0 < len(value) <= MAX_DIMENSIONS and all(type(part) is int for part in value)


def _listed(offsets: tuple[int, ...]) -> str:
    return ",".join(str(offset) for offset in offsets)
