"""New packs of chunks for a remote, and the idx over them: what gc and repair of a remote write."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from mvc.errors import IntegrityError, NotFound
from mvc.progress import SILENT, Progress
from mvc.store import idxbuild
from mvc.store.graph import Graph, Row
from mvc.store.idx import Idx
from mvc.store.packfile import PackBuilder
from mvc.store.records import Location, is_sound, parse_record
from mvc.sync import keys
from mvc.sync.outgoing import new_pack
from mvc.sync.ranges import runs
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote
from mvc.sync.state import State


class PacksOut:
    """Records, as they are stored, into new packs; each pack is put when it is full. Discard it at the end."""

    def __init__(self, remote: Remote, progress: Progress = SILENT) -> None:
        self._remote, self._progress = remote, progress
        self._builder: PackBuilder | None = None
        self._records: list[tuple[bytes, Location]] = []
        self._tables: list[idxbuild.Table] = []
        self.sizes: dict[str, int] = {}
        """Id (64 hex) -> bytes of each pack that was put."""
        self.sent = 0

    def append(self, name: bytes, place: Location, record: memoryview) -> None:
        """A whole record. What it rests on must have come before, or stay in the remote. Raises IntegrityError."""
        header, payload = parse_record(record, name, place)
        if self._builder is None:
            self._builder = new_pack(self._remote)
        offset = self._builder.append(record[: header.lead_size], (payload,))
        self._records.append((name, place._replace(offset=offset)))
        if self._builder.size >= self._remote.repo.settings.store.pack_size:
            self.flush()

    def flush(self) -> None:
        """Put what was appended."""
        builder = self._builder
        if builder is None:
            return
        try:
            pack_id = builder.finish()
            self._remote.backend.put(keys.chunk_pack(pack_id.hex()), builder.path, progress=self._progress.advance)
            rows = [(name, place._replace(pack=pack_id)) for name, place in self._records]
            self._tables.append(idxbuild.from_records([(pack_id, builder.size)], rows))
            self.sizes[pack_id.hex()] = builder.size
            self.sent += builder.size
        finally:
            self.discard()

    def discard(self) -> None:
        """Drop what was not put."""
        if self._builder is not None:
            self._builder.discard()
        self._builder, self._records = None, []

    def tables(self) -> list[idxbuild.Table]:
        """The records that were put."""
        return list(self._tables)


def read_records(remote: Remote, rows: Sequence[Row], jobs: int = 0) -> Iterator[tuple[Row, memoryview]]:
    """The records of a remote, each held against its checksum, in the order of `rows`. Raises IntegrityError."""
    jobs = jobs or max(1, remote.backend.capabilities.parallel)
    with ThreadPoolExecutor(jobs, thread_name_prefix="read") as pool:
        left = iter(list(runs(rows)))
        running: deque[tuple[Sequence[Row], Future[memoryview]]] = deque()

        def more(count: int) -> None:
            running.extend((run, pool.submit(_read, remote, run)) for run in islice(left, count))

        more(2 * jobs)
        while running:
            run, future = running.popleft()
            data = future.result()
            for row in run:
                start = row.place.offset - run[0].place.offset
                record = data[start : start + row.place.record_size]
                key = keys.chunk_pack(row.place.pack.hex())
                if len(record) != row.place.record_size or not is_sound(record):
                    raise IntegrityError(
                        f"{remote.backend.url} '{key}' at {row.place.offset} is damaged", hint="mvc remote fsck"
                    )
                yield row, record
            more(1)


def _read(remote: Remote, run: Sequence[Row]) -> memoryview:
    first, last = run[0].place, run[-1].place
    key = keys.chunk_pack(first.pack.hex())
    try:
        length = last.offset + last.record_size - first.offset
        return memoryview(remote.backend.get(key, first.offset, length))
    except NotFound as error:
        raise IntegrityError(f"{remote.backend.url} lacks its '{key}'", hint="mvc remote fsck") from error


def graph_of(index: RemoteIndex, state: State, folder: Path) -> Graph | None:
    """All records in live packs; None if there are none. `folder` takes an idx for a moment. Raises IntegrityError."""
    for idx in index.all:
        idx.check()
    table = live_table([idxbuild.from_idx(idx) for idx in index.all], state)
    made = idxbuild.write(table, folder, folder)
    if made is None:
        return None
    try:
        return Graph([Idx(made, mapped=False)])
    finally:
        made.unlink()


def live_table(tables: Iterable[idxbuild.Table], state: State) -> idxbuild.Table:
    """All records of the tables that lie in packs which the state lists."""
    tables = list(tables)
    live = {bytes.fromhex(pack.id) for pack in state.chunk_packs}
    dead = {pack_id for table in tables for pack_id, _ in table.packs if pack_id not in live}
    return idxbuild.merge(tables, without=dead)
