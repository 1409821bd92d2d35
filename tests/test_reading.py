"""`mvc.open`, `mvc.safe_open` and `mvc://`: beside the files themselves, safetensors' own reader, and fsspec."""

from __future__ import annotations

import configparser
import io
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import mvc
from mvc.backends.folder import FolderBackend
from mvc.backends.memory import MemoryBackend
from mvc.errors import IntegrityError, NotFound, Unsupported, UsageError
from mvc.filesystem import MvcFileSystem
from mvc.lazy import load
from mvc.objects import manifest as manifests
from mvc.objects.model import LINK, TreeItem
from mvc.ops import tensor_slices, windows
from mvc.ops.ranged_file import RangedFile, open_model_file
from mvc.ops.tensor_slices import TensorFile
from mvc.sync.view import LocalView, RemoteView
from tests.models import safetensors_bytes, to_bf16
from tests.ops.test_get import blob, commit_items
from tests.sync.making import Peer, noise

ROOT = Path(__file__).resolve().parents[1]


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        "big": rng.standard_normal((700, 1200), dtype=np.float32),
        "cube": rng.integers(-9, 9, (20, 30, 40), dtype=np.int64),
        "flags": rng.integers(0, 2, (7, 5)).astype(bool),
        "scalar": np.array(3.5, np.float16),
        "empty": np.zeros((0, 4), np.float32),
        "bytes": rng.integers(0, 255, 100_000).astype(np.uint8),
        "complex": np.ones((3, 2), np.complex64),
    }


MODEL = safetensors.numpy.save(tensors(), metadata={"format": "np", "who": "me"})
HALF = safetensors_bytes({"w": to_bf16(tensors()["big"])})
SMALL = safetensors.numpy.save({"a": np.arange(6.0).reshape(2, 3)})
FILES = {"model.safetensors": MODEL, "half.safetensors": HALF, "d/small.safetensors": SMALL, "d/e/n": noise(300_000)}


class Scene:
    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        (top / "repo").mkdir()
        self.peer = Peer(top / "repo", self.backend)
        self.first = self.peer.commit({"old": b"old"})
        self.commit = self.peer.commit(FILES)
        self.peer.push()
        self.peer.push(backend=FolderBackend(top / "remote"))
        (top / "model.safetensors").write_bytes(MODEL)
        self.urls = [str(top / "remote"), str(top / "repo"), f"file://{top}/remote"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("reading"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MVC_HOME", str(tmp_path / "home"))
    fsspec.register_implementation("mvc", MvcFileSystem, clobber=True)
    yield tmp_path
    MvcFileSystem.clear_instance_cache()


# ---- files


@pytest.mark.parametrize("number", range(3))
def test_a_file_of_a_version(scene: Scene, number: int) -> None:
    url = scene.urls[number]
    with mvc.open(f"{url}@main:model.safetensors") as file:
        assert file.read() == MODEL
    with mvc.open(f"{url}@{scene.first[:8]}:old") as file:
        assert file.read() == b"old" and file.read() == b""
    with mvc.open(f"{url}@:d/small.safetensors") as file:
        assert file.name == "d/small.safetensors" and file.seek(-5, io.SEEK_END) == len(SMALL) - 5
        assert file.read() == SMALL[-5:]
    assert file.closed
    for wrong in ("@main:nope", "@v9:old", "@main:old/x"):
        with pytest.raises(NotFound):
            mvc.open(url + wrong)
    for wrong in ("@main:d", "@main", "@main:"):
        with pytest.raises(UsageError):
            mvc.open(url + wrong)


def test_reads_anywhere(scene: Scene) -> None:
    """As the same file on the disk, by a thousand random steps."""
    chance = random.Random(1)
    with mvc.open(f"{scene.urls[0]}@main:d/e/n") as ours, io.BytesIO(FILES["d/e/n"]) as theirs:
        for _ in range(1000):
            if chance.random() < 0.3:
                place = chance.randrange(len(FILES["d/e/n"]) + 1000)
                assert ours.seek(place) == theirs.seek(place)
            size = chance.choice([0, 1, 10, 1000, 100_000])
            assert ours.read(size) == theirs.read(size) and ours.tell() == theirs.tell()
        with pytest.raises(OSError):
            ours.write(b"x")
    with pytest.raises(ValueError):
        ours.read(1)


def test_one_read_of_several_windows(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW", 1 << 20)
    for url in scene.urls:
        with mvc.open(f"{url}@main:model.safetensors") as file:
            out = bytearray(len(MODEL) - 1)
            file.seek(1)
            assert file.readinto(out) == len(out)
            assert out == MODEL[1:]


def test_reading_in_order_reads_ahead(tmp_path: Path) -> None:
    data = noise(12_000_000)
    (tmp_path / "a").mkdir()
    peer = Peer(tmp_path / "a", MemoryBackend())
    peer.commit({"n": data})
    peer.push(backend=FolderBackend(tmp_path / "remote"))
    with mvc.open(f"{tmp_path}/remote@main:n") as file:
        raw = file.raw
        meter = raw.file._view.meter  # type: ignore[attr-defined]
        assert file.read(100) == data[:100]
        before = meter.requests
        pieces = []
        while piece := file.read(50_000):
            pieces.append(piece)
        assert data[:100] + b"".join(pieces) == data
        assert meter.requests - before < 12 and len(list(raw.file.pieces(0, 12_000_000))) > 100  # type: ignore[attr-defined]


def test_links_inside_a_version(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    peer = Peer(tmp_path / "a", MemoryBackend())
    items = {
        "weights/m": TreeItem(0o100644, blob(peer, b"data")),
        "link": TreeItem(LINK, blob(peer, b"weights/m")),
        "d/up": TreeItem(LINK, blob(peer, b"../link")),
        "out": TreeItem(LINK, blob(peer, b"../x")),
        "top": TreeItem(LINK, blob(peer, b"/etc/passwd")),
        "circle": TreeItem(LINK, blob(peer, b"circle")),
    }
    commit_items(peer, items)
    for path in ("link", "d/up"):
        with mvc.open(f"{tmp_path}/a@main:{path}") as file:
            assert file.read() == b"data"
    for path in ("out", "top", "circle"):
        with pytest.raises(NotFound):
            mvc.open(f"{tmp_path}/a@main:{path}")
    fs = fsspec.filesystem("mvc", url=f"{tmp_path}/a")
    assert fs.info("link")["size"] == 4 and fs.info("out")["type"] == "other"


# ---- tensors

INDEXES = [
    0,
    -1,
    slice(2, 5),
    slice(None, None, 3),
    slice(5, 2),
    slice(900, 1000),
    ...,
    (..., 0),
    (slice(None), 3),
    (slice(3, 9), slice(None, None, 2)),
    (2, slice(1, 4)),
    slice(None, None, -1),
    (slice(10, 2, -3), slice(8, None, -2)),
    [0, 2, 1],
    None,
]


@pytest.mark.parametrize("framework", ["np", "pt"])
def test_as_safetensors_own_reader(scene: Scene, framework: str) -> None:
    if framework == "pt":
        pytest.importorskip("torch")
    path = scene.top / "model.safetensors"
    address = f"{scene.urls[0]}@main:model.safetensors"
    with safetensors.safe_open(path, framework) as theirs, mvc.safe_open(address, framework) as ours:
        assert ours.keys() == theirs.keys() and ours.offset_keys() == theirs.offset_keys()
        assert ours.metadata() == theirs.metadata() == {"format": "np", "who": "me"}
        for name in theirs.offset_keys():
            mine, other = ours.get_tensor(name), theirs.get_tensor(name)
            assert type(mine) is type(other) and mine.dtype == other.dtype and mine.shape == other.shape
            assert mine.tolist() == other.tolist(), name
            assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
            assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype()
        for index in INDEXES[:5]:
            mine, other = ours.get_slice("big")[index], theirs.get_slice("big")[index] if index != slice(5, 2) else None
            assert other is None or (mine.tolist() == other.tolist() and mine.shape == other.shape)
        with pytest.raises(NotFound, match="File does not contain tensor zz"):
            ours.get_tensor("zz")


@pytest.mark.parametrize("block", [64, 4096, 1 << 30])
@pytest.mark.parametrize("name", ["big", "cube", "flags"])
def test_slices_are_those_of_numpy(scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str, block: int) -> None:
    monkeypatch.setattr(tensor_slices, "_BLOCK", block)
    whole = tensors()[name]
    with mvc.safe_open(f"{scene.urls[1]}@main:model.safetensors") as ours:
        for index in INDEXES:
            if block == 64 and name == "big" and index is not INDEXES[0]:
                continue  # a read for each row and column
            mine, other = ours.get_slice(name)[index], whole[index]
            assert mine.dtype == other.dtype and mine.shape == other.shape and (mine == other).all(), index
        for wrong in (700, (0, 0, 0, 0), (..., ...), (0, 1200), "x"):
            with pytest.raises(IndexError):
                ours.get_slice(name)[wrong]


@settings(max_examples=60)
@given(data=st.data())
def test_any_slice_is_that_of_numpy(scene: Scene, data: st.DataObject) -> None:
    whole = tensors()["cube"]
    parts = []
    for size in whole.shape[: data.draw(st.integers(0, 3))]:
        parts.append(data.draw(st.one_of(st.integers(-size, size - 1), st.slices(size))))
    with mvc.safe_open(f"{scene.urls[1]}@main:model.safetensors") as ours:
        mine = ours.get_slice("cube")[tuple(parts)]
    other = whole[tuple(parts)]
    assert mine.shape == other.shape and (mine == other).all()


def test_a_slice_reads_only_its_chunks(scene: Scene, tmp_path: Path) -> None:
    with RemoteView(scene.backend, tmp_path / "cache") as view:
        file = RangedFile(view, open_model_file(view, view.resolve("main"), "model.safetensors"))
        asked: list[tuple[int, int]] = []
        read_into = file.read_into

        def note(offset: int, out: memoryview) -> None:
            asked.append((offset, len(out)))
            read_into(offset, out)

        file.read_into = note  # type: ignore[method-assign]
        sliced = TensorFile(file, ExitStack()).get_slice("big")
        assert (sliced[300:302] == tensors()["big"][300:302]).all()
        assert [length for _, length in asked] == [2 * 1200 * 4]


def test_tensor_after_tensor_comes_in_few_requests(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    backend = MemoryBackend()
    peer = Peer(tmp_path / "a", backend)
    many = {f"layer.{number:03}.bias": np.full(300, number, np.float32) for number in range(200)}
    big = tensors()["big"]
    peer.commit({"m.safetensors": safetensors_bytes({**many, "w": big})})
    peer.push()
    with RemoteView(backend, tmp_path / "cache") as view:
        model = TensorFile(RangedFile(view, open_model_file(view, view.resolve("main"), "m.safetensors")), ExitStack())
        before = view.meter.requests
        for name in sorted(model.keys()):
            assert (model.get_tensor(name) == {**many, "w": big}[name]).all()
        assert view.meter.requests - before < 8


def test_numbers_that_numpy_has_not(scene: Scene) -> None:
    with mvc.safe_open(f"{scene.urls[0]}@main:half.safetensors") as ours:
        bits = ours.get_tensor("w").view(np.uint16)
        assert (bits == to_bf16(tensors()["big"])).all() and ours.metadata() is None
    torch = pytest.importorskip("torch")
    with mvc.safe_open(f"{scene.urls[0]}@main:half.safetensors", "pt") as ours:
        assert ours.get_slice("w")[5:7].dtype == torch.bfloat16


def test_what_cannot_be_asked_for(scene: Scene) -> None:
    with pytest.raises(UsageError, match="framework"):
        mvc.safe_open(f"{scene.urls[0]}@main:model.safetensors", "jax")
    with pytest.raises(UsageError, match="cpu"):
        mvc.safe_open(f"{scene.urls[0]}@main:model.safetensors", "np", "cuda")
    with mvc.safe_open(f"{scene.urls[0]}@main:d/e/n") as ours:
        assert ours.keys() == [] and ours.metadata() is None


def test_a_list_that_lies(tmp_path: Path) -> None:
    """A manifest whose chunks are shorter than it says."""
    (tmp_path / "a").mkdir()
    peer = Peer(tmp_path / "a", MemoryBackend())
    peer.commit({"n": noise(100_000)})
    view = LocalView(peer.repo)
    commit = view.resolve("main")
    found = open_model_file(view, commit, "n").manifest
    first = found.segments[0].chunks[0]
    text = manifests.dump(found).decode()
    lie = text.replace(f" {first.size}\n", f" {first.size + 1}\n", 1).replace("size 100000", "size 100001")
    lie = lie.replace("opaque 100000", "opaque 100001")
    commit_items(peer, {"n": TreeItem(0o100644, blob(peer, lie.encode()))})
    with mvc.open(f"{tmp_path}/a@main:n") as file, pytest.raises(IntegrityError, match="the manifest says"):
        file.read()


# ---- fsspec


def test_fsspec(scene: Scene, tmp_path: Path) -> None:
    url = f"mvc://{scene.urls[0]}@main"
    with fsspec.open(f"{url}:model.safetensors") as file:
        assert file.read() == MODEL
    fs, path = fsspec.core.url_to_fs(f"{url}:d/e/n")
    assert path == "d/e/n" and fs.commit == scene.commit and fs.unstrip_protocol(path) == f"{url}:d/e/n"
    assert fs.cat_file("d/e/n", 5, 500) == FILES["d/e/n"][5:500] and fs.cat_file("d/e/n", -9) == FILES["d/e/n"][-9:]
    assert fs.cat_ranges(["d/e/n", "old"], [1, 0], [3, 2]) == [FILES["d/e/n"][1:3], b"ol"]
    assert fs.ls("", detail=False) == ["d", "half.safetensors", "model.safetensors", "old"]
    assert {one["name"]: one["size"] for one in fs.ls("d")} == {"d/e": 0, "d/small.safetensors": len(SMALL)}
    assert fs.info("model.safetensors")["size"] == len(MODEL) and fs.info("")["type"] == "directory"
    assert fs.find("") == sorted([*FILES, "old"])
    assert fs.glob("**/*.safetensors") == ["d/small.safetensors", "half.safetensors", "model.safetensors"]
    assert fs.exists("d/e") and fs.isdir("d/e") and fs.isfile("old") and not fs.exists("nope")
    assert fs.du("d") == len(SMALL) + 300_000 and fs.size("old") == 3
    fs.get("d/", str(tmp_path / "got") + "/", recursive=True)
    assert (tmp_path / "got/e/n").read_bytes() == FILES["d/e/n"]
    assert [file.path for file in fsspec.open_files(f"{url}:*.safetensors")] == [
        "half.safetensors",
        "model.safetensors",
    ]
    with fsspec.open(f"simplecache::{url}:old", simplecache={"cache_storage": str(tmp_path / "simple")}) as file:
        assert file.read() == b"old"
    with fsspec.open(f"{url}:old", "rt") as text:
        assert text.read() == "old"


def test_fsspec_tells_what_is_not_there(scene: Scene) -> None:
    fs = fsspec.filesystem("mvc", url=scene.urls[1], rev="main")
    for wrong in ("nope", "old/x", ".mvcmeta", ".mvcmeta/params.yaml"):
        with pytest.raises(FileNotFoundError):
            fs.info(wrong)
    with pytest.raises(IsADirectoryError):
        fs.cat_file("d")
    with pytest.raises(NotImplementedError):
        fs.open("new", "wb")
    with pytest.raises(UsageError):
        fsspec.filesystem("mvc")


def test_fsspec_fixes_a_version_until_it_is_told_to_look_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    peer = Peer(tmp_path / "a", MemoryBackend())
    first = peer.commit({"f": b"1"})
    fs = fsspec.filesystem("mvc", url=str(tmp_path / "a"), rev="main")
    assert fs.commit == first and fs.cat("f") == b"1"
    second = peer.commit({"f": b"2"})
    assert fs.cat("f") == b"1"
    fs.invalidate_cache()
    assert fs.commit == second and fs.cat("f") == b"2"


def test_entry_point() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    name, _, target = config["options.entry_points"]["fsspec.specs"].strip().partition(" = ")
    assert name == "mvc" and load(target) is MvcFileSystem


def test_nothing_is_loaded_before_it_is_used() -> None:
    """`mvc.open` needs neither fsspec nor torch."""
    code = "import sys, mvc; mvc.open; assert not {'fsspec', 'torch'} & set(sys.modules)"
    assert os.spawnv(os.P_WAIT, load("sys:executable"), [load("sys:executable"), "-c", code]) == 0


def test_torch_that_is_not_there(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_slices, "find_spec", lambda _: None)
    with pytest.raises(Unsupported, match="torch"):
        mvc.safe_open(f"{scene.urls[0]}@main:model.safetensors", "pt")
