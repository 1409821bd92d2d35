"""Refspecs: what they match and become, and which texts are none; names are judged as git judges them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import UsageError
from mvc.objects import refnames
from mvc.objects.refspec import full_target, look_up, mapped, parse_fetch, parse_push, tracking_ref

PART = st.text("abc.-@{", min_size=1, max_size=5).filter(refnames.is_well_formed)
NAME = st.lists(PART, min_size=1, max_size=3).map("/".join).filter(refnames.is_well_formed)


@given(NAME, NAME, NAME, st.booleans())
def test_pattern_maps_and_maps_back(source: str, target: str, name: str, force: bool) -> None:
    text = f"{'+' if force else ''}refs/{source}/*:refs/{target}/*"
    spec = parse_fetch(text)
    assert (str(spec), spec.force, spec.is_pattern) == (text, force, True)
    ref = f"refs/{source}/{name}"
    assert spec.maps(ref) == f"refs/{target}/{name}"
    assert spec.unmaps(f"refs/{target}/{name}") == ref
    assert spec.maps(f"refs/{source}-else/{name}") is None


@given(NAME, NAME)
def test_full_names_map_to_each_other_alone(source: str, target: str) -> None:
    spec = parse_fetch(f"refs/heads/{source}:refs/remotes/o/{target}")
    assert spec.maps(f"refs/heads/{source}") == f"refs/remotes/o/{target}"
    assert spec.maps(f"refs/heads/{source}x") is None
    assert spec.unmaps(f"refs/remotes/o/{target}") == f"refs/heads/{source}"


@given(st.text("ab*:+^/.@-~ \\[{", max_size=8))
def test_any_text_is_a_refspec_that_prints_itself_or_an_error(text: str) -> None:
    for parse in (parse_fetch, parse_push):
        try:
            spec = parse(text)
        except UsageError:
            continue
        assert parse(str(spec)) == spec
        assert (str(spec) if spec.target else str(spec).removesuffix(":")).replace("HEAD", "@") == text.removesuffix(
            ":"
        )


@settings(max_examples=60, deadline=None)
@given(st.text("ab*/.@-~ \\[{", min_size=1, max_size=6).filter(lambda name: not name.startswith("-")))
def test_names_are_judged_as_git_does(name: str) -> None:
    judged = subprocess.run(["git", "check-ref-format", "--allow-onelevel", "--refspec-pattern", name], check=False)
    try:
        parse_fetch(f"refs/heads/{name}:refs/x/{'*' if '*' in name else 'y'}")
        ours = True
    except UsageError:
        ours = False
    # Behind "refs/heads/" a "@" is a name like any other.
    assert ours == (judged.returncode == 0 or name == "@")


@pytest.mark.parametrize(
    "text",
    ["a:b:c d", "refs/*:refs/x", "refs/x:refs/*", "refs/*/*:refs/*/*", "a..b", "refs/heads/*", "^", "^a:b", "a:"],
)
def test_no_refspecs_of_a_fetch(text: str) -> None:
    if text == "a:":
        assert full_target(parse_fetch(text).target) is None
        return
    with pytest.raises(UsageError, match="invalid refspec"):
        parse_fetch(text)


@pytest.mark.parametrize("text", ["", "+", "a:", "main~2", "a:b*", "a*:b", "main~2:", "^a:b", "^" + "0" * 40])
def test_no_refspecs_of_a_push(text: str) -> None:
    with pytest.raises(UsageError, match="invalid refspec"):
        parse_push(text)


def test_refspecs_of_a_push() -> None:
    assert parse_push(":").is_matching and parse_push("+:").force
    assert parse_push("main~2:refs/heads/old").source == "main~2"
    assert parse_push(":gone").source == ""
    assert parse_push("@:x").source == "HEAD"
    assert parse_push("refs/heads/*").target == ""


REFS = ["HEAD", "refs/heads/main", "refs/heads/wip/a", "refs/tags/main", "refs/tags/v1"]


def test_mapped_leaves_out_what_a_negative_one_matches() -> None:
    specs = [parse_fetch("refs/heads/*:refs/remotes/o/*"), parse_fetch("^refs/heads/wip/*")]
    assert mapped(specs, REFS) == [("refs/heads/main", "refs/remotes/o/main", False)]
    assert tracking_ref(specs, "refs/heads/main") == "refs/remotes/o/main"
    assert tracking_ref(specs, "refs/heads/wip/a") is None


def test_a_short_name_is_looked_up_in_the_order_of_git() -> None:
    assert look_up("main", REFS) == "refs/tags/main"
    assert look_up("heads/main", REFS) == "refs/heads/main"
    assert look_up("nothing", REFS) is None
    assert mapped([parse_fetch("wip/a:x"), parse_fetch("+wip/a:x"), parse_fetch("")], REFS) == [
        ("refs/heads/wip/a", "refs/heads/x", True),
        ("HEAD", None, False),
    ]
    assert [full_target(one) for one in ("tags/v", "refs/x/y", "")] == ["refs/tags/v", "refs/x/y", None]
