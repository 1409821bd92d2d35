"""`mvc whereis`: which remotes hold the chunks of a version, and how much of it is here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mvc.errors import AuthError, MvcError, NetworkError, NotFound
from mvc.ops.connect import Outside, connect
from mvc.ops.versions import versions
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.sync.holdings import Holdings
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotelog import remembered_state
from mvc.sync.remotes import RemoteConfig, configured, memory_of

HERE = "here"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A file: its chunks (lists included), and how many of them are in each place. `nowhere`: in none of them."""

    path: str
    size: int
    chunks: int
    places: Mapping[str, int]
    nowhere: int


@dataclass(frozen=True, slots=True)
class WhereisResult:
    """`places`: "here" and the remotes, in order. `silent`: remotes that did not answer; of those it is told what was
    last seen."""

    places: tuple[str, ...]
    files: tuple[Whereabouts, ...]
    silent: tuple[MvcError, ...]


def whereis(
    repo: Repository,
    revisions: Sequence[str],
    pathspec: Pathspec | None = None,
    *,
    ask: bool = True,
    outside: Outside,
    progress: Progress = SILENT,
) -> WhereisResult:
    """Where the chunks of these files are. `ask`: the remotes, now; else what was last seen of them.

    Raises NotFound for a version that does not exist.
    """
    repo = replace(repo, missing_chunks=None)
    chunks = open_chunks(repo)
    files = versions(repo, revisions, pathspec)
    remotes = configured(repo.config)
    seen = {config.name: _last_seen(repo, config) for config in remotes}

    def listed(name: bytes) -> bool:
        return any(index is not None and name in index for index in seen.values())

    names = {file.id: set(chunk_names(chunks, file.manifest, listed)) for file in files}
    every = set().union(*names.values())
    places: dict[str, Collection[bytes]] = {HERE: {name for name in every if chunks.has(name)}}
    silent: list[MvcError] = []
    for config in remotes:
        try:
            held = _asked(repo, config, every, outside, progress) if ask else _of(seen[config.name], every)
            places[config.name] = held
        except (NetworkError, AuthError, NotFound) as error:
            silent.append(error)
            places[config.name] = _of(seen[config.name], every)
    found = []
    for file in files:
        mine = names[file.id]
        counts = {place: len(mine.intersection(held)) for place, held in places.items()}
        lost = mine.difference(*places.values())
        found.append(Whereabouts(file.path, file.manifest.size, len(mine), counts, len(lost)))
    return WhereisResult(tuple(places), tuple(found), tuple(silent))


def _asked(
    repo: Repository, config: RemoteConfig, names: Collection[bytes], outside: Outside, progress: Progress
) -> set[bytes]:
    with connect(repo, config, outside) as remote:
        return Holdings(remote, progress).held(names)


def _last_seen(repo: Repository, config: RemoteConfig) -> RemoteIndex | None:
    memory = memory_of(repo, config.name, config.url)
    state = remembered_state(memory)
    return RemoteIndex.cached(memory, state) if state is not None else None


def _of(index: RemoteIndex | None, names: Collection[bytes]) -> set[bytes]:
    return {name for name in names if name in index} if index is not None else set()
