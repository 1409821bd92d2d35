"""The store that all repositories of a machine share, as one of them sees it. See docs/format/sharedstore.md.

A cache that others may write to, and never the only copy: whatever is wrong with it, or in it, comes out as "the
chunk is not there". Only who writes to it is told why that cannot be.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from mvc import fsio
from mvc.codecs.decode import decode
from mvc.errors import IntegrityError, MvcError, Refused, UnsupportedFormat
from mvc.hashing import chunk_namer
from mvc.settings import ChunkNaming, StoreSettings
from mvc.store.chunkstore import ChunkStore
from mvc.store.files import StorePaths
from mvc.store.reading import Nearby
from mvc.store.records import Buffer, Location, parse_lead

FORMAT = 1
MARKER = "mvc-store"
_MARKER_LIMIT = 4096
_TEXT = b"mvc-store %d\n"
_SPACE = re.compile(r"plain|keyed-[0-9a-f]{32}")
_FOLDERS = ("chunks", "chunks/packs", "chunks/idx", "tmp", "locks")
_T = TypeVar("_T")


def space_of(naming: ChunkNaming) -> str:
    """The folder of a store in which chunks of that naming lie: nobody finds there what another key has named."""
    if naming.key is None:
        return "plain"
    return f"keyed-{chunk_namer(naming)(b'mvc-store')[:16].hex()}"


def spaces(root: Path) -> list[str]:
    """The names of the spaces of a store."""
    return sorted(name for name in os.listdir(root) if _SPACE.fullmatch(name))


def space_paths(root: Path, space: str) -> StorePaths:
    """Where the files of one space lie. (Nothing registers intents there: what a writer counted on may go.)"""
    home = root / space
    return StorePaths(home / "chunks", home / "tmp", home / "locks", home / "tmp", shared=True)


def check_root(root: Path) -> None:
    """Raises FileNotFoundError where there is no store, Refused or UnsupportedFormat where there is another."""
    try:
        text = fsio.read_small(root / MARKER, _MARKER_LIMIT)
    except (IntegrityError, NotADirectoryError) as error:
        raise Refused(f"{root} is no store of mvc's: its '{MARKER}' cannot be read") from error
    if text == _TEXT % FORMAT:
        return
    version = re.match(rb"mvc-store ([1-9][0-9]{0,8})\n", text)
    if version is not None and int(version[1]) > FORMAT:
        raise UnsupportedFormat(
            f"the shared store {root} has format {int(version[1])}; this mvc knows {FORMAT}", hint="upgrade mvc"
        )
    raise Refused(f"{root} is no store of mvc's: its '{MARKER}' is something else")


def check_folders(root: Path, space: str) -> None:
    """Raises Refused unless all folders of a space are folders and no links (StorePaths.check_folder)."""
    paths = space_paths(root, space)
    for folder in (paths.idx, paths.tmp, paths.locks, *(paths.packs / aa for aa in pack_folders())):
        paths.check_folder(folder)


def pack_folders() -> Iterator[str]:
    """The folders that packs lie in. All are made together with the space."""
    return (f"{number:02x}" for number in range(256))


def make_root(root: Path) -> None:
    """Make a store in a folder that is empty or not there; one that stands is left. Raises as `check_root`."""
    fsio.share(root)
    fsio.make_dirs(root)
    try:
        check_root(root)
    except FileNotFoundError:
        strange = any(not name.startswith("tmp-") for name in os.listdir(root))
        if strange and not (root / MARKER).exists():  # (another process may just have made it)
            hint = "core.sharedStore wants a folder of its own"
            raise Refused(f"{root} is no store of mvc's, nor empty", hint=hint) from None
        fsio.write_atomic(root / MARKER, _TEXT % FORMAT)


def make_space(root: Path, space: str) -> None:
    """Make the folders of a space, if they are not there: beside, and then all at once."""
    home = root / space
    if home.exists():
        return
    made = root / f"tmp-{os.urandom(8).hex()}"
    for name in ("", *_FOLDERS, *(f"chunks/packs/{aa}" for aa in pack_folders())):
        folder = made / name
        fsio.step("mkdir", folder)
        folder.mkdir()
        fsio.fit_folder(folder, folder.parent)
    fsio.step("rename", home)
    try:
        os.rename(made, home)
    except OSError:
        if not home.is_dir():
            raise
        remove_tree(made)  # another process was faster
    fsio.fsync_dir(root)


def remove_tree(made: Path) -> None:
    """Remove the folders of a space that came to nothing."""
    for folder, _, _ in os.walk(made, topdown=False):
        os.rmdir(folder)


class SharedStore:
    """The space of one repository in the shared store. Thread-safe.

    What looks up and reads never raises for the store's sake; what writes does.
    """

    def __init__(self, root: Path, settings: StoreSettings) -> None:
        """Opens nothing yet; the folder need not be there."""
        self.root = root
        self.space = space_of(settings.naming)
        self._settings = settings
        self._namer = chunk_namer(settings.naming)
        self._store: ChunkStore | None = None
        self._tried = False
        fsio.share(root)

    # Looking up and reading -----------------------------------------------------------------

    def find(self, name: bytes) -> Location | None:
        """Where the chunk lies, by the word of an idx that anybody may have written."""
        return self._quietly(lambda store: store.find(name))

    def __contains__(self, name: bytes) -> bool:
        return self.find(name) is not None

    def read(
        self, name: bytes, out: bytearray | memoryview | None = None, nearby: Nearby | None = None
    ) -> Buffer | None:
        """The raw bytes, verified; None where no sound copy is. Then `out` may hold anything."""
        return self._quietly(lambda store: store.read(name, out=out, nearby=nearby)) if name in self else None

    def record(self, name: bytes) -> bytes | None:
        """The chunk's record, which was decoded and held against its name; None where that cannot be."""
        return self._quietly(lambda store: self._right(store, name)) if name in self else None

    def use(self, names: Iterable[bytes]) -> None:
        """Tell that these chunks will be read: their packs stay for the next hour."""
        places = (self.find(name) for name in names)
        for pack_id in {place.pack for place in places if place is not None}:
            self._quietly(partial(ChunkStore.use_pack, pack_id=pack_id))

    def reload(self) -> bool:
        """Look for what others did; whether anything came or went."""
        if self._store is None:
            self._tried = False
            return self._opened() is not None
        return bool(self._quietly(ChunkStore.reload))

    # Writing --------------------------------------------------------------------------------

    def writable(self, *, verify_writes: bool, pack_size: int) -> ChunkStore:
        """The space as a store to write to; made if need be.

        Raises Refused, UnsupportedFormat for what is no store, and the OSErrors of what may not be written.
        """
        make_root(self.root)
        make_space(self.root, self.space)
        check_folders(self.root, self.space)
        settings = self._settings._replace(verify_writes=verify_writes, pack_size=pack_size)
        return ChunkStore(space_paths(self.root, self.space), settings, mapped=False)

    # ----------------------------------------------------------------------------------------

    def _opened(self) -> ChunkStore | None:
        if self._store is None and not self._tried:
            self._tried = True
            try:
                check_root(self.root)
                if (self.root / self.space).is_dir():
                    self._store = ChunkStore(space_paths(self.root, self.space), self._settings, mapped=False)
            except (MvcError, OSError):
                return None
        return self._store

    def _quietly(self, ask: Callable[[ChunkStore], _T]) -> _T | None:
        store = self._opened()
        if store is None:
            return None
        try:
            return ask(store)
        except (MvcError, OSError, struct.error):
            return None

    def _right(self, store: ChunkStore, name: bytes) -> bytes | None:
        data = store.read_stored(name)
        header = parse_lead(data)
        bases = [store.read(base) for base in header.bases]
        payload = memoryview(data)[header.lead_size :]
        raw = decode(header.codec, header.params, payload, header.raw_size, bases)
        return data if self._namer(raw) == name else None
