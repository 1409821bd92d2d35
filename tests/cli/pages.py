"""What a command's page must hold. `python tests/cli/pages.py VERB` prints its synopsis and table of options."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from mvc.cli.registry import VERBS
from mvc.lazy import load


def commands(verb: str) -> Iterator[tuple[str, click.Command]]:
    """The command of a verb, and for a noun those of its verbs: ("reflog", ...), ("reflog show", ...)."""
    command: click.Command = load(VERBS[verb].target)
    yield verb, command
    yield from _inner(verb, command)


def _inner(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for verb, inner in sorted(command.commands.items()):
            yield f"{name} {verb}", inner
            yield from _inner(f"{name} {verb}", inner)


def options(command: click.Command) -> Iterator[tuple[tuple[str, ...], str]]:
    """(its spellings, its help) for each option but --help."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield (*parameter.opts, *parameter.secondary_opts), parameter.help or ""


def synopsis(name: str, command: click.Command) -> str:
    """The usage line, as the help prints it."""
    context = click.Context(command, info_name=f"mvc {name}")
    return " ".join(["mvc", name, *command.collect_usage_pieces(context)])


def row(command: click.Command, spellings: tuple[str, ...], text: str) -> str:
    """A row of the table of options."""
    parameter = next(p for p in command.params if p.opts and p.opts[0] == spellings[0])
    metavar = ""
    if isinstance(parameter, click.Option) and not parameter.is_flag and not parameter.count and parameter.nargs == 1:
        metavar = parameter.make_metavar(click.Context(command)).replace("|", "\\|")
    shown = ", ".join(f"`{one}`" for one in spellings)
    return f"| {shown} {metavar} | {text} |".replace("  ", " ")


def main() -> None:
    for name, command in commands(sys.argv[1]):
        print(f"```\n{synopsis(name, command)}\n```\n\n| option | |\n|---|---|")
        for spellings, text in options(command):
            print(row(command, spellings, text))
        print()


if __name__ == "__main__":
    main()
