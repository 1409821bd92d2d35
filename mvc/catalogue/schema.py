"""The tables of a catalogue (docs/format/catalogue.md), and opening one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mvc.catalogue.values import number_text

VERSION = 1
"""Of the tables, of what is written into them, and of how texts become words: whatever changes, this grows."""

APPLICATION = 0x6D766343
"""SQLite's application id of a catalogue: "mvcC"."""

SHIFT = 24
MOST_NAMES = 1 << SHIFT
"""A value's key is its commit's number, shifted so far to the left, and its name's."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ref (
  name TEXT PRIMARY KEY, target TEXT NOT NULL, field TEXT, short TEXT, folded TEXT, no INTEGER
) WITHOUT ROWID;
CREATE TABLE scope (name TEXT PRIMARY KEY, field TEXT, short TEXT, folded TEXT, tips TEXT NOT NULL, bits BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, UNIQUE (name, email));
CREATE TABLE entry (
  no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, time INTEGER NOT NULL, zone INTEGER NOT NULL,
  author INTEGER NOT NULL, parent INTEGER, more TEXT, parents INTEGER NOT NULL, size INTEGER, card INTEGER,
  subject TEXT NOT NULL, message TEXT, problem TEXT
);
CREATE TABLE name (id INTEGER PRIMARY KEY, section TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (section, name));
CREATE TABLE text (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, folded TEXT);
CREATE TABLE value (key INTEGER PRIMARY KEY, name INTEGER NOT NULL, num, text INTEGER);
CREATE TABLE label (no INTEGER NOT NULL, field TEXT NOT NULL, text INTEGER NOT NULL, PRIMARY KEY (no, field, text))
  WITHOUT ROWID;
CREATE TABLE card (id INTEGER PRIMARY KEY, blob TEXT NOT NULL UNIQUE, title TEXT);
INSERT INTO text (id, kind, text) VALUES (1, 'b', 'true'), (2, 'b', 'false'), (3, 'z', 'null');
"""
INDEXES = (
    "CREATE INDEX text_by_text ON text (text, kind)",
    "CREATE INDEX entry_by_time ON entry (time, no)",
    "CREATE INDEX entry_by_card ON entry (card) WHERE card IS NOT NULL",
    "CREATE INDEX label_by_text ON label (field, text, no)",
    "CREATE INDEX value_by_number ON value (name, num, text)",
)
"""Made when the rows are there: half the time of keeping them up row by row. Texts are looked up while rows come."""

FULL_TEXT = (
    "CREATE VIRTUAL TABLE message_words USING fts5(words, content='', tokenize='ascii')",
    "CREATE VIRTUAL TABLE card_words USING fts5(words, content='', tokenize='ascii')",
)
WITHOUT_FTS5 = (
    "CREATE TABLE message_words (words TEXT NOT NULL)",
    "CREATE TABLE card_words (words TEXT NOT NULL)",
)
"""Where SQLite was built without FTS5: each row is looked at."""

BUSY_SECONDS = 10.0
_CACHE_KIB = 64 * 1024
_MAPPED = 1 << 30
"""Bytes of the file that are read through a mapping: a walk over commits takes half the time. A file is never cut short
while somebody reads it: SQLite does so under its lock, and mvc removes files whole."""
_SORTERS = 2
"""Threads beside that sort for an index."""


def connect(path: Path | None, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a file of tables; None: in memory."""
    where = ":memory:" if path is None else f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
    # One connection is used by one thread at a time: a caller's object may pass from thread to thread.
    db = sqlite3.connect(
        where, timeout=BUSY_SECONDS, isolation_level=None, uri=path is not None, check_same_thread=False
    )
    db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    db.execute(f"PRAGMA mmap_size={_MAPPED}")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA trusted_schema=OFF")
    db.execute(f"PRAGMA threads={_SORTERS}")
    db.create_function(
        "number_text", 1, lambda number: None if number is None else number_text(number), deterministic=True
    )
    db.create_function("folded", 1, lambda text: None if text is None else text.casefold(), deterministic=True)
    return db


def has_fts5(db: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5."""
    found = db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone()
    return found is not None


def create(db: sqlite3.Connection, *, full_text: bool | None = None) -> None:
    """Make the tables in an empty file, without the indexes. `full_text`: whether with FTS5 (where there is one)."""
    with_fts5 = has_fts5(db) if full_text is None else full_text
    statements = [*TABLES.split(";"), INDEXES[0], *(FULL_TEXT if with_fts5 else WITHOUT_FTS5)]
    for statement in statements:
        if statement.strip():
            db.execute(statement)
    db.execute(f"PRAGMA application_id={APPLICATION}")
    db.execute(f"PRAGMA user_version={VERSION}")
    put(db, "full_text", str(int(with_fts5)))


def finish(db: sqlite3.Connection) -> None:
    """Make the indexes, once the rows are there."""
    for statement in INDEXES[1:]:
        db.execute(statement)
    db.execute("ANALYZE entry")


def get(db: sqlite3.Connection, key: str) -> str | None:
    """A word that the catalogue keeps of itself."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def put(db: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a word."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
