"""docs/python.md and docs/training.md run as they stand."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("name", "examples"), [("python.md", 15), ("training.md", 10)])
def test_page(name: str, examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / ".config" / "mvc" / "config"
    config.parent.mkdir(parents=True)
    config.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    # A fence after the last expected line would count as output.
    text = "\n".join("" if line.startswith("```") else line for line in (DOCS / name).read_text("utf-8").split("\n"))
    page = doctest.DocTestParser().get_doctest(text, {}, name, str(DOCS / name), 0)
    assert len(page.examples) > examples
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(page)
    assert failed == 0
