"""A backend over opendal: object stores and the like. Only mvc/backends/open.py loads this, when it is needed.

opendal's own errors never get further: their texts hold addresses and answers of servers, so only what is known to be
harmless is taken over (opendal_errors.py). Retries are ours (retrying.py), its are off. What it does for us is to give
up on silence: its timeout counts from byte to byte of a read, but takes in the whole of a part that is written, which
therefore gets far longer.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import opendal
from opendal.layers import TimeoutLayer

from mvc import fsio
from mvc.backends.addresses import Address
from mvc.backends.base import (
    Capabilities,
    Entry,
    Report,
    Source,
    Streamed,
    check_key,
    check_prefix,
    check_range,
    is_key,
)
from mvc.backends.opendal_errors import beyond_end, cut, kind_of, translated
from mvc.errors import FileChanged, MvcError, NetworkError, NotFound, RemoteRefused, RemoteUnavailable, Unsupported
from mvc.fsio import Buffer

STALL_SECONDS = 30.0
"""No byte of an answer for so long: the request is given up."""
CONNECT_SECONDS = 10.0
WRITE_SECONDS = 300.0
"""A part that is not written within this is given up: 28 KB/s, at `_PART` bytes."""
_PART = 8 << 20
_PARTS_AT_ONCE = 2
_MOST_PARTS = 9000
"""S3 and its kin take 10,000."""
_ATOMIC = frozenset(("s3", "gcs", "azblob", "oss", "obs", "cos", "memory"))
_PARALLEL = 8


class OpendalBackend:
    """The store at an address.

    A store that takes nothing in parts (WebDAV, HDFS) gets each object in one request, out of memory.
    """

    def __init__(self, address: Address, *, stall: float = STALL_SECONDS, write_seconds: float = WRITE_SECONDS) -> None:
        """Raises UsageError for options that do not fit the service. Opens no connection."""
        self.url = address.url
        try:
            operator = opendal.Operator(address.service, **address.options)
        except Exception as error:
            raise translated(error, self.url) from None
        self._node = _node(address)
        self._reads = operator.layer(TimeoutLayer(timeout=stall, io_timeout=stall))
        self._writes = operator.layer(TimeoutLayer(timeout=stall, io_timeout=write_seconds))
        able = operator.capability()
        self._recursive: bool = able.list_with_recursive
        self._parts: bool = able.write_can_multi
        self.capabilities = Capabilities(
            put_if_absent=able.write_with_if_not_exists,
            atomic_put=address.service in _ATOMIC,
            ranges=True,
            list_after=able.list_with_start_after,
            parallel=_PARALLEL,
            part=_PART,
        )

    @property
    def _reader(self) -> Any:
        self._meet()
        return self._reads

    @property
    def _writer(self) -> Any:
        self._meet()
        return self._writes

    def _meet(self) -> None:
        """Once, before anything is asked of it, see that somebody is there. Raises RemoteUnavailable."""
        if self._node is None:
            return
        try:
            socket.create_connection(self._node, CONNECT_SECONDS).close()
        except OSError as error:
            why = "refuses connections" if isinstance(error, ConnectionRefusedError) else "cannot be reached"
            raise RemoteUnavailable(f"{self.url} {why}") from None
        self._node = None

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_range(offset, length)
        check_key(key)
        if length == 0:
            self._known_size(key)
            return b""
        try:
            data: bytes = self._reader.read(key, offset=offset, size=length)
        except Exception as error:
            if length is not None and (beyond_end(error) or cut(error)):
                return self._get_to_end(key, offset, length)
            if beyond_end(error):
                return b""
            failure = translated(error, self.url, key)
            if isinstance(failure, RemoteRefused) and not self.capabilities.atomic_put:
                self._known_size(key)  # a folder of WebDAV may not be read, and is no object
            raise failure from None
        if length is not None and len(data) > length:
            raise NetworkError(f"{self.url} gives other bytes of '{key}' than it was asked for")
        return data

    def _get_to_end(self, key: str, offset: int, length: int) -> bytes:
        """As `get`, for a range of which fewer bytes came: does the object end, or was the answer cut?"""
        left = self._known_size(key) - offset
        if left <= 0:
            return b""
        try:
            data: bytes = self._reader.read(key, offset=offset, size=min(left, length))
        except Exception as error:
            raise translated(error, self.url, key) from None
        return data

    def _known_size(self, key: str) -> int:
        size = self.size(key)
        if size is None:
            raise NotFound(f"'{key}' is not in {self.url}")
        return size

    def size(self, key: str) -> int | None:
        check_key(key)
        try:
            found = self._reader.stat(key)
        except Exception as error:
            failure = translated(error, self.url, key)
            if isinstance(failure, NotFound):
                return None
            raise failure from None
        return int(found.content_length) if found.is_file else None

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        check_key(key)
        if isinstance(source, Streamed):
            if source.size > _PART and self._parts:
                self._put_parts(key, _in_parts(source), source.size, progress)
                return
            source = b"".join(bytes(block) for block in source.blocks())
        elif isinstance(source, Path):
            with fsio.RandomFile(source) as file:
                size = file.stat().st_size
                if size > _PART and self._parts:
                    self._put_parts(key, _blocks_of_file(file, size), size, progress)
                    return
                source = _exactly(file, 0, size)
        view = memoryview(source).cast("B")
        if len(view) > _PART and self._parts:
            self._put_parts(
                key, (bytes(view[at : at + _PART]) for at in range(0, len(view), _PART)), len(view), progress
            )
            return
        self._write(key, view)
        if progress is not None:
            progress(len(view))

    def _put_parts(self, key: str, blocks: Iterator[bytes], size: int, progress: Report | None) -> None:
        part = max(_PART, math.ceil(size / _MOST_PARTS / 2**20) << 20)
        try:
            # Not a `with`: leaving one closes the writer, and that would publish what was written before an error.
            writer = self._writer.open(key, "wb", chunk=part, concurrent=_PARTS_AT_ONCE)
            for block in blocks:
                writer.write(block)
                if progress is not None:
                    progress(len(block))
            writer.close()
        except MvcError:
            raise
        except Exception as error:
            raise translated(error, self.url, key) from None

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        check_key(key)
        if not self.capabilities.put_if_absent:
            raise Unsupported(
                f"{self.url} cannot create an object only if it is not there, "
                "so two who push at once could lose a version",
                hint="it can be read from; docs/remotes/ tells what else reaches the same store",
            )
        try:
            # In one request, whatever its size: conditions on uploads in parts are kept by few, and ignored by some.
            self._writer.write(key, bytes(data), if_not_exists=True)
        except Exception as error:
            if kind_of(error) in ("ConditionNotMatch", "AlreadyExists"):
                return False
            raise translated(error, self.url, key) from None
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        if self.capabilities.list_after:
            return self._ordered(self._entries(prefix, start_after=after or None), after)
        folder = prefix if self._recursive else prefix[: prefix.rfind("/") + 1]
        wanted = (e for e in self._entries(folder) if e.key.startswith(prefix) and e.key > after)
        return iter(sorted(wanted, key=lambda entry: entry.key))

    def delete(self, keys: Iterable[str]) -> None:
        wanted = [check_key(key) for key in keys]
        with ThreadPoolExecutor(max(1, min(_PARALLEL, len(wanted)))) as pool:
            list(pool.map(self._delete, wanted))

    def close(self) -> None:
        pass  # connections go with the operators

    def _write(self, key: str, data: memoryview) -> None:
        try:
            self._writer.write(key, bytes(data))
        except Exception as error:
            raise translated(error, self.url, key) from None

    def _delete(self, key: str) -> None:
        try:
            self._writer.delete(key)
        except Exception as error:
            failure = translated(error, self.url, key)
            if not isinstance(failure, NotFound):
                raise failure from None

    def _entries(self, prefix: str, **options: Any) -> Iterator[Entry]:
        """What is under `prefix`, as the store lists it."""
        try:
            for found in self._reader.list(prefix, recursive=True, **options):
                if found.path.endswith("/") or not is_key(found.path):
                    continue
                when = found.metadata.last_modified
                yield Entry(found.path, found.metadata.content_length, when.timestamp() if when else None)
        except Exception as error:
            failure = translated(error, self.url, prefix)
            if not isinstance(failure, NotFound):
                raise failure from None

    def _ordered(self, entries: Iterator[Entry], after: str) -> Iterator[Entry]:
        """Entries as they come, held to the order that list_after promises."""
        for entry in entries:
            if entry.key <= after:
                raise NetworkError(f"{self.url} lists objects out of order")
            after = entry.key
            yield entry


def _exactly(file: fsio.RandomFile, offset: int, length: int) -> bytes:
    data = file.read_at(offset, length)
    if len(data) != length:
        raise FileChanged(f"'{file.path}' became shorter while it was read")
    return data


def _in_parts(source: Streamed) -> Iterator[bytes]:
    """Its blocks, put together to some megabytes: each is a call of the library."""
    held: list[bytes] = []
    size = 0
    for block in source.blocks():
        held.append(bytes(block))
        size += len(block)
        if size >= _PART:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _blocks_of_file(file: fsio.RandomFile, size: int) -> Iterator[bytes]:
    for offset in range(0, size, _PART):
        yield _exactly(file, offset, min(_PART, size - offset))


def _node(address: Address) -> tuple[str, int] | None:
    """The host and port to look for first, where the service's client says nothing of a connection that it cannot
    make: that of HDFS tries it again and again until it is given up. A name without a port is Hadoop's own to look up.
    """
    parts = urlsplit(address.options.get("name_node", ""))
    return (parts.hostname, parts.port) if parts.hostname and parts.port else None
