"""`mvc bisect`: parse, call `mvc.ops.bisect`, render."""

from __future__ import annotations

import subprocess

import click

from mvc.cli.command import json_flag, noun, quiet_flag
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.switched_text import tell_switch
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.objects.model import Commit
from mvc.ops import bisect
from mvc.ops.bisect import BisectStep, Verdict

UNDECIDED = 2
"""The exit code when only commits that cannot be tested are left, as Git's."""


@noun()
def command(session: Session) -> None:
    """Find the commit that made it worse, by halving.

    Say of one commit that it is bad and of an earlier one that it is good; then test the commits that
    are checked out, or let a command do it: `mvc bisect run python evaluate.py`.
    """


@command.verb
@click.argument("revisions", nargs=-1, metavar="[BAD [GOOD]...]")
@json_flag
@quiet_flag
def start(session: Session, revisions: tuple[str, ...], as_json: bool) -> int | None:
    """Begin. `reset` leads back to where you are now."""
    bad, good = (revisions[0] if revisions else None), revisions[1:]
    return _tell(session, bisect.start(session.repo(), bad, good, caller=session.caller(commits=False)), as_json)


@command.verb
@click.argument("revision", required=False)
@json_flag
@quiet_flag
def bad(session: Session, revision: str | None, as_json: bool) -> int | None:
    """REVISION (HEAD) is bad."""
    return _mark(session, Verdict.BAD, (revision,) if revision else (), as_json)


@command.verb
@click.argument("revisions", nargs=-1)
@json_flag
@quiet_flag
def good(session: Session, revisions: tuple[str, ...], as_json: bool) -> int | None:
    """REVISIONS (HEAD) are good."""
    return _mark(session, Verdict.GOOD, revisions, as_json)


@command.verb
@click.argument("revisions", nargs=-1, metavar="[REVISION|RANGE]...")
@json_flag
@quiet_flag
def skip(session: Session, revisions: tuple[str, ...], as_json: bool) -> int | None:
    """REVISIONS (HEAD) cannot be tested."""
    return _mark(session, Verdict.SKIP, revisions, as_json)


@command.verb
@click.argument("revision", required=False)
@quiet_flag
def reset(session: Session, revision: str | None) -> None:
    """End the search, and go back to where it began (or to REVISION)."""
    result = bisect.reset(session.repo(), revision, caller=session.caller(commits=False))
    if result is None:
        session.note("We are not bisecting.")
    else:
        tell_switch(session, result)


@command.verb
def log(session: Session) -> None:
    """What was said of which commit, so far."""
    session.emit_text(printable(bisect.log(session.repo())), end="")


@command.verb
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGUMENT]...")
@quiet_flag
def run(session: Session, words: tuple[str, ...]) -> int | None:
    """Let COMMAND test each commit.

    It ends with 0 for a good one, with 125 for one that cannot be tested, with 1 to 127 for a bad one.
    """

    def judge(commit: Commit) -> int:
        session.note(f"running {' '.join(words)}")
        session.out.flush()
        try:
            return subprocess.run(words, cwd=session.cwd, check=False).returncode
        except FileNotFoundError as error:
            raise UsageError(f"there is no command '{words[0]}'") from error

    code: int | None = None
    for step in bisect.run(session.repo(), judge, caller=session.caller(commits=False)):
        code = _tell(session, step, as_json=False)
    return code


# What follows COMMAND is its own, options too.
run.allow_interspersed_args = False


def _mark(session: Session, verdict: Verdict, revisions: tuple[str, ...], as_json: bool) -> int | None:
    step = bisect.mark(session.repo(), verdict, revisions, caller=session.caller(commits=False))
    return _tell(session, step, as_json)


def _tell(session: Session, step: BisectStep, as_json: bool) -> int | None:
    if as_json:
        session.emit_json("bisect", _document(step))
    elif not session.quiet or step.first_bad or step.undecided:
        session.emit_text("\n".join(_lines(session, step)))
    return UNDECIDED if step.undecided else None


def _lines(session: Session, step: BisectStep) -> list[str]:
    if step.missing:
        words = " and one that is ".join(verdict.value for verdict in step.missing)
        return [f"status: waiting for a commit that is {words}"]
    if step.first_bad is not None:
        return [f"{step.first_bad.id} is the first bad commit", f"    {printable(step.first_bad.summary)}"]
    if step.undecided:
        lines = ["There are only skipped commits left to test.", "The first bad commit could be any of:"]
        return [*lines, *(one.id for one in step.undecided)]
    assert step.testing is not None  # nothing else is left
    what = f"[{short_id(session, step.testing.id)}] {printable(step.testing.summary)}"
    if step.merge_base:
        return ["Bisecting: a merge base must be tested", what]
    left = counted(step.left, "commit")
    return [f"Bisecting: {left} left to test after this (roughly {counted(step.steps, 'step')})", what]


def _document(step: BisectStep) -> dict[str, object]:
    return {
        "testing": step.testing.id if step.testing else None,
        "left": step.left,
        "steps": step.steps,
        "first_bad": step.first_bad.id if step.first_bad else None,
        "undecided": [one.id for one in step.undecided],
        "missing": [verdict.value for verdict in step.missing],
    }
