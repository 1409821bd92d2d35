"""`--param`, `--metric`, `--tag`, `--series`, `--dataset`, `--base` and the like, of a command that commits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from mvc.cli.session import Session
from mvc.metadata.model import CommitMetadata
from mvc.ops.gather import Given
from mvc.ops.gather import gather as gather_metadata

_OPTIONS = (
    click.option("--param", "params", metavar="NAME=VALUE", multiple=True, help="A parameter of the training."),
    click.option("--params", "param_files", metavar="FILE", multiple=True, help="Parameters from YAML, JSON or TOML."),
    click.option("--metric", "metrics", metavar="NAME[@PATH]=NUMBER", multiple=True, help="A figure measured."),
    click.option("--metrics", "metric_files", metavar="FILE", multiple=True, help="Figures from YAML, JSON or TOML."),
    click.option("--series", metavar="FILE", multiple=True, help="Figures by step, from CSV or JSON Lines."),
    click.option(
        "--table", "tables", metavar="NAME=FILE", multiple=True, help="A table (a confusion matrix): CSV or JSON."
    ),
    click.option(
        "--dataset",
        "datasets",
        metavar="NAME=PATH|URI[@DIGEST]",
        multiple=True,
        help="Data it was trained on; a local path is hashed.",
    ),
    click.option("--dataset-split", "splits", metavar="NAME=SPLIT", multiple=True, help="Which part of a dataset."),
    click.option(
        "--dataset-licence",
        "--dataset-license",
        "licences",
        metavar="NAME=LICENCE",
        multiple=True,
        help="A dataset's licence: CC-BY-4.0.",
    ),
    click.option("--tag", "tags", metavar="NAME=WORD", multiple=True, help="A word to find it by: task=ner."),
    click.option("--base", "bases", metavar="REV|URI", multiple=True, help="What it was fine-tuned from."),
    click.option("--no-environment", is_flag=True, help="Do not record Python, packages, machine, and the run."),
    click.option("--no-project", is_flag=True, help="Do not read what mvc.yaml declares."),
)


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
    """What the commit is to say of itself, as `mvc.ops.gather.gather`; warns of what a person should know."""
    found = gather_metadata(
        session.repo(),
        given,
        cwd=session.cwd,
        environment=session.environment,
        arguments=("mvc", *session.arguments),
        amend=amend,
    )
    for problem in found.problems:
        session.warn(problem)
    return found.metadata
