"""`mvc hooks`: parse, call `mvc.gitlink` and `mvc.ops.bring`, render. What Git starts is in `mvc.cli.hooks_run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mvc.cli.command import json_flag, noun, quiet_flag
from mvc.cli.session import Session
from mvc.cli.tables import table
from mvc.cli.text import printable_path
from mvc.gitlink.hookscripts import HOOKS, Program, this_program
from mvc.lazy import load

if TYPE_CHECKING:
    from mvc.gitlink.hookfiles import HookFile, Hooks

LATE = {
    "project": "mvc.gitlink.outer:find_project",
    "install": "mvc.gitlink.hookfiles:install_hooks",
    "uninstall": "mvc.gitlink.hookfiles:uninstall_hooks",
    "find": "mvc.gitlink.hookfiles:find_hooks",
    "driver": "mvc.gitlink.driver:install_driver",
    "no_driver": "mvc.gitlink.driver:uninstall_driver",
    "driver_state": "mvc.gitlink.driver:driver_state",
    "run": "mvc.cli.hooks_run:run_hook",
    "sync": "mvc.cli.hooks_sync:sync",
    "check": "mvc.cli.hooks_check:check",
    "merge": "mvc.cli.hooks_run:merge_lock",
}
"""Each verb loads what it needs: Git waits for its hooks."""

_STATES = {"other": "another hook", "replaced": "replaced by another hook"}


@noun()
def command(session: Session) -> None:
    """Let Git's own commands take the models along.

    In a Git project: checkout, merge and rebase bring the models of mvc.lock, push pushes them first, and commit
    keeps raw weights and unsafe pickles out of Git.
    """


@command.verb
@click.option("-f", "--force", is_flag=True, help="Also where a hook manager writes these hooks.")
@quiet_flag
@json_flag
def install(session: Session, force: bool, as_json: bool) -> None:
    """Put the hooks in, and the merge driver for mvc.lock.

    A hook that stands is kept, and runs first. MVC_SKIP_HOOKS=1 leaves mvc's out, for once.
    """
    project, program = load(LATE["project"])(session.cwd), _program()
    before: Hooks = load(LATE["find"])(project, program)
    if before.manager is not None and not as_json and not force and (before.manager.owns_folder or not _all(before)):
        session.note(before.manager.advice)
    hooks, written = load(LATE["install"])(project, program, force=force)
    changed = load(LATE["driver"])(project, program)
    if as_json:
        session.emit_json("hooks-install", {"folder": str(hooks.folder), "written": list(written), "driver": changed})
        return
    if hooks.shared and written:
        session.warn(f"{printable_path(str(hooks.folder))} (core.hooksPath) serves other repositories, too")
    kept = [one.name for one in hooks.files if one.before is not None]
    more = f"; before {', '.join(kept)} the hook runs that stood there" if kept else ""
    if written:
        session.note(f"hooks installed in {printable_path(str(hooks.folder))}{more}")
    elif changed:
        session.note("the merge driver for mvc.lock is installed; the hooks were already")
    else:
        session.note("all hooks are installed already")


@command.verb
@quiet_flag
@json_flag
def uninstall(session: Session, as_json: bool) -> None:
    """Take the hooks and the merge driver out: what stood before stands again, to the byte."""
    project = load(LATE["project"])(session.cwd)
    folder, gone, stayed = load(LATE["uninstall"])(project)
    driver = load(LATE["no_driver"])(project)
    if as_json:
        document = {"folder": str(folder), "removed": list(gone), "left": list(stayed), "driver": driver}
        session.emit_json("hooks-uninstall", document)
        return
    for name in stayed:
        session.warn(f"{name} is another hook's now: it was left, and {name}.before-mvc beside it")
    session.note(f"hooks taken out: {', '.join(gone)}" if gone or driver else "no hooks are installed")


@command.verb
@json_flag
def status(session: Session, as_json: bool) -> None:
    """Which hooks are in, and where."""
    project, program = load(LATE["project"])(session.cwd), _program()
    hooks: Hooks = load(LATE["find"])(project, program)
    driver: str = load(LATE["driver_state"])(project, program)
    if as_json:
        session.emit_json("hooks", _document(hooks, driver))
        return
    session.emit_text(f"hooks in {printable_path(str(hooks.folder))}")
    rows = [[f"  {one.name}", _state(hooks, one), HOOKS[one.name]] for one in hooks.files]
    rows.append(["  merge driver", driver, "mvc.lock is merged as its commits are"])
    session.emit_text("\n".join(table(rows)))
    if hooks.shared:
        session.note("this folder (core.hooksPath) lies outside of the project: other repositories may have it, too")
    if not _all(hooks) or driver != "installed":
        if hooks.manager is not None:
            session.note(hooks.manager.advice)
        session.note("mvc hooks install puts in what is lacking")


@command.verb
@click.option("-f", "--force", is_flag=True, help="Give up uncommitted changes, and commits that nothing else holds.")
@click.option("--history", is_flag=True, help="Bring the history alone: no model is written.")
@click.option("--also", metavar="GIT_REV", multiple=True, help="Bring the history of that Git commit's models, too.")
@click.option("--remote", metavar="URL", help="Fetch from there: origin of the repository, whatever mvc.lock says.")
@quiet_flag
@json_flag
def sync(
    session: Session, force: bool, history: bool, also: tuple[str, ...], remote: str | None, as_json: bool
) -> int | None:
    """Bring the models that mvc.lock names, as the hooks do.

    For after `git reset`, for which Git has no hook; and in a fresh clone of the Git project, where it makes the mvc
    repository from the remote that mvc.lock names.
    """
    code: int | None = load(LATE["sync"])(
        session, force=force, history=history, also=also, remote=remote, as_json=as_json
    )
    return code


@command.verb
@click.argument("git_revision", metavar="[GIT_REV]", required=False)
@click.option("--max-size", metavar="SIZE", help="Weights from so many bytes on (k, m, g); 0: any size is fine. [1m]")
@click.option("--strict", is_flag=True, help="Refuse pickles that load anything not known to be safe.")
@json_flag
def check(session: Session, git_revision: str | None, max_size: str | None, strict: bool, as_json: bool) -> int | None:
    """Find raw weights and unsafe pickles: what is staged for Git, or all files of the Git commit GIT_REV.

    Pickles are followed, never loaded. The exit code is 1 if there is anything. `hooks` in mvc.yaml says what may pass.
    """
    code: int | None = load(LATE["check"])(session, git_revision, max_size, strict, as_json=as_json)
    return code


@command.verb
@click.argument("name", type=click.Choice(list(HOOKS)), metavar="NAME")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]...")
def run(session: Session, name: str, arguments: tuple[str, ...]) -> int | None:
    """What the hook NAME does: for hook managers, with Git's arguments behind "--", and Git's stdin."""
    code: int | None = load(LATE["run"])(session, name, arguments)
    return code


@command.verb
@click.argument("base", type=click.Path())
@click.argument("ours", type=click.Path())
@click.argument("theirs", type=click.Path())
@click.argument("lock", type=click.Path(), required=False)
def merge_lock(session: Session, base: str, ours: str, theirs: str, lock: str | None) -> int | None:
    """The merge driver of mvc.lock: Git calls it with %O %A %B %P; the result replaces OURS."""
    code: int | None = load(LATE["merge"])(session, *(Path(session.cwd / one) for one in (base, ours, theirs)), lock)
    return code


def _program() -> Program:
    return this_program(sys.executable, Path(__file__).resolve().parents[1])


def _all(hooks: Hooks) -> bool:
    return all(one.state in ("installed", "through") for one in hooks.files)


def _state(hooks: Hooks, one: HookFile) -> str:
    if one.state == "through":
        return f"through {hooks.manager.name if hooks.manager else 'pre-commit'}"
    return _STATES.get(one.state, one.state) + (", after another" if one.before is not None and one.runs else "")


def _document(hooks: Hooks, driver: str) -> dict[str, object]:
    rows = [
        {
            "name": one.name,
            "state": one.state,
            "runs": one.runs,
            "path": str(one.path),
            "before": str(one.before) if one.before else None,
        }
        for one in hooks.files
    ]
    manager = hooks.manager.name if hooks.manager is not None else None
    return {"folder": str(hooks.folder), "shared": hooks.shared, "manager": manager, "hooks": rows, "driver": driver}
