"""The log of an error that nobody expected: what a report needs, and no secrets."""

from __future__ import annotations

import contextlib
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from mvc import __version__
from mvc.metadata.secrets import without_secrets

_PACKAGES = ("blake3", "click", "numpy", "pyfastcdc", "PyYAML", "rich", "zstandard")


def write_log(error: BaseException, home: Path, arguments: Sequence[str]) -> Path | None:
    """Write the log into `home`/logs; returns its path, or None where nothing can be written."""
    folder = home / "logs"
    path = folder / time.strftime("crash-%Y%m%d-%H%M%S.log")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(error, arguments), encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    return path


def _text(error: BaseException, arguments: Sequence[str]) -> str:
    lines = [
        f"mvc {__version__}",
        f"python {sys.version}".replace("\n", " "),
        f"platform {platform.platform()}",
        f"command {' '.join(without_secrets(['mvc', *arguments]))}",
    ]
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines.append(f"{name} {metadata.version(name)}")
    return "\n".join(lines) + "\n\n" + "".join(traceback.format_exception(error))
