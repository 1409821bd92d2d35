"""What an alias asks for before it may move: approvals by other people, gates. docs/promotion.md.

Declared in mvc.yaml, where it is advice for `mvc alias set`, and on a server (`mvc serve protect`), which enforces it:
both hold a move against `lacking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mvc.errors import UsageError
from mvc.metadata.project import NAME
from mvc.objects.aliases import alias_ref
from mvc.objects.model import Signature
from mvc.objects.reviews import Review
from mvc.ops.gate import project_file, texts_of
from mvc.ops.gate_check import Outcome
from mvc.ops.gate_grammar import Gate, parse_gate
from mvc.repo.repository import Repository

FIELDS = ("approvals", "approvers", "gates", "checkers")
_MOST_APPROVALS = 100


@dataclass(frozen=True, slots=True)
class Protection:
    """What a move of one alias takes. All of it must hold."""

    approvals: int = 0
    """So many people other than who moves it have approved the commit for this alias, and nobody has rejected it."""
    approvers: tuple[str, ...] = ()
    """Patterns of those who count; none: everybody."""
    gates: tuple[str, ...] = ()
    """Which the commit passes, with what the alias stands for now as base. Who enforces them runs them."""
    checkers: tuple[str, ...] = ()
    """Patterns of those one of whom must have recorded a gate that the commit passed (`mvc gate --record`)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a commit stands with an alias: each person's last word counts."""

    approved: tuple[str, ...]
    """Who approved it and has not rejected it since."""
    rejected: tuple[str, ...]
    checked: tuple[str, ...]
    """Whose last gate it passed."""


def parse_protections(value: Any, where: str) -> dict[str, Protection]:
    """From plain values: alias to fields. Raises UsageError, which names `where`."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} takes names of aliases, each with what it asks for")
    return {name: parse_protection(name, fields, where) for name, fields in value.items()}


def parse_protection(name: str, fields: Any, where: str) -> Protection:
    """One alias's. Raises UsageError."""
    alias_ref(name)
    at = f"{where}: '{name}'"
    fields = {} if fields is None else fields
    if not isinstance(fields, dict) or (odd := [key for key in fields if key not in FIELDS]):
        what = f": '{odd[0]}' means nothing here" if isinstance(fields, dict) else ""
        raise UsageError(f"{at} takes {', '.join(FIELDS)}{what}")
    approvals = fields.get("approvals", 0)
    if not isinstance(approvals, int) or isinstance(approvals, bool) or not 0 <= approvals <= _MOST_APPROVALS:
        raise UsageError(f"{at}: 'approvals' takes a number up to {_MOST_APPROVALS}")
    gates = texts_of(fields["gates"], f"{at}: 'gates'") if fields.get("gates") else []
    for text in gates:
        parse_gate(text)
    who = {key: _names(fields.get(key), f"{at}: '{key}'") for key in ("approvers", "checkers")}
    return Protection(approvals, who["approvers"], tuple(gates), who["checkers"])


def document(protection: Protection) -> dict[str, Any]:
    """The fields that say something, as plain values."""
    every = {
        "approvals": protection.approvals,
        "approvers": list(protection.approvers),
        "gates": list(protection.gates),
        "checkers": list(protection.checkers),
    }
    return {key: value for key, value in every.items() if value}


def project_protections(repo: Repository) -> Mapping[str, Protection]:
    """What mvc.yaml of the worktree asks for. Raises UsageError for one that cannot be read."""
    found = project_file(repo).sections.get("aliases")
    return parse_protections(found, f"{NAME}: 'aliases'") if found else {}


def person(who: Signature) -> str:
    """By what people are told apart where there are no tokens."""
    return who.email.strip().lower() or who.name


def standing(reviews: Iterable[Review], by: Callable[[Review], tuple[str, int]]) -> Standing:
    """What reviews of one commit come to. `by`: whose each is ("": nobody's that counts), and its place in time."""
    said: dict[str, str] = {}
    gates: dict[str, str] = {}
    # Of two that came at once, in the same second, a rejection is the last word.
    rows = [(by(one), one.who.time, one.verdict in ("reject", "gate-failed"), one.id, one) for one in reviews]
    for (who, _), *_, one in sorted(rows, key=lambda row: (row[0][1], *row[1:4])):
        if who:
            (gates if one.verdict.startswith("gate-") else said)[who] = one.verdict
    return Standing(
        tuple(sorted(who for who, verdict in said.items() if verdict == "approve")),
        tuple(sorted(who for who, verdict in said.items() if verdict == "reject")),
        tuple(sorted(who for who, verdict in gates.items() if verdict == "gate-passed")),
    )


def lacking(
    protection: Protection, found: Standing, mover: str, run: Callable[[Sequence[Gate]], tuple[Outcome, ...]]
) -> tuple[str, ...]:
    """What a move by `mover` lacks, each a line for people; none: it may be. `run` holds the commit against gates."""
    lines = []
    if protection.approvals:
        others = [who for who in found.approved if who != mover and _counts(who, protection.approvers)]
        if len(others) < protection.approvals:
            have = f"has {len(others)}" + (f" ({', '.join(others)})" if others else "")
            lines.append(
                f"it takes {protection.approvals} approvals by others than {mover or 'who pushes'}, and {have}"
            )
        rejected = [who for who in found.rejected if _counts(who, protection.approvers)]
        if rejected:
            lines.append(f"{', '.join(rejected)} rejected it")
    if protection.checkers and not any(_counts(who, protection.checkers) for who in found.checked):
        lines.append(f"no gate that it passed was recorded by {' or '.join(protection.checkers)}")
    for outcome in run([parse_gate(text) for text in protection.gates]) if protection.gates else ():
        if not outcome.passed:
            whys = [part.why for part in outcome.failed if part.why]
            lines.append(f"it fails the gate '{outcome.text}'" + (f": {whys[0]}" if whys else ""))
    return tuple(lines)


def _counts(who: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(who, pattern) for pattern in patterns)


def _names(value: Any, where: str) -> tuple[str, ...]:
    rows = [value] if isinstance(value, str) else value or []
    if not isinstance(rows, list) or not all(isinstance(one, str) and one for one in rows):
        raise UsageError(f"{where} takes names, or patterns of names")
    return tuple(rows)
