"""`mvc import hf-cache`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvc.errors import IntegrityError, NotFound, UnsafePath
from mvc.importers.hfcache import HubCacheSource
from tests.importers.importing import WHO, Target
from tests.importers.making import hub_cache, noise, put

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40
FILES = {"config.json": b"{}", "model.safetensors": noise(1)}


def test_snapshots_and_refs(target: Target, tmp_path: Path) -> None:
    versions = {ONE: FILES, TWO: {**FILES, "onnx/model.onnx": noise(2)}, THREE: {"config.json": b"{ }"}}
    hub_cache(tmp_path / "hub", "acme/ner", versions, {"main": TWO, "refs/pr/1": ONE})
    hub_cache(tmp_path / "hub", "gpt2", {ONE: FILES}, {"main": ONE})
    put(tmp_path / "hub/models--acme--ner/.no_exist" / ONE / "x", b"")
    put(tmp_path / "hub/models--acme--ner/blobs/abc.incomplete", b"half")
    done = target.take(HubCacheSource(tmp_path / "hub", WHO))
    assert done.new == 4
    assert done.contents == 4
    assert {one.ref for one in done.refs} == {
        "refs/heads/acme/ner/main",
        "refs/heads/acme/ner/pr/1",
        f"refs/tags/acme/ner/{THREE[:12]}",
        "refs/heads/gpt2/main",
    }
    assert target.files("acme/ner/main") == versions[TWO]
    known = target.known("acme/ner/main")
    assert known.links == {"hub.repo": "acme/ner", "hub.commit": TWO}
    assert target.take(HubCacheSource(tmp_path / "hub", WHO)).new == 0
    target.check()


def test_more_files_of_a_snapshot(target: Target, tmp_path: Path) -> None:
    folder = hub_cache(tmp_path, "acme/ner", {ONE: {"config.json": b"{}"}}, {"main": ONE})
    target.take(HubCacheSource(folder, WHO))
    hub_cache(tmp_path, "acme/ner", {ONE: {"model.safetensors": noise(1)}}, {})
    target.take(HubCacheSource(folder, WHO))
    assert target.files("main") == {"config.json": b"{}", "model.safetensors": noise(1)}


def test_one_of_the_repositories(target: Target, tmp_path: Path) -> None:
    hub_cache(tmp_path, "a/b", {ONE: FILES}, {"main": ONE})
    hub_cache(tmp_path, "c/d", {ONE: FILES}, {"main": ONE})
    target.take(HubCacheSource(tmp_path, WHO, names=["c/d"]))
    assert list(target.repo.refs.list("refs/heads/")) == ["refs/heads/c/d/main"]
    with pytest.raises(NotFound, match="of x/y"):
        HubCacheSource(tmp_path, WHO, names=["x/y"])


@pytest.mark.parametrize("where", ["../../../../secret", "/etc/hostname", "../../blobs/../refs/main", "../../blobs"])
def test_links_that_leave(target: Target, tmp_path: Path, where: str) -> None:
    folder = hub_cache(tmp_path, "a/b", {ONE: FILES}, {"main": ONE})
    put(tmp_path / "secret", b"secret")
    (folder / "snapshots" / ONE / "bad").symlink_to(where)
    with pytest.raises(UnsafePath):
        target.take(HubCacheSource(tmp_path, WHO))


def test_a_blob_that_is_a_link(target: Target, tmp_path: Path) -> None:
    folder = hub_cache(tmp_path, "a/b", {ONE: FILES}, {"main": ONE})
    put(tmp_path / "secret", b"secret")
    (folder / "blobs" / ("0" * 40)).symlink_to(tmp_path / "secret")
    (folder / "snapshots" / ONE / "x").symlink_to(f"../../blobs/{'0' * 40}")
    done = target.take(HubCacheSource(tmp_path, WHO), allow_missing=True)
    assert done.missing == ("x",)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damage(target: Target, tmp_path: Path, name: str) -> None:
    folder = hub_cache(tmp_path, "a/b", {ONE: FILES}, {"main": ONE})
    blob = (folder / "snapshots" / ONE / name).resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    with pytest.raises(IntegrityError, match=f"'{name}' is damaged"):
        target.take(HubCacheSource(tmp_path, WHO))


def test_a_cache_without_links(target: Target, tmp_path: Path) -> None:
    put(tmp_path / "models--a--b/snapshots" / ONE / "model.bin", noise(1))
    put(tmp_path / "models--a--b/refs/main", ONE)
    done = target.take(HubCacheSource(tmp_path, WHO))
    assert target.files("a/b/main") == {"model.bin": noise(1)}
    assert any("cannot be verified" in one for one in done.warnings)


def test_reserved_names(target: Target, tmp_path: Path) -> None:
    hub_cache(tmp_path, "a/b", {ONE: {".git/config": b"x"}}, {"main": ONE})
    with pytest.raises(UnsafePath):
        target.take(HubCacheSource(tmp_path, WHO))
