"""Without the library there is one line that says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("transformers", "transformers", "transformers"),
        ("lightning", "lightning", "lightning"),
        ("dcp", "torch", "torch"),
    ],
)
def test_a_missing_library(module: str, library: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"try:\n    import mvc.training.{module}\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{library} is not installed: pip install 'mvc-models[{extra}]'\n"


def test_training_needs_none_of_them() -> None:
    code = (
        "import sys, mvc; mvc.start_run\n"
        "print(sorted({'torch', 'transformers', 'lightning', 'rich', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
