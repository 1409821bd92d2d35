"""Which chunks a remote behind a server holds, and where: asked in batches, where the idx are large and not here yet.

Idx are kept here and never change, so they are brought where that is cheap. Where it is not (a clone of a few files of
a history of many terabytes), the server is asked. Whoever asks for more than the idx would have cost is given the idx
after all: so it never costs more than twice the cheaper way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice

from mvc.backends.base import Ask
from mvc.errors import NetworkError, ParseError
from mvc.progress import SILENT, Progress
from mvc.store.records import NAME_SIZE, Location
from mvc.sync import places
from mvc.sync.remoteindex import RemoteIndex, lacking_idx
from mvc.sync.remotes import Remote
from mvc.sync.state import State

CHEAP = 4 * 1024 * 1024
"""Idx of so many bytes (some 50,000 chunks) are brought without asking first."""


def index_for(remote: Remote, state: State, progress: Progress = SILENT) -> tuple[RemoteIndex, int]:
    """The index of a state for who looks up some chunks, and how many bytes were brought for it."""
    ask = remote.backend.capabilities.ask
    known = remote.index is not None and remote.index[0].chunk_packs == state.chunk_packs
    cost = 0 if ask is None or known else sum(lacking_idx(remote.memory, state).values())
    if ask is None or cost <= CHEAP:
        return RemoteIndex.of(remote, state, progress)
    return LocatedIndex(remote, state, ask, cost, progress), 0


class LocatedIndex(RemoteIndex):
    """As a RemoteIndex that reads idx, by questions. `prepare` and `locate` say what will be looked up."""

    def __init__(self, remote: Remote, state: State, ask: Ask, cost: int, progress: Progress) -> None:
        """`cost`: bytes of the idx that would have to be brought instead."""
        super().__init__(state, [])
        self._remote, self._state, self._ask, self._cost, self._progress = remote, state, ask, cost, progress
        self._depths: dict[bytes, int | None] = {}
        self._places: dict[bytes, Location | None] = {}
        self._whole: RemoteIndex | None = None
        self._lock = threading.RLock()
        self._moved = 0

    def prepare(self, names: Iterable[bytes]) -> None:
        with self._lock:
            if self._whole is not None:
                return
            unknown = list({name for name in names if name not in self._depths})
            for batch in _batches(unknown, places.MAX_NAMES):
                if self._gave_up(len(batch) * (NAME_SIZE + 1)):
                    return
                answer = self._answer("have", batch)
                try:
                    depths = places.parse_depths(answer, len(batch))
                except ParseError as error:
                    raise NetworkError(f"{self._remote.backend.url}: {error.message}") from error
                self._depths.update(zip(batch, depths, strict=True))

    def locate(self, names: Iterable[bytes]) -> None:
        with self._lock:
            if self._whole is not None:
                return
            unknown = list({name for name in names if name not in self._places})
            for batch in _batches(unknown, places.MAX_NAMES // 4):
                if self._gave_up(len(batch) * 4 * NAME_SIZE):
                    return
                answer = self._answer("locate", batch)
                try:
                    found = places.parse(answer, batch)
                except ParseError as error:
                    raise NetworkError(f"{self._remote.backend.url}: {error.message}") from error
                fresh = {**found.found, **found.added}
                self._places.update(fresh)
                self._depths.update((name, place.depth if place else None) for name, place in fresh.items())

    def copies(self, name: bytes) -> list[Location]:
        with self._lock:
            if self._whole is None:
                self.locate([name])
            if self._whole is not None:
                return self._whole.copies(name)
            place = self._places[name]
            return [] if place is None else [place]

    def __contains__(self, name: bytes) -> bool:
        return self.depth(name) is not None

    def depth(self, name: bytes) -> int | None:
        with self._lock:
            if self._whole is None:
                self.prepare([name])
            return self._depths[name] if self._whole is None else self._whole.depth(name)

    def _gave_up(self, more: int) -> bool:
        """Whether the idx were brought instead, since asking comes to cost more."""
        if self._whole is None and self._moved + more > self._cost:
            self._whole, _ = RemoteIndex.of(self._remote, self._state, self._progress)
        return self._whole is not None

    def _answer(self, question: str, names: list[bytes]) -> bytes:
        body = places.join_names(names)
        answer = self._ask(f"{question}?seq={self._state.seq}", body)
        self._moved += len(body) + len(answer)
        return answer


def _batches(names: list[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(names)
    while batch := list(islice(rest, size)):
        yield batch
