"""The backend in a folder keeps the contract, and its files are whole after a crash at any step."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvc import fsio
from mvc.backends import folder as module
from mvc.backends.base import Backend
from mvc.backends.folder import FolderBackend
from mvc.errors import NotFound, RemoteUnavailable, Unsupported
from tests.backends.contract import Contract


class Crash(BaseException):
    """The process ends here."""


class TestFolder(Contract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return FolderBackend(tmp_path / "remote")


def no_links(source: fsio.PathLike, target: fsio.PathLike) -> None:
    raise OSError(errno.EPERM, "no hard links here")


class TestWithoutLinks(Contract):
    """As on FAT or exFAT: a rename that replaces nothing takes the place of link(2)."""

    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
        monkeypatch.setattr(fsio, "link", no_links)
        return FolderBackend(tmp_path / "remote")


def test_neither_links_nor_such_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: fsio.PathLike, target: fsio.PathLike) -> None:
        raise OSError(errno.EINVAL, "no flags here")

    monkeypatch.setattr(fsio, "link", no_links)
    monkeypatch.setattr(module, "load", lambda target: refuse)
    backend = FolderBackend(tmp_path / "remote")
    with pytest.raises(Unsupported, match="neither hard links"):
        backend.put_if_absent("txn/1", b"1")
    assert backend.size("txn/1") is None
    assert not list((tmp_path / "remote/.tmp").iterdir())


def steps_of(work: str, root: Path) -> list[str]:
    seen: list[str] = []
    with fsio.hooked(lambda operation, path: seen.append(operation)):
        perform(work, FolderBackend(root))
    return seen


def perform(work: str, backend: FolderBackend) -> None:
    if work == "put":
        backend.put("packs/ab/k", b"new" * 50_000)
    elif work == "put_if_absent":
        backend.put_if_absent("txn/2", b"new")
    else:
        backend.delete(["packs/ab/k", "txn/1"])


@pytest.mark.parametrize("work", ["put", "put_if_absent", "delete"])
def test_a_crash_at_any_step(tmp_path: Path, work: str) -> None:
    def prepare(name: str) -> FolderBackend:
        backend = FolderBackend(tmp_path / name)
        backend.put("packs/ab/k", b"old")
        backend.put("txn/1", b"1")
        return backend

    prepare("count")
    steps = steps_of(work, tmp_path / "count")
    assert steps
    for stop in range(len(steps)):
        backend = prepare(str(stop))
        left = stop

        def hook(operation: str, path: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        with pytest.raises(Crash), fsio.hooked(hook):
            perform(work, FolderBackend(backend.root))
        found = {entry.key: backend.get(entry.key) for entry in backend.list("")}
        if work == "delete":
            assert found.items() <= {"packs/ab/k": b"old", "txn/1": b"1"}.items()
        else:
            assert found["txn/1"] == b"1" and found["packs/ab/k"] in (b"old", b"new" * 50_000)
            assert found.get("txn/2", b"new") == b"new" and len(found) <= 3
        perform(work, backend)  # the repeat completes
        for entry in backend.list(""):
            assert backend.size(entry.key) == entry.size


def test_a_name_that_is_free_again_was_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One had it when it was to be given, and let it go before anybody could look whose it was: a lease, say."""

    def taken(self: FolderBackend, source: object, target: object) -> None:
        raise FileExistsError(target)

    monkeypatch.setattr(FolderBackend, "_give", taken)
    assert not FolderBackend(tmp_path).put_if_absent("leases/1", b"1")
    assert not list(FolderBackend(tmp_path).list(""))


def test_what_killed_writers_left_goes_after_days(tmp_path: Path) -> None:
    FolderBackend(tmp_path).put("a", b"1")
    old, young, other = (tmp_path / ".tmp" / name for name in ("tmp-old", "tmp-young", "mine"))
    for file in (old, young, other):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 4 * 86400,) * 2)
    os.utime(other, (time.time() - 4 * 86400,) * 2)
    FolderBackend(tmp_path).put("b", b"1")
    assert sorted(path.name for path in (tmp_path / ".tmp").iterdir()) == ["mine", "tmp-young"]


def test_a_disk_that_is_not_mounted_is_not_written_to(tmp_path: Path) -> None:
    backend = FolderBackend(tmp_path / "mnt/nas/models")
    with pytest.raises(NotFound, match="is not there"):
        backend.put("a", b"1")
    assert not (tmp_path / "mnt").exists()


def test_names_that_are_no_keys_do_not_show(tmp_path: Path) -> None:
    backend = FolderBackend(tmp_path)
    backend.put("a/b", b"1")
    for name in (".nfs0001", "README", "a/B", "a/.hidden", "a/b~", "a/ü"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    keys = [entry.key for entry in backend.list("a/")]
    assert keys == ["a/b"]
    assert len(list(backend.list(""))) < 40  # a loop of links ends
    assert backend.size("gone") is None


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_a_folder_of_a_group_stays_the_groups(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o2775)
    script = (
        "import os, sys; from pathlib import Path; from mvc.backends.folder import FolderBackend; os.umask(0o077)\n"
        "backend = FolderBackend(Path(sys.argv[1])); backend.put('a/b/c', b'1'); backend.put_if_absent('txn/1', b'1')"
    )
    subprocess.run([sys.executable, "-c", script, str(root)], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
    for folder in ("a", "a/b", "txn", ".tmp"):
        assert (root / folder).stat().st_mode & 0o2070 == 0o2070, folder
    for file in ("a/b/c", "txn/1"):
        assert (root / file).stat().st_mode & 0o777 == 0o664


def test_a_network_file_system_that_lost_the_file_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(self: fsio.RandomFile, offset: int, length: int) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    backend = FolderBackend(tmp_path)
    backend.put("a", b"1")
    monkeypatch.setattr(fsio.RandomFile, "read_at", stale)
    with pytest.raises(RemoteUnavailable):
        backend.get("a")


def test_a_full_disk_stays_what_it_is() -> None:
    backend = FolderBackend(Path("/dev/full/remote"))
    with pytest.raises((NotFound, OSError)):
        backend.put("a", b"1")
