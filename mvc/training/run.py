"""`mvc.start_run`: a training's log and checkpoints. docs/training.md shows it at work, docs/format/runs.md the files.

Nothing here holds the training up for longer than it takes to put a checkpoint's files aside, and nothing fails it:
what goes wrong on the disk or with the network is logged (`logging`, "mvc.training"), kept in `problems`, and tried
again. What makes no sense (a metric that is no number) raises at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from mvc.errors import Locked, NotFound, UsageError
from mvc.metadata.values import flatten
from mvc.ops.commit_files import Source
from mvc.ops.runfiles import LOCK, LOG, SPOOL, STATE, RunLog, back_line, point_line, run_folder
from mvc.store.locks import hold
from mvc.training.background import Problems, Pushing, Storing, line_of
from mvc.training.begin import About, Beginning, begin
from mvc.training.logfile import LogFile
from mvc.training.place import Place
from mvc.training.restore import restore
from mvc.training.snapshot import Given, Job, Keep, left_over, take
from mvc.training.state import write_state
from mvc.training.tensors import Buffers
from mvc.training.values import Names, numbers, plain, whole_step
from mvc.training.work import Checkpoint, Work

_say = logging.getLogger("mvc.training")
Resume = Literal["must"] | bool


def start_run(
    params: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    repo: str | os.PathLike[str] = ".",
    remote: str | None = None,
    resume: Resume = False,
    tags: Mapping[str, Any] | None = None,
    datasets: Mapping[str, str] | None = None,
    base: str | None = None,
    push_wait: float = 300.0,
    rank: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Begin a run; use it in a `with` block, which ends it.

    `params` may be nested. `name`: of the run; without one it gets one from the time. `repo`: a folder in a
    repository. `remote`: where checkpoints are pushed as well, a remote's name or URL; at the end it is waited for
    `push_wait` seconds. `resume`: go on with the run of that name: True, if there is one; "must", or else it raises
    NotFound. `datasets` as for `Repo.commit`. `base`: the revision, or URL, that the model starts from. `rank`: of
    several processes that train together only number 0 writes, all methods of the others do nothing; by default as
    torchrun, Slurm or MPI tell it. `environment`: where all that is looked for, by default the process's own. Raises
    Refused where there is a run of that name, Locked where another process writes it, UsageError, NotARepository.
    """
    place = Place.of(repo, environment)
    about = About(params or {}, tags or {}, datasets or {}, base)
    mine = place.rank() if rank is None else rank
    if mine:
        return Run(None, place, name or "", push_wait)
    return Run(begin(place, name, about, remote, resume), place, "", push_wait)


class Run:
    """A run that is being written. Thread-safe. In a process that was forked or spawned from this one it does nothing:
    the workers of a data loader may hold one."""

    def __init__(self, beginning: Beginning | None, place: Place, name: str, push_wait: float) -> None:
        """Made by `start_run`. Without a `beginning` it does nothing."""
        self.name = beginning.name if beginning else name
        self.problems = Problems()
        self.held = 0.0
        """Seconds that `checkpoint` has held the training up, in all."""
        self._pid = os.getpid() if beginning else -1
        self._place, self._push_wait = place, push_wait
        self._lock = threading.Lock()
        self._ended = beginning is None
        self._summary: dict[str, Any] = {}
        self._names = Names()
        self._buffers = Buffers()
        self._log = RunLog()
        self._step = -1
        if beginning is not None:
            self._open(beginning)

    def _open(self, beginning: Beginning) -> None:
        self._remote = beginning.remote
        self._folder = run_folder(beginning.repo, self.name)
        self._stack = contextlib.ExitStack()
        try:
            self._stack.enter_context(hold(self._folder / LOCK, what=f"run {self.name}"))
        except Locked as error:
            raise Locked(f"{error.holder} writes the run '{self.name}'", holder=error.holder) from error
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self._file = LogFile(self._folder / LOG)
            self._stack.callback(self._file.close)
            self._log = self._file.known
            # What went on elsewhere is told by the commits alone.
            elsewhere = beginning.last_step > max(self._log.points, default=-1)
            for point in beginning.series if elsewhere else ():
                if self._log.points.get(point.step) != point.values:
                    self._log.add(point.step, point.values)
                    self._file.append(point_line(point.step, time.time(), point.values))
            self._step = max(self._log.points, default=-1)
            for values in self._log.points.values():
                self._names.fit(values)
            self._work = Work(self._place, beginning.repo, self.name, beginning.describe)
            self._storing = Storing(self._announce, self._store, self._file.sync, self.problems)
            self._pushing = Pushing(lambda refs: self._work.push(self._remote or "", refs), self.problems)
            self._started = beginning.started
            self._note("running")
            undo.pop_all()
        left, lost = left_over(self._folder / SPOOL)
        if lost:
            self.problems.add(f"{lost} checkpoints that were not stored when the machine went down are lost")
        self._storing.start()
        if self._remote is not None:
            self._pushing.start()
            for ref in beginning.unpushed:
                self._pushing.give(ref)
        for job in left:
            self._storing.give(job)

    # -- what training calls

    def log(self, values: Mapping[str, Any] | None = None, /, *, step: Any = None, **metrics: Any) -> None:
        """Metrics of a step: `run.log(step=i, loss=...)`, or `run.log({"val/loss": ...}, step=i)`.

        Without a step it is that after the last. What is logged twice of a step holds together; of a name, the later
        value. Raises UsageError for what is no number.
        """
        if self._is_idle():
            return
        found = numbers({**values, **metrics} if values else metrics)
        if not found:
            return
        at = None if step is None else whole_step(step)
        with self._lock:
            found = self._fit(found)
            at = self._step + 1 if at is None else at
            self._step = max(self._step, at)
            self._log.add(at, found)
            self._file.append(point_line(at, time.time(), found))
        if self.problems.untold:
            self._tell()

    def checkpoint(
        self,
        step: Any,
        files: Given,
        *,
        metrics: Mapping[str, Any] | None = None,
        keep: Keep = "copy",
        message: str | None = None,
    ) -> None:
        """Store files as the checkpoint of a step, as commit `refs/runs/NAME/STEP`.

        `files`: a folder or file, several, or tree paths with files, folders, bytes and objects:
        `{"model.safetensors": model.state_dict(), "optimizer.pt": optimizer.state_dict()}`. They are put aside before
        it returns, and may be changed then; all else happens in the background. `keep`: "copy" files, "link" them
        (who writes them anew makes a new file, or none), or "move" them. `metrics` go beside those logged of this very
        step. Raises NotFound, UsageError for what cannot be meant; a full disk raises nothing.
        """
        if self._is_idle():
            return
        at = whole_step(step)
        begun = time.perf_counter()
        given = numbers(metrics or {})
        with self._lock:
            known = {**self._log.at(at), **self._fit(given)}
            self._step = max(self._step, at)
        self._storing.wait_for_room()
        try:
            job = take(self._folder / SPOOL, at, files, known, keep, message, self._buffers)
        except FileNotFoundError as error:
            raise NotFound(f"'{error.filename}' went away while it was put aside") from error
        except OSError as error:
            self.problems.add(f"checkpoint {at} is not stored: {line_of(error)}")
        else:
            self._storing.give(job)
        self.held += time.perf_counter() - begun
        self._tell()

    def commit_stored(
        self, step: int, files: Mapping[str, Source], *, metrics: Mapping[str, Any], message: str | None = None
    ) -> None:
        """Commit files that are stored already as a checkpoint, now. For `mvc.training.dcp`; here errors raise."""
        if self._is_idle():
            raise UsageError("this process does not write the run", hint="the coordinator is to be rank 0")
        with self._lock:
            known = {**self._log.at(step), **metrics}
            self._step = max(self._step, step)
        self._storing.wait_for_begin()
        self._give(self._work.commit(step, files, known, self._series(), message))
        self._note("running")

    def summarize(self, values: Mapping[str, Any] | None = None, /, **metrics: Any) -> None:
        """Final metrics, beside the last values of what was logged: `run.summarize(test_acc=.93)`."""
        if not self._is_idle():
            found = numbers({**(values or {}), **metrics})
            with self._lock:
                self._summary |= self._fit(found)

    def update(self, params: Mapping[str, Any] | None = None, *, tags: Mapping[str, Any] | None = None) -> None:
        """Params and tags that were not known at the beginning; checkpoints stored from now on have them, too."""
        if not self._is_idle():
            self._work.add(flatten(plain(params or {})), flatten(plain(tags or {})))

    def wait(self) -> bool:
        """Wait until all checkpoints are stored; False where one could not be."""
        if self._is_idle():
            return True
        done = self._storing.drain()
        self._tell()
        return done

    @property
    def place(self) -> Place:
        """The repository that it is in."""
        return self._place

    @property
    def last(self) -> Checkpoint | None:
        """The last checkpoint that is stored: where a resumed run goes on."""
        if self._pid != os.getpid():
            return None
        self._settle()
        return self._work.last()

    def restore(self, folder: str | os.PathLike[str], step: int | None = None) -> Checkpoint:
        """Make `folder` hold the files of the last checkpoint (or of `step`), to go on from there.

        What was logged of later steps is dropped from the series, as they will be trained anew. Raises NotFound.
        """
        if self._pid != os.getpid() or self._ended:
            raise UsageError("a run that has ended, or is another process's, restores nothing")
        self._settle()
        found = self._work.last(step)
        if found is None:
            wanted = "no checkpoint" if step is None else f"no checkpoint {step}"
            raise NotFound(f"the run '{self.name}' has {wanted}", hint=f"mvc runs show {self.name}")
        restore(self._place, self._remote, found.commit, Path(folder))
        with self._lock:
            if any(known > found.step for known in self._log.points):
                self._log.go_back(found.step)
                self._file.append(back_line(found.step, time.time()))
            self._step = found.step
        return found

    def finish(self, status: str = "finished", note: str = "") -> None:
        """End the run: wait until all is stored, commit its summary, push what is not pushed. The `with` block does it.

        Never raises for the disk's or the network's sake: `problems` tells.
        """
        if self._is_idle(quiet=True):
            return
        self._ended = True
        try:
            if not self._storing.drain():
                self.problems.add(f"checkpoints are left in {self._folder / SPOOL}: resume the run to store them")
            try:
                self._give(self._work.summarise(status, self._series(), self._summary, note))
            except Exception as error:
                self.problems.add(f"the run's summary is not committed: {line_of(error)}")
            if self._remote is not None and (lacking := self._pushing.drain(self._push_wait)):
                spec = f"'refs/runs/{self.name}/*:refs/runs/{self.name}/*'"
                self.problems.add(
                    f"{len(lacking)} of the run's refs are not pushed: {self._pushing.last_error or 'time was up'}"
                    f" (mvc push {self._remote} {spec})"
                )
        finally:
            self._storing.stop()
            self._note(status)
            self._stack.close()
            if self._file.problem is not None:
                self.problems.add(f"the end of the log is lost: {line_of(self._file.problem)}")
            self._tell()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        elif issubclass(kind, KeyboardInterrupt):
            self.finish("interrupted")
        elif issubclass(kind, SystemExit) and getattr(error, "code", None) in (None, 0):
            self.finish()
        else:
            self.finish("failed", f"{kind.__name__}: {' '.join(str(error).split())[:500]}")

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes a run that does nothing."""
        return Run, (None, self._place.bare(), self.name, 0.0)

    # -- inside

    def _is_idle(self, *, quiet: bool = False) -> bool:
        """Whether to do nothing: another process's, or of another rank. Raises UsageError after the end."""
        if self._pid != os.getpid():
            return True
        if self._ended and not quiet:
            raise UsageError(f"the run '{self.name}' has ended")
        return self._ended

    def _fit(self, found: dict[str, int | float]) -> dict[str, int | float]:
        before = len(self._names.renamed)
        fitting = self._names.fit(found)
        for line in self._names.renamed[before:]:
            self.problems.add(line)
        return fitting

    def _tell(self) -> None:
        for problem in self.problems.take():
            _say.warning("run %s: %s", self.name, problem)

    def _settle(self) -> None:
        """What was handed over is stored before anybody asks for the last checkpoint."""
        if not self._ended and self._storing.has_jobs:
            self._storing.drain()

    def _announce(self) -> None:
        """Commit that the run has begun."""
        try:
            self._give(self._work.summarise("running", self._series(), {}))
        except Exception as error:
            self.problems.add(f"the run's beginning is not committed: {line_of(error)}")

    def _store(self, job: Job) -> None:
        self._give(self._work.store(job, self._series()))
        self._note("running")

    def _series(self) -> list[tuple[int, Mapping[str, Any]]]:
        """The points as they are now: none of them is changed later."""
        with self._lock:
            return list(self._log.series())

    def _give(self, ref: str) -> None:
        if self._remote is not None:
            self._pushing.give(ref)

    def _note(self, status: str) -> None:
        """Keep what `mvc runs` tells of a run that is under way."""
        try:
            write_state(self._folder / STATE, self.name, status, self._started, self._step, self._remote)
        except OSError as error:
            self.problems.add(f"{STATE} is not written: {line_of(error)}")
