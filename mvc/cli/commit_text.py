"""A commit as text and as JSON: shared by `log` and `show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mvc.cli.dates import git_date, iso_date
from mvc.cli.names import decorated
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import text_width
from mvc.cli.text import one_line, printable
from mvc.lazy import load
from mvc.metadata.model import Base, CommitMetadata, Dataset, Table
from mvc.metadata.typed import typed, words
from mvc.objects.model import Commit, Signature
from mvc.ops.names import Decoration

if TYPE_CHECKING:
    from mvc.metadata.annotations import Annotation

_LATER = "mvc.cli.annotation_text:later"
"""Loaded where something was added later."""

_CELLS = "mvc.cli.table_text:table_lines"
"""Loaded for a commit with tables."""

_NONE: Mapping[str, Annotation] = MappingProxyType({})
_LABEL = 9
_MOST_IN_LOG = 16


def header_lines(
    session: Session, commit: Commit, names: Sequence[Decoration], abbreviated: Mapping[str, str]
) -> list[str]:
    """ "commit <id> (HEAD -> main)", merge, author and date, as Git prints them."""
    lines = [session.paint(f"commit {commit.id}", "yellow") + decorated(session, names)]
    if len(commit.parents) > 1:
        lines.append("Merge: " + " ".join(abbreviated.get(parent, parent[:7]) for parent in commit.parents))
    lines.append(f"Author: {printable(str(commit.author))}")
    lines.append(f"Date:   {git_date(commit.author)}")
    return lines


def message_lines(commit: Commit) -> list[str]:
    """The message, indented."""
    return [f"    {printable(line)}" for line in commit.message.strip("\n").split("\n")]


def value_lines(session: Session, metadata: CommitMetadata) -> list[str]:
    """Params and metrics in a few lines, as `log` shows them: "params    lr=3e-05  epochs=3"."""
    lines: list[str] = []
    room = session.width - 4 - _LABEL
    for label, values in (("params", metadata.params), ("metrics", metadata.metrics)):
        if values:
            # What a long log remembers has them as words already.
            ready: str | None = getattr(values, "words", None)
            line = ready if ready is not None else "\t".join([one_line(word) for word in words(values)])
            count = line.count("\t") + 1
            text = line.replace("\t", "  ")
            if count <= _MOST_IN_LOG and len(text) <= room:
                lines.append(f"    {session.paint(label.ljust(_LABEL), 'cyan')}{printable(text)}")
            else:
                lines += _wrapped(session, label, line.split("\t"))
    return lines


def later_lines(session: Session, added: Mapping[str, Annotation]) -> Iterator[str]:
    """What of it was added later, by whom: "later     metrics.acc (added 2026-11-21 by Ann)"."""
    words = [one_line(f"{name} ({load(_LATER)(one)})") for name, one in added.items()]
    return _wrapped(session, "later", words)


def metadata_lines(
    session: Session, metadata: CommitMetadata, added: Mapping[str, Annotation] = _NONE, steps: int = 0
) -> list[str]:
    """All that a commit says of itself, a name a line, as `show` shows it.

    `added`: which values were added later, by part and name ("metrics.acc"). `steps`: of its series.
    """
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        ("params", _values("params", metadata.params, added)),
        ("metrics", _values("metrics", metadata.metrics, added)),
        ("tables", [(name, table_text(table)) for name, table in metadata.tables.items()]),
        ("series", [("steps", f"{steps:,}")] if steps else []),
        ("tags", _values("tags", metadata.tags, added)),
        ("datasets", [(one.name, dataset_text(one)) for one in metadata.datasets]),
        ("made from", [(one.of or "", base_text(one)) for one in metadata.bases]),
        ("links", [(name, shown(value)) for name, value in metadata.links.items()]),
        ("environment", [(name, shown(value)) for name, value in _grouped(metadata.environment)]),
    ]
    lines: list[str] = []
    for label, rows in groups:
        if rows:
            width = min(max(text_width(one_line(name)) for name, _ in rows), 32)
            lines.append(session.paint(label, "cyan"))
            for name, value in rows:
                first, *more = _broken(printable(value), session.width - width - 6)
                fill = " " * max(2, width - text_width(one_line(name)) + 2) if width else ""
                start = f"    {one_line(name)}{fill}"
                lines.append(start + first)
                lines += [" " * text_width(start) + part for part in more]
                if label == "tables":
                    cells = load(_CELLS)(metadata.tables[name], session.width - 6)
                    lines += [f"      {line}" for line in cells]
    return lines


def table_text(table: Table) -> str:
    """ "3 rows: label, yes, no"."""
    return f"{counted(len(table.rows), 'row')}: {', '.join(table.columns)}"


def base_text(base: Base) -> str:
    """ "1f2e3d4 base/model.safetensors (found in the tensors)"."""
    parts = [base.commit[:12] if base.commit and not base.location else base.location or "this commit"]
    if base.commit and base.location:
        parts[0] += f"@{base.commit[:12]}"
    if base.path:
        parts.append(base.path)
    return " ".join(parts) + ("  (seen in the tensors)" if base.found else "")


def _values(part: str, values: Mapping[str, Any], added: Mapping[str, Annotation]) -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        one = added.get(f"{part}.{name}")
        rows.append((name, shown(value) + (f"   {load(_LATER)(one)}" if one else "")))
    return rows


def dataset_text(dataset: Dataset) -> str:
    """ "data/train  blake3:1f2e3d4c5b6a7988  2.1 GB, 14 files" on one line."""
    parts = [dataset.location]
    if dataset.split:
        parts.append(f"[{dataset.split}]")
    if dataset.digest:
        algorithm, colon, value = dataset.digest.rpartition(":")
        parts.append(f"{algorithm}{colon}{value[:16]}")
    if dataset.size is not None:
        files = f", {counted(dataset.files, 'file')}" if dataset.files is not None else ""
        parts.append(human_bytes(dataset.size) + files)
    if dataset.licence:
        parts.append(dataset.licence)
    return "  ".join(parts)


def shown(value: Any) -> str:
    """A value as it would be typed."""
    return printable(typed(value))


def commit_json(commit: Commit, names: Sequence[Decoration], metadata: CommitMetadata) -> dict[str, Any]:
    """A commit's fields. Dates are in ISO 8601, in the signer's zone; metadata has dotted names."""
    return {
        "id": commit.id,
        "tree": commit.tree,
        "parents": list(commit.parents),
        "author": _signature(commit.author),
        "committer": _signature(commit.committer),
        "summary": commit.summary,
        "message": commit.message,
        "refs": [{"kind": one.kind, "name": one.name, "head": one.is_head} for one in names],
        **metadata_json(metadata),
    }


def metadata_json(metadata: CommitMetadata) -> dict[str, Any]:
    """All that a commit says of itself, but for its series."""
    return {
        "params": dict(metadata.params),
        "metrics": dict(metadata.metrics),
        "datasets": [
            {
                "name": d.name,
                "location": d.location,
                "digest": d.digest,
                "size": d.size,
                "files": d.files,
                "split": d.split,
                "licence": d.licence,
            }
            for d in metadata.datasets
        ],
        "environment": dict(metadata.environment),
        "tags": dict(metadata.tags),
        "links": dict(metadata.links),
        "bases": [base._asdict() for base in metadata.bases],
        "tables": {name: {"columns": one.columns, "rows": one.rows} for name, one in metadata.tables.items()},
    }


def _signature(who: Signature) -> dict[str, str]:
    return {"name": who.name, "email": who.email, "date": iso_date(who)}


def _wrapped(session: Session, label: str, words: list[str]) -> Iterator[str]:
    """The words behind a label, broken at the terminal's width; what is beyond a few lines is counted."""
    if len(words) > _MOST_IN_LOG:
        words = [*words[:_MOST_IN_LOG], f"... {len(words) - _MOST_IN_LOG} more"]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > session.width - 4 - _LABEL - 2:
            lines.append("")
        lines[-1] += f"  {word}" if lines[-1] else word
    for index, line in enumerate(lines):
        yield "    " + session.paint(f"{label if index == 0 else '':<{_LABEL}}", "cyan") + line


def _broken(text: str, width: int) -> list[str]:
    """A list of words on lines of at most `width` columns, broken after commas."""
    lines = [""]
    for word in text.split(", "):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += ","
            lines.append("")
        lines[-1] += f", {word}" if lines[-1] else word
    return lines


def _grouped(environment: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The packages on one line: "packages  numpy 2.4.6, torch 2.15.0"; all else as it is."""
    packages = {name.removeprefix("packages."): v for name, v in environment.items() if name.startswith("packages.")}
    for name, value in environment.items():
        if not name.startswith("packages."):
            yield name, value
    if packages:
        yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())
