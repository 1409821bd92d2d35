"""PyTorch's files. Those in data/ were written by PyTorch itself (make_torch.py); no torch is needed here."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mvc.errors import ParseError
from mvc.formats.registry import detect
from tests.formats.making import pickled_dict, pickled_tensor, torch_archive, zip_archive
from tests.formats.reading import folder, layout_of, reader, tensors_of

DATA = Path(__file__).parent / "data"
EXPECTED: dict[str, dict[str, Any]] = json.loads((DATA / "expected.json").read_text())


def digests(data: bytes, name: str, beside: Any = None) -> dict[str, list[Any]]:
    """The tensors as expected.json has them."""
    found = tensors_of(data, layout_of(data, name, beside))
    return {key: [dtype, list(shape), hashlib.sha256(raw).hexdigest()] for key, (dtype, shape, raw) in found.items()}


@pytest.mark.parametrize(
    "name", ["checkpoint.pt", "bf16-protocol5.pt", "state.bin", "dtypes.pt", "parameter.pt", "module.pt", "script.pt"]
)
def test_finds_what_pytorch_reads(name: str) -> None:
    data = (DATA / name).read_bytes()
    assert layout_of(data, name).format == "pytorch"
    assert digests(data, name) == EXPECTED[name]


def test_the_optimizer_s_state_is_named() -> None:
    names = digests((DATA / "checkpoint.pt").read_bytes(), "checkpoint.pt")
    assert {"model.0.weight", "optimizer.state.0.exp_avg", "optimizer.state.3.exp_avg_sq"} <= set(names)


def test_names_do_not_depend_on_the_file_s_name() -> None:
    data = (DATA / "state.bin").read_bytes()
    assert b"state/data/0" in data
    assert set(digests(data, "anything.bin")) == {"0.weight", "0.bias", "1.weight", "1.bias", "2.weight"}


def test_a_tensor_alone() -> None:
    data = (DATA / "tensor.pt").read_bytes()
    assert digests(data, "tensor.pt") == {"tensor": EXPECTED["tensor.pt"][""]}


def test_views_of_one_storage() -> None:
    data = (DATA / "views.pt").read_bytes()
    found = {name: tensor[:2] for name, tensor in tensors_of(data, layout_of(data, "views.pt")).items()}
    assert found == {
        "tied.encoder": ("F32", (6, 8)),  # tied.decoder is the same bytes
        "parts.first": ("F32", (8, 5)),
        "parts.second": ("F32", (40,)),  # with 20 elements between them that nothing names
        "turned": ("I64", (12,)),  # transposed: its bytes are not in the order of its shape
        "spread": ("F32", (1,)),
        "overlap.one": ("I16", (10,)),
        "part": ("U8", (4,)),
        "empty": ("F32", (0, 3)),
        "scalar": ("F32", ()),
        "dotted.a.b": ("F32", (3,)),
        "dotted.a.b#2": ("F32", (3,)),
    }
    expected = {
        name: value for name, value in EXPECTED["views.pt"].items() if name in {"tied.encoder", "parts.first", "part"}
    }
    assert expected.items() <= digests(data, "views.pt").items()


def test_files_from_before_the_zip_format_are_opaque() -> None:
    data = (DATA / "legacy.pt").read_bytes()
    assert detect(reader(data), len(data), "legacy.pt") is None


def test_a_distributed_checkpoint() -> None:
    files = {path.name: path.read_bytes() for path in (DATA / "whole").iterdir()}
    data = files["__0_0.distcp"]
    assert digests(data, "__0_0.distcp", folder(files)) == EXPECTED["whole"]
    alone = digests(data, "__0_0.distcp")
    assert sorted(alone.values()) == sorted(EXPECTED["whole"].values())
    assert all(re.fullmatch(r"item\.\d+", name) for name in alone)


def test_a_sharded_checkpoint() -> None:
    files = {path.name: path.read_bytes() for path in (DATA / "sharded").iterdir()}
    names = [set(digests(files[name], name, folder(files))) for name in ("__0_0.distcp", "__1_0.distcp")]
    assert names == [{"w[0,0]"}, {"w[4,0]", "b"}]


def test_bytes_before_the_first_archive_of_a_distcp_are_kept() -> None:
    archive = torch_archive(pickled_dict({"w": pickled_tensor("0", 4, (4,))}), {"0": b"0123456789abcdef"})
    data = b"an item in another form" + archive * 2
    found = tensors_of(data, layout_of(data, "a.distcp"))
    assert found == {f"item.{number}.w": ("F32", (4,), b"0123456789abcdef") for number in (0, 1)}


def test_bad_metadata_names_nothing() -> None:
    data = (DATA / "whole" / "__0_0.distcp").read_bytes()
    for metadata in (b"", b"junk", b"\x80\x02}.", b"\x80\x02N."):
        assert "item.14" in digests(data, "a.distcp", folder({".metadata": metadata, "a.distcp": data}))


ONE = pickled_tensor("0", 4, (4,))
STORAGE = {"0": bytes(16)}


def test_compressed_and_unnamed_storages_are_left_alone() -> None:
    data = torch_archive(pickled_dict({"w": ONE}), {"1": bytes(16), "0": bytes(16)}, method=8)
    assert tensors_of(data, layout_of(data, "a.pt")) == {}
    data = torch_archive(pickled_dict({}), STORAGE)
    assert tensors_of(data, layout_of(data, "a.pt")) == {}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PK\3\4", id="short"),
        pytest.param(b"PK\3\4" + bytes(1000), id="no-directory"),
        pytest.param(torch_archive(b"", STORAGE), id="no-pickle"),
        pytest.param(torch_archive(b"\x80\x02", STORAGE), id="no-stop"),
        pytest.param(torch_archive(pickled_dict({"w": ONE}), {"0": bytes(15)}), id="storage-too-short"),
        pytest.param(torch_archive(pickled_dict({"w": pickled_tensor("0", 4, (2**62,))}), STORAGE), id="2^62-elements"),
        pytest.param(torch_archive(pickled_dict({"w": pickled_tensor("0", 4, (4,), 2**62)}), STORAGE), id="far-offset"),
        pytest.param(
            torch_archive(pickled_dict({"w": pickled_tensor("0", 4, (4, 4), 0, (2**62, 1))}), STORAGE), id="wide-stride"
        ),
        pytest.param(torch_archive(pickled_dict({"w": ONE}), STORAGE, size=2**31, packed=2**31), id="2-GB-entry"),
        pytest.param(
            torch_archive(pickled_dict({"w": ONE}), STORAGE, packed=2**32 - 1, size=2**32 - 1), id="zip64-lie"
        ),
        pytest.param(torch_archive(pickled_dict({"w": ONE}), STORAGE, header=2**31), id="header-elsewhere"),
        pytest.param(torch_archive(pickled_dict({"w": ONE}), STORAGE, header=0), id="header-of-another"),
        pytest.param(torch_archive(pickled_dict({"w": ONE}), STORAGE, count=60_000), id="more-entries"),
        pytest.param(torch_archive(pickled_dict({"w": ONE}), STORAGE, directory_size=2**31), id="2-GB-directory"),
        pytest.param(
            torch_archive(pickled_dict({"w": ONE}), STORAGE, directory_offset=2**31), id="directory-elsewhere"
        ),
        pytest.param(
            zip_archive([("a/data.pkl", b"N."), ("a/data/0", b""), ("a/data/0", b"")]), id="duplicate-entries"
        ),
        pytest.param(zip_archive([("a/byteorder", b"big"), ("a/data.pkl", b"N.")]), id="big-endian"),
        pytest.param(zip_archive([("a/data.pkl", b"N." + bytes(100))], method=8), id="compressed-pickle"),
    ],
)
def test_one_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        detect(reader(data), len(data), "a.pt")


def test_overlapping_entries_are_refused() -> None:
    """A zip bomb's trick: two entries of the directory share a local header, and so their bytes."""
    data = bytearray(
        torch_archive(pickled_dict({"a": ONE, "b": pickled_tensor("1", 4, (4,))}), {"0": bytes(16), "1": bytes(16)})
    )
    shared = data.index(b"archive/data/0") - 30
    directory = data.rindex(b"PK\1\2")
    data[directory + 42 : directory + 46] = shared.to_bytes(4, "little")
    with pytest.raises(ParseError):
        detect(reader(bytes(data)), len(data), "a.pt")
