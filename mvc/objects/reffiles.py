"""Refs as files: where each lies, and reading them, loose and packed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mvc.errors import IntegrityError
from mvc.objects import refnames
from mvc.objects.encoding import is_id

_OWN = ("refs/bisect/", "refs/worktree/", "refs/rewritten/")
_MAX_SYMBOLIC = 5
_SYMBOLIC = "ref:"


class RefFiles:
    """The files behind the refs that one worktree sees. HEAD and its like, `refs/bisect/`, `refs/worktree/` and
    `refs/rewritten/` are the worktree's own (in `git_dir`), all others are shared (in `common_dir`)."""

    def __init__(self, git_dir: Path, common_dir: Path) -> None:
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.tmp_dir = common_dir / "tmp"
        self._packed: tuple[tuple[int, int, int], dict[str, str]] | None = None

    def _home(self, ref: str) -> Path:
        return self.git_dir if "/" not in ref or ref.startswith(_OWN) else self.common_dir

    def path(self, ref: str) -> Path:
        """Where a ref is if it is loose. Raises UsageError for a name that is none: it could lead anywhere."""
        return self._home(refnames.check(ref)) / ref

    def reflog_path(self, ref: str) -> Path:
        """Where the reflog of `ref` is (it may not exist). Read it with `mvc.objects.reflog.read`."""
        return self._home(refnames.check(ref)) / "logs" / ref

    @property
    def packed_path(self) -> Path:
        """Where packed refs are."""
        return self.common_dir / "packed-refs"

    def content(self, ref: str) -> str | None:
        """What stands for a ref, loose or packed: an id, or "ref: name"; None if it does not exist.

        Raises IntegrityError if the file holds neither.
        """
        path = self.path(ref)
        try:
            # Git knows refs of no more than a name in them: a large file is none.
            with open(path, "rb") as file:
                text = file.read(8192).decode("utf-8", "surrogateescape").rstrip("\r\n ")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            if path.is_file():
                raise
            return self.packed().get(ref)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return self.packed().get(ref)
        if text.startswith(_SYMBOLIC):
            target = text[len(_SYMBOLIC) :].strip()
            if refnames.is_valid(target):
                return f"ref: {target}"
        elif is_id(text[:40]) and text[40:41].strip() == "":
            return text[:40]
        raise IntegrityError(f"the ref {ref} is damaged: it holds {text[:60]!r}", hint="mvc reflog shows where it was")

    def symbolic(self, ref: str) -> str | None:
        """The full name that a symbolic ref points to, or None if it is not symbolic."""
        content = self.content(ref)
        return content[5:] if content is not None and content.startswith(_SYMBOLIC) else None

    def read(self, ref: str) -> str | None:
        """The id that `ref` (a full name, or HEAD, MERGE_HEAD...) points to, through symbolic refs; None if none."""
        name = ref
        for _ in range(_MAX_SYMBOLIC + 1):
            content = self.content(name)
            if content is None or not content.startswith(_SYMBOLIC):
                return content
            name = content[5:]
        raise IntegrityError(f"the symbolic ref {ref} goes in a circle")

    def packed(self) -> dict[str, str]:
        """All packed refs: name -> id. Read again when the file changed."""
        try:
            with open(self.packed_path, "rb") as file:
                stat = os.fstat(file.fileno())
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if self._packed is not None and self._packed[0] == stamp:
                    return self._packed[1]
                refs = parse_packed(file.read())
        except FileNotFoundError:
            return {}
        self._packed = stamp, refs
        return refs

    def loose_names(self, prefix: str = "refs/") -> Iterator[str]:
        """The names of all loose refs that begin with `prefix`."""
        folder = prefix.rpartition("/")[0]
        homes = {self.common_dir, self.git_dir}
        for home in homes:
            for name in _files(home, folder):
                if name.startswith(prefix) and self._home(name) == home and refnames.is_valid(name):
                    yield name

    def list(self, prefix: str = "refs/") -> dict[str, str]:
        """All refs whose full name begins with `prefix`, sorted by name: name -> id.

        Broken ones are left out, as Git does; `mvc fsck` tells of them.
        """
        found = {name: value for name, value in self.packed().items() if name.startswith(prefix)}
        for name in self.loose_names(prefix):
            try:
                value = self.read(name)
            except IntegrityError:
                continue
            if value is not None:
                found[name] = value
            else:
                found.pop(name, None)
        return dict(sorted(found.items()))


def parse_packed(data: bytes) -> dict[str, str]:
    """The refs in a packed-refs file. Raises IntegrityError for a line that is none."""
    refs: dict[str, str] = {}
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if not line or line[0] in "#^":
            continue
        value, _, name = line.rstrip("\r").partition(" ")
        if not is_id(value) or not refnames.is_valid(name):
            raise IntegrityError(f"packed-refs is damaged: it holds {line[:60]!r}")
        refs[name] = value
    return refs


def dump_packed(refs: dict[str, str]) -> bytes:
    """A packed-refs file. It does not claim to be peeled, so that readers look at the objects."""
    lines = ["# pack-refs with: sorted "] + [f"{value} {name}" for name, value in sorted(refs.items())]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _files(home: Path, folder: str) -> Iterator[str]:
    try:
        with os.scandir(home / folder) as entries:
            rows = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in rows:
        name = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _files(home, name)
        elif not name.endswith(".lock"):
            yield name
