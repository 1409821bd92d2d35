"""A flipped bit anywhere is found and named, and never served."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import mvc
from mvc.errors import MvcError
from mvc.ops.fsck import fsck
from mvc.repo.repository import Repository
from tests.models import fine_tuned, layers, write_model

FLIPS = 1000


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    work = tmp_path_factory.mktemp("damage") / "work"
    repo = mvc.Repo.init(work)
    author = mvc.Signature("A Tester", "tester@example.org", 1_700_000_000)
    for number, weights in enumerate((layers(width=128), fine_tuned(layers(width=128)))):
        write_model(work / "model.safetensors", weights)
        (work / "notes.txt").write_text(f"{number}\n")
        repo.add(["."])
        repo.commit(f"number {number}", author=author, params={"lr": 1e-4})
    yield work


def _stored_files(work: Path) -> list[Path]:
    """All files whose bytes are versioned data or lead to it."""
    folders = [work / ".mvc/chunks", work / ".mvc/objects"]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".keep")


def _flip(path: Path, offset: int, bit: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
    path.chmod(mode)


@pytest.mark.slow
def test_fsck_finds_a_thousand_of_a_thousand_flips(ready: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(ready, work, symlinks=True)
    assert not fsck(Repository.discover(work)).findings
    files = _stored_files(work)
    sizes = [path.stat().st_size for path in files]
    rng = random.Random(7)
    missed = []
    for _ in range(FLIPS):
        # Half of them by file, half by byte: small files (idx, trailers) get their share.
        path = rng.choice(files) if rng.random() < 0.5 else rng.choices(files, weights=sizes)[0]
        offset, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        _flip(path, offset, bit)
        findings = fsck(Repository.discover(work)).findings
        if not findings:
            missed.append((path.relative_to(work), offset, bit))
        _flip(path, offset, bit)
    assert not missed
    assert not fsck(Repository.discover(work)).findings


def test_a_damaged_chunk_is_named_with_its_file_and_tensor(ready: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(ready, work, symlinks=True)
    pack = max((work / ".mvc/chunks/packs").rglob("*.pack"), key=lambda path: path.stat().st_size)
    _flip(pack, pack.stat().st_size // 2, 3)
    touched = [text for finding in fsck(Repository.discover(work)).findings for text in finding.touches]
    assert any("model.safetensors" in text and "encoder.layer" in text for text in touched)


def test_what_is_served_is_right_or_an_error(ready: Path, tmp_path: Path) -> None:
    """Read every file of every commit after each of 200 flips: the true bytes, or an error of mvc, nothing else."""
    work = tmp_path / "work"
    shutil.copytree(ready, work, symlinks=True)
    true = _read_all(work)
    files = _stored_files(work)
    rng = random.Random(11)
    for _ in range(200):
        path = rng.choice(files)
        offset, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        _flip(path, offset, bit)
        with contextlib.suppress(MvcError):
            assert _read_all(work) == true, (path, offset, bit)
        _flip(path, offset, bit)


def _read_all(work: Path) -> dict[tuple[str, str], bytes]:
    repo = mvc.Repo.open(work)
    return {(one.id, path): repo.read_file(one.id, path) for one in repo.log() for path in repo.files(one.id)}
