"""`mvc gate`: whether a version may pass. Metrics, params and what `add` recorded of the weights; no weight is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvc.errors import ParseError, UsageError
from mvc.metadata.project import NAME, ProjectFile, parse_project, read_project
from mvc.objects import trees
from mvc.objects.aliases import read_step
from mvc.objects.model import is_file
from mvc.objects.refnames import ALIASES
from mvc.objects.revparse import resolve_commit
from mvc.ops.gate_check import Outcome, check
from mvc.ops.gate_facts import Facts
from mvc.ops.gate_grammar import Gate, GateSyntax, parse_gate
from mvc.ops.known import Known
from mvc.repo.readable import Readable
from mvc.repo.repository import Repository

PRODUCTION = "production"
"""The alias that a version is compared with, if nothing else is said."""

_MOST = 1000
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class GateResult:
    """What became of the gates. `base_name` tells how the base was found, for people; `base` is None without one."""

    commit: str
    revision: str
    base: str | None
    base_name: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether all did."""
        return all(one.passed for one in self.outcomes)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Those that did not."""
        return tuple(one for one in self.outcomes if not one.passed)


def gate(
    repo: Repository, revision: str = "HEAD", gates: Sequence[str] = (), *, base: str | None = None, alias: str = ""
) -> GateResult:
    """Hold a revision against gates (none: those of mvc.yaml).

    `base`: what delta() compares with; None: what `alias` stands for, else `production` where there is one, else the
    first parent. Raises NotFound, UsageError (GateSyntax) for gates that cannot be read, or where there are none.
    """
    commit = resolve_commit(repo.objects, repo.refs, revision)
    found = [parse_gate(text) for text in gates] if gates else project_gates(repo, commit, alias)
    base_id, name = find_base(repo, commit, base, alias)
    return GateResult(commit, revision, base_id, name, run(repo, commit, found, base_id))


def run(repo: Readable, commit: str, gates: Sequence[Gate], base: str | None) -> tuple[Outcome, ...]:
    """Hold a commit against gates that were read."""
    known = Known(repo)
    before = Facts(repo, base, known=known) if base is not None else None
    return check(gates, Facts(repo, commit, known=known), before)


def find_base(repo: Repository, commit: str, base: str | None, alias: str = "") -> tuple[str | None, str]:
    """(commit to compare with, how it is called). Raises NotFound for one that is named and is not there."""
    if base is not None:
        return resolve_commit(repo.objects, repo.refs, base), base
    name = alias or repo.config.get("gate.base") or PRODUCTION
    tip = repo.refs.read(ALIASES + name)
    found = read_step(repo.objects, tip, name).target if tip is not None else None
    if found is None and not alias and name != PRODUCTION:
        found = resolve_commit(repo.objects, repo.refs, name)
    if found is not None and found != commit:
        return found, name
    parents = repo.objects.commit(commit).parents
    return (parents[0], "the first parent") if parents else (None, "")


def project_gates(repo: Repository, commit: str, alias: str = "") -> list[Gate]:
    """The gates of mvc.yaml, and those that it asks for an alias: the worktree's, else the commit's own.

    Raises UsageError for some that cannot be read.
    """
    project = project_file(repo, commit)
    listed = project.sections.get("gates")
    texts = {text: "gates" for text in (texts_of(listed, f"{NAME}: 'gates'") if listed else ())}
    asked: Any = project.sections.get("aliases")
    for part in (alias, "gates") if alias else ():
        asked = asked.get(part) if isinstance(asked, dict) else None
    for text in texts_of(asked, f"{NAME}: 'aliases': '{alias}': 'gates'") if alias and asked else ():
        texts.setdefault(text, "aliases")
    if not texts:
        raise UsageError("no gates: none were given, and mvc.yaml has none", hint="mvc gate 'accuracy >= 0.92'")
    return [_parsed(text, project, section) for text, section in texts.items()]


def texts_of(listed: Any, where: str) -> list[str]:
    """A text, or a list of them. Raises UsageError, which names `where`."""
    rows = [listed] if isinstance(listed, str) else listed
    if not isinstance(rows, list) or len(rows) > _MOST or not all(isinstance(one, str) and one.strip() for one in rows):
        raise UsageError(f"{where} takes gates: texts such as 'accuracy >= 0.92'", hint="mvc gate --help")
    return rows


def project_file(repo: Repository, commit: str | None = None) -> ProjectFile:
    """mvc.yaml of the worktree, else of a commit; an empty one where there is none. Raises UsageError."""
    try:
        if repo.worktree is not None and (found := read_project(repo.worktree / NAME)):
            return found
        if commit is None:
            return ProjectFile()
        item = trees.entry_at(repo.objects, repo.objects.commit(commit).tree, NAME)
        data = repo.objects.blob_within(item.id, _LARGEST) if item is not None and is_file(item.mode) else None
        return parse_project(data, Path(NAME)) if data is not None else ProjectFile()
    except ParseError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _parsed(text: str, project: ProjectFile, section: str) -> Gate:
    try:
        return parse_gate(text)
    except GateSyntax as error:
        line = project.lines.get(section)
        error.message = f"{NAME}{f', from line {line}' if line else ''}: {error.message}"
        raise
