"""The tensors of a file of weights as views of its bytes: names, shapes, strides. Nothing is unpickled.

`mvc.formats` says where a file's bytes divide, which is enough to store it; here every name counts, also of tensors
that share their bytes, and the order of elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from mvc.errors import Refused
from mvc.formats.base import Layout, ReadAt
from mvc.formats.cover import unique_names
from mvc.formats.dtypes import BITS, elements
from mvc.formats.limits import MAX_OPCODES, Budget
from mvc.formats.pickles import walk
from mvc.formats.pytorch import find_root
from mvc.formats.torchnames import named_views
from mvc.formats.ziptable import locate, read_archive, read_entry

_HELD = "F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64 F8_E4M3 F8_E5M2 F8_E8M0"
HELD = frozenset(_HELD.split())
"""The dtypes that safetensors has, of whole bytes."""

_SHARD = re.compile(r"(.*)\[([0-9]+(?:,[0-9]+)*)\]\Z", re.DOTALL)
_FORTRAN = re.compile(rb"'fortran_order':\s*True")


@dataclass(frozen=True, slots=True)
class View:
    """Elements in a file: the first at byte `at`; `strides` count elements."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    at: int

    @property
    def span(self) -> int:
        """Bytes from the first to behind the last element."""
        if not elements(self.shape):
            return 0
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * BITS[self.dtype] // 8

    @property
    def dense(self) -> bool:
        """Whether the bytes of the span are those of the tensor, in order."""
        wanted = dense_strides(self.shape)
        return all(size == 1 or one == two for size, one, two in zip(self.shape, self.strides, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class Whole:
    """A tensor to be written: its parts, each with where it begins in it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    parts: tuple[tuple[tuple[int, ...], View], ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return (elements(self.shape) * BITS[self.dtype] + 7) // 8


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Of a tensor whose last dimension is the fastest."""
    return tuple(accumulate((max(size, 1) for size in reversed(shape[1:])), mul, initial=1))[::-1] if shape else ()


def pytorch_views(path: str, read_at: ReadAt, size: int) -> list[tuple[str, View]]:
    """All tensors of a file of `torch.save`, by name. Raises ParseError, Refused."""
    archive = read_archive(read_at, size)
    root = find_root(archive)
    pickle = archive.entries.get(f"{root}data.pkl") if root is not None else None
    if pickle is None:
        raise Refused(f"'{path}' is no file of PyTorch's that can be read without running it")
    found = named_views(walk(read_entry(read_at, archive, pickle), Budget(MAX_OPCODES, "pickle opcodes")))
    names = unique_names([name or "tensor" for name, _ in found])
    made: list[tuple[str, View]] = []
    starts: dict[str, tuple[int, int]] = {}
    for name, (_, view) in zip(names, found, strict=True):
        key = view.storage.key
        if key not in starts:
            entry = archive.entries.get(f"{root}data/{key}")
            if entry is None or not entry.plain:
                raise Refused(f"'{path}': the bytes of '{name}' are not in the file, or compressed")
            starts[key] = (locate(read_at, archive, entry), entry.size)
        _check_dtype(path, name, view.dtype)
        start, length = starts[key]
        one = View(path, view.dtype, view.shape, view.strides, start + view.offset * BITS[view.dtype] // 8)
        if one.at + one.span > start + length:
            raise Refused(f"'{path}': '{name}' reaches behind the end of its storage")
        made.append((name, one))
    return made


def layout_views(path: str, layout: Layout, read_at: ReadAt, size: int) -> list[tuple[str, View]]:
    """All tensors of a file whose layout tells them one by one: GGUF, .npy, .npz."""
    made: list[tuple[str, View]] = []
    before = None
    for segment in layout.segments:
        if segment.tensor is not None:
            tensor = segment.tensor
            _check_dtype(path, tensor.name, tensor.dtype)
            shape, strides = tensor.shape, dense_strides(tensor.shape)
            header = read_at(before.offset, min(before.length, 4096)) if before is not None else b""
            if layout.format in ("npy", "npz") and _FORTRAN.search(header):
                shape, strides = shape[::-1], strides[::-1]
            made.append((tensor.name, View(path, tensor.dtype, shape, strides, segment.offset)))
        before = segment
    if layout.format == "npz" and len(made) != len(read_archive(read_at, size).entries):
        raise Refused(f"'{path}' holds arrays that are compressed, or of no numbers")
    return made


def shard_views(path: str, layout: Layout) -> list[tuple[str, View]]:
    """The shards in one `.distcp` file, under the names of its `.metadata`."""
    made = []
    for segment in layout.segments:
        if segment.tensor is not None:
            tensor = segment.tensor
            _check_dtype(path, tensor.name, tensor.dtype)
            made.append(
                (tensor.name, View(path, tensor.dtype, tensor.shape, dense_strides(tensor.shape), segment.offset))
            )
    return made


def plain(views: Iterable[tuple[str, View]]) -> list[Whole]:
    """Each view a tensor of its own."""
    return [Whole(name, view.dtype, view.shape, ((tuple(0 for _ in view.shape), view),)) for name, view in views]


def assembled(views: Iterable[tuple[str, View]]) -> list[Whole]:
    """Shards put together: `w[0,0]` and `w[4,0]` are `w`. Raises Refused if parts are lacking or overlap."""
    rows: dict[str, list[tuple[tuple[int, ...], View]]] = {}
    for name, view in views:
        match = _SHARD.match(name)
        offsets = tuple(map(int, match[2].split(","))) if match else ()
        if match is None or len(offsets) != len(view.shape):
            rows.setdefault(name, []).append((tuple(0 for _ in view.shape), view))
        else:
            rows.setdefault(match[1], []).append((offsets, view))
    made = []
    for name, parts in rows.items():
        first = parts[0][1]
        if any(view.dtype != first.dtype or len(view.shape) != len(first.shape) for _, view in parts):
            raise Refused(f"the shards of '{name}' do not fit together")
        ends = [[at + size for at, size in zip(offsets, view.shape, strict=True)] for offsets, view in parts]
        shape = tuple(map(max, zip(*ends, strict=True))) if first.shape else ()
        if sum(elements(view.shape) for _, view in parts) != elements(shape):
            raise Refused(f"shards of '{name}' are lacking: there are those of {len(parts)}")
        made.append(Whole(name, first.dtype, shape, tuple(sorted(parts, key=lambda part: part[0]))))
    return made


def shared(tensors: Sequence[Whole]) -> Mapping[str, str]:
    """Of tensors with the same bytes and shape, every name but the first, to that."""
    first: dict[object, str] = {}
    found: dict[str, str] = {}
    for one in tensors:
        key = (one.shape, one.parts)
        if one.size and key in first:
            found[one.name] = first[key]
        else:
            first[key] = one.name
    return found


def _check_dtype(path: str, name: str, dtype: str) -> None:
    if dtype not in HELD:
        raise Refused(f"'{path}': '{name}' is {dtype}, which safetensors does not have", hint="dequantize it first")
