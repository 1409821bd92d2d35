"""Fuzzes one target with atheris: `python tests/fuzz/fuzz.py TARGET [corpus folder] [libFuzzer options]`.

    python tests/fuzz/seed.py /tmp/corpus
    python tests/fuzz/fuzz.py gguf /tmp/corpus/gguf tests/fuzz/corpus/gguf -max_total_time=600

New inputs go to the first folder. `-merge=1 tests/fuzz/corpus/gguf /tmp/corpus/gguf` keeps those that reach
more code; keep a corpus below 100 small files. Atheris: `pip install mvc-models[fuzz]`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["mvc"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="mvc-fuzz-") as folder:
        sys.argv[0] = _program(Path(folder), name)
        atheris.Setup(sys.argv, TARGETS[name])
        atheris.Fuzz()


def _program(folder: Path, name: str) -> str:
    """What libFuzzer runs in order to start the same once more: for `-merge` it does."""
    path = folder / "fuzz"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {name} "$@"\n')
    os.chmod(path, 0o755)
    return str(path)


if __name__ == "__main__":
    main()
