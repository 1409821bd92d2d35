"""Reflogs: one line for each move of a ref, oldest first, as Git writes them.

A line: `<old> <new> Name <email> seconds +hhmm<TAB>message`. The caller holds the ref's lock for writing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mvc import fsio
from mvc.objects.encoding import dump_signature, is_id, parse_signature
from mvc.objects.model import Signature

Keep = Callable[["ReflogEntry"], bool]
"""Whether an entry stays."""

ZERO = "0" * 40


class ReflogEntry(NamedTuple):
    """A move from `old` to `new` (None: did not exist), by whom and when, and why (`message`: "commit: text")."""

    old: str | None
    new: str | None
    who: Signature
    message: str


def read(path: Path) -> list[ReflogEntry]:
    """All entries of a reflog, the NEWEST FIRST (so that index n is `@{n}`). Empty if there is no file.

    Lines that are no entries (the torn end after a crash) are left out; `malformed` counts them.
    """
    return [entry for line in reversed(_lines(path)) if (entry := _parse(line)) is not None]


def malformed(path: Path) -> int:
    """How many lines are no entries."""
    return sum(_parse(line) is None for line in _lines(path))


def append(path: Path, entry: ReflogEntry) -> None:
    """Add an entry, durably. A torn line at the end, left by a crash, is cut off before."""
    known = path.exists()
    if not known:
        fsio.make_dirs(path.parent)
    fsio.step("append", path)
    with open(path, "r+b" if known else "w+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(max(end - 65536, 0))
            tail = file.read()
            if not tail.endswith(b"\n"):
                end -= len(tail) - (tail.rfind(b"\n") + 1)
                file.truncate(end)
            file.seek(end)
        file.write(dump(entry))
        fsio.step("fsync", path)
        os.fsync(file.fileno())
    if not known:
        fsio.fsync_dir(path.parent)


def expire(path: Path, keep: Keep, *, dry_run: bool = False) -> int:
    """Drop the entries for which `keep` says no; returns how many.

    The entries that stay keep their old and new ids, so `@{n}` counts only what is left.
    """
    lines = _lines(path)
    stay = [line for line in lines if (entry := _parse(line)) is None or keep(entry)]
    if len(stay) < len(lines) and not dry_run:
        fsio.write_atomic(path, b"".join(line + b"\n" for line in stay))
    return len(lines) - len(stay)


def rewrite(path: Path, change: Callable[[ReflogEntry], ReflogEntry | None]) -> int:
    """Put what `change` makes of each entry in its place (None: drop it); returns how many changed."""
    before = [entry for line in _lines(path) if (entry := _parse(line)) is not None]
    after = [change(entry) for entry in before]
    if after != before:
        fsio.write_atomic(path, b"".join(dump(entry) for entry in after if entry is not None))
    return sum(one != two for one, two in zip(before, after, strict=True))


def dump(entry: ReflogEntry) -> bytes:
    """An entry as a line. White space in the message shrinks to single blanks, as Git does."""
    message = " ".join(entry.message.split()).encode("utf-8", "surrogateescape")
    head = f"{entry.old or ZERO} {entry.new or ZERO} ".encode()
    return head + dump_signature(entry.who) + (b"\t" + message if message else b"") + b"\n"


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []


def _parse(line: bytes) -> ReflogEntry | None:
    old, new = line[:40].decode("ascii", "replace"), line[41:81].decode("ascii", "replace")
    if not (is_id(old) and is_id(new) and line[40:41] == b" " == line[81:82]):
        return None
    who, _, message = line[82:].partition(b"\t")
    return ReflogEntry(
        None if old == ZERO else old,
        None if new == ZERO else new,
        parse_signature(who),
        message.decode("utf-8", "surrogateescape"),
    )
