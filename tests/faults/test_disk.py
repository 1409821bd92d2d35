"""A full disk and a folder that cannot be written to: one clear line, and nothing is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from mvc.ops.fsck import fsck
from mvc.repo.repository import Repository
from tests import forked

MEGABYTE = 1 << 20


def _begin(work: Path) -> None:
    work.mkdir()
    for arguments in (["init", "-q"], ["config", "user.name", "A"], ["config", "user.email", "a@x"]):
        assert forked.run(arguments, work) == 0, forked.output()
    _write(work / "small.bin", 2, seed=1)
    for arguments in (["add", "."], ["commit", "-q", "-m", "one"]):
        assert forked.run(arguments, work) == 0, forked.output()


def _write(path: Path, megabytes: int, seed: int) -> None:
    path.write_bytes(np.random.default_rng(seed).integers(0, 256, megabytes * MEGABYTE, dtype=np.uint8).tobytes())


def _one_clear_line(work: Path) -> None:
    text = forked.output()
    assert text.count("error:") == 1 and "Traceback" not in text and "unexpected" not in text, text


def test_add_on_a_full_disk(small_disk: Path) -> None:
    work = small_disk / "work"
    _begin(work)
    _write(work / "large.bin", 14, seed=2)
    assert forked.run(["add", "."], work) == 5, forked.output()
    _one_clear_line(work)
    assert "space" in forked.output()
    assert not fsck(Repository.discover(work)).findings
    (work / "large.bin").unlink()
    _write(work / "fits.bin", 1, seed=3)
    for arguments in (["add", "."], ["commit", "-q", "-m", "two"]):
        assert forked.run(arguments, work) == 0, forked.output()
    assert not fsck(Repository.discover(work)).findings


def test_a_checkout_that_will_not_fit_is_refused_with_the_numbers(small_disk: Path) -> None:
    work = small_disk / "work"
    _begin(work)
    _write(work / "large.bin", 7, seed=2)
    for arguments in (["add", "."], ["commit", "-q", "-m", "two"], ["checkout", "-q", "HEAD~1"]):
        assert forked.run(arguments, work) == 0, forked.output()
    assert not (work / "large.bin").exists()
    _write(small_disk / "ballast", 9, seed=4)
    assert forked.run(["checkout", "main"], work) == 5, forked.output()
    _one_clear_line(work)
    assert "bytes" in forked.output() and "free" in forked.output()
    assert not (work / "large.bin").exists()
    (small_disk / "ballast").unlink()
    assert forked.run(["checkout", "-q", "main"], work) == 0, forked.output()
    assert (work / "large.bin").stat().st_size == 7 * MEGABYTE


def test_a_checkout_that_fits_one_file_at_a_time(small_disk: Path, tmp_path: Path) -> None:
    """Files take their room before those which they replace give up theirs; those that only go, go first."""
    work, side = tmp_path / "work", small_disk / "side"
    _begin(work)
    for message, names in (("three", "abc"), ("changed", "abc"), ("other", "d")):
        for path in work.glob("?.bin"):
            path.unlink()
        for name in names:
            _write(work / f"{name}.bin", 15 // len(names), seed=ord(name) + len(message))
        for arguments in (["add", "-A"], ["commit", "-q", "-m", message]):
            assert forked.run(arguments, work) == 0, forked.output()
    assert forked.run(["worktree", "add", "-q", "--detach", str(side), "HEAD~2"], work) == 0, forked.output()
    for revision in ("main~1", "main", "main~2"):
        assert forked.run(["checkout", "-q", "--detach", revision], side) == 0, (revision, forked.output())
        assert forked.run(["status", "--porcelain"], side) == 0 and forked.output() == ""
    _write(small_disk / "ballast", 5, seed=4)
    assert forked.run(["checkout", "-q", "main~1"], side) == 5, forked.output()
    _one_clear_line(side)
    assert forked.run(["status", "--porcelain"], side) == 0 and forked.output() == ""


def test_a_read_only_disk(small_disk: Path) -> None:
    work = small_disk / "work"
    _begin(work)
    (work / "new.txt").write_text("new\n")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    try:
        assert forked.run(["status", "--porcelain"], work) == 0, forked.output()
        assert forked.output() == "?? new.txt\n"
        assert forked.run(["log", "--oneline"], work) == 0
        for arguments in (["add", "."], ["commit", "-m", "two", "--allow-empty"], ["branch", "b"], ["gc"]):
            assert forked.run(arguments, work) == 5, (arguments, forked.output())
            _one_clear_line(work)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert not fsck(Repository.discover(work)).findings
