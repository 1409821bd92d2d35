"""Brings a catalogue up to date: it follows the refs, and what it costs grows with what changed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from mvc.catalogue.schema import get, put
from mvc.catalogue.scopes import ref_of
from mvc.errors import MvcError
from mvc.lazy import load
from mvc.metadata.model import NOTES
from mvc.progress import Progress
from mvc.repo.repository import Repository

_CHANGES = "mvc.catalogue.changes:Changes"
"""Loaded where something changed."""


class Stale(Exception):
    """To make the catalogue anew is less work than to change it."""


class Refreshed(NamedTuple):
    """What was done."""

    added: int = 0
    removed: int = 0
    changed: bool = False


def fingerprint(repo: Repository, refs: Mapping[str, str]) -> str:
    """What the catalogue depends on: two that are equal mean that there is nothing to do."""
    state = hashlib.sha256()
    for name, target in refs.items():
        state.update(f"{name} {target}\n".encode("utf-8", "surrogateescape"))
    for commit in sorted(repo.objects.shallow):
        state.update(f"shallow {commit}\n".encode())
    return state.hexdigest()


def wanted_refs(repo: Repository) -> dict[str, str]:
    """The refs that search looks at, and the notes, with what they are at; HEAD where it is detached."""
    found = {name: target for name, target in repo.refs.list("refs/").items() if name == NOTES or ref_of(name)}
    try:
        head = repo.refs.head()
    except MvcError:
        return found
    if head.branch is None and head.id is not None:
        found["HEAD"] = head.id
    return found


def refresh(db: sqlite3.Connection, repo: Repository, progress: Progress, *, fresh: bool = False) -> Refreshed:
    """Make the catalogue say what the repository says now, in one transaction. `fresh`: it is empty.

    Raises Stale; what sqlite3 raises; MvcError for refs that cannot be read.
    """
    refs = wanted_refs(repo)
    if not fresh and _readable(repo, get(db, "unreadable") or ""):
        raise Stale("commits can be read that could not be")
    if not fresh and get(db, "fingerprint") == fingerprint(repo, refs):
        return Refreshed()
    db.execute("BEGIN IMMEDIATE")
    try:
        refs = wanted_refs(repo)  # as of now: another process may just have done it all
        state = fingerprint(repo, refs)
        if not fresh and get(db, "fingerprint") == state:
            db.execute("ROLLBACK")
            return Refreshed()
        found: Refreshed = load(_CHANGES)(db, repo, progress, fresh).run(refs)
        put(db, "fingerprint", state)
        put(db, "generation", os.urandom(8).hex())
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return found


def _readable(repo: Repository, commits: str) -> bool:
    """Whether one of these commits can be read."""
    for one in commits.split():
        with suppress(MvcError):
            repo.objects.commit(one)
            return True
    return False
