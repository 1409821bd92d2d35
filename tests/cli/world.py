"""What the tests of commands share: what a command did, and histories made by plain git."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Mvc = Callable[..., Ran]


class History:
    """Makes commits in a repository with plain git, quickly: all of mvc's readers must do with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: list[bytes] = []
        self._marks = 0

    def commit(self, message: str, files: dict[str, bytes | str], *, parents: tuple[int, ...] = (), **more: Any) -> int:
        """Queue a commit on `ref` (main); returns its mark. `files` are added to those of the first parent."""
        self._marks += 1
        time = more.get("time", 1_700_000_000 + 60 * self._marks)
        who = f"{more.get('author', 'Ann Other <ann@example.org>')} {time} +0100"
        ref = more.get("ref", "refs/heads/main")
        lines = [f"commit {ref}\nmark :{self._marks}\nauthor {who}\ncommitter {who}\n".encode()]
        lines.append(_data(message.encode("utf-8", "surrogateescape")))
        for index, parent in enumerate(parents):
            lines.append(f"{'merge' if index else 'from'} :{parent}\n".encode())
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            lines += [b"M 100644 inline " + name.encode("utf-8", "surrogateescape") + b"\n", _data(data)]
        self._stream.append(b"".join(lines) + b"\n")
        return self._marks

    def tag(self, name: str, mark: int) -> None:
        """Queue a light tag."""
        self._stream.append(f"reset refs/tags/{name}\nfrom :{mark}\n\n".encode())

    def write(self) -> None:
        """Make what is queued."""
        git(self.path, "fast-import", "--quiet", "--force", data=b"".join(self._stream))
        self._stream.clear()


def _data(data: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(data), data)


def git(path: Path, *arguments: str, data: bytes = b"") -> bytes:
    """Real git on the repository's Git side."""
    return subprocess.run(
        ["git", "--git-dir", str(path / ".mvc"), *arguments], input=data, capture_output=True, check=True
    ).stdout
