"""What is on its way into Git: the blobs of its index that the last commit does not hold, and their bytes.

The index, not the worktree: a file may be staged in part, changed since, or run through a filter (LFS).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from mvc.errors import IntegrityError, NotFound
from mvc.gitlink.outer import Project, ask, git_path, run

_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_REGULAR = (b"100644", b"100755")
_PIECE = 65536
_READ_WHOLE = 1 << 20
"""Up to so many bytes it takes longer to start a process than to read the rest of a blob."""


class StagedFile(NamedTuple):
    """`path` from the project's top. `id` names the blob, `size` in bytes."""

    path: str
    id: str
    size: int


def staged_files(project: Project) -> list[StagedFile]:
    """The regular files of the index that are other than in HEAD; in a merge, also than in what is merged in: that
    is in Git already."""
    top = project.require_top()
    head = "HEAD" if ask(top, "rev-parse", "-q", "--verify", "HEAD^{commit}") else _empty_tree(top)
    found = _differing(top, head)
    for other in _merged(project):
        merged = _differing(top, other)
        found = {path: blob for path, blob in found.items() if merged.get(path) == blob}
    sizes = _sizes(top, found.values())
    return [StagedFile(os.fsdecode(path), blob, sizes[blob]) for path, blob in found.items() if blob in sizes]


def committed_files(project: Project, revision: str) -> list[StagedFile]:
    """All regular files of a Git commit. Raises NotFound."""
    top = project.folder
    tree = ask(top, "rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{tree}}")
    if tree is None:
        raise NotFound(f"Git knows no revision '{revision}'", hint="git log")
    rows = run(top, "ls-tree", "-r", "-z", "--full-tree", tree.decode().strip()).split(b"\0")
    found: dict[bytes, str] = {}
    for row in filter(None, rows):
        head, _, path = row.partition(b"\t")
        mode, _, blob = head.split(b" ")
        if mode in _REGULAR:
            found[path] = blob.decode()
    sizes = _sizes(top, found.values())
    return [StagedFile(os.fsdecode(path), blob, sizes[blob]) for path, blob in found.items() if blob in sizes]


@dataclass(slots=True)
class Blobs:
    """Reads blobs: their first bytes without the rest, or whole. To be used as a context."""

    folder: Path
    objects: Path
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, project: Project) -> Blobs:
        return cls(project.folder, git_path(project, "objects"))

    def __enter__(self) -> Blobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.communicate()

    def head(self, blob: str, length: int, size: int) -> bytes:
        """Up to `length` first bytes of a blob of `size`. What was just staged is a loose object of which these are
        inflated. Any other is read whole by the one git that stands ready, unless it is large: then git is started for
        it alone, and stopped."""
        found = self._loose(blob, length)
        if found is not None:
            return found
        if size <= _READ_WHOLE:
            return self.read(blob)[:length]
        with subprocess.Popen(
            ["git", "cat-file", "blob", blob], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            data = process.stdout.read(length)
            process.kill()
        return data

    def read(self, blob: str) -> bytes:
        """All bytes: for blobs that fit into memory. Raises IntegrityError for one that is not there."""
        if self._process is None:
            command = ["git", "cat-file", "--batch"]
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        into, out = self._process.stdin, self._process.stdout
        assert into is not None and out is not None
        into.write(blob.encode() + b"\n")
        into.flush()
        words = out.readline().split()
        if len(words) != 3 or words[1] != b"blob":
            raise IntegrityError(f"Git's blob {blob} cannot be read", hint="git fsck")
        data = out.read(int(words[2]))
        out.read(1)
        return data

    def _loose(self, blob: str, length: int) -> bytes | None:
        try:
            with open(self.objects / blob[:2] / blob[2:], "rb") as file:
                inflate = zlib.decompressobj()
                data = b""
                end = -1
                while end < 0 or len(data) < end + 1 + length:
                    piece = file.read(4096)
                    if not piece:
                        break
                    data += inflate.decompress(piece, _PIECE + length)
                    end = data.find(b"\0") if end < 0 else end
        except (OSError, zlib.error):
            return None
        return data[end + 1 : end + 1 + length] if data.startswith(b"blob ") and end > 0 else None


def _differing(top: Path, revision: str) -> dict[bytes, str]:
    """Path -> blob of what the index holds other than `revision`."""
    # No renames: a moved file is looked at under its new name. Submodules and links are no files of ours.
    rows = run(
        top,
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "--ita-invisible-in-index",
        "--diff-filter=AMT",
        revision,
    )
    fields = rows.split(b"\0")
    found: dict[bytes, str] = {}
    for head, path in zip(fields[::2], fields[1::2], strict=False):
        words = head.split(b" ")
        if len(words) == 5 and words[1] in _REGULAR:
            found[path] = words[3].decode()
    return found


def _merged(project: Project) -> Sequence[str]:
    try:
        return (project.git_dir / "MERGE_HEAD").read_text().split()
    except OSError:
        return ()


def _empty_tree(top: Path) -> str:
    found = ask(top, "hash-object", "-t", "tree", "--stdin")
    return found.decode().strip() if found else _EMPTY


def _sizes(top: Path, blobs: Iterable[str]) -> dict[str, int]:
    """Bytes of each blob that is there (`git add -N` stages none)."""
    names = "".join(f"{blob}\n" for blob in dict.fromkeys(blobs))
    if not names:
        return {}
    rows = run(top, "cat-file", "--batch-check", data=names.encode()).decode().splitlines()
    return {words[0]: int(words[2]) for words in map(str.split, rows) if len(words) == 3 and words[1] == "blob"}
