from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc import fsio
from mvc.errors import IntegrityError, Locked, NotFound, RefChanged, Refused, UsageError
from mvc.objects import reflog, refnames
from mvc.objects.refs import ANY, RefChange, Refs
from tests.forked import KILLED, in_child, killer
from tests.objects.realgit import WHO, RealGit

MAIN = "refs/heads/main"


def move(refs: Refs, ref: str, old: str | None, new: str | None, message: str = "test: move") -> None:
    refs.update([RefChange(ref, old, new)], message=message, author=WHO)


def test_git_sees_what_was_moved(git: RealGit) -> None:
    assert git.refs.head().branch == MAIN and git.refs.head().id is None
    one = git.commit(message="one")
    move(git.refs, "HEAD", None, one, "commit (initial): one")
    two = git.commit(one, message="two")
    move(git.refs, MAIN, one, two, "commit: two\n with a  second line")
    assert git.run("rev-parse", "HEAD", "main@{1}", "HEAD@{1}").split() == [two, one, one]
    assert git.run("reflog", "show", "--format=%gs").split("\n") == [
        "commit: two with a second line",
        "commit (initial): one",
    ]
    assert git.run("reflog", "show", "main", "--format=%gn %ge").split("\n")[0] == "A U Thor author@example.org"
    assert git.fsck() == ""


def test_mvc_sees_what_git_moved(git: RealGit) -> None:
    one = git.commit()
    git.run("update-ref", "-m", "by git", "HEAD", one)
    git.run("branch", "feature/deep/er", one)
    git.run("tag", "-a", "-m", "x", "v1", one)
    git.run("symbolic-ref", "refs/remotes/origin/HEAD", MAIN)
    expected = dict(line.split(" ")[::-1] for line in git.run("show-ref").split("\n"))
    assert git.refs.list() == expected
    git.run("pack-refs", "--all")
    assert git.refs.list() == expected
    assert git.refs.head().id == git.refs.read("refs/heads/feature/deep/er") == one
    assert git.refs.symbolic("refs/remotes/origin/HEAD") == MAIN
    git.run("symbolic-ref", "HEAD", "refs/heads/feature/deep/er")
    assert git.refs.head().short == "feature/deep/er"
    git.run("update-ref", "--no-deref", "HEAD", one)
    assert (git.refs.head().branch, git.refs.head().id) == (None, one)
    assert reflog.read(git.refs.reflog_path(MAIN))[0].message == "by git"
    assert git.refs.logged() == ["HEAD", "refs/heads/feature/deep/er", MAIN, "refs/remotes/origin/HEAD"]


def test_compare_and_swap(git: RealGit) -> None:
    one, two = git.commit(message="one"), git.commit(message="two")
    move(git.refs, MAIN, None, one)
    for old in (None, two):
        with pytest.raises(RefChanged):
            move(git.refs, MAIN, old, two)
    with pytest.raises(RefChanged):
        git.refs.update(
            [RefChange("refs/heads/new", None, two), RefChange(MAIN, two, one)], message="both or none", author=WHO
        )
    assert git.refs.list() == {MAIN: one}
    assert len(reflog.read(git.refs.reflog_path("HEAD"))) == 1
    move(git.refs, MAIN, ANY, two)
    move(git.refs, MAIN, two, two, "nothing moves, nothing is logged")
    assert len(reflog.read(git.refs.reflog_path(MAIN))) == 2
    assert not list(git.path.rglob("*.lock"))


def test_several_refs_at_once_and_removal(git: RealGit) -> None:
    one, two = git.commit(message="one"), git.commit(message="two")
    names = [MAIN, "refs/heads/a/b/c", "refs/tags/v1", "refs/notes/mvc"]
    git.refs.update([RefChange(name, None, one) for name in names], message="made", author=WHO)
    assert git.refs.pack() == 4
    assert git.refs.list() == dict.fromkeys(sorted(names), one)
    assert not (git.path / "refs/heads/a").exists() and (git.path / "refs/heads").is_dir()
    assert git.run("for-each-ref", "--format=%(refname)").split() == sorted(names)
    move(git.refs, "refs/heads/a/b/c", one, two)
    git.refs.update(
        [RefChange("refs/heads/a/b/c", two, None), RefChange("refs/tags/v1", one, None)], message="gone", author=WHO
    )
    assert git.refs.list() == {MAIN: one, "refs/notes/mvc": one}
    assert git.run("for-each-ref", "--format=%(refname)").split() == [MAIN, "refs/notes/mvc"]
    assert not (git.path / "logs/refs/heads/a").exists()
    assert git.fsck() == f"dangling commit {two}"


def test_a_name_is_a_ref_or_a_folder(git: RealGit) -> None:
    one = git.commit()
    move(git.refs, "refs/heads/a/b", None, one)
    for packed in (False, True):
        for name in ("refs/heads/a", "refs/heads/a/b/c"):
            with pytest.raises(Refused):
                move(git.refs, name, None, one)
        if not packed:
            git.refs.pack()
    move(git.refs, "refs/heads/a/b", one, None)
    (git.path / "refs/heads/a/empty").mkdir(parents=True)
    move(git.refs, "refs/heads/a", None, one)
    assert git.run("rev-parse", "a") == one


def test_rename(git: RealGit) -> None:
    one = git.commit()
    move(git.refs, MAIN, None, one, "made")
    move(git.refs, "refs/heads/other", None, one)
    with pytest.raises(Refused):
        git.refs.rename(MAIN, "refs/heads/other", message="renamed", author=WHO)
    with pytest.raises(NotFound):
        git.refs.rename("refs/heads/none", "refs/heads/x", message="renamed", author=WHO)
    for old, new in ((MAIN, "refs/heads/x"), ("refs/heads/x", "refs/heads/x/y"), ("refs/heads/x/y", MAIN)):
        git.refs.pack()
        git.refs.rename(old, new, message="renamed", author=WHO)
        assert git.refs.head().branch == new
        assert git.refs.read(old) is None
        assert reflog.read(git.refs.reflog_path(new))[-1].message == "made"
    git.refs.rename(MAIN, "refs/heads/other", message="renamed", author=WHO, force=True)
    assert git.refs.list() == {"refs/heads/other": one}
    assert git.fsck() == ""


def test_head(git: RealGit) -> None:
    one = git.commit()
    git.refs.set_head("refs/heads/unborn", message="checkout: moving", author=WHO)
    assert git.refs.head().branch == "refs/heads/unborn"
    git.refs.rename("refs/heads/unborn", MAIN, message="renamed", author=WHO)
    move(git.refs, "HEAD", None, one)
    git.refs.set_head(one, message="checkout: moving from main to x", author=WHO)
    assert git.run("rev-parse", "HEAD") == one
    assert git.refs.head().branch is None
    two = git.commit(one)
    move(git.refs, "HEAD", one, two)
    assert git.refs.read(MAIN) == one and git.refs.head().id == two
    for bad in ("main", "refs/tags/x", "refs/heads/..", one[:10]):
        with pytest.raises(UsageError):
            git.refs.set_head(bad, message="", author=WHO)


def test_a_worktree_has_its_own_head(git: RealGit) -> None:
    one = git.commit()
    move(git.refs, MAIN, None, one)
    own = git.path / "worktrees" / "second"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/second\n")
    (own / "commondir").write_text("../..\n")
    (own / "gitdir").write_text(f"{git.path}/x\n")
    second = Refs(own, git.path)
    assert second.head().branch == "refs/heads/second"
    second.update([RefChange("HEAD", None, one), RefChange("refs/bisect/bad", None, one)], message="x", author=WHO)
    assert git.refs.read("refs/heads/second") == one
    assert git.refs.head().branch == MAIN
    assert git.refs.list("refs/bisect/") == {} and second.list("refs/bisect/") == {"refs/bisect/bad": one}
    assert (own / "logs/HEAD").exists() and len(reflog.read(git.refs.reflog_path("HEAD"))) == 1


@pytest.mark.parametrize(
    "text", ["", "junk", "0123", "ref: ../../etc/passwd", "ref: refs/heads/a..b", "\0" * 41, "x" * 9000]
)
def test_a_damaged_ref_is_told(git: RealGit, text: str) -> None:
    one = git.commit()
    move(git.refs, MAIN, None, one)
    (git.path / "refs/heads/bad").write_text(text)
    with pytest.raises(IntegrityError, match="refs/heads/bad"):
        git.refs.read("refs/heads/bad")
    assert git.refs.list() == {MAIN: one}


def test_circles_and_names_that_lead_elsewhere(git: RealGit) -> None:
    (git.path / "refs/heads/a").write_text("ref: refs/heads/b\n")
    (git.path / "refs/heads/b").write_text("ref: refs/heads/a\n")
    with pytest.raises(IntegrityError):
        git.refs.read("refs/heads/a")
    for name in ("../config", "refs/heads/../../config", "config", "refs/heads/x.lock", "/etc/passwd", "refs/"):
        with pytest.raises(UsageError):
            git.refs.read(name)
        with pytest.raises(UsageError):
            move(git.refs, name, None, "1" * 40)


def test_a_lock_of_git_is_respected(git: RealGit) -> None:
    one = git.commit()
    (git.path / "refs/heads/main.lock").write_text("")
    with pytest.raises(Locked):
        git.refs.update([RefChange(MAIN, None, one)], message="x", author=WHO, wait=0.05)
    assert git.refs.list() == {}


def test_our_lock_is_respected_by_git(git: RealGit) -> None:
    one = git.commit()
    said: list[bytes] = []

    def hook(operation: str, path: str) -> None:
        if operation == "rename" and path.endswith("refs/heads/main"):
            done = subprocess.run(
                ["git", f"--git-dir={git.path}", "update-ref", MAIN, one], capture_output=True, check=False
            )
            said.append(done.stderr)

    with fsio.hooked(hook):
        move(git.refs, MAIN, None, one)
    assert b"cannot lock ref" in said[0]


def test_a_crash_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    steps = 0
    while True:
        git = RealGit(tmp_path / f"repo{steps}")
        one, two = git.commit(message="one"), git.commit(message="two")
        move(git.refs, MAIN, None, one)
        code = in_child(lambda: move(git.refs, MAIN, one, two, "moved"), killer(steps + 1))  # noqa: B023
        assert code in (0, KILLED)
        now = git.refs.read(MAIN)
        assert now in {one, two}
        if now == two:
            assert reflog.read(git.refs.reflog_path(MAIN))[0].new == two
            assert reflog.read(git.refs.reflog_path("HEAD"))[0].new == two
        git.refs.update([RefChange(MAIN, now, one), RefChange("refs/heads/x", None, two)], message="again", author=WHO)
        assert git.refs.list() == {MAIN: one, "refs/heads/x": two}
        assert not [line for line in git.fsck().splitlines() if not line.startswith("dangling")]
        if code == 0:
            break
        steps += 1
    assert steps > 10


def _race(path: Path, number: int, rounds: int) -> None:
    git = RealGit(path)
    done = 0
    while done < rounds:
        head = git.refs.head().id
        new = git.commit(*([head] if head else []), message=f"{number}-{done}")
        try:
            git.refs.update([RefChange("HEAD", head, new)], message="commit", author=WHO, wait=300)
        except RefChanged:
            continue
        done += 1


def test_processes_that_race_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    git = RealGit(path)
    context = multiprocessing.get_context("fork")
    racers = [context.Process(target=_race, args=(path, number, 6)) for number in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    subjects = git.run("log", "--format=%s").split("\n")
    assert sorted(subjects) == sorted(f"{number}-{done}" for number in range(4) for done in range(6))
    log = reflog.read(git.refs.reflog_path(MAIN))
    assert len(log) == 24
    assert [entry.old for entry in log[:-1]] == [entry.new for entry in log[1:]]
    assert [line for line in git.fsck().splitlines() if not line.startswith("dangling")] == []


def test_mvc_and_git_race(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    git = RealGit(path)
    racer = multiprocessing.get_context("fork").Process(target=_race, args=(path, 0, 15))
    racer.start()
    tree = git.run("mktree", data=b"")
    done = 0
    while done < 15:
        head = git.run("rev-parse", "-q", "--verify", "HEAD^0") if git.refs.head().id else ""
        new = git.run("commit-tree", tree, "-m", f"git-{done}", *(["-p", head] if head else []))
        try:
            git.run("update-ref", "-m", "by git", "HEAD", new, head or "0" * 40)
        except AssertionError as error:
            assert "cannot lock ref" in str(error), error
            continue
        done += 1
    racer.join()
    assert racer.exitcode == 0
    assert len(git.run("log", "--format=%s").split("\n")) == 30
    log = reflog.read(git.refs.reflog_path(MAIN))
    assert [entry.old for entry in log[:-1]] == [entry.new for entry in log[1:]]


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab/.@{}~^:?*[\\-lock \x7f\té"), max_size=9))
def test_names_as_git_checks_them(name: str) -> None:
    done = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False)
    assert refnames.is_valid(f"refs/heads/{name}") == (done.returncode == 0)


@pytest.mark.parametrize("name", ["-x", "HEAD", "", "@", "a b", "a..b", ".a", "a.lock", "a/"])
def test_names_that_are_no_branches(name: str) -> None:
    with pytest.raises(UsageError):
        refnames.branch_ref(name)


def test_pseudo_refs(git: RealGit) -> None:
    one = git.commit()
    git.refs.write_pseudo("ORIG_HEAD", one)
    assert git.run("rev-parse", "ORIG_HEAD") == git.refs.read("ORIG_HEAD") == one
    git.refs.write_pseudo("ORIG_HEAD", None)
    assert git.refs.read("ORIG_HEAD") is None


# ---- reflogs


def test_a_torn_reflog_is_mended(git: RealGit) -> None:
    one, two = git.commit(message="one"), git.commit(message="two")
    move(git.refs, MAIN, None, one, "first")
    path = git.refs.reflog_path(MAIN)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:57])
    assert [entry.message for entry in reflog.read(path)] == ["first"]
    move(git.refs, MAIN, one, two, "second")
    assert [entry.message for entry in reflog.read(path)] == ["second", "first"]
    assert reflog.malformed(path) == 0
    assert git.run("reflog", "show", "main", "--format=%gs").split("\n") == ["second", "first"]


def test_reflogs_expire(git: RealGit) -> None:
    before = None
    for at in range(6):
        commit = git.commit(message=str(at))
        move(git.refs, MAIN, before, commit, f"number {at}")
        before = commit
    assert git.refs.expire_log(MAIN, lambda entry: entry.message[-1] in "135", dry_run=True) == 3
    assert git.refs.expire_log(MAIN, lambda entry: entry.message[-1] in "135") == 3
    assert [entry.message for entry in reflog.read(git.refs.reflog_path(MAIN))] == ["number 5", "number 3", "number 1"]
    assert git.run("reflog", "show", "main", "--format=%gs").split("\n") == ["number 5", "number 3", "number 1"]


def test_reflog_of_git(git: RealGit) -> None:
    one = git.commit()
    git.run("update-ref", "-m", "tab\there", "HEAD", one, GIT_COMMITTER_NAME="Zoë", GIT_COMMITTER_DATE="@99999 -0130")
    (entry,) = reflog.read(git.refs.reflog_path("HEAD"))
    assert (entry.old, entry.new, entry.message) == (None, one, "tab here")
    assert (entry.who.name, entry.who.time, entry.who.offset_minutes) == ("Zoë", 99999, -90)
