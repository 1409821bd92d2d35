"""A Git repository that an export writes: `DEST/.git`, without a checkout. What was exported before is known there.

Commits keep author, committer, dates and message, and are made of nothing else but the version: the same export
gives the same ids, so one may be repeated, and goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mvc import fsio
from mvc.errors import Refused
from mvc.exporters.contents import Written
from mvc.objects.batch import ObjectBatch
from mvc.objects.database import Objects
from mvc.objects.encoding import is_id
from mvc.objects.model import Signature
from mvc.objects.refs import RefChange, Refs

RECORD = "mvc-export"
"""A file in `.git`: what was exported, and by its presence that an export may write here."""
_MAGIC = "mvc-export 1"
_CONTENT = re.compile(r"content ([0-9a-f]{40}) ([0-9a-f]{32,64}) ([0-9]{1,19})\Z")
_COMMIT = re.compile(r"commit ([0-9a-f]{40}) ([0-9a-f]{40})\Z")
_FOLDERS = ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info")
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"


class GitProject:
    """The project at `path`, which is made, or was by an export of the same kind. Raises Refused for any other."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.git_dir = path, path / ".git"
        self._record = self.git_dir / RECORD
        self._head = f"{_MAGIC} {kind}"
        self.commits: dict[str, str] = {}
        self.contents: dict[str, Written] = {}
        self._fresh: list[str] = []
        self._open()
        self.objects = Objects(self.git_dir / "objects", tmp_dir=self.git_dir / "tmp")
        self.refs = Refs(self.git_dir, self.git_dir)

    def batch(self) -> ObjectBatch:
        return self.objects.batch()

    def add_commit(self, ours: str, theirs: str) -> None:
        self.commits[ours] = theirs
        self._fresh.append(f"commit {ours} {theirs}")

    def add_content(self, blob: str, written: Written) -> None:
        self.contents[blob] = written
        self._fresh.append(f"content {blob} {written.digest} {written.size}")

    def save(self) -> None:
        """Make the record durable. What it names must be."""
        if self._fresh:
            standing = self._record.read_bytes()
            whole = standing[: standing.rfind(b"\n") + 1]
            text = "".join(f"{line}\n" for line in self._fresh)
            fsio.write_atomic(self._record, whole + text.encode(), tmp_dir=self.git_dir / "tmp")
            self._fresh = []

    def move(self, refs: Mapping[str, str], head: str | None, who: Signature) -> list[tuple[str, str | None, str]]:
        """Let refs name these objects, by compare-and-swap; (ref, before, now) of those that moved."""
        moved = [(ref, old, new) for ref, new in refs.items() if (old := self.refs.read(ref)) != new]
        if moved:
            changes = [RefChange(ref, old, new) for ref, old, new in moved]
            self.refs.update(changes, message="mvc export", author=who)
        if head is not None and head in refs and self.refs.head().id is None:
            fsio.write_atomic(self.git_dir / "HEAD", f"ref: {head}\n".encode("utf-8", "surrogateescape"))
        return moved

    def _open(self) -> None:
        if self._record.is_file():
            lines = self._record.read_text("ascii", "replace").split("\n")
            if lines[0] != self._head:
                raise Refused(f"{self.path} holds an export of another kind", hint="name another folder")
            self._load(lines[1:-1])
        elif self._is_taken():
            raise Refused(f"{self.path} is not empty, and no export made it", hint="name a new folder")
        else:
            fsio.make_dirs(self.git_dir)
            fsio.write_atomic(self._record, f"{self._head}\n".encode())
        for name in (*_FOLDERS, "tmp"):
            fsio.make_dirs(self.git_dir / name)
        # HEAD is what makes it a repository: last.
        for name, text in (("config", _CONFIG), ("HEAD", "ref: refs/heads/main\n")):
            if not (self.git_dir / name).exists():
                fsio.write_atomic(self.git_dir / name, text.encode())

    def _is_taken(self) -> bool:
        """Whether something is there that is not what a killed export left before it had its record."""
        if not self.path.is_dir():
            return self.path.exists()
        names = {one.name for one in self.path.iterdir()}
        return bool(names - {".git"}) or (self.git_dir / "HEAD").exists() or self.git_dir.is_file()

    def _load(self, lines: list[str]) -> None:
        for line in lines:
            if found := _CONTENT.match(line):
                self.contents[found[1]] = Written(found[2], int(found[3]))
            elif (found := _COMMIT.match(line)) and is_id(found[2]):
                self.commits[found[1]] = found[2]
