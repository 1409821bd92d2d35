"""Opening a remote: by name or URL, with credentials from the places that the environment names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvc.backends.folder import refuse_repository
from mvc.backends.limited import UNLIMITED, Rates, parse_rates
from mvc.backends.open import is_local, local_path, open_backend
from mvc.lazy import load
from mvc.objects.upstream import default_remote, remote_names
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.sync.remotes import Remote, RemoteConfig, remote_config

if TYPE_CHECKING:
    from mvc.sync.chunks import FromRemotes
    from mvc.sync.streamed import Streamed

SOURCES = {
    "brought": "mvc.sync.chunks:FromRemotes",
    "streamed": "mvc.sync.streamed:Streamed",
    "promised": "mvc.sync.promised:promised",
}
"""Loaded where chunks are to come: a push with nothing to move does without the store, the codecs and numpy."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SSH = re.compile(r"[^/\\]+:")


@dataclass(frozen=True, slots=True)
class Outside:
    """What lies outside of the repository: the environment (for credentials), and where relative paths start."""

    environment: Mapping[str, str]
    cwd: Path
    rates: Rates = UNLIMITED
    """How much of the line to take at most; where it says nothing, the config does."""
    jobs: int = 0
    """Requests at once; 0: as suits the remote."""


def find_remote(repo: Repository, name_or_url: str | None, outside: Outside) -> RemoteConfig:
    """The remote of that name, else one of that URL; None: the one that HEAD's branch follows, else the only one,
    else origin. Raises NotFound."""
    wanted = name_or_url or default_remote(repo.config, repo.refs.head().branch)
    if name_or_url and name_or_url not in remote_names(repo.config) and (outside.cwd / name_or_url).exists():
        wanted = os.path.join(os.curdir, name_or_url)  # a folder that is named without any "/"
    found = remote_config(repo.config, wanted)
    if found.name:
        return found
    url = absolute_url(found.url, outside.cwd)
    return RemoteConfig("", url, url)


def connect(repo: Repository, config: RemoteConfig, outside: Outside, *, push: bool = False) -> Remote:
    """Open a remote. A relative path in the config starts from the worktree's top, as with Git.

    Raises UsageError for a URL of an unknown kind, Refused for a repository that somebody works in.
    """
    top = repo.worktree or repo.common_dir
    url = absolute_url(config.push_url if push else config.url, top)
    if is_local(url):
        refuse_repository(local_path(url), url)
    environment = _environment(repo, config, outside)
    return Remote(repo, config, open_backend(url, environment=environment, rates=_rates(repo, config, outside)))


def _environment(repo: Repository, config: RemoteConfig, outside: Outside) -> Mapping[str, str]:
    """The environment, and what the config says of ssh where that says nothing: which, and what it starts there."""
    found = dict(outside.environment)
    ssh = repo.config.get("core.sshcommand")
    if ssh and not (found.get("MVC_SSH_COMMAND") or found.get("GIT_SSH_COMMAND")):
        found["MVC_SSH_COMMAND"] = ssh
    there = repo.config.get(f"remote.{config.name}.mvccommand") if config.name else None
    if there:
        found.setdefault("MVC_REMOTE_COMMAND", there)
    return found


def _rates(repo: Repository, config: RemoteConfig, outside: Outside) -> Rates:
    """What was said, else what is set for this remote, else for all."""
    rates = outside.rates
    for key in (*([f"remote.{config.name}.limitrate"] if config.name else []), "transfer.limitrate"):
        text = repo.config.get(key)
        if text:
            rates = rates.over(parse_rates(text))
    return rates


def supply(repo: Repository, outside: Outside, progress: Progress = SILENT) -> FromRemotes:
    """What brings chunks that are not here from the repository's remotes. Nothing is opened before the first is."""
    make: type[FromRemotes] = load(SOURCES["brought"])
    return make(repo, lambda config: connect(repo, config, outside), jobs=outside.jobs, progress=progress)


def supplied(repo: Repository, outside: Outside, progress: Progress = SILENT) -> tuple[Repository, FromRemotes]:
    """The repository, to which chunks come as they are asked for; and what brings them, to be closed."""
    source = supply(repo, outside, progress)
    return replace(repo, missing_chunks=source, promised=load(SOURCES["promised"])(repo)), source


def streamed(repo: Repository, outside: Outside, progress: Progress = SILENT) -> tuple[Repository, Streamed]:
    """The repository, to which chunks are read from its remotes and not stored; and what reads them, to be closed."""
    make: type[Streamed] = load(SOURCES["streamed"])
    source = make(repo, lambda config: connect(repo, config, outside), jobs=outside.jobs, progress=progress)
    return replace(repo, missing_chunks=None, streamed=source), source


def absolute_url(url: str, start: Path) -> str:
    """A relative path as absolute one; any other URL as it stands."""
    if is_path(url):
        return os.path.normpath(start / os.path.expanduser(url))
    return url


def is_path(url: str) -> bool:
    """Whether `url` is a plain path, and neither `scheme://` nor `host:path`."""
    return not _SCHEME.match(url) and not _SSH.match(url)
