"""`mvc forget`: the checkpoints of runs that are not worth their room, here or in a remote.

What is dropped are refs; `mvc gc` and `mvc remote gc` then free what nothing else needs. Each ref goes by
compare-and-swap, so that a checkpoint which training stores anew meanwhile stays.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from mvc import fsio
from mvc.errors import IntegrityError, Locked, MvcError, NotFound, ParseError, RefChanged, UsageError
from mvc.lazy import load
from mvc.metadata.direction import less_is_better
from mvc.metadata.tree import SERIES, read_metadata
from mvc.objects import ancestry
from mvc.objects.database import Objects
from mvc.objects.partial import FixedRefs
from mvc.objects.reffiles import RefFiles
from mvc.objects.refs import ANY, RefChange
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect, find_remote
from mvc.ops.known import Known
from mvc.ops.runfiles import (
    LOCK,
    RUNS,
    RunLog,
    RunRefs,
    checkpoint_ref,
    load_log,
    run_folder,
    runs_of,
    summary_ref,
)
from mvc.repo.readable import Readable
from mvc.repo.repository import Repository
from mvc.repo.roots import worktrees
from mvc.settings import Settings
from mvc.store.locks import hold
from mvc.sync.verdicts import RefUpdate

_WEIGH = "mvc.ops.forget_bytes:weigh"
_WEIGH_THERE = "mvc.ops.forget_bytes:weigh_there"
_VIEW = "mvc.sync.view:RemoteView"
_PUSH = "mvc.sync.push:push"
"""Loaded when they are needed: they take numpy."""


class Best(NamedTuple):
    """Keep those with the best values of a metric. `way`: "min" or "max"; None: as its name tells."""

    metric: str
    way: str | None = None
    most: int = 1

    @property
    def less(self) -> bool:
        return less_is_better(self.metric) if self.way is None else self.way == "min"


@dataclass(frozen=True, slots=True)
class Rules:
    """What to keep: whatever one of them keeps. With none but `all`, which keeps nothing, it is refused."""

    last: int = 0
    every: int = 0
    """Steps that are multiples of it."""
    best: tuple[Best, ...] = ()
    younger: float = 0.0
    """Seconds."""
    all: bool = False
    """Drop all of them, and the run itself with its log."""

    def check(self) -> None:
        """Raises UsageError for what makes no sense."""
        some = self.last > 0 or self.every > 0 or bool(self.best) or self.younger > 0
        if self.all == some:
            if some:
                raise UsageError("--all keeps nothing: it goes with no --keep")
            raise UsageError("it is not said what to keep", hint="--keep-last 3, say; --all drops the whole run")
        if min(self.last, self.every, self.younger) < 0 or any(one.most < 1 for one in self.best):
            raise UsageError("a number to keep is less than nothing")


@dataclass(frozen=True, slots=True)
class Judged:
    """A checkpoint, and why it stays; without a reason it goes. Bytes: of its files; of what gc can free then."""

    run: str
    step: int
    commit: str
    reasons: tuple[str, ...]
    size: int = 0
    frees: int = 0
    status: str = ""
    """Of one that was to go and did not: why."""

    @property
    def ref(self) -> str:
        return checkpoint_ref(self.run, self.step)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done in one place, or would be."""

    url: str
    """Of a remote; "" for here."""
    checkpoints: tuple[Judged, ...]
    runs: tuple[str, ...] = ()
    """Runs that went as a whole."""
    exact: bool = True
    """Whether `frees` is what will be freed, or the most that may be."""

    @property
    def kept(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.checkpoints if one.reasons or one.status)

    @property
    def dropped(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.checkpoints if not one.reasons and not one.status)


@dataclass(frozen=True, slots=True)
class _There:
    """What is readable of a remote."""

    objects: Objects
    refs: RefFiles
    settings: Settings


@dataclass(slots=True)
class _Place:
    """Where checkpoints are looked at: here, or a remote."""

    readable: Readable
    refs: Mapping[str, str]
    heads: Iterable[str] = ()
    series: Callable[[str, RunRefs], RunLog] = field(default=lambda run, refs: RunLog())


def forget(
    repo: Repository, patterns: Sequence[str], rules: Rules, *, dry_run: bool = False, caller: Caller
) -> Forgotten:
    """Drop checkpoints of the runs that fit (names, or globs) here. With `dry_run` say which.

    A checkpoint that another ref, HEAD or a stage's HEAD holds stays, and so do all of a metric's run where none has
    it: raises NotFound for such a metric, and for a run that is not there.
    """
    rules.check()

    def series(run: str, refs: RunRefs) -> RunLog:
        return _series(repo, run, refs, load_log(repo, run))

    place = _Place(repo, repo.refs.list(), _heads(repo), series)
    judged, runs = _judge(place, patterns, rules)
    judged = load(_WEIGH)(repo, judged)
    if not dry_run:
        judged = [_drop(repo, one, caller) if not one.reasons else one for one in judged]
        runs = [run for run in runs if remove_run(repo, run, caller)] if rules.all else []
    return Forgotten("", tuple(judged), tuple(runs) if rules.all else ())


def forget_there(
    repo: Repository,
    name_or_url: str | None,
    patterns: Sequence[str],
    rules: Rules,
    *,
    dry_run: bool = False,
    outside: Outside,
    caller: Caller,
) -> Forgotten:
    """The same in a remote, by what stands there. Raises NetworkError, AuthError too."""
    rules.check()
    with connect(repo, find_remote(repo, name_or_url, outside), outside, push=True) as remote:
        state = remote.state()
        with tempfile.TemporaryDirectory(prefix="forget-", dir=_made(repo.tmp_dir)) as cache:
            view = load(_VIEW)(remote.backend, Path(cache), repo.settings.store.naming)
            try:
                refs = FixedRefs(state.refs, state.head, nowhere=Path(cache) / "no-reflogs")
                there = _There(view.objects, refs, repo.settings)
                view.state()
                place = _Place(there, dict(state.refs), (), lambda run, refs: _series(there, run, refs, RunLog()))
                judged, runs = _judge(place, patterns, rules)
                judged = load(_WEIGH_THERE)(remote, state, there, judged)
            finally:
                view.objects.close()
        going = [one for one in judged if not one.reasons]
        whole = [f"refs/runs/{run}/summary" for run in runs] if rules.all else []
        if not dry_run and going + whole:
            updates = [RefUpdate(None, one.ref, one.commit) for one in going]
            updates += [RefUpdate(None, ref, state.refs[ref]) for ref in whole if ref in state.refs]
            done = load(_PUSH)(remote, updates, who=caller.who, progress=caller.progress)
            rejected = {row.target: row.reason for row in done.refs if row.status == "rejected"}
            judged = [_with_status(one, rejected.get(one.ref, "")) for one in judged]
        return Forgotten(remote.backend.url, tuple(judged), tuple(runs) if rules.all else (), exact=False)


def _judge(place: _Place, patterns: Sequence[str], rules: Rules) -> tuple[list[Judged], list[str]]:
    """Every checkpoint of the runs that fit, with the reasons to keep it; and the runs."""
    every = runs_of(place.refs)
    chosen: list[str] = []
    for pattern in patterns:
        found = [run for run in every if fnmatchcase(run, pattern)]
        if not found:
            raise NotFound(f"there is no run '{pattern}'", hint="mvc runs list")
        chosen += [run for run in found if run not in chosen]
    known = Known(place.readable)
    judged: list[Judged] = []
    for run in chosen:
        refs = every[run]
        reasons = _reasons(place, known, run, refs, rules)
        for step, commit in _held(place, run, refs).items():
            reasons[step].append(commit)
        judged += [Judged(run, step, refs.steps[step], tuple(why)) for step, why in reasons.items()]
    return judged, chosen


def _reasons(place: _Place, known: Known, run: str, refs: RunRefs, rules: Rules) -> dict[int, list[str]]:
    """For each step why the rules keep it."""
    reasons: dict[int, list[str]] = {step: [] for step in refs.steps}
    steps = list(refs.steps)
    for step in steps[-rules.last :] if rules.last else ():
        reasons[step].append("last")
    for step in steps if rules.every else ():
        if step % rules.every == 0:
            reasons[step].append(f"every {rules.every}")
    if rules.younger:
        oldest = time.time() - rules.younger
        for step, commit in refs.steps.items():
            if place.readable.objects.commit(commit).committer.time > oldest:
                reasons[step].append("young")
    for best in rules.best if steps else ():
        for step in _best(place, known, run, refs, best):
            reasons[step].append(f"best {best.metric}")
    return reasons


def _best(place: _Place, known: Known, run: str, refs: RunRefs, best: Best) -> list[int]:
    """The steps with the best values, of equals the earliest. Raises NotFound where no checkpoint has the metric."""
    values: dict[int, float] = {}
    log: RunLog | None = None
    for step, commit in refs.steps.items():
        value = _number(known.read(commit).metrics.get(best.metric))
        if value is None:  # it may have been measured after the checkpoint was made
            log = log or place.series(run, refs)
            value = _number(log.at(step).get(best.metric))
        if value is not None:
            values[step] = value
    if not values:
        raise NotFound(
            f"no checkpoint of '{run}' has the metric '{best.metric}'",
            hint="log it at the checkpoint's step, or pass metrics= to checkpoint()",
        )
    sign = 1 if best.less else -1
    return sorted(values, key=lambda step: (sign * values[step], step))[: best.most]


def _number(value: Any) -> float | None:
    """A value that can be compared: NaN is never the best."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return value


def _held(place: _Place, run: str, refs: RunRefs) -> dict[int, str]:
    """The steps whose commits another ref reaches, with the ref that does."""
    own = {checkpoint_ref(run, step) for step in refs.steps}
    tips: dict[str, str] = {}
    for ref, target in place.refs.items():
        if ref not in own and (commit := _commit_of(place.readable, target)) is not None:
            tips.setdefault(commit, ref)
    for head in place.heads:
        tips.setdefault(head, "HEAD")
    held = {step: tips[commit] for step, commit in refs.steps.items() if commit in tips}
    left = {commit for step, commit in refs.steps.items() if step not in held}
    # A checkpoint has no parent of its own, so whoever reaches it was begun on it: branches that go on from it.
    reached = left - ancestry.only_in(place.readable.objects, left, tips) if left and tips else set()
    return held | {step: "another ref's history" for step, commit in refs.steps.items() if commit in reached}


def _commit_of(readable: Readable, target: str) -> str | None:
    with suppress(MvcError):
        return peel_commit(readable, target)
    return None


def peel_commit(readable: Readable, target: str) -> str:
    """The commit that a ref's object stands for. Raises NotFound, IntegrityError."""
    while readable.objects.kind(target) == "tag":
        target = readable.objects.tag(target).target
    if readable.objects.kind(target) != "commit":
        raise NotFound(f"{target} is no commit")
    return target


def _series(readable: Readable, run: str, refs: RunRefs, log: RunLog) -> RunLog:
    """The log, else what the run's commits say of it."""
    if not log.points:
        for target in (refs.summary, refs.steps[max(refs.steps)] if refs.steps else None):
            if target is not None:
                with suppress(ParseError, IntegrityError, NotFound):
                    tree = readable.objects.commit(target).tree
                    for point in read_metadata(readable.objects, tree, files=(SERIES,)).series:
                        log.add(point.step, point.values)
    return log


def _heads(repo: Repository) -> list[str]:
    found = (place.refs.head().id for place in worktrees(repo))
    return [head for head in found if head is not None]


def _drop(repo: Repository, one: Judged, caller: Caller) -> Judged:
    change = RefChange(one.ref, one.commit, None)
    try:
        repo.refs.update([change], message="forget", author=caller.who, wait=max(10.0, caller.wait))
    except RefChanged:
        return _with_status(one, "it was stored anew")
    return one


def remove_run(repo: Repository, run: str, caller: Caller) -> bool:
    """Remove what is left of a run whose checkpoints went; False if some are there, or a process writes it.

    The folder of a run that is being written stays: its lock is held.
    """
    folder = run_folder(repo, run)
    if runs_of(repo.refs.list(f"{RUNS}{run}/")).get(run, RunRefs()).steps:
        return False
    if folder.is_dir():
        try:
            with hold(folder / LOCK, what="forget"):
                _remove_summary(repo, run, caller)
                fsio.step("rmtree", folder)
                shutil.rmtree(folder, ignore_errors=True)
        except Locked:
            return False
    else:
        _remove_summary(repo, run, caller)
    return True


def _remove_summary(repo: Repository, run: str, caller: Caller) -> None:
    if repo.refs.read(summary_ref(run)) is not None:
        change = RefChange(summary_ref(run), ANY, None)
        repo.refs.update([change], message="forget", author=caller.who, wait=max(10.0, caller.wait))


def _with_status(one: Judged, status: str) -> Judged:
    if not status:
        return one
    return Judged(one.run, one.step, one.commit, one.reasons, one.size, one.frees, status)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
