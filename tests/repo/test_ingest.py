"""Files into the repository and back: byte for byte, and in little space."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mvc.codecs.base import Codec
from mvc.errors import NotFound, Refused
from mvc.objects import manifest as manifests
from mvc.objects.model import EXEC, FILE, LINK, TreeItem
from mvc.repo.chunks import open_chunks
from mvc.repo.create import init
from mvc.repo.ingest import Ingested, ingest
from mvc.repo.repository import Repository
from mvc.repo.tensors import file_chunks, read_tensor
from mvc.repo.writing import write_items
from tests.models import fine_tuned, layers, safetensors_bytes, to_bf16, write_model


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return init(tmp_path / "work")[0]


def _take(repo: Repository, *paths: str, standing: Mapping[str, TreeItem] | None = None) -> dict[str, Ingested]:
    chunks = open_chunks(repo)
    with chunks.intend("test") as intent, chunks.writer(intent) as writer, repo.objects.batch(keep="test") as batch:
        taken = ingest(repo, writer, batch, list(paths), standing=standing or {})
        batch.seal()
    return {one.path: one for one in taken}


def _items(taken: Mapping[str, Ingested]) -> dict[str, TreeItem]:
    return {path: TreeItem(one.mode, one.id) for path, one in taken.items()}


def _codecs(repo: Repository, one: Ingested) -> set[int]:
    chunks = open_chunks(repo)
    manifest = manifests.parse(repo.objects.blob(one.id))
    found = [chunks.find(ref.name) for _, ref, _ in file_chunks(chunks, manifest)]
    return {place.codec for place in found if place is not None}


def _top(repo: Repository) -> Path:
    assert repo.worktree is not None
    return repo.worktree


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1 << 20, (1 << 20) + 1, 3_333_333])
def test_any_file_comes_back(repo: Repository, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
    (_top(repo) / "data.bin").write_bytes(data)
    taken = _take(repo, "data.bin")
    assert (taken["data.bin"].blake3 is None) == (size <= 65536)
    (_top(repo) / "data.bin").unlink()
    write_items(repo, _items(taken))
    assert (_top(repo) / "data.bin").read_bytes() == data


def test_links_modes_and_odd_names_come_back(repo: Repository) -> None:
    top = _top(repo)
    (top / "run.sh").write_bytes(b"#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    os.symlink("no/where", top / "dangling")
    odd = os.fsdecode(b"caf\xe9 \n\xf0\x9f\x98\x80")
    (top / odd).write_bytes(b"odd")
    names = ["run.sh", "dangling", odd]
    taken = _take(repo, *names)
    assert [taken[name].mode for name in names] == [EXEC, LINK, FILE]
    for name in names:
        (top / name).unlink()
    write_items(repo, _items(taken))
    assert os.readlink(top / "dangling") == "no/where"
    assert os.access(top / "run.sh", os.X_OK)
    assert (top / odd).read_bytes() == b"odd"


def test_a_file_that_looks_like_a_manifest_is_chunked(repo: Repository) -> None:
    (_top(repo) / "trick").write_bytes(manifests.MAGIC + b"size 1\n")
    taken = _take(repo, "trick")
    assert taken["trick"].blake3 is not None
    (_top(repo) / "trick").unlink()
    write_items(repo, _items(taken))
    assert (_top(repo) / "trick").read_bytes() == manifests.MAGIC + b"size 1\n"


def test_a_fine_tune_is_stored_as_deltas_and_comes_back(repo: Repository) -> None:
    base = {name: to_bf16(array) for name, array in layers(width=512).items()}
    tuned = {name: to_bf16(array) for name, array in fine_tuned(layers(width=512)).items()}
    write_model(_top(repo) / "model.safetensors", base)
    first = _take(repo, "model.safetensors")
    data = write_model(_top(repo) / "model.safetensors", tuned)
    second = _take(repo, "model.safetensors", standing=_items(first))["model.safetensors"]
    assert Codec.DELTA in _codecs(repo, second)
    assert second.stored < 0.35 * len(data)
    (_top(repo) / "model.safetensors").unlink()
    write_items(repo, _items({"model.safetensors": second}))
    assert (_top(repo) / "model.safetensors").read_bytes() == data


def test_a_fine_tune_under_another_path_finds_its_base(repo: Repository) -> None:
    write_model(_top(repo) / "base/model.safetensors", layers())
    first = _take(repo, "base/model.safetensors")
    write_model(_top(repo) / "tuned/model.safetensors", fine_tuned(layers()))
    second = _take(repo, "tuned/model.safetensors", standing=_items(first))
    assert Codec.DELTA in _codecs(repo, second["tuned/model.safetensors"])


def test_a_cast_is_stored_next_to_nothing_even_in_the_same_add(repo: Repository) -> None:
    weights = layers(width=512)
    write_model(_top(repo) / "model.safetensors", weights)
    cast = {name: to_bf16(array) for name, array in weights.items()}
    data = write_model(_top(repo) / "cast.safetensors", cast)
    taken = _take(repo, "cast.safetensors", "model.safetensors")
    assert taken["cast.safetensors"].stored < 0.02 * len(data)
    (_top(repo) / "cast.safetensors").unlink()
    write_items(repo, _items({"cast.safetensors": taken["cast.safetensors"]}))
    assert (_top(repo) / "cast.safetensors").read_bytes() == data


def test_long_chains_stay_short(repo: Repository) -> None:
    weights = layers(count=1, width=512)
    standing: dict[str, TreeItem] = {}
    for step in range(9):
        write_model(_top(repo) / "m.safetensors", weights)
        standing = _items(_take(repo, "m.safetensors", standing=standing))
        weights = fine_tuned(weights, seed=step)
    depths = open_chunks(repo).statistics().by_depth
    assert max(depths) <= repo.settings.store.delta_depth
    assert depths[0].chunks <= 4


def test_an_equal_file_keeps_its_manifest(repo: Repository) -> None:
    write_model(_top(repo) / "m.safetensors", layers())
    first = _take(repo, "m.safetensors")["m.safetensors"]
    manifest = manifests.parse(repo.objects.blob(first.id))
    other = manifests.dump(manifests.Manifest(manifest.size, manifest.blake3, manifest.format, "0", manifest.segments))
    with repo.objects.batch(keep="test") as batch:
        standing = {"m.safetensors": TreeItem(FILE, batch.add("blob", other))}
        batch.seal()
    assert _take(repo, "m.safetensors", standing=standing)["m.safetensors"].id == standing["m.safetensors"].id


def test_not_finite_values_are_counted(repo: Repository) -> None:
    weights = layers()
    weights["encoder.layer.0.weight"][0, :3] = np.nan
    weights["encoder.layer.1.weight"][5, 5] = np.inf
    write_model(_top(repo) / "m.safetensors", weights)
    taken = _take(repo, "m.safetensors")["m.safetensors"]
    manifest = manifests.parse(repo.objects.blob(taken.id))
    counts = {s.tensor.name: (s.nan, s.inf) for s in manifest.segments if s.tensor}
    assert counts["encoder.layer.0.weight"] == (3, 0)
    assert counts["encoder.layer.1.weight"] == (0, 1)
    assert counts["encoder.layer.2.weight"] == (0, 0)


def test_one_tensor_is_read_alone(repo: Repository) -> None:
    weights = layers()
    write_model(_top(repo) / "m.safetensors", weights)
    taken = _take(repo, "m.safetensors")["m.safetensors"]
    manifest = manifests.parse(repo.objects.blob(taken.id))
    found = read_tensor(open_chunks(repo), manifest, "encoder.layer.1.weight")
    assert found.data == weights["encoder.layer.1.weight"].tobytes()
    with pytest.raises(NotFound, match="no tensor"):
        read_tensor(open_chunks(repo), manifest, "encoder.layer.9.weight")


def test_a_lying_file_is_opaque_and_comes_back(repo: Repository) -> None:
    data = bytearray(safetensors_bytes(layers()))
    data[:8] = (1 << 50).to_bytes(8, "little")
    (_top(repo) / "liar.safetensors").write_bytes(data)
    taken = _take(repo, "liar.safetensors")
    assert manifests.parse(repo.objects.blob(taken["liar.safetensors"].id)).format == "opaque"
    (_top(repo) / "liar.safetensors").unlink()
    write_items(repo, _items(taken))
    assert (_top(repo) / "liar.safetensors").read_bytes() == data


def test_what_is_no_file_is_refused(repo: Repository) -> None:
    os.mkfifo(_top(repo) / "pipe")
    with pytest.raises(Refused):
        _take(repo, "pipe")
    with pytest.raises(NotFound):
        _take(repo, "absent")
