"""Which chunks a remote holds, and where: its idx files, kept here since they never change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import error as StructError

from mvc import fsio
from mvc.errors import IntegrityError, NotFound
from mvc.progress import SILENT, Progress
from mvc.repo.filesystem import is_network
from mvc.store.idx import Idx
from mvc.store.packfile import HEADER_SIZE
from mvc.store.records import HEAD_SIZE, MAX_RAW, Location
from mvc.sync import keys
from mvc.sync.remotes import Remote
from mvc.sync.state import State

_PART = 8 * 1024 * 1024
_MAX_IDX = 16 * 1024 * 1024 * 1024


class RemoteIndex:
    """The chunks of a remote in one of its states. Thread-safe for looking up."""

    def __init__(self, state: State, idx: list[Idx]) -> None:
        self.sizes = {bytes.fromhex(pack.id): pack.size for pack in state.chunk_packs}
        """Bytes of the live packs, by id."""
        self.all = tuple(sorted(idx, key=lambda one: -one.records))

    @classmethod
    def of(cls, remote: Remote, state: State, progress: Progress = SILENT) -> tuple[RemoteIndex, int]:
        """The index of a state, and how many bytes had to be brought for it. Raises IntegrityError, NetworkError."""
        if remote.index is not None and remote.index[0].chunk_packs == state.chunk_packs:
            return remote.index[1], 0
        folder = idx_folder(remote.memory)
        wanted = {pack.idx_id: pack.idx_size for pack in state.chunk_packs}
        lacking = lacking_idx(remote.memory, state)
        if lacking:
            bring_idx(remote, lacking, progress)
            _forget(folder, wanted)
        opened = {idx_id: _open(folder / f"{idx_id}.idx") for idx_id in wanted}
        for pack in state.chunk_packs:
            if (bytes.fromhex(pack.id), pack.size) not in opened[pack.idx_id].packs:
                raise IntegrityError(f"{remote.backend.url}: idx {pack.idx_id} does not list pack {pack.id}")
        index = cls(state, list(opened.values()))
        remote.index = state, index
        return index, sum(lacking.values())

    @classmethod
    def cached(cls, memory: Path, state: State) -> RemoteIndex:
        """Of what was brought before, without asking the remote; so it may know of less.

        A state may be known whose idx did not come: it alone was looked at, or what followed was cut off. Until they
        do, those that are here count as they did when all had come last: others' pushes and gc put chunks elsewhere.
        """
        lacking = lacking_idx(memory, state)
        found: list[Idx] = []
        for path in sorted(idx_folder(memory).glob("*.idx")):
            with contextlib.suppress(FileNotFoundError, IntegrityError):
                found.append(_open(path))
        made = cls(state, found)
        if lacking:
            made.sizes = {**dict(pack for idx in found for pack in idx.packs), **made.sizes}
        return made

    def prepare(self, names: Iterable[bytes]) -> None:
        """Say that it will be asked whether these are there, and how deep (for an index that asks a server)."""

    def locate(self, names: Iterable[bytes]) -> None:
        """Say that it will be asked where these lie."""

    def copies(self, name: bytes) -> list[Location]:
        """Where the chunk lies in live packs, the least depth first. Raises IntegrityError for an idx that lies."""
        found = list(self._copies(name))
        if len(found) > 1:
            found.sort(key=lambda place: place.depth)
        return found

    def _copies(self, name: bytes) -> Iterator[Location]:
        for idx in self.all:
            try:
                places = [idx.location(number) for number in idx.find_all(name)]
            except StructError as error:
                raise IntegrityError(f"idx {idx.path.name} of the remote does not hold together") from error
            yield from live(places, self.sizes, idx.path.name)

    def __contains__(self, name: bytes) -> bool:
        return next(self._copies(name), None) is not None

    def depth(self, name: bytes) -> int | None:
        """The least depth that the chunk is stored at, or None."""
        return min((place.depth for place in self._copies(name)), default=None)


def live(places: Iterable[Location], sizes: Mapping[bytes, int], where: str) -> Iterator[Location]:
    """Those that lie in live packs (id -> bytes). Raises IntegrityError for one that cannot be."""
    for place in places:
        size = sizes.get(place.pack)
        if size is None:
            continue
        lies = place.offset < HEADER_SIZE or place.offset + place.record_size > size
        if lies or place.raw_size > MAX_RAW or place.record_size < HEAD_SIZE or place.stored_size > MAX_RAW:
            raise IntegrityError(f"idx {where} of the remote tells of a record that cannot be")
        yield place


def idx_folder(memory: Path) -> Path:
    """Where the idx files of a remote are kept."""
    return memory / "idx"


def lacking_idx(memory: Path, state: State) -> dict[str, int]:
    """The idx of a state that are not here: id to bytes."""
    folder = idx_folder(memory)
    wanted = {pack.idx_id: pack.idx_size for pack in state.chunk_packs}
    return {idx_id: size for idx_id, size in wanted.items() if not (folder / f"{idx_id}.idx").exists()}


def bring_idx(remote: Remote, lacking: Mapping[str, int], progress: Progress = SILENT) -> None:
    """Bring idx (id to bytes) that are not here, several at once. Raises IntegrityError, NetworkError."""
    if not lacking:
        return
    progress.begin("indexes", sum(lacking.values()))
    try:
        at_once = min(len(lacking), remote.backend.capabilities.parallel)
        with ThreadPoolExecutor(at_once, thread_name_prefix="idx") as pool:
            for one in [pool.submit(_bring, remote, idx_id, size, progress) for idx_id, size in lacking.items()]:
                one.result()
    finally:
        progress.end()


def _open(path: Path) -> Idx:
    return Idx(path, mapped=not is_network(path.parent))


def _bring(remote: Remote, idx_id: str, size: int, progress: Progress) -> None:
    """Bring an idx whole; it is kept if its bytes are those that it is named by."""
    if size > _MAX_IDX:
        raise IntegrityError(f"{remote.backend.url}: idx {idx_id} cannot be so large")
    folder = idx_folder(remote.memory)
    fsio.make_dirs(folder)
    key = keys.chunk_idx(idx_id)
    with fsio.DurableFile(remote.repo.tmp_dir) as out:
        while out.size < size:
            try:
                part = remote.backend.get(key, out.size, min(_PART, size - out.size))
            except NotFound as error:
                raise IntegrityError(f"{remote.backend.url} lacks its '{key}'") from error
            if not part:
                break
            out.write(part)
            progress.advance(len(part))
        place = out.path.with_name(f"{idx_id}.idx")
        out.commit(place, sync=False)
    try:
        try:
            _open(place).check()
        except IntegrityError as error:
            raise IntegrityError(f"{remote.backend.url} '{key}': {error.message}") from error
        fsio.replace(place, folder / place.name)
    except BaseException:
        fsio.unlink(place, missing_ok=True)
        raise


def _forget(folder: Path, wanted: dict[str, int]) -> None:
    """Remove what no live pack is listed in any more. Whoever has it open reads on."""
    for path in folder.glob("*.idx"):
        if path.stem not in wanted:
            with contextlib.suppress(OSError):
                fsio.unlink(path, missing_ok=True)
