"""Aliases and reviews at a real server: chains that only grow, and protected names that move only where they may."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvc.backends.folder import FolderBackend
from mvc.errors import IntegrityError
from mvc.hub.grants import Grant
from mvc.hub.messages import Right
from mvc.hub.promotion import PROTECTED, read_protections
from mvc.hub.tokens import open_tokens
from mvc.objects.model import Signature
from mvc.objects.refs import RefChange
from mvc.repo.repository import Repository
from tests.cli.conftest import mvc, own_world
from tests.cli.world import Mvc, Ran
from tests.hub.serving import Running, serving
from tests.models import layers, safetensors_bytes

__all__ = ["mvc", "own_world"]

WHO = Signature("Eve", "eve@example.org", 1_700_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(str(tmp_path_factory.mktemp("served"))) as running:
        yield running


@dataclass
class Person:
    """Somebody with a clone, and a token of their own."""

    name: str
    top: Path
    token: str
    mvc: Mvc

    def __call__(self, *arguments: str, code: int | None = 0) -> Ran:
        who = {"MVC_AUTHOR_NAME": self.name, "MVC_AUTHOR_EMAIL": f"{self.name}@example.org", "MVC_TOKEN": self.token}
        return self.mvc(*arguments, cwd=self.top, code=code, **who)

    def commit(self, number: int, *options: str) -> str:
        (self.top / "model.safetensors").write_bytes(safetensors_bytes(layers(number)))
        self("add", "-A")
        self("commit", "-q", "-m", f"number {number}", "--no-environment", *options)
        return self("rev-parse", "HEAD").out.strip()

    @property
    def repo(self) -> Repository:
        return Repository.open(self.top)


@dataclass
class Team:
    """A repository on the server, and who works with it."""

    url: str
    name: str
    place: str
    people: dict[str, Person]

    def __getitem__(self, name: str) -> Person:
        found = self.people[name]
        if not found.top.exists():
            found.top.mkdir()
            found("clone", "-q", self.url, ".")
        return found

    def protect(self, *options: str) -> None:
        self["ann"]("serve", "protect", self.place, self.name, "production", *options)


@pytest.fixture
def team(server: Running, mvc: Mvc, tmp_path: Path, request: pytest.FixtureRequest) -> Team:
    name = f"team/{re.sub('[^a-z0-9]', '-', request.node.name)}"[:80].rstrip("-")
    url = f"{server.url}/{name}"
    people = {}
    for one in ("ann", "bob", "ci", "root"):
        right = Right.ADMIN if one == "root" else Right.APPEND
        token = open_tokens(server.place, {}).create(one, [Grant(right, "team/*")])[1]
        people[one] = Person(one, tmp_path / one, token, mvc)
    made = Team(url, name, server.place, people)
    ann = people["ann"]
    ann.top.mkdir()
    ann("init", "-q")
    ann("remote", "add", "origin", url)
    for number, accuracy in ((1, 0.9), (2, 0.95)):
        ann.commit(number, "--metric", f"accuracy={accuracy}")
        ann("tag", f"v{number}")
    ann("push", "-q", "-u", "origin", "main", "--tags")
    return made


def test_two_who_set_at_once_and_nothing_is_lost(team: Team) -> None:
    ann, bob = team["ann"], team["bob"]
    ann("alias", "set", "production", "v1", "-m", "first")
    bob("alias", "set", "production", "v2", "-m", "mine")
    ann("push")
    told = bob("push", code=5).err
    assert "[rejected]        production -> production (set there meanwhile: fetch, then set it again)" in told
    bob("push", "--force", "--aliases", code=5)
    assert "set there meanwhile; yours is in the reflog" in bob("fetch").err
    assert "v1" in bob("alias", "show", "production").out and "mine" not in bob("alias", "log", "production").out
    bob("alias", "set", "production", "v2", "-m", "on top")
    bob("push")
    ann("fetch")
    rows = json.loads(ann("alias", "log", "production", "--json").out)["steps"]
    assert [(row["named"], row["why"], row["who"]["name"]) for row in rows] == [
        ("v2", "on top", "bob"),
        ("v1", "first", "ann"),
    ]
    at = bob("rev-parse", "production").out
    assert team["ci"]("fetch").code == 0 and team["ci"]("rev-parse", "production").out == at
    ann("get", f"{team.url}@production", "-o", "served")
    assert (ann.top / "served/model.safetensors").read_bytes() == safetensors_bytes(layers(2))


def test_a_protected_alias_takes_approval_by_others(team: Team) -> None:
    ann, bob = team["ann"], team["bob"]
    team.protect("--approvals", "1")
    ann("alias", "set", "production", "v2")
    why = "it takes 1 approvals by others than ann, and has 0"
    assert why in ann("push", code=5).err
    ann("approve", "v2", "--for", "production")
    assert why in ann("push", code=5).err, "one's own does not count"
    bob("fetch")
    assert "ann@example.org" in bob("alias", "reviews", "production").out, "what is refused holds nothing else up"
    bob("approve", "v2", "--for", "production", "-m", "looked at it")
    bob("push")
    assert ann("push").code == 0
    bob("reject", "v2", "--for", "production", "-m", "it is slow")
    bob("push")
    ann("alias", "delete", "production")
    assert "cannot be removed" in ann("push", code=5).err


def test_who_a_review_says_that_it_is_by_counts_for_nothing(team: Team, mvc: Mvc) -> None:
    ann = team["ann"]
    team.protect("--approvals", "1")
    ann("alias", "set", "production", "v2")
    forged = {"MVC_AUTHOR_NAME": "bob", "MVC_AUTHOR_EMAIL": "bob@example.org", "MVC_TOKEN": ann.token}
    mvc("approve", "v2", "--for", "production", cwd=ann.top, **forged)
    ran = mvc("push", cwd=ann.top, code=5, **forged)
    assert "it takes 1 approvals by others than ann, and has 0" in ran.err


def test_a_rejection_stands_until_its_author_approves(team: Team) -> None:
    ann, bob, ci = team["ann"], team["bob"], team["ci"]
    team.protect("--approvals", "1")
    bob("reject", "v2", "--for", "production")
    bob("push")
    ci("approve", "v2", "--for", "production")
    ci("push")
    ann("alias", "set", "production", "v2")
    assert "bob rejected it" in ann("push", code=5).err
    bob("approve", "v2", "--for", "production")
    bob("push")
    assert ann("push").code == 0


def test_an_approval_is_for_one_commit_and_one_alias(team: Team) -> None:
    ann, bob = team["ann"], team["bob"]
    team.protect("--approvals", "1", "--approver", "b*")
    bob("approve", "v1", "--for", "production")
    bob("approve", "v2", "--for", "staging")
    bob("push")
    ann("alias", "set", "production", "v2")
    assert "has 0" in ann("push", code=5).err
    ann("fetch")
    ann("alias", "set", "staging", "v2")
    assert "! [rejected]" not in ann("push", "origin", "refs/aliases/staging").err
    team["ci"]("approve", "v2", "--for", "production")
    team["ci"]("push")
    assert "has 0" in ann("push", code=5).err, "ci is no approver"


def test_a_step_that_is_refused_for_good_can_be_taken_back(team: Team) -> None:
    ann = team["ann"]
    ann("alias", "set", "production", "v2")
    ann("push")
    team.protect("--gate", "accuracy >= 0.92")
    ann("alias", "set", "production", "v1", "-m", "mistaken")
    assert "+refs/aliases/" in ann("push", code=5).err, "how to take it back is told"
    ann("fetch")
    ann("alias", "rollback", "production")
    assert "it fails the gate" in ann("push", code=5).err, "each step is looked at"
    back = ann("fetch", "origin", "+refs/aliases/production:refs/aliases/production").err
    assert "your steps are in the reflog" in back
    rows = json.loads(ann("alias", "log", "production", "--json").out)["steps"]
    assert [row["named"] for row in rows] == ["v2"] and ann("push").code == 0


def test_the_server_runs_gates_itself(team: Team) -> None:
    ann = team["ann"]
    team.protect("--gate", "accuracy >= 0.92", "--gate", "tensors.nan = 0", "--gate", "delta(size) <= 1%")
    ann("alias", "set", "production", "v1")
    told = ann("push", code=5).err
    assert "it fails the gate 'accuracy >= 0.92'" in told and "tensors.nan" not in told
    ann("alias", "set", "production", "v2")
    assert "it fails the gate 'accuracy >= 0.92'" in ann("push", code=5).err, "each step is looked at"
    ann("fetch")
    repo = ann.repo
    repo.refs.update([RefChange("refs/aliases/production", repo.refs.read("refs/aliases/production"), None)],
                     message="m", author=WHO)  # fmt: skip
    ann("alias", "set", "production", "v2")
    assert ann("push").code == 0
    worse = ann.commit(3, "--metric", "f1=1")
    ann("push", "origin", "main")
    ann("alias", "set", "production", worse)
    assert "there is no metric 'accuracy'" in ann("push", code=5).err
    ann("annotate", worse, "--metric", "accuracy=0.99")
    assert ann("push").code == 0, "what was said of it since counts, and goes first"


def test_a_gate_that_ci_recorded(team: Team) -> None:
    ann, ci = team["ann"], team["ci"]
    team.protect("--checker", "ci")
    ann("alias", "set", "production", "v2")
    ann("gate", "v2", "accuracy >= 0.9", "--record", "--for", "production")
    assert "no gate that it passed was recorded by ci" in ann("push", code=5).err
    assert ci("gate", "v2", "accuracy >= 0.99", "--record", "--for", "production", code=1).code == 1
    ci("push")
    assert "no gate that it passed was recorded by ci" in ann("push", code=5).err
    ci("gate", "v2", "accuracy >= 0.9", "--record", "--for", "production")
    ci("push")
    assert ann("push").code == 0


def test_back_to_what_was_approved_once_is_always_possible(team: Team) -> None:
    ann, bob = team["ann"], team["bob"]
    team.protect("--approvals", "1")
    for version in ("v1", "v2"):
        bob("approve", version, "--for", "production")
        bob("push")
        ann("alias", "set", "production", version)
        ann("push")
    team.protect("--approvals", "2", "--gate", "accuracy > 1")
    ann("alias", "rollback", "production")
    assert ann("push").code == 0
    bob("fetch")
    assert bob("rev-parse", "production").out == bob("rev-parse", "v1").out
    bob("reject", "v2", "--for", "production")
    bob("push")
    ann("alias", "rollback", "production", "v2")
    assert "bob rejected it" in ann("push", code=5).err


def test_only_an_administrator_deletes_an_alias_or_a_review(team: Team) -> None:
    ann, bob, root = team["ann"], team["bob"], team["root"]
    ann("alias", "set", "production", "v1")
    ann("push")
    assert "delete aliases or reviews" in bob("push", "origin", "--delete", "refs/aliases/production", code=8).err
    assert root("push", "origin", "--delete", "refs/aliases/production").code == 0


@pytest.mark.parametrize("lie", ["no parent", "another alias", "a step as target", "other files", "no message", "cut"])
def test_chains_that_lie_are_refused(team: Team, lie: str) -> None:
    ann, bob = team["ann"], team["bob"]
    ann("alias", "set", "production", "v1")
    ann("push")
    repo = ann.repo
    tip = repo.refs.read("refs/aliases/production") or ""
    v1, v2 = (repo.refs.read(f"refs/tags/{name}") or "" for name in ("v1", "v2"))
    tree = repo.objects.commit(v2).tree
    parents, target, alias = [tip, v2], v2, "production"
    if lie == "no parent":
        parents = [tip, v1]
    elif lie == "another alias":
        alias = "staging"
    elif lie == "a step as target":
        parents, target, tree = [tip, tip], tip, repo.objects.commit(tip).tree
    elif lie == "other files":
        tree = repo.objects.commit(v1).tree
    elif lie == "cut":
        parents = [v2]
    message = f"x\n\nAlias: {alias}\nAction: set\nTarget: {target}\n" if lie != "no message" else "production is v2\n"
    with repo.objects.batch() as batch:
        made = batch.commit(tree, parents, WHO, WHO, message)
        batch.seal()
    repo.refs.update([RefChange("refs/aliases/production", tip, made)], message="m", author=WHO)
    refused = ann("push", "origin", "refs/aliases/production", code=None)
    assert refused.code in (5, 6), refused.err
    found = ann("fsck", code=None)
    assert (found.code == 6 and "refs/aliases/production" in found.out + found.err) or lie == "cut"
    bob("fetch")
    assert bob("rev-parse", "production").out.strip() == v1


def test_no_branch_or_tag_comes_before_a_protected_alias(team: Team) -> None:
    ann = team["ann"]
    team.protect("--approvals", "1")
    for ref in ("refs/heads/production", "refs/tags/production"):
        told = ann("push", "origin", f"v1:{ref}", code=5).err
        assert "would stand before the alias 'production', which is protected here" in told
    ann("push", "origin", "v1:refs/heads/staging")
    told = ann("serve", "protect", team.place, team.name, "staging", "--approvals", "1", code=5).err
    assert "'refs/heads/staging' there goes before the alias" in told


def test_protection_is_listed_lifted_and_refused_where_it_makes_no_sense(team: Team) -> None:
    ann = team["ann"]
    team.protect("--approvals", "2", "--approver", "a*", "--gate", "size <= 1GB", "--checker", "ci")
    told = ann("serve", "protect", team.place, team.name).out
    assert told == "production  approvals: 2 by a*; a gate passed, recorded by ci; size <= 1GB\n"
    ann("serve", "protect", team.place, team.name, "production", "--gate", "size <", code=2)
    ann("serve", "protect", team.place, team.name, "production", code=2)
    ann("serve", "protect", team.place, team.name, "production", "--remove")
    assert not ann("serve", "protect", team.place, team.name).out
    ann("serve", "protect", team.place, team.name, "production", "--remove", code=4)
    ann("serve", "protect", team.place, "../x", code=2)
    ann("serve", "protect", team.place, "team/other", "production", "--approvals", "1", code=4)


def test_what_protects_and_cannot_be_read_lets_nothing_move(team: Team) -> None:
    ann = team["ann"]
    backend = FolderBackend(Path(team.place, team.name))
    backend.put(PROTECTED, b'{"format": 9}')
    with pytest.raises(IntegrityError):
        read_protections(backend)
    ann("alias", "set", "production", "v1")
    ann("push", code=6)
    assert ann("push", "origin", "main").code == 0


def test_who_has_no_token_moves_no_protected_alias(team: Team, mvc: Mvc, tmp_path: Path) -> None:
    ann = team["ann"]
    team.protect("--approvals", "1")
    with serving(team.place, "--anonymous", "append") as running:
        nobody = Person("nobody", tmp_path / "nobody", "", mvc)
        nobody.top.mkdir()
        nobody("clone", "-q", f"{running.url}/{team.name}", ".")
        for one in (nobody, Person("bob", nobody.top, "", mvc)):
            one("approve", "v2", "--for", "production")
        nobody("alias", "set", "production", "v2")
        nobody("alias", "set", "staging", "v2")
        told = nobody("push", code=5).err
        assert "'production' is protected, and moves only for somebody with a token" in told
        assert "[new alias]" in told and " staging -> staging\n" in told
    ann("alias", "set", "production", "v2")
    assert "has 0" in ann("push", code=5).err, "what came without a token does not count"
