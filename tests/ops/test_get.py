"""`mvc get`: what comes, what stays, what is refused; each request made to fail, each step killed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, at, randomly
from mvc.backends.folder import FolderBackend
from mvc.backends.memory import MemoryBackend
from mvc.errors import (
    IntegrityError,
    Locked,
    MvcError,
    NoSpace,
    NotFound,
    Refused,
    UnsafePath,
    UsageError,
    WouldOverwrite,
)
from mvc.objects import trees
from mvc.objects.manifest import dump, parse
from mvc.objects.model import EXEC, LINK, TreeItem
from mvc.objects.refs import RefChange
from mvc.ops.address import Address, parse_address
from mvc.ops.get import GetOptions, Got, get
from mvc.ops.get_files import check_link
from mvc.store.locks import hold
from mvc.sync.view import LocalView, RemoteView
from tests.forked import KILLED, killer, output, run, steps_of
from tests.points import of_each_kind
from tests.sync.making import MAIN, WHO, Counted, Peer, model, noise, tuned

FIRST = {"m.safetensors": model(width=300), "d/x": b"1", "old/a": b"old", "noise": noise(200_000)}
SECOND = {"m.safetensors": tuned(width=300), "d/x": b"2", "old": b"now a file", "noise": FIRST["noise"]}
RIGHT = {"main~1": FIRST, "main": SECOND}


class Scene:
    """Two versions, pushed."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        (top / "a").mkdir()
        self.peer = Peer(top / "a", self.backend)
        self.peer.commit(FIRST)
        self.peer.push()
        shutil.rmtree(self.peer.top / "old")
        self.peer.commit(SECOND)
        self.peer.push()
        self.peer.push(backend=FolderBackend(top / "remote"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("get"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def bring(scene: Scene, revision: str, out: Path, *, backend: Backend | None = None, **options: object) -> Got:
    path = options.pop("path", None)
    with RemoteView(backend or scene.backend, out.parent / "cache") as view:
        return get(view, Address(view.url, revision, path), out, GetOptions(**options))  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix(): (folder / path).read_bytes() for path in found if path.parts[0] != ".mvc"}


def statuses(done: Got) -> dict[str, str]:
    return {one.path: one.status for one in done.files}


def test_a_version_comes_and_stays(scene: Scene, out: Path) -> None:
    done = bring(scene, "main~1", out)
    assert done.changed and files(out) == FIRST and set(statuses(done).values()) == {"written"}
    assert done.size == sum(map(len, FIRST.values())) and done.moved < done.size
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    counted = Counted(scene.backend)
    done = bring(scene, "main~1", out, backend=counted)  # type: ignore[arg-type]
    assert not done.changed and set(statuses(done).values()) == {"kept"} and len(counted.calls) == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != "get.lock"} == {
        path: when for path, when in before.items() if path.name != "get.lock"
    } | {path: path.stat().st_mtime_ns for path in [out / ".mvc/get", out / ".mvc/get/clock"]}


def test_another_version_takes_what_it_can_from_the_one_that_stands(scene: Scene, out: Path) -> None:
    bring(scene, "main~1", out)
    (out / "mine").write_text("not of any version")
    whole = bring(scene, "main", out.parent / "fresh").moved
    done = bring(scene, "main", out)
    assert files(out) == {**SECOND, "mine": b"not of any version"}
    expected = {"m.safetensors": "written", "d/x": "written", "old": "written", "noise": "kept", "old/a": "removed"}
    assert statuses(done) == expected
    # The fine-tune is a delta: its base stands here.
    assert done.reused > 500_000 and done.moved < whole * 0.75
    done = bring(scene, "main~1", out)
    assert files(out) == {**FIRST, "mine": b"not of any version"}


def test_what_was_changed_is_mended(scene: Scene, out: Path) -> None:
    bring(scene, "main", out)
    (out / "d/x").write_text("changed")
    os.truncate(out / "m.safetensors", 1000)
    (out / "noise").unlink()
    done = bring(scene, "main", out)
    assert files(out) == SECOND and statuses(done)["old"] == "kept"
    # Somebody who puts the times back is found out when all is read.
    before = (out / "noise").stat()
    with open(out / "noise", "r+b") as file:
        file.write(b"wrong")
    os.utime(out / "noise", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not bring(scene, "main", out).changed
    done = bring(scene, "main", out, verify=True)
    assert statuses(done)["noise"] == "written" and files(out) == SECOND


def test_the_receipt_is_lost_or_nonsense(scene: Scene, out: Path) -> None:
    bring(scene, "main", out)
    receipt = out / ".mvc/get/receipt"
    for text in ("", "[]", "{}", '{"schema": 1}', '{"schema": 1, "files": {"../x": [1, "a", 1, 1, 1]}}', "[" * 99999):
        receipt.write_text(text)
        assert not bring(scene, "main", out).changed


def test_nothing_of_others_is_touched(scene: Scene, out: Path) -> None:
    out.mkdir()
    (out / "d").write_text("a file where a folder is needed")
    (out / "noise").write_text("mine")
    before = files(out)
    with pytest.raises(WouldOverwrite, match="did not come by mvc get") as caught:
        bring(scene, "main", out)
    assert set(caught.value.paths) == {"d", "noise"} and files(out) == before
    bring(scene, "main", out, force=True)
    assert files(out) == SECOND


def test_a_file_that_is_right_already_is_not_in_the_way(scene: Scene, out: Path) -> None:
    out.mkdir()
    (out / "noise").write_bytes(SECOND["noise"])
    inode = (out / "noise").stat().st_ino
    assert statuses(bring(scene, "main", out))["noise"] == "kept" and (out / "noise").stat().st_ino == inode


def test_a_part_of_a_version(scene: Scene, out: Path) -> None:
    bring(scene, "main", out, path="d")
    assert files(out) == {"x": b"2"}
    bring(scene, "main", out, path="d/x")
    bring(scene, "main", out.parent / "one", path="m.safetensors")
    assert files(out.parent / "one") == {"m.safetensors": SECOND["m.safetensors"]}
    some = out.parent / "some"
    bring(scene, "main", some, include=("d", "*.safetensors"))
    assert set(files(some)) == {"d/x", "m.safetensors"}
    done = bring(scene, "main", some, exclude=("*.safetensors", "noise"))
    assert set(files(some)) == {"d/x", "old"} and statuses(done)["m.safetensors"] == "removed"
    for wrong in ({"include": ("nope",)}, {"include": ("*.bin",)}, {"exclude": (".",)}, {"path": "nope"}):
        with pytest.raises(NotFound):
            bring(scene, "main", some, **wrong)
    assert set(files(some)) == {"d/x", "old"}


def test_places_that_are_something_else(scene: Scene, out: Path) -> None:
    with pytest.raises(Refused, match="is a repository"):
        bring(scene, "main", scene.peer.top)
    out.write_text("a file")
    with pytest.raises(Refused, match="not a folder"):
        bring(scene, "main", out)
    out.unlink()
    out.mkdir()
    with pytest.raises(Refused, match="no link"):
        bring(scene, "main", out, atomic=True)
    bring(scene, "main", out.parent / "link", atomic=True)
    with pytest.raises(Refused, match="--atomic"):
        bring(scene, "main", out.parent / "link")
    with hold(out / ".mvc/get/get.lock", what="get"), pytest.raises(Locked):
        bring(scene, "main", out)


def test_no_room(scene: Scene, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = shutil._ntuple_diskusage(10**9, 10**9, 1_500_000)  # type: ignore[attr-defined]
    monkeypatch.setattr("mvc.ops.get.shutil.disk_usage", lambda _: room)
    with pytest.raises(NoSpace, match="are needed"):
        bring(scene, "main", out)
    assert files(out) == {}


# ---- a link that is turned


def test_versions_behind_a_link(scene: Scene, out: Path) -> None:
    versions = out.parent / "out.versions"
    first = bring(scene, "main~1", out, atomic=True)
    assert first.changed and files(out) == FIRST and out.resolve() == first.folder
    second = bring(scene, "main", out, atomic=True)
    assert files(out) == SECOND and statuses(second)["noise"] == "linked" and second.reused > 500_000
    assert files(first.folder) == FIRST
    assert not bring(scene, "main", out, atomic=True).changed
    counted = Counted(scene.backend)
    back = bring(scene, "main~1", out, atomic=True, backend=counted)  # type: ignore[arg-type]
    assert back.changed and set(statuses(back).values()) == {"kept"} and len(counted.calls) == 2
    assert out.resolve() == first.folder and files(out) == FIRST
    bring(scene, "main", out, atomic=True, keep=0)
    assert [one.name for one in versions.iterdir() if one.is_dir()] == [second.commit[:12]]
    bring(scene, "main", out, atomic=True, include=("d",))
    assert files(out) == {"d/x": b"2"} and len([one for one in versions.iterdir() if one.is_dir()]) == 2


def test_a_linked_file_that_is_edited_is_found_out(scene: Scene, out: Path) -> None:
    first = bring(scene, "main~1", out, atomic=True)
    bring(scene, "main", out, atomic=True)
    with open(out / "noise", "r+b") as file:
        file.write(b"edited in place, through the link")
    bring(scene, "main~1", out, atomic=True)
    assert files(out) == FIRST and out.resolve() == first.folder
    bring(scene, "main", out, atomic=True)
    assert files(out) == SECOND


# ---- trees that mean harm


@pytest.mark.parametrize("target", ["a", "d/x", "./a", "a/b/c"])
def test_links_that_stay_inside(target: str) -> None:
    check_link("l", target.encode())
    check_link("d/e/l", b"../../" + target.encode())


@pytest.mark.parametrize("target", ["/etc", "..", "../a", "a/../..", "d/../a", "C:/x", "a\\b", ".mvc/get", "a//b", ""])
def test_links_that_may_lead_outside(target: str) -> None:
    with pytest.raises(UnsafePath, match="lead out"):
        check_link("l", target.encode())


def commit_items(peer: Peer, items: dict[str, TreeItem]) -> None:
    objects = peer.repo.objects
    with objects.batch() as batch:
        tree = trees.build(batch, items)
        made = batch.commit(tree, [], WHO, WHO, "made by hand")
        batch.seal()
    peer.repo.refs.update([RefChange(MAIN, peer.repo.refs.read(MAIN), made)], message="x", author=WHO)


def blob(peer: Peer, data: bytes) -> str:
    with peer.repo.objects.batch() as batch:
        made = batch.blob(data)
        batch.seal()
    return made


def test_modes_and_links(tmp_path: Path, out: Path) -> None:
    peer = Peer(_made(tmp_path / "a"), MemoryBackend())
    large = noise(100_000)
    peer.commit({"large": large})
    item = trees.flatten(peer.repo.objects, peer.repo.objects.commit(peer.repo.refs.read(MAIN) or "").tree)["large"]
    items = {
        "run.sh": TreeItem(EXEC, blob(peer, b"#!/bin/sh\n")),
        "large": TreeItem(EXEC, item.id),
        "plain": item,
        "d/link": TreeItem(LINK, blob(peer, b"../plain")),
    }
    commit_items(peer, items)
    view = LocalView(peer.repo)
    done = get(view, Address("a", "", None), out)
    assert (out / "d/link").read_bytes() == large and os.readlink(out / "d/link") == "../plain"
    runs = {path: bool((out / path).stat().st_mode & stat.S_IXUSR) for path in ("run.sh", "large", "plain")}
    assert runs == {"run.sh": True, "large": True, "plain": False} and done.changed
    assert not get(view, Address("a", "", None), out).changed
    (out / "run.sh").chmod(0o644)
    (out / "d/link").unlink()
    (out / "d/link").symlink_to("/etc/passwd")
    done = get(view, Address("a", "", None), out)
    assert statuses(done) == {"run.sh": "written", "d/link": "written", "large": "kept", "plain": "kept"}
    assert os.readlink(out / "d/link") == "../plain"
    items["evil"] = TreeItem(LINK, blob(peer, b"/etc"))
    del items["plain"]
    commit_items(peer, items)
    before = files(out)
    with pytest.raises(UnsafePath, match="lead out"):
        get(view, Address("a", "", None), out)
    assert files(out) == before
    get(view, Address("a", "", None), out, GetOptions(exclude=("evil",)))
    assert "plain" not in files(out)


def test_a_link_in_the_way_of_a_folder_is_not_followed(scene: Scene, out: Path, tmp_path: Path) -> None:
    bring(scene, "main", out)
    shutil.rmtree(out / "d")
    _made(tmp_path / "elsewhere")
    (out / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WouldOverwrite):
        bring(scene, "main", out)
    bring(scene, "main", out, force=True)
    assert files(out) == SECOND and not list((tmp_path / "elsewhere").iterdir())


def test_a_manifest_that_lies(tmp_path: Path, out: Path) -> None:
    """Its chunks are there and right, but they do not make the file whose hash it tells."""
    peer = Peer(_made(tmp_path / "a"), MemoryBackend())
    peer.commit({"n": noise(100_000)})
    objects = peer.repo.objects
    item = trees.flatten(objects, objects.commit(peer.repo.refs.read(MAIN) or "").tree)["n"]
    lie = dump(replace(parse(objects.blob(item.id)), blake3=bytes(32)))
    commit_items(peer, {"n": TreeItem(item.mode, blob(peer, lie))})
    with pytest.raises(IntegrityError, match="do not make the file"):
        get(LocalView(peer.repo), Address("a", "", None), out)
    assert files(out) == {}


def _made(path: Path) -> Path:
    path.mkdir()
    return path


# ---- faults


def whole(folder: Path) -> bool:
    """Whether each file is of one version or the other: nothing is torn."""
    found = {path: data for path, data in files(folder).items() if ".mvc-tmp-" not in path}
    return all(data in [version.get(path) for version in RIGHT.values()] for path, data in found.items())


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.CUT, Fault.SHORT, Fault.WRONG, Fault.REFUSED])
def test_every_request_fails(scene: Scene, tmp_path: Path, fault: Fault) -> None:
    counting = FaultyBackend(scene.backend)
    bring(scene, "main", _made(tmp_path / "count") / "out", backend=counting)
    for number in range(len(counting.requests)):
        out = _made(tmp_path / str(number)) / "out"
        try:
            bring(scene, "main", out, backend=FaultyBackend(scene.backend, at({number: fault})))
        except MvcError as error:
            assert error.message and whole(out)
        assert bring(scene, "main", out).commit and files(out) == SECOND
        assert not list((out / ".mvc/get/partial").glob("*"))


@pytest.mark.parametrize("seed", range(4))
def test_faults_at_random_while_a_link_is_turned(scene: Scene, out: Path, seed: int) -> None:
    """Whoever reads through the link sees one version or the other, whole."""
    bring(scene, "main~1", out, atomic=True)
    for attempt in range(50):
        plan = randomly(seed * 100 + attempt, 0.2, (Fault.BEFORE, Fault.CUT, Fault.SHORT, Fault.WRONG))
        revision = ("main", "main~1")[attempt // 3 % 2]
        try:
            bring(scene, revision, out, atomic=True, backend=FaultyBackend(scene.backend, plan))
            assert files(out) == RIGHT[revision]
        except MvcError:
            assert files(out) in RIGHT.values()
    bring(scene, "main", out, atomic=True)
    assert files(out) == SECOND


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MVC_HOME", str(tmp_path / "home"))
    return tmp_path  # type: ignore[return-value]


def test_what_came_before_a_kill_does_not_come_again(scene: Scene, home: Path) -> None:
    large = noise(9_000_000)
    peer = Peer(_made(home / "large"), MemoryBackend())
    peer.commit({"large": large})
    backend = FolderBackend(home / "remote")
    peer.push(backend=backend)
    command = ["get", "remote@main", "-o", "out", "-j", "1"]

    def halfway(operation: str, path: str) -> None:
        if operation == "write" and "partial" in path:
            halfway.count += 1  # type: ignore[attr-defined]
            if halfway.count == 100:  # type: ignore[attr-defined]
                os.kill(os.getpid(), 9)

    halfway.count = 0  # type: ignore[attr-defined]
    assert run(command, home, halfway) == KILLED
    assert [path.name for path in (home / "out").iterdir()] == [".mvc"]
    with RemoteView(backend, home / "home") as view:
        done = get(view, Address(view.url, "main", None), home / "out")
    assert files(home / "out") == {"large": large} and done.moved < 5_500_000


@pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])
def test_killed_at_every_step(scene: Scene, home: Path, atomic: bool) -> None:
    def command(revision: str) -> list[str]:
        return ["get", f"{scene.top}/remote@{revision}", "-o", "out", *(["--atomic"] if atomic else [])]

    work, before = _made(home / "work"), home / "before"
    out = work / "out"
    assert run(command("main~1"), work) == 0, output()
    shutil.copytree(work, before, symlinks=True)
    steps = steps_of(command("main"), work)
    assert files(out) == SECOND and len(steps) > 20
    for step in of_each_kind(steps, work):
        shutil.rmtree(work)
        shutil.copytree(before, work, symlinks=True)
        assert run(command("main"), work, killer(step)) in (KILLED, 0), output()
        assert files(out) in RIGHT.values() if atomic else whole(out), step
        assert run(command("main"), work) == 0, output()
        assert files(out) == SECOND, step
        assert run([*command("main"), "--exit-code", "--verify"], work) == 0, output()
        left = [path for path in work.rglob("*") if "tmp-" in path.name or path.parent.name == "partial"]
        assert not left


# ---- addresses


@pytest.mark.parametrize(
    ("text", "url", "revision", "path"),
    [
        ("s3://b/r@v1:m.bin", "s3://b/r", "v1", "m.bin"),
        ("s3://b/r", "s3://b/r", "", None),
        ("s3://b/r@", "s3://b/r", "", None),
        ("s3://b/r@:x", "s3://b/r", "", "x"),
        ("s3://b/r@feature/x~2:a/b@c:d", "s3://b/r", "feature/x~2", "a/b@c:d"),
        ("s3://b/r?endpoint=http://h:1&region=x@v1", "s3://b/r?endpoint=http://h:1&region=x", "v1", None),
        ("ssh://me@host/r@v1", "ssh://me@host/r", "v1", None),
        ("me@host:r@v1:x", "me@host:r", "v1", "x"),
        ("there@v1:x", "there", "v1", "x"),
        ("a@b/there@v1", "a@b/there", "v1", None),
        ("a@b/there", "a@b/there", "", None),
        (".@HEAD~1:/d/", ".", "HEAD~1", "d"),
        ("nowhere@v1", "nowhere", "v1", None),
    ],
)
def test_addresses(tmp_path: Path, text: str, url: str, revision: str, path: str | None) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "a@b/there").mkdir(parents=True)
    assert parse_address(text, tmp_path) == Address(url, revision, path)


def test_no_address(tmp_path: Path) -> None:
    for text in ("", "@v1"):
        with pytest.raises(UsageError):
            parse_address(text, tmp_path)
    with pytest.raises(UsageError, match="before the '@'") as caught:
        parse_address("s3://b/r@v1?endpoint=http://h:1&no=secret", tmp_path)
    assert "secret" not in f"{caught.value}{caught.value.hint}"
