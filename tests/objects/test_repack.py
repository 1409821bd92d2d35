from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.objects import repack
from mvc.objects.database import MANY_PACKS, Objects
from mvc.objects.reachable import walk_objects
from mvc.objects.refs import RefChange
from tests.forked import KILLED, in_child, killer
from tests.objects.realgit import WHO, RealGit


def reach(git: RealGit) -> set[str]:
    return {reached.id for reached in walk_objects(git.objects, git.refs.list().values())}


def age(git: RealGit, seconds: float = 1000) -> None:
    for path in (git.path / "objects").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - seconds,) * 2)


def history(git: RealGit, count: int) -> list[str]:
    commits: list[str] = []
    for at in range(count):
        commits.append(git.commit(*commits[-1:], message=f"number {at}", files={"f": b"%d" % at * 500}))
        git.refs.update([RefChange("HEAD", commits[-2] if at else None, commits[-1])], message="x", author=WHO)
    return commits


def test_many_commits_make_few_packs(git: RealGit) -> None:
    commits = history(git, 70)
    packs = list((git.path / "objects/pack").glob("*.idx"))
    assert len(packs) <= MANY_PACKS + 1
    fresh = Objects(git.path / "objects")
    for commit in commits:
        assert fresh.commit(commit).id == commit
    assert git.fsck() == ""
    assert list((git.path / "tmp").iterdir()) == []


def test_kept_packs_stay_kept(git: RealGit) -> None:
    names = []
    for at in range(40):
        with git.objects.batch(keep="stage main" if at % 4 else "stage other") as batch:
            names.append(batch.blob(b"staged %d" % at))
            batch.seal()
    labels = git.objects.kept()
    assert set(labels.values()) == {"stage main", "stage other"} and len(labels) <= MANY_PACKS + 10 + 1
    git.run("gc", "--prune=now", "-q")
    git.reopen()
    assert all(git.objects.contains(name) for name in names)
    git.objects.drop_keep("stage main")
    git.run("gc", "--prune=now", "-q")
    git.reopen()
    assert [git.objects.contains(name) for name in names] == [at % 4 == 0 for at in range(40)]


def test_deltas_of_git_are_copied(git: RealGit) -> None:
    commits = history(git, 12)
    git.run("repack", "-adfq", "--depth=50")
    loose = git.run("hash-object", "-w", "--stdin", data=b"loose")
    extra = history_of_others(git, commits)
    git.reopen()
    (pack, *_) = [pack for pack in git.objects.packs.packs() if pack.index.count > 12]
    assert "chain length" in git.run("verify-pack", "-v", str(pack.path))
    repack.consolidate(git.objects.packs, git.path / "tmp", None, at_most=0)
    assert len(git.objects.packs.packs()) == 1
    assert "chain length" in git.run("verify-pack", "-v", str(git.objects.packs.packs()[0].path))
    for commit in [*commits, extra]:
        assert git.objects.tree(git.objects.commit(commit).tree)
    assert git.objects.blob(loose) == b"loose"
    assert [line for line in git.fsck().splitlines() if "dangling" not in line] == []


def history_of_others(git: RealGit, commits: list[str]) -> str:
    return git.commit(commits[-1], message="more", files={"g": b"something else"})


def test_prune(git: RealGit) -> None:
    commits = history(git, 5)
    lost = git.commit(commits[0], message="lost", files={"lost": b"lost" * 100})
    loose_lost = git.run("hash-object", "-w", "--stdin", data=b"loose and lost")
    tag = git.run("tag", "-a", "-m", "loose and live", "v1", commits[2]) or git.run("rev-parse", "v1")
    with git.objects.batch(keep="stage main") as batch:
        staged = batch.blob(b"staged")
        batch.seal()
    live = reach(git)
    everything = set(git.objects.ids())
    young = repack.prune(git.objects, live, older_than=time.time() - 100)
    assert young.removed_ids == () and set(git.objects.ids()) == everything
    age(git)
    told = repack.prune(git.objects, live, dry_run=True, older_than=time.time() - 100)
    assert set(git.objects.ids()) == everything
    done = repack.prune(git.objects, live, older_than=time.time() - 100)
    assert told.removed_ids == done.removed_ids and told.removed_bytes == done.removed_bytes > 0
    assert set(done.removed_ids) == everything - live - {staged}
    assert {lost, loose_lost} <= set(done.removed_ids)
    git.reopen()
    assert set(git.objects.ids()) == live | {staged}
    assert git.run("rev-parse", "v1") == tag
    assert [line for line in git.fsck().splitlines() if staged not in line] == []
    assert list((git.path / "tmp").iterdir()) == []
    assert len(git.objects.packs.packs()) == 2
    again = repack.prune(git.objects, live)
    assert again.removed_ids == () and len(git.objects.packs.packs()) == 2


@pytest.mark.parametrize("split", [[], ["--split"]], ids=["one", "chain"])
def test_lists_that_git_made_do_not_outlive_what_they_name(git: RealGit, split: list[str]) -> None:
    """Its graph of commits, and its index over many packs."""
    commits = history(git, 3)
    git.commit(commits[0], message="lost", files={"lost": b"lost" * 100})
    lost = git.run("commit-tree", "-p", commits[0], "-m", "lost too", f"{commits[0]}^{{tree}}")
    git.run("update-ref", "refs/heads/lost", lost)
    git.run("commit-graph", "write", "--reachable", *split)
    git.run("multi-pack-index", "write")
    git.run("update-ref", "-d", "refs/heads/lost")
    assert lost in repack.prune(git.objects, reach(git)).removed_ids
    git.reopen()
    assert git.fsck() == "" and git.run("log", "--format=%H").split() == commits[::-1]


def test_prune_leaves_what_a_writer_counts_on(git: RealGit) -> None:
    history(git, 2)
    with git.objects.batch() as batch:
        wanted = batch.blob(b"unreachable, but wanted again")
        batch.seal()
    age(git)
    other = Objects(git.path / "objects")
    steps: list[str] = []

    def hook(operation: str, path: str) -> None:
        # Another process adds the same content, after prune has decided, before it removes.
        if operation == "rename" and path.endswith(".idx") and not steps:
            steps.append(path)
            with other.batch() as batch:
                batch.blob(b"unreachable, but wanted again")
                assert len(batch) == 0

    with fsio.hooked(hook):
        repack.prune(git.objects, reach(git), older_than=time.time() - 100)
    assert steps
    assert Objects(git.path / "objects").blob(wanted) == b"unreachable, but wanted again"


def test_damage_is_not_copied(git: RealGit) -> None:
    commits = history(git, 3)
    pack = next((git.path / "objects/pack").glob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[20] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    before = sorted((git.path / "objects/pack").iterdir())
    git.reopen()
    assert repack.consolidate(git.objects.packs, git.path / "tmp", None, at_most=0) == 0
    with pytest.raises(IntegrityError):
        repack.prune(git.objects, set(git.objects.ids()) - {commits[0]})
    assert sorted((git.path / "objects/pack").iterdir()) == before
    assert list((git.path / "tmp").iterdir()) == []


def test_a_crash_at_any_step_loses_nothing(tmp_path: Path) -> None:
    for verb in ("seal", "consolidate", "prune"):
        step = 0
        while True:
            git = RealGit(tmp_path / f"{verb}{step}")
            commits = history(git, 4)
            git.commit(message="lost")
            age(git)
            live = reach(git)
            act = {
                "seal": lambda: git.commit(commits[-1], message="more"),  # noqa: B023
                "consolidate": lambda: repack.consolidate(git.objects.packs, git.path / "tmp", None, at_most=0),  # noqa: B023
                "prune": lambda: repack.prune(git.objects, live),  # noqa: B023
            }[verb]
            code = in_child(act, killer(step + 1))
            assert code in (0, KILLED)
            git.reopen()
            assert reach(git) == live
            assert [line for line in git.fsck().splitlines() if "dangling" not in line] == []
            repack.prune(git.objects, live)
            git.reopen()
            assert reach(git) == live == set(git.objects.ids())
            if code == 0:
                break
            step += 3
        assert step > 3


def _write(path: Path, number: int) -> None:
    git = RealGit(path)
    for at in range(25):
        with git.objects.batch() as batch:
            name = batch.blob(b"%d of %d" % (at, number))
            batch.seal()
        assert git.objects.blob(name)


def _merge(path: Path) -> None:
    for _ in range(30):
        objects = Objects(path / "objects")
        repack.consolidate(objects.packs, path / "tmp", None, at_most=1)
        time.sleep(0.005)


def test_writers_and_mergers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    git = RealGit(path)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(path, number)) for number in range(2)]
    workers += [context.Process(target=_merge, args=(path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    git.reopen()
    assert sorted(git.objects.blob(name) for name in git.objects.ids()) == sorted(
        b"%d of %d" % (at, number) for at in range(25) for number in range(2)
    )
    assert git.fsck().count("dangling blob") == 50
