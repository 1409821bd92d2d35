"""What search gives of a commit, read from the catalogue."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mvc.catalogue.schema import MOST_NAMES, SHIFT
from mvc.catalogue.scopes import inflated
from mvc.catalogue.syntax import SECTIONS, Field
from mvc.catalogue.values import value_of
from mvc.objects.model import Signature

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A commit that was found. What is by name is flat: dotted names to values."""

    id: str
    author: Signature
    """Who, and when it was committed."""
    subject: str
    message: str
    parents: int
    size: int | None
    """Bytes of all its files; None where they could not be read."""
    branches: tuple[str, ...]
    """That hold it; those of remotes as origin/main."""
    names: Mapping[str, tuple[str, ...]]
    """Of what is at it: "branch", "tag", "alias", "run"."""
    labels: Mapping[str, tuple[str, ...]]
    """"path" (files that it changed), "dataset", "dataset.digest", "base", ..."""
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tags: Mapping[str, Any]
    environment: Mapping[str, Any]
    links: Mapping[str, Any]
    problem: str | None = None
    """Why its metadata could not be read."""

    def get(self, field: Field) -> Any:
        """What a field is of this commit; None where it has none; a tuple where there may be several."""
        if field.section is not None:
            return getattr(self, field.section).get(field.name)
        if field.name in _PLAIN:
            return getattr(self, field.name)
        if field.name == "branch":
            return self.branches
        if field.name == "name":
            return tuple(name for names in self.names.values() for name in names)
        if field.name in ("tag", "alias", "run"):
            return self.names.get(field.name, ())
        return self.labels.get(field.name, ())


_PLAIN = ("id", "author", "subject", "message", "size", "parents")


def read_rows(db: sqlite3.Connection, numbers: Sequence[int]) -> list[Row]:
    """The commits of these numbers, in this order."""
    rows: list[Row] = []
    sections = {one: (section, name) for one, section, name in db.execute("SELECT id, section, name FROM name")}
    most = 1 + (max(numbers, default=0) >> 3)
    branches = [
        (short, inflated(bits).ljust(most, b"\0"))
        for short, bits in db.execute("SELECT short, bits FROM scope WHERE field = 'branch' ORDER BY short")
    ]
    for at in range(0, len(numbers), _AT_ONCE):
        rows += _read(db, numbers[at : at + _AT_ONCE], sections, branches)
    return rows


def _read(
    db: sqlite3.Connection,
    numbers: Sequence[int],
    sections: Mapping[int, tuple[str, str]],
    branches: Sequence[tuple[str, bytes]],
) -> Iterable[Row]:
    held = ",".join(map(str, numbers))  # numbers of the catalogue's own
    entries = {
        row[0]: row[1:]
        for row in db.execute(
            "SELECT no, c.id, time, zone, p.name, p.email, subject, message, parents, size, problem"
            f" FROM entry c JOIN person p ON p.id = c.author WHERE no IN ({held})"
        )
    }
    names: dict[int, dict[str, list[str]]] = {}
    for no, field, short in db.execute(
        f"SELECT DISTINCT no, field, short FROM ref WHERE no IN ({held}) AND field <> 'head' ORDER BY field, short"
    ):
        names.setdefault(no, {}).setdefault(field, []).append(short)
    labels: dict[int, dict[str, list[str]]] = {}
    for no, field, text in db.execute(
        "SELECT label.no, field, text.text FROM label JOIN text ON text.id = label.text"
        f" WHERE label.no IN ({held}) ORDER BY label.no, field, text.text"
    ):
        labels.setdefault(no, {}).setdefault(field, []).append(text)
    values = {no: db.execute(_VALUES, (no << SHIFT, ((no + 1) << SHIFT) - 1)).fetchall() for no in entries}
    texts = _texts(db, {text for some in values.values() for _, _, text in some if text is not None})
    for no in numbers:
        if no not in entries:
            continue
        commit, time, zone, name, email, subject, message, parents, size, problem = entries[no]
        found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        at, bit = no >> 3, 1 << (no & 7)
        for key, number, text in values[no]:
            section, own = sections[key & (MOST_NAMES - 1)]
            found[section][own] = number if text is None else value_of(number, *texts.get(text, _NO_TEXT))
        yield Row(
            commit.hex(),
            Signature(name, email, time, zone),
            subject,
            subject if message is None else message,
            parents,
            size,
            tuple([short for short, bits in branches if bits[at] & bit]),
            {field: tuple(some) for field, some in names.get(no, {}).items()},
            {field: tuple(some) for field, some in labels.get(no, {}).items()},
            problem=problem,
            **{section: dict(sorted(some.items())) for section, some in found.items()},
        )


def _texts(db: sqlite3.Connection, wanted: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Kind and text by number; each is read once for all commits."""
    held = ",".join(map(str, wanted))
    return {
        one: (kind, text) for one, kind, text in db.execute(f"SELECT id, kind, text FROM text WHERE id IN ({held})")
    }


_NO_TEXT = (None, "")
_VALUES = "SELECT key, num, text FROM value WHERE key BETWEEN ? AND ?"
