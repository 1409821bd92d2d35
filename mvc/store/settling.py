"""What was received becomes the repository's own, once each record was decoded and held against its name.

Whole packs get their name among the repository's packs, all that rest on each other at once, by one idx: so the store
is closed under bases at every moment. What is left of a pack with records that are wrong is copied, record by record.
docs/format/received.md.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from mvc import fsio
from mvc.codecs.base import Encoded
from mvc.errors import IntegrityError, MissingObject, ParseError, UsageError
from mvc.hashing import ChunkNamer
from mvc.progress import Progress
from mvc.store import idxbuild
from mvc.store.files import StorePaths
from mvc.store.idx import Idx
from mvc.store.idxset import IdxSet
from mvc.store.intents import Claims, Intent
from mvc.store.reading import PackGone
from mvc.store.received import Received, unfinished
from mvc.store.records import Location, parse_record
from mvc.store.report import Damage
from mvc.store.writer import PackWriter

_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV))
Records = Mapping[bytes, Location]


class Settling:
    """One go at it. `writer` begins a session of the repository's own store."""

    def __init__(
        self,
        received: Received,
        own: IdxSet,
        paths: StorePaths,
        namer: ChunkNamer,
        intent: Intent,
        writer: Callable[[], PackWriter],
    ) -> None:
        self._received, self._own, self._paths, self._namer = received, own, paths, namer
        self._claims = Claims(paths.condemned, intent.start_ns)
        self._writer = writer
        self.damage: list[Damage] = []

    def take_read(self) -> None:
        """Take over the packs of which every record was read in this process. Those that rest on others wait."""
        self._received.idx.reload()
        read = [pack_id for pack_id, idx in self._received.packs().items() if self._is_read(pack_id, idx)]
        self._take({pack_id: self._received.records(pack_id) for pack_id in read})

    def take_all(self, threads: int, progress: Progress) -> None:
        """Decode what was not read yet, and take over all that is right; what is not goes, and is in `damage`."""
        self._received.idx.reload()
        packs = {pack_id: self._received.records(pack_id) for pack_id in self._received.packs()}
        wrong = self._decode(packs, threads, progress)
        left = self._take({pack_id: rows for pack_id, rows in packs.items() if pack_id not in wrong})
        left.update({pack_id: packs[pack_id] for pack_id in wrong})
        if left:
            self._copy(left, wrong)

    def _is_read(self, pack_id: bytes, idx: Idx) -> bool:
        return bool(len(self._received.proved(pack_id)) >= idx.records)

    # ---- decoding

    def _decode(self, packs: Mapping[bytes, Records], threads: int, progress: Progress) -> dict[bytes, dict[int, str]]:
        """Of each pack with records that are wrong: where they lie, and what is wrong."""
        wrong: dict[bytes, dict[int, str]] = {}
        left = [place.record_size for pack in packs for _, place in unfinished(self._received, pack, packs[pack])]
        progress.begin("checking what came", sum(left))

        def check(row: tuple[bytes, Location]) -> tuple[Location, str]:
            message = self._check(*row)
            progress.advance(row[1].record_size)
            return row[1], message

        try:
            with ThreadPoolExecutor(threads, thread_name_prefix="prove") as pool:
                for pack_id, records in packs.items():
                    for place, message in pool.map(check, unfinished(self._received, pack_id, records)):
                        if message:
                            wrong.setdefault(pack_id, {})[place.offset] = message
        finally:
            progress.end()
        return wrong

    def _check(self, name: bytes, place: Location) -> str:
        """What is wrong with a record; "" if nothing is."""
        try:
            record = self._received.fetch(place)
            raw = self._received.reader.decode(name, place, record, sure=True)
            if self._namer(raw) != name:
                return "it does not decode to the bytes that it is named by"
        except PackGone:
            return ""  # another process has taken it over just now
        except (IntegrityError, ParseError, MissingObject) as error:
            return error.message
        self._received.prove(place)
        return ""

    # ---- whole packs

    def _take(self, packs: dict[bytes, Records]) -> dict[bytes, Records]:
        """Take over those of the packs that rest on nothing but each other and the store; the others come back."""
        chosen = dict(packs)
        while chosen:
            depths: dict[bytes, int] = {}
            for records in chosen.values():
                for name, place in records.items():
                    depths[name] = min(place.depth, depths.get(name, place.depth))
            closed = {pack_id: rows for pack_id, rows in chosen.items() if self._rests(rows, depths)}
            if len(closed) == len(chosen):
                break
            chosen = closed
        linked: list[Idx] = []
        for pack_id in chosen:
            idx = self._received.packs().get(pack_id)
            if idx is None or not self._link(pack_id):
                return packs
            linked.append(idx)
        if linked:
            table = idxbuild.merge([idxbuild.from_idx(idx) for idx in linked])
            idxbuild.write(table, self._paths.idx, self._paths.tmp)
            self._own.reload()
            for pack_id in chosen:
                self._received.remove(pack_id)
        return {pack_id: rows for pack_id, rows in packs.items() if pack_id not in chosen}

    def _rests(self, records: Records, depths: Mapping[bytes, int]) -> bool:
        return all(
            depths.get(base, place.depth) < place.depth or self._stands(base, place.depth)
            for place in records.values()
            for base in place.bases
        )

    def _stands(self, name: bytes, below: int) -> bool:
        """Whether the store itself has a chunk at a smaller depth; gc is kept from taking it."""
        return any(
            place.depth < below and self._claims.claim(place.pack, self._paths.pack(place.pack))
            for place in self._own.copies(name)
        )

    def _link(self, pack_id: bytes) -> bool:
        """Give a pack its name among the store's own, too. False where it cannot be: another one has the name."""
        source, target = self._received.paths.pack(pack_id), self._paths.pack(pack_id)
        fsio.make_dirs(target.parent)
        try:
            fsio.link(source, target)
        except FileExistsError:
            # A process that was killed here had come so far: the same file, by its two names.
            try:
                same = target.samefile(source)
            except FileNotFoundError:  # none was killed: one that lives has taken it over just now
                return False
            if not same:
                return False
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            fsio.replace(source, target)  # without links there is a moment in which the chunks are not found
        fsio.fsync_dir(target.parent)
        return self._claims.claim(pack_id, target)

    # ---- record by record

    def _copy(self, packs: Mapping[bytes, Records], wrong: Mapping[bytes, Mapping[int, str]]) -> None:
        """Copy what is right of these packs, what others rest on first, then let the packs go."""
        self._own.reload()
        rows = [(name, place) for records in packs.values() for name, place in records.items()]
        with self._writer() as writer:
            for name, place in sorted(rows, key=lambda row: row[1].depth):
                message = wrong.get(place.pack, {}).get(place.offset, "") or self._copied(writer, name, place)
                if message and self._own.find(name) is None:  # else it came anew, and was right
                    self.damage.append(Damage(self._received.paths.pack(place.pack), message, name, place.offset))
        for pack_id in packs:
            self._received.remove(pack_id)

    def _copied(self, writer: PackWriter, name: bytes, place: Location) -> str:
        if any(one.depth <= place.depth for one in self._own.copies(name)):
            return ""
        try:
            header, payload = parse_record(self._received.fetch(place), name, place)
            encoded = Encoded(header.codec, header.params, (payload,))
            writer.add(name, encoded, raw_size=header.raw_size, bases=header.bases, depth=header.depth, again=True)
        except PackGone:
            return ""
        except UsageError as error:  # what it rests on is wrong, or not here
            return error.message
        return ""
