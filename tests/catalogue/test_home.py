"""The file of a catalogue: lost, damaged, of another version, held by others, killed while it is made."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvc import fsio
from mvc.catalogue import home as keeping
from mvc.catalogue import schema
from mvc.catalogue.search import SearchOptions, search
from mvc.repo.create import init
from mvc.repo.repository import Repository
from mvc.store.locks import hold
from tests.catalogue.conftest import rows
from tests.cli.world import History, git

ROOT = Path(__file__).resolve().parents[2]
SEARCH = """
import sys
from pathlib import Path
from mvc.catalogue.search import search
from mvc.repo.repository import Repository
found = search(Repository.open(Path(sys.argv[1])), sys.argv[3], home=Path(sys.argv[2]))
print(len(found.rows), *found.notes)
"""


@pytest.fixture
def filled(folder: Path, history: History) -> Path:
    """A repository of 40 commits."""
    last: tuple[int, ...] = ()
    for number in range(40):
        meta = {".mvcmeta/metrics.yaml": f"acc: 0.{number:02d}\n"}
        last = (history.commit(f"c{number}", {"a": str(number), **meta}, parents=last),)
    history.write()
    return folder


def tables(home: Path) -> Path:
    """The file of tables that holds."""
    (pointer,) = home.glob("catalogs/*/current-*")
    return pointer.parent / pointer.read_text().split()[0]


def check(folder: Path, home: Path) -> None:
    assert [row.subject for row in rows(folder, home, "metrics.acc > 0.37")] == ["c39", "c38"]
    assert len(rows(folder, home)) == 40


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def junk(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def flipped(path: Path) -> None:
    """Every byte of a value's page: its numbers would be wrong, and SQLite sees nothing."""
    data = path.read_bytes()
    with sqlite3.connect(path) as db:
        at = data.find(b"c39")
    db.close()
    path.write_bytes(data[: at + 1] + b"9" + data[at + 2 :])


def newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()


def without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE value")
    db.close()


def gone(path: Path) -> None:
    path.unlink()


def no_pointer(path: Path) -> None:
    for pointer in path.parent.glob("current-*"):
        pointer.write_bytes(b"../../etc/passwd 1 2 3\n")


@pytest.mark.parametrize("damage", [cut, empty, junk, flipped, newer, without_a_table, gone, no_pointer])
def test_a_damaged_catalogue_is_made_anew(damage: object, filled: Path, home: Path) -> None:
    check(filled, home)
    before = tables(home)
    damage(before)  # type: ignore[operator]
    check(filled, home)
    assert tables(home) != before
    assert len(list(before.parent.glob("*.sqlite"))) == 1
    check(filled, home)


def test_what_is_up_to_date_is_not_written(filled: Path, home: Path) -> None:
    check(filled, home)
    steps: list[str] = []
    with fsio.hooked(lambda operation, path: steps.append(f"{operation} {path}")):
        check(filled, home)
    assert steps == []


def test_a_catalogue_that_is_held_is_done_without(
    filled: Path, home: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(filled, home)
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(tables(home), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    found = search(Repository.open(filled), "metrics.acc > 0.37", home=home)
    assert len(found.rows) == 2
    assert "another process holds it" in found.notes[0]
    holder.execute("ROLLBACK")
    holder.close()
    assert search(Repository.open(filled), "", home=home).notes == ()


def test_a_catalogue_that_is_being_built_is_waited_for(
    filled: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "BUILD_WAIT", 0.05)
    where = home / "catalogs" / keeping.identity(Repository.open(filled))
    with hold(where / "build.lock", what="search"):
        found = search(Repository.open(filled), "", home=home)
    assert len(found.rows) == 40
    assert "another process is building it" in found.notes[0]
    check(filled, home)


@pytest.mark.parametrize("place", ["a file", "network"])
def test_where_nothing_can_be_kept_it_is_made_in_memory(
    place: str, filled: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "a file":
        home.write_text("")
    else:
        monkeypatch.setattr(keeping, "is_network", lambda path: True)
    found = search(Repository.open(filled), "metrics.acc > 0.37", home=home)
    assert len(found.rows) == 2
    assert "in memory" in found.notes[0]


def test_a_repository_that_was_moved_copied_or_made_anew(filled: Path, home: Path, tmp_path: Path) -> None:
    check(filled, home)
    copy = tmp_path / "copy"
    shutil.copytree(filled, copy)
    git(copy, "update-ref", "refs/heads/main", "refs/heads/main~10")
    assert len(rows(copy, home)) == 30
    check(filled, home)
    moved = tmp_path / "moved"
    filled.rename(moved)
    check(moved, home)
    filled.mkdir()
    init(filled, initial_branch="main")
    assert rows(filled, home) == []
    fresh = History(filled)
    fresh.commit("another", {"a": "1"})
    fresh.write()
    assert [row.subject for row in rows(filled, home)] == ["another"]
    check(moved, home)


def test_catalogues_of_repositories_that_are_gone_go(filled: Path, home: Path, tmp_path: Path) -> None:
    for name, age in (("gone", 90), ("lately", 1), ("there", 90)):
        copy = tmp_path / name
        shutil.copytree(filled, copy)
        assert len(rows(copy, home)) == 40
        for path in _own(home, copy).iterdir():
            os.utime(path, (0, time.time() - age * 86400))
        if name != "there":
            shutil.rmtree(copy)
    check(filled, home)
    kept = {path.read_text().strip() for path in home.glob("catalogs/*/repository")}
    assert kept == {str(path / ".mvc") for path in (filled, tmp_path / "lately", tmp_path / "there")}


def _own(home: Path, folder: Path) -> Path:
    return home / "catalogs" / keeping.identity(Repository.open(folder))


def test_a_crash_at_any_step_leaves_nothing_that_is_believed(filled: Path, home: Path, history: History) -> None:
    class Crash(BaseException):
        pass

    for last in range(1, 40):
        seen = 0

        def crash(operation: str, path: str, last: int = last) -> None:
            nonlocal seen
            seen += 1
            if seen == last:
                raise Crash

        try:
            with fsio.hooked(crash):
                check(filled, home)
        except Crash:
            continue
        break
    else:
        raise AssertionError("it never ends")
    check(filled, home)


def started(folder: Path, home: Path, query: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(folder), str(home), query],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_several_processes_at_once(filled: Path, home: Path, history: History) -> None:
    for _ in range(2):
        running = [started(filled, home) for _ in range(4)]
        counts = {process.communicate()[0].strip() for process in running}
        assert len(counts) == 1, counts
        history.commit("more", {"b": "1"}, ref=f"refs/heads/more{time.time_ns()}")
        history.write()
    check_all = rows(filled, home)
    assert len(check_all) == 42


def test_killed_at_any_moment(filled: Path, home: Path, history: History) -> None:
    for number in range(8):
        history.commit(f"more {number}", {"b": str(number)}, ref=f"refs/heads/more{number}")
        history.write()
        process = started(filled, home)
        time.sleep(0.1 + 0.05 * number)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = search(Repository.open(filled), "", SearchOptions(), home=home)
        assert len(found.rows) == 41 + number
        assert found.notes == ()
