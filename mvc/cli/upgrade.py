"""`mvc upgrade`: parse, call `mvc.ops.upgrade`, render."""

from __future__ import annotations

from mvc.cli.command import dry_run_flag, json_flag, verb
from mvc.cli.session import Session
from mvc.ops.upgrade import upgrade


@verb
@dry_run_flag
@json_flag
def command(session: Session, dry_run: bool, as_json: bool) -> None:
    """Bring the repository to the newest format.

    Older versions of mvc then refuse it with a clear line. Nothing does this by itself.
    """
    done = upgrade(session.repo(), dry_run=dry_run)
    if as_json:
        session.emit_json("upgrade", {"before": done.before, "after": done.after, "dry_run": dry_run})
    elif done.before == done.after:
        session.emit_text(f"format {done.after} is the newest that this mvc knows: nothing to do")
    else:
        session.emit_text(f"format {done.before} {'would become' if dry_run else 'is now'} {done.after}")
