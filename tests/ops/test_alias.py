"""Aliases: names that move, and whose history nothing takes away. Also between clones over a folder."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import IntegrityError, NotFound, ParseError, UsageError
from mvc.objects import trailers
from mvc.objects.aliases import alias_ref, check_chain, in_order, step_at, write_step
from mvc.objects.database import Objects
from mvc.objects.gitdir import init_git_dir
from mvc.objects.model import Signature
from mvc.objects.refs import RefChange
from mvc.objects.revparse import resolve
from tests.models import layers, safetensors_bytes
from tests.ops.world import World

WHO = Signature("Eve", "eve@example.org", 1_700_000_000)


@pytest.fixture
def versions(world: World) -> World:
    """Three commits with tags v1 to v3."""
    for number in (1, 2, 3):
        world.write("model.safetensors", safetensors_bytes(layers(number)))
        world.mvc("add", "-A")
        world.mvc("commit", "-m", f"number {number}", "--no-environment", "--metric", f"acc=0.{number}")
        world.mvc("tag", f"v{number}")
    return world


def at(world: World, revision: str) -> str:
    return world.mvc("rev-parse", revision).out.strip()


def test_each_step_is_kept_with_who_when_and_why(versions: World) -> None:
    world = versions
    for number, (revision, when) in enumerate([("v1", "2026-01-01 12:00"), ("v3", "2026-02-01 12:00")]):
        world.environment["MVC_DATE"] = f"{when} +0000"
        world.mvc("alias", "set", "production", revision, "-m", f"why {number}")
    world.environment["MVC_DATE"] = "2026-03-01 12:00 +0000"
    world.mvc("alias", "rollback", "production", "-m", "slow")
    world.environment["MVC_DATE"] = "2026-04-01 12:00 +0000"
    world.mvc("alias", "delete", "production", "-m", "over")
    rows = world.mvc("alias", "log", "production", "--json").json["steps"]
    v1, v3 = at(world, "v1"), at(world, "v3")
    assert [(row["action"], row["target"], row["why"]) for row in rows] == [
        ("remove", None, "over"),
        ("rollback", v1, "slow"),
        ("set", v3, "why 1"),
        ("set", v1, "why 0"),
    ]
    assert [row["until"] for row in rows] == [None, *(row["since"] for row in rows[:-1])]
    for date, target in (("2026-01-15", v1), ("2026-02-15", v3), ("2026-03-15", v1), ("2026-04-15", None)):
        found = world.mvc("alias", "log", "production", "--at", f"{date} 00:00 +0000", "--json").json["steps"]
        assert [row["target"] for row in found] == [target]
    assert at(world, "production@{2026-02-15}") == v3
    assert at(world, "production@{2}") == v3 and at(world, "production@{3}") == v1
    world.mvc("alias", "log", "production", "--at", "2025-12-31", code=4)
    world.mvc("rev-parse", "production", code=4)
    world.mvc("alias", "show", "production", code=4)
    assert "production" not in world.mvc("alias").out and "removed" in world.mvc("alias", "list", "--removed").out
    world.mvc("alias", "set", "production", "v2")
    assert world.git("log", "-1", "--format=%(trailers:key=Target,valueonly)", "refs/aliases/production") == at(
        world, "v2"
    )


def test_rollback_goes_back_further_each_time(versions: World) -> None:
    world = versions
    for version in ("v1", "v2", "v3"):
        world.mvc("alias", "set", "production", version)
    for expected in ("v2", "v1"):
        world.mvc("alias", "rollback", "production")
        assert at(world, "production") == at(world, expected)
    world.mvc("alias", "rollback", "production", code=4)
    world.mvc("alias", "rollback", "production", "v3")
    assert at(world, "production") == at(world, "v3")
    world.mvc("alias", "rollback", "production", "v1~0", code=0)
    world.mvc("branch", "other", "v1")
    world.mvc("switch", "other")
    world.commit("never in production", a="1")
    world.mvc("alias", "rollback", "production", "other", code=4)


def test_an_alias_is_a_revision(versions: World) -> None:
    world = versions
    world.mvc("alias", "set", "production", "v2")
    world.mvc("alias", "set", "team/staging", "v3")
    v2 = at(world, "v2")
    for spec in ("production", "production~0", "aliases/production", "production^{commit}", "production@{0}"):
        assert at(world, spec) == v2
    assert at(world, "production~1") == at(world, "v1") and at(world, "team/staging") == at(world, "v3")
    assert at(world, "refs/aliases/production") == world.git("rev-parse", "refs/aliases/production") != v2
    assert world.mvc("log", "--oneline", "production..team/staging").out.count("\n") == 1
    assert "alias: production" in world.mvc("log", "--oneline").out
    assert "number 2" in world.mvc("show", "production").out
    world.mvc("tag", "production2", "v1")
    world.mvc("alias", "set", "production2", "v1", code=5)
    for arguments in (("tag", "production"), ("branch", "production"), ("branch", "-m", "production")):
        assert "there is an alias 'production'" in world.mvc(*arguments, code=5).err
    for arguments in (("switch", "-c", "production"), ("worktree", "add", "-b", "production", "../w")):
        assert "which the name would hide" in world.mvc(*arguments, code=5).err
    world.mvc("tag", "--force", "production", "v1")
    assert at(world, "production") == at(world, "v1"), "a tag goes before"
    world.mvc("tag", "-d", "production")
    world.mvc("alias", "set", "production", "v2")
    assert "already" in world.mvc("alias", "set", "production", "v2").err
    world.mvc("alias", "set", "x", "refs/aliases/production", code=5)
    world.mvc("branch", "from-production", "production")
    assert world.git("rev-parse", "from-production") == v2
    world.mvc("checkout", "production")
    assert world.head() == v2
    assert world.mvc("gc", "--prune", "now", "--yes").code == 0
    assert at(world, "production") == v2


@pytest.mark.parametrize("name", ["", "-x", "a b", "a..b", "HEAD", "a~1", "a.lock", "1" * 40, "a\x1b", "@"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        alias_ref(name)


def test_what_only_an_alias_holds_stays(versions: World) -> None:
    world = versions
    world.mvc("switch", "-c", "other")
    lost = world.commit("only here", a="1")
    world.mvc("alias", "set", "candidate", "HEAD")
    world.mvc("switch", "main")
    world.mvc("branch", "-D", "other")
    world.mvc("reflog", "expire", "--expire", "now", "--all")
    world.mvc("gc", "--prune", "now", "--yes")
    assert at(world, "candidate") == lost and "number 3" not in world.mvc("show", "candidate").out


def test_between_clones_over_a_folder(versions: World, tmp_path: Path) -> None:
    world = versions
    world.mvc("alias", "set", "production", "v2", "-m", "first")
    world.mvc("switch", "-c", "other")
    world.commit("on a branch that is not pushed", a="1")
    world.mvc("alias", "set", "candidate", "HEAD")
    world.mvc("approve", "v2", "--for", "production")
    world.mvc("switch", "main")
    world.mvc("remote", "add", "origin", str(tmp_path / "remote"))
    told = world.mvc("push", "-u", "origin", "main").err
    assert "alias" not in told, "refs were named"
    told = world.mvc("push").err
    assert "[new alias]" in told and "[new review]" in told and "alias candidate stays here" in told
    assert world.mvc("push").err.startswith("Everything up-to-date\nalias candidate stays here")
    world.mvc("push", "-q", "origin", "production:refs/heads/released", "production:refs/tags/released")
    assert {line.split()[0] for line in world.mvc("ls-remote", "origin", "released").out.splitlines()} == {
        at(world, "v2")
    }
    world.mvc("clone", "-q", str(tmp_path / "remote"), str(tmp_path / "two"))
    two = World(tmp_path / "two", new=False)
    assert two.mvc("alias", "log", "production").out == world.mvc("alias", "log", "production").out
    assert two.mvc("alias", "reviews", "production").out == world.mvc("alias", "reviews", "production").out
    two.mvc("alias", "set", "production", "main")
    two.mvc("push", "--no-aliases")
    assert "production" in two.mvc("push", "--dry-run").err
    two.mvc("push")
    assert world.mvc("push").err.startswith("Everything up-to-date"), "who is behind is not in the way"
    world.mvc("fetch")
    assert at(world, "production") == at(world, "v3")
    world.mvc("remote", "rename", "origin", "hub")
    assert world.git("for-each-ref", "--format=%(refname)", "refs/seen") == "refs/seen/hub/aliases/production"
    world.mvc("remote", "remove", "hub")
    assert not world.git("for-each-ref", "refs/seen")
    world.mvc("get", f"{tmp_path / 'remote'}@production", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out/model.safetensors").read_bytes() == safetensors_bytes(layers(3))
    world.mvc("clone", "-q", "--depth", "1", str(tmp_path / "remote"), str(tmp_path / "three"))
    three = World(tmp_path / "three", new=False)
    assert not three.mvc("alias").out
    for one in (two, three):
        one.check()


def test_a_remote_whose_chain_lies_is_not_believed(versions: World, tmp_path: Path) -> None:
    """Whoever may write to a folder may write anything."""
    world = versions
    world.mvc("alias", "set", "production", "v1")
    world.mvc("remote", "add", "origin", str(tmp_path / "remote"))
    world.mvc("push", "-q", "origin", "main", "--tags", "--aliases")
    world.mvc("clone", "-q", str(tmp_path / "remote"), str(tmp_path / "two"))
    two = World(tmp_path / "two", new=False)
    repo = world.repo
    tip = repo.refs.read("refs/aliases/production") or ""
    v1, v2 = at(world, "v1"), at(world, "v2")
    with repo.objects.batch() as batch:
        tree = repo.objects.commit(v2).tree
        message = f"x\n\nAlias: production\nAction: set\nTarget: {v2}\n"
        lie = batch.commit(tree, [tip, v1], WHO, WHO, message)
        batch.seal()
    repo.refs.update([RefChange("refs/aliases/production", tip, lie)], message="m", author=WHO)
    assert "refs/aliases/production" in world.mvc("fsck", code=6).out
    world.mvc("push", "origin", "refs/aliases/production")
    assert "refs/aliases/production" in world.mvc("remote", "fsck", "origin", code=6).out
    ran = two.run("fetch")
    assert "[rejected]" in ran.err and "the target that it claims is not its last parent" in ran.err
    assert at(two, "production") == v1
    world.mvc("get", f"{tmp_path / 'remote'}@production", "-o", str(tmp_path / "out"), code=6)
    repo = world.repo
    repo.refs.update([RefChange("refs/aliases/production", lie, tip)], message="m", author=WHO)


@given(st.text(max_size=60), st.text(max_size=200))
@settings(max_examples=60)
def test_what_is_said_of_a_step_never_becomes_what_counts(subject: str, body: str) -> None:
    fields = {"Alias": "p", "Action": "set", "Target": "1" * 40}
    message = trailers.compose(subject, body, fields)
    assert trailers.split(message, tuple(fields))[2] == fields
    with pytest.raises(ParseError):
        trailers.split(message + "\nmore\n", tuple(fields))


def test_time_never_goes_back_along_a_chain(tmp_path: Path) -> None:
    init_git_dir(tmp_path / "repo")
    objects = Objects(tmp_path / "repo" / "objects")
    with objects.batch() as batch:
        tree = batch.tree([])
        commits = [batch.commit(tree, [], WHO, WHO, f"{number}") for number in range(3)]
        before, tips = None, []
        for commit, seconds in zip(commits, (1000, 500, 2000), strict=True):
            before = write_step(batch, "p", "set", commit, before, WHO._replace(time=seconds))
            tips.append(before)
        batch.seal()
    assert [(since, step.target) for since, step in in_order(objects, tips[-1], "p")] == list(
        zip((1000, 1000, 2000), commits, strict=True)
    )
    assert [getattr(step_at(objects, tips[-1], "p", when), "target", None) for when in (999, 1000, 1999, 2000)] == [
        None,
        commits[1],
        commits[1],
        commits[2],
    ]
    assert [step.id for step in check_chain(objects, tips[2], "p", tips[0])] == tips[:0:-1]
    for wrong, known in itertools.product(tips[:1], tips[1:]):
        with pytest.raises(IntegrityError):
            check_chain(objects, wrong, "p", known)
    with pytest.raises(IntegrityError):
        check_chain(objects, commits[0], "p")
    objects.close()


def test_advice_of_the_project(versions: World) -> None:
    world = versions
    world.write("mvc.yaml", "aliases:\n  production:\n    approvals: 1\n    gates: [acc >= 0.2, tensors.nan = 0]\n")
    ran = world.mvc("alias", "set", "production", "v1", code=5)
    assert "it takes 1 approvals by others than author@example.org, and has 0" in ran.err
    assert "it fails the gate 'acc >= 0.2'" in ran.err
    world.mvc("approve", "v2")
    world.mvc("alias", "set", "production", "v2", code=5)
    world.environment["MVC_AUTHOR_EMAIL"] = "other@example.org"
    world.mvc("approve", "v2", "-m", "fine")
    world.environment["MVC_AUTHOR_EMAIL"] = "author@example.org"
    world.mvc("alias", "set", "production", "v2")
    world.mvc("alias", "set", "production", "v1", "--force")
    world.mvc("alias", "set", "staging", "v1")
    for text in ("aliases: [x]", "aliases: {production: {approval: 1}}", "aliases: {production: {gates: ['a >']}}"):
        world.write("mvc.yaml", text)
        world.mvc("alias", "set", "production", "v3", code=2)


def test_purge_takes_aliases_along(versions: World) -> None:
    world = versions
    world.write("secret", "token")
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "leak", "--no-environment")
    for version in ("v1", "HEAD", "v2"):
        world.mvc("alias", "set", "production", version, "-m", f"to {version}")
    world.mvc("alias", "set", "leaked", "HEAD")
    world.mvc("alias", "delete", "leaked")
    world.mvc("approve", "HEAD")
    world.mvc("approve", "v1")
    before = [line.split("  ", 2)[2] for line in world.mvc("alias", "log", "production").out.splitlines()]
    leak = world.head()
    world.mvc("branch", "reviews/x")
    world.mvc("purge", "secret", "--yes")
    assert world.run("rev-parse", leak).code == 4 or world.git("log", "--all", "--format=%H").find(leak) < 0
    after = [line.split("  ", 2)[2] for line in world.mvc("alias", "log", "production").out.splitlines()]
    assert len(before) == len(after) == 3 and at(world, "production") == at(world, "v2")
    assert world.mvc("alias", "reviews", "production").out.count("approve") == 1, (
        "what was rewritten is to be looked at"
    )
    assert not world.mvc("alias", "list").out.count("leaked")
    assert at(world, "reviews/x") == at(world, "main") != leak
    world.mvc("fsck")


def test_names_that_are_not_there(versions: World) -> None:
    for arguments in (("show", "x"), ("log", "x"), ("delete", "x"), ("rollback", "x")):
        assert "there is no alias 'x'" in versions.mvc("alias", *arguments, code=4).err
    versions.mvc("alias", "set", "x", "nowhere", code=4)
    versions.mvc("approve", "nowhere", code=4)
    with pytest.raises(NotFound):
        resolve(versions.repo.objects, versions.repo.refs, "x")
