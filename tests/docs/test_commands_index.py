"""docs/commands/README.md lists every verb of the registry, with its group and its one-line help."""

from __future__ import annotations

from pathlib import Path

from mvc.cli.registry import GROUPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands" / "README.md"
HEAD = """# Commands

A page a command; `mvc VERB --help` says the same in short. [mvc](mvc.md) itself: global options, environment,
exit codes.
"""


def index() -> str:
    parts = [HEAD]
    for title, verbs in GROUPS.items():
        rows = [f"| [{verb}]({verb}.md) | {entry.help} |" for verb, entry in verbs.items()]
        parts.append("\n".join([f"## {title.capitalize()}\n", "| | |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def test_index_is_that_of_the_registry() -> None:
    assert PAGE.read_text("utf-8") == index(), f"to write it anew: python {Path(__file__).name}"


if __name__ == "__main__":
    PAGE.write_text(index(), "utf-8")
