"""`mvc import`: parse, call `mvc.ops.import_source`, render."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mvc.cli.command import dry_run_flag, json_flag, noun, quiet_flag
from mvc.cli.outside import at
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes, stored_line
from mvc.cli.text import printable, printable_path
from mvc.importers.base import Source
from mvc.lazy import load
from mvc.ops.import_source import Imported, ImportOptions, import_source

SOURCES = {
    "dvc": "mvc.importers.dvc:DvcSource",
    "git-lfs": "mvc.importers.lfs:LfsSource",
    "mlflow": "mvc.importers.mlflow:MlflowSource",
    "hf-cache": "mvc.importers.hfcache:HubCacheSource",
}
"""Loaded when asked for."""

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 20


def _common(function: F) -> F:
    """What all kinds take."""
    prefix = click.option("--prefix", metavar="NAME", default="", help="Put branches, tags and aliases under NAME/.")
    missing = click.option("--allow-missing", is_flag=True, help="Leave out files whose content the source lacks.")
    return prefix(missing(dry_run_flag(json_flag(quiet_flag(function)))))


def _git(function: F) -> F:
    """What sources in Git take."""
    files = click.option(
        "--files",
        type=click.Choice(["all", "models"]),
        help="All files, or only those that the tool keeps for Git. [all; in a Git project: models]",
    )
    remotes = click.option("--remote-branches", is_flag=True, help="Also branches of origin that are not local.")
    return files(remotes(function))


@noun()
def command(session: Session) -> None:
    """Bring models and their history from another tool.

    Bytes go from where they lie straight into the chunk store, each content once, held against the digest that the
    source has of it. What was imported is known: the same again brings only what is new, and a killed import goes on.
    The worktree is left as it is.
    """


@command.verb
@click.argument("source", default=".", type=click.Path(path_type=Path))
@_git
@click.option(
    "--remote",
    metavar="NAME|URL",
    help="DVC's remote, for what its cache lacks; '' for none. [the default, if a folder]",
)
@click.option("--experiments", is_flag=True, help="Also those of 'dvc exp', as branches exp/NAME.")
@_common
def dvc(
    session: Session,
    source: Path,
    files: str | None,
    remote_branches: bool,
    remote: str | None,
    experiments: bool,
    **common: Any,
) -> None:
    """A Git project with DVC: its outs, with params and metrics.

    SOURCE is the folder that holds .dvc.
    """
    only = _models_only(session, files)
    opened = load(SOURCES["dvc"])(
        at(session, source),
        session.environment,
        remote=remote,
        models_only=only,
        remotes=remote_branches,
        experiments=experiments,
    )
    _run(session, opened, variant="models" if only else "", **common)


@command.verb
@click.argument("source", default=".", type=click.Path(path_type=Path))
@_git
@_common
def git_lfs(session: Session, source: Path, files: str | None, remote_branches: bool, **common: Any) -> None:
    """A Git repository with Git LFS: pointers become files."""
    only = _models_only(session, files)
    opened = load(SOURCES["git-lfs"])(at(session, source), models_only=only, remotes=remote_branches)
    _run(session, opened, variant="models" if only else "", **common)


@command.verb
@click.argument("source", default="mlruns", type=click.Path(path_type=Path))
@click.option(
    "--artifacts", type=click.Path(path_type=Path, file_okay=False), help="Where artefacts lie, if not there."
)
@click.option("--branches", is_flag=True, help="Each run a branch EXPERIMENT/RUN, and not a ref under refs/runs/.")
@_common
def mlflow(session: Session, source: Path, artifacts: Path | None, branches: bool, **common: Any) -> None:
    """A store of MLflow: runs, params, metrics, artefacts, models.

    SOURCE is a folder mlruns or a SQLite database; MLflow itself is not needed. A registered model's versions become
    tags, its aliases and stages aliases.
    """
    where = at(session, artifacts) if artifacts is not None else None
    opened = load(SOURCES["mlflow"])(at(session, source), artifacts=where, branches=branches)
    _run(session, opened, variant="branches" if branches else "", **common)


@command.verb
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option(
    "--repo", "names", metavar="ORG/NAME", multiple=True, help="Only this repository of the Hub; several may be given."
)
@_common
def hf_cache(session: Session, source: Path | None, names: tuple[str, ...], **common: Any) -> None:
    """The Hugging Face Hub's cache: each snapshot a commit.

    SOURCE is the cache's folder, or that of one repository in it. [HF_HUB_CACHE, else ~/.cache/huggingface/hub]
    """
    where = at(session, source) if source is not None else _hub_cache(session)
    _run(session, load(SOURCES["hf-cache"])(where, session.caller().who, names=names), variant="", **common)


def _models_only(session: Session, files: str | None) -> bool:
    """In a Git project Git keeps the other files."""
    return files == "models" or (files is None and session.repo().git_project is not None)


def _hub_cache(session: Session) -> Path:
    environment = session.environment
    if given := environment.get("HF_HUB_CACHE"):
        return Path(given)
    home = environment.get("HF_HOME")
    cache = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return (Path(home) if home else Path(cache) / "huggingface") / "hub"


def _run(
    session: Session,
    source: Source,
    *,
    variant: str,
    prefix: str,
    allow_missing: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    options = ImportOptions(allow_missing, prefix, dry_run, f"{variant}{'+' if allow_missing else ''}")
    try:
        done = import_source(session.repo(), source, options, caller=session.caller())
    finally:
        source.close()
    if as_json:
        session.emit_json("import", _document(source, done, dry_run))
        return
    for text in done.warnings:
        session.warn(printable(text))
    for path in done.missing[: None if session.verbose else _SHOWN]:
        session.warn(f"left out, as the source lacks its content: {printable_path(path)}")
    if not session.quiet:
        session.emit_text("\n".join(_lines(session, done, dry_run)))


def _lines(session: Session, done: Imported, dry_run: bool) -> list[str]:
    if dry_run:
        size = f"{counted(done.contents, 'content')}, {human_bytes(done.raw)}"
        return [f"would import {counted(done.new, 'commit')} of {done.total:,}: {size}"]
    lines = [f"imported {counted(done.new, 'commit')} of {done.total:,}: {counted(done.contents, 'new content')}"]
    if done.raw:
        lines.append(stored_line(done.stored, done.raw))
    for one in done.refs[:_SHOWN]:
        sign = session.paint("new ", "green") if one.old is None else "now "
        lines.append(f" {sign} {printable(one.ref.removeprefix('refs/').removeprefix('heads/'))}  {one.new[:10]}")
    if len(done.refs) > _SHOWN:
        lines.append(f" and {len(done.refs) - _SHOWN:,} more refs")
    if done.checked_out:
        lines.append("the worktree is as it was: mvc restore . brings the files, mvc status compares them")
    return lines


def _document(source: Source, done: Imported, dry_run: bool) -> dict[str, object]:
    return {
        "source": {"kind": source.kind, "place": source.place},
        "dry_run": dry_run,
        "commits": dict(done.commits),
        "new": done.new,
        "total": done.total,
        "contents": done.contents,
        "raw_bytes": done.raw,
        "stored_bytes": done.stored,
        "refs": [{"ref": one.ref, "old": one.old, "new": one.new} for one in done.refs],
        "missing": list(done.missing),
        "warnings": list(done.warnings),
    }
