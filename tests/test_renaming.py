"""Renames that exchange, or replace nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mvc import fsio, renaming
from mvc.renaming import exchange, rename_new


def test_rename_new(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    steps: list[str] = []
    with fsio.hooked(lambda operation, _: steps.append(operation)), pytest.raises(FileExistsError):
        rename_new(tmp_path / "a", tmp_path / "b")
    assert steps == ["rename"]
    assert (tmp_path / "b").read_text() == "b"
    rename_new(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "a" and not (tmp_path / "a").exists()
    with pytest.raises(FileNotFoundError):
        rename_new(tmp_path / "a", tmp_path / "d")


@pytest.mark.skipif(sys.platform == "win32", reason="there every rename is one")
def test_where_there_is_no_such_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "_renameat2", None)
    monkeypatch.setattr(renaming, "_renamex_np", None)
    (tmp_path / "a").write_text("a")
    with pytest.raises(NotImplementedError):
        rename_new(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["a"]
    assert not exchange(0, b"a", b"b")


@pytest.mark.skipif(renaming._renameat2 is None, reason="no exchange of names here")
def test_exchange(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert exchange(folder, b"a", b"b")
        assert (tmp_path / "b").read_text() == "a" and (tmp_path / "a").is_dir()
        assert not exchange(folder, b"a", b"none")
    finally:
        os.close(folder)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
