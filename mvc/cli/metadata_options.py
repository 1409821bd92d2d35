"""`--param`, `--params`, `--metric`, `--metrics`, `--dataset` of a command that commits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from mvc.cli.session import Session
from mvc.metadata.arguments import collect_datasets, collect_metrics, collect_params
from mvc.metadata.environment import Surroundings, capture
from mvc.metadata.model import NOTHING, CommitMetadata

_OPTIONS = (
    click.option("--param", "params", metavar="NAME=VALUE", multiple=True, help="A parameter of the training."),
    click.option("--params", "param_files", metavar="FILE", multiple=True, help="Parameters from YAML, JSON or TOML."),
    click.option("--metric", "metrics", metavar="NAME=NUMBER", multiple=True, help="A figure that was measured."),
    click.option("--metrics", "metric_files", metavar="FILE", multiple=True, help="Figures from YAML, JSON or TOML."),
    click.option(
        "--dataset",
        "datasets",
        metavar="NAME=PATH|URI[@DIGEST]",
        multiple=True,
        help="Data it was trained on; a local path is hashed.",
    ),
    click.option("--no-environment", is_flag=True, help="Do not record Python, packages and machine."),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says of a commit, as typed."""

    params: tuple[str, ...] = ()
    param_files: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    metric_files: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    no_environment: bool = False

    def __bool__(self) -> bool:
        return bool(self.params or self.param_files or self.metrics or self.metric_files or self.datasets)


def metadata_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options, handed to the function as one argument `given`."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        given = Given(**{name: kwargs.pop(name) for name in Given.__dataclass_fields__})
        return function(*args, given=given, **kwargs)

    for option in reversed(_OPTIONS):
        inner = option(inner)
    return inner


def gather(session: Session, given: Given, *, amend: bool = False) -> CommitMetadata:
    """Read files, hash datasets, capture the environment. An amended commit keeps its own where nothing is given."""
    if amend and not given:
        return NOTHING
    environment: dict[str, Any] = {}
    if not given.no_environment:
        command = ("mvc", *session.arguments)
        environment = capture(Surroundings(command, dict(session.environment), session.cwd))
    return CommitMetadata(
        params=collect_params(given.params, [session.cwd / name for name in given.param_files]),
        metrics=collect_metrics(given.metrics, [session.cwd / name for name in given.metric_files]),
        datasets=collect_datasets(given.datasets, session.cwd, session.repo().worktree),
        environment=environment,
    )
