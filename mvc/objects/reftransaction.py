"""Moving refs: all or none, by compare-and-swap, with Git's own lock files.

`<ref>.lock`, made with O_EXCL, is Git's protocol, so real git and mvc keep out of each other's way.
Git writes the new value into the lock and renames it; mvc's lock tells its holder instead (so that
one left by a killed process can be told from one in use), and the value comes by a rename beside it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.errors import Locked, RefChanged, Refused
from mvc.lazy import load
from mvc.objects import reflog
from mvc.objects.model import Signature
from mvc.objects.reffiles import RefFiles, dump_packed
from mvc.objects.reflog import ReflogEntry
from mvc.objects.refs import ANY, RefChange

_HOLD = "mvc.store.locks:hold"
"""Loaded when something is to move: a command that only reads refs starts faster without."""

_LOGGED = ("refs/heads/", "refs/remotes/", "refs/notes/", "refs/aliases/")


@dataclass(frozen=True, slots=True)
class Why:
    """What goes into the reflogs."""

    message: str
    author: Signature


class Transaction:
    """Holds the locks of some refs for the length of a `with` block."""

    def __init__(self, files: RefFiles, *, wait: float) -> None:
        self._files = files
        self._wait = wait
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def lock(self, *refs: str) -> None:
        """Lock refs, all or none. Raises Locked, or Refused where a folder would have to be made of a ref.

        Nothing is waited for while anything is held: real git takes HEAD's lock before that of HEAD's branch, or after
        it, by which of the two it was told to move, so each could wait for what the other holds. What was not free is
        what the next round begins with, as in C++'s `std::lock`.
        """
        deadline = time.monotonic() + self._wait
        left = list(refs)
        while left:
            with contextlib.ExitStack() as taken:
                for at, ref in enumerate(left):
                    try:
                        self._take(ref, taken, wait=0.0 if at else max(deadline - time.monotonic(), 0.0))
                    except Locked:
                        if at == 0 or time.monotonic() >= deadline:
                            raise
                        left.insert(0, left.pop(at))
                        break
                else:
                    self._stack.push(taken.pop_all())
                    return

    def _take(self, ref: str, stack: contextlib.ExitStack, *, wait: float) -> None:
        path = self._files.path(ref)
        lock_path = path.with_name(path.name + ".lock")
        for attempt in range(3):
            # A process that deletes the last ref of a folder may remove the folder at any moment.
            _remove_empty_folders(path)
            try:
                fsio.make_dirs(path.parent)
                stack.enter_context(load(_HOLD)(lock_path, what="moving refs", wait=wait))
                return
            except NotADirectoryError as error:
                raise Refused(f"{ref} cannot be made: a part of its name is a ref already") from error
            except FileNotFoundError:
                if attempt == 2:
                    raise

    def lock_packed(self) -> None:
        """Lock packed-refs. Raises Locked."""
        path = self._files.packed_path
        lock_path = path.with_name(path.name + ".lock")
        self._stack.enter_context(load(_HOLD)(lock_path, what="packing refs", wait=self._wait))

    def compare(self, changes: Sequence[RefChange]) -> list[RefChange]:
        """The changes with `old` as it is, without those that change nothing. Raises RefChanged, Refused."""
        moves: list[RefChange] = []
        for change in changes:
            now = self._files.read(change.ref)
            if change.old not in {ANY, now}:
                raise RefChanged(
                    f"{change.ref} is at {now or 'nothing'}, not at {change.old or 'nothing'} as expected",
                    hint="another process moved it: look again, then repeat",
                )
            if now != change.new:
                moves.append(RefChange(change.ref, now, change.new))
        gone = {change.ref for change in moves if change.new is None}
        for move in moves:
            if move.old is None:
                self._check_room(move.ref, gone)
        return moves

    def _check_room(self, ref: str, gone: set[str]) -> None:
        """A name cannot be a ref and a folder of refs."""
        if "/" not in ref:
            return
        others = [name for name in self._files.list(ref + "/") if name not in gone]
        parts = ref.split("/")
        above = ["/".join(parts[:count]) for count in range(3, len(parts))]
        others += [name for name in above if name not in gone and self._files.content(name) is not None]
        if others:
            raise Refused(f"{ref} cannot be made: {others[0]} exists", hint="choose another name, or rename that one")

    def log(self, moves: Sequence[RefChange], why: Why, head_branch: str | None) -> None:
        """Write the reflogs, durably: before the refs move, so that no move is without its line."""
        for move in moves:
            entry = ReflogEntry(move.old, move.new, why.author, why.message)
            path = self._files.reflog_path(move.ref)
            if move.new is not None and (is_logged(move.ref) or path.exists()):
                reflog.append(path, entry)
            if move.ref == head_branch:
                reflog.append(self._files.reflog_path("HEAD"), entry)

    def swap(self, moves: Sequence[RefChange]) -> None:
        """Move the refs. Each is swapped in one step."""
        gone = {move.ref for move in moves if move.new is None}
        if gone & self._files.packed().keys():
            # The packed value goes first: it must never come to light again.
            packed = {name: value for name, value in self._files.packed().items() if name not in gone}
            self.write(self._files.packed_path, dump_packed(packed))
        for move in moves:
            path = self._files.path(move.ref)
            if move.new is not None:
                self.write(path, f"{move.new}\n".encode())
                continue
            fsio.unlink(path, missing_ok=True)
            fsio.unlink(self._files.reflog_path(move.ref), missing_ok=True)
            if path.parent.is_dir():
                fsio.fsync_dir(path.parent)

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file that is locked."""
        fsio.write_atomic(path, data, tmp_dir=self._files.tmp_dir)


def is_logged(ref: str) -> bool:
    """Whether a ref gets a reflog of its own accord (as with Git's core.logAllRefUpdates)."""
    return ref in {"HEAD", "refs/stash"} or ref.startswith(_LOGGED)


def _remove_empty_folders(path: Path) -> None:
    """A folder that stands where a ref is to be goes if there is nothing in it but empty folders."""
    if not path.is_dir() or path.is_symlink():
        return
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def tidy(files: RefFiles, refs: Sequence[str]) -> None:
    """Remove the folders that deleted refs and their reflogs leave empty."""
    for ref in refs:
        for path in (files.path(ref), files.reflog_path(ref)):
            for folder in _inner_folders(path):
                try:
                    os.rmdir(folder)
                except OSError:
                    break


def _inner_folders(path: Path) -> Iterator[Path]:
    """The folders above a ref that are not `refs/heads` and its like, the inmost first."""
    for folder in path.parents:
        if folder.parent.name == "refs" or folder.name == "refs":
            return
        yield folder
