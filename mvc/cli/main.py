"""Where the `mvc` command begins. Small on purpose: `mvc --version` loads nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mvc import __version__
from mvc.lazy import load

_PROGRAM = "mvc.cli.program:run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name); returns the exit code."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    if args == ["--version"]:
        sys.stdout.write(f"mvc {__version__}\n")
        return 0
    code: int = load(_PROGRAM)(args)
    return code
