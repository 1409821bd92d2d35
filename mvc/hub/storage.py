"""Where a server keeps its repositories: a folder of them, or an object store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mvc.backends.base import Backend
from mvc.backends.folder import FolderBackend
from mvc.backends.open import is_local, local_path, open_backend
from mvc.errors import NotFound
from mvc.hashing import digest

DERIVED = ".server"
"""In a repository's folder: what this server made from it, a folder a user (a group may share the repository, and what
one user makes another need not be able to change). No key begins with a dot; all of it may be deleted."""


@dataclass(frozen=True, slots=True)
class Storage:
    """One repository's storage."""

    backend: Backend
    """A remote of format 1, or an empty place for one."""
    folder: FolderBackend | None
    """The same, where it is a folder of this machine: then its files are sent and written without a detour."""
    memory: Path
    """A folder for what is derived from it (verified Git objects, idx files) and for uploads under way. Processes of
    one machine may share it; it may be deleted when none runs. Made when needed."""
    top: Path | None = None
    """Of a folder: what must be there (else a disk is not mounted); what lies between is made with the repository."""


StorageOf = Callable[[str], Storage]
"""From a repository's name ("" over a pipe) to its storage. Called once a repository, then now and then; makes and
asks nothing yet. Raises NotFound for one that is not served."""


def single_folder(path: Path) -> StorageOf:
    """The one repository of a pipe: the remote folder `path`, under the name ""."""

    def of(repository: str) -> Storage:
        if repository:
            raise NotFound("there is one repository here, without a name")
        return _folder(path)

    return of


def repositories_in(place: str, *, environment: Mapping[str, str], memory: Path | None = None) -> StorageOf:
    """Repositories under a folder or a store's URL, each below its name.

    `memory`: where derived data go if `place` is no folder of this machine (required then).
    """
    if is_local(place):
        root = local_path(place)
        return lambda repository: _folder(root / _named(repository), root)
    if memory is None:
        raise NotFound("a server over an object store needs a folder for what it derives", hint="--cache FOLDER")
    home = memory
    head, mark, query = place.partition("?")

    def of(repository: str) -> Storage:
        url = f"{head.rstrip('/')}/{_named(repository)}{mark}{query}"
        backend = open_backend(url, environment=environment)
        return Storage(backend, None, home / digest(backend.url.encode("utf-8", "surrogateescape")).hex()[:32])

    return of


def _named(repository: str) -> str:
    if not repository:  # the place itself: all repositories, and what the server keeps beside them
        raise NotFound("there is no repository without a name here")
    return repository


def _folder(path: Path, top: Path | None = None) -> Storage:
    folder = FolderBackend(path)
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Storage(folder, folder, path / f"{DERIVED}{user}", top)
