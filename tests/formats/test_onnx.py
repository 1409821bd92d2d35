from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvc.errors import ParseError
from mvc.formats.registry import detect
from tests.formats.making import onnx_model, onnx_tensor, proto
from tests.formats.reading import folder, layout_of, reader, tensors_of

NAME = "model.onnx"
WEIGHT = np.arange(512, dtype=np.float32).reshape(16, 32)
BIAS = np.arange(100, dtype=np.float16)


@pytest.fixture
def model() -> Any:
    """A model with initializers, a large and a small constant, and a subgraph with its own initializer."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["branch_out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("branch_out", 1, None)],
        [numpy_helper.from_array(np.full(2048, 3, np.float32), "inner")],
    )
    nodes = [
        helper.make_node(
            "Constant", [], ["big"], value=numpy_helper.from_array(np.arange(2048, dtype=np.int64), "ignored")
        ),
        helper.make_node("Constant", [], ["small"], value=numpy_helper.from_array(np.arange(4), "ignored")),
        helper.make_node("If", ["condition"], ["chosen"], "choose", then_branch=branch, else_branch=branch),
        helper.make_node("MatMul", ["x", "weight"], ["y"]),
    ]
    initializers = [
        numpy_helper.from_array(WEIGHT, "weight"),
        numpy_helper.from_array(BIAS, "bias"),
        numpy_helper.from_array(np.array([1, -1]), "shape"),
        helper.make_tensor("floats", 1, [64], [0.5] * 64),
        helper.make_tensor("varints", 7, [64], range(64)),
    ]
    values = [helper.make_tensor_value_info(name, 1, [None, 16]) for name in "xy"]
    return helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], initializers))


def test_reads_what_the_reference_writes(model: Any) -> None:
    data = model.SerializeToString()
    layout = layout_of(data, NAME)
    inner = ("F32", (2048,), np.full(2048, 3, np.float32).tobytes())
    assert layout.format == "onnx"
    assert tensors_of(data, layout) == {
        "big": ("I64", (2048,), np.arange(2048, dtype=np.int64).tobytes()),
        "chosen/inner": inner,
        "chosen/inner#2": inner,
        "weight": ("F32", (16, 32), WEIGHT.tobytes()),
        "bias": ("F16", (100,), BIAS.tobytes()),
        "floats": ("F32", (64,), np.full(64, 0.5, np.float32).tobytes()),
    }


def test_external_data_gets_its_tensors_from_the_model_beside_it(model: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    onnx.save(model, tmp_path / NAME, save_as_external_data=True, location="weights.bin", size_threshold=64)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    beside = folder(files)

    described = layout_of(files[NAME], NAME, beside)
    assert not {"weight", "bias"} & set(tensors_of(files[NAME], described))
    layout = layout_of(files["weights.bin"], "weights.bin", beside)
    found = tensors_of(files["weights.bin"], layout)
    assert layout.format == "onnx-data"
    assert found["weight"] == ("F32", (16, 32), WEIGHT.tobytes())
    assert found["bias"] == ("F16", (100,), BIAS.tobytes())
    assert detect(reader(files["weights.bin"]), len(files["weights.bin"]), "weights.bin") is None


def test_shared_external_data_is_one_segment() -> None:
    place = {"location": "./data", "offset": "16", "length": "64"}
    one = onnx_model(onnx_tensor("a", [64], 2, b"", **place), onnx_tensor("tied", [8, 8], 2, b"", **place))
    data = bytes(range(100))
    found = tensors_of(data, layout_of(data, "data", folder({"m.onnx": one, "data": data, "broken.onnx": b"\xff"})))
    assert found == {"a": ("U8", (64,), data[16:80])}


def test_external_data_that_do_not_fit_are_refused() -> None:
    data = bytes(100)
    tensor = onnx_tensor("a", [64], 2, b"", location="data", offset="50", length="64")
    with pytest.raises(ParseError):
        detect(reader(data), len(data), "data", folder({"m.onnx": onnx_model(tensor)}))
    overlapping = onnx_tensor("b", [64], 2, b"", location="data", offset="20", length="64")
    tensor = onnx_tensor("a", [64], 2, b"", location="data")
    with pytest.raises(ParseError):
        detect(reader(data), len(data), "data", folder({"m.onnx": onnx_model(tensor, overlapping)}))


def test_names_that_repeat_are_made_unique() -> None:
    data = onnx_model(*[onnx_tensor(name, [64], 2, bytes(64)) for name in ("a", "a", "", "")])
    assert set(tensors_of(data, layout_of(data, NAME))) == {"a", "a#2", "tensor", "tensor#2"}


def _nested(depth: int) -> bytes:
    """A graph in an attribute in a node in a graph, `depth` times."""
    graph = b""
    for _ in range(depth):
        graph = proto(1, proto(5, proto(6, graph)) + proto(6, bytes(5000)))
    return proto(1, 10) + proto(7, graph)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(proto(1, 10), id="no-graph"),
        pytest.param(b"\xff" * 100, id="endless-number"),
        pytest.param(b"<html>", id="html"),
        pytest.param(proto(7, b"", length=2**63), id="graph-of-exabytes"),
        pytest.param(proto(7, proto(5, b"", length=2**40)), id="tensor-of-a-terabyte"),
        pytest.param(onnx_model(proto(9, b"", length=2**62)), id="data-of-exabytes"),
        pytest.param(proto(7, proto(5, b"abc", length=30)) + bytes(40), id="past-its-message"),
        pytest.param(b"\x3b\x3b\x3b", id="groups"),
        pytest.param(_nested(40), id="recursive"),
        pytest.param(onnx_model(onnx_tensor("a", [65], 2, bytes(64))), id="wrong-length"),
        pytest.param(onnx_model(onnx_tensor("a", [2**64 - 1], 2, bytes(64))), id="negative-dimension"),
        pytest.param(onnx_model(onnx_tensor("a", [2**62, 2**62], 2, bytes(64))), id="2^124-elements"),
        pytest.param(onnx_model(onnx_tensor("a", [1] * 100, 2, bytes(64))), id="100-dimensions"),
        pytest.param(onnx_model(proto(1, b"\1" * 100_000)), id="100,000-packed-dimensions"),
        pytest.param(onnx_model(onnx_tensor("a" * 2000, [64], 2, bytes(64))), id="long-name"),
        pytest.param(onnx_model(proto(8, b"\xff\xfe") + onnx_tensor("", [64], 2, bytes(64))), id="not-utf8"),
        pytest.param(onnx_model(onnx_tensor("a", [64], 2, b"", location="d", offset="-1")), id="negative-offset"),
        pytest.param(onnx_model(onnx_tensor("a", [64], 2, b"", location="d", offset="9" * 50)), id="endless-offset"),
        pytest.param(onnx_model(onnx_tensor("a", [64], 2, b"", offset="1")), id="no-location"),
    ],
)
def test_one_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        detect(reader(data), len(data), NAME)
