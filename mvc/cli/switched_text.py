"""Where HEAD went, as text: shared by switch, checkout and bisect."""

from __future__ import annotations

from itertools import islice

from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.text import printable, printable_path
from mvc.cli.tracking_text import followed_line, tracking_lines
from mvc.ops.switch import SwitchResult

_MOST = 50


def tell_switch(session: Session, result: SwitchResult) -> None:
    """Git's lines: what came along on stdout, where HEAD is now on stderr."""
    if not session.quiet:
        for path, letter in islice(result.carried.items(), _MOST):
            session.emit_text(f"{letter}\t{printable_path(path)}")
        if len(result.carried) > _MOST:
            session.emit_text(f"and {len(result.carried) - _MOST:,} more files with changes")
    before, now = result.before, result.now
    if before.branch is None and before.id is not None and before.id != now.id:
        _tell_left(session, result)
    if now.branch is None:
        session.note(f"HEAD is now at {short_id(session, now.id or '')} {printable(result.summary)}")
        if before.branch is not None:
            session.note("It is on no branch: to keep commits made here, mvc switch -c NAME")
        return
    name = printable_path(now.short or "")
    if result.followed is not None and not session.quiet:
        session.emit_text(followed_line(result.followed))
    if result.created:
        session.note(f"Switched to a new branch '{name}'")
    elif result.reset and before.branch != now.branch:
        session.note(f"Switched to and reset branch '{name}'")
    elif result.reset:
        session.note(f"Reset branch '{name}'")
    elif before.branch == now.branch:
        session.note(f"Already on '{name}'")
    else:
        session.note(f"Switched to branch '{name}'")
    if result.tracking is not None and not session.quiet:
        session.emit_text("\n".join(tracking_lines(result.tracking)))


def _tell_left(session: Session, result: SwitchResult) -> None:
    old = short_id(session, result.before.id or "")
    if result.left_behind:
        session.warn(f"{counted(result.left_behind, 'commit')} left behind that no branch has")
        session.note(f"to keep them: mvc branch NAME {old}")
    else:
        session.note(f"Previous HEAD position was {old}")
