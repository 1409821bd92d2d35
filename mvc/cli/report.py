"""`mvc report`: parse, call `mvc.ops.report`, render."""

from __future__ import annotations

from pathlib import Path

import click

from mvc.cli.command import complete, json_flag, verb
from mvc.cli.report_markdown import LIMIT, report_markdown
from mvc.cli.report_text import report_document, report_lines
from mvc.cli.session import Session
from mvc.ops.report import report


@verb
@click.argument("span", default="HEAD", metavar="[A..B]", shell_complete=complete("revisions"))
@click.option("--gate", "gates", metavar="GATE", multiple=True, help="For the verdict; else those of mvc.yaml.")
@click.option("--md", "markdown", is_flag=True, help="Print Markdown, for a pull request.")
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Into a file, as Markdown.")
@click.option(
    "--max-length",
    metavar="N",
    type=click.IntRange(1000),
    default=LIMIT,
    help=f"Of Markdown, so many characters at most. [{LIMIT}]",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a gate fails.")
@json_flag
def command(
    session: Session,
    span: str,
    gates: tuple[str, ...],
    markdown: bool,
    output: Path | None,
    max_length: int,
    exit_code: bool,
    as_json: bool,
) -> int | None:
    """What a change does to a model, for a pull request.

    A..B compares two versions, A...B what B did since it left A; one revision alone stands against production, else its
    parent. Verdict, metrics, params, tensors, bytes: all from what was recorded. No weights are read.
    """
    found = report(session.repo(), span, gates)
    if output is not None:
        text = report_markdown(found, max_length)
        (session.cwd / output).write_text(text, encoding="utf-8", errors="backslashreplace")
    if as_json:
        session.emit_json("report", report_document(found))
    elif output is not None:
        pass
    elif markdown:
        session.emit_text(report_markdown(found, max_length), end="")
    else:
        with session.pager():
            session.emit_text("\n".join(report_lines(session, found)))
    return 1 if exit_code and found.passed is False else None
