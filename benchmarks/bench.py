"""What every case needs: the work folder, the tools that are to run, placing a version, checking what came back."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Took, run
from benchmarks.results import Results
from benchmarks.tools import Tool


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks."""

    work: Path
    tools: Mapping[str, Callable[[Path], Tool]]
    results: Results
    repeat: int

    def each_tool(self, without: tuple[str, ...] = ()) -> Iterator[tuple[str, Tool]]:
        """Every tool that can run, begun in an empty folder of its own that is removed afterwards."""
        for name, make in self.tools.items():
            if name not in without:
                yield from self.begun(name, make)

    def begun(self, name: str, make: Callable[[Path], Tool]) -> Iterator[tuple[str, Tool]]:
        root = self.work / "run"
        shutil.rmtree(root, ignore_errors=True)
        tool = make(root)
        if not tool.available():
            say(f"  {name}: not installed")
            return
        tool.data.mkdir(parents=True)
        run(tool.begin(), root / "log")
        yield name, tool
        shutil.rmtree(root, ignore_errors=True)


def commit(tool: Tool, label: str) -> Took:
    """Commit what lies in the tool's folder; what was placed there is on the disk before the clock starts."""
    os.sync()
    took = run(tool.commit(label), tool.root / "log")
    run(tool.remember(label), tool.root / "log")
    return took


def restore(tool: Tool, label: str) -> Took:
    """Bring a version back: over what is in the worktree, or into an empty folder."""
    if tool.restored() != tool.data:
        shutil.rmtree(tool.root / "out", ignore_errors=True)
        (tool.root / "out").mkdir()
    os.sync()
    return run(tool.restore(label), tool.root / "log")


def place(version: Mapping[str, Path], data: Path) -> int:
    """Make `data` hold exactly these files and folders (target name: source); returns the bytes in it."""
    for old in data.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name, source in version.items():
        target = data / name
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
    return sum(path.stat().st_size for path in data.rglob("*") if path.is_file())


def check(version: Mapping[str, Path], restored: Path) -> None:
    """Raise AssertionError unless `restored` holds the version byte for byte."""
    for name, source in version.items():
        files = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
        for path in files:
            back = restored / name / path.relative_to(source) if source.is_dir() else restored / name
            if not filecmp.cmp(path, back, shallow=False):
                raise AssertionError(f"{back} is not {path}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
