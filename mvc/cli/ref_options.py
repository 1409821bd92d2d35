"""The options by which `branch` and `tag` choose what they list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def ref_filters(what: str) -> Callable[[F], F]:
    """`--contains`, `--points-at` and `--sort`, of `what` ("branches")."""
    options = (
        click.option("--contains", metavar="REV", help=f"Only {what} that have REV."),
        click.option("--points-at", metavar="REV", help=f"Only {what} at REV."),
        click.option(
            "--sort",
            type=click.Choice(["name", "-name", "date", "-date"]),
            default="name",
            help="By name, or by date of the commit; - turns it round.",
        ),
    )

    def declare(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return declare
