"""All idx files of a store as one: a snapshot that `reload` replaces. Thread-safe; takes no lock on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from mvc.errors import IntegrityError
from mvc.store.idx import Idx
from mvc.store.records import Location

_ATTEMPTS = 100
_MOST_READ = 2 * 1024 * 1024 * 1024
"""Bytes of an idx that others may have made: 20 million chunks."""
_REMEMBERED = 256
"""Names of which it is kept what was found: a base is looked up five times for the one chunk that is written."""


class IdxSet:
    """The idx files in a folder, as they were when last loaded."""

    def __init__(self, idx_dir: Path, *, mapped: bool, wary: bool = False) -> None:
        """`wary`: others may put there what they like, so what cannot be read is left out as what is damaged."""
        self._dir = idx_dir
        self._mapped = mapped
        self._wary = wary
        self._lock = threading.Lock()
        self._by_name: dict[str, Idx] = {}
        self._broken: dict[str, IntegrityError] = {}
        self.all: tuple[Idx, ...] = ()
        """Largest first, as that is where most chunks are."""
        self._found: tuple[tuple[Idx, ...], dict[bytes, tuple[Location, ...]]] = (), {}
        """What was found lately, and in which idx files: these never change, but others may come or go."""
        self.reload()

    @property
    def broken(self) -> list[tuple[Path, IntegrityError]]:
        """Idx files that cannot be used, and why."""
        return [(self._dir / name, error) for name, error in self._broken.items()]

    def reload(self) -> bool:
        """Load idx files that came, forget those that went; whether there were any."""
        with self._lock:
            changed = False
            for _ in range(_ATTEMPTS):
                listed = self._list()
                if listed == self._by_name.keys() | self._broken.keys():
                    break
                changed = True
                if self._load(listed):
                    # A merge may have put one in after the listing began, and removed others before
                    # it ended: so list until two listings agree.
                    continue
            return changed

    def leave_out(self, one: Idx, error: IntegrityError) -> None:
        """Use it no more: it turned out to be damaged."""
        with self._lock:
            self._by_name.pop(one.path.name, None)
            self._broken[one.path.name] = error
            self._use(idx for idx in self.all if idx is not one)

    def load_anew(self) -> None:
        """Forget all that is loaded, and load it again: a damaged one may have been written anew under its name."""
        with self._lock:
            self._by_name.clear()
            self._broken.clear()
        self.reload()

    def find(self, name: bytes) -> tuple[Idx, int] | None:
        """The idx and the number of a record of that name: the first that is met."""
        for idx in self.all:
            number = idx.find(name)
            if number >= 0:
                return idx, number
        return None

    def copies(self, name: bytes) -> tuple[Location, ...]:
        """All records of that name, the least depth first."""
        listed = self.all
        asked, lately = self._found
        if asked is not listed:
            lately = {}
            self._found = listed, lately
        found = lately.get(name)
        if found is None:
            places = [idx.location(number) for idx in listed for number in idx.find_all(name)]
            if len(places) > 1:
                places.sort(key=lambda place: place.depth)
            if len(lately) >= _REMEMBERED:
                lately.clear()
            found = lately[name] = tuple(places)
        return found

    def records(self) -> Iterator[tuple[bytes, Location]]:
        """All records; one that two idx files list comes twice."""
        for idx in self.all:
            yield from idx

    def pack_sizes(self) -> dict[bytes, int]:
        """All packs that are listed, and how large their files are to be."""
        return {pack_id: size for idx in self.all for pack_id, size in idx.packs}

    def _list(self) -> set[str]:
        try:
            return {name for name in os.listdir(self._dir) if name.endswith(".idx")}
        except FileNotFoundError:
            return set()

    def _load(self, listed: set[str]) -> bool:
        """Take over a listing; False if one of its files is gone already."""
        whole = True
        for name in listed - self._by_name.keys() - self._broken.keys():
            try:
                if self._wary and os.lstat(self._dir / name).st_size > _MOST_READ:
                    raise IntegrityError(f"idx {name} is longer than is read here")
                self._by_name[name] = Idx(self._dir / name, mapped=self._mapped, wary=self._wary)
            except FileNotFoundError:
                if self._wary and os.path.islink(self._dir / name):
                    self._broken[name] = IntegrityError(f"idx {name} leads nowhere")
                else:
                    whole = False
            except IntegrityError as error:  # of a newer version, too: a changed byte can make that
                self._broken[name] = error
            except OSError as error:
                if not self._wary:
                    raise
                self._broken[name] = IntegrityError(f"idx {name} cannot be read: {error.strerror}")
        for name in self._by_name.keys() - listed:
            del self._by_name[name]
        for name in self._broken.keys() - listed:
            del self._broken[name]
        self._use(sorted(self._by_name.values(), key=lambda idx: (-idx.records, idx.path.name)))
        return whole

    def _use(self, listed: Iterable[Idx]) -> None:
        self.all = tuple(listed)
        self._found = self.all, {}  # what is closed when nothing refers to it is not held any longer
