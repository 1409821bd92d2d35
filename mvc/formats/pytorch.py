"""PyTorch's zip files (`torch.save` since 1.6, and TorchScript), read without unpickling.

Source: `torch/serialization.py` and `caffe2/serialize/inline_container.cc` in
https://github.com/pytorch/pytorch. An archive has one root folder, named after the file, with
`data.pkl` (what was saved, its tensors as views of numbered storages), `data/0`, `data/1`, ...
(the storages' bytes, stored and aligned), `byteorder`, `version`. TorchScript adds `constants.pkl`
and `constants/0`, `constants/1`, ...
"""

from __future__ import annotations

from collections.abc import Iterable

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment, Tensor
from mvc.formats.cover import cover, unique_names
from mvc.formats.limits import MAX_ARCHIVES, MAX_ENTRIES, MAX_NAME, MAX_OPCODES, Budget
from mvc.formats.pickles import View, walk
from mvc.formats.storages import storage_runs
from mvc.formats.torchnames import named_views
from mvc.formats.ziptable import Archive, locate, read_archive, read_entry

_PICKLES = (("data", ""), ("constants", "constants"))
"""(folder of the storages, what the names of its tensors begin with)."""


class Budgets:
    """What all archives of one file may take together."""

    __slots__ = ("archives", "entries", "opcodes")

    def __init__(self) -> None:
        self.archives = Budget(MAX_ARCHIVES, "archives")
        self.entries = Budget(MAX_ENTRIES, "zip entries")
        self.opcodes = Budget(MAX_OPCODES, "pickle opcodes")


def parse(read_at: ReadAt, size: int, name: str) -> Layout:
    """The layout of a file that `torch.save` or `torch.jit.save` wrote."""
    budgets = Budgets()
    archive = read_archive(read_at, size, budgets.entries)
    root = find_root(archive)
    if root is None:
        raise ParseError("PyTorch: no data.pkl in the archive")
    return cover("pytorch", size, with_unique_names(archive_runs(read_at, archive, root, budgets)))


def find_root(archive: Archive) -> str | None:
    """The root folder, with its slash, or None if this is no archive of PyTorch's."""
    for name in archive.entries:
        root, slash, rest = name.partition("/")
        if slash and rest == "data.pkl":
            return root + slash
    return None


def archive_runs(read_at: ReadAt, archive: Archive, root: str, budgets: Budgets, prefix: str = "") -> list[Segment]:
    """The segments of all storages of an archive that are told by its pickles. Names may repeat.

    Storages that are compressed, or that nothing refers to, are left out.
    """
    _refuse_big_endian(read_at, archive, root)
    runs: list[Segment] = []
    for folder, first in _PICKLES:
        pickle = archive.entries.get(f"{root}{folder}.pkl")
        if pickle is None:
            continue
        views: dict[str, list[tuple[str, View]]] = {}
        for name, view in named_views(walk(read_entry(read_at, archive, pickle), budgets.opcodes)):
            full = ".".join(part for part in (prefix, first, name) if part)
            views.setdefault(view.storage.key, []).append((full or "tensor", view))
        for key, its_views in views.items():
            entry = archive.entries.get(f"{root}{folder}/{key}")
            if entry is not None and entry.plain:
                runs += storage_runs(locate(read_at, archive, entry), entry.size, its_views)
    return runs


def _refuse_big_endian(read_at: ReadAt, archive: Archive, root: str) -> None:
    entry = archive.entries.get(f"{root}byteorder")
    if entry is not None and read_entry(read_at, archive, entry, 16) != b"little":
        raise ParseError("PyTorch: the numbers are big-endian")


def with_unique_names(runs: Iterable[Segment]) -> list[Segment]:
    """The runs with "#2", "#3", ... behind a name that repeats: `{"a": {"b": x}, "a.b": y}` names two tensors alike."""
    listed = list(runs)
    named = [(number, run.tensor) for number, run in enumerate(listed) if run.tensor is not None]
    names = unique_names([tensor.name[: MAX_NAME - 8] for _, tensor in named])
    for (number, tensor), name in zip(named, names, strict=True):
        if name != tensor.name:
            run = listed[number]
            listed[number] = Segment("tensor", run.offset, run.length, Tensor(name, tensor.dtype, tensor.shape))
    return listed
