from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mvc.errors import ParseError
from mvc.formats import gguf as parser
from mvc.formats.registry import detect
from tests.formats.making import gguf, gguf_info, gguf_string
from tests.formats.reading import layout_of, reader, tensors_of

NAME = "model.gguf"


def test_reads_what_the_reference_writes(tmp_path: Path) -> None:
    reference = pytest.importorskip("gguf")
    path = tmp_path / NAME
    rng = np.random.default_rng(1)
    full = rng.normal(size=(3, 64)).astype(np.float32)
    quantised = reference.quants.quantize(
        rng.normal(size=(4, 256)).astype(np.float32), reference.GGMLQuantizationType.Q8_0
    )
    blocks = rng.integers(0, 256, (2, 144 * 2), dtype=np.uint8)
    writer = reference.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number}" for number in range(3000)])
    writer.add_token_scores([0.5] * 3000)
    writer.add_array("odd.numbers", [1, 2, 3])
    writer.add_bool("odd.flag", True)
    writer.add_tensor("output_norm.weight", full[0, :7].copy())
    writer.add_tensor("token_embd.weight", full)
    writer.add_tensor("blk.0.attn_q.weight", quantised, raw_dtype=reference.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.ffn_up.weight", blocks, raw_dtype=reference.GGMLQuantizationType.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    data = path.read_bytes()
    layout = layout_of(data, NAME)
    assert layout.format == "gguf"
    assert layout.segments[0].kind == "header"
    assert tensors_of(data, layout) == {
        "output_norm.weight": ("F32", (7,), full[0, :7].tobytes()),
        "token_embd.weight": ("F32", (3, 64), full.tobytes()),
        "blk.0.attn_q.weight": ("Q8_0", (4, 256), quantised.tobytes()),
        "blk.0.ffn_up.weight": ("Q4_K", (2, 512), blocks.tobytes()),
    }


def test_the_block_types_are_those_of_the_reference() -> None:
    constants = pytest.importorskip("gguf").constants
    sizes = {kind.value: (kind.name, *blocks) for kind, blocks in constants.GGML_QUANT_SIZES.items()}
    for number in sizes.keys() & parser._TYPES.keys():
        assert parser._TYPES[number] == sizes[number]


def test_a_type_of_tomorrow_reaches_to_the_next_tensor() -> None:
    data = gguf([], [gguf_info("new", (4,), 99, 0), gguf_info("old", (2,), 0, 64)], bytes(range(80)))
    found = tensors_of(data, layout_of(data, NAME))
    assert found["new"][:2] == ("GGML_99", (4,))
    assert len(found["new"][2]) == 64
    assert found["old"] == ("F32", (2,), bytes(range(64, 72)))


def test_the_alignment_is_the_file_s_own() -> None:
    alignment = gguf_string("general.alignment") + struct.pack("<II", 4, 64)
    head = gguf([alignment], [gguf_info("a", (2,), 0, 0)])
    data = head + bytes(-len(head) % 64) + b"12345678"
    assert tensors_of(data, layout_of(data, NAME))["a"][2] == b"12345678"


def test_a_vocabulary_alone() -> None:
    data = gguf([gguf_string("k") + struct.pack("<IB", 7, 1)], [])[:-3]
    assert [segment.kind for segment in layout_of(data, NAME).segments] == ["header"]


def _array(kind: int, count: int, payload: bytes = b"") -> bytes:
    return gguf_string("k") + struct.pack("<IIQ", 9, kind, count) + payload


ONE = gguf_info("a", (4,), 24, 0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GGUF", id="short"),
        pytest.param(b"no magic number", id="no-magic"),
        pytest.param(gguf([], [], version=1), id="version-1"),
        pytest.param(b"GGUF" + struct.pack(">IQQ", 3, 0, 0), id="big-endian"),
        pytest.param(gguf([], [], counts=(2**60, 0)), id="2^60-tensors"),
        pytest.param(gguf([], [], counts=(0, 2**60)), id="2^60-pairs"),
        pytest.param(gguf([], [], counts=(5, 0)), id="tensors-behind-the-end"),
        pytest.param(gguf([_array(8, 2**60)], []), id="2^60-strings"),
        pytest.param(gguf([_array(12, 2**61)], []), id="2^61-doubles"),
        pytest.param(gguf([_array(0, 2**40)], []), id="a-terabyte-of-bytes"),
        pytest.param(gguf([_array(9, 2**40)], []), id="2^40-arrays"),
        pytest.param(gguf([_array(9, 1, struct.pack("<IQ", 9, 1) * 50)], []), id="nested"),
        pytest.param(gguf([_array(77, 1)], []), id="unknown-elements"),
        pytest.param(gguf([gguf_string("k") + struct.pack("<I", 66)], []), id="unknown-value"),
        pytest.param(gguf([struct.pack("<Q", 2**63) + b"k"], []), id="endless-key"),
        pytest.param(gguf([gguf_string("k") + struct.pack("<IQ", 8, 2**63)], []), id="endless-string"),
        pytest.param(gguf([gguf_string("general.alignment") + struct.pack("<II", 4, 0)], []), id="alignment-0"),
        pytest.param(gguf([gguf_string("general.alignment") + struct.pack("<II", 4, 3)], []), id="alignment-3"),
        pytest.param(gguf([gguf_string("general.alignment") + struct.pack("<IQ", 10, 32)], []), id="alignment-kind"),
        pytest.param(gguf([], [ONE, ONE], bytes(4)), id="duplicate-names"),
        pytest.param(gguf([], [ONE, gguf_info("b", (4,), 24, 2)], bytes(8)), id="overlap"),
        pytest.param(gguf([], [ONE], bytes(3)), id="past-the-end"),
        pytest.param(gguf([], [gguf_info("a", (4,), 24, 2**64 - 32)], bytes(4)), id="offset-that-wraps"),
        pytest.param(gguf([], [gguf_info("a", (4,), 99, 2**64 - 32)], bytes(4)), id="unknown-offset-that-wraps"),
        pytest.param(gguf([], [gguf_info("a", (2**62, 2**62), 24, 0)], bytes(4)), id="2^124-elements"),
        pytest.param(gguf([], [gguf_info("a", (2**64 - 1,), 24, 0)], bytes(4)), id="negative-dimension"),
        pytest.param(gguf([], [gguf_info("a", (1,) * 9, 24, 0)], bytes(4)), id="9-dimensions"),
        pytest.param(gguf([], [gguf_info("a", (33,), 2, 0)], bytes(99)), id="half-a-block"),
        pytest.param(gguf([], [gguf_string(b"\xff") + ONE[9:]], bytes(4)), id="not-utf8"),
    ],
)
def test_one_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        detect(reader(data), len(data), NAME)
