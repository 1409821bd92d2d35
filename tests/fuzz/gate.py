"""Gates as people type them, held against values of every kind; and the messages that steps and reviews claim."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any, cast

from mvc.cli.gate_text import gate_document, gate_markdown, told
from mvc.cli.jsontext import json_text
from mvc.errors import ParseError
from mvc.objects import aliases, encoding, reviews
from mvc.ops.gate import GateResult
from mvc.ops.gate_check import check
from mvc.ops.gate_facts import Absent, Dtypes
from mvc.ops.gate_grammar import GateSyntax, parse_gate

VALUES: dict[str, Any] = {
    "a": 0.93,
    "b": 12,
    "n": math.nan,
    "i": math.inf,
    "m": -math.inf,
    "h": 10**400,
    "s": "adam",
    "t": True,
    "z": None,
    "l": [1, {"x": 2}],
    "zero": 0,
    "size": 123_456_789,
    "tensors.dtype": Dtypes({"F32": 3, "BF16": 1}),
}
BASE = {"a": 0.92, "b": 12.5, "n": 1, "i": 3, "h": 1.5, "s": 1, "zero": 0, "size": 100, "m": -math.inf}


class Known:
    """What a commit knows, without a commit."""

    def __init__(self, values: dict[str, Any], name: str) -> None:
        self.values, self.id = values, name * 40

    def value(self, name: str, scope: str | None, base: object = None) -> Any:
        bare = name.removeprefix("metrics.")
        if bare not in self.values or scope is not None:
            raise Absent(f"there is no metric '{name}'", tuple(self.values)[:3])
        return self.values[bare]


def hold(text: str, values: dict[str, Any], base: dict[str, Any] | None = None) -> bool:
    """Whether values pass a gate; all that can be said of it is said."""
    facts, before = Known(values, "1"), Known(base, "2") if base is not None else None
    (outcome,) = check([parse_gate(text)], cast(Any, facts), cast(Any, before))
    result = GateResult(facts.id, "HEAD", before.id if before else None, "base", (outcome,))
    json.loads(json_text(gate_document(result)))
    assert told(outcome) or not outcome.parts
    assert "\n" not in "".join(gate_markdown(result))
    return outcome.passed


def gate(data: bytes) -> None:
    """A gate is refused with the place, or holds or not; never both it and its contrary."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        parse_gate(text)
    except GateSyntax as error:
        assert 0 <= error.at <= len(text)
        return
    for base in (None, BASE):
        passed = hold(text, VALUES, base)
        with contextlib.suppress(GateSyntax):  # nested too deep, or too long
            assert hold(f"not (not ({text}))", VALUES, base) == passed
            assert not (passed and hold(f"not ({text})", VALUES, base))
            assert hold(f"n = n or ({text})", VALUES, base) == passed, "NaN passes nothing"


def step(data: bytes) -> None:
    """A commit that claims to be a step or a review, with the lines of good ones given."""
    head = b"tree %s\nparent %s\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n" % (b"1" * 40, b"2" * 40)
    for tail in (
        data,
        b"x\n\n" + data + b"\n\nAlias: p\nAction: set\nTarget: " + b"2" * 40,
        b"\n\nAlias: p\nAction: set\n" + data,
    ):
        with contextlib.suppress(ParseError):
            commit = encoding.parse_commit("0" * 40, head + tail)
            aliases.is_step(commit)
            with contextlib.suppress(ParseError):
                found = aliases.parse_step(commit, "p")
                assert found.target in (None, commit.parents[-1]) and found.before in (None, commit.parents[0])
            with contextlib.suppress(ParseError):
                assert reviews.parse_review(commit, "p").target == commit.parents[0]
