"""`mvc export hf-cache`: found by huggingface_hub without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvc.errors import Refused, UsageError
from mvc.importers.hfcache import HubCacheSource
from mvc.ops.commit_files import commit_files
from mvc.ops.export import export_hub_cache
from tests.importers.importing import WHO, Target
from tests.importers.making import noise, sha256

FILES = {"config.json": b"{}", "onnx/model.onnx": noise(1), "model.safetensors": noise(2)}


def test_there_and_back(target: Target, tmp_path: Path) -> None:
    one = commit_files(target.repo, "main", FILES, "one", caller=target.caller)
    two = commit_files(target.repo, "main", {"config.json": b"{ }"}, "two", caller=target.caller)
    done = export_hub_cache(target.repo, tmp_path / "hub", "acme/ner", ["main", one.id], caller=target.caller)
    folder = tmp_path / "hub/models--acme--ner"
    assert done.folder == folder
    assert (folder / "refs/main").read_text() == two.id
    assert sorted(os.listdir(folder / "snapshots")) == sorted([one.id, two.id])
    assert (folder / "blobs" / sha256(noise(2))).read_bytes() == noise(2)
    again = Target(tmp_path / "again")
    again.take(HubCacheSource(folder, WHO))
    assert again.files("main") == {**FILES, "config.json": b"{ }"}
    assert export_hub_cache(target.repo, tmp_path / "hub", "acme/ner", ["main"], caller=target.caller).contents == 0


def test_the_hub_finds_it(target: Target, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    one = commit_files(target.repo, "main", FILES, "one", caller=target.caller)
    commit_files(target.repo, "other", FILES | {"x": b"x"}, "two", caller=target.caller)
    export_hub_cache(target.repo, tmp_path / "hub", "acme/ner", ["main", "other"], caller=target.caller)
    found = Path(hub.snapshot_download("acme/ner", local_files_only=True, cache_dir=tmp_path / "hub"))
    assert found.name == one.id
    assert {path: (found / path).read_bytes() for path in FILES} == FILES
    other = hub.try_to_load_from_cache("acme/ner", "x", cache_dir=tmp_path / "hub", revision="other")
    assert Path(other).read_bytes() == b"x"
    (info,) = hub.scan_cache_dir(tmp_path / "hub").repos
    assert (info.repo_id, len(info.revisions)) == ("acme/ner", 2)


def test_links(target: Target, tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to("config.json")
    (tmp_path / "out").symlink_to("/etc/passwd")
    commit_files(target.repo, "main", {**FILES, "in": tmp_path / "in"}, "one", caller=target.caller)
    done = export_hub_cache(target.repo, tmp_path / "hub", "ner", ["main"], caller=target.caller)
    (snapshot,) = (done.folder / "snapshots").iterdir()
    assert (snapshot / "in").read_bytes() == b"{}"
    commit_files(target.repo, "main", {"out": tmp_path / "out"}, "two", caller=target.caller)
    with pytest.raises(Refused, match="'/etc/passwd' is a link out of the version"):
        export_hub_cache(target.repo, tmp_path / "hub", "ner", ["main"], caller=target.caller)


@pytest.mark.parametrize("name", ["", "a/b/c", "../x", "a--b/c", "/x", "a/..", "a b"])
def test_names_that_the_hub_has_not(target: Target, tmp_path: Path, name: str) -> None:
    commit_files(target.repo, "main", FILES, "one", caller=target.caller)
    with pytest.raises(UsageError):
        export_hub_cache(target.repo, tmp_path / "hub", name, ["main"], caller=target.caller)
