"""`mvc init`: parse, call `mvc.ops.init`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.ops.init import InitResult, init


@verb
@click.argument("folder", required=False, default=".")
@click.option("-b", "--initial-branch", metavar="NAME", help="The first branch; else init.defaultBranch, or main.")
@click.option("--bare", is_flag=True, help="Without files of its own: FOLDER itself is what .mvc is elsewhere.")
@quiet_flag
@json_flag
def command(session: Session, folder: str, initial_branch: str | None, bare: bool, as_json: bool) -> None:
    """Make a repository in FOLDER, or complete one that stands there.

    Inside of a Git project, .gitignore gets a line for .mvc, and the first branch has the name of Git's.
    """
    path, configs = session.cwd / folder, session.global_configs
    made = init(path, initial_branch=initial_branch, bare=bare, global_configs=configs)
    if as_json:
        session.emit_json("init", {"path": str(made.repo.git_dir), "new": made.is_new, "branch": made.branch})
    elif not session.quiet:
        session.emit_text(_render(made))


def _render(made: InitResult) -> str:
    kind = "empty" if made.is_new else "existing"
    verb_ = "Initialized" if made.is_new else "Completed"
    lines = [f"{verb_} {kind} mvc repository in {printable(str(made.repo.git_dir))}/"]
    if made.is_new and made.git_project is not None:
        lines.append(f"In the Git project {printable(str(made.git_project))}: what Git tracks stays Git's.")
    if made.ignore_file_changed:
        lines.append("Git ignores .mvc by a line in .gitignore; commit it with Git.")
    return "\n".join(lines)
