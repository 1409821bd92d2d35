"""Texts that people type, or that come with what others send. See targets.py."""

from __future__ import annotations

import contextlib
from functools import cache

from mvc.errors import MvcError, ParseError, UnsafePath, UnsupportedFormat, UsageError
from mvc.gitlink import ignorefile, lockfile
from mvc.metadata import files, lean
from mvc.metadata.arguments import parse_assignment
from mvc.metadata.values import flatten, nest
from mvc.objects import dates, gitdir, revparse, trees
from mvc.objects.database import Objects
from mvc.objects.model import FILE, Signature, TreeItem
from mvc.objects.refs import RefChange, Refs
from mvc.repo.ignore import parse_rules
from mvc.repo.pathspec import Pathspec
from tests import scratch

_WHO = Signature("A", "a@x", 1_600_000_000, 0)
_FOLDER = scratch.make(in_memory=True)


def values(data: bytes) -> None:
    """A file of params or metrics; the reader of what mvc writes agrees with the full one."""
    for kind in ("yaml", "json", "toml"):
        with contextlib.suppress(ParseError, UsageError):
            found = files.flat_values(data, kind, "f")
            assert flatten(nest(found)) == found
    with contextlib.suppress(UnicodeDecodeError):
        text = data.decode()
        quick = lean.loads(text)
        if quick is not None and text.isascii():
            with contextlib.suppress(ParseError):
                assert repr(files.grouped_values(data, "yaml", "f")) == repr(quick), text
    with contextlib.suppress(ParseError, UsageError):
        parse_assignment(data.decode("utf-8", "surrogateescape"))


def mvc_lock(data: bytes) -> None:
    """`mvc.lock`, and a .gitignore with mvc's block."""
    for text in (data, b"mvc-lock 1\ncommit " + b"1" * 40 + b"\n" + data):
        with contextlib.suppress(ParseError, UnsupportedFormat, UnsafePath):
            found = lockfile.parse(text)
            assert lockfile.parse(lockfile.dump(found)) == found
    lines = [b"/.mvc", b"/a"]
    twice = ignorefile.with_block(ignorefile.with_block(data, lines), lines)
    assert ignorefile.with_block(twice, lines) == twice


def patterns(data: bytes) -> None:
    """An ignore file (the first half), asked about a path (the second); the same as a pathspec."""
    text = data.decode("utf-8", "surrogateescape")
    half = len(text) // 2
    path = text[half:][:255]
    for rule in parse_rules(text[:half]):
        rule.test(path)
    for typed in (text[:half], ":(glob)" + text[:half], ":(icase)" + text[:half]):
        with contextlib.suppress(UsageError):
            found = Pathspec.parse([typed], "a/b")
            found.matches(path)
            found.may_contain(path)
            found.covers(path)


@cache
def _history() -> tuple[Objects, Refs]:
    """Three commits, a branch, a reflog."""
    path = _FOLDER / "repo"
    gitdir.init_git_dir(path)
    objects, refs = Objects(path / "objects"), Refs(path, path)
    last: str | None = None
    for number in range(3):
        with objects.batch() as batch:
            tree = trees.update(batch, None, {"a/b": TreeItem(FILE, batch.blob(b"%d" % number))})
            commit = batch.commit(tree, [last] if last else [], _WHO, _WHO, f"number {number}\n")
            batch.seal()
        refs.update(
            [RefChange("HEAD", last, commit), RefChange("refs/heads/b", last, commit)], message="m", author=_WHO
        )
        last = commit
    return objects, refs


def revision(data: bytes) -> None:
    """What names a revision, a range or a date."""
    text = data.decode("utf-8", "surrogateescape")
    objects, refs = _history()
    for parse in (revparse.resolve, revparse.resolve_commit, revparse.parse_range):
        with contextlib.suppress(MvcError):
            parse(objects, refs, text)
    with contextlib.suppress(UsageError):
        assert isinstance(dates.parse_date(text, 1_700_000_000), int)
