"""The click program: global options, the lazy table of verbs, and the one place that catches errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mvc import __version__
from mvc.cli.errors import report
from mvc.cli.registry import GROUPS, VERBS
from mvc.cli.session import Session
from mvc.errors import NotFound
from mvc.lazy import load

_NEAR = "mvc.cli.nearby:near_verbs"
_COMPLETE = "mvc.cli.completion:complete_verbs"
_ANSWER = "mvc.cli.completion:answer"
_COMPLETE_VARIABLE = "_MVC_COMPLETE"
"""Set by the scripts of `mvc completion`."""


class Program(click.Group):
    """`mvc`: finds a verb in the registry and imports only that one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = VERBS.get(cmd_name)
        if entry is None:
            return None
        found: click.Command = load(entry.target)
        found.name = cmd_name
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            raise UnknownVerb(name, ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        # From the table: click's own would import every command for its help.
        return load(_COMPLETE)(incomplete) or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, VERBS))
        for title, verbs in GROUPS.items():
            with formatter.section(title.capitalize()):
                formatter.write_dl([(verb.ljust(width), entry.help) for verb, entry in verbs.items()])


class UnknownVerb(click.UsageError):
    """A verb that mvc does not have; `possibilities` are those that are spelt nearly so."""

    def __init__(self, name: str, ctx: click.Context) -> None:
        super().__init__(f"'{name}' is not a verb of mvc", ctx)
        self.possibilities = [f"mvc {near}" for near in load(_NEAR)(name)]


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog="A verb's own options: mvc VERB --help",
)
@click.option("-C", "folder", metavar="DIR", multiple=True, help="Run as if started in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is asked for: no notes, no bars.")
@click.option("-v", "--verbose", count=True, help="Say more.")
@click.option("--no-pager", is_flag=True, help="Write long output straight to the terminal.")
@click.option("--wait-for-lock", metavar="SECONDS", type=float, default=0.0, help="Wait for another process's lock.")
@click.version_option(__version__, prog_name="mvc", message="%(prog)s %(version)s")
@click.pass_context
def program(
    ctx: click.Context, folder: tuple[str, ...], quiet: bool, verbose: int, no_pager: bool, wait_for_lock: float
) -> None:
    """Git for machine-learning models."""
    session: Session = ctx.obj
    for part in folder:
        session.cwd = session.cwd / part
        if not session.cwd.is_dir():
            raise NotFound(f"no such folder: {session.cwd}")
    session.quiet = session.quiet or quiet
    session.verbose += verbose
    session.use_pager = not no_pager
    session.lock_wait = wait_for_lock
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; whatever goes wrong becomes a line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        _never_fails(stream)
    session = Session(Path.cwd(), os.environ, arguments=tuple(arguments))
    if instruction := os.environ.get(_COMPLETE_VARIABLE):
        return int(load(_ANSWER)(program, session, instruction))
    try:
        result = _invoke(list(arguments), session)
        session.out.flush()
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        code = report(error, session)
        _give_up_output()
        return code
    return result if isinstance(result, int) else 0


def _invoke(arguments: list[str], session: Session) -> Any:
    # What click's own main does, but for its handling of errors, interrupts and closed pipes.
    try:
        with program.make_context("mvc", arguments, obj=session) as ctx:
            return program.invoke(ctx)
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code


def _never_fails(stream: Any) -> None:
    """Names that are not UTF-8 come out as the bytes they are; a terminal that is not UTF-8 gets escapes."""
    if hasattr(stream, "reconfigure"):
        unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
        stream.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")


def _give_up_output() -> None:
    """Keep Python from telling about a closed pipe once more when it shuts down."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
