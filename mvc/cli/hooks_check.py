"""`mvc hooks check` and the hook pre-commit: call `mvc.gitlink.guard`, render."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import table
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.gitlink.guard import Finding, Rules, look
from mvc.gitlink.outer import find_project, lock_folders
from mvc.gitlink.staged import Blobs, committed_files, staged_files
from mvc.lazy import load

_RULES = "mvc.gitlink.rules:read_rules"
_SIZE = "mvc.gitlink.rules:parse_size"
"""Loaded where there is an mvc.yaml, or a size is given: reading YAML takes time."""


def check(session: Session, revision: str | None, max_size: str | None, strict: bool, *, as_json: bool) -> int | None:
    """Look, and tell what is refused; returns 1 if anything is."""
    project = find_project(session.cwd)
    rules = _rules(project.top, lambda: lock_folders(project))
    if max_size is not None:
        try:
            rules = replace(rules, weights=load(_SIZE)(max_size))
        except Exception as error:
            raise UsageError(f"'{max_size}' is no size", hint="as in: 5m, 500k, 0 for any") from error
    rules = replace(rules, strict=rules.strict or strict)
    files = staged_files(project) if revision is None else committed_files(project, revision)
    with Blobs.of(project) as blobs:
        found = look(files, blobs, rules)
    if as_json:
        rows = [
            {"path": one.path, "reason": one.reason, "what": one.what, "size": one.size, "globals": list(one.globals)}
            for one in found
        ]
        session.emit_json("hooks-check", {"files": len(files), "refused": rows})
    elif found:
        _tell(session, found, staged=revision is None)
    elif revision is not None or session.verbose:
        session.note(f"{counted(len(files), 'file')}: no raw weights, no unsafe pickles")
    return 1 if found else None


def _rules(top: Path | None, folders: object) -> Rules:
    places = [top] if top is not None else []
    if top is not None and not (top / "mvc.yaml").is_file() and callable(folders):
        places += [top / folder for folder in folders() if folder]
    for place in places:
        if (place / "mvc.yaml").is_file():
            found: Rules = load(_RULES)(place)
            return found
    return Rules()


def _tell(session: Session, found: list[Finding], *, staged: bool) -> None:
    into = "would get into Git, and must not" if staged else "must not be in Git"
    mark = session.paint_err("error:", "red bold")
    session.tell(f"{mark} {counted(len(found), 'file')} {into}")
    rows = [[f"  {printable_path(one.path)}", human_bytes(one.size), printable(one.what)] for one in found]
    for line in table(rows):
        session.tell(line)
    hint = session.paint_err("hint:", "cyan")
    if any(one.reason == "weights" for one in found):
        session.tell(f"{hint}  weights are for mvc: git rm --cached FILE, then mvc add FILE")
    if any(one.reason == "pickle" for one in found):
        session.tell(f"{hint}  save weights as safetensors; or allow the file in mvc.yaml: hooks: {{allow: [FILE]}}")
