"""`mvc status`: parse, call `mvc.ops.status`, render."""

from __future__ import annotations

from typing import Any

import click

from mvc.cli.command import Attached, json_flag, verb
from mvc.cli.porcelain import porcelain, short
from mvc.cli.session import Session
from mvc.cli.status_text import long_status
from mvc.cli.tracking_text import tracking_json
from mvc.ops.status import StatusResult, status
from mvc.repo.scan import Untracked
from mvc.repo.status import FileChange


@verb
@click.argument("paths", nargs=-1)
@click.option("-s", "--short", "is_short", is_flag=True, help="A line a file.")
@click.option(
    "--porcelain",
    "is_porcelain",
    type=click.Choice(["v1", "1"]),
    cls=Attached,
    is_flag=False,
    flag_value="v1",
    metavar="[=v1]",
    help="A line a file, for scripts: Git's format v1, frozen.",
)
@click.option("-z", "zero", is_flag=True, help="As --porcelain, paths raw and ended by NUL.")
@click.option("-b", "--branch", is_flag=True, help="Show the branch in the short formats too.")
@click.option(
    "-u",
    "--untracked-files",
    "untracked",
    type=click.Choice([mode.value for mode in Untracked]),
    cls=Attached,
    is_flag=False,
    flag_value="all",
    default="normal",
    help="Which files that are not versioned are shown; -u alone is all.",
)
@click.option("--ignored", is_flag=True, help="Show ignored files too.")
@json_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    is_short: bool,
    is_porcelain: str | None,
    zero: bool,
    branch: bool,
    untracked: str,
    ignored: bool,
    as_json: bool,
) -> None:
    """Show what is staged, changed, not versioned.

    A file's content is read only where its times or size differ from what is staged.
    """
    repo = session.repo()
    prefix = "" if repo.worktree is None else repo.locate(session.cwd)
    wanted = Untracked(untracked)
    result = status(repo, paths, prefix=prefix, untracked=wanted, ignored=ignored, progress=session.progress)
    if as_json:
        session.emit_json("status", _json(result))
    elif is_porcelain or zero:
        session.emit_text(porcelain(result.status, zero=zero, branch=branch, tracking=result.tracking), end="")
    elif is_short:
        tracked = result.tracking
        session.emit_text(short(result.status, prefix, session.paint, branch=branch, tracking=tracked), end="")
    else:
        session.emit_text(long_status(session, result))


def _json(result: StatusResult) -> dict[str, Any]:
    found = result.status
    unfinished = found.operation
    return {
        "branch": found.head.short,
        "head": found.head.id,
        "git_branch": result.branches.git if result.branches else None,
        "upstream": tracking_json(result.tracking),
        "operation": unfinished.operation.value if unfinished else None,
        "staged": [_change(change, result.sizes.get(change.path)) for change in found.staged],
        "unstaged": [_change(change, None) for change in found.unstaged],
        "conflicts": [{"path": conflict.path, "code": conflict.code} for conflict in found.conflicts],
        "untracked": found.untracked,
        "ignored": found.ignored,
        "odd": found.odd,
        "clean": found.clean,
    }


def _change(change: FileChange, size: int | None) -> dict[str, Any]:
    shown = {"path": change.path, "change": change.change.name.lower(), "old_path": change.old_path}
    return shown if size is None else {**shown, "size": size}
