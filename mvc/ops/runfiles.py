"""What a training run leaves: its refs, and its log in `.mvc/runs/RUN/` (docs/format/runs.md)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvc.errors import UsageError
from mvc.objects.refnames import is_well_formed
from mvc.repo.repository import Repository

RUNS = "refs/runs/"
SUMMARY = "summary"
"""The last part of the ref of a run's own commit: params, status, series, no files."""

LOG = "log.jsonl"
STATE = "run.json"
SPOOL = "spool"
LOCK = "run.lock"

MAX_STEP = 2**63 - 1
_MOST_WHOLE = 2**64
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Made once: `json.dumps` makes one a call."""
_NAME = re.compile(r"\w[\w.+-]{0,99}\Z")
_STEP = re.compile(r"0|[1-9][0-9]{0,18}\Z")
_NUMBERS: Mapping[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def check_name(name: str) -> str:
    """`name` if a run may have it, else UsageError: it names a ref and a folder."""
    if not _NAME.match(name) or not is_well_formed(name):
        raise UsageError(
            f"a run cannot be named {name!r}", hint="letters, digits and . _ + -, not more than 100, a letter first"
        )
    return name


def run_folder(repo: Repository, run: str) -> Path:
    """Where the run's own files are, as far as it was made here."""
    return repo.common_dir / "runs" / run


def checkpoint_ref(run: str, step: int) -> str:
    """The ref of a checkpoint."""
    return f"{RUNS}{run}/{step}"


def summary_ref(run: str) -> str:
    """The ref of the run's own commit."""
    return f"{RUNS}{run}/{SUMMARY}"


@dataclass(slots=True)
class RunRefs:
    """The refs of one run: commits by step, and its own."""

    steps: dict[int, str] = field(default_factory=dict)
    summary: str | None = None


def runs_of(refs: Mapping[str, str]) -> dict[str, RunRefs]:
    """The runs that these refs (full name to id) tell of, by name. Refs of other forms under refs/runs/ are none."""
    found: dict[str, RunRefs] = {}
    for ref in sorted(ref for ref in refs if ref.startswith(RUNS)):
        run, _, last = ref.removeprefix(RUNS).rpartition("/")
        if not _NAME.match(run):
            continue
        if last == SUMMARY:
            found.setdefault(run, RunRefs()).summary = refs[ref]
        elif _STEP.fullmatch(last) and int(last) <= MAX_STEP:
            found.setdefault(run, RunRefs()).steps[int(last)] = refs[ref]
    for run_refs in found.values():
        run_refs.steps = dict(sorted(run_refs.steps.items()))
    return found


# The log ------------------------------------------------------------------------------------


@dataclass(slots=True)
class RunLog:
    """What a run logged: metrics by step, in order; the later value of a name at a step wins."""

    points: dict[int, dict[str, Any]] = field(default_factory=dict)
    skipped: int = 0
    """Lines that are none (of a machine that lost power)."""

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        # A new dict each time: who was given the points before may be reading them.
        known = self.points.get(step)
        self.points[step] = {**known, **values} if known else dict(values)

    def go_back(self, step: int) -> None:
        """Training goes on behind `step`: what was logged of later ones never was."""
        for later in [known for known in self.points if known > step]:
            del self.points[later]

    def series(self) -> list[tuple[int, dict[str, Any]]]:
        """The points in the order of their steps."""
        return sorted(self.points.items())

    def at(self, step: int) -> dict[str, Any]:
        """What was logged of that very step."""
        return dict(self.points.get(step, {}))


def point_line(step: int, at: float, values: Mapping[str, Any]) -> bytes:
    """A line of the log. JSON has no NaN: such numbers are strings."""
    row = {"step": step, "at": round(at, 3), "values": values}
    try:
        text = _encode(row)
    except ValueError:
        row["values"] = {name: _spelt(value) for name, value in values.items()}
        text = _encode(row)
    return text.encode() + b"\n"


def back_line(step: int, at: float) -> bytes:
    """The line that says that training goes on behind `step`."""
    return _encode({"back": step, "at": round(at, 3)}).encode() + b"\n"


def read_log(data: bytes) -> RunLog:
    """The log, from its file's bytes. A last line without its end is not there; others that are no line are counted."""
    log = RunLog()
    for line in _lines(data):
        row = _row(line)
        if row is None:
            log.skipped += 1
        elif isinstance(row.get("back"), int):
            log.go_back(row["back"])
        else:
            log.add(row["step"], {name: _number(value) for name, value in row["values"].items()})
    return log


def whole_lines(data: bytes) -> int:
    """How many bytes the whole lines take: behind them a killed process left a piece of one."""
    return data.rfind(b"\n") + 1


def load_log(repo: Repository, run: str) -> RunLog:
    """The log of a run that was made here; an empty one of any other."""
    try:
        return read_log((run_folder(repo, run) / LOG).read_bytes())
    except FileNotFoundError:
        return RunLog()


def _lines(data: bytes) -> Iterable[bytes]:
    return data[: whole_lines(data)].split(b"\n")[:-1]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    values = row.get("values")
    if _is_step(row.get("back")):
        return row
    return (
        row if _is_step(row.get("step")) and isinstance(values, dict) and all(map(_is_metric, values.items())) else None
    )


def _is_metric(item: tuple[str, Any]) -> bool:
    name, value = item
    if isinstance(value, int):
        return name.isprintable() and name != "" and -_MOST_WHOLE < value < _MOST_WHOLE and not isinstance(value, bool)
    return (
        name.isprintable()
        and name != ""
        and (isinstance(value, float) or (isinstance(value, str) and value in _NUMBERS))
    )


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_STEP


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _number(value: Any) -> Any:
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


def read_state(folder: Path) -> dict[str, Any]:
    """`run.json`: what the process that writes the run says of itself; {} where there is none, or nothing readable."""
    try:
        found = json.loads((folder / STATE).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def local_runs(repo: Repository) -> Iterator[str]:
    """The runs that were made here, by name."""
    folder = repo.common_dir / "runs"
    if folder.is_dir():
        yield from sorted(path.name for path in folder.iterdir() if _NAME.match(path.name) and path.is_dir())
