"""The pages of docs/commands are held to the commands: each verb has one, and it names each option, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mvc.cli.program import program
from mvc.cli.registry import VERBS
from tests.cli.pages import commands, options

PAGES = Path(__file__).resolve().parents[2] / "docs" / "commands"
IN_TABLE = re.compile(r"^\| (`-[^|]*)\|", re.MULTILINE)
SPELLING = re.compile(r"`(--?[A-Za-z][\w-]*)`")


def documented(page: str) -> set[str]:
    """The spellings in the first column of the tables of options."""
    return {spelling for cell in IN_TABLE.findall(page) for spelling in SPELLING.findall(cell)}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_a_page_with_its_options(verb: str) -> None:
    page = (PAGES / f"{verb}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# mvc {verb}\n")
    found = {spelling for _, command in commands(verb) for spellings, _ in options(command) for spelling in spellings}
    assert documented(page) == found


@pytest.mark.parametrize("verb", VERBS)
def test_each_inner_verb_is_on_the_page(verb: str) -> None:
    page = (PAGES / f"{verb}.md").read_text(encoding="utf-8")
    for name, _ in commands(verb):
        assert f"mvc {name}" in page


@pytest.mark.parametrize("verb", VERBS)
def test_each_option_has_help(verb: str) -> None:
    for name, command in commands(verb):
        assert command.help, f"mvc {name} has no docstring"
        for spellings, text in options(command):
            assert text.endswith((".", "]", ")")), f"mvc {name} {spellings[0]}: {text!r}"


def test_global_options_are_documented() -> None:
    page = (PAGES / "mvc.md").read_text(encoding="utf-8")
    found = {spelling for spellings, _ in options(program) for spelling in spellings}
    assert documented(page) == found


def test_no_page_without_a_verb() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"mvc", "README"} <= VERBS.keys()


def test_links_lead_somewhere() -> None:
    for path in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([\w-]+\.md)\)", path.read_text(encoding="utf-8")):
            assert (PAGES / target).is_file(), f"{path.name} -> {target}"
