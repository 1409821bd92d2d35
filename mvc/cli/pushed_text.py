"""What a push did, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mvc.cli.ref_table import Row, kind_of, lines, moved
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes, percent
from mvc.cli.tables import table
from mvc.cli.text import printable, printable_path
from mvc.errors import MvcError, NotFastForward
from mvc.ops.push import Pushed, PushRow

if TYPE_CHECKING:
    from mvc.sync.push import PushResult

_NEW = {
    "branch": "[new branch]",
    "tag": "[new tag]",
    "alias": "[new alias]",
    "review": "[new review]",
    "reference": "[new reference]",
}
_HINTS = {
    "fetch first": "Updates were rejected because the remote contains work that you do not have locally: "
    "mvc pull, before pushing again",
    "already exists": "Updates were rejected because the tag already exists in the remote",
    "stale info": "the remote's branch is not where it was seen last: mvc fetch, and look, before pushing again",
    "atomic push failed": "none was pushed, as one of them was rejected",
}
_MANY_PACKS = 100
"""A push leaves one. From so many on a push says what can be done."""
_BEHIND = (
    "Updates were rejected because the tip of your current branch is behind its remote counterpart: "
    "integrate the remote changes (mvc pull), before pushing again"
)
_OTHER = (
    "Updates were rejected because a pushed branch tip is behind its remote counterpart: "
    "check out this branch and integrate the remote changes (mvc pull), before pushing again"
)


def tell_push(session: Session, pushed: Pushed, *, dry_run: bool, verbose: bool) -> None:
    """Git's table on stderr, then what was moved."""
    rows = [row for one in sorted(pushed.rows, key=_place) if (row := _row(session, one, verbose)) is not None]
    if verbose:
        session.note(f"Pushing to {printable(pushed.url)}")
    if session.quiet:
        rows = [row for row in rows if row.flag == "!"]  # what an error is about is told all the same, as Git does
    if rows:
        session.tell(f"To {printable(pushed.url)}")
        for line in lines(session, rows, aligned=False):
            session.tell(line)
    if all(one.ref.status == "up-to-date" for one in pushed.rows):
        session.note("Everything up-to-date" if not pushed.notes else "Branches up-to-date")
    if pushed.notes:
        session.note("annotations pushed (refs/notes/mvc)")
    if pushed.result is None:
        return
    if dry_run:
        for line in _files(pushed.result):
            session.emit_text(line)
    elif pushed.result.bytes_sent:
        session.note(moved_line(pushed.result.bytes_sent, pushed.result.bytes_of_model))
    if pushed.packs >= _MANY_PACKS and not dry_run:
        what = f"the history there is in {pushed.packs} packs, each a request of a clone"
        session.note(f"{what}: mvc remote gc puts them together")


def moved_line(moved_bytes: int, model: int) -> str:
    """What was saved: "moved 4.4 MB for 45.4 MB of model (9.7 %)"."""
    return f"moved {_for_model(moved_bytes, model)}"


def _for_model(moved_bytes: int, model: int) -> str:
    """The share is told where it is one: of a model of some bytes, history is most of what moves."""
    if not model:
        return human_bytes(moved_bytes)
    text = f"{human_bytes(moved_bytes)} for {human_bytes(model)} of model"
    return f"{text} ({percent(moved_bytes, model)})" if moved_bytes <= 2 * model else text


def rejection(pushed: Pushed) -> MvcError:
    """The error of a push that was rejected, with what to do."""
    rejected = [row for row in pushed.rows if row.ref.status == "rejected"]
    reasons = {row.ref.reason for row in rejected}
    hint = None
    if "non-fast-forward" in reasons:
        hint = _BEHIND if any(row.source == pushed.head for row in rejected) else _OTHER
    elif any(" is protected" in reason for reason in reasons):
        hint = (
            "mvc approve REVISION --for ALIAS, by somebody else, and mvc gate; then push again. "
            "To take it back: mvc fetch REMOTE +refs/aliases/ALIAS:refs/aliases/ALIAS"
        )
    else:
        hint = next((text for reason, text in _HINTS.items() if reason in reasons), None)
    return NotFastForward(f"failed to push some refs to '{pushed.url}'", hint=hint)


def push_json(pushed: Pushed, *, dry_run: bool) -> dict[str, Any]:
    """For `--json`."""
    result = pushed.result
    return {
        "url": pushed.url,
        "dry_run": dry_run,
        "refs": [
            {
                "source": row.source or None,
                "target": row.ref.target,
                "old": row.ref.old,
                "new": row.ref.new,
                "status": row.ref.status,
                "reason": row.ref.reason or None,
            }
            for row in pushed.rows
        ],
        "files": [{"path": one.path, "size": one.size, "sent": one.sent} for one in (result.files if result else ())],
        "objects": result.objects if result else 0,
        "chunks": result.chunks if result else 0,
        "bytes_sent": result.bytes_sent if result else 0,
        "bytes_of_model": result.bytes_of_model if result else 0,
    }


def _place(row: PushRow) -> tuple[int, bool, str]:
    """Where Git lists it: what moved before what was rejected, what stood there by name before what is new."""
    kinds = {"up-to-date": 0, "rejected": 2}
    new = row.ref.old is None
    return kinds.get(row.ref.status, 1), new, "" if new else row.ref.target


def _row(session: Session, one: PushRow, verbose: bool) -> Row | None:
    ref = one.ref
    if ref.status == "up-to-date":
        return Row("=", "[up to date]", one.shown, ref.target) if verbose else None
    if ref.status == "rejected":
        return Row("!", "[rejected]", one.shown, ref.target, printable(ref.reason))
    if ref.status == "deleted":
        return Row("-", "[deleted]", "", ref.target)
    if ref.status == "new" or ref.old is None:
        return Row("*", _NEW[kind_of(ref.target)], one.shown, ref.target)
    forced = ref.status == "forced"
    summary = moved(session, ref.old, ref.new or "", forced=forced)
    return Row("+" if forced else " ", summary, one.shown, ref.target, "forced update" if forced else "")


def _files(result: PushResult) -> list[str]:
    rows = [[human_bytes(one.sent), "of", human_bytes(one.size), printable_path(one.path)] for one in result.files]
    total = f"would move {_for_model(result.bytes_sent, result.bytes_of_model)}"
    return [*table(rows), f"{total}: {counted(result.chunks, 'chunk')}, {counted(result.objects, 'object')}"]
