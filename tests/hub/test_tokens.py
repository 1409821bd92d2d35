"""Tokens: what they grant, how they are kept, how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, NotFound, UsageError
from mvc.hub.grants import Grant, right_in
from mvc.hub.messages import Right
from mvc.hub.tokens import TokenCache, Tokens, open_tokens
from tests.backends import servers
from tests.backends.servers import Server

NAMES = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("team/model", ["team/model"], ["team/model2", "team", "team/model/x", "xteam/model"]),
        ("team/*", ["team/a", "team/b.c"], ["team", "team/a/b", "teams/a"]),
        ("team/**", ["team/a", "team/a/b"], ["team", "teams/a"]),
        ("**", ["a", "a/b/c"], []),
        ("*-ft/**", ["bert-ft/x"], ["bert/x", "a/b-ft/x"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns(pattern: str, inside: list[str], outside: list[str]) -> None:
    grants = [Grant(Right.APPEND, pattern)]
    assert all(right_in(grants, name) is Right.APPEND for name in inside)
    assert all(right_in(grants, name) is Right.NONE for name in outside)


@given(NAMES, NAMES)
def test_a_name_is_a_pattern_of_itself_alone(one: list[str], other: list[str]) -> None:
    grants = [Grant(Right.READ, "/".join(one))]
    assert (right_in(grants, "/".join(other)) is Right.READ) == (one == other)


@pytest.mark.parametrize(
    "pattern", ["", "/", "a//b", "/a", "a/", "../a", "a/..", "-", "a b", "a\n", "*a" * 7, "x" * 201]
)
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(UsageError):
        Grant(Right.READ, pattern)


def test_the_highest_right_counts() -> None:
    grants = [Grant(Right.READ, "**"), Grant(Right.WRITE, "team/*"), Grant(Right.APPEND, "team/a")]
    assert right_in(grants, "team/a") is Right.WRITE
    assert right_in(grants, "other") is Right.READ


def test_created_listed_revoked() -> None:
    tokens = Tokens(MemoryBackend())
    one, text = tokens.create("ci", [Grant(Right.APPEND, "team/*")], now=1000)
    other, _ = tokens.create("ann", [Grant(Right.ADMIN, "**")], expires=2000, now=1000)
    assert tokens.every() == [other, one]
    assert tokens.get(one.id) == one
    assert re.fullmatch(r"mvc_[0-9a-f]{12}_[\w-]{43}", text)
    tokens.revoke(one.id)
    assert tokens.every() == [other]
    tokens.revoke(one.id)


def test_no_secret_is_stored() -> None:
    backend = MemoryBackend()
    _, text = Tokens(backend).create("ci", [Grant(Right.READ, "**")])
    secret = text.split("_", 2)[2]
    kept = b"".join(backend.get(entry.key) for entry in backend.list(""))
    assert secret.encode() not in kept


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "a\x1b[31m"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        Tokens(MemoryBackend()).create(name, [Grant(Right.READ, "**")])


def test_a_token_without_a_right_is_none() -> None:
    with pytest.raises(UsageError):
        Tokens(MemoryBackend()).create("ci", [])


def test_who_has_a_token() -> None:
    tokens = Tokens(MemoryBackend())
    made, text = tokens.create("ci", [Grant(Right.APPEND, "team/*")], expires=2000)
    cache = TokenCache(tokens, 10)
    bearer = cache.bearer(text, now=1999.9)
    assert bearer is not None
    assert (bearer.name, bearer.token) == ("ci", made)
    assert bearer.right("team/a") is Right.APPEND
    assert bearer.right("other") is Right.NONE
    open_one = cache.bearer(text, floor=Right.READ, now=0)
    assert open_one is not None
    assert open_one.right("other") is Right.READ
    assert cache.bearer(text, now=2000) is None, "it ended"


@given(st.integers(0, 59), st.sampled_from("0aA_-"))
def test_any_other_letter_is_another_token(at: int, letter: str) -> None:
    tokens = Tokens(MemoryBackend())
    _, text = tokens.create("ci", [Grant(Right.READ, "**")])
    changed = text[:at] + letter + text[at + 1 :]
    assert (TokenCache(tokens, 10).bearer(changed) is None) == (changed != text)


@given(st.text(max_size=80))
def test_garbage_is_no_token(text: str) -> None:
    assert TokenCache(Tokens(MemoryBackend()), 10).bearer(text) is None


def test_a_revoked_token_ends_within_the_time() -> None:
    now = [0.0]
    tokens = Tokens(MemoryBackend())
    made, text = tokens.create("ci", [Grant(Right.READ, "**")])
    cache = TokenCache(tokens, 10, clock=lambda: now[0])
    assert cache.bearer(text)
    tokens.revoke(made.id)
    now[0] = 9.9
    assert cache.bearer(text), "not asked for again yet"
    now[0] = 10.1
    assert cache.bearer(text) is None


def test_unknown_tokens_do_not_fill_the_memory() -> None:
    cache = TokenCache(Tokens(MemoryBackend()), 1e9)
    for number in range(5000):
        assert cache.bearer(f"mvc_{number:012x}_{'a' * 43}") is None
    assert len(cache._known) <= 4096


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format": 2}',
        b'{"format": 1, "name": "x", "grants": [["king", "**"]], "created": 1, "expires": null, "sha256": "%s"}'
        % (b"0" * 64),
        b'{"format": 1, "name": "x", "grants": [["read", ".."]], "created": 1, "expires": null, "sha256": "%s"}'
        % (b"0" * 64),
        b'{"format": 1, "name": "x", "grants": [["read", "**"]], "created": 1, "expires": null, "sha256": ""}',
    ],
)
def test_what_is_kept_and_makes_no_sense(text: bytes) -> None:
    backend = MemoryBackend()
    backend.put("tokens/" + "0" * 12, text)
    with pytest.raises(IntegrityError):
        Tokens(backend).get("0" * 12)


def test_kept_beside_the_repositories(tmp_path: Path) -> None:
    made, _ = open_tokens(str(tmp_path), {}).create("ci", [Grant(Right.READ, "team/*")], now=5)
    kept = json.loads((tmp_path / "-" / "tokens" / made.id).read_text())
    assert kept["grants"] == [["read", "team/*"]]
    assert open_tokens(f"file://{tmp_path}", {}).every() == [made]
    with pytest.raises(NotFound):
        open_tokens(str(tmp_path / "gone"), {})


@pytest.mark.skipif(not servers.has_ceph(), reason="radosgw is not installed (ceph-mon ceph-osd radosgw ceph-common)")
def test_kept_in_an_object_store(radosgw: Server) -> None:
    tokens = open_tokens(radosgw.url, radosgw.environment)
    made, text = tokens.create("ci", [Grant(Right.READ, "**")])
    assert TokenCache(tokens, 10).bearer(text)
    assert made in tokens.every()
    tokens.revoke(made.id)
    assert tokens.get(made.id) is None
