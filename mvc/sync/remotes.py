"""Remotes as `.mvc/config` names them, and one that is open."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from mvc import fsio
from mvc.backends.base import Backend
from mvc.errors import NotFound, UsageError
from mvc.hashing import digest
from mvc.objects.config import Config
from mvc.objects.refnames import is_valid
from mvc.objects.refspec import Refspec
from mvc.repo.repository import Repository
from mvc.sync.remotelog import RemoteLog
from mvc.sync.state import State

if TYPE_CHECKING:
    from mvc.sync.remoteindex import RemoteIndex


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """`[remote "name"]`. A URL given on the command line is one with an empty name and no fetch refspecs."""

    name: str
    url: str
    push_url: str
    """Where to push to: `pushurl`, else `url`."""
    fetch: tuple[Refspec, ...] = ()
    """As configured; by `mvc remote add` +refs/heads/*:refs/remotes/NAME/*."""


def configured(config: Config) -> list[RemoteConfig]:
    """All remotes, by name. One without a URL is left out."""
    names: set[str] = set()
    for key, _ in config.items():
        section, _, last = key.rpartition(".")
        if section.startswith("remote.") and last == "url":
            names.add(section.removeprefix("remote."))
    return [_configured(config, name) for name in sorted(names)]


def remote_config(config: Config, name_or_url: str) -> RemoteConfig:
    """The remote of that name, else an unnamed one of that URL (anything with a "/" or ":"). Raises NotFound."""
    if name_or_url and config.get(f"remote.{name_or_url}.url"):
        return _configured(config, name_or_url)
    if "/" in name_or_url or ":" in name_or_url or os.sep in name_or_url or name_or_url in {".", ".."}:
        return RemoteConfig("", name_or_url, name_or_url)
    raise NotFound(f"there is no remote '{name_or_url}'", hint=f"mvc remote add {name_or_url or 'origin'} URL")


def _configured(config: Config, name: str) -> RemoteConfig:
    url = config.get_all(f"remote.{name}.url")[0]
    push_url = (config.get_all(f"remote.{name}.pushurl") or [url])[0]
    fetch = tuple(Refspec.parse(text) for text in config.get_all(f"remote.{name}.fetch"))
    return RemoteConfig(name, url, push_url, fetch)


def check_remote_name(name: str) -> None:
    """Raises UsageError unless `name` may name a remote (as Git's: refs/remotes/NAME/x is a valid ref)."""
    if not name or name.startswith("-") or not is_valid(f"refs/remotes/{name}/x"):
        raise UsageError(f"'{name}' is not a valid name for a remote")


def default_fetch(name: str) -> Refspec:
    """+refs/heads/*:refs/remotes/NAME/*"""
    return Refspec("refs/heads/*", f"refs/remotes/{name}/*", force=True)


class Remote:
    """An open remote of one repository: its backend, its log, and what is remembered of it here.

    A context manager. Not for several threads (the backend is).
    """

    def __init__(self, repo: Repository, config: RemoteConfig, backend: Backend) -> None:
        """Asks nothing of the remote yet. `backend` is closed by `close`."""
        self.repo = repo
        self.config = config
        self.backend = backend
        self.memory = memory_of(repo, config.name, backend.url)
        """The folder of what is remembered: the log, idx files, unfinished uploads. May be removed at any time."""
        self.index: tuple[State, RemoteIndex] | None = None
        """Which chunks it holds, as `RemoteIndex.of` read it last."""
        self.log = RemoteLog(backend, self.memory, repo.settings.store.naming)

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.backend.close()

    def state(self, *, create: bool = False) -> State:
        """The newest state (asks the remote each time: two requests if nothing came). What `ls-remote` shows.

        Raises NotFound if nobody has pushed there and not `create` (then: the empty State), UnsupportedFormat,
        NetworkError, AuthError, IntegrityError.
        """
        return self.log.latest(create=create)

    def remembered(self) -> State | None:
        """The state as last seen, without asking."""
        return self.log.remembered()


def memories(repo: Repository) -> list[Path]:
    """The folders of all remotes of which something is remembered."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path for path in _home(repo).iterdir() if path.is_dir())
    return []


def memory_of(repo: Repository, name: str, url: str) -> Path:
    """Where what is known of a remote is kept; one without a name goes by its URL, behind a sign that no name has."""
    if name:
        return _home(repo) / quote(name, safe="")
    return _home(repo) / f"@{digest(url.encode('utf-8', 'surrogateescape')).hex()[:32]}"


def forget(repo: Repository, name: str) -> None:
    """Remove what is remembered of a remote (`remote remove`)."""
    folder = memory_of(repo, name, "")
    fsio.step("rmtree", folder)
    shutil.rmtree(folder, ignore_errors=True)


def rename(repo: Repository, old: str, new: str) -> None:
    """Take along what is remembered (`remote rename`). Refs and config are the caller's."""
    forget(repo, new)
    with contextlib.suppress(FileNotFoundError):
        fsio.replace(memory_of(repo, old, ""), memory_of(repo, new, ""))


def _home(repo: Repository) -> Path:
    # Not `remotes`: there Git looks for remotes of its oldest kind.
    return repo.common_dir / "remote-cache"
