"""What every backend must keep. A test class of each backend inherits these, and gives the fixture `backend`.

Each test works under keys of its own (the fixture `at`), so that one server may serve all of them.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mvc.backends.base import Backend, Streamed
from mvc.backends.probe import probe, require
from mvc.errors import IntegrityError, NotFound, Unsupported, UsageError
from mvc.fsio import Buffer

At = Callable[[str], str]
_BLOCK = 50_000
NO_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "a/./b",
    ".tmp/a",
    "a/.hidden",
    "A",
    "a b",
    "a\\b",
    "a\0",
    "ä",
    "a\n",
    "x" * 201,
    "a/" * 300 + "a",
]


def pattern(size: int) -> bytes:
    """Bytes that differ at every place of note: a range that is off by one is seen."""
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


class Stream(Streamed):
    """Gives its bytes by blocks, each in the same memory; and fails behind `breaks`."""

    def __init__(self, data: bytes, breaks: int | None = None) -> None:
        self.data, self._breaks = data, breaks

    @property
    def size(self) -> int:
        return len(self.data)

    def blocks(self) -> Iterator[Buffer]:
        memory = bytearray(_BLOCK)
        for start in range(0, len(self.data), _BLOCK):
            block = self.data[start : start + _BLOCK]
            if self._breaks is not None and start + len(block) > self._breaks:
                raise IntegrityError("broken here")
            memory[: len(block)] = block
            yield memoryview(memory)[: len(block)]


class Contract:
    """The contract of mvc/backends/base.py."""

    enforced = True
    """Whether put_if_absent is to be found trustworthy."""
    secrets: tuple[str, ...] = ()
    """What must never show."""

    @pytest.fixture
    def at(self) -> At:
        prefix = f"t{uuid.uuid4().hex[:12]}"
        return lambda key: f"{prefix}/{key}" if key else f"{prefix}/"

    @pytest.mark.parametrize("size", [0, 1, 70_001])
    def test_bytes_come_back(self, backend: Backend, at: At, size: int) -> None:
        data = pattern(size)
        for source in (data, bytearray(data), memoryview(data)):
            backend.put(at("some/key"), source)
            assert backend.get(at("some/key")) == data
        assert backend.size(at("some/key")) == size

    @pytest.mark.parametrize("extra", [0, 1])
    def test_files_go_in_parts(self, backend: Backend, at: At, tmp_path: Path, extra: int) -> None:
        file = tmp_path / "file"
        file.write_bytes(pattern(2 * backend.capabilities.part + extra))
        told: list[int] = []
        backend.put(at("file"), file, progress=told.append)
        assert sum(told) == file.stat().st_size == backend.size(at("file"))
        assert backend.get(at("file")) == file.read_bytes()

    def test_an_empty_file(self, backend: Backend, at: At, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        backend.put(at("empty"), tmp_path / "empty")
        assert backend.get(at("empty")) == b"" and backend.size(at("empty")) == 0

    @pytest.mark.parametrize("size", [0, 1, 70_001, None])
    def test_streams_use_their_memory_again(self, backend: Backend, at: At, size: int | None) -> None:
        stream = Stream(pattern(2 * backend.capabilities.part + 1 if size is None else size))
        told: list[int] = []
        backend.put(at("stream"), stream, progress=told.append)
        assert sum(told) == stream.size == backend.size(at("stream"))
        assert backend.get(at("stream")) == stream.data

    @pytest.mark.parametrize("parts", [0.1, 2.5])
    def test_a_stream_that_fails_leaves_nothing(self, backend: Backend, at: At, parts: float) -> None:
        if not backend.capabilities.atomic_put:
            pytest.skip("it cannot take back what it has written")
        size = int(parts * backend.capabilities.part)
        for before in (None, b"before"):
            if before is not None:
                backend.put(at("broken"), before)
            with pytest.raises(IntegrityError, match="broken here"):
                backend.put(at("broken"), Stream(pattern(size), size - 1))
            assert backend.size(at("broken")) == (None if before is None else len(before))

    def test_large_bytes(self, backend: Backend, at: At) -> None:
        data = pattern(backend.capabilities.part + 1)
        told: list[int] = []
        backend.put(at("large"), data, progress=told.append)
        assert sum(told) == len(data)
        assert backend.get(at("large")) == data

    def test_put_replaces(self, backend: Backend, at: At) -> None:
        for data in (b"first and long", b"second", b"", b"third"):
            backend.put(at("k"), data)
            assert backend.get(at("k")) == data

    @pytest.mark.parametrize("offset", [0, 1, 998, 999, 1000, 1001, 5000])
    def test_ranges(self, backend: Backend, at: At, offset: int) -> None:
        data = pattern(1000)
        backend.put(at("k"), data)
        assert backend.get(at("k"), offset) == data[offset:]
        for length in (0, 1, 2, 999, 1000, 1001, 1 << 40):
            assert backend.get(at("k"), offset, length) == data[offset : offset + length]

    def test_ranges_that_make_no_sense(self, backend: Backend, at: At) -> None:
        backend.put(at("k"), b"1")
        for offset, length in ((-1, None), (0, -1), (-5, 3)):
            with pytest.raises(UsageError):
                backend.get(at("k"), offset, length)

    def test_what_is_not_there(self, backend: Backend, at: At) -> None:
        backend.put(at("folder/key"), b"1")
        for key in ("none", "folder", "folder/none", "folder/key/below"):
            for length in (None, 0, 7):
                with pytest.raises(NotFound):
                    backend.get(at(key), 0, length)
            with pytest.raises(NotFound):
                backend.get(at(key), 3, 5)
            assert backend.size(at(key)) is None

    def test_no_keys(self, backend: Backend) -> None:
        for key in NO_KEYS:
            for call in (
                backend.get,
                backend.size,
                lambda k: backend.put(k, b""),
                lambda k: backend.put_if_absent(k, b""),
                lambda k: backend.delete([k]),
            ):
                with pytest.raises(UsageError):
                    call(key)
        for prefix in ("/", "../", "A", "a//", ".t"):
            with pytest.raises(UsageError):
                list(backend.list(prefix))

    def test_put_if_absent(self, backend: Backend, at: At) -> None:
        if not backend.capabilities.put_if_absent:
            with pytest.raises(Unsupported):
                backend.put_if_absent(at("k"), b"first")
            assert backend.size(at("k")) is None
            return
        if not self.enforced:
            pytest.skip("the store says that it can and does not: see test_probe")
        assert backend.put_if_absent(at("k"), b"first") is True
        for data in (b"second", b"first", b""):
            assert backend.put_if_absent(at("k"), data) is False
        assert backend.get(at("k")) == b"first"
        backend.put(at("plain"), b"put")
        assert backend.put_if_absent(at("plain"), b"late") is False
        backend.delete([at("k")])
        assert backend.put_if_absent(at("k"), b"again") is True
        assert backend.put_if_absent(at("empty"), b"") is True
        assert backend.put_if_absent(at("empty"), b"1") is False

    def test_one_of_many_creates(self, backend: Backend, at: At) -> None:
        if not (backend.capabilities.put_if_absent and self.enforced):
            pytest.skip("no put_if_absent")
        start = threading.Barrier(12)

        def create(number: int) -> bool:
            start.wait()
            return backend.put_if_absent(at("k"), pattern(20_000) + bytes([number]))

        with ThreadPoolExecutor(12) as pool:
            for _ in range(3):
                won = list(pool.map(create, range(12)))
                assert Counter(won) == {True: 1, False: 11}
                assert backend.get(at("k"))[-1] == won.index(True)
                backend.delete([at("k")])

    def test_nobody_sees_a_part(self, backend: Backend, at: At) -> None:
        if not backend.capabilities.atomic_put:
            pytest.skip("puts are not atomic, as the capabilities say")
        versions = {bytes([n]) * (100_000 + 30_000 * n) for n in range(4)}
        over = threading.Event()
        backend.put(at("k"), min(versions))

        def write() -> None:
            for _ in range(6):
                for data in versions:
                    backend.put(at("k"), data)
            over.set()

        with ThreadPoolExecutor(3) as pool:
            writer = pool.submit(write)
            while not over.is_set() and not writer.done():
                assert backend.get(at("k")) in versions
            writer.result()

    def test_lists_in_order_of_bytes(self, backend: Backend, at: At) -> None:
        keys = ["a", "a-b", "a-c/c", "a.b", "b/a", "b/a-/d", "b/a.c", "b/b", "b/b-", "b/bb/c/d", "b0", "c"]
        keys = ["x/" + key for key in keys]
        for key in reversed(keys):
            backend.put(at(key), key.encode() * 3)
        backend.put(at("y"), b"not under x")
        found = list(backend.list(at("x/")))
        assert [entry.key for entry in found] == sorted(at(key) for key in keys)
        assert all(entry.size == 3 * len(entry.key.removeprefix(at(""))) for entry in found)
        assert all(entry.modified is None or abs(entry.modified - time.time()) < 600 for entry in found)

    @pytest.mark.parametrize(
        ("prefix", "after", "expected"),
        [
            ("", "", "a/1 a/2 a/30 ab b/1"),
            ("a", "", "a/1 a/2 a/30 ab"),
            ("a/", "", "a/1 a/2 a/30"),
            ("a/3", "", "a/30"),
            ("a/30", "", "a/30"),
            ("a/300", "", ""),
            ("none/", "", ""),
            ("", "a/1", "a/2 a/30 ab b/1"),
            ("a/", "a/1", "a/2 a/30"),
            ("a/", "a/2", "a/30"),
            ("a/", "a/15", "a/2 a/30"),
            ("a/", "a/30", ""),
            ("a/", "b", ""),
            ("b", "a", "b/1"),
            ("", "b/1", ""),
        ],
    )
    def test_lists_by_prefix_and_after(self, backend: Backend, at: At, prefix: str, after: str, expected: str) -> None:
        for key in ("a/1", "a/2", "a/30", "ab", "b/1"):
            backend.put(at(key), b".")
        found = [entry.key for entry in backend.list(at(prefix), at(after) if after else "")]
        assert found == [at(key) for key in expected.split()]

    def test_deletes(self, backend: Backend, at: At) -> None:
        keys = [at(f"d/{number}") for number in range(7)]
        for key in keys:
            backend.put(key, b".")
        backend.delete(iter([*keys[:5], at("none"), at("none/below")]))
        assert [entry.key for entry in backend.list(at("d/"))] == keys[5:]
        backend.delete([])
        backend.delete(keys)
        assert not list(backend.list(at("")))

    def test_many_threads(self, backend: Backend, at: At) -> None:
        def work(number: int) -> None:
            data = os.urandom(3000 + number)
            for turn in range(3):
                key = at(f"{number % 5}/{number}-{turn}")
                backend.put(key, data)
                assert backend.get(key) == data
                assert backend.get(key, 100, 50) == data[100:150]
                assert backend.size(key) == len(data)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))
        assert len(list(backend.list(at("")))) == 48

    def test_probe(self, backend: Backend, at: At) -> None:
        verdict = probe(backend)
        assert verdict.enforced is self.enforced and bool(verdict.reason) is not self.enforced
        assert not list(backend.list("probe/"))
        if self.enforced:
            require(backend, verdict)
        else:
            with pytest.raises(Unsupported, match="two who push at once"):
                require(backend, verdict)

    def test_no_secret_shows(self, backend: Backend) -> None:
        assert not any(secret in backend.url or secret in repr(backend) for secret in self.secrets)
