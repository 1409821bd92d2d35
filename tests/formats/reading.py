"""How the tests of the parsers read: files are bytes, and a layout must cover them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mvc.chunking.plan import plan
from mvc.formats.beside import Beside
from mvc.formats.registry import detect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mvc.formats.base import Layout, ReadAt


def reader(data: bytes) -> ReadAt:
    return lambda offset, length: data[offset : offset + length]


def folder(files: Mapping[str, bytes]) -> Beside:
    @contextmanager
    def open_file(name: str) -> Iterator[tuple[ReadAt, int]]:
        if name not in files:
            raise FileNotFoundError(name)
        yield reader(files[name]), len(files[name])

    return Beside(list(files), open_file)


def layout_of(data: bytes, name: str, beside: Beside | None = None) -> Layout:
    layout = detect(reader(data), len(data), name, beside)
    assert layout is not None
    assert_covers(layout, len(data))
    return layout


def assert_covers(layout: Layout, size: int) -> None:
    assert sum(segment.length for segment in plan(layout, size)) == size


def tensors_of(data: bytes, layout: Layout) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Name to (dtype, shape, bytes)."""
    return {
        segment.tensor.name: (
            segment.tensor.dtype,
            segment.tensor.shape,
            data[segment.offset : segment.offset + segment.length],
        )
        for segment in layout.segments
        if segment.tensor is not None
    }
