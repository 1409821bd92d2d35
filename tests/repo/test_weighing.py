"""What is asked of the disk before a checkout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import NoSpace
from mvc.repo.weighing import AT_ONCE, Content, _freed, _peak, room_for


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))), st.integers(1, 4))
def test_the_peak_is_that_of_a_run(steps: list[tuple[int, int]], at_once: int) -> None:
    """As files are written: begin one, and when so many are open, end the oldest."""
    taken = most = 0
    waiting: list[tuple[int, int]] = []
    for size, freed in steps:
        taken += size
        most = max(most, taken)
        waiting.append((size, freed))
        if len(waiting) >= at_once:
            taken -= waiting.pop(0)[1]
    assert _peak(steps, at_once) == most


def _chunked(size: int) -> Content:
    return Content(size, bytes(32), None)


def test_room(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert room_for(tmp_path, {"a": Content(5, None, None)}, []).at_once == AT_ONCE
    assert room_for(tmp_path, {"a": _chunked(5)}, []) == (AT_ONCE, True)
    assert room_for(tmp_path, {"a": _chunked(free * 3 // 4)}, []) == (AT_ONCE, False)
    with pytest.raises(NoSpace, match="bytes are needed"):
        room_for(tmp_path, {name: _chunked(free // 2) for name in "abc"}, [])


def test_a_file_with_another_name_frees_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    assert _freed(tmp_path / "none") == 0
    assert _freed(tmp_path / "file") == os.lstat(tmp_path / "file").st_blocks * 512 > 0
    os.link(tmp_path / "file", tmp_path / "again")
    assert _freed(tmp_path / "file") == 0
