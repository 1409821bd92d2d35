"""The status for people, in Git's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mvc.cli.porcelain import relative
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.text import printable, printable_path
from mvc.cli.tracking_text import tracking_lines
from mvc.ops.status import StatusResult
from mvc.repo.inprogress import InProgress, Operation
from mvc.repo.status import Change, FileChange

_WORDS = {
    Change.ADDED: "new file:",
    Change.MODIFIED: "modified:",
    Change.DELETED: "deleted:",
    Change.RENAMED: "renamed:",
    Change.TYPECHANGED: "typechange:",
}
_CONFLICTS = {
    "DD": "both deleted:",
    "AU": "added by us:",
    "UD": "deleted by them:",
    "UA": "added by them:",
    "DU": "deleted by us:",
    "AA": "both added:",
    "UU": "both modified:",
}
_STAGED, _UNSTAGED = "green", "red"


def long_status(session: Session, result: StatusResult) -> str:
    """Sections with hints, and a last line that says what to do."""
    return "\n".join(_lines(session, result))


def _lines(session: Session, result: StatusResult) -> Iterator[str]:
    status, prefix = result.status, result.prefix
    yield from _head(session, result)
    staged = [_changed(change, prefix, result.sizes) for change in status.staged]
    unstage = "mvc restore --staged <file>..." if status.head.id else "mvc rm --cached <file>..."
    yield from _section(session, "Changes to be committed:", [f'use "{unstage}" to unstage'], staged, _STAGED)
    conflicts = [f"{_CONFLICTS[one.code]:<17}{_shown(one.path, prefix)}" for one in status.conflicts]
    hint = 'use "mvc add/rm <file>..." as appropriate to mark resolution'
    yield from _section(session, "Unmerged paths:", [hint], conflicts, _UNSTAGED)
    verb = "add/rm" if any(one.change is Change.DELETED for one in status.unstaged) else "add"
    hints = [
        f'use "mvc {verb} <file>..." to update what will be committed',
        'use "mvc restore <file>..." to discard changes in the worktree',
    ]
    unstaged = [_changed(change, prefix, {}) for change in status.unstaged]
    yield from _section(session, "Changes not staged for commit:", hints, unstaged, _UNSTAGED)
    hints = ['use "mvc add <file>..." to include in what will be committed']
    yield from _section(session, "Untracked files:", hints, _all_shown(status.untracked, prefix), _UNSTAGED)
    hints = ['use "mvc add -f <file>..." to include in what will be committed']
    yield from _section(session, "Ignored files:", hints, _all_shown(status.ignored, prefix), _UNSTAGED)
    yield from _section(session, "Cannot be versioned:", [], _all_shown(status.odd, prefix), _UNSTAGED)
    yield from _summary(result)


def _head(session: Session, result: StatusResult) -> Iterator[str]:
    status, head = result.status, result.status.head
    if head.branch is not None:
        yield f"On branch {printable(head.short or '')}"
    else:
        yield f"{session.paint('HEAD detached at', 'red')} {(head.id or '')[:7]}"
    if result.tracking is not None:
        yield from tracking_lines(result.tracking)
    both = result.branches
    if both is not None and both.apart:
        name = printable(both.git or "")
        yield session.paint(f"Git is on branch {name}", "red") + f'\n  (use "mvc switch {name}" to follow it)'
    if result.locked is not None:
        yield session.paint(f"mvc.lock names another commit, {result.locked[:7]}", "red")
        yield '  (use "mvc hooks sync" to bring its models; "mvc commit" writes mvc.lock anew)'
    if status.operation is not None:
        yield from _operation(status.operation, bool(status.conflicts))
    if head.id is None:
        yield "\nNo commits yet"


def _operation(unfinished: InProgress, conflicts: bool) -> Iterator[str]:
    verb = unfinished.operation.value
    commit = f" of {unfinished.head[:7]}" if unfinished.head else ""
    detail = f" ({printable(unfinished.detail)})" if unfinished.detail else ""
    yield f"\nA {verb}{commit} is in progress{detail}"
    if unfinished.operation is Operation.BISECT:
        yield '  (use "mvc bisect reset" to get back to where you were)'
        return
    if conflicts:
        yield f'  (fix conflicts, then "mvc add" them and run "mvc {verb} --continue")'
    else:
        yield f'  (all conflicts fixed: run "mvc {verb} --continue")'
    yield f'  (use "mvc {verb} --abort" to go back)'


def _section(session: Session, title: str, hints: Iterable[str], rows: Iterable[str], style: str) -> Iterator[str]:
    lines = list(rows)
    if lines:
        yield f"\n{title}"
        yield from (f"  ({hint})" for hint in hints)
        yield from ("\t" + session.paint(line, style) for line in lines)


def _changed(change: FileChange, prefix: str, sizes: dict[str, int]) -> str:
    name = _shown(change.path, prefix)
    if change.old_path is not None:
        name = f"{_shown(change.old_path, prefix)} -> {name}"
    size = f"  ({human_bytes(sizes[change.path])})" if change.path in sizes else ""
    return f"{_WORDS[change.change]:<12}{name}{size}"


def _summary(result: StatusResult) -> Iterator[str]:
    status = result.status
    if status.staged:
        return
    if status.unstaged or status.conflicts:
        yield '\nno changes added to commit (use "mvc add" and/or "mvc commit -a")'
    elif status.untracked:
        yield '\nnothing added to commit but untracked files present (use "mvc add" to track)'
    elif status.head.id is None:
        yield '\nnothing to commit (create/copy files and use "mvc add" to track)'
    else:
        yield ("\n" if result.tracking else "") + "nothing to commit, working tree clean"


def _all_shown(paths: Iterable[str], prefix: str) -> list[str]:
    return [_shown(path, prefix) for path in paths]


def _shown(path: str, prefix: str) -> str:
    return printable_path(relative(path, prefix))
