"""What a run does beside the training: stores checkpoints, syncs the log, pushes. Two threads; none fails the training.

A checkpoint that cannot be stored (a full disk) stays in the spool, and is tried again with the next one, and at the
end. What went wrong is kept as a line in `problems`, to be told at the next call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from mvc.errors import FileChanged, MvcError, NotFound
from mvc.training.snapshot import Job

SYNC_SECONDS = 2.0
"""What is logged is durable against a machine that goes down after so long."""

AT_ONCE = 2
"""So many checkpoints may wait; the next waits for room. Each takes its size on the disk or in memory."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class Problems:
    """What went wrong, until it is told. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[str] = []
        self.all: list[str] = []

    @property
    def untold(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._new)

    def add(self, text: str) -> None:
        """Note it, but a thing once until it is told."""
        with self._lock:
            if text not in self._new:
                self._new.append(text)
                self.all.append(text)

    def take(self) -> list[str]:
        """Those that nobody was told of."""
        with self._lock:
            new, self._new = self._new, []
        return new


def line_of(error: BaseException) -> str:
    """An error as one line."""
    text = error.message if isinstance(error, MvcError) else str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f" ({error.filename})" if error.filename else "")
    hint = error.hint if isinstance(error, MvcError) else None
    line = " ".join(text.split()) or type(error).__name__
    return line + (f" ({' '.join(hint.split())})" if hint else "")


class Storing:
    """The thread that stores checkpoints, in their order."""

    def __init__(
        self,
        begin: Callable[[], None],
        store: Callable[[Job], None],
        sync: Callable[[], None],
        problems: Problems,
    ) -> None:
        """`begin` runs first, in the thread; `sync` now and then."""
        self._begin, self._store, self._sync, self._problems = begin, store, sync, problems
        self._jobs: deque[Job] = deque()
        self._failed: list[Job] = []
        self._storing = False
        self._is_written = True
        """Whether what is being stored outlives the process."""
        self._at_work = True
        self._stop = False
        self._begun = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mvc-run", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_for_begin(self) -> None:
        """Return when `begin` has run."""
        self._begun.wait()

    def wait_for_room(self) -> None:
        """Return when another checkpoint may be put aside: of those that are in memory alone a kill costs just one."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or not self._thread.is_alive())

    def _has_room(self) -> bool:
        return len(self._jobs) + self._storing < AT_ONCE and all(job.stands for job in self._jobs) and self._is_written

    def give(self, job: Job) -> None:
        """Hand over a checkpoint."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    @property
    def has_jobs(self) -> bool:
        """Whether checkpoints wait, or are being stored."""
        with self._changed:
            return bool(self._jobs or self._failed or self._storing)

    def drain(self) -> bool:
        """Wait until all is stored, or was tried once more; False where something is left."""
        with self._changed:
            self._jobs.extendleft(reversed(self._failed))
            self._failed.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._jobs or self._at_work) or not self._thread.is_alive())
            return not (self._failed or self._jobs)

    def stop(self) -> None:
        """End the thread; what waits stays in the spool."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._begin()
        finally:
            self._begun.set()
        with self._changed:
            self._at_work = False
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stop, SYNC_SECONDS)
                if self._stop:
                    return
                again = self._failed if self._jobs else []
                todo = [*again, *([self._jobs.popleft()] if self._jobs else [])]
                if again:
                    self._failed = []
                self._at_work = self._storing = bool(todo)
                self._is_written = all(job.stands for job in todo)
            for job in todo:
                if not self._try(job):
                    self._failed.append(job)
            self._sync()
            with self._changed:
                self._at_work = self._storing = False
                self._is_written = True
                self._changed.notify_all()

    def _try(self, job: Job) -> bool:
        try:
            if not job.stands:
                job.finish_writing()
            with self._changed:
                self._is_written = True
                self._changed.notify_all()
            self._store(job)
        except (FileChanged, NotFound) as error:
            self._problems.add(f"checkpoint {job.step} is lost: {line_of(error)}")
            job.discard()
        except Exception as error:  # whatever it is, training goes on
            self._problems.add(f"checkpoint {job.step} is not stored yet: {line_of(error)}")
            return False
        return True


class Pushing:
    """The thread that pushes refs: what is lacking is tried again until it is there."""

    def __init__(self, push: Callable[[list[str]], None], problems: Problems) -> None:
        self._push, self._problems = push, problems
        self._refs: dict[str, int] = {}
        """With how often each was given: one that moved while it was pushed is pushed again."""
        self._changed = threading.Condition()
        self._stop = False
        self._hurry = False
        self.last_error = ""
        self._thread = threading.Thread(target=self._run, name="mvc-run-push", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def give(self, ref: str) -> None:
        """Push a ref when there is time."""
        with self._changed:
            self._refs[ref] = self._refs.get(ref, 0) + 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> list[str]:
        """Wait for what is under way, and so long at most; returns the refs that are not there."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._refs or not self._thread.is_alive(), seconds)
            self._stop = True
            self._changed.notify_all()
            return list(self._refs)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._refs or self._stop)
                if self._stop:
                    return
                refs = dict(self._refs)
            try:
                self._push(list(refs))
            except Exception as error:
                self._note(line_of(error))
                self._rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            with self._changed:
                for ref, count in refs.items():
                    if self._refs[ref] == count:
                        del self._refs[ref]
                self._changed.notify_all()

    def _note(self, why: str) -> None:
        with self._changed:
            self.last_error = why
            if not self._stop:  # else who drained has told already what is not there
                self._problems.add(f"not pushed yet, it is tried again: {why}")

    def _rest(self, seconds: float) -> None:
        """Pause, but not where the end waits for it."""
        until = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._hurry or self._stop, until - time.monotonic())
        if self._hurry:
            time.sleep(min(seconds, _FIRST_PAUSE))
