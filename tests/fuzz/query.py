"""The query language of `mvc search`. See targets.py."""

from __future__ import annotations

import contextlib
import sqlite3
from functools import cache

from mvc.catalogue.parser import parse, parse_field
from mvc.catalogue.syntax import text_of
from mvc.errors import QueryError
from tests.catalogue.samples import Sample, ask, catalogue


@cache
def _tables() -> tuple[sqlite3.Connection, ...]:
    """Few commits, with all kinds of values; with FTS5 and without."""
    samples = [
        Sample(1, params={"lr": 1e-5, "opt": "adamw", "amp": True}, metrics={"acc": 0.9}, labels=(("path", "a/b"),)),
        Sample(2, params={"lr": "3e-5", "n": 2**70}, metrics={"acc": float("nan")}, message="模型训练 warmup\n"),
        Sample(3, tags={"task": "ner", "name": "bert"}, card="# 卡片", refs=(("tag", "v1"),), branches=("main",)),
    ]
    return catalogue(samples), catalogue(samples, full_text=False)


def query(data: bytes) -> None:
    """What is taken is the same when it is written out and read again, and every table can be asked it; else the
    error points into the text."""
    text = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(QueryError):
        parse_field(text)
    try:
        found = parse(text)
        if found is not None:
            assert parse(text_of(found)) == found, text
        answers = [ask(db, found, text) for db in _tables()]
        limited = ask(_tables()[0], found, text, limit=2)
    except QueryError as error:
        assert 0 <= error.at <= len(text), error
        return
    assert answers[0] == answers[1], text
    assert limited == answers[0][:2], text
