"""What may be read: GET and HEAD of objects, and listings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from itertools import islice

from mvc.backends.base import is_key
from mvc.errors import NotFound
from mvc.hub.messages import FileSlice, Request, Response, Right
from mvc.hub.replies import BINARY, Absent, Status, plain
from mvc.hub.served import PART, Served
from mvc.sync import keys

_ENTRY = re.compile(r"txn/[0-9]{12}")
_GC = re.compile(r"gc/[0-9a-z]{1,100}")
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")
_ROWS = 1000
_ALL_PARTS = 32 * 1024 * 1024
_LEAST_PART = 256 * 1024
_PENDING = ("packs/", "idx/", "git/")


def read_object(served: Served, request: Request, key: str, right: Right) -> Response:
    """GET or HEAD of `key`. Raises NotFound, Status."""
    if not is_key(key):
        raise Absent("there is no such object")
    if key == keys.LATEST:
        seq = served.listed(fresh=True).state.seq
        if not seq:
            raise Absent("nobody has pushed yet")
        return plain(200, b"%d\n" % seq)
    size = served.holds(key) if key.startswith(_PENDING) else None
    if size is not None:
        return _stored(served, request, key, size)
    if request.method == "HEAD" and key.startswith(_PENDING) and right >= Right.APPEND:
        size = served.backend.size(key)
        if size is not None:
            return Response(200, {"content-length": str(size), "content-type": BINARY})
    small = key == keys.FORMAT or _ENTRY.fullmatch(key) or (_GC.fullmatch(key) and right >= Right.APPEND)
    if not small:
        raise Absent("there is no such object")
    return _small(served, request, key)


def _stored(served: Served, request: Request, key: str, size: int) -> Response:
    """A pack or idx that is live: it never changes."""
    wanted = _range(request)
    first, length = (0, size) if wanted is None else (wanted[0], min(wanted[1] or size, size - wanted[0]))
    headers = {"content-type": BINARY, "accept-ranges": "bytes", "cache-control": "private, immutable, max-age=604800"}
    if wanted is not None:
        if first >= size:
            raise Status(416, "the range begins behind the end", content_range=f"bytes */{size}")
        headers["content-range"] = f"bytes {first}-{first + length - 1}/{size}"
    headers["content-length"] = str(length)
    status = 200 if wanted is None else 206
    if request.method == "HEAD":
        return Response(status, headers)
    if served.storage.folder is not None:
        path = served.storage.folder.path(key)
        if not path.is_file():
            raise Absent("it is not there any more")
        return Response(status, headers, FileSlice(path, first, length))
    return Response(status, headers, _parts(served, key, first, length))


class _Streams:
    """How much is read of a store at once for each of the answers under way: less the more there are, so that all of
    them together hold no more than `_ALL_PARTS`, or the least there is for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0

    def __enter__(self) -> _Streams:
        with self._lock:
            self._running += 1
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._running -= 1

    @property
    def part(self) -> int:
        return max(_LEAST_PART, min(PART, _ALL_PARTS // max(self._running, 1)))


_STREAMS = _Streams()


def _parts(served: Served, key: str, first: int, length: int) -> Iterator[bytes]:
    end = first + length
    with _STREAMS as streams:
        while first < end:
            part = served.backend.get(key, first, min(streams.part, end - first))
            if not part:
                raise NotFound(f"'{key}' is not whole any more")
            first += len(part)
            yield part
            del part


def _small(served: Served, request: Request, key: str) -> Response:
    """An entry of the log, or the like: read whole, or its beginning."""
    if request.method == "HEAD":
        size = served.backend.size(key)
        if size is None:
            raise Absent("there is no such object")
        return Response(200, {"content-length": str(size), "content-type": BINARY})
    wanted = _range(request)
    if wanted is None:
        return plain(200, served.backend.get(key))
    data = served.backend.get(key, wanted[0], wanted[1])
    if not data:
        raise Status(416, "the range begins behind the end", content_range="bytes */*")
    return plain(206, data, headers={"content-range": f"bytes {wanted[0]}-{wanted[0] + len(data) - 1}/*"})


def _range(request: Request) -> tuple[int, int | None] | None:
    """(first byte, length or None for all that follows) of a range that is asked for. Others are not served: None."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None:
        return None
    first = int(found[1])
    if not found[2]:
        return first, None
    last = int(found[2])
    return (first, last - first + 1) if last >= first else None


def list_keys(served: Served, request: Request, right: Right) -> Response:
    """The keys of the log, or of gc's lists. Raises Status."""
    prefix, after = request.query.get("prefix", ""), request.query.get("after", "")
    if prefix not in (keys.LOG, keys.GC) or (after and not is_key(after)):
        raise Status(400, "only the log and gc's lists are listed")
    if prefix == keys.GC and right < Right.APPEND:
        raise Status(403, "this token may not add to this repository")
    served.naming()
    rows = list(islice(served.backend.list(prefix, after), _ROWS + 1))
    text = "".join(f"{row.key} {row.size}\n" for row in rows[:_ROWS])
    more = {"mvc-more": "1"} if len(rows) > _ROWS else None
    return plain(200, text.encode(), "text/plain; charset=utf-8", more)
