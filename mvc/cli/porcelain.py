"""`status --porcelain` and `--short`: Git's version 1 format, which scripts read and which therefore never changes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from mvc.cli.tracking_text import tracking_brief
from mvc.ops.tracking import Tracking
from mvc.repo.pathbytes import in_order
from mvc.repo.status import FileChange, Status

_ODD = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_SHORT = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}

Line = tuple[str, str, str | None]
"""Two letters, path, old path of a rename."""


def status_lines(status: Status) -> Iterator[Line]:
    """The rows of the format: tracked files by path, then "??", then "!!"."""
    staged = {change.path: change for change in status.staged}
    unstaged = {change.path: change.change.value for change in status.unstaged}
    conflicts = {conflict.path: conflict.code for conflict in status.conflicts}
    for path in in_order({*staged, *unstaged, *conflicts}):
        change: FileChange | None = staged.get(path)
        letters = conflicts.get(path) or (change.change.value if change else " ") + unstaged.get(path, " ")
        yield letters, path, change.old_path if change else None
    yield from (("??", path, None) for path in status.untracked)
    yield from (("!!", path, None) for path in status.ignored)


def branch_line(status: Status, tracking: Tracking | None = None) -> str:
    """The line of `--branch`."""
    head = status.head
    if head.branch is None:
        return "## HEAD (no branch)"
    name = f"## {head.short}" if head.id else f"## No commits yet on {head.short}"
    if tracking is None:
        return name
    brief = tracking_brief(tracking)
    return f"{name}...{tracking.name}" + (f" [{brief}]" if brief else "")


def porcelain(status: Status, *, zero: bool, branch: bool, tracking: Tracking | None = None) -> str:
    """The whole output. With `zero` paths are raw and end in NUL, the old path of a rename after the new one."""
    lines = [branch_line(status, tracking)] if branch else []
    for letters, path, old in status_lines(status):
        if zero:
            lines.append(f"{letters} {path}" + (f"\0{old}" if old is not None else ""))
        else:
            lines.append(f"{letters} " + (f"{quoted(old)} -> " if old is not None else "") + quoted(path))
    end = "\0" if zero else "\n"
    return "".join(line + end for line in lines)


def short(
    status: Status,
    prefix: str,
    paint: Callable[[str, str], str],
    *,
    branch: bool,
    tracking: Tracking | None = None,
) -> str:
    """For people: as porcelain, but with paths from the folder `prefix`, and in colour."""
    lines = [branch_line(status, tracking)] if branch else []
    for letters, path, old in status_lines(status):
        name = quoted(relative(path, prefix))
        if old is not None:
            name = f"{quoted(relative(old, prefix))} -> {name}"
        if letters in ("??", "!!") or "U" in letters or letters in ("AA", "DD"):
            shown = paint(letters, "red")
        else:
            shown = paint(letters[0], "green") + paint(letters[1], "red")
        lines.append(f"{shown} {name}")
    return "".join(line + "\n" for line in lines)


def quoted(path: str) -> str:
    """As Git prints a path here: in C's style if bytes are odd or beyond ASCII, in quotes if a space occurs."""
    raw = path.encode("utf-8", "surrogateescape")
    if _ODD.search(raw):
        return '"' + _ODD.sub(_escape, raw).decode("ascii") + '"'
    return f'"{path}"' if " " in path else path


def relative(path: str, prefix: str) -> str:
    """A path of the worktree as seen from its folder `prefix`; a slash at the end stays."""
    if not prefix:
        return path
    return posixpath.relpath("/" + path, "/" + prefix) + ("/" if path.endswith("/") else "")


def _escape(found: re.Match[bytes]) -> bytes:
    byte = found[0][0]
    return b"\\" + _SHORT[byte] if byte in _SHORT else b"\\%03o" % byte
