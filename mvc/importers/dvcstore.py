"""Where DVC keeps bytes: its cache, and a remote of the same layout. Read only; contents are verified by who reads.

Layouts: `files/md5/ab/cdef...` since DVC 3, `ab/cdef...` before (`dvc/cachemgr.py`). Both are looked into for either,
as a project may hold both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import quote, urlencode

from mvc.backends.base import Backend
from mvc.backends.open import open_backend
from mvc.errors import NotFound, ParseError, UsageError
from mvc.fsio import RandomFile, read_small
from mvc.importers.remotefile import RemoteFile
from mvc.importers.standing import file_size
from mvc.repo.sourcefiles import Opened

_SECTION = re.compile(r"\[\s*'?(?P<kind>\w+)(?:\s+\"(?P<name>[^\"]*)\")?'?\s*\]\s*\Z")
_NAME = re.compile(r"md5(?:-dos2unix)?:[0-9a-f]{32}(?:\.dir)?\Z")
_CONFIG = 1024 * 1024
_BUCKETS = {"s3": "s3", "gs": "gs", "azure": "az", "oss": "oss"}
"""DVC's scheme to ours."""
_OPTIONS = {"endpointurl": "endpoint", "region": "region", "oss_endpoint": "endpoint", "account_name": "account"}


class DvcStore:
    """The contents that the project with the folder `.dvc` at `folder` can get at.

    `remote`: the name of one of its remotes, or a URL or path; "" for none. None: its default, if that is a folder of
    this machine, for a project that somebody handed over should not choose whom credentials are shown to.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], remote: str | None = None) -> None:
        self._folder, self._environment, self._wanted = folder, environment, remote
        self.config = _read_config(folder)
        given = self.config.get(("cache", ""), {}).get("dir")
        self.cache = Path(os.path.normpath(folder / given)) if given else folder / "cache"
        self._sizes: dict[str, int | None] = {}
        self.unasked = ""
        """The remote that would have been asked, had it been named."""

    def size(self, key: str, *, folder: bool = False) -> int | None:
        """Bytes of a content (`folder`: of the manifest that a folder's key names); None if it is nowhere."""
        name = key + (".dir" if folder else "")
        if name not in self._sizes:
            self._sizes[name] = self._find_size(name)
        return self._sizes[name]

    def open(self, key: str, *, folder: bool = False) -> Opened:
        """Raises NotFound."""
        name = key + (".dir" if folder else "")
        for path in self._local(name):
            try:
                return RandomFile(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
        remote = self.remote
        if remote is not None:
            for place in _places(name):
                if (size := self._listed.get(place)) is not None:
                    return RemoteFile(partial(remote.get, place), size)
        raise NotFound(f"{name} is neither in DVC's cache nor its remote")

    @cached_property
    def remote(self) -> Backend | None:
        """Asked only for what the cache does not hold. Raises UsageError for one that there is no way to."""
        name = self._wanted
        if name is None:
            name = self.config.get(("core", ""), {}).get("remote", "")
            if "://" in self.config.get(("remote", name), {}).get("url", ""):
                self.unasked = name
                return None
        if not name:
            return None
        section = self.config.get(("remote", name))
        url = self._url(section) if section is not None else name
        return open_backend(url, environment=self._environment)

    def close(self) -> None:
        if "remote" in self.__dict__ and self.remote is not None:
            self.remote.close()

    def _find_size(self, name: str) -> int | None:
        if _NAME.match(name) is None:
            return None
        here = file_size(self._local(name), follow=True)
        if here is not None or self.remote is None:
            return here
        return next((self._listed[place] for place in _places(name) if place in self._listed), None)

    def _local(self, name: str) -> Iterator[Path]:
        for place in _places(name):
            yield self.cache / place

    @cached_property
    def _listed(self) -> Mapping[str, int]:
        """What the remote holds, asked once: a question for each of thousands of files would take minutes."""
        return {entry.key: entry.size for entry in self.remote.list("")} if self.remote is not None else {}

    def _url(self, section: Mapping[str, str]) -> str:
        url = section.get("url", "")
        scheme, separator, rest = url.partition("://")
        if not separator:
            # As DVC does: relative to the folder of the config.
            return os.path.normpath(self._folder / url)
        if scheme == "file":
            return url
        if scheme == "remote":
            raise UsageError(f"DVC's remote {url} leads to another: name that one", hint="--remote NAME")
        if scheme not in _BUCKETS:
            raise UsageError(
                f"there is no way to a DVC remote of {scheme}://",
                hint="dvc fetch --all-commits brings all into DVC's cache; then import with --remote ''",
            )
        options = {ours: section[theirs] for theirs, ours in _OPTIONS.items() if section.get(theirs)}
        query = "?" + urlencode(options, quote_via=quote) if options else ""
        return f"{_BUCKETS[scheme]}://{rest.rstrip('/')}{query}"


def _places(name: str) -> tuple[str, ...]:
    """Where a content may lie, the likeliest first."""
    algorithm, _, digest = name.partition(":")
    split = f"{digest[:2]}/{digest[2:]}"
    new, old = f"files/md5/{split}", split
    return (new, old) if algorithm == "md5" else (old, new)


def _read_config(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The sections of `.dvc/config` and of `.dvc/config.local` over it: (kind, name) to its values."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in ("config", "config.local"):
        try:
            text = read_small(folder / name, _CONFIG).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        section: dict[str, str] = {}
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                match = _SECTION.match(line)
                if match is None:
                    raise ParseError(f"{folder / name}: {line[:60]!r} is no section")
                section = found.setdefault((match["kind"].lower(), match["name"] or ""), {})
            elif line and line[0] not in "#;":
                key, _, value = line.partition("=")
                section[key.strip().lower()] = value.strip().strip("\"'")
    return found
