from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from mvc.errors import ParseError
from mvc.formats.registry import detect
from tests.formats.making import zip64_archive, zip_archive
from tests.formats.reading import layout_of, reader, tensors_of


def npy(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("numpy_dtype", "spelling"),
    [
        ("<f4", "F32"),
        ("<f2", "F16"),
        ("<f8", "F64"),
        ("i1", "I8"),
        ("<i8", "I64"),
        ("u1", "U8"),
        (">u1", "U8"),
        ("<u2", "U16"),
        ("?", "BOOL"),
        ("<c8", "C64"),
        ("<c16", "C128"),
        ("V2", "V2"),
    ],
)
def test_each_dtype(numpy_dtype: str, spelling: str) -> None:
    array = np.arange(48).astype("u2").view("V2") if numpy_dtype == "V2" else np.arange(48).astype(numpy_dtype)
    data = npy(array.reshape(2, 3, 8))
    assert tensors_of(data, layout_of(data, "a.npy")) == {"array": (spelling, (2, 3, 8), array.tobytes())}


def test_ml_dtypes_keep_their_bytes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.arange(6).astype(ml_dtypes.bfloat16)
    data = npy(array)
    assert tensors_of(data, layout_of(data, "a.npy")) == {"array": ("V2", (6,), array.tobytes())}


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_each_version_and_shape(version: tuple[int, int]) -> None:
    for shape in ((), (1,), (5,), (0, 4), (2, 3, 4)):
        data = npy(np.zeros(shape, "<f4"), version=version)
        found = tensors_of(data, layout_of(data, "some/folder/a.npy"))
        assert found["array"][:2] == ("F32", shape)


def test_fortran_order_has_its_shape_turned() -> None:
    array = np.asfortranarray(np.arange(6, dtype="<f4").reshape(2, 3))
    data = npy(array)
    assert tensors_of(data, layout_of(data, "a.npy")) == {"array": ("F32", (3, 2), array.T.tobytes())}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(4, dtype=">f4"),
        np.array(["text"]),
        np.zeros(3, "f4,i2"),
        np.array([None, {}], dtype=object),
        np.zeros(2, "M8[s]"),
    ],
    ids=["big-endian", "text", "records", "objects", "dates"],
)
def test_elements_of_other_kinds_are_opaque(array: Any) -> None:
    data = npy(array)
    layout = layout_of(data, "a.npy")
    assert [segment.kind for segment in layout.segments] == ["header", "opaque"]


def test_an_archive_of_arrays() -> None:
    out = io.BytesIO()
    np.savez(out, weight=np.arange(6, dtype="<f4").reshape(2, 3), **{"layer.0/bias": np.arange(3, dtype="<i2")})
    data = out.getvalue()
    layout = layout_of(data, "whatever")
    assert layout.format == "npz"
    assert tensors_of(data, layout) == {
        "weight": ("F32", (2, 3), np.arange(6, dtype="<f4").tobytes()),
        "layer.0/bias": ("I16", (3,), np.arange(3, dtype="<i2").tobytes()),
    }


def test_a_compressed_archive_is_opaque() -> None:
    out = io.BytesIO()
    np.savez_compressed(out, weight=np.zeros(1000))
    data = out.getvalue()
    assert tensors_of(data, layout_of(data, "a.npz")) == {}


def test_an_archive_of_more_than_four_gigabytes() -> None:
    data = zip64_archive([("a.npy", npy(np.arange(3, dtype="<f4"))), ("b.npy", npy(np.arange(2, dtype="<f4")))])
    assert {name: shape for name, (_, shape, _) in tensors_of(data, layout_of(data, "a.npz")).items()} == {
        "a": (3,),
        "b": (2,),
    }


def test_an_archive_with_a_comment() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", npy(np.arange(3, dtype="<f4")))
        archive.comment = b"PK\5\6 and more" * 50
    data = out.getvalue()
    assert set(tensors_of(data, layout_of(data, "a.npz"))) == {"a"}


def test_zips_of_other_kinds_are_of_no_known_format() -> None:
    data = zip_archive([("word/document.xml", b"<xml/>"), ("data.pkl", b"N.")])
    assert detect(reader(data), len(data), "a.docx") is None
    assert detect(reader(data), len(data), "a.pt") is None
    assert detect(reader(data[:-30]), len(data) - 30, "a.docx") is None


def header(text: str, data: bytes = b"", *, length: int | None = None) -> bytes:
    return (
        b"\x93NUMPY\1\0"
        + (len(text) if length is None else length).to_bytes(2, "little")
        + text.encode("latin-1")
        + data
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x93NUMPY", id="short"),
        pytest.param(b"\x93NUMPY\x09\0" + bytes(20), id="version-9"),
        pytest.param(b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(20), id="header-of-4-GB"),
        pytest.param(header("", length=100), id="header-behind-the-end"),
        pytest.param(header("__import__('os').system('true')"), id="code"),
        pytest.param(header("[" * 5000), id="deep"),
        pytest.param(header("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", bytes(15)), id="too-short"),
        pytest.param(header("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }", bytes(16)), id="negative"),
        pytest.param(header("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2, 3), }", bytes(36)), id="1 2"),
        pytest.param(header("{'descr': '<f4', 'fortran_order': False, 'shape': (5,\x1f), }", bytes(36)), id="1f"),
        pytest.param(header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**70},), }}"), id="2^70"),
        pytest.param(header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': (0, {2**70}), }}"), id="0-by-2^70"),
        pytest.param(
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 70 + ")}", bytes(4)), id="70-d"
        ),
    ],
)
def test_one_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        detect(reader(data), len(data), "a.npy")
    archive = zip_archive([("a.npy", data)])
    with pytest.raises(ParseError):
        detect(reader(archive), len(archive), "a.npz")
