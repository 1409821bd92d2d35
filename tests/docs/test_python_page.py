"""docs/python.md runs as it stands."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_python_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / ".config" / "mvc" / "config"
    config.parent.mkdir(parents=True)
    config.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    # A fence after the last expected line would count as output.
    text = "\n".join("" if line.startswith("```") else line for line in PAGE.read_text("utf-8").split("\n"))
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(page.examples) > 15
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(page)
    assert failed == 0
