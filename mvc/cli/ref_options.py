"""The options by which `branch` and `tag` choose what they list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

SORTS = {
    "name": "name",
    "version": "version",
    "date": "date",
    "refname": "name",
    "version:refname": "version",
    "v:refname": "version",
    "creatordate": "date",
    "committerdate": "date",
    "taggerdate": "date",
}
"""The keys of `--sort`, and what they are with us; the last ones are Git's."""

F = TypeVar("F", bound=Callable[..., Any])


def _as_ours(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    sign = value[: value.startswith("-")]
    return sign + SORTS[value.removeprefix("-")]


def ref_filters(what: str) -> Callable[[F], F]:
    """`--contains`, `--points-at` and `--sort`, of `what` ("branches")."""
    options = (
        click.option("--contains", metavar="REV", help=f"Only {what} that have REV."),
        click.option("--points-at", metavar="REV", help=f"Only {what} at REV."),
        click.option(
            "--sort",
            type=click.Choice([sign + name for name in SORTS for sign in ("", "-")]),
            default="name",
            metavar="KEY",
            callback=_as_ours,
            help="By name, version (v1.9 before v1.10) or date; -date is the newest first. Git's names do, too.",
        ),
    )

    def declare(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return declare
