"""Which parser is asked, and that none takes more than its limits from a file that means harm."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.formats import registry
from mvc.formats.registry import claimed_format, detect
from mvc.lazy import load
from tests.formats.making import (
    entry,
    gguf,
    gguf_info,
    gguf_string,
    onnx_model,
    onnx_tensor,
    pickled_dict,
    pickled_tensor,
    proto,
    safetensors,
    torch_archive,
    zip_archive,
)
from tests.formats.reading import assert_covers, layout_of, reader, tensors_of

SMALL = {
    "safetensors": safetensors({"w": entry("F32", [4], 0, 16)}, bytes(16)),
    "gguf": gguf([], [gguf_info("w", (4,), 0, 0)], bytes(16)),
    "onnx": onnx_model(onnx_tensor("w", [16], 1, bytes(64))),
    "pytorch": torch_archive(pickled_dict({"w": pickled_tensor("0", 4, (4,))}), {"0": bytes(16)}),
    "distcp": torch_archive(b"\x80\x02" + pickled_tensor("0", 4, (4,)) + b".", {"0": bytes(16)}),
    "npy": b"\x93NUMPY\1\0"
    + struct.pack("<H", 57)
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"
    + bytes(16),
}
SMALL["npz"] = zip_archive([("w.npy", SMALL["npy"])])
SUFFIXES = {"pytorch": ".pt"}


@pytest.mark.parametrize("name", SMALL)
def test_each_format_is_found(name: str) -> None:
    layout = layout_of(SMALL[name], "folder.d/model" + SUFFIXES.get(name, "." + name).upper())
    assert layout.format == name
    assert len(tensors_of(SMALL[name], layout)) == 1


def test_each_parser_loads() -> None:
    assert set(registry.PARSERS) == set(SMALL)
    for target in (
        *registry.PARSERS.values(),
        registry.EXTERNAL,
        registry.ARCHIVE,
        registry.FIND_ROOT,
        registry.IS_NPZ,
    ):
        assert callable(load(target))


def test_first_bytes_count_more_than_the_suffix() -> None:
    assert claimed_format(b"GGUF" + bytes(12), "model.safetensors") == "gguf"
    assert claimed_format(bytes(16), "model.safetensors") == "safetensors"
    assert claimed_format(bytes(16), "safetensors") is None
    assert claimed_format(bytes(16), "model.h5") is None


def test_files_of_no_known_format() -> None:
    for data in (b"", b"x", b"hello world, this is text", bytes(100), b"PK\3\4", b"\x80\x02}q\0."):
        for name in ("a", "a.txt", "a.tar"):
            assert detect(reader(data), len(data), name) is None


def test_errors_of_reading_pass_through() -> None:
    def read_at(offset: int, length: int) -> bytes:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        detect(read_at, 1000, "a.safetensors")


@pytest.mark.parametrize("name", SMALL)
def test_a_file_that_shrinks_while_it_is_read(name: str) -> None:
    data = SMALL[name]
    for size in range(0, len(data), 7):
        try:
            layout = detect(reader(data[:size]), len(data), "model" + SUFFIXES.get(name, "." + name))
        except ParseError:
            continue
        if layout is not None:
            assert_covers(layout, len(data))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(SMALL)), st.data())
def test_damaged_files_are_refused_or_covered(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SMALL[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for file in (bytes(damaged), bytes(damaged[:cut]), bytes(damaged) + bytes(cut)):
        try:
            layout = detect(reader(file), len(file), "model" + SUFFIXES.get(name, "." + name))
        except ParseError:
            continue
        if layout is not None:
            assert_covers(layout, len(file))


def test_a_parser_is_imported_when_it_is_needed() -> None:
    script = (
        "import sys; from mvc.formats.registry import detect; import mvc.chunking.plan\n"
        "assert detect(lambda o, n: bytes(n), 100, 'a.txt') is None\n"
        "heavy = {'numpy', 'json', 'pickle', 'pickletools', 'zipfile', 'pyfastcdc', 'mvc.formats.safetensors'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


MEGABYTE = 1024 * 1024


def _long_names() -> bytes:
    """A list of 60,000 times one tensor, below 1,000 characters of keys."""
    keys = b"}X" + struct.pack("<I", 1000) + b"k" * 1000
    return torch_archive(
        b"\x80\x02" + keys + b"(" + pickled_tensor("0", 4, (4,)) + b"q\0" + b"h\0" * 60_000 + b"ls.", {"0": bytes(16)}
    )


GREEDY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "header-of-lists": ("a.safetensors", lambda: safetensors(b'{"a":{"dtype":"U8","shape":' + b"[]," * 2_000_000)),
    "header-of-metadata": (
        "a.safetensors",
        lambda: safetensors(b'{"__metadata__":{' + b'"":"",' * 100_000 + b'"":""}}'),
    ),
    "vocabulary": ("a.gguf", lambda: gguf([gguf_string("k") + struct.pack("<IIQ", 9, 8, 10**7)], [], bytes(10**6))),
    "fields": ("a.onnx", lambda: proto(7, proto(5, b"\1" * 200_000))),
    "containers": ("a.pt", lambda: torch_archive(b"\x80\x02" + b"]" * 100_000 + b".", {})),
    "names": ("a.pt", _long_names),
    "doubling": ("a.pt", lambda: torch_archive(b"\x80\x02]" + b"2\x86" * 10_000 + b".", {})),
}


@pytest.mark.parametrize("case", GREEDY.values(), ids=GREEDY)
def test_memory_stays_bounded(case: tuple[str, Callable[[], bytes]]) -> None:
    name, make = case
    data = make()
    tracemalloc.start()
    try:
        layout = detect(reader(data), len(data), name)
        assert layout is not None
        assert_covers(layout, len(data))
    except ParseError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < len(data) * 3 + 60 * MEGABYTE
