"""What opendal raises, as errors of mvc. Its classes have no base in common, and a file's errors come as OSError, so
the text is read: `<Kind> (temporary|permanent|persistent) at <operation> => ...`, then what the server answered.

That text is not shown: it holds addresses with signatures, names of keys, and whatever a server chose to answer. Words
of our own are put in its place, with at most the store's error code and HTTP status.
"""

from __future__ import annotations

import re

from mvc.errors import MvcError, NetworkError, NotFound, RemoteRefused, RemoteUnavailable, Unsupported, UsageError

_KIND = re.compile(r"(\w+) \((temporary|permanent|persistent)\)")
_CODE = re.compile(r'code: "([A-Za-z]{1,60})"')
_STATUS = re.compile(r"status: (\d{3})\b")
_SOURCES = (
    ("Connection refused", "refuses connections"),
    ("dns error", "has a host that is not known"),
    ("timeout reached", "does not answer, or not to the end"),
    ("certificate", "has a TLS certificate that is not trusted"),
    ("end of file", "broke the connection"),
    ("onnection reset", "broke the connection"),
    ("roken pipe", "broke the connection"),
)
"""What may stand in the cause of an error -> what is said of it."""
_DIRECTORY = re.compile("(?:is|not) a directory", re.IGNORECASE)
_PASSING_STATUS = frozenset((408, 425, 429))
_PASSING_CODES = frozenset(
    (
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "OperationAborted",
        "ConditionalRequestConflict",
    )
)
_NO_BUCKET = frozenset(("NoSuchBucket", "ContainerNotFound", "NoSuchContainer"))
_CREDENTIALS = "credentials are looked for in the environment and in the files of the store's own tools"


def kind_of(error: BaseException) -> str:
    """The name of opendal's kind of error: "NotFound", "Unexpected", ..."""
    found = _KIND.match(str(error))
    return found[1] if found else type(error).__name__


def beyond_end(error: BaseException) -> bool:
    """Whether a range was asked for that does not lie within the object."""
    text = str(error)
    # The last: azurite answers a range that begins at the end with "bytes 1000-999/1000", which opendal cannot read.
    return kind_of(error) == "RangeNotSatisfied" or "status: 416" in text or "end is less than start" in text


def cut(error: BaseException) -> bool:
    """Whether fewer bytes came than were asked for, by an answer that was whole in itself."""
    return "too little data" in str(error)


def translated(error: BaseException, url: str, key: str = "") -> MvcError:
    """The error of mvc that says the same without a secret. One of mvc's own is passed on."""
    if isinstance(error, MvcError):
        return error
    text = str(error).partition("Backtrace:")[0]
    kind = kind_of(error)
    code = found[1] if (found := _CODE.search(text)) else ""
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    cause = next((said for phrase, said in _SOURCES if phrase in text), "")
    detail = (
        f" ({', '.join(filter(None, (code, f'HTTP status {status}' if status else '')))})" if code or status else ""
    )
    if code in _NO_BUCKET:
        return NetworkError(f"{url} has no such bucket{detail}", hint="make it with the store's own tools")
    if kind in ("NotFound", "IsADirectory", "NotADirectory") or status == 404 or _DIRECTORY.search(text):
        return NotFound(f"'{key}' is not in {url}")
    if kind == "PermissionDenied" or status in (401, 403):
        return RemoteRefused(f"{url} refuses this{detail}", hint=f"{_CREDENTIALS}; may they read and write there?")
    if "signing credential" in text:
        return RemoteRefused(f"there are no credentials for {url}", hint=_CREDENTIALS)
    if "certificate" in text:
        return NetworkError(f"{url} {cause}")
    if _passes(kind, code, status, text):
        return RemoteUnavailable(f"{url} {cause or 'does not answer as it should'}{detail}")
    if kind == "Unsupported":
        return Unsupported(f"{url} cannot do this")
    if kind == "ConfigInvalid":
        return UsageError(f"{url} is not complete, or an option of it is wrong{detail}")
    return NetworkError(f"{url} {cause or f'does not answer as it should: {kind}'}{detail}")


def _passes(kind: str, code: str, status: int, text: str) -> bool:
    """Whether the same request may succeed later."""
    found = _KIND.match(text)
    temporary = found is not None and found[2] != "permanent"
    return (
        temporary
        or kind in ("RateLimited", "Conflict")
        or code in _PASSING_CODES
        or status in _PASSING_STATUS
        or status >= 500
        or "too little data" in text
    )
