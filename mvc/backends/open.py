"""From a URL to a backend, with all that is wrapped around it: the one place where a backend is put together."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mvc.backends.base import Backend
from mvc.backends.folder import FolderBackend
from mvc.backends.limited import UNLIMITED, LimitedBackend, Rates
from mvc.backends.retrying import RetryingBackend
from mvc.errors import Unsupported, UsageError
from mvc.lazy import load

_ADDRESSES = {"parse": "mvc.backends.addresses:parse", "kinds": "mvc.backends.addresses:KINDS"}
"""Loaded for object stores alone: they take configparser and netrc."""
_OPENDAL = "mvc.backends.opendal_store:OpendalBackend"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""Two letters or more: `C:/models` is a path."""
_HOST_PATH = re.compile(r"(?![A-Za-z]:[\\/])(?:[^/:@\s\\]+@)?(?:\[[^\]/]+\]|[^/:@\[\]\\]+):")
"""`host:path`, as for scp: nothing before the colon is a folder."""
_BUNDLE = "mvc.backends.bundlefile:open_bundle"
_SERVERS = {
    "http": ("mvc.backends.http_address:parse", "mvc.backends.http:open_http"),
    "https": ("mvc.backends.http_address:parse", "mvc.backends.http:open_http"),
    "ssh": ("mvc.backends.ssh:parse", "mvc.backends.ssh:open_ssh"),
}
"""Schemes of an mvc server: what reads the URL, and what makes the backend of it. Loaded when asked for."""


def open_backend(url: str, *, environment: Mapping[str, str], rates: Rates = UNLIMITED) -> Backend:
    """The backend at `url`: a path, file://, http(s)://, ssh://, host:path, or one of `addresses.KINDS`.

    `environment` is where credentials are looked for (a command gives `os.environ`). `rates`: no faster.
    Connects to nothing yet. Raises UsageError for a URL that makes no sense, Unsupported where a package is missing.
    """
    if is_local(url):
        path, found = local_path(url), _SCHEME.match(url)
        if path.is_file() or (not path.exists() and path.with_name(f"{path.name}.001").is_file()):
            return _wrapped(load(_BUNDLE)(path, url=url if found else os.fspath(path)), rates)
        return _wrapped(FolderBackend(path, url=url if found else os.fspath(path)), rates)
    scheme = _scheme(url)
    if scheme in _SERVERS:
        reads, opens = map(load, _SERVERS[scheme])
        return _wrapped(opens(reads(url, environment)), rates)
    address = load(_ADDRESSES["parse"])(url, environment)
    try:
        store = load(_OPENDAL)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("mvc"):
            raise
        raise Unsupported(f"{scheme}:// needs the package opendal", hint="pip install 'mvc-models[remotes]'") from None
    return _wrapped(store(address), rates)


def _wrapped(inner: Backend, rates: Rates) -> Backend:
    """What every backend gets: retries, around the limit, so that what is sent twice counts twice."""
    return RetryingBackend(inner if rates == UNLIMITED else LimitedBackend(inner, rates))


def is_local(url: str) -> bool:
    """Whether `url` is a folder of this machine."""
    return _scheme(url) == "file"


def _scheme(url: str) -> str:
    """In small letters; "file" for a path, "ssh" for host:path."""
    found = _SCHEME.match(url)
    if found is not None:
        return found[1].lower()
    return "ssh" if _HOST_PATH.match(url) else "file"


def local_path(url: str) -> Path:
    """The folder that a path or a file:// URL names. Raises UsageError if the URL names another machine's."""
    if _SCHEME.match(url) is None:
        return Path(url)
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path:
        raise UsageError(f"a folder of this machine is file:///path, with three slashes: {url}")
    return Path(unquote(parts.path))


def schemes() -> tuple[str, ...]:
    """Every scheme that `open_backend` takes."""
    return ("file", *_SERVERS, *load(_ADDRESSES["kinds"]))
