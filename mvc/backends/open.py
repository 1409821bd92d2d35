"""From a URL to a backend, with all that is wrapped around it: the one place where a backend is put together."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from mvc.backends.base import Backend
from mvc.backends.folder import FolderBackend
from mvc.backends.limited import UNLIMITED, LimitedBackend, Rates
from mvc.backends.retrying import RetryingBackend
from mvc.errors import Unsupported, UsageError
from mvc.lazy import load

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""Two letters or more: `C:/models` is a path."""
_HOST_PATH = re.compile(r"(?![A-Za-z]:[\\/])(?:[^/:@\s\\]+@)?(?:\[[^\]/]+\]|[^/:@\[\]\\]+):")
"""`host:path`, as for scp: nothing before the colon is a folder."""
_BUNDLE = "mvc.backends.bundlefile:open_bundle"


class _Way(NamedTuple):
    """How a scheme is reached. What it names is loaded when asked for."""

    reads: str
    """Makes an address of the URL and the environment."""
    opens: str
    """Makes a backend of the address."""
    package: str = ""
    """What it takes beside mvc, and the extra that brings it."""
    extra: str = ""


_HTTP = _Way("mvc.backends.http_address:parse", "mvc.backends.http:open_http")
_WAYS: Mapping[str, _Way] = {
    "http": _HTTP,
    "https": _HTTP,
    "ssh": _Way("mvc.backends.ssh:parse", "mvc.backends.ssh:open_ssh"),
    "sftp": _Way("mvc.backends.sftp_address:parse", "mvc.backends.sftp:open_sftp", "asyncssh", "sftp"),
}
_STORE = _Way("mvc.backends.addresses:parse", "mvc.backends.opendal_store:OpendalBackend", "opendal", "remotes")
"""Every other scheme; those that it knows stand in a table of its own, `_KINDS`."""
_KINDS = "mvc.backends.addresses:KINDS"
_CHECK = "mvc.backends.addresses:check"


def open_backend(url: str, *, environment: Mapping[str, str], rates: Rates = UNLIMITED) -> Backend:
    """The backend at `url`: a path, file://, http(s)://, ssh://, host:path, sftp://, or one of `addresses.KINDS`.

    `environment` is where credentials are looked for (a command gives `os.environ`). `rates`: no faster.
    Connects to nothing yet. Raises UsageError for a URL that makes no sense, Unsupported where a package is missing.
    """
    if is_local(url):
        path, found = local_path(url), _SCHEME.match(url)
        if path.is_file() or (not path.exists() and path.with_name(f"{path.name}.001").is_file()):
            return _wrapped(load(_BUNDLE)(path, url=url if found else os.fspath(path)), rates)
        return _wrapped(FolderBackend(path, url=url if found else os.fspath(path)), rates)
    scheme = _scheme(url)
    if scheme not in _WAYS and scheme not in schemes():
        raise UsageError(f"no way to reach {scheme}://", hint=f"there are {', '.join(schemes())}")
    way = _WAYS.get(scheme, _STORE)
    address = load(way.reads)(url, environment)
    try:
        opens = load(way.opens)
    except ModuleNotFoundError as error:
        if not way.package or error.name is None or error.name.startswith("mvc"):
            raise
        hint = f"pip install 'mvc-models[{way.extra}]'"
        raise Unsupported(f"{scheme}:// needs the package {way.package}", hint=hint) from None
    return _wrapped(opens(address), rates)


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


def check_kept(url: str) -> None:
    """Raises UsageError for a URL that must not be kept, as it holds a user or options that its scheme does not take:
    they may be a token or a key."""
    scheme = _scheme(url)
    if scheme == "file" or "://" not in url:
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError("not a URL of a remote") from None
    if not (parts.query or parts.fragment or "@" in parts.netloc):
        return
    if scheme in _WAYS:
        load(_WAYS[scheme].reads)(url, {})
    else:
        load(_CHECK)(url)


def schemes() -> tuple[str, ...]:
    """Every scheme that `open_backend` takes."""
    return ("file", *_WAYS, *load(_KINDS))
