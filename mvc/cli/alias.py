"""`mvc alias`: parse, call `mvc.ops.alias`, render."""

from __future__ import annotations

import time
from typing import Any

import click

from mvc.cli.command import complete, json_flag, noun, quiet_flag
from mvc.cli.dates import iso_date
from mvc.cli.names import short_id
from mvc.cli.review_text import review_json
from mvc.cli.session import Session
from mvc.cli.tables import table
from mvc.cli.text import one_line, printable_path
from mvc.lazy import load
from mvc.objects.aliases import Step
from mvc.objects.reviews import Review
from mvc.objects.revparse import resolve_commit
from mvc.ops import alias as aliases
from mvc.ops import review

_DATE = "mvc.objects.dates:parse_date"
"""Loaded for --at alone."""

_NAME = click.argument("name", shell_complete=complete("aliases"))
_WHY = click.option("-m", "--message", "why", metavar="WHY", default="", help="Why it moves.")


@noun(default="list")
def command(session: Session) -> None:
    """Names that move from version to version, and remember each step.

    `mvc alias` alone is `mvc alias list`.
    """


@command.verb
@_NAME
@click.argument("revision")
@_WHY
@click.option("-f", "--force", is_flag=True, help="Though mvc.yaml asks for more. (A server still refuses it.)")
@json_flag
@quiet_flag
def set_(session: Session, name: str, revision: str, why: str, force: bool, as_json: bool) -> None:
    """Let NAME stand for REVISION from now on."""
    done = aliases.set_alias(session.repo(), name, revision, session.caller(), why=why, force=force)
    if done is None and not as_json:
        session.note(f"{printable_path(name)} is at {short_id(session, _now(session, name).target or '')} already")
    else:
        _tell(session, done, name, as_json)


@command.verb
@_NAME
@click.argument("revision", required=False)
@_WHY
@json_flag
@quiet_flag
def rollback(session: Session, name: str, revision: str | None, why: str, as_json: bool) -> None:
    """Back to what NAME stood for before, or to REVISION, for which it once stood. That is a step, too."""
    _tell(session, aliases.roll_back(session.repo(), name, revision, session.caller(), why=why), name, as_json)


@command.verb
@_NAME
@_WHY
@json_flag
@quiet_flag
def delete(session: Session, name: str, why: str, as_json: bool) -> None:
    """Let NAME stand for nothing. Its history stays, and it can be set again."""
    _tell(session, aliases.remove_alias(session.repo(), name, session.caller(), why=why), name, as_json)


@command.verb
@click.option("--removed", is_flag=True, help="Those that stand for nothing now, too.")
@json_flag
def list_(session: Session, removed: bool, as_json: bool) -> None:
    """All aliases, with what each stands for, since when, and by whom."""
    found = aliases.list_aliases(session.repo(), removed=removed)
    if as_json:
        session.emit_json("aliases", {"aliases": [_step_json(one.step) for one in found]})
    else:
        session.emit_text("".join(f"{line}\n" for line in _rows(session, [one.step for one in found])), end="")


@command.verb
@_NAME
@json_flag
def show(session: Session, name: str, as_json: bool) -> None:
    """What NAME stands for now: the commit, who moved it there, when and why."""
    step = _now(session, name).step
    if as_json:
        session.emit_json("alias", _step_json(step))
        return
    target = step.target or ""
    summary = session.repo().objects.commit(target).summary
    named = f" ({one_line(step.named)})" if step.named else ""
    lines = [
        f"{session.paint(one_line(name), 'magenta bold')}  {session.paint(target, 'yellow')}{named}",
        f"    {one_line(summary)}",
        f"    {step.action} by {one_line(str(step.who))}, {_when(step.who.time)}",
    ]
    session.emit_text("\n".join([*lines, *(f"    {one_line(line)}" for line in step.why.split("\n") if line)]))


@command.verb
@_NAME
@click.option("--at", metavar="DATE", help='What it stood for then: 2026-05-01, "2 weeks ago".')
@click.option("-n", "--max-count", metavar="N", type=click.IntRange(0), help="So many steps.")
@json_flag
def log(session: Session, name: str, at: str | None, max_count: int | None, as_json: bool) -> None:
    """What NAME stood for, from when to when, and why: the newest first."""
    repo = session.repo()
    if at is not None:
        spans = [aliases.alias_at(repo, name, load(_DATE)(at))]
    else:
        spans = list(aliases.history(repo, name))[:max_count]
    if as_json:
        rows = [{**_step_json(one.step), "since": one.since, "until": one.until} for one in spans]
        session.emit_json("alias-log", {"alias": name, "steps": rows})
        return
    with session.pager():
        session.emit_text("\n".join(table([_span(session, one) for one in spans])))


@command.verb
@_NAME
@click.argument("revision", required=False)
@json_flag
def reviews(session: Session, name: str, revision: str | None, as_json: bool) -> None:
    """Who approved or rejected what for NAME, and gates that ran (of REVISION alone): the newest first."""
    repo = session.repo()
    target = resolve_commit(repo.objects, repo.refs, revision) if revision is not None else None
    found = review.reviews(repo, name, target)
    if as_json:
        session.emit_json("reviews", {"alias": name, "reviews": [review_json(one) for one in found]})
        return
    rows = [[_when(one.who.time), short_id(session, one.target), one.verdict, _said(one)] for one in found]
    session.emit_text("".join(f"{line}\n" for line in table(rows)), end="")


def _said(one: Review) -> str:
    why = next((one_line(line) for line in one.why.split("\n") if line), "")
    return f"{one_line(str(one.who))}{f': {why}' if why else ''}"


def _now(session: Session, name: str) -> aliases.Alias:
    return aliases.read_alias(session.repo(), name)


def _tell(session: Session, done: aliases.Moved | None, name: str, as_json: bool) -> None:
    if as_json:
        step = done.step if done is not None else _now(session, name).step
        old = done.old if done is not None else step.target
        session.emit_json("alias", {**_step_json(step), "old": old, "moved": done is not None})
    elif done is not None:
        old = f"{short_id(session, done.old)} -> " if done.old else ""
        new = _target(session, done.step)
        session.note(f"{printable_path(done.name)}: {old}{new}{' (new)' if done.step.before is None else ''}")


def _rows(session: Session, steps: list[Step]) -> list[str]:
    return table([[printable_path(one.alias), _target(session, one), *_who(one)] for one in steps])


def _span(session: Session, span: aliases.Span) -> list[str]:
    until = _when(span.until) if span.until is not None else "now"
    step = span.step
    why = next((one_line(line) for line in step.why.split("\n") if line), "")
    if step.action == "rollback":
        why = f"rolled back: {why}" if why else "rolled back"
    return [f"{_when(span.since)} - {until:<16}", _target(session, step), one_line(step.who.name), why]


def _target(session: Session, step: Step) -> str:
    if step.target is None:
        return "removed"
    named = f" {one_line(step.named)}" if step.named and not step.target.startswith(step.named) else ""
    return short_id(session, step.target) + named


def _who(step: Step) -> list[str]:
    why = next((one_line(line) for line in step.why.split("\n") if line), "")
    return [_when(step.who.time), one_line(step.who.name), why]


def _when(seconds: int) -> str:
    """Local, to the minute; a time that nobody can have meant is told as a number."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "alias": step.alias,
        "action": step.action,
        "target": step.target,
        "named": step.named or None,
        "step": step.id,
        "before": step.before,
        "who": {"name": step.who.name, "email": step.who.email, "date": iso_date(step.who)},
        "why": step.why or None,
    }
