"""Git objects of a remote without a clone of it: small packs whole, of large ones what is asked for.

What came is kept in a folder of the reader's own as a database of objects, verified as a fetch verifies it.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path

from mvc import fsio
from mvc.backends.base import Backend
from mvc.errors import IntegrityError, MissingObject, NotFound
from mvc.objects.delta import apply_delta, result_size
from mvc.objects.model import Kind
from mvc.objects.packentry import KIND_OF, Entry, parse_head, read_entry
from mvc.objects.packindex import PackIndex
from mvc.objects.packranges import RangedPackIndex
from mvc.objects.partial import PartialObjects
from mvc.objects.receive import MAX_OBJECT, Incoming
from mvc.repo.filesystem import is_network
from mvc.sync import keys
from mvc.sync.absorbed import Absorbed
from mvc.sync.state import GitPack, State

SMALL_PACK = 1024 * 1024
"""A Git pack of at most so many bytes is read whole: that is one request, and its objects are likely wanted next."""
SMALL_IDX = 512 * 1024
"""An index of at most so many bytes is read whole: some 18,000 objects."""
PER_OBJECT = 8 * 1024
"""What looking up one object by ranges is thought to cost, in bytes."""
_BATCH = 32
_PART = 8 * 1024 * 1024
_MAX_IDX = 1024 * 1024 * 1024
_WINDOW = 256 * 1024
"""So much is read around an object: behind a commit stand its trees and files."""
_WIDE = 4 * 1024 * 1024
_MANY = 16
_HEAD = 64
"""No header of an entry is longer."""
_NEIGHBOUR = 16 * 1024 * 1024
"""A larger object is brought when it is asked for, and not beside another one."""
_MAX_CHAIN = 50


class RemoteObjects:
    """The objects of a remote, as `objects`. Thread-safe."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        """`folder`: what came is kept there."""
        self._backend = backend
        self._folder = folder
        self._mapped = not is_network(folder)
        self._absorbed = Absorbed(folder)
        self._lock = threading.RLock()
        self._busy = False
        self._state = State()
        self._indexes: dict[str, PackIndex | RangedPackIndex] = {}
        self.objects = PartialObjects(
            folder / "objects",
            tmp_dir=folder / "tmp",
            mapped=self._mapped,
            bring=self._bring_one,
            prefixed=self._with_prefix,
        )

    def set_state(self, state: State) -> None:
        """What the remote holds now."""
        with self._lock:
            self._state = state
            live = {pack.id for pack in state.git_packs}
            for gone in self._indexes.keys() - live:
                del self._indexes[gone]

    def bring(self, object_ids: Collection[str]) -> None:
        """Bring those of these objects that are not here, in few requests. What the remote lacks is left out."""
        with self._lock:
            wanted = [one for one in object_ids if not self.objects.here(one)]
            if not wanted:
                return
            for pack in self._state.git_packs:
                ranged = isinstance(self._indexes.get(pack.id), RangedPackIndex)
                if ranged and pack.idx_size <= len(wanted) * PER_OBJECT:
                    self._indexes[pack.id] = self._index(pack, len(wanted))
            self._look(wanted)
            places = [(self._place(one), one) for one in wanted if not self.objects.here(one)]
            found = sorted((place, one) for place, one in places if place is not None)
            for pack in self._state.git_packs:
                index = self._indexes.get(pack.id)
                if index is not None and 2 * sum(place[0] == pack.id for place, _ in found) > index.count:
                    self._take_whole(pack)
            window = _WIDE if len(found) >= _MANY else _WINDOW
            for (pack_id, offset), one in found:
                if not self.objects.here(one):
                    self._bring_range(pack_id, offset, one, window)

    def _bring_one(self, object_id: str) -> None:
        with self._lock:
            if self._busy:  # the base of a delta that came: it is not to be looked for while others come
                return
            self._busy = True
            try:
                if not self._bring_located(object_id):
                    self._look([object_id])
                    if not self.objects.here(object_id):
                        self._bring_located(object_id)
            finally:
                self._busy = False

    def _bring_located(self, object_id: str) -> bool:
        place = self._place(object_id)
        if place is not None:
            self._bring_range(*place, object_id, _WINDOW)
        return place is not None

    def _with_prefix(self, prefix: str) -> set[str]:
        with self._lock:
            self._look(None)
            return {one for index in self._indexes.values() for one in index.with_prefix(prefix)}

    def _place(self, object_id: str) -> tuple[str, int] | None:
        """(pack, offset) in one of the large packs whose index is here."""
        raw_id = bytes.fromhex(object_id)
        for pack_id, index in self._indexes.items():
            offset = index.find(raw_id)
            if offset is not None:
                return pack_id, offset
        return None

    # ---- packs that were not looked at yet

    def _look(self, wanted: Iterable[str] | None) -> None:
        """Bring small packs, and the indexes of large ones, until all of `wanted` are known (None: all packs)."""
        left = None if wanted is None else {one for one in wanted if not self._known(one)}
        count = len(left or ())
        absorbed = self._absorbed.ids()
        unknown = [p for p in self._state.git_packs if p.id not in absorbed and p.id not in self._indexes]
        for at in range(0, len(unknown), _BATCH):
            if left is not None and not left:
                return
            batch = unknown[at : at + _BATCH]
            small = [pack for pack in batch if pack.size <= SMALL_PACK]
            large = [pack for pack in batch if pack.size > SMALL_PACK]
            with ThreadPoolExecutor(self._backend.capabilities.parallel, thread_name_prefix="look") as pool:
                indexes = pool.map(lambda pack: self._index(pack, count), large)
                packs = pool.map(self._whole, small)
                self._indexes.update({pack.id: index for pack, index in zip(large, indexes, strict=True)})
                self._absorb(small, packs)
            if left is not None:
                left = {one for one in left if not self._known(one)}

    def _known(self, object_id: str) -> bool:
        return self.objects.here(object_id) or self._place(object_id) is not None

    def _whole(self, pack: GitPack) -> bytes:
        """A small pack; its bytes are those that it is named by."""
        data = self._get(keys.git_pack(pack.id), 0, pack.size)
        found = sha1(data[:-20], usedforsecurity=False).digest()
        if len(data) != pack.size or data[-20:] != found or found.hex() != pack.id:
            raise IntegrityError(f"{self._backend.url} '{keys.git_pack(pack.id)}' has not the bytes it is named by")
        return data

    def _absorb(self, packs: list[GitPack], bodies: Iterator[bytes]) -> None:
        if not packs:
            return
        busy, self._busy = self._busy, True
        try:
            with Incoming(self.objects) as incoming:
                for pack, data in zip(packs, bodies, strict=True):
                    with fsio.DurableFile(self._folder / "tmp") as out:
                        out.write(data)
                        try:
                            incoming.take(out.path)
                        except MissingObject as error:
                            where = f"{self._backend.url} '{keys.git_pack(pack.id)}'"
                            raise IntegrityError(f"{where}: {error.message}") from error
                incoming.seal()
        finally:
            self._busy = busy
        self._absorbed.add(self._state, [pack.id for pack in packs])

    def _take_whole(self, pack: GitPack) -> None:
        """Bring a large pack of which most is wanted: that costs less than its objects."""
        starts = range(0, pack.size, _PART)
        at_once = self._backend.capabilities.parallel
        key = keys.git_pack(pack.id)
        digest, tail = sha1(usedforsecurity=False), b""
        busy, self._busy = self._busy, True
        try:
            with fsio.DurableFile(self._folder / "tmp") as out, ThreadPoolExecutor(at_once) as pool:
                for first in range(0, len(starts), at_once):
                    batch = starts[first : first + at_once]
                    for part in pool.map(lambda at: self._get(key, at, min(_PART, pack.size - at)), batch):
                        out.write(part)
                        digest.update((tail + part)[:-20])
                        tail = (tail + part)[-20:]
                if out.size != pack.size or tail != digest.digest() or tail.hex() != pack.id:
                    raise IntegrityError(f"{self._backend.url} '{key}' has not the bytes it is named by")
                with Incoming(self.objects) as incoming:
                    incoming.take(out.path)
                    incoming.seal()
        finally:
            self._busy = busy
        self._absorbed.add(self._state, [pack.id])

    def _index(self, pack: GitPack, wanted: int) -> PackIndex | RangedPackIndex:
        """The index of a large pack: whole, and kept here, if it is small or much is wanted of it."""
        path = self._folder / "git-idx" / f"{pack.id}.idx"
        try:
            return PackIndex(path, mapped=self._mapped)
        except FileNotFoundError:
            pass
        key = keys.git_idx(pack.id)
        if pack.idx_size > _MAX_IDX:
            raise IntegrityError(f"{self._backend.url} '{key}' cannot be so large")
        if pack.idx_size > max(SMALL_IDX, wanted * PER_OBJECT):
            return RangedPackIndex(lambda offset, length: self._exactly(key, offset, length), pack.idx_size)
        fsio.make_dirs(path.parent)
        with fsio.DurableFile(self._folder / "tmp") as out:
            while out.size < pack.idx_size:
                part = self._get(key, out.size, min(_PART, pack.idx_size - out.size))
                if not part:
                    break
                out.write(part)
            index = PackIndex(out.path, mapped=False)
            index.verify()
            if index.pack_checksum().hex() != pack.id:
                raise IntegrityError(f"{self._backend.url} '{key}' is of another pack")
            out.commit(path, sync=False)
        return PackIndex(path, mapped=self._mapped)

    # ---- ranges of large packs

    def _bring_range(self, pack_id: str, offset: int, object_id: str, window: int) -> None:
        """Bring the object at `offset`, and those behind it that the same answer holds."""
        reader = _Window(self, pack_id, window)
        busy, self._busy = self._busy, True
        try:
            with Incoming(self.objects) as incoming:
                kind, data = self._object(incoming, pack_id, offset, reader)
                if incoming.add(kind, data) != object_id:
                    raise IntegrityError(f"{self._backend.url} '{keys.git_pack(pack_id)}': not what its index tells")
                for kind, data in reader.following(offset):
                    incoming.add(kind, data)
                incoming.seal()
        finally:
            self._busy = busy

    def _object(self, incoming: Incoming, pack_id: str, offset: int, reader: _Window) -> tuple[Kind, bytes]:
        """The object at an offset, its deltas applied."""
        deltas: list[bytes] = []
        for _ in range(_MAX_CHAIN):
            if parse_head(reader.read_at(offset, _HEAD), offset).size > MAX_OBJECT:
                raise IntegrityError("an object that came is too large")
            entry: Entry = read_entry(reader.read_at, offset)
            if entry.base is None:
                kind, data = KIND_OF[entry.type], entry.data
                break
            deltas.append(entry.data)
            base = entry.base if isinstance(entry.base, int) else self._indexes[pack_id].find(entry.base)
            if base is None:
                assert isinstance(entry.base, bytes)  # a base that is an offset is there
                kind, data = incoming.raw(entry.base.hex())
                break
            offset = base
        else:
            raise IntegrityError("a chain of deltas does not end")
        for delta in reversed(deltas):
            if result_size(delta[:32]) > MAX_OBJECT:
                raise IntegrityError("an object that came is too large")
            data = apply_delta(data, delta)
        return kind, data

    def range(self, pack_id: str, offset: int, length: int) -> bytes:
        """Bytes of a Git pack."""
        return self._get(keys.git_pack(pack_id), offset, length)

    def _exactly(self, key: str, offset: int, length: int) -> bytes:
        data = self._get(key, offset, length)
        if len(data) != length:
            raise IntegrityError(f"{self._backend.url} gives too little of '{key}'", hint="repeat it")
        return data

    def _get(self, key: str, offset: int, length: int) -> bytes:
        try:
            return self._backend.get(key, offset, length)
        except NotFound as error:
            raise IntegrityError(f"{self._backend.url} lacks its '{key}'", hint="repeat it") from error


class _Window:
    """What was read last of a pack, in pieces of `size` bytes."""

    def __init__(self, source: RemoteObjects, pack_id: str, size: int) -> None:
        self._source, self._pack, self._size = source, pack_id, size
        self._start = 0
        self._data = b""
        self._first: tuple[int, bytes] | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        at = offset - self._start
        if not self._data or at < 0 or at + length > len(self._data):
            self._start, at = offset, 0
            self._data = self._source.range(self._pack, offset, max(length, self._size))
            self._first = self._first or (offset, self._data)
        return self._data[at : at + length]

    def following(self, offset: int) -> Iterator[tuple[Kind, bytes]]:
        """The whole objects behind the one at `offset` in the first answer, as far as they are no deltas."""
        if self._first is None or self._first[0] != offset:
            return
        data = self._first[1][:-20] if len(self._first[1]) < self._size else self._first[1]
        at, first = 0, True
        while at < len(data):
            try:
                head = parse_head(data[at : at + _HEAD], offset + at)
                if head.size > _NEIGHBOUR:
                    return
                begin = at + head.length
                stream = zlib.decompressobj()
                # No more than zlib makes of it at the worst: what is behind is copied once more.
                part = data[begin : begin + head.size + head.size // 500 + 128]
                made = stream.decompress(part, head.size + 1)
            except (IntegrityError, zlib.error):
                return  # cut by the end of the answer; or damaged, which shows when it is asked for
            if not stream.eof or len(made) != head.size:
                return
            if head.base is None and not first:
                yield KIND_OF[head.type], made
            at, first = begin + len(part) - len(stream.unused_data), False
