"""One tensor of a remote costs that tensor: requests and bytes are counted."""

from __future__ import annotations

import io

import numpy as np
import pytest

from mvc.backends.memory import MemoryBackend
from mvc.errors import NotFound
from mvc.ops.cat_file import file_content, tensor_file
from mvc.ops.fetch_data import bring_matching
from tests.models import safetensors_bytes
from tests.sync.making import Counted, Peers, Sized

MB = 1 << 20


def noisy(count: int, rows: int = 512, seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors of 2 KiB a row that hardly shrink."""
    rng = np.random.default_rng(seed)
    return {f"t{n}": rng.integers(0, 2**16, (rows, 1024), np.uint16) for n in range(count)}


def gets(backend: Counted) -> list[str]:
    return [key for call, key in backend.calls if call == "get" and key.startswith("packs/")]


def test_a_tensor_moves_alone(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    tensors = noisy(12)  # of 1 MiB each
    alice.commit({"m.safetensors": safetensors_bytes(tensors)})
    alice.push()
    bob.fetch()
    counted = Sized(backend)
    found = tensor_file(bob.lazy(counted), "origin/main:m.safetensors", "t7")
    array = np.load(io.BytesIO(b"".join(found.pieces)))
    assert np.array_equal(array, tensors["t7"])
    assert len(gets(counted)) == 1
    assert len(counted.calls) <= 3  # what was last seen is believed: the state is not asked for anew
    assert MB <= counted.received < 1.1 * MB
    assert len(bob.chunk_names()) == 1


def test_a_long_tensor_comes_in_few_requests(peers: Peers, backend: MemoryBackend) -> None:
    """More than 64 chunks: its list comes first, then all of them in ranges of 8 MiB, and no chunk by itself."""
    alice, bob = peers("alice"), peers("bob")
    long = np.random.default_rng(1).integers(0, 2**16, (70 * 512, 1024), np.uint16)
    alice.commit({"m.safetensors": safetensors_bytes({"long": long, **noisy(2)})})
    alice.push()
    bob.fetch()
    counted = Sized(backend)
    found = tensor_file(bob.lazy(counted), "origin/main:m.safetensors", "long")
    assert sum(len(piece) for piece in found.pieces) > long.nbytes
    assert len(gets(counted)) <= 1 + 70 // 7 + 1
    assert counted.received < 1.02 * long.nbytes


def test_a_difference_brings_its_base_and_no_more(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    tensors = noisy(4)
    alice.commit({"m.safetensors": safetensors_bytes(tensors)})
    tuned = {name: array + 1 for name, array in tensors.items()}
    alice.commit({"m.safetensors": safetensors_bytes(tuned)})
    alice.push()
    bob.fetch()
    counted = Sized(backend)
    found = tensor_file(bob.lazy(counted), "origin/main:m.safetensors", "t2")
    assert np.array_equal(np.load(io.BytesIO(b"".join(found.pieces))), tuned["t2"])
    assert len(gets(counted)) == 2 and counted.received < 1.3 * MB


def test_a_whole_file_comes_at_once(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    data = safetensors_bytes(noisy(12))
    alice.commit({"m.safetensors": data, "other.bin": b"x" * 100_000})
    alice.push()
    bob.fetch()
    counted = Sized(backend)
    assert b"".join(file_content(bob.lazy(counted), "origin/main:m.safetensors")) == data
    assert len(gets(counted)) <= 3 and counted.received < 1.02 * len(data)


@pytest.mark.parametrize(
    ("patterns", "chunks", "files", "tensors"),
    [
        (["encoder.*"], 2, 0, 2),
        (["head", "decoder.0"], 2, 0, 2),
        (["m.safetensors"], 6, 1, 0),
        (["sub/"], 2, 1, 0),
        (["*"], 8, 2, 0),
        (["encoder.*", "other.safetensors"], 4, 1, 2),
    ],
)
def test_chunks_of_what_matches_come(peers: Peers, patterns: list[str], chunks: int, files: int, tensors: int) -> None:
    alice, bob = peers("alice"), peers("bob")
    arrays = list(noisy(6).values())
    names = ("encoder.0", "encoder.1", "decoder.0", "decoder.1", "head")
    commit = alice.commit(
        {
            "m.safetensors": safetensors_bytes(dict(zip(names, arrays, strict=False)), {"note": "x" * 100_000}),
            "sub/other.safetensors": safetensors_bytes({"t": arrays[5]}, {"note": "y" * 100_000}),
        }
    )
    alice.push()
    bob.fetch()
    done = bring_matching(bob.remote(), [commit], patterns)
    assert (done.files, done.tensors) == (files, tensors)
    assert len(bob.chunk_names()) >= chunks
    assert done.size // MB == done.moved // MB == chunks - files
    assert bring_matching(bob.remote(), [commit], patterns).moved == 0
    with pytest.raises(NotFound, match="nothing-like-it"):
        bring_matching(bob.remote(), [commit], ["nothing-like-it"])
