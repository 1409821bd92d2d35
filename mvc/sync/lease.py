"""A lease: the sign of a push under way, so that gc of the remote lets alone what no entry lists yet."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from types import TracebackType

from mvc.backends.base import Backend
from mvc.errors import AuthError, NetworkError
from mvc.sync import keys

BEAT_SECONDS = 300.0
"""It is written anew so often. (For gc it counts for a day after it was last.)"""


class Lease:
    """Held for the length of a `with` block, by a thread of its own. Losing it costs a repeat, never data."""

    def __init__(self, backend: Backend, who: str, *, beat: float = BEAT_SECONDS) -> None:
        self._backend = backend
        self._key = keys.lease(os.urandom(16).hex())
        self._who = who
        self._beat = beat
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mvc-lease", daemon=True)

    def __enter__(self) -> Lease:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(NetworkError, AuthError):  # one that stays gets old
            self._backend.delete([self._key])

    def _write(self) -> None:
        text = f"mvc-lease 1\nat {int(time.time())}\nby {self._who}\n"
        self._backend.put(self._key, text.encode("utf-8", "surrogateescape"))

    def _run(self) -> None:
        while not self._ended.wait(self._beat):
            with contextlib.suppress(NetworkError, AuthError):  # the next beat may come through
                self._write()
