"""Replays the inputs that fuzzing found worth keeping."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.seed import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_is_taken_or_refused(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert inputs
    for data in [*inputs, *seeds()[name], b""]:
        TARGETS[name](data)


def test_every_corpus_has_its_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
