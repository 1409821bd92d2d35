"""The files of a checkpoint, put aside in the call that hands them over: training may then overwrite them.

Each checkpoint gets a folder `spool/<step>-<nonce>/` of the run: its files, by number, and last of all `job.json`,
which says what they are. Only a folder that has one counts, and only on this boot of the machine: a killed process
leaves whole files, a machine that lost power may not.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mvc import fsio
from mvc.errors import FileChanged, NotFound, UsageError
from mvc.objects.paths import check_path
from mvc.store.holder import this_process
from mvc.training.tensors import Buffers, HostTensors, copy_to_host, frozen, is_state_dict

_KEPT = frozenset((".mvc", ".git"))

if sys.platform == "linux":
    import fcntl

Keep = Literal["copy", "link", "move"]
"""How a file is put aside: copied (shared by the file system where it can), linked, or taken."""

Given = str | os.PathLike[str] | list[Any] | tuple[Any, ...] | Mapping[str, Any]
"""What `checkpoint` takes: a file or folder, several, or tree paths with files, folders, bytes, objects."""

Write = Callable[[Path], None]

_JOB = "job.json"
_FICLONE = 0x40049409  # linux/fs.h
_CLONES: set[int] = set()
"""Devices that do not share blocks between files: not asked again."""
_PICKLED = (".pt", ".pth", ".bin", ".ckpt")


@dataclass(slots=True)
class Job:
    """A checkpoint that waits to be stored. `files`: tree path to a name in `folder`."""

    step: int
    folder: Path
    files: dict[str, str]
    metrics: dict[str, Any]
    message: str | None = None
    to_write: dict[str, Write] = field(default_factory=dict, repr=False)
    """By name in `folder`: what is in memory, until it is written."""
    boot: str = ""
    stands: bool = False
    """Whether all of it is on the disk."""
    linked: dict[str, list[int]] = field(default_factory=dict)
    """By name, of links: size and mtime when they were made. What is written to behind our back is not stored."""

    def finish_writing(self) -> None:
        """Write what is in memory, then `job.json`: from then on the checkpoint outlives the process."""
        for name, write in list(self.to_write.items()):
            fsio.step("create", self.folder / name)
            write(self.folder / name)
            del self.to_write[name]
        row = {
            "step": self.step,
            "files": self.files,
            "metrics": {name: repr(value) for name, value in self.metrics.items()},
            "message": self.message,
            "boot": self.boot,
            "linked": self.linked,
        }
        fsio.write_atomic(self.folder / _JOB, json.dumps(row).encode(), tmp_dir=self.folder, sync=False)
        self.stands = True

    def check(self) -> None:
        """Raises FileChanged where a linked file was written to since."""
        names = {name: path for path, name in self.files.items()}
        for name, known in self.linked.items():
            if _signs(self.folder / name) != known:
                raise FileChanged(
                    f"'{names.get(name, name)}' was written to in place since checkpoint() took it",
                    hint='keep="copy" takes files that are overwritten',
                )

    def sources(self) -> dict[str, Path]:
        """The files by their tree paths."""
        return {path: self.folder / name for path, name in self.files.items()}

    def discard(self) -> None:
        """Remove the folder."""
        remove(self.folder)


def take(
    spool: Path,
    step: int,
    given: Given,
    metrics: Mapping[str, Any],
    keep: Keep,
    message: str | None,
    buffers: Buffers | None = None,
) -> Job:
    """Put the files of a checkpoint aside.

    Raises NotFound, UsageError, UnsafePath before anything is written; OSError where the disk does not take it: then
    nothing is left of it.
    """
    wanted = dict(_wanted(given, buffers or Buffers()))
    if not wanted:
        raise UsageError("a checkpoint without files", hint="name files, a folder, or tree paths with state dicts")
    for path in wanted:
        check_path(path)
    me = this_process("run")
    folder = spool / f"{step}-{me.nonce}"
    fsio.make_dirs(spool)
    fsio.step("mkdir", folder)
    folder.mkdir()
    job = Job(step, folder, {}, dict(metrics), message, boot=me.boot)
    try:
        for number, (path, source) in enumerate(wanted.items()):
            name = str(number)
            job.files[path] = name
            if isinstance(source, Path):
                if _put_aside(source, folder / name, keep) == "link":
                    job.linked[name] = _signs(folder / name)
            else:
                job.to_write[name] = source
        if not job.to_write:
            job.finish_writing()
    except BaseException:
        job.discard()
        raise
    return job


def left_over(spool: Path) -> tuple[list[Job], int]:
    """The checkpoints that a killed process left, in their order; and how many there were that cannot be trusted."""
    if not spool.is_dir():
        return [], 0
    boot = this_process("run").boot
    found, lost = [], 0
    for folder in sorted(spool.iterdir()):
        job = _read(folder)
        if job is not None and job.boot == boot:
            found.append(job)
        else:
            lost += job is not None
            remove(folder)
    return sorted(found, key=lambda job: (job.step, job.folder.name)), lost


def remove(folder: Path) -> None:
    """Remove a folder of the spool; its `job.json` first, so that it counts no more."""
    fsio.step("rmtree", folder)
    with contextlib.suppress(OSError):
        (folder / _JOB).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> Job | None:
    try:
        row = json.loads((folder / _JOB).read_bytes())
        metrics = {name: float(text) if not _is_whole(text) else int(text) for name, text in row["metrics"].items()}
        files = {str(path): str(name) for path, name in row["files"].items()}
        job = Job(int(row["step"]), folder, files, metrics, row["message"], boot=str(row["boot"]), stands=True)
        job.linked = {str(name): [int(size), int(mtime)] for name, (size, mtime) in row["linked"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    plain = all(name.isdigit() for name in files.values())
    return job if plain and all(path.is_file() for path in job.sources().values()) else None


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdigit()


# What was handed over -----------------------------------------------------------------------


def _wanted(given: Given, buffers: Buffers) -> Iterator[tuple[str, Path | Write]]:
    if isinstance(given, Mapping):
        for path, source in given.items():
            yield from _under(str(path).rstrip("/"), source, buffers)
    elif isinstance(given, (list, tuple)):
        for each in given:
            yield from _under(_path(each).name, each, buffers)
    else:
        top = _path(given)
        yield from _files_in(top, "") if top.is_dir() else _under(top.name, top, buffers)


def _under(path: str, source: Any, buffers: Buffers) -> Iterator[tuple[str, Path | Write]]:
    if isinstance(source, (str, os.PathLike)):
        place = _path(source)
        if place.is_dir():
            yield from _files_in(place, f"{path}/")
        elif place.is_file():
            yield path, place
        else:
            raise NotFound(f"there is no file '{place}' to keep as checkpoint")
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield path, _bytes_writer(bytes(source))
    else:
        yield path, _object(path, source, buffers)


def _path(given: Any) -> Path:
    if not isinstance(given, (str, os.PathLike)):
        raise UsageError(f"{type(given).__name__} is no path", hint='objects need a name: {"model.safetensors": ...}')
    place = Path(given)
    if not os.path.lexists(place):
        raise NotFound(f"there is no '{place}' to keep as checkpoint")
    return place


def _files_in(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for place in sorted(folder.rglob("*")):
        inner = place.relative_to(folder)
        # A folder that was restored, or cloned, holds what mvc or Git keep there: no part of the checkpoint.
        if place.is_file() and not _KEPT.intersection(inner.parts):
            yield prefix + inner.as_posix(), place


def _object(path: str, value: Any, buffers: Buffers) -> Write:
    if path.endswith(".json"):
        return _bytes_writer(json.dumps(value, indent=2).encode() + b"\n")
    if path.endswith(".safetensors") and is_state_dict(value):
        host: HostTensors = copy_to_host(path, value, buffers)
        return host.write
    if path.endswith(_PICKLED) and "torch" in sys.modules:
        torch: Any = sys.modules["torch"]
        copied = frozen(value)
        return lambda target: torch.save(copied, target)
    raise UsageError(
        f"'{path}': {type(value).__name__} cannot be kept under this name",
        hint="NAME.safetensors takes tensors by name, NAME.pt what torch.save takes, NAME.json what JSON can say",
    )


def _bytes_writer(data: bytes) -> Write:
    def write(target: Path) -> None:
        target.write_bytes(data)

    return write


# Putting aside ------------------------------------------------------------------------------


def _signs(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _put_aside(source: Path, target: Path, keep: Keep) -> Keep:
    """Returns how it went."""
    if source.is_symlink() and keep == "move":
        keep = "copy"
    if keep != "copy":
        with contextlib.suppress(OSError):  # another disk, or one without links: then it is copied
            if keep == "move":
                fsio.step("rename", target)
                os.rename(source, target)
            else:
                fsio.link(os.path.realpath(source), target)
            return keep
    _copy(source, target)
    if keep == "move":
        fsio.unlink(source)
    return "copy"


def _copy(source: Path, target: Path) -> None:
    """Copy a file, as the system does it best: without a byte moved where it can share blocks, else inside of it."""
    fsio.step("create", target)
    with open(source, "rb", buffering=0) as old, open(target, "xb", buffering=0) as new:
        found = os.fstat(old.fileno())
        if not _cloned(old.fileno(), new.fileno(), found):
            _copied(old.fileno(), new.fileno())
        if found.st_mode & stat.S_IXUSR and hasattr(os, "fchmod"):
            os.fchmod(new.fileno(), 0o755)


def _cloned(old: int, new: int, found: os.stat_result) -> bool:
    if sys.platform != "linux" or found.st_dev in _CLONES:
        return False
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS):
            _CLONES.add(found.st_dev)
        return False
    return True


def _copied(old: int, new: int) -> None:
    offset = 0
    if hasattr(os, "copy_file_range"):
        try:
            while count := os.copy_file_range(old, new, 1 << 30, offset, offset):
                offset += count
            return
        except OSError as error:
            if offset or error.errno == errno.ENOSPC:
                raise
    while data := os.read(old, 1 << 22):
        view = memoryview(data)
        while view:
            view = view[os.write(new, view) :]
