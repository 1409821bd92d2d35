"""The packs of one `objects/pack` folder, as they come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from mvc.objects.pack import Pack

_MAX_ALTERNATES = 5
PATIENCE = 20
"""How often packs may vanish while one object is looked for."""

KEEP_MARK = "mvc: "
"""A `.keep` file that mvc wrote begins so; the label follows."""


class PackSet:
    """Packs are immutable; other processes add them, and remove those whose objects stand elsewhere."""

    def __init__(self, pack_dir: Path, *, mapped: bool = True) -> None:
        self.pack_dir = pack_dir
        self._mapped = mapped
        self._packs: tuple[Pack, ...] | None = None
        self._last: Pack | None = None
        self._lock = threading.Lock()

    def packs(self) -> tuple[Pack, ...]:
        """The packs as last listed, newest first."""
        if self._packs is None:
            self.reload()
        return self._packs or ()

    def reload(self) -> bool:
        """List the folder again; True if that changed the list."""
        with self._lock:
            before = {pack.name: pack for pack in self._packs or ()}
            names_before = tuple(before)
            listed: list[tuple[int, str]] = []
            try:
                with os.scandir(self.pack_dir) as entries:
                    names = {entry.name: entry for entry in entries}
            except FileNotFoundError:
                names = {}
            for name, entry in names.items():
                stem, dot, suffix = name.rpartition(".")
                # An index without its pack is what a crash between two renames leaves: not there.
                if suffix == "idx" and dot and f"{stem}.pack" in names:
                    try:
                        listed.append((entry.stat().st_mtime_ns, stem))
                    except FileNotFoundError:
                        continue
            listed.sort(reverse=True)
            self._packs = tuple(
                before.get(stem) or Pack(self.pack_dir / f"{stem}.idx", mapped=self._mapped) for _, stem in listed
            )
            self._last = None
            # Packs that went are not closed: another thread may be reading; they close when dropped.
            return tuple(pack.name for pack in self._packs) != names_before

    def add(self, idx_path: Path) -> None:
        """A pack that this process has just made."""
        with self._lock:
            if self._packs is not None:
                self._packs = (Pack(idx_path, mapped=self._mapped), *self._packs)

    def find(self, raw_id: bytes) -> tuple[Pack, int] | None:
        """The pack and offset of an object, or None. The pack that had the last one is asked first."""
        for _ in range(PATIENCE):
            last = self._last
            try:
                if last is not None and (at := last.find(raw_id)) is not None:
                    return last, at
                for pack in self.packs():
                    if pack is not last and (at := pack.find(raw_id)) is not None:
                        self._last = pack
                        return pack, at
                return None
            except FileNotFoundError:
                # Another process merged packs: what they held is in a new one.
                self.reload()
        return None

    def labels(self) -> dict[str, str | None]:
        """Which packs have a `.keep`: the pack's name -> mvc's label, or None if somebody else keeps it."""
        found: dict[str, str | None] = {}
        try:
            names = os.listdir(self.pack_dir)
        except FileNotFoundError:
            return found
        for name in names:
            if name.endswith(".keep"):
                try:
                    text = (self.pack_dir / name).read_bytes()[:4096].decode("utf-8", "replace")
                except FileNotFoundError:
                    continue
                label = text.partition("\n")[0]
                found[name[:-5]] = label[len(KEEP_MARK) :] if label.startswith(KEEP_MARK) else None
        return found

    def close(self) -> None:
        """Close all files."""
        for pack in self._packs or ():
            pack.close()


def alternates(objects_dir: Path, depth: int = 0) -> Iterator[Path]:
    """The object folders that `info/alternates` names, and theirs (as Git: to a depth of five)."""
    try:
        lines = (objects_dir / "info" / "alternates").read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in lines:
        if line and not line.startswith(b"#"):
            other = objects_dir / os.fsdecode(line)
            if other.is_dir():
                yield other
                if depth < _MAX_ALTERNATES:
                    yield from alternates(other, depth + 1)
