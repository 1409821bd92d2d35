from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from mvc.errors import ParseError
from mvc.formats.registry import detect
from tests.formats.making import entry, safetensors
from tests.formats.reading import layout_of, reader, tensors_of

NAME = "model.safetensors"


def test_reads_what_the_reference_writes() -> None:
    arrays = {
        "b.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "a": np.arange(5, dtype=np.float16),
        "none": np.zeros((0, 7), dtype=np.int64),
        "scalar": np.array(3, dtype=np.uint8),
    }
    data = save(arrays, metadata={"note": 'braces } and "quotes"', "ünicode": "\u2603"})
    layout = layout_of(data, NAME)
    found = tensors_of(data, layout)
    assert layout.format == "safetensors"
    assert {name: tensor[:2] for name, tensor in found.items()} == {
        "b.weight": ("F32", (3, 4)),
        "a": ("F16", (5,)),
        "none": ("I64", (0, 7)),
        "scalar": ("U8", ()),
    }
    assert all(found[name][2] == array.tobytes() for name, array in arrays.items())


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
        st.sampled_from([("F32", 4), ("BF16", 2), ("F8_E4M3", 1), ("C128", 16), ("NEW_KIND", 3)]),
        max_size=8,
    ),
    st.integers(0, 5),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_any_header_that_is_in_order(
    names: dict[str, tuple[str, int]], count: int, indent: int | None, ascii_only: bool
) -> None:
    header, at = {}, 0
    for name, (dtype, item) in names.items():
        header[name] = entry(dtype, [count], at, at + count * item)
        at += count * item
    text = json.dumps(header, indent=indent, ensure_ascii=ascii_only).encode()
    data = safetensors(text + b"  ", bytes(at))
    assert set(tensors_of(data, layout_of(data, NAME))) == set(names)


def test_bytes_that_no_tensor_claims_are_opaque() -> None:
    data = safetensors({"a": entry("U8", [4], 2, 6), "b": entry("U8", [1], 9, 10)}, bytes(20))
    kinds = [(segment.kind, segment.length) for segment in layout_of(data, NAME).segments]
    assert kinds[1:] == [("opaque", 2), ("tensor", 4), ("opaque", 3), ("tensor", 1), ("opaque", 10)]


def test_found_without_its_suffix() -> None:
    data = safetensors({"a": entry("U8", [4], 0, 4)}, b"abcd")
    assert layout_of(data, "5f9a0c").format == "safetensors"
    assert detect(reader(b"\x05" + bytes(7) + b"{nothing else"), 21, "blob") is None


A = '"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(bytes(7), id="short"),
        pytest.param(safetensors({}, length=2**63), id="header-of-exabytes"),
        pytest.param(safetensors({}, length=5 * 2**40), id="header-of-terabytes"),
        pytest.param(safetensors({}, length=3), id="header-behind-the-end"),
        pytest.param(safetensors(b"[]", b""), id="no-object"),
        pytest.param(safetensors(b'{"a":{}}', b""), id="no-fields"),
        pytest.param(safetensors(f"{{{A},{A}}}".encode(), bytes(8)), id="duplicate-keys"),
        pytest.param(safetensors(b'{"__metadata__":{},"__metadata__":{}}'), id="duplicate-metadata"),
        pytest.param(safetensors(b'{"__metadata__":{"a":1}}'), id="metadata-of-numbers"),
        pytest.param(
            safetensors(A.replace('"dtype"', '"dtype":"U8","dtype"').join("{}").encode(), bytes(4)), id="twice"
        ),
        pytest.param(safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)), id="overlap"),
        pytest.param(safetensors({"a": entry("U8", [4], -4, 0)}, bytes(8)), id="negative-offset"),
        pytest.param(safetensors({"a": entry("U8", [-4], 0, 4)}, bytes(8)), id="negative-shape"),
        pytest.param(safetensors({"a": entry("U8", [4], 6, 2)}, bytes(8)), id="backwards"),
        pytest.param(safetensors({"a": entry("U8", [4], 0, 4)}, bytes(3)), id="past-the-end"),
        pytest.param(safetensors({"a": entry("F32", [4], 0, 4)}, bytes(4)), id="wrong-length"),
        pytest.param(safetensors({"a": entry("U8", [2**62, 2**62], 0, 4)}, bytes(4)), id="2^124-elements"),
        pytest.param(safetensors({"a": entry("U8", [1] * 100, 0, 1)}, bytes(4)), id="100-dimensions"),
        pytest.param(safetensors({"a": entry("U8", [True], 0, 1)}, bytes(4)), id="true-as-a-number"),
        pytest.param(safetensors({"a": entry("U8\n", [4], 0, 4)}, bytes(4)), id="odd-dtype"),
        pytest.param(safetensors({"": entry("U8", [4], 0, 4)}, bytes(4)), id="no-name"),
        pytest.param(safetensors({"n" * 2000: entry("U8", [4], 0, 4)}, bytes(4)), id="long-name"),
        pytest.param(
            safetensors(b'{"\\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)), id="surrogate"
        ),
        pytest.param(safetensors(b'{"\xff":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)), id="not-utf8"),
        pytest.param(safetensors(f"{{{A}}} x".encode(), bytes(4)), id="something-behind"),
        pytest.param(safetensors(f"{{{A},}}".encode(), bytes(4)), id="trailing-comma"),
        pytest.param(safetensors(b'{"a":' + b"[" * 100_000), id="deep"),
        pytest.param(safetensors(b'{"a":{"shape":' + b"[" * 3000 + b"}}"), id="deep-entry"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[' + b"9" * 5000 + b"]}}"), id="endless-number"),
    ],
)
def test_one_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        detect(reader(data), len(data), NAME)
