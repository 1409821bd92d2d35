"""The block in `.gitignore` that keeps what mvc tracks out of Git.

Lines around the block are the user's and stay as they are. Inside, each line is one path from the
worktree's top; a folder in which mvc tracks very many files, and Git none, stands as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from mvc.fsio import write_atomic
from mvc.objects.outergit import GitTracked, git_tracked
from mvc.repo.pathbytes import encode
from mvc.repo.repository import MVC_DIR, Repository
from mvc.repo.stage import Stage

FILE = ".gitignore"
BEGIN = b"# >>> mvc: what it tracks; kept by mvc add and mvc rm >>>"
END = b"# <<< mvc <<<"
_MANY = 200
"""With more files of mvc's in one folder, and none of Git's, the folder is ignored as a whole."""
_SPECIAL = re.compile(rb"([*?\[\\])")


def update_ignore_file(repo: Repository, stage: Stage) -> bool:
    """Bring the block up to date with what is staged; returns whether the file changed. Nothing outside of Git.

    A `.gitignore` that is a link is left alone (Git does not follow it either).
    """
    project = repo.git_project
    if project is None:
        return False
    top = repo.require_worktree()
    path = top / FILE
    if path.is_symlink():
        return False
    below = top.relative_to(project).as_posix()
    tracked = git_tracked(project, "" if below == "." else below)
    before = path.read_bytes() if path.exists() else b""
    after = with_block(before, ignore_lines(stage.paths(), tracked))
    if after == before:
        return False
    write_atomic(path, after, sync=False)
    return True


def has_ignore_block(repo: Repository) -> bool:
    """Does `.gitignore` keep `.mvc` out of Git already, with a block of ours? So in a fresh clone of Git's."""
    if repo.git_project is None:
        return False
    path = repo.require_worktree() / FILE
    text = path.read_bytes() if path.is_file() else b""
    start = text.find(BEGIN)
    end = text.find(END, start)
    return 0 <= start < end and b"/" + MVC_DIR.encode() in text[start:end].splitlines()


def ignore_lines(paths: Iterable[str], git: GitTracked) -> list[bytes]:
    """The block's lines: `.mvc` itself, then mvc's paths. What Git tracks all the same is left out: ignoring it
    would do nothing."""
    mine = [path for path in paths if not git.holds(path)]
    gits_folders = {folder for path in git.files for folder in _above(path)}
    counts = Counter(path.rpartition("/")[0] for path in mine)
    whole = {folder for folder, count in counts.items() if folder and count > _MANY and folder not in gits_folders}
    lines = {_pattern(path) for path in mine if not any(folder in whole for folder in _above(path))}
    lines.update(_pattern(folder) + b"/" for folder in whole if not any(above in whole for above in _above(folder)))
    return [b"/" + MVC_DIR.encode(), *sorted(lines)]


def with_block(text: bytes, lines: list[bytes]) -> bytes:
    """`text` with the block's lines replaced, or with the block at its end."""
    newline = b"\r\n" if b"\r\n" in text else b"\n"
    block = newline.join([BEGIN, *lines, END])
    start = text.find(BEGIN)
    end = text.find(END, start)
    if start >= 0 and end >= 0:
        return text[:start] + block + text[end + len(END) :]
    gap = b"" if not text or text.endswith(newline) else newline
    return text + gap + block + newline


def _pattern(path: str) -> bytes:
    """A path as an anchored pattern that matches nothing else (a line end, which no pattern can hold, as `?`)."""
    escaped = _SPECIAL.sub(rb"\\\1", encode(path)).replace(b"\n", b"?")
    if escaped.endswith(b" "):
        escaped = escaped[:-1] + b"\\ "
    return b"/" + (escaped.replace(b"\r", b"?") if escaped.endswith(b"\r") else escaped)


def _above(path: str) -> Iterable[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)
