"""Where the chunks of a remote lie, for whoever reads a few of them: small idx whole, large ones by ranges.

A server is asked instead: what it says is bound by the same checks.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import isqrt
from pathlib import Path
from struct import error as StructError

from mvc import fsio
from mvc.backends.base import Ask, Backend
from mvc.errors import IntegrityError, NotFound, ParseError
from mvc.repo.filesystem import is_network
from mvc.store.idx import Idx
from mvc.store.idxranges import RangedIdx
from mvc.store.records import NAME_SIZE, Location
from mvc.sync import keys, places
from mvc.sync.remoteindex import live
from mvc.sync.state import State

SMALL_IDX = 512 * 1024
"""An idx of at most so many bytes is read whole: some 8,000 chunks."""
LOOKUP = 96 * 1024
"""What the requests of looking up one chunk by ranges are thought to cost, in bytes; what they bring comes on top."""
_RECORD = 64
"""Bytes that an idx takes for a chunk, at least."""
_PART = 8 * 1024 * 1024
_MOST_FOUND = 200_000
"""Places that are remembered, about."""
_MAX_IDX = 16 * 1024 * 1024 * 1024


class ViewIndex:
    """The idx of a remote's state. Thread-safe."""

    def __init__(self, backend: Backend, folder: Path, state: State) -> None:
        """`folder`: idx that were read whole are kept there, by their ids."""
        self._backend = backend
        self._folder = folder / "idx"
        self._tmp = folder / "tmp"
        self._mapped = not is_network(folder)
        self._sizes = {bytes.fromhex(pack.id): pack.size for pack in state.chunk_packs}
        self._idx = {pack.idx_id: pack.idx_size for pack in state.chunk_packs}
        self._whole: dict[str, Idx] = {}
        self._ranged: dict[str, RangedIdx] = {}
        self._found: dict[bytes, list[Location]] = {}
        """What was looked up by ranges, or asked: name -> places."""
        self._ask = backend.capabilities.ask
        self._lock = threading.RLock()

    def copies(self, name: bytes) -> Iterator[Location]:
        """Where the chunk lies in live packs. Raises IntegrityError, NetworkError.

        Large idx, which cost requests, are asked last, and only by who goes on asking.
        """
        if self._ask is not None:
            self.prepare([name])
            with self._lock:
                yield from list(self._found[name])
            return
        with self._lock:
            self._open(1)
            found = [place for idx in self._whole.values() for place in self._in_whole(idx, name)]
            ranged = bool(self._ranged)
        yield from sorted(found, key=lambda place: place.depth)
        if ranged:
            with self._lock:
                found = self._in_ranged(name)
            yield from sorted(found, key=lambda place: place.depth)

    def prepare(self, names: Collection[bytes]) -> None:
        """Say that these will be looked up: where that is cheaper, idx are read whole; a server is asked once."""
        with self._lock:
            if self._ask is None:
                self._open(len(names))
                self._look_up(names)
                return
            new = [name for name in dict.fromkeys(names) if name not in self._found]
            if new and len(self._found) > _MOST_FOUND:
                self._found.clear()
                new = list(dict.fromkeys(names))
            for at in range(0, len(new), places.MAX_NAMES):
                self._asked(self._ask, new[at : at + places.MAX_NAMES])

    def _look_up(self, names: Collection[bytes]) -> None:
        """Look up at once what would be looked up one by one."""
        whole = list(self._whole.values())
        new = [name for name in dict.fromkeys(names) if name not in self._found]
        new = [name for name in new if not any(idx.find(name) >= 0 for idx in whole)] if self._ranged else []
        if len(new) > 1:
            with ThreadPoolExecutor(self._backend.capabilities.parallel, thread_name_prefix="idx") as pool:
                self._found.update(zip(new, pool.map(self._by_ranges, new), strict=True))

    def _asked(self, ask: Ask, names: list[bytes]) -> None:
        """Where the server says that these lie, and what they rest on."""
        try:
            answer = places.parse(ask("locate", places.join_names(names)), names)
        except ParseError as error:
            raise IntegrityError(f"{self._backend.url}: {error.message}") from error
        for name, place in (*answer.found.items(), *answer.added.items()):
            self._found[name] = list(live([place] if place is not None else [], self._sizes, "the answer"))

    def _open(self, wanted: int) -> None:
        """Open every idx, whole if it is small or much is wanted of it."""
        todo = {
            idx_id: size
            for idx_id, size in self._idx.items()
            if idx_id not in self._whole and (idx_id not in self._ranged or _pays(size, wanted))
        }
        if not todo:
            return
        with ThreadPoolExecutor(self._backend.capabilities.parallel, thread_name_prefix="idx") as pool:
            opened = pool.map(lambda idx_id: self._opened(idx_id, todo[idx_id], wanted), todo)
            for idx_id, idx in zip(todo, opened, strict=True):
                if isinstance(idx, Idx):
                    self._whole[idx_id] = idx
                    self._ranged.pop(idx_id, None)
                else:
                    self._ranged[idx_id] = idx
        self._found.clear()

    def _opened(self, idx_id: str, size: int, wanted: int) -> Idx | RangedIdx:
        path = self._folder / f"{idx_id}.idx"
        try:
            return Idx(path, mapped=self._mapped)
        except FileNotFoundError:
            pass
        key = keys.chunk_idx(idx_id)
        if size > _MAX_IDX:
            raise IntegrityError(f"{self._backend.url} '{key}' cannot be so large")
        if size > SMALL_IDX and not _pays(size, wanted):
            return RangedIdx(lambda offset, length: self._get(key, offset, length), size)
        fsio.make_dirs(self._folder)
        with fsio.DurableFile(self._tmp) as out:
            while out.size < size:
                out.write(self._get(key, out.size, min(_PART, size - out.size)))
            named = out.path.with_name(path.name)
            out.commit(named, sync=False)
        try:
            Idx(named, mapped=False).check()
            fsio.replace(named, path)
        except FileNotFoundError:
            pass  # another process has put the same one there
        except BaseException:
            fsio.unlink(named, missing_ok=True)
            raise
        return Idx(path, mapped=self._mapped)

    def _get(self, key: str, offset: int, length: int) -> bytes:
        try:
            data = self._backend.get(key, offset, length)
        except NotFound as error:
            raise IntegrityError(f"{self._backend.url} lacks its '{key}'", hint="repeat it") from error
        if len(data) != length:
            raise IntegrityError(f"{self._backend.url} gives too little of '{key}'", hint="repeat it")
        return data

    def _in_whole(self, idx: Idx, name: bytes) -> list[Location]:
        try:
            places = [idx.location(number) for number in idx.find_all(name)]
        except StructError as error:
            raise IntegrityError(f"idx {idx.path.name} of the remote does not hold together") from error
        return list(live(places, self._sizes, idx.path.name))

    def _in_ranged(self, name: bytes) -> list[Location]:
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._by_ranges(name)
        return found

    def _by_ranges(self, name: bytes) -> list[Location]:
        return [place for idx_id, idx in self._ranged.items() for place in live(idx.copies(name), self._sizes, idx_id)]


def _pays(size: int, wanted: int) -> bool:
    """Whether an idx of so many bytes is better read whole by who looks up so many chunks."""
    window = 4 * isqrt(size // _RECORD) * NAME_SIZE
    return size <= wanted * (LOOKUP + window)
