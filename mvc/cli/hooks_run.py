"""What Git starts: hooks and the merge driver.

Behind a checkout nothing that goes wrong here makes Git's exit code another; before a commit and a push it does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvc.cli.errors import report
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import MvcError
from mvc.gitlink.outer import Project, ask, find_project, lock_folders
from mvc.lazy import load

if TYPE_CHECKING:
    from mvc.ops.push_locked import PushedModels

LATE = {
    "check": "mvc.cli.hooks_check:check",
    "opened": "mvc.cli.hooks_sync:opened",
    "line": "mvc.cli.hooks_sync:brought_line",
    "options": "mvc.ops.bring:BringOptions",
    "bring": "mvc.ops.bring:bring",
    "outside": "mvc.cli.outside:outside",
    "refs": "mvc.gitlink.pushedlocks:parse_refs",
    "needed": "mvc.gitlink.pushedlocks:needed",
    "push": "mvc.ops.push_locked:push_locked",
    "moved": "mvc.cli.pushed_text:moved_line",
    "merge": "mvc.ops.merge_lock:merge_files",
}
_FILE_CHECKOUT = "0"
_ZERO = "0" * 40


def run_hook(session: Session, name: str, arguments: Sequence[str]) -> int | None:
    """Do what the hook is for."""
    if session.environment.get("MVC_SKIP_HOOKS", "0") not in ("0", "no", "false", ""):
        return None
    if name == "pre-commit":
        code: int | None = load(LATE["check"])(session, None, None, False, as_json=False)
        return code
    project = find_project(session.cwd)
    if project.top is None:
        return None
    if name == "pre-push":
        _push(session, project, arguments)
    elif _follows(session, project, name, arguments):
        _bring(session, project, name)
    return None


def _follows(session: Session, project: Project, name: str, arguments: Sequence[str]) -> bool:
    """Is this a step that models are to follow?"""
    kind = arguments[2] if len(arguments) > 2 else session.environment.get("PRE_COMMIT_CHECKOUT_TYPE", "1")
    if name == "post-checkout" and kind == _FILE_CHECKOUT:
        return False
    if name == "post-rewrite":
        # Behind an amended commit, too, where nothing of a file changed.
        return (arguments[0] if arguments else session.environment.get("PRE_COMMIT_REWRITE_COMMAND")) != "amend"
    # post-rewrite tells the end of a rebase, but of one that only goes forward. (A bisection wants each step.)
    if project.rebased_branch() is not None:
        return True
    return not project.in_progress("rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "REVERT_HEAD")


def _bring(session: Session, project: Project, name: str) -> None:
    branch = project.rebased_branch()
    for folder in lock_folders(project):
        try:
            repo = load(LATE["opened"])(session, project, folder)
            if repo is None:
                session.warn("the models of this Git commit are not here: mvc hooks sync brings them")
                continue
            options, caller = load(LATE["options"])(branch=branch), session.caller(commits=False)
            done = load(LATE["bring"])(repo, options, outside=lambda: load(LATE["outside"])(session), caller=caller)
            if done is not None and done.moved:
                session.note(f"mvc: {load(LATE['line'])(done)}")
        except Exception as error:
            report(error, session)
            step, told = name.removeprefix("post-"), "mvc hooks sync" in (getattr(error, "hint", None) or "")
            then = "" if told else " Then: mvc hooks sync"
            session.note(f"mvc: the models stayed as they were; Git's {step} stands.{then}")


def _push(session: Session, project: Project, arguments: Sequence[str]) -> None:
    top = project.require_top()
    folders = lock_folders(project)
    remote, refs = _pushed_refs(session, project, arguments)
    if not folders or not refs:
        return
    for folder, wanted in load(LATE["needed"])(top, folders, refs, remote).items():
        if not wanted:
            continue
        repo = load(LATE["opened"])(session, project, folder)
        if repo is None:
            session.warn("the models of what is pushed are not here: nobody can tell whether their remote has them")
            continue
        caller = session.caller(commits=False)
        try:
            done: PushedModels = load(LATE["push"])(
                repo, wanted, remote, outside=load(LATE["outside"])(session), caller=caller
            )
        except MvcError as error:
            error.message = f"the models were not pushed, so Git's push was stopped: {error.message}"
            raise
        _tell_push(session, done)


def _pushed_refs(session: Session, project: Project, arguments: Sequence[str]) -> tuple[str, list[object]]:
    """Git's name of the remote, and what goes there: from Git's stdin, or from what pre-commit makes of it."""
    environment = session.environment
    if remote := environment.get("PRE_COMMIT_REMOTE_NAME"):
        there = environment.get("PRE_COMMIT_REMOTE_BRANCH", "")
        # All of a new branch down to the root has no TO_REF.
        pushed = environment.get("PRE_COMMIT_TO_REF") or environment.get("PRE_COMMIT_LOCAL_BRANCH", "HEAD")
        new = ask(project.folder, "rev-parse", "--verify", "-q", "--end-of-options", pushed) or b""
        old = environment.get("PRE_COMMIT_FROM_REF", "")
        old = old if len(old) == len(new.strip()) else _ZERO
        text = f"HEAD {new.decode().strip()} {there} {old}\n" if new else ""
        return remote, load(LATE["refs"])(text)
    raw = getattr(sys.stdin, "buffer", None)
    text = raw.read().decode("utf-8", "surrogateescape") if raw is not None else sys.stdin.read()
    return (arguments[0] if arguments else "origin"), load(LATE["refs"])(text)


def _tell_push(session: Session, done: PushedModels) -> None:
    if done.remote is None:
        session.warn("mvc has no remote: the models of what is pushed stay here (mvc remote add origin URL)")
        return
    for branch in done.beside:
        session.warn(f"mvc's branch {branch} on {done.remote} has other commits: these models went beside it")
    if done.pushed is not None and done.pushed.result is not None:
        line = load(LATE["moved"])(done.pushed.result.bytes_sent, done.pushed.result.bytes_of_model)
        session.note(f"mvc: models pushed to {printable(done.pushed.url)}: {line}")


def merge_lock(session: Session, base: Path, ours: Path, theirs: Path, lock: str | None) -> int | None:
    """Merge; 1 for a conflict, which is told."""
    conflict: str | None = load(LATE["merge"])(
        session.cwd / (lock or "mvc.lock"),
        base,
        ours,
        theirs,
        equip=session.equipped,
        outside=load(LATE["outside"])(session),
        caller=session.caller(commits=False),
        global_configs=session.global_configs,
    )
    if conflict is not None:
        session.note(f"mvc: {conflict}")
        return 1
    return None
