"""The files that a commit changed, as `log` and `show` are asked to tell them."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.cli.files_text import file_lines
from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.lazy import load
from mvc.ops.file_versions import FileDiff, Status

_DIFF = "mvc.ops.diff:Diff"
_PATCH = "mvc.cli.diff_text:diff_lines"
_TEXTS = "mvc.ops.text_diff:text_diffs"
"""Loaded where tensors and lines are told of."""


def changed_lines(session: Session, files: Sequence[FileDiff], how: str = "stat") -> list[str]:
    """`how`: "stat" (with sizes), "names", "letters" (as `--name-status`), or "patch" (as `mvc diff`)."""
    if how == "names":
        return [printable_path(one.path) for one in files]
    if how == "letters":
        return [letter_line(one) for one in files]
    if how == "patch":
        found = load(_DIFF)("", "", tuple(files))
        lines: list[str] = load(_PATCH)(session, found, {}, load(_TEXTS)(session.repo(), files))
        return lines
    return file_lines(session, files)


def letter_line(one: FileDiff) -> str:
    """As `git diff --name-status` has it."""
    if one.status is Status.RENAMED:
        return f"R100\t{printable_path(one.old_path or '')}\t{printable_path(one.path)}"
    return f"{one.status.value}\t{printable_path(one.path)}"
