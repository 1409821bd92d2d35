"""For whom an operation runs."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.objects.model import Signature
from mvc.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signs commits and reflog lines (and when), who hears of progress, how long to wait for a lock."""

    who: Signature
    progress: Progress = SILENT
    wait: float = 0.0
    """Seconds to wait for another process's lock."""
