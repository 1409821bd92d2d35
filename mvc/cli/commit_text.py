"""A commit as text and as JSON: shared by `log` and `show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mvc.cli.dates import git_date, iso_date
from mvc.cli.names import decorated
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import one_line, printable
from mvc.lazy import load
from mvc.metadata.model import CommitMetadata, Dataset
from mvc.objects.model import Commit, Signature
from mvc.ops.names import Decoration

_FLOW = "mvc.metadata.canonical:flow"
"""Loaded for lists and the like."""

_NUMBERS = frozenset((int, float))
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
    for label, values in (("params", metadata.params), ("metrics", metadata.metrics)):
        if values:
            # Numbers first, as nearly all are: a long log has a hundred thousand of them.
            words = [
                f"{k}={v!r}" if type(v) in _NUMBERS and k.isprintable() else one_line(f"{k}={shown(v)}")
                for k, v in values.items()
            ]
            line = "  ".join(words)
            if len(words) <= _MOST_IN_LOG and len(line) <= session.width - 4 - _LABEL:
                lines.append(f"    {session.paint(label.ljust(_LABEL), 'cyan')}{line}")
            else:
                lines += _wrapped(session, label, words)
    return lines


def metadata_lines(session: Session, metadata: CommitMetadata) -> list[str]:
    """All that a commit says of itself, a name a line, as `show` shows it."""
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        ("params", [(name, shown(value)) for name, value in metadata.params.items()]),
        ("metrics", [(name, shown(value)) for name, value in metadata.metrics.items()]),
        ("datasets", [(one.name, dataset_text(one)) for one in metadata.datasets]),
        ("environment", [(name, shown(value)) for name, value in _grouped(metadata.environment)]),
    ]
    lines: list[str] = []
    for label, rows in groups:
        if rows:
            width = min(max(len(one_line(name)) for name, _ in rows), 32)
            lines.append(session.paint(label, "cyan"))
            for name, value in rows:
                first, *more = _broken(printable(value), session.width - width - 6)
                lines.append(f"    {one_line(name):<{width}}  {first}")
                lines += [" " * (width + 6) + part for part in more]
    return lines


def dataset_text(dataset: Dataset) -> str:
    """ "data/train  blake3:1f2e3d4c5b6a7988  2.1 GB, 14 files" on one line."""
    parts = [dataset.location]
    if dataset.digest:
        algorithm, colon, value = dataset.digest.rpartition(":")
        parts.append(f"{algorithm}{colon}{value[:16]}")
    if dataset.size is not None:
        files = f", {counted(dataset.files, 'file')}" if dataset.files is not None else ""
        parts.append(human_bytes(dataset.size) + files)
    return "  ".join(parts)


def shown(value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, str):
        return printable(value)
    # YAML wants 1.0e-05 and .nan, people type 1e-05 and nan.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    return printable(load(_FLOW)(value))


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
    """Params, metrics, datasets, environment."""
    return {
        "params": dict(metadata.params),
        "metrics": dict(metadata.metrics),
        "datasets": [
            {"name": d.name, "location": d.location, "digest": d.digest, "size": d.size, "files": d.files}
            for d in metadata.datasets
        ],
        "environment": dict(metadata.environment),
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
