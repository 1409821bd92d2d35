"""Large files that are replaced or removed: what is there afterwards, what is left open, and when space comes free."""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mvc import fsio, renaming
from mvc.errors import WouldOverwrite
from mvc.objects.model import FILE
from mvc.repo import outlived, replacing
from mvc.repo.ignore import LEFTOVER_PREFIX
from mvc.repo.place import Placer

LARGE = 64 * 1024 * 1024
LONG = 300.0  # seconds in which what must come has come, however busy the machine
LINUX = sys.platform == "linux"
pytestmark = pytest.mark.skipif(not LINUX, reason="files are exchanged and outlive their names on Linux alone")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Nothing is held before, and nothing afterwards: no descriptor, no process."""
    _settle()
    gc.collect()  # what tests before this one have left
    before = _descriptors()
    yield
    _settle()
    assert _descriptors() <= before


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _settle() -> None:
    """Let go, and wait until all processes have ended and are gone from the system's list."""
    outlived.release()
    started = list(outlived._started)
    deadline = time.monotonic() + LONG
    while outlived._started:
        assert time.monotonic() < deadline
        time.sleep(0.002)
        outlived.release()
    assert not outlived._held
    for process in started:
        assert not os.path.exists(f"/proc/{process}")


def _make(path: Path, first: bytes = b"old", size: int = LARGE) -> None:
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        file.write(first)


def _place(placer: Placer, data: bytes, path: str = "model") -> None:
    with placer.begin(path, FILE, len(data)) as file:
        file.pwrite(data, 0)
        file.commit()


def _small(placer: Placer, data: bytes, path: str = "model") -> None:
    placer.small(path, data, FILE)


@pytest.mark.parametrize("roomy", [False, True])
@pytest.mark.parametrize("place", [_place, _small])
@pytest.mark.parametrize("by_descriptor", [False, True])
def test_replaced_then_removed(
    top: Path, roomy: bool, place: Callable[[Placer, bytes], None], by_descriptor: bool
) -> None:
    _make(top / "model")
    steps: list[str] = []
    with (
        Placer(top, roomy=roomy, by_descriptor=by_descriptor) as placer,
        open(top / "model", "rb") as reader,
        fsio.hooked(lambda operation, _: steps.append(operation)),
    ):
        place(placer, b"new")
        assert (top / "model").read_bytes() == b"new"
        assert os.listdir(top) == ["model"]
        assert reader.read(3) == b"old"
        assert len(outlived._held) == (roomy and by_descriptor)
        assert steps[-2:] == (["rename", "unlink"] if by_descriptor else [*steps[-2:-1], "rename"])
        _make(top / "other")
        assert placer.remove("other") and os.listdir(top) == ["model"]
        assert len(outlived._held) == 2 * (roomy and by_descriptor)


def test_a_small_file_is_not_held(top: Path) -> None:
    _make(top / "model", size=LARGE - 4096)
    with Placer(top, roomy=True) as placer:
        _place(placer, b"new")
        assert not outlived._held
    assert os.listdir(top) == ["model"]


def test_many_are_let_go_in_between(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "_LARGE", 1)
    with Placer(top, roomy=True) as placer:
        for number in range(150):
            (top / f"m{number}").write_bytes(b"old")
            assert placer.remove(f"m{number}")
        assert len(outlived._held) == 150 % outlived._MANY
    assert os.listdir(top) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here (needs root)")
    yield folder
    _settle()
    subprocess.run(["umount", "-l", folder], check=True)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.mark.parametrize("act", ["replace", "remove"])
@pytest.mark.parametrize("roomy", [False, True])
def test_the_space_comes_free(disk: Path, act: str, roomy: bool) -> None:
    empty = _free(disk)
    _make(disk / "model")
    with Placer(disk, roomy=roomy) as placer:
        if act == "replace":
            _place(placer, b"new")
        else:
            placer.remove("model")
        assert (_free(disk) < empty - LARGE // 2) == roomy, "until the change is complete"
        outlived.release()
        deadline = time.monotonic() + LONG
        while _free(disk) < empty - 1024 * 1024:
            assert time.monotonic() < deadline
            time.sleep(0.002)


def test_on_a_full_disk(disk: Path) -> None:
    _make(disk / "model")
    with Placer(disk) as placer, placer.begin("model", FILE, 3) as file:
        file.pwrite(b"new", 0)
        with open(disk / "ballast", "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, _free(disk))
        assert _free(disk) == 0
        file.commit()
        assert _free(disk) >= LARGE
    assert (disk / "model").read_bytes() == b"new"
    assert sorted(os.listdir(disk)) == ["ballast", "model"]


def _opened_by(process: int, count: int) -> dict[str, str]:
    """What a process has open, once it has read its libraries and waits: when that are `count` files, or at last."""
    folder = f"/proc/{process}/fd"
    shown: dict[str, str] = {}
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            shown = {name: os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
            if len(shown) == count and Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S":
                break
        time.sleep(0.02)
    return shown


def test_a_process_that_holds_files_has_nothing_else(top: Path) -> None:
    """No pipe of ours, and none that our parent gave us: who reads from one waits until all have closed it."""
    paths = [top / f"model{number}" for number in range(3)]
    for path in paths:
        path.write_bytes(b"old")
    files = [os.open(path, os.O_PATH) for path in paths]
    ours = os.pipe()
    given = os.pipe()
    os.set_inheritable(given[1], True)
    high = fcntl.fcntl(given[1], fcntl.F_DUPFD, 200)
    try:
        process, end = outlived._start(files)
        shown = _opened_by(process, 3 + len(files))
        os.close(end)
        os.waitpid(process, 0)
    finally:
        for fd in (*files, *ours, *given, high):
            os.close(fd)
    assert shown.pop("0").startswith("pipe:")
    assert [shown.pop("1"), shown.pop("2")] == [os.devnull] * 2
    assert sorted(shown.values()) == sorted(map(str, paths))


def test_who_waits_for_the_output_of_mvc_does_not_wait_for_the_file(top: Path) -> None:
    """Even where standard input, output and errors are closed, and their numbers go to other files."""
    code = """
import os, signal, sys, time
from mvc.repo import outlived
if sys.argv[2:]:
    for fd in (0, 1, 2):
        os.close(fd)
for _ in range(3):
    outlived.keep(os.open(sys.argv[1], os.O_PATH))
process, end = outlived._start(list(outlived._held))
deadline = time.monotonic() + 120
while True:
    time.sleep(0.05)
    found = [os.path.realpath(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")]
    if found.count(sys.argv[1]) == 3:
        break
    if time.monotonic() > deadline:
        sys.exit(7)
os.kill(process, signal.SIGSTOP)  # does not end
outlived._held.clear()
with open(sys.argv[1], "w") as file:
    print(process, file=file)
"""
    _make(top / "model", size=1)
    for closed in ([], ["closed"]):
        command = [sys.executable, "-c", code, str(top / "model"), *closed]
        ran = subprocess.run(command, capture_output=True, timeout=LONG, check=False, stdin=subprocess.PIPE)
        process = int((top / "model").read_text() or 0)
        assert ran.returncode == 0 and process, ran.stderr
        assert os.path.exists(f"/proc/{process}")
        os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("why", ["no shell", "no descriptors"])
def test_where_no_process_can_be_started_this_one_waits(top: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    _make(top / "model")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    filler: list[int] = []
    with Placer(top, roomy=True) as placer:
        _place(placer, b"new")
        assert len(outlived._held) == 1
        try:
            if why == "no shell":
                monkeypatch.setattr(outlived, "_SHELL", str(top / "none"))
            else:
                highest = max(map(int, os.listdir("/proc/self/fd")))
                resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
                with pytest.raises(OSError):
                    while True:
                        filler.append(os.open(os.devnull, os.O_RDONLY))
            outlived.release()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in filler:
                os.close(fd)
        assert not outlived._held and not outlived._started
    assert (top / "model").read_bytes() == b"new"


@pytest.mark.parametrize("lacking", ["the call", "the file system's help", "O_PATH"])
def test_where_names_cannot_be_exchanged(top: Path, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    """As on Windows, macOS, old kernels, some network file systems."""
    if lacking == "the call":
        monkeypatch.setattr(renaming, "_renameat2", None)
    elif lacking == "O_PATH":
        monkeypatch.setattr(replacing, "_AS_NAME", 0)
    else:
        monkeypatch.setattr(renaming, "_renameat2", lambda *_: -1)
    _make(top / "model")
    steps: list[str] = []
    with Placer(top, roomy=True) as placer, fsio.hooked(lambda operation, _: steps.append(operation)):
        _place(placer, b"new")
        assert steps[-1] == "rename"
        assert len(outlived._held) == (lacking != "O_PATH")
        assert placer.remove("model")
    assert os.listdir(top) == []


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let somebody else do that right before names are exchanged."""
    real = renaming._renameat2
    assert real is not None
    done: list[bool] = []

    def renameat2(*arguments: object) -> int:
        if not done:
            done.append(True)
            act()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(renaming, "_renameat2", renameat2)


@pytest.mark.parametrize("place", [_place, _small])
def test_a_folder_comes_to_stand_there(
    top: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[Placer, bytes], None]
) -> None:
    for name, inside in (("empty", []), ("full", ["mine"])):
        _make(top / name)

        def turn(name: str = name, inside: list[str] = inside) -> None:
            (top / name).unlink()
            (top / name).mkdir()
            for each in inside:
                (top / name / each).write_bytes(b"mine")

        with Placer(top, roomy=True) as placer, monkeypatch.context() as patch:
            _meanwhile(patch, turn)
            if inside:
                with pytest.raises(WouldOverwrite):
                    place(placer, b"new", name)  # type: ignore[call-arg]
            else:
                place(placer, b"new", name)  # type: ignore[call-arg]
    assert (top / "empty").read_bytes() == b"new"
    assert (top / "full/mine").read_bytes() == b"mine"
    assert sorted(os.listdir(top)) == ["empty", "full"]


def test_a_link_comes_to_stand_there(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    _make(top / "model")

    def turn() -> None:
        (top / "model").unlink()
        (top / "model").symlink_to("../precious")

    _meanwhile(monkeypatch, turn)
    with Placer(top, roomy=True) as placer:
        _place(placer, b"new")
    assert not (top / "model").is_symlink() and (top / "model").read_bytes() == b"new"
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert os.listdir(top) == ["model"]


def test_nothing_is_there_any_more(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(top / "model")
    _meanwhile(monkeypatch, (top / "model").unlink)
    with Placer(top, roomy=True) as placer:
        _place(placer, b"new")
    assert (top / "model").read_bytes() == b"new" and os.listdir(top) == ["model"]


def test_a_link_or_folder_that_stands_there(top: Path, tmp_path: Path) -> None:
    _make(tmp_path / "large")
    (top / "link").symlink_to("../large")
    (top / "folder").mkdir()
    with Placer(top, roomy=True) as placer:
        _place(placer, b"new", "link")
        _place(placer, b"new", "folder")
        assert not outlived._held
    assert sorted(os.listdir(top)) == ["folder", "link"]
    assert (tmp_path / "large").stat().st_size == LARGE


def test_another_name_of_the_file_keeps_it(top: Path, tmp_path: Path) -> None:
    _make(top / "model")
    os.link(top / "model", tmp_path / "kept")
    with Placer(top, roomy=True) as placer:
        _place(placer, b"new")
        assert not outlived._held, "nothing comes free"
    assert (tmp_path / "kept").stat().st_nlink == 1
    assert (tmp_path / "kept").read_bytes()[:3] == b"old"
    assert os.listdir(top) == ["model"]


@pytest.mark.parametrize("place", [_place, _small])
def test_interrupted_at_any_step(top: Path, place: Callable[[Placer, bytes], None]) -> None:
    """By an exception: the old or the new stands there, and no other name."""
    for crash in range(1, 20):
        _make(top / "model")
        count = 0

        def hook(_operation: str, _path: str, crash: int = crash) -> None:
            nonlocal count
            count += 1
            if count == crash:
                raise KeyboardInterrupt

        with Placer(top, roomy=True) as placer, fsio.hooked(hook):
            try:
                place(placer, b"new")
            except KeyboardInterrupt:
                pass
            else:
                break
        assert (top / "model").read_bytes()[:3] in (b"old", b"new")
        assert os.listdir(top) == ["model"]
    assert crash > 2 and (top / "model").read_bytes() == b"new"


def test_somebodys_folder_does_not_keep_leftovers(top: Path) -> None:
    for number in range(5):
        (top / f"{LEFTOVER_PREFIX}folder{number}").mkdir()
        (top / f"{LEFTOVER_PREFIX}{number}").write_bytes(b"old")
    with Placer(top) as placer:
        placer.remove_leftovers("")
    assert sorted(os.listdir(top)) == [f"{LEFTOVER_PREFIX}folder{number}" for number in range(5)]
