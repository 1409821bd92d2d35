"""Repositories to be searched, made by plain git."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mvc.catalogue.rows import Row
from mvc.catalogue.search import SearchOptions, search
from mvc.repo.create import init
from mvc.repo.repository import Repository
from tests.cli.world import History

Find = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a fresh repository."""
    path = tmp_path / "repo"
    path.mkdir()
    init(path, initial_branch="main")
    return path


@pytest.fixture
def history(folder: Path) -> History:
    return History(folder)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def rows(folder: Path, home: Path | None, query: str = "", **options: object) -> list[Row]:
    """What a fresh process would find."""
    made = SearchOptions(**options)  # type: ignore[arg-type]
    return list(search(Repository.open(folder), query, made, home=home).rows)


@pytest.fixture
def find(folder: Path, home: Path) -> Find:
    """Subjects of what is found, in order; the same with a catalogue that is made anew."""

    def answer(query: str = "", **options: object) -> list[str]:
        kept = [(row.subject, row) for row in rows(folder, home, query, **options)]
        anew = [row for row in rows(folder, None, query, **options)]
        assert [row for _, row in kept] == anew
        return [subject for subject, _ in kept]

    return answer
