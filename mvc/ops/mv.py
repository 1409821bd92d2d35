"""`mvc mv`: rename in the worktree and in the stage."""

from __future__ import annotations

import posixpath
import stat as modes
from collections.abc import Sequence
from dataclasses import dataclass

from mvc.errors import NotFound, Refused, UnsafePath, UsageError
from mvc.gitlink.ignorefile import update_ignore_file
from mvc.objects.paths import check_path, folds_alike
from mvc.repo.locking import edit_stage
from mvc.repo.pathspec import Pathspec
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.scan import is_equal
from mvc.repo.stage import Stage, Stat, stat_of


@dataclass(frozen=True, slots=True)
class Move:
    """One source and where it goes; files or folders."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class MvOptions:
    """How to move."""

    force: bool = False
    """A file at the destination is overwritten."""
    skip_errors: bool = False
    """What cannot be moved is left out (`-k`)."""
    dry_run: bool = False


def mv(
    repo: Repository,
    sources: Sequence[str],
    destination: str,
    options: MvOptions = MvOptions(),
    *,
    prefix: str = "",
    wait: float = 0.0,
) -> tuple[Move, ...]:
    """Move sources (as typed in the folder `prefix`) to the destination, or into it if it is a folder.

    All is checked before anything moves. Raises NotFound for a source that is not versioned or a
    folder that is not there, Refused for a destination that exists. A move whose file went but whose
    stage was not written (a crash) is completed by repeating it.
    """
    if not sources:
        raise UsageError("nothing to move", hint="mvc mv OLD NEW")
    target = _inside(repo, destination, prefix)
    with edit_stage(repo, wait=wait, what="mv") as stage, Placer(repo.require_worktree()) as placer:
        into = _is_folder(placer, target)
        if len(sources) > 1 and not into:
            raise NotFound(f"'{destination}' is not a folder", hint=f"mkdir {destination}")
        moves: list[Move] = []
        for source in sources:
            old = _inside(repo, source, prefix)
            move = Move(old, posixpath.join(target, posixpath.basename(old)) if into else target)
            if into and len(sources) == 1 and _was_killed(repo, stage, placer, Move(old, target)):
                move = Move(old, target)
            try:
                _check(repo, stage, placer, move, options, {other.new for other in moves})
            except (NotFound, Refused):
                if not options.skip_errors:
                    raise
            else:
                moves.append(move)
        if not options.dry_run:
            for move in moves:
                _move(stage, placer, move)
            if moves:
                update_ignore_file(repo, stage)
    return tuple(moves)


def _inside(repo: Repository, typed: str, prefix: str) -> str:
    (path,) = Pathspec.parse([f":(literal){typed.rstrip('/') or typed}"], prefix, repo.locate).literal
    return path


def _check(repo: Repository, stage: Stage, placer: Placer, move: Move, options: MvOptions, taken: set[str]) -> None:
    old, new = move.old, move.new
    if not old:
        raise Refused("the top of the worktree cannot be moved")
    if old in stage.conflicts():
        raise Refused(f"'{old}' is in conflict", hint="resolve it, then mvc add")
    if old not in stage and not stage.under(old):
        raise NotFound(f"'{old}' is not versioned", hint="mvc add it, or move it with mv")
    check_path(new)
    if new == old or new.startswith(old + "/"):
        raise Refused(f"'{old}' cannot be moved into itself")
    folder = posixpath.dirname(new)
    if folder and not _is_folder(placer, folder):
        raise NotFound(f"there is no folder '{folder}'", hint=f"mkdir -p {folder}")
    if new in taken:
        raise Refused(f"two sources would become '{new}'")
    there, source = placer.lstat(new), placer.lstat(old)
    if source is None:
        if not _moved_already(repo, stage, placer, move):
            raise NotFound(f"'{old}' is not there")
    elif there is not None and not _same_file(repo, move, there.st_ino, source.st_ino):
        has_folder = modes.S_ISDIR(there.st_mode) or modes.S_ISDIR(source.st_mode)
        if has_folder or not options.force:
            raise Refused(f"'{new}' exists", hint=None if has_folder else "mvc mv -f")


def _same_file(repo: Repository, move: Move, one: int, other: int) -> bool:
    """Does just the case of the name change, where the file system does not tell cases apart?"""
    return repo.settings.ignore_case and one == other and folds_alike(move.old) == folds_alike(move.new)


def _was_killed(repo: Repository, stage: Stage, placer: Placer, move: Move) -> bool:
    """Is the destination a folder just because it is the source, moved by a run that was killed?"""
    entries = stage.under(move.old)
    return bool(entries) and placer.lstat(move.old) is None and _moved_already(repo, stage, placer, move)


def _moved_already(repo: Repository, stage: Stage, placer: Placer, move: Move) -> bool:
    """Did a move that was killed bring all files there, but not into the stage?"""
    entries = [entry for path in _below(stage, move.old) if (entry := stage.get(path)) is not None]
    return all(
        _to(move, entry.path) not in stage
        and is_equal(
            repo, _to(move, entry.path), entry.mode, entry.id, entry.size, entry.blake3, folders=placer.folders
        )
        for entry in entries
    )


def _move(stage: Stage, placer: Placer, move: Move) -> None:
    entries = [entry for path in _below(stage, move.old) if (entry := stage.get(path)) is not None]
    unchanged = {entry.path for entry in entries if entry.stat is not None and entry.stat == _stat(placer, entry.path)}
    if placer.lstat(move.old) is not None:
        placer.move(move.old, move.new)
    for entry in entries:
        new = _to(move, entry.path)
        stage.remove(entry.path)
        # The rename moved the ctime of what was known to be unchanged; of anything else nothing is known.
        stage.put(entry._replace(path=new, stat=_stat(placer, new) if entry.path in unchanged else None))
    placer.prune(posixpath.dirname(move.old))


def _stat(placer: Placer, path: str) -> Stat | None:
    found = placer.lstat(path)
    return None if found is None else stat_of(found)


def _below(stage: Stage, path: str) -> list[str]:
    return [path] if path in stage else stage.under(path)


def _to(move: Move, path: str) -> str:
    return move.new + path[len(move.old) :]


def _is_folder(placer: Placer, path: str) -> bool:
    if not path:
        return True
    try:
        found = placer.lstat(path)
    except UnsafePath:
        return False
    return found is not None and modes.S_ISDIR(found.st_mode)
