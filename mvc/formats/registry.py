"""Which parser reads a file: by its first bytes and its suffix. Parsers load when first needed."""

from __future__ import annotations

from mvc.errors import ParseError
from mvc.formats.base import Layout, Parser, ReadAt
from mvc.formats.beside import Beside
from mvc.lazy import load

PARSERS = {
    "safetensors": "mvc.formats.safetensors:parse",
    "gguf": "mvc.formats.gguf:parse",
    "onnx": "mvc.formats.onnx:parse",
    "pytorch": "mvc.formats.pytorch:parse",
    "distcp": "mvc.formats.distcp:parse",
    "npy": "mvc.formats.npy:parse",
    "npz": "mvc.formats.npz:parse",
}
"""Format to its parser."""

EXTERNAL = "mvc.formats.onnxdata:layout"
ARCHIVE = "mvc.formats.ziptable:read_archive"
FIND_ROOT = "mvc.formats.pytorch:find_root"
IS_NPZ = "mvc.formats.npz:is_npz"

MAGIC = (
    (b"GGUF", "gguf"),
    (b"\x93NUMPY", "npy"),
)
"""First bytes that leave no doubt."""

SUFFIXES = {
    ".safetensors": "safetensors",
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".distcp": "distcp",
    ".npy": "npy",
    ".npz": "npz",
}
"""Suffixes that claim a format, whatever the first bytes are."""

ZIP = b"PK\x03\x04"
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".ptl")
"""Suffixes of PyTorch's files. Those that are no zip (pickles from before 1.6) are of no format known here."""

_HEAD = 16


def detect(read_at: ReadAt, size: int, name: str, beside: Beside | None = None) -> Layout | None:
    """The layout of a file of `size` bytes, or None when it is of no format known here.

    `name` is the file's path or bare name: only its last part is looked at, and it never gets into
    a tensor's name. `beside` describes the folder the file lies in, for the formats whose tensors another file
    names (ONNX external data, `.distcp`); without it such files are parsed as far as they tell.

    Raises ParseError when the file claims a format and does not follow it: chunk it as opaque then
    (`plan(None, size)`) and warn. Errors of `read_at` pass through. Memory and time are bounded by
    `mvc.formats.limits`, whatever the file claims. Layouts may hold tensors of length 0.
    """
    bare = name.rpartition("/")[2]
    head = read_at(0, min(_HEAD, size))
    claimed = claimed_format(head, bare)
    if claimed == "distcp":
        items = beside.item_names(bare) if beside is not None else None
        distributed: Layout = load(PARSERS["distcp"])(read_at, size, bare, items)
        return distributed
    if claimed is not None:
        return _parser(claimed)(read_at, size, bare)
    if beside is not None and (runs := beside.external_tensors(bare)):
        external: Layout = load(EXTERNAL)(size, runs)
        return external
    if head.startswith(ZIP):
        return _zip(read_at, size, bare)
    if _may_be_safetensors(head, size):
        try:
            return _parser("safetensors")(read_at, size, bare)
        except ParseError:
            return None
    return None


def claimed_format(head: bytes, name: str) -> str | None:
    """The format that a file claims by its first bytes or, failing that, by its suffix; None for none."""
    for magic, format_name in MAGIC:
        if head.startswith(magic):
            return format_name
    return SUFFIXES.get(_suffix(name))


def _zip(read_at: ReadAt, size: int, name: str) -> Layout | None:
    """The layout of a zip archive if it is PyTorch's or NumPy's, under any suffix."""
    try:
        archive = load(ARCHIVE)(read_at, size)
    except ParseError:
        if _suffix(name) in TORCH_SUFFIXES:
            raise
        return None
    if load(FIND_ROOT)(archive) is not None:
        return _parser("pytorch")(read_at, size, name)
    if load(IS_NPZ)(archive):
        return _parser("npz")(read_at, size, name)
    return None


def _may_be_safetensors(head: bytes, size: int) -> bool:
    """safetensors has no magic number: a plausible length of the header, and its first brace."""
    return len(head) > 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def _parser(format_name: str) -> Parser:
    parser: Parser = load(PARSERS[format_name])
    return parser


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2].lower() if "." in name else ""
