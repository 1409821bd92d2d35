"""`mvc gate`: parse, call `mvc.ops.gate`, render."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.gate_text import against, gate_document, gate_lines, gate_markdown, told
from mvc.cli.junit import Case, junit
from mvc.cli.session import Session
from mvc.lazy import load
from mvc.ops.gate import GateResult, gate

_REVIEW = "mvc.ops.review:review"
"""Loaded for --record alone."""

_COMPARES = re.compile(r"[<>=≤≥≠]|\sin\b")

_NO_NAME = re.compile(r"[\s()]")
_LOOKED_FOR = re.compile(r"\{.*\}|^:/.*")
"""Of a revision: a date or words, HEAD@{2 days ago}, :/fix (again)."""


@verb
@click.argument("arguments", nargs=-1, metavar="[REVISION] [GATE]...", shell_complete=complete("revisions"))
@click.option("--base", metavar="REV", help="What delta() compares with. [production, else the parent]")
@click.option("--for", "alias", metavar="NAME", shell_complete=complete("aliases"), help="To be promoted as NAME.")
@click.option("--record", is_flag=True, help="Keep the verdict, for whoever promotes it; goes with the next push.")
@click.option("--junit", "junit_file", metavar="FILE", type=click.Path(path_type=Path), help="JUnit XML, too.")
@click.option("--md", "md_file", metavar="FILE", type=click.Path(path_type=Path), help="Markdown, too; - is stdout.")
@json_flag
@quiet_flag
def command(
    session: Session,
    arguments: tuple[str, ...],
    base: str | None,
    alias: str | None,
    record: bool,
    junit_file: Path | None,
    md_file: Path | None,
    as_json: bool,
) -> int | None:
    """Whether a version may pass.

    GATE is a comparison: 'accuracy >= 0.92', 'delta(latency_ms) <= 5%', 'size <= 100MB', 'tensors.nan = 0'. Without
    any those of mvc.yaml hold. REVISION is HEAD unless given. Exits with 1 if a gate fails. No weights are read, nor
    need they be here.
    """
    revision, gates = _split(arguments)
    result = gate(session.repo(), revision, gates, base=base, alias=alias or "")
    lines = gate_lines(session, result)
    if junit_file is not None:
        _write(session, junit_file, _junit(result))
    if md_file is not None and str(md_file) != "-":
        _write(session, md_file, "\n".join(gate_markdown(result)) + "\n")
    if as_json:
        session.emit_json("gate", gate_document(result))
    elif str(md_file) == "-":
        session.emit_text("\n".join(gate_markdown(result)))
    elif not session.quiet:
        session.emit_text("\n".join(lines))
    if record:
        verdict = "gate-passed" if result.passed else "gate-failed"
        why = "\n".join(line for line in gate_markdown(result))
        load(_REVIEW)(session.repo(), result.commit, verdict, session.caller(), alias=alias, why=why)
    return None if result.passed else 1


def _split(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The first is a revision, unless it compares, or is what no revision can be: to be told that it is no gate."""
    if not arguments or not arguments[0] or _COMPARES.search(arguments[0]):
        return "HEAD", arguments
    if _NO_NAME.search(_LOOKED_FOR.sub("", arguments[0])):
        return "HEAD", arguments
    return arguments[0], arguments[1:]


def _junit(result: GateResult) -> str:
    cases = [
        Case(one.text, None if one.passed else "\n".join(told(one)), "\n".join(told(one)) if one.passed else "")
        for one in result.outcomes
    ]
    about = [("commit", result.commit), ("base", result.base or ""), ("compared", against(result))]
    return junit("mvc gate", cases, about)


def _write(session: Session, path: Path, text: str) -> None:
    (session.cwd / path).write_text(text, encoding="utf-8", errors="backslashreplace")
