"""What has been imported from a source: `.mvc/imports/<name>`, specified in docs/format/imports.md.

Lines are only ever appended. A line counts for what the repository still has: `known` is asked for each commit.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from mvc import fsio
from mvc.errors import UnsupportedFormat

MAGIC = "mvc-import 1"
_COMMIT = re.compile(r"commit (\S+) ([0-9a-f]{40})\Z")
_CONTENT = re.compile(r"content (\S+) ([0-9a-f]{40})\Z")
_PLAIN = ":/@+=,"
_TAIL = 64 * 1024
"""Bytes, more than any line has."""
_VERSION = re.compile(r"mvc-import ([0-9]+)\Z")


def record_name(kind: str, place: str, variant: str) -> str:
    """The name of the record of a source. `variant`: options that make other commits of the same source."""
    digest = hashlib.sha256("\0".join((kind, place, variant)).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{kind}-{digest[:16]}"


def commits_in(path: Path) -> Iterator[str]:
    """Our commits that a record names, whether or not they are still here."""
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n") and (found := _COMMIT.match(line[:-1].decode("utf-8", "replace"))):
                yield found[2]


class Record:
    """The commits made of a source, and the blobs of its contents."""

    def __init__(self, path: Path, kind: str, place: str) -> None:
        self.path = path
        self.commits: dict[str, str] = {}
        """A commit of the source -> ours."""
        self.contents: dict[str, str] = {}
        """An entry's key -> our blob (a manifest, or the file itself)."""
        self._head = [MAGIC, f"kind {kind}", f"source {_quoted(place)}"]
        self._fresh: list[str] = []

    def load(self, known: Callable[[str], bool], kept: Collection[str]) -> None:
        """Read what stands. `known`: whether a commit is still reached by a ref; `kept`: blobs that are kept
        though no commit has them yet. Raises UnsupportedFormat for a record of a newer mvc."""
        try:
            text = self.path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return
        lines = text.split("\n")[:-1]  # a torn line at the end does not count
        version = _VERSION.match(lines[0]) if lines else None
        if version is not None and version[1] != MAGIC.split()[1]:
            raise UnsupportedFormat(f"{self.path} is of version {version[1]}", hint="upgrade mvc")
        pending: dict[str, str] = {}
        for line in lines[1:]:
            if content := _CONTENT.match(line):
                pending[unquote(content[1])] = content[2]
            elif commit := _COMMIT.match(line):
                if known(commit[2]):
                    self.commits[unquote(commit[1])] = commit[2]
                    self.contents.update(pending)
                pending.clear()
        self.contents.update((key, blob) for key, blob in pending.items() if blob in kept)

    def add_content(self, key: str, blob: str) -> None:
        """From now on; durable after `save`."""
        self.contents[key] = blob
        self._fresh.append(f"content {quote(key, safe=_PLAIN)} {blob}")

    def add_commit(self, source_id: str, commit_id: str) -> None:
        """As `add_content`. The contents since the last one are the commit's."""
        self.commits[source_id] = commit_id
        self._fresh.append(f"commit {quote(source_id, safe=_PLAIN)} {commit_id}")

    def save(self) -> None:
        """Make what was added durable. All that it names must be."""
        if not self._fresh:
            return
        fsio.make_dirs(self.path.parent)
        known = self.path.exists()
        fsio.step("append", self.path)
        with open(self.path, "r+b" if known else "w+b", buffering=0) as file:
            end = _whole(file) if known else 0
            file.truncate(end)
            file.seek(end)
            lines = self._fresh if end else [*self._head, *self._fresh]
            data = memoryview("".join(f"{line}\n" for line in lines).encode())
            while data:
                data = data[file.write(data) :]
            fsio.step("fsync", self.path)
            os.fsync(file.fileno())
        if not known:
            fsio.fsync_dir(self.path.parent)
        self._fresh = []


def _whole(file: io.FileIO) -> int:
    """Where the last whole line ends."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _TAIL))
    return start + file.read(_TAIL).rfind(b"\n") + 1


def _quoted(text: str) -> str:
    return text.encode("unicode_escape", "backslashreplace").decode()
