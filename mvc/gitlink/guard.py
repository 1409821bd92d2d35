"""What the hook pre-commit refuses: raw weights above a size, and pickles that run code when they are loaded."""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from mvc.errors import MvcError
from mvc.formats.limits import Budget
from mvc.formats.pickleglobals import Named, may_be_called, may_be_pickle, scan
from mvc.gitlink.dangers import is_installed, judge
from mvc.gitlink.staged import Blobs, StagedFile

WEIGHTS = 1 << 20
"""Bytes from which on weights are refused, unless something else is said."""
_HEAD = 512
_MOST_OPCODES = 5_000_000
_MOST_UNPACKED = 256 << 20
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_LARGEST = 1024
_ZIP = b"PK\x03\x04"
_TARRED = ("pickle", "tensors", "storages", "sys_info")

_WEIGHTS = """
.safetensors .gguf .ggml .ggjt .onnx .onnx_data .distcp .npz .npy .pt .pth .ckpt .ptl .bin .pkl .pickle .joblib .sav
.h5 .hdf5 .keras .pb .tflite .mlmodel .mar .pte .caffemodel .params .pdparams .msgpack .weights .engine .trt .ot
.nemo .cbm .ubj .task .llamafile .data-00000-of-00001
"""
_SUFFIXES = frozenset(_WEIGHTS.split())
"""By which weights are known where their first bytes do not tell."""
_UNPICKLED = ".pkl .pickle .joblib .pt .pth .bin .ckpt .ptl .sav .model .mar .p .nemo .tar"
_PICKLES = frozenset(_UNPICKLED.split())
"""In which text pickles (protocol 0 and 1, which no first byte betrays) are looked for."""
_ONLY_PICKLES = frozenset((".pkl", ".pickle", ".joblib"))

_UNREADABLE = (
    *(MvcError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, ValueError, RuntimeError),  # RuntimeError: an entry that is encrypted, or packed in an odd way
)

Reason = Literal["weights", "pickle"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What passes.

    `weights`: bytes from which on weights are refused, 0: never. `allow`: patterns of paths that pass whatever they
    are. `globals`: names (`package.Class`, `package.*`) that pickles may load. `strict`: nothing of unknown packages.
    """

    weights: int = WEIGHTS
    allow: tuple[str, ...] = ()
    globals: tuple[str, ...] = ()
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that is refused. `what` goes on a line behind its name."""

    path: str
    reason: Reason
    what: str
    size: int
    globals: tuple[str, ...] = ()


def look(files: Iterable[StagedFile], blobs: Blobs, rules: Rules) -> list[Finding]:
    """All that is refused among `files`, in their order."""
    found = (_look_at(file, blobs, rules) for file in files if not _is_allowed(file.path, rules))
    return [finding for finding in found if finding is not None]


def _is_allowed(path: str, rules: Rules) -> bool:
    return any(fnmatchcase(path, pattern) or fnmatchcase(path.rpartition("/")[2], pattern) for pattern in rules.allow)


def _look_at(file: StagedFile, blobs: Blobs, rules: Rules) -> Finding | None:
    suffix = _suffix(file.path)
    if file.size == 0:
        return None
    large = 0 < rules.weights <= file.size
    if large and suffix in _SUFFIXES:
        return Finding(file.path, "weights", f"{suffix.lstrip('.')} weights", file.size)
    head = blobs.head(file.id, _HEAD, file.size)
    if head.startswith(_LFS) and file.size <= _LFS_LARGEST:
        return None
    kind = _kind(head, file.size)
    if large and kind is not None:
        return Finding(file.path, "weights", f"{kind} weights, by its first bytes", file.size)
    inner = _suffix(file.path.removesuffix(suffix))
    suffix = inner if suffix not in _PICKLES and inner in _PICKLES else suffix
    surely = suffix in _PICKLES or kind in ("pickle", "npy") or head.startswith(_ZIP)
    if not surely and not _may_hold(head, file.size):
        return None
    if file.size > _MOST_UNPACKED:
        too_large = "it is too large for its pickles to be looked at"
        return Finding(file.path, "pickle", too_large, file.size) if suffix in _PICKLES or kind is not None else None
    found = _pickles(file, blobs, suffix, rules)
    # A broken archive that nothing says to hold pickles is no more than that.
    return found if surely or (found is not None and found.globals) else None


def _may_hold(head: bytes, size: int, depth: int = 0) -> bool:
    """May a file that begins so hold pickles, whatever its name? Known by its first bytes, unpacked if need be."""
    if may_be_pickle(head) or head.startswith((_ZIP, b"\x93NUMPY")) or head[257:262] == b"ustar":
        return True
    unpack = _unpacker(head)
    if unpack is None:
        return may_be_called(head, size)
    try:
        inside = unpack(head)[:_HEAD]
    except _UNREADABLE:
        return False
    # bzip2 gives nothing before it has read a whole block.
    return len(inside) < _HEAD or depth > 1 or _may_hold(inside, _MOST_UNPACKED, depth + 1)


def _kind(head: bytes, size: int) -> str | None:
    """What weights a file holds by its first bytes."""
    for magic, name in ((b"GGUF", "GGUF"), (b"\x93NUMPY", "npy"), (b"\x89HDF\r\n\x1a\n", "HDF5")):
        if head.startswith(magic):
            return name
    if head[4:8] == b"TFL3":
        return "TFLite"
    if may_be_pickle(head):
        return "pickle"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    # PyTorch's zip: its first entry is NAME/data.pkl; NumPy's: NAME.npy.
    if head.startswith(_ZIP):
        entry = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return (
            "PyTorch"
            if entry.endswith((b"/data.pkl", b"/.format_version"))
            else "npz"
            if entry.endswith(b".npy")
            else None
        )
    return None


def _pickles(file: StagedFile, blobs: Blobs, suffix: str, rules: Rules) -> Finding | None:
    budget = Budget(_MOST_OPCODES, "pickle opcodes")
    try:
        bad = _judged(_named(blobs.read(file.id), suffix, budget), rules)
    except _UNREADABLE as error:
        reason = error.message if isinstance(error, MvcError) else str(error)
        return Finding(file.path, "pickle", f"its pickle cannot be followed ({reason[:80]})", file.size)
    if not bad:
        return None
    names = [str(one) for one in bad]
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return Finding(file.path, "pickle", f"loading it calls {listed}", file.size, tuple(names))


def _judged(named: Iterable[Named], rules: Rules) -> list[Named]:
    bad = []
    for one in dict.fromkeys(named):
        verdict = judge(one)
        refused = verdict == "dangerous" or (rules.strict and verdict == "unknown")
        if refused and not any(fnmatchcase(str(one), pattern) for pattern in rules.globals):
            bad.append(one)
    return bad


def _named(data: bytes, suffix: str, budget: Budget, depth: int = 0) -> Iterator[Named]:
    """All that the pickles in a file would load. Raises ParseError for one that cannot be followed."""
    if depth > 3:
        raise _not_followed("packed in itself")
    unpack = _unpacker(data[:_HEAD])
    if unpack is not None:
        yield from _named(unpack(data), suffix, budget, depth + 1)
    elif data.startswith(_ZIP):
        yield from _zipped(data, budget, depth)
    elif data[257:262] == b"ustar":
        yield from _tarred(data, budget, depth)
    elif data.startswith(b"\x93NUMPY"):
        yield from _array(data, budget)
    elif suffix not in _PICKLES and not may_be_pickle(data):
        if may_be_called(data[:_HEAD], len(data)):
            yield from filter(is_installed, scan(data, budget).globals)  # it may be a text, for all that
    else:
        found = scan(data, budget)
        yield from found.globals
        # Behind PyTorch's pickles of old its storages follow; but the first has to be one.
        broken = not found.whole and not found.pickles
        if broken and (may_be_pickle(data) or (suffix in _ONLY_PICKLES and not _is_text(data))):
            raise _not_followed("it breaks off")


def _zipped(data: bytes, budget: Budget, depth: int) -> Iterator[Named]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        left = _MOST_UNPACKED
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            suffix = _suffix(entry.filename)
            with archive.open(entry) as file:
                head = file.read(_HEAD)
                inside = suffix in _PICKLES or _may_hold(head, entry.file_size)
                # The bytes of PyTorch's tensors may begin like anything.
                if not inside or ("/data/" in f"/{entry.filename}" and not suffix):
                    continue
                if entry.file_size > left:
                    raise _not_followed("too much in it")
                left -= entry.file_size
                yield from _named(head + file.read(), suffix, budget, depth + 1)


def _tarred(data: bytes, budget: Budget, depth: int) -> Iterator[Named]:
    """PyTorch's first files were these, of pickles; NeMo's are."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        left = _MOST_UNPACKED
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            if file is None:
                continue
            left -= entry.size  # a sparse one takes no room in the archive
            if left < 0:
                raise _not_followed("too much in it")
            inside = file.read()
            suffix = ".pt" if entry.name in _TARRED else _suffix(entry.name)
            if suffix in _PICKLES or _may_hold(inside[:_HEAD], len(inside)):
                yield from _named(inside, suffix, budget, depth + 1)


def _array(data: bytes, budget: Budget) -> Iterator[Named]:
    """A .npy of objects holds a pickle behind its header."""
    size = 2 if data[6:7] == b"\x01" else 4
    end = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    if b"O" in data[8 + size : end].partition(b"descr")[2].partition(b"fortran")[0]:
        yield from scan(data[end:], budget).globals


def _unpacker(head: bytes) -> Callable[[bytes], bytes] | None:
    """What unpacks a file that begins so, up to a limit."""
    if head.startswith(b"\x1f\x8b"):
        return lambda data: _bounded(zlib.decompressobj(31), data)
    if head[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        return lambda data: _bounded(zlib.decompressobj(), data)
    if head.startswith(b"BZh"):
        return lambda data: _bounded(bz2.BZ2Decompressor(), data)
    if head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return lambda data: _bounded(lzma.LZMADecompressor(), data)
    return None


def _bounded(decompressor: object, data: bytes) -> bytes:
    decompress: Callable[[bytes, int], bytes] = decompressor.decompress  # type: ignore[attr-defined]
    found = decompress(data, _MOST_UNPACKED)
    if len(found) >= _MOST_UNPACKED:
        raise _not_followed("too much in it")
    return found


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:_HEAD]


def _not_followed(why: str) -> MvcError:
    return MvcError(why)


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    return "." + name.rpartition(".")[2] if "." in name else ""
