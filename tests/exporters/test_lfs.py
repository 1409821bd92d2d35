"""`mvc export git-lfs`: round trips, and what real git-lfs makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mvc.errors import IntegrityError, Refused
from mvc.importers.lfs import LfsSource
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from mvc.ops.export import export_git
from tests.forked import KILLED, in_child, killer
from tests.importers.importing import Target
from tests.importers.making import ENVIRONMENT, LfsProject, git, noise, put, sha256


def history(project: LfsProject) -> None:
    project.add("w.bin", noise(1))
    put(project.path / "tokenizer.json", noise(2).hex())
    put(project.path / "sub/.gitattributes", "*.dat filter=lfs\nplain.dat -filter\n")
    project.add("sub/x.dat", noise(3, 200))
    put(project.path / "sub/plain.dat", noise(4, 200))
    (project.path / "link").symlink_to("w.bin")
    put(project.path / "run.sh", "#!/bin/sh\n")
    (project.path / "run.sh").chmod(0o755)
    project.commit("one\n\nbody")
    git(project.path, "tag", "-a", "v1", "-m", "first", when=1_700_005_000)
    git(project.path, "switch", "-qc", "side")
    put(project.path / "s.txt", "s")
    project.commit("side")
    git(project.path, "switch", "-q", "main")
    project.add("w.bin", noise(5))
    project.commit("two")
    git(project.path, "merge", "-q", "--no-edit", "side", when=1_700_009_000)


def test_there_and_back_gives_the_same_commits(target: Target, tmp_path: Path) -> None:
    project = LfsProject(tmp_path / "project")
    history(project)
    target.take(LfsSource(project.path))
    dest = tmp_path / "out"
    done = export_git(target.repo, "git-lfs", dest, [], caller=target.caller)
    assert (done.new, done.contents) == (4, 3)
    for ref in ("main", "side", "v1"):
        assert git(dest, "rev-parse", ref) == git(project.path, "rev-parse", ref)
    git(dest, "fsck", "--strict")
    objects = dest / ".git/lfs/objects"
    for data in (noise(1), noise(3, 200), noise(5)):
        digest = sha256(data)
        assert (objects / digest[:2] / digest[2:4] / digest).read_bytes() == data
    again = Target(tmp_path / "again")
    again.take(LfsSource(dest))
    assert again.commit("main").id == target.commit("main").id


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="needs git-lfs")
def test_real_git_lfs_checks_it_out(target: Target, tmp_path: Path) -> None:
    project = LfsProject(tmp_path / "project")
    history(project)
    target.take(LfsSource(project.path))
    files = {"w.bin": noise(7), "with space [x].gguf": noise(8, 1_200_000), "ümlaut#.gguf": noise(9, 1_200_000)}
    commit_files(target.repo, "main", {path: data for path, data in files.items()}, "more", caller=target.caller)
    dest = tmp_path / "out"
    export_git(target.repo, "git-lfs", dest, ["main"], caller=target.caller)
    home = tmp_path / "home"
    home.mkdir()
    environment = ENVIRONMENT | {"HOME": str(home), "PATH": os.environ["PATH"]}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=dest, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("git", "lfs", "install", "--local")
    run("git", "checkout", "-q")
    assert run("git", "status", "--porcelain") == ""
    assert "OK" in run("git", "lfs", "fsck")
    for path, data in target.files("main").items():
        found = dest / path
        if path == ".gitattributes":  # it got lines for what nothing sent through LFS
            assert found.read_bytes().startswith(data)
            continue
        assert (os.readlink(found).encode() if found.is_symlink() else found.read_bytes()) == data
    assert os.access(dest / "run.sh", os.X_OK)


def test_again_writes_what_is_new(target: Target, tmp_path: Path) -> None:
    commit_files(target.repo, "main", {"w.bin": noise(1, 2_000_000)}, "one", caller=target.caller)
    dest = tmp_path / "out"
    assert export_git(target.repo, "git-lfs", dest, [], caller=target.caller).contents == 1
    again = export_git(target.repo, "git-lfs", dest, [], caller=target.caller)
    assert (again.new, again.contents, again.refs) == (0, 0, ())
    commit_files(target.repo, "main", {"v.bin": noise(2, 2_000_000)}, "two", caller=target.caller)
    more = export_git(target.repo, "git-lfs", dest, [], caller=target.caller)
    assert (more.new, more.contents, len(more.refs)) == (1, 1, 1)


def test_folders_of_others_are_refused(target: Target, tmp_path: Path) -> None:
    commit_files(target.repo, "main", {"a": b"a"}, "one", caller=target.caller)
    put(tmp_path / "full/file", "x")
    git(tmp_path, "init", "-q", "repo")
    for name in ("full", "repo", "full/file"):
        with pytest.raises(Refused, match="no export made it"):
            export_git(target.repo, "git-lfs", tmp_path / name, [], caller=target.caller)
    export_git(target.repo, "git-lfs", tmp_path / "out", [], caller=target.caller)
    with pytest.raises(Refused, match="of another kind"):
        export_git(target.repo, "dvc", tmp_path / "out", [], caller=target.caller)
    with pytest.raises(Refused, match="nothing to export"):
        export_git(Target(tmp_path / "empty").repo, "git-lfs", tmp_path / "new", [], caller=target.caller)


def test_damage_is_never_written(target: Target, tmp_path: Path) -> None:
    commit_files(target.repo, "main", {"w.bin": noise(1, 2_000_000)}, "one", caller=target.caller)
    (pack,) = (target.path / ".mvc/chunks/packs").rglob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
    pack.chmod(0o644)
    pack.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"w\.bin"):
        export_git(target.repo, "git-lfs", tmp_path / "out", [], caller=target.caller)
    assert not list((tmp_path / "out/.git/lfs").rglob("*")) if (tmp_path / "out/.git/lfs").exists() else True
    assert git(tmp_path / "out", "for-each-ref") == ""


def test_revisions(target: Target, tmp_path: Path) -> None:
    one = commit_files(target.repo, "main", {"a": b"a"}, "one", caller=target.caller)
    commit_files(target.repo, "main", {"a": b"b"}, "two", caller=target.caller)
    commit_files(target.repo, "other", {"a": b"b"}, "o", CommitFilesOptions(), caller=target.caller)
    done = export_git(target.repo, "git-lfs", tmp_path / "out", ["main~1"], caller=target.caller)
    assert [ref for ref, _, _ in done.refs] == [f"refs/heads/export-{one.id[:10]}"]
    assert len(done.commits) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_step_it_goes_on(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvc.exporters.history._EVERY_SECONDS", 0.0)
    for number in range(3):
        files = {"w.bin": noise(number, 1_200_000), "a.txt": b"%d" % number}
        commit_files(target.repo, "main", files, f"commit {number}", caller=target.caller)
    export_git(target.repo, "git-lfs", tmp_path / "whole", [], caller=target.caller)
    dest, step = tmp_path / "out", 1
    while _killed(target, dest, step):
        step += 4
    assert step > 20
    export_git(target.repo, "git-lfs", dest, [], caller=target.caller)
    git(dest, "fsck", "--strict")
    assert git(dest, "rev-parse", "main") == git(tmp_path / "whole", "rev-parse", "main")
    for number in range(3):
        digest = sha256(noise(number, 1_200_000))
        assert (dest / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest).read_bytes() == noise(number, 1_200_000)


def _killed(target: Target, dest: Path, step: int) -> bool:
    """Export in a child that dies before its step number `step`; whether it came to that."""
    code = in_child(lambda: export_git(target.repo, "git-lfs", dest, [], caller=target.caller), killer(step))
    assert code in (0, KILLED)
    return code != 0
