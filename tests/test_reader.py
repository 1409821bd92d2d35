"""docs/format/reader.py restores what mvc stored, on its own: every codec, chunk lists, packed Git objects."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import mvc
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from tests.models import safetensors_bytes, to_bf16

READER = Path(__file__).resolve().parents[1] / "docs" / "format" / "reader.py"
WHO = mvc.Signature("Ada", "ada@example.org", 1_760_000_000, 60)
Files = Mapping[str, bytes]


def versions() -> list[Files]:
    """Three versions that bring every codec about."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((700, 600), dtype=np.float32) * np.float32(0.03)
    tuned = weights + random.standard_normal(weights.shape, dtype=np.float32) * np.float32(3e-5)
    again = tuned + random.standard_normal(weights.shape, dtype=np.float32) * np.float32(3e-5)
    half = weights.astype(np.float16)
    text = "".join(f"token {i} -> {i * i % 997}\n" for i in range(20_000)).encode()
    first = {
        "model/weights.safetensors": safetensors_bytes({"w": weights, "h": half}),
        "model/config.json": b'{"layers": 1}\n',
        "vocabulary.txt": text,
        "noise.bin": random.bytes(300_000),
        "unaligned.dat": b"xyz" + weights[:300].tobytes() + b"end",
        "bf16.safetensors": safetensors_bytes({"w": to_bf16(weights * 3)}),
        "empty": b"",
        "large.safetensors": safetensors_bytes({"zeros": np.zeros(70 << 20, np.int8)}),
        "odd \u00e9 name": b"odd",
        'back\\slash: "new\nline" \udcff': b"odd",
    }
    second = {
        **first,
        "model/weights.safetensors": safetensors_bytes({"w": tuned, "h": half}),
        "cast.safetensors": safetensors_bytes({"w": to_bf16(weights)}),
        "cast16.safetensors": safetensors_bytes({"w": half}),
    }
    second["bf16.safetensors"] = safetensors_bytes({"w": to_bf16(tuned * 3)})
    del second["noise.bin"]
    third = {**second, "vocabulary.txt": text + b"one\n"}
    third["model/weights.safetensors"] = safetensors_bytes({"w": again})
    return [first, second, third]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Files]]:
    top = tmp_path_factory.mktemp("made")
    repo = mvc.Repo.init(top, branch="main")
    said = versions()
    for number, files in enumerate(said):
        for path in top.rglob("*"):
            if not path.is_dir() and ".mvc" not in path.parts:
                path.unlink()
        for name, data in files.items():
            path = top / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        (top / "model" / "run.sh").write_bytes(b"#!/bin/sh\n")
        (top / "model" / "run.sh").chmod(0o755)
        os.symlink("config.json", top / "model" / "link")
        repo.add(["."])
        repo.commit(f"version {number}", author=WHO, metrics={"loss": 1 / (number + 1)})
    return top, said


def read(repository: Path, revision: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(READER), str(repository), revision, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(folder: Path, files: Files) -> None:
    for name, data in files.items():
        assert (folder / name).read_bytes() == data, name
    assert os.readlink(folder / "model" / "link") == "config.json"
    assert (folder / "model" / "run.sh").stat().st_mode & 0o111
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    assert found == {*files, "model/link", "model/run.sh"}


@pytest.mark.parametrize(("revision", "number"), [("main", 2), ("HEAD~1", 1), ("main~2", 0)])
def test_restores_every_version(made: tuple[Path, list[Files]], tmp_path: Path, revision: str, number: int) -> None:
    top, said = made
    done = read(top, revision, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", said[number])


def test_all_codecs_were_met(made: tuple[Path, list[Files]]) -> None:
    chunks = open_chunks(Repository.open(made[0]))
    heads = [chunks.header(name) for name in chunks.names()]
    assert {head.codec for head in heads} == {0, 1, 2, 3, 4}
    assert any(head.codec == 3 and head.params[0] & 0x20 for head in heads), "none in the order of its base"
    assert max(head.depth for head in heads) > 1


def test_restores_after_git_packed_everything(made: tuple[Path, list[Files]], tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    top, said = made
    copy = tmp_path / "copy"
    shutil.copytree(top / ".mvc", copy)
    git = ["git", f"--git-dir={copy}", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["tag", "-a", "v0", "main~2", "-m", "first"], ["pack-refs", "--all"], ["gc", "-q", "--prune=now"]):
        subprocess.run([*git, *command], check=True)
    done = read(copy, "v0", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", said[0])


def test_restores_what_came_and_was_not_decoded_yet(made: tuple[Path, list[Files]], tmp_path: Path) -> None:
    """A clone whose chunks still lie apart (received.md)."""
    top, said = made

    def run(*arguments: str) -> None:
        home = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(READER.parents[2])}
        subprocess.run([sys.executable, "-m", "mvc", *arguments], cwd=top, env=home, check=True, capture_output=True)

    run("config", "--global", "core.decodeBelow", "0")
    run("push", str(tmp_path / "hub"), "main")
    run("clone", "--no-checkout", "--all-data", str(tmp_path / "hub"), str(tmp_path / "clone"))
    assert list((tmp_path / "clone").glob(".mvc/received/packs/*/*.pack"))
    done = read(tmp_path / "clone", "main", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", said[2])


def test_a_flipped_bit_is_refused(made: tuple[Path, list[Files]], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made[0] / ".mvc", copy)
    for pack in copy.glob("chunks/packs/*/*.pack"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 4
        pack.chmod(0o644)
        pack.write_bytes(data)
    done = read(copy, "main", tmp_path / "out")
    assert done.returncode == 1
    assert "error:" in done.stderr and "Traceback" not in done.stderr


def test_stands_alone_in_under_300_lines() -> None:
    text = READER.read_text("utf-8")
    assert len(text.splitlines()) < 300
    nodes = list(ast.walk(ast.parse(text)))
    imports = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imports |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    third_party = {name.split(".")[0] for name in imports} - sys.stdlib_module_names
    assert third_party == {"numpy", "zstandard"}
    assert "mvc." not in text.replace("main:.mvcmeta", "").replace("mvc.blake3", "")
