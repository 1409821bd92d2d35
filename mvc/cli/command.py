"""How a command is declared. All a verb's file needs of click goes through here.

A command, whole (cli/frob.py; the verb must stand in cli/registry.py):

    \"\"\"`mvc frob`: parse, call `mvc.ops.frob`, render.\"\"\"

    from __future__ import annotations

    import click

    from mvc.cli.command import json_flag, verb
    from mvc.cli.session import Session
    from mvc.ops.frob import Frobbed, frob


    @verb
    @click.argument("paths", nargs=-1)
    @click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @json_flag
    def command(session: Session, paths: tuple[str, ...], dry_run: bool, as_json: bool) -> int | None:
        \"\"\"One line that says what it does.

        More, in paragraphs.
        \"\"\"
        result = frob(session.repo(), paths, dry_run=dry_run, progress=session.progress)
        if as_json:
            session.emit_json("frob", {"paths": result.paths})
        else:
            session.emit_text(_render(session, result))
        return 1 if result.conflicts else None

The function gets the `Session` first. It returns the exit code, or None for 0, and raises
`mvc.errors`; it never prints by itself, and never catches an error only to print it.

Arguments named as in COMPLETED (paths, revision, branch, ...) complete by
themselves. Revisions and paths in one argument list: `mvc.cli.revisions.split_arguments`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mvc.cli.session import Session
from mvc.lazy import load

F = TypeVar("F", bound=Callable[..., Any])

COMPLETERS = {
    "files": "mvc.cli.completions:complete_files",
    "revisions": "mvc.cli.completions:complete_revisions",
    "branches": "mvc.cli.completions:complete_branches",
    "tags": "mvc.cli.completions:complete_tags",
    "aliases": "mvc.cli.completions:complete_aliases",
    "runs": "mvc.cli.completions:complete_runs",
    "remotes": "mvc.cli.completions:complete_remotes",
    "remote_branches": "mvc.cli.completions:complete_remote_branches",
    "pushed": "mvc.cli.completions:complete_pushed",
    "either": "mvc.cli.completions:complete_either",
}
COMPLETED = {
    "path": "files",
    "paths": "files",
    "source": "revisions",
    "revision": "revisions",
    "revisions": "revisions",
    "commit": "revisions",
    "commits": "revisions",
    "start": "revisions",
    "upstream": "revisions",
    "onto": "revisions",
    "contains": "revisions",
    "points_at": "revisions",
    "base": "revisions",
    "alias": "aliases",
    "run": "runs",
    "runs": "runs",
    "branch": "branches",
    "branches": "branches",
    "arguments": "either",
    "target": "either",
}
"""How an argument or option is completed behind the Tab key, by its name, unless it has a `shell_complete`."""

_SETTINGS = {"help_option_names": ["-h", "--help"]}


class Attached(click.Option):
    """An option whose value may be left out, and else is attached: `--short`, `--short=9`, `-n`, `-n3`.

    Declare it with `is_flag=False, flag_value=...`. (click by itself takes the next argument for the value.)
    """


class Count(click.Option):
    """An option whose number may stand alone: `-5` is `-n 5`."""


class Verb(click.Command):
    """A verb. It tells the session how many of its arguments stood behind "--": those are paths."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        session = ctx.find_root().obj
        if isinstance(session, Session):
            session.behind_dashes = len(args) - end - 1 if end < len(args) else None
        left_out = {
            name: f"{name}{'=' if name.startswith('--') else ''}{option.flag_value}"
            for option in self.params
            if isinstance(option, Attached)
            for name in option.opts
        }
        count = next((option.opts[-1] for option in self.params if isinstance(option, Count)), None)
        if count is not None:
            args = [f"{count}={arg[1:]}" if _is_count(arg) else arg for arg in args[:end]] + args[end:]
        try:
            return super().parse_args(ctx, [*(left_out.get(arg, arg) for arg in args[:end]), *args[end:]])
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click forgets it where an option has a value too many, or none
            raise


def _is_count(argument: str) -> bool:
    return argument[:1] == "-" and argument[1:].isascii() and argument[1:].isdigit()


class Noun(click.Group):
    """A verb with verbs of its own (`stash push`, `reflog show`).

    With `default`, that one runs when none is named: `mvc stash` is `mvc stash push`.
    """

    def __init__(self, *args: Any, default: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default
        self.no_args_is_help = default is None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        help_wanted = args[:1] in (["-h"], ["--help"])
        completing = ctx.resilient_parsing and not args  # the verb itself is being typed
        named = bool(args) and args[0] in self.commands
        if self.default is not None and not (named or help_wanted or completing):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Its verbs; where none begins so, what the default verb takes."""
        found = super().shell_complete(ctx, incomplete)
        default = self.commands.get(self.default or "")
        if default is None or (found and not incomplete.startswith("-")):
            return found
        inner = default.make_context(self.default, [], parent=ctx, resilient_parsing=True)
        if incomplete.startswith("-"):
            return default.shell_complete(inner, incomplete)
        arguments = (parameter for parameter in default.params if isinstance(parameter, click.Argument))
        return [item for argument in arguments for item in argument.shell_complete(inner, incomplete)]

    def verb(self, function: Callable[..., int | None]) -> click.Command:
        """Declare a verb under this noun; its name is the function's, "_" read as "-"."""
        made = verb(function)
        name = function.__name__.rstrip("_").replace("_", "-")
        made.name = name
        self.add_command(made, name)
        return made


def complete(kind: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """A `shell_complete` for one of COMPLETERS, which loads when the shell asks."""

    def answer(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Any:
        return load(COMPLETERS[kind])(ctx, parameter, incomplete)

    return answer


def verb(function: Callable[..., int | None]) -> click.Command:
    """Declare a command: the function takes the Session, then its options and arguments."""
    made = click.command(cls=Verb, context_settings=dict(_SETTINGS))(_with_session(function))
    for parameter in made.params:
        kind = COMPLETED.get(parameter.name or "")
        if kind is not None and isinstance(parameter.type, click.types.StringParamType):
            parameter._custom_shell_complete = parameter._custom_shell_complete or complete(kind)
    return made


def noun(default: str | None = None) -> Callable[[Callable[[Session], None]], Noun]:
    """Declare a verb that has verbs of its own; add them with `@command.verb`."""

    def declare(function: Callable[[Session], None]) -> Noun:
        made = click.group(cls=Noun, default=default, context_settings=dict(_SETTINGS))(_with_session(function))
        assert isinstance(made, Noun)
        return made

    return declare


def _with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.pass_obj(function)


def json_flag(function: F) -> F:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, with a schema number.")(function)


def no_edit_flag(function: F) -> F:
    """`--no-edit`, as scripts for Git pass it; nothing is edited unless asked for."""
    return click.option(
        "--no-edit", is_flag=True, expose_value=False, help="Take the message as it is. (The default.)"
    )(function)


def dry_run_flag(function: F) -> F:
    """`-n/--dry-run`, as `dry_run`."""
    return click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(function)


def yes_flag(function: F) -> F:
    """`-y/--yes`, as `yes`: pass it to `session.confirm`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


def quiet_flag(function: F) -> F:
    """`-q/--quiet` behind the verb as well as before it; it goes into the session, not to the function."""

    def set_quiet(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            ctx.find_root().obj.quiet = True

    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=set_quiet, help="Say only what is asked for."
    )(function)
