"""What verbs that reach a remote need of a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mvc.backends.limited import UNLIMITED, parse_rates
from mvc.cli.session import Session
from mvc.ops.connect import Outside

F = TypeVar("F", bound=Callable[..., Any])


def outside(session: Session) -> Outside:
    """The environment, for credentials, and the current folder; how fast, and how much at once."""
    rates = parse_rates(session.limit_rate) if session.limit_rate is not None else UNLIMITED
    return Outside(session.environment, session.cwd, rates, session.jobs)


def at(session: Session, path: Path) -> Path:
    """A path of the command line, absolute, without dots."""
    return Path(os.path.normpath(session.cwd / path))


def transfer_flags(function: F) -> F:
    """`--jobs` and `--limit-rate`; they go into the session, and from there into `outside`."""

    def set_jobs(ctx: click.Context, _param: click.Parameter, value: int) -> None:
        ctx.find_root().obj.jobs = value

    def set_rate(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            parse_rates(value)
            ctx.find_root().obj.limit_rate = value

    jobs = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        expose_value=False,
        callback=set_jobs,
        help="So many requests at once; 0: as suits.",
    )
    rate = click.option(
        "--limit-rate",
        metavar="RATE",
        expose_value=False,
        callback=set_rate,
        help="No more bytes a second than this: 10M, or up=5M,down=20M.",
    )
    return jobs(rate(function))
