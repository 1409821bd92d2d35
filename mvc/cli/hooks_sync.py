"""`mvc hooks sync`: every repository of the Git project, or the one that its mvc.lock asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.text import printable, printable_path
from mvc.errors import NotFound
from mvc.gitlink.lockfile import Lock
from mvc.gitlink.outer import Project, find_project, lock_folders
from mvc.gitlink.pushedlocks import locked_commit
from mvc.lazy import load
from mvc.ops.bring import BringOptions, Brought, bring, fetch_commit, find_repository, has_commit
from mvc.repo.repository import Repository

if TYPE_CHECKING:
    from mvc.ops.connect import Outside

LATE = {
    "outside": "mvc.cli.outside:outside",
    "fill": "mvc.ops.bring_new:fill",
    "link": "mvc.ops.bring_new:link_worktree",
    "make": "mvc.ops.bring_new:make_repository",
    "turn": "mvc.ops.bring_new:turn_to",
}
"""Loaded in a fresh clone or worktree, or where a remote is asked."""


def sync(
    session: Session, *, force: bool, history: bool, also: tuple[str, ...], remote: str | None, as_json: bool
) -> int | None:
    """Bring them; an error ends it."""
    project = find_project(session.cwd)
    project.require_top()
    done: list[Brought] = []
    folders = lock_folders(project)
    if not folders:
        raise NotFound("this Git commit has no mvc.lock: it goes with no models", hint="mvc commit writes one")
    for folder in folders:
        repo = opened(session, project, folder)
        if repo is None:
            made = load(LATE["make"])(
                project,
                folder,
                remote,
                outside=outside_of(session),
                caller=session.caller(commits=False),
                global_configs=session.global_configs,
            )
            repo = session.equipped(made)
        elif remote is not None:
            repo = _turned(session, project, folder, repo, remote)
        options = BringOptions(force=force, files=not history)
        found = bring(repo, options, outside=lambda: outside_of(session), caller=session.caller(commits=False))
        if found is not None:
            done.append(found)
        for commit in filter(None, (locked_commit(project.require_top(), one, folder) for one in also)):
            if not has_commit(repo, commit):
                caller = session.caller(commits=False)
                fetch_commit(repo, Lock(commit, ()), outside=outside_of(session), caller=caller)
    if as_json:
        rows = [
            {
                "path": str(one.top),
                "commit": one.commit,
                "branch": one.branch,
                "moved": one.moved,
                "carried": [*one.carried],
            }
            for one in done
        ]
        session.emit_json("hooks-sync", {"repositories": rows})
    else:
        for one in done:
            session.note(brought_line(one) if one.moved else f"models are at {_where(one)} already")
    return None


def _turned(session: Session, project: Project, folder: str, repo: Repository, url: str) -> Repository:
    """The repository with its remote there: nothing of a CI's cache, say, may choose whom the token is shown to."""
    was = load(LATE["turn"])(repo, url, outside=outside_of(session))
    if was is not None:
        session.note(f"origin is {printable(url)} from now on; it was {printable(was)}")
    return opened(session, project, folder) or repo


def outside_of(session: Session) -> Outside:
    """What lies outside of the repository."""
    found: Outside = load(LATE["outside"])(session)
    return found


def opened(session: Session, project: Project, folder: str) -> Repository | None:
    """The repository there; in a new worktree of Git's one that is linked to the main one. None: there is none."""
    repo = find_repository(project, folder, global_configs=session.global_configs)
    if repo is None and project.is_linked:
        repo = load(LATE["link"])(
            project,
            folder,
            outside=outside_of(session),
            caller=session.caller(commits=False),
            global_configs=session.global_configs,
        )
        if repo is not None:
            repo = session.equipped(repo)
            session.note(f"mvc: {brought_line(load(LATE['fill'])(repo, caller=session.caller(commits=False)))}")
            return repo
    return session.equipped(repo) if repo is not None else None


def brought_line(one: Brought) -> str:
    """ "models of main are at 1a2b3c4d5e 'tuned'"."""
    more = f"; {counted(len(one.carried), 'file')} with uncommitted changes came along" if one.carried else ""
    return f"models are at {_where(one)} {printable(one.summary[:60])}{more}"


def _where(one: Brought) -> str:
    return f"{one.commit[:10]} ({printable_path(one.branch) if one.branch else 'no branch'})"
