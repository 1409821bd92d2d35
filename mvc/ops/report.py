"""`mvc report`: what a change does to models: verdict, metrics, params, tensors, bytes. For a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mvc.errors import UsageError
from mvc.metadata.compare import MetadataDiff, compare
from mvc.metadata.direction import less_is_better
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.objects.ancestry import merge_base
from mvc.objects.model import Commit
from mvc.objects.revparse import parse_range
from mvc.objects.walk import Selection, walk
from mvc.ops.compare import directions
from mvc.ops.file_versions import FileDiff
from mvc.ops.gate import GateResult, find_base, gate, project_file
from mvc.ops.gate_check import Figure, difference
from mvc.ops.known import Known
from mvc.ops.report_bytes import NewBytes, new_bytes
from mvc.ops.weights_diff import weights_diff
from mvc.repo.repository import Repository

MOST_COMMITS = 1000


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric before and after; None where it is not there. `change` and `ratio` are None where it is no number."""

    name: str
    old: Any
    new: Any
    change: Figure | None = None
    ratio: Figure | None = None
    better: bool | None = None
    """As mvc.yaml says, else by its name: None where it is the same, or nobody can tell."""


@dataclass(frozen=True, slots=True)
class Report:
    """What changed from `left` (None: nothing stood before) to `right`, both commits."""

    left: str | None
    left_name: str
    right: str
    right_name: str
    commits: tuple[Commit, ...]
    """Those in between, the newest first, at most MOST_COMMITS."""
    metrics: tuple[MetricRow, ...]
    """Those that changed first, by name; then those that are the same."""
    metadata: MetadataDiff
    links: Mapping[str, Any]
    files: tuple[FileDiff, ...]
    bytes: NewBytes
    gates: GateResult | None
    """None where there are none."""

    @property
    def passed(self) -> bool | None:
        """The verdict; None where there are no gates."""
        return self.gates.passed if self.gates is not None else None


def report(repo: Repository, span: str = "HEAD", gates: Sequence[str] = ()) -> Report:
    """Report on `A..B`, `A...B` (what B did since it left A), or on one revision against its base (`find_base`).

    Gates are those given, else those of mvc.yaml. Raises NotFound, UsageError.
    """
    left, left_name, right, right_name = _ends(repo, span)
    known = Known(repo)
    before = known.read(left) if left is not None else NOTHING
    after = known.read(right)
    old, new = repo.objects.commit(left).tree if left is not None else None, repo.objects.commit(right).tree
    exclude = [left] if left is not None else []
    between = walk(repo.objects, Selection(include=[right], exclude=exclude, max_count=MOST_COMMITS))
    project = project_file(repo, right)
    has_gates = gates or project.sections.get("gates")
    return Report(
        left,
        left_name,
        right,
        right_name,
        tuple(between),
        tuple(_metrics(before, after, directions(project))),
        compare(before, after),
        after.links,
        weights_diff(repo, old, new),
        new_bytes(repo, old, new),
        replace(gate(repo, right, gates, base=left), base_name=left_name, revision=right_name) if has_gates else None,
    )


def _ends(repo: Repository, span: str) -> tuple[str | None, str, str, str]:
    """(left, its name, right, its name), as commits."""
    found = parse_range(repo.objects, repo.refs, span)
    if len(found.include) == 1 and found.left is None and not found.exclude:
        left, name = find_base(repo, found.right, None)
        return left, name, found.right, span
    if found.left is None:
        raise UsageError(f"'{span}' is no range to report on", hint="mvc report A..B")
    before, dots, after = span.partition("..." if found.symmetric else "..")
    names = (before or "HEAD", after or "HEAD") if dots else (found.left[:7], span)
    if not found.symmetric:
        return found.left, names[0], found.right, names[1]
    base = merge_base(repo.objects, found.left, found.right)
    if base is None:
        raise UsageError(f"{span}: the histories have no commit in common")
    return base, f"{names[0]}...", found.right, names[1]


def _metrics(before: CommitMetadata, after: CommitMetadata, ways: Mapping[str, str]) -> list[MetricRow]:
    rows = [_metric(name, before.metrics, after.metrics, ways) for name in sorted({*before.metrics, *after.metrics})]
    return sorted(rows, key=lambda row: repr(row.old) == repr(row.new))


def _metric(name: str, before: Mapping[str, Any], after: Mapping[str, Any], ways: Mapping[str, str]) -> MetricRow:
    old, new = before.get(name), after.get(name)
    if name not in before or name not in after:
        return MetricRow(name, old, new)
    change, ratio = difference(new, old)
    better = None if not change else (change < 0) == less_is_better(name, ways)
    return MetricRow(name, old, new, change, ratio, better)
