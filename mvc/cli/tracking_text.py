"""How a branch stands to its upstream, in Git's words."""

from __future__ import annotations

from typing import Any

from mvc.cli.sizes import counted
from mvc.cli.text import printable_path
from mvc.ops.tracking import Followed, Tracking


def tracking_lines(one: Tracking) -> list[str]:
    """For `status` and `switch`: a sentence, and what to do about it."""
    name = printable_path(one.name)
    if one.gone:
        return [
            f"Your branch is based on '{name}', but the upstream is gone.",
            '  (use "mvc branch --unset-upstream" to fixup)',
        ]
    if one.ahead and one.behind:
        return [
            f"Your branch and '{name}' have diverged,",
            f"and have {one.ahead:,} and {one.behind:,} different commits each, respectively.",
            '  (use "mvc pull" to merge the remote branch into yours)',
        ]
    if one.ahead:
        return [
            f"Your branch is ahead of '{name}' by {counted(one.ahead, 'commit')}.",
            '  (use "mvc push" to publish your local commits)',
        ]
    if one.behind:
        return [
            f"Your branch is behind '{name}' by {counted(one.behind, 'commit')}, and can be fast-forwarded.",
            '  (use "mvc pull" to update your local branch)',
        ]
    return [f"Your branch is up to date with '{name}'."]


def tracking_brief(one: Tracking) -> str:
    """For `branch -v` and `status --branch`: "ahead 1, behind 2", "gone", or nothing."""
    if one.gone:
        return "gone"
    parts = [f"{word} {count}" for word, count in (("ahead", one.ahead), ("behind", one.behind)) if count]
    return ", ".join(parts)


def tracking_json(one: Tracking | None) -> dict[str, Any] | None:
    """For `--json`."""
    return {"name": one.name, "gone": one.gone, "ahead": one.ahead, "behind": one.behind} if one else None


def followed_line(one: Followed) -> str:
    """What a branch was made to follow."""
    return f"branch '{printable_path(one.branch)}' set up to track '{printable_path(one.name)}'."
