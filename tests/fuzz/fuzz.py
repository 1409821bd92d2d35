"""Fuzzes one target with atheris: `python tests/fuzz/fuzz.py TARGET [corpus folder] [libFuzzer options]`.

    python tests/fuzz/fuzz.py gguf /tmp/corpus/gguf tests/fuzz/corpus/gguf -max_total_time=600

New inputs go to the first folder. `-merge=1 tests/fuzz/corpus/gguf /tmp/corpus/gguf` keeps those that reach
more code; keep a corpus below 100 small files. Atheris: `pip install mvc-models[fuzz]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["mvc.formats", "mvc.chunking", "mvc.objects"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
