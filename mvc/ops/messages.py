"""Commit messages: how they are cleaned, and those that mvc writes itself. All as Git words them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mvc.objects.model import Commit

_SCISSORS = "# ------------------------ >8 ------------------------"


def clean(message: str, *, comments: bool = False) -> str:
    """Git's `whitespace` cleaning, and with `comments` its `strip`: lines that begin with "#" go as well.

    Blanks at the ends of lines, empty lines at both ends and runs of empty lines go; the result
    ends with one line feed, or is empty.
    """
    lines = message.replace("\r\n", "\n").split("\n")
    if comments:
        if _SCISSORS in lines:
            lines = lines[: lines.index(_SCISSORS)]
        lines = [line for line in lines if not line.startswith("#")]
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    text = re.sub(r"\n{3,}", "\n\n", text)
    return text + "\n" if text else ""


def joined(paragraphs: Sequence[str]) -> str:
    """The message of several `-m`: a paragraph each."""
    return "\n\n".join(part.strip("\n") for part in paragraphs)


def merge_message(name: str, kind: str, into: str | None, default_branch: str) -> str:
    """ "Merge branch 'topic'": `kind` is "branch", "tag", "remote-tracking branch" or "commit"; `into`, the branch
    it is merged into, is named unless it is the default one."""
    tail = f" into {into}" if into is not None and into not in (default_branch, "main", "master") else ""
    if into is None:
        tail = " into HEAD"
    return f"Merge {kind} '{name}'{tail}\n"


def revert_message(commit: Commit, parent: int | None) -> str:
    """The message of the commit that reverts `commit` (with respect to its parent number `parent`, if a merge)."""
    subject = commit.summary
    if subject.startswith('Revert "') and not subject.startswith('Revert "Revert "'):
        title = f"Reapply {subject.removeprefix('Revert ')}"
    else:
        title = f'Revert "{subject}"'
    tail = ""
    if parent is not None:
        tail = f", reversing\nchanges made to {commit.parents[parent - 1]}"
    return f"{title}\n\nThis reverts commit {commit.id}{tail}.\n"


def picked_message(commit: Commit, *, note_origin: bool) -> str:
    """The message of a picked commit; with `note_origin` (`-x`) it says where it comes from."""
    if not note_origin:
        return commit.message
    body = commit.message.rstrip("\n")
    gap = "\n" if _ends_with_trailer(body) else "\n\n"
    return f"{body}{gap}(cherry picked from commit {commit.id})\n"


def with_conflicts(message: str, paths: Sequence[str]) -> str:
    """The message that waits in MERGE_MSG while conflicts are being resolved: they are listed as comments."""
    listing = "".join(f"#\t{path}\n" for path in paths)
    return f"{message.rstrip(chr(10))}\n\n# Conflicts:\n{listing}"


def _ends_with_trailer(body: str) -> bool:
    paragraphs = body.rsplit("\n\n", 1)
    return len(paragraphs) > 1 and all(
        re.match(r"[A-Za-z0-9-]+: |\(cherry picked from commit ", line) for line in paragraphs[1].split("\n")
    )
