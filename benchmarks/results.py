"""The measured figures: JSON that grows case by case, so that one case can be measured anew."""

from __future__ import annotations

import json
import platform
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.tools import processors

Figures = dict[str, Any]
"""What one tool took in one case, by the name of the figure: a number, or {"wall", "cpu", "rss"}."""


class Results:
    """`results.json`: {"machine", "versions", "cases": {case: {tool: figures}}}. Saved after each tool."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = {"cases": {}}
        if path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))

    def describe(self, versions: dict[str, str], note: str = "") -> None:
        """Say what was measured on; a `note` on how heads the report."""
        self.data["note"] = note
        self.data["machine"] = {
            "processors": processors(),
            "model": _processor(),
            "memory": _memory(),
            "system": platform.platform(),
            "python": platform.python_version(),
        }
        self.data["versions"] = versions
        self.save()

    def put(self, case: str, tool: str, figures: Figures) -> None:
        figures["measured"] = date.today().isoformat()
        self.data["cases"].setdefault(case, {})[tool] = figures
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def get(self, case: str, tool: str) -> Figures:
        """Empty when it was not measured."""
        found: Figures = self.data["cases"].get(case, {}).get(tool, {})
        return found

    def tools(self, case: str) -> list[str]:
        return list(self.data["cases"].get(case, {}))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory() -> str:
    info = Path("/proc/meminfo")
    if not info.exists():
        return "unknown"
    kib = int(info.read_text().split()[1])
    return f"{kib / 2**20:.0f} GiB"
