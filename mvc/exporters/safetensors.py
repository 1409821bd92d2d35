"""Weights as `.safetensors`: each tensor's bytes as they are, in files that every framework reads without pickle.

Format: https://huggingface.co/docs/safetensors. Memory: blocks of a few MiB; of a tensor that is strided (transposed,
expanded) all of its span.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from mvc import fsio
from mvc.errors import ParseError, Refused, UsageError
from mvc.exporters.contents import Contents
from mvc.exporters.tensors import (
    View,
    Whole,
    assembled,
    dense_strides,
    layout_views,
    plain,
    pytorch_views,
    shard_views,
    shared,
)
from mvc.formats.base import ReadAt
from mvc.formats.beside import Beside
from mvc.formats.distcp import METADATA, item_names
from mvc.formats.dtypes import BITS
from mvc.formats.registry import detect
from mvc.objects.manifest import is_manifest
from mvc.objects.model import TreeItem, is_file
from mvc.progress import Progress
from mvc.repo.describing import ChunkedFile, VersionFiles
from mvc.repo.repository import Repository

_BLOCK = 2 * 1024 * 1024
_MAX_HEADER = 100_000_000
"""safetensors' own limit."""
_ROOMY = 1 << 30
SUFFIX = ".safetensors"
_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".npz", ".npy")


@dataclass(frozen=True, slots=True)
class Converted:
    """A file that was written. `source`: the file, or for shards the folder, that it came from."""

    source: str
    path: str
    tensors: int
    size: int
    shared: Mapping[str, str]
    """Names left out, to the name of the tensor that they share their bytes with."""


def convert(
    repo: Repository,
    items: Mapping[str, TreeItem],
    dest: Path,
    progress: Progress,
    *,
    paths: Sequence[str] = (),
    drop_shared: bool = False,
) -> list[Converted]:
    """Convert the weights of a version (or only `paths` of it, files or folders) into `dest`.

    Files that are .safetensors already are written as they are. `drop_shared`: of tensors that share their bytes only
    the first is written, and the others named in the metadata, as `safetensors.torch.save_model` does; else each is
    written. Raises Refused for weights that cannot be converted, naming them, before anything is written.
    """
    chosen = {path: item for path, item in items.items() if is_file(item.mode) and _is_chosen(path, paths)}
    with Contents(repo) as contents:
        files = _Files(repo, contents, items)
        jobs = _jobs(chosen, files)
        if not jobs:
            raise UsageError("the version holds no weights that could be converted")
        progress.begin("converting", sum(job.size for job in jobs))
        try:
            return [job.run(dest, contents, files, progress, drop_shared) for job in jobs]
        finally:
            progress.end()


class _Files:
    """Files of the version, to be read at any place."""

    def __init__(self, repo: Repository, contents: Contents, items: Mapping[str, TreeItem]) -> None:
        self._contents, self._items = contents, items
        self._describing = VersionFiles(repo.objects, contents.store, items, {})
        self._open: tuple[str, ReadAt, int] = ("", lambda *_: b"", 0)

    def open(self, path: str) -> tuple[ReadAt, int]:
        """(read_at, size). The file that was asked for last is at hand."""
        if self._open[0] != path:
            blob = self._contents.blob(self._items[path])
            if is_manifest(blob):
                chunked = ChunkedFile(self._contents.store, blob)
                self._open = (path, chunked.read_at, chunked.size)
            else:
                self._open = (path, lambda offset, length, /: blob[offset : offset + length], len(blob))
        return self._open[1], self._open[2]

    def require_shards(self, folder: str, paths: Sequence[str]) -> None:
        """Raise Refused unless the `.metadata` of a distributed checkpoint is there, and all files that it names."""
        path = f"{folder}/{METADATA}" if folder else METADATA
        if path not in self._items:
            raise Refused(f"the shards in '{folder or '.'}' lack their {METADATA}, which names their tensors")
        read_at, size = self.open(path)
        try:
            named = {f"{folder}/{name}" if folder else name for name in item_names(read_at, size)}
        except ParseError as error:
            raise Refused(f"'{path}' cannot be read: {error.message}") from error
        if lacking := sorted(named.difference(paths)):
            raise Refused(f"of the checkpoint in '{folder or '.'}' is lacking: {', '.join(lacking[:10])}")

    def beside(self, path: str) -> Beside:
        folder = path.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        return Beside(list(self._describing.names(folder)), lambda name: self._describing.open(prefix + name))


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to write; `tensors` None: as it is."""

    source: str
    path: str
    size: int
    tensors: list[Whole] | None
    item: TreeItem | None = None

    def run(self, dest: Path, contents: Contents, files: _Files, progress: Progress, drop: bool) -> Converted:
        target = dest / self.path
        fsio.make_dirs(target.parent)
        with fsio.DurableFile(target.parent) as out:
            if self.tensors is None:
                assert self.item is not None  # what is copied has one
                for piece in contents.pieces(self.item, self.source):
                    out.write(piece)
                    progress.advance(len(piece))
                dropped: Mapping[str, str] = {}
                count = 0
            else:
                dropped = shared(self.tensors) if drop else {}
                kept = [one for one in self.tensors if one.name not in dropped]
                count = len(kept)
                _write(out, kept, dropped, files, progress)
            size = os.fstat(out.fileno()).st_size
            out.commit(target)
        return Converted(self.source, self.path, count, size, dropped)


def _is_chosen(path: str, paths: Sequence[str]) -> bool:
    return not paths or any(path == one or path.startswith(one.rstrip("/") + "/") for one in paths)


def _jobs(chosen: Mapping[str, TreeItem], files: _Files) -> list[_Job]:
    jobs: list[_Job] = []
    shards: dict[str, list[str]] = {}
    for path, item in chosen.items():
        stem, dot, suffix = path.rpartition(".")
        if path.endswith(SUFFIX):
            jobs.append(_Job(path, path, files.open(path)[1], None, item))
        elif path.endswith(".distcp"):
            shards.setdefault(path.rpartition("/")[0], []).append(path)
        elif f".{suffix.lower()}" in _WEIGHTS and dot:
            tensors = _tensors(path, files)
            if tensors:
                jobs.append(_Job(path, f"{stem}{SUFFIX}", sum(one.size for one in tensors), tensors))
    for folder, paths in shards.items():
        files.require_shards(folder, paths)
        views = [row for path in sorted(paths) for row in _shards(path, files)]
        tensors = assembled(views)
        name = f"{folder}/model{SUFFIX}" if folder else f"model{SUFFIX}"
        jobs.append(_Job(folder or ".", name, sum(one.size for one in tensors), tensors))
    seen: dict[str, str] = {}
    for job in jobs:
        if job.path in seen:
            raise Refused(f"'{job.source}' and '{seen[job.path]}' would both be {job.path}", hint="name one of them")
        seen[job.path] = job.source
    return jobs


def _tensors(path: str, files: _Files) -> list[Whole]:
    read_at, size = files.open(path)
    try:
        layout = detect(read_at, size, path)
        if layout is None:
            if path.endswith((".bin", ".npy", ".npz")):
                return []  # a suffix of many things
            raise Refused(f"'{path}' is in no format of weights that can be read without running it")
        if layout.format == "pytorch":
            found = plain(pytorch_views(path, read_at, size))
        else:
            found = plain(layout_views(path, layout, read_at, size))
    except ParseError as error:
        raise Refused(f"'{path}' cannot be converted: {error.message}") from error
    for one in found:
        if one.size > max(16 * size, _ROOMY):
            raise Refused(f"'{path}': '{one.name}' would become {one.size:,} bytes, from a file of {size:,}")
    return found


def _shards(path: str, files: _Files) -> list[tuple[str, View]]:
    beside = files.beside(path)
    read_at, size = files.open(path)
    try:
        layout = detect(read_at, size, path, beside)
    except ParseError as error:
        raise Refused(f"'{path}' cannot be converted: {error.message}") from error
    return shard_views(path, layout) if layout is not None else []


def _write(
    out: fsio.DurableFile, tensors: Sequence[Whole], dropped: Mapping[str, str], files: _Files, progress: Progress
) -> None:
    # As the library writes it: large elements first, so that all are aligned.
    ordered = sorted(tensors, key=lambda one: (-BITS[one.dtype], one.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt", **dropped}} if dropped else {}
    starts: dict[str, int] = {}
    at = 0
    for one in ordered:
        starts[one.name] = at
        header[one.name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [at, at + one.size]}
        at += one.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise Refused("the header would be longer than safetensors permits")
    out.write(len(text).to_bytes(8, "little") + text)
    data = 8 + len(text)
    os.ftruncate(out.fileno(), data + at)
    # In the order in which they lie in the source: it is read from front to back.
    for one in sorted(tensors, key=lambda one: (one.parts[0][1].path, one.parts[0][1].at) if one.parts else ("", 0)):
        for offsets, view in one.parts:
            _place(out.fileno(), data + starts[one.name], one, offsets, view, files.open(view.path)[0])
            progress.advance(view.span)


def _place(fd: int, start: int, whole: Whole, offsets: Sequence[int], view: View, read_at: ReadAt) -> None:
    """Write a part of a tensor where it belongs."""
    if not view.span:
        return
    if view.shape == whole.shape:
        _copy(fd, start, view, read_at)
        return
    # Runs that lie together in both: the dimensions behind the last one that is divided.
    item = BITS[view.dtype] // 8
    strides = dense_strides(whole.shape)
    split = max(at for at, (one, two) in enumerate(zip(view.shape, whole.shape, strict=True)) if one != two)
    run = dense_strides(view.shape)[split] * view.shape[split] * item
    source = view.at
    for index in product(*(range(size) for size in view.shape[:split])):
        place = [one + offset for one, offset in zip((*index, 0), offsets, strict=False)]
        target = sum(one * stride for one, stride in zip(place, strides, strict=False)) * item
        _copy_run(source, run, start + target, fd, read_at)
        source += run


def _copy(fd: int, start: int, view: View, read_at: ReadAt) -> None:
    if view.dense:
        _copy_run(view.at, view.span, start, fd, read_at)
        return
    item = BITS[view.dtype] // 8
    raw = np.frombuffer(_whole(read_at, view.at, view.span), np.dtype(f"V{item}"))
    steps = tuple(stride * item for stride in view.strides)
    elements = np.lib.stride_tricks.as_strided(raw, view.shape, steps, writeable=False)
    rows = elements.reshape(1, *view.shape) if not view.shape else elements
    for row in rows:
        data = np.ascontiguousarray(row).tobytes()
        _pwrite(fd, data, start)
        start += len(data)


def _copy_run(source: int, length: int, target: int, fd: int, read_at: ReadAt) -> None:
    while length:
        data = _whole(read_at, source, min(length, _BLOCK))
        _pwrite(fd, data, target)
        source, target, length = source + len(data), target + len(data), length - len(data)


def _whole(read_at: Callable[[int, int], bytes], offset: int, length: int) -> bytes:
    data = read_at(offset, length)
    if len(data) != length:
        raise Refused("the file ends before its tensors do")
    return data


def _pwrite(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count
