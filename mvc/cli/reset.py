"""`mvc reset`: parse, call `mvc.ops.reset`, render."""

from __future__ import annotations

import click

from mvc.cli.command import quiet_flag, verb
from mvc.cli.names import short_id
from mvc.cli.revisions import split_arguments
from mvc.cli.session import Session
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.ops.reset import Mode, reset, reset_paths


@verb
@click.argument("arguments", nargs=-1, metavar="[REVISION] [--] [PATH]...")
@click.option("--soft", "mode", flag_value="soft", help="Move the branch alone.")
@click.option("--mixed", "mode", flag_value="mixed", help="Move the branch, and reset the stage. (The default.)")
@click.option("--hard", "mode", flag_value="hard", help="And the worktree: changes to tracked files are given up.")
@quiet_flag
def command(session: Session, arguments: tuple[str, ...], mode: str | None) -> None:
    """Move the branch, and the stage and files with it.

    REVISION is HEAD, unless given; where the branch was, ORIG_HEAD and the reflog know. With PATH the
    branch stays, and those files are unstaged: the stage has them as REVISION does.
    """
    repo, caller = session.repo(), session.caller(commits=False)
    revisions, paths = split_arguments(session, arguments)
    if len(revisions) > 1:
        raise UsageError("one revision at a time", hint="mvc reset REVISION, or: mvc reset -- PATH...")
    revision = revisions[0] if revisions else "HEAD"
    if paths:
        if mode not in (None, "mixed"):
            raise UsageError(f"--{mode} does not go with paths", hint="mvc restore --source REVISION PATH...")
        unstaged = reset_paths(repo, paths, revision, prefix=repo.locate(session.cwd), caller=caller)
        for path in unstaged:
            session.note(f"Unstaged {printable_path(path)}")
        return
    result = reset(repo, revision, Mode(mode or "mixed"), caller=caller)
    if mode == "hard" and result.commit is not None:
        session.note(f"HEAD is now at {short_id(session, result.commit)} {printable(result.summary)}")
    if result.unstaged and not session.quiet:
        lines = ["Unstaged changes after reset:", *(f"M\t{printable_path(path)}" for path in result.unstaged)]
        session.emit_text("\n".join(lines))
