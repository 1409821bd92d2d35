"""Writes commits into a catalogue, and takes them out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from mvc.catalogue import values, words
from mvc.catalogue.facts import Facts
from mvc.catalogue.schema import MOST_NAMES, SHIFT, get
from mvc.catalogue.values import Values
from mvc.objects.model import Commit, Signature

_AT_ONCE = 64
"""Rows of values in one statement: a third less time than one by one."""
_MANY = "INSERT OR REPLACE INTO value VALUES " + ",".join(["(?,?,?,?)"] * _AT_ONCE)
_ONE = "INSERT OR REPLACE INTO value VALUES (?,?,?,?)"
_MOST_KNOWN = 300_000
"""Texts that are remembered with their ids."""

_ENTRY = "INSERT INTO entry VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"


class Writer:
    """Use it inside of one transaction, and `flush` at its end. `fresh`: the catalogue was empty."""

    def __init__(self, db: sqlite3.Connection, *, fresh: bool) -> None:
        self._db = db
        self._names: dict[tuple[str, str], int] = {
            (section, name): one for one, section, name in db.execute("SELECT id, section, name FROM name")
        }
        self._texts: dict[tuple[str, str], int] = {("b", "true"): values.TRUE, ("b", "false"): values.FALSE}
        self._texts["z", "null"] = values.NULL
        self._complete = fresh
        """Whether a text that is not remembered is not in the catalogue."""
        self._many_names = max(self._names.values(), default=0) >= MOST_NAMES
        """Whether there are more names than keys have room for."""
        low, high = db.execute("SELECT min(id), max(id) FROM text").fetchone()
        self._next_text = max(high + 1, values.FIRST_WORDS)
        self._next_number = min(low, 0) - 1
        self._people: dict[tuple[str, str], int] = {}
        self._rows: list[Any] = []
        self._shape: tuple[tuple[tuple[str, str], ...], list[int]] = ((), [])
        """Names of the last commit, and their numbers: the next one's are the same, as a rule."""
        self._plain = words.indexed if get(db, "full_text") == "1" else words.plain_text

    def add(
        self, no: int, commit: Commit, parents: Sequence[int], facts: Facts, size: int | None, card: int | None
    ) -> None:
        """A commit that is new, under the number `no`; `parents`: their numbers."""
        message = values.clean(commit.message.strip("\n"))
        subject = values.clean(commit.summary)
        self._db.execute(
            _ENTRY,
            (
                no,
                bytes.fromhex(commit.id),
                _whole(commit.committer.time),
                commit.committer.offset_minutes,
                self._person(commit.author),
                parents[0] if parents else None,
                " ".join(map(str, parents[1:])) or None,
                len(parents),
                size,
                card,
                subject,
                message if message != subject else None,
                None if facts.problem is None else values.clean(facts.problem),
            ),
        )
        self._db.execute("INSERT INTO message_words (rowid, words) VALUES (?, ?)", (no, self._plain(message)))
        self.add_values(no, facts.values)
        if facts.labels:
            rows = {(no, field, self._text("s", values.clean(text))) for field, text in facts.labels}
            self._db.executemany("INSERT OR IGNORE INTO label VALUES (?, ?, ?)", rows)

    def add_values(self, no: int, found: Values) -> None:
        """The values of a commit that has none yet."""
        names = found.names
        before, numbers = self._shape
        if names is not before:
            if names != before:
                numbers = [self._names.get(one) or self._name(*one) for one in names]
            self._shape = names, numbers
        texts: list[int | None] = [None] * len(names)
        for at, kind, text in found.texts:
            texts[at] = self._text(kind, text)
        base = no << SHIFT
        made: Iterable[Any] = zip([base | number for number in numbers], numbers, found.numbers, texts, strict=True)
        if self._many_names:
            made = [row for row in made if row[1] < MOST_NAMES]
        rows = self._rows
        rows += chain.from_iterable(made)
        while len(rows) >= 4 * _AT_ONCE:
            self._db.execute(_MANY, rows[: 4 * _AT_ONCE])
            del rows[: 4 * _AT_ONCE]

    def card(self, blob: str, text: str, title: str | None) -> int:
        """A card that is new."""
        number = self._db.execute("INSERT INTO card (blob, title) VALUES (?, ?)", (blob, title)).lastrowid
        assert number is not None
        self._db.execute("INSERT INTO card_words (rowid, words) VALUES (?, ?)", (number, self._plain(text)))
        return number

    def flush(self) -> None:
        """Write what waits."""
        rows, self._rows = self._rows, []
        self._db.executemany(_ONE, (rows[at : at + 4] for at in range(0, len(rows), 4)))

    def remove_values(self, no: int) -> None:
        """Forget the values of a commit."""
        self.flush()
        self._db.execute("DELETE FROM value WHERE key BETWEEN ? AND ?", (no << SHIFT, ((no + 1) << SHIFT) - 1))

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget commits. (Their words stay in the full text, under numbers that never come again.)"""
        for no in numbers:
            self.remove_values(no)
            self._db.execute("DELETE FROM label WHERE no = ?", (no,))
            self._db.execute("DELETE FROM entry WHERE no = ?", (no,))

    def _name(self, section: str, name: str) -> int:
        shown = values.clean(name)
        number = self._names.get((section, shown))
        if number is None:
            number = len(self._names) + 1
            number = max(number, 1 + (self._db.execute("SELECT max(id) FROM name").fetchone()[0] or 0))
            self._many_names |= number >= MOST_NAMES
            self._db.execute("INSERT INTO name VALUES (?, ?, ?)", (number, section, shown))
        self._names[section, name] = self._names[section, shown] = number
        return number

    def _text(self, kind: str, text: str) -> int:
        number = self._texts.get((kind, text))
        if number is not None:
            return number
        if not self._complete:
            row = self._db.execute("SELECT id FROM text WHERE text = ? AND kind = ?", (text, kind)).fetchone()
            number = row and row[0]
        if number is None:
            if kind == "n":
                number, self._next_number = self._next_number, self._next_number - 1
            else:
                number, self._next_text = self._next_text, self._next_text + 1
            folded = text.casefold()
            row = (number, kind, text, folded if folded != text else None)
            self._db.execute("INSERT INTO text VALUES (?, ?, ?, ?)", row)
        if len(self._texts) >= _MOST_KNOWN:
            self._texts.clear()
            self._complete = False
        self._texts[kind, text] = number
        return int(number)

    def _person(self, who: Signature) -> int:
        pair = values.clean(who.name), values.clean(who.email)
        number = self._people.get(pair)
        if number is None:
            self._db.execute("INSERT OR IGNORE INTO person (name, email) VALUES (?, ?)", pair)
            number = self._db.execute("SELECT id FROM person WHERE name = ? AND email = ?", pair).fetchone()[0]
            self._people[pair] = number
        return int(number)


def _whole(seconds: int) -> int:
    return max(-(2**62), min(seconds, 2**62))
