"""NumPy's .npz: a zip archive with a .npy for each array.

Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html. Members that are
compressed (`savez_compressed`) are opaque.
"""

from __future__ import annotations

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment
from mvc.formats.cover import cover
from mvc.formats.npy import segments
from mvc.formats.ziptable import Archive, locate, read_archive

_SUFFIX = ".npy"


def parse(read_at: ReadAt, size: int, name: str) -> Layout:
    """The layout of a .npz file."""
    archive = read_archive(read_at, size)
    if not is_npz(archive):
        raise ParseError("npz: an entry is no .npy")
    runs: list[Segment] = []
    for entry in archive.entries.values():
        if entry.plain:
            start = locate(read_at, archive, entry)
            runs += segments(read_at, start, start + entry.size, entry.name[: -len(_SUFFIX)])
    return cover("npz", size, runs)


def is_npz(archive: Archive) -> bool:
    return bool(archive.entries) and all(name.endswith(_SUFFIX) for name in archive.entries)
