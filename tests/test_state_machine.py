"""Random verbs against a simple model of what Git would do; real git, its gc and mvc's gc in between do no harm."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mvc.hashing import digest
from mvc.objects import trees
from mvc.ops.fsck import fsck
from mvc.repo.locking import read_stage
from mvc.repo.materialize import content_identity
from mvc.repo.repository import Repository
from tests.ops.world import Ran, World
from tests.simple_model import Commit, Files, Model, Stash, differing, merge, put

REFUSED, CONFLICT = 5, 1
PATHS = st.sampled_from(["a", "b", "c", "d/x", "d/y", "big"])
CONTENTS = st.sampled_from(["0", "1", "2", "x" * 70_000, "y" * 70_000])
BRANCHES = st.sampled_from(["main", "one", "two"])
BACK = st.integers(0, 5)

THOROUGH = int(os.environ.get("MVC_TEST_EXAMPLES", "12"))


class Machine(RuleBasedStateMachine):
    """Each rule does a thing by `mvc`, and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mvc-state-"))
        self.world = World(self.folder / "work")
        self.model = Model()
        self.count = 0
        self.ids: dict[int, str] = {}
        """The ids of the model's commits, by number."""

    @initialize(content=CONTENTS)
    def begin(self, content: str) -> None:
        self.world.commit("0", a=content, big="x" * 70_000)
        self.model.worktree = {"a": content, "big": "x" * 70_000}
        self.model.stage = dict(self.model.worktree)
        self.model.branches["main"] = 0
        self.model.commits.append(Commit(0, (), dict(self.model.stage), "0"))

    # -- files, stage, commits

    @rule(path=PATHS, content=CONTENTS)
    def write(self, path: str, content: str) -> None:
        self.world.write(path, content)
        self.model.worktree[path] = content

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        if path in self.model.worktree:
            (self.world.path / path).unlink()
            del self.model.worktree[path]

    @rule()
    def add_all(self) -> None:
        self.world.mvc("add", "-A")
        self.model.stage = dict(self.model.worktree)

    @rule(path=PATHS)
    def add_one(self, path: str) -> None:
        known = path in self.model.stage or path in self.model.worktree
        self.world.mvc("add", path, code=0 if known else 4)
        if known:
            put(self.model.stage, path, self.model.worktree.get(path))

    @rule(path=PATHS)
    def forget(self, path: str) -> None:
        known = path in self.model.stage
        lost = known and path in self.model.dirty() and path in self.model.staged() and path in self.model.worktree
        self.world.mvc("rm", "--cached", path, code=(REFUSED if lost else 0) if known else 4)
        if known and not lost:
            del self.model.stage[path]

    @rule(amend=st.booleans(), stage_all=st.booleans())
    def commit(self, amend: bool, stage_all: bool) -> None:
        model, subject = self.model, self._subject()
        if stage_all:
            for path in list(model.stage):
                put(model.stage, path, model.worktree.get(path))
        fails = not amend and not model.staged()
        flags = ["--amend"] * amend + ["-a"] * stage_all
        self.world.mvc("commit", "--no-environment", "-m", subject, *flags, code=REFUSED if fails else 0)
        if not fails:
            model.commit(subject, model.stage, model.at.parents if amend else [model.at.number])

    @rule(path=PATHS, staged=st.booleans())
    def restore(self, path: str, staged: bool) -> None:
        model = self.model
        known = path in model.stage or (staged and path in model.at.files)
        self.world.mvc("restore", *(["--staged"] if staged else []), path, code=0 if known else 4)
        if known and staged:
            put(model.stage, path, model.at.files.get(path))
        elif known:
            model.worktree[path] = model.stage[path]

    # -- branches

    @rule(name=BRANCHES, force=st.booleans())
    def switch(self, name: str, force: bool) -> None:
        model = self.model
        create = name not in model.branches
        if create:
            model.branches[name] = model.at.number
        goal = model.commits[model.branches[name]].files
        blocked = set() if force else model.blocked(model.at.files, goal)
        flags = (["--force"] if force else []) + (["-c"] if create else [])
        ran = self.world.mvc("switch", *flags, name, code=REFUSED if blocked else 0)
        if blocked:
            self._names_blocked(ran, blocked)
            return
        if force:
            model.go_by_force(goal)
        else:
            model.go(model.at.files, goal)
        model.head = name

    @rule(back=BACK)
    def detach(self, back: int) -> None:
        model = self.model
        goal = model.commits[sorted(model.ancestors(model.at.number))[-1 - back :][0]]
        blocked = model.blocked(model.at.files, goal.files)
        ran = self.world.mvc("checkout", self._id(goal), code=REFUSED if blocked else 0)
        if blocked:
            self._names_blocked(ran, blocked)
            return
        model.go(model.at.files, goal.files)
        model.head = goal.number

    @rule(back=BACK, mode=st.sampled_from(["soft", "mixed", "hard"]))
    def reset(self, back: int, mode: str) -> None:
        model = self.model
        goal = model.commits[sorted(model.ancestors(model.at.number))[-1 - back :][0]]
        self.world.mvc("reset", f"--{mode}", self._id(goal))
        model.move(goal.number)
        if mode == "mixed":
            model.stage = dict(goal.files)
        elif mode == "hard":
            model.go_by_force(goal.files)

    # -- joining

    @rule(name=BRANCHES, side=st.sampled_from([None, "ours", "theirs"]), give_up=st.booleans())
    def merge(self, name: str, side: str | None, give_up: bool) -> None:
        model = self.model
        if name not in model.branches:
            return
        theirs, ours = model.commits[model.branches[name]], model.at
        bases = model.merge_bases(ours.number, theirs.number)
        if len(bases) != 1:
            return
        subject = self._subject()
        arguments = ["merge", name, "-m", subject, *([f"--{side}"] if side else [])]
        if bases[0] == theirs.number:
            assert "up to date" in self.world.mvc(*arguments).out
            return
        if bases[0] == ours.number:
            blocked = model.blocked(ours.files, theirs.files)
            ran = self.world.mvc(*arguments, code=REFUSED if blocked else 0)
            if blocked:
                self._names_blocked(ran, blocked)
                return
            model.go(ours.files, theirs.files)
            model.move(theirs.number)
            return
        found = merge(model.commits[bases[0]].files, ours.files, theirs.files)
        files, conflicts = dict(found.files), set(found.conflicts)
        if side:
            for path in conflicts:
                put(files, path, (ours if side == "ours" else theirs).files.get(path))
            conflicts = set()
        if self._refuses(ours.files, files, conflicts):
            self.world.mvc(*arguments, code=REFUSED)
        elif not conflicts:
            self.world.mvc(*arguments)
            model.go(ours.files, files)
            model.commit(subject, files, [ours.number, theirs.number])
        else:
            self.world.mvc(*arguments, code=CONFLICT)
            self._after_conflict(ours, files, conflicts, give_up, subject, [ours.number, theirs.number])

    def _after_conflict(
        self, ours: Commit, files: Files, conflicts: set[str], give_up: bool, subject: str, parents: list[int]
    ) -> None:
        model, world = self.model, self.world
        if give_up:
            world.mvc("merge", "--abort")
            model.stage = dict(ours.files)
            for path in differing(ours.files, files):
                put(model.worktree, path, ours.files.get(path))
            return
        model.go(ours.files, files)
        for path in sorted(conflicts):
            put(model.stage, path, files.get(path))
            world.mvc("add", path)
        world.mvc("merge", "--continue")
        model.commit(subject, model.stage, parents)

    @rule(name=BRANCHES, back=BACK, undo=st.booleans())
    def pick(self, name: str, back: int, undo: bool) -> None:
        model = self.model
        if name not in model.branches:
            return
        chosen = model.commits[sorted(model.ancestors(model.branches[name]))[-1 - back :][0]]
        if len(chosen.parents) > 1:
            return
        before = model.commits[chosen.parents[0]].files if chosen.parents else {}
        base, theirs = (chosen.files, before) if undo else (before, chosen.files)
        ours, verb = model.at, "revert" if undo else "cherry-pick"
        found = merge(base, ours.files, theirs)
        touched = differing(ours.files, found.files) | found.conflicts
        if model.staged() & model.staged(ours.files if found.conflicts else found.files):
            self.world.mvc(verb, self._id(chosen), code=REFUSED)
        elif found.conflicts or not touched:
            if touched & model.dirty() or self._refuses(ours.files, found.files, set(found.conflicts)):
                self.world.mvc(verb, self._id(chosen), code=REFUSED)
                return
            self.world.mvc(verb, self._id(chosen), code=CONFLICT)
            self.world.mvc(verb, "--abort" if found.conflicts else "--skip")
            if found.conflicts:
                for path in differing(ours.files, found.files):
                    put(model.worktree, path, ours.files.get(path))
        elif model.blocked(ours.files, found.files):
            self.world.mvc(verb, self._id(chosen), code=REFUSED)
        else:
            self.world.mvc(verb, self._id(chosen))
            model.go(ours.files, found.files)
            model.commit(self.world.subjects()[0], found.files, [ours.number])

    @precondition(lambda self: not self.model.staged() and not self.model.dirty())
    @rule(name=BRANCHES)
    def rebase(self, name: str) -> None:
        model = self.model
        if name not in model.branches:
            return
        onto = model.commits[model.branches[name]]
        mine = sorted(model.ancestors(model.at.number) - model.ancestors(onto.number))
        bases = model.merge_bases(model.at.number, onto.number)
        if any(len(model.commits[n].parents) != 1 for n in mine) or len(bases) != 1:
            return
        theirs = model.ancestors(onto.number) - model.ancestors(bases[0])
        known = {model.change(model.commits[n]) for n in theirs if len(model.commits[n].parents) == 1} - {frozenset()}
        steps = [model.commits[n] for n in mine if not known or model.change(model.commits[n]) not in known]
        files, made, conflict, parent = dict(onto.files), [], False, onto.number
        for step in steps:
            before = model.commits[step.parents[0]]
            if step.parents[0] == parent and not made:
                parent, files = step.number, dict(step.files)
                continue
            found = merge(before.files, files, step.files)
            conflict = conflict or bool(found.conflicts)
            if found.files != files or before.files == step.files:
                made.append((step.subject, found.files))
            files = found.files
        untracked_in_way = model.blocked(model.at.files, files)
        if conflict:
            ran = self.world.run("rebase", name)
            assert ran.code in (CONFLICT, REFUSED), ran
            if ran.code == CONFLICT:
                self.world.mvc("rebase", "--abort")
            return
        ran = self.world.mvc("rebase", name, code=REFUSED if untracked_in_way else 0)
        if untracked_in_way:
            return
        model.go(model.at.files, files)
        model.move(parent)
        for subject, content in made:
            model.commit(subject, content, [model.at.number])

    # -- stash

    @rule()
    def stash(self) -> None:
        model = self.model
        changed = model.dirty() | model.staged()
        ran = self.world.mvc("stash")
        assert ("No local changes" in ran.err) == (not changed)
        if changed:
            tracked = {path for path in {*model.stage, *model.at.files}}
            files = {path: content for path, content in model.worktree.items() if path in tracked}
            model.stashes.insert(0, Stash(model.at.number, files))
            for path in changed:
                put(model.worktree, path, model.at.files.get(path))
            model.stage = dict(model.at.files)

    @precondition(lambda self: self.model.stashes)
    @rule()
    def pop(self) -> None:
        model, world = self.model, self.world
        entry, before = model.stashes[0], dict(model.stage)
        found = merge(model.commits[entry.base].files, model.stage, entry.files)
        changes = differing(model.stage, found.files)
        if (changes | found.conflicts) & model.dirty() or model.blocked(model.stage, found.files):
            world.mvc("stash", "pop", code=REFUSED)
            return
        world.mvc("stash", "pop", code=CONFLICT if found.conflicts else 0)
        if found.conflicts:
            world.mvc("reset", "--hard")
            world.mvc("stash", "drop")
            for path in {*changes, *before}:
                put(model.worktree, path, None)
            model.stage = {}
            model.go_by_force(model.at.files)
        else:
            model.go(before, found.files)
            for path in changes:
                if path in before:
                    model.stage[path] = before[path]
        del model.stashes[0]

    # -- upkeep

    @rule(by_git=st.booleans())
    def gc(self, by_git: bool) -> None:
        if by_git:
            self.world.git("gc", "-q", "--prune=now")
        else:
            self.world.mvc("gc", "-q", "--prune=now", "--yes")

    # -- what must hold

    @invariant()
    def files_are_as_they_should(self) -> None:
        assert self.world.files() == self.model.worktree

    @invariant()
    def stage_and_head_are_as_they_should(self) -> None:
        if not self.model.commits:
            return
        repo = self.world.repo
        stage = read_stage(repo)
        assert not stage.conflicts()
        assert stage.paths() == sorted(self.model.stage)
        for entry in stage:
            self._equals((entry.size, entry.blake3), repo.objects.blob(entry.id), self.model.stage[entry.path])
        head = repo.refs.head()
        assert head.short == (self.model.head if isinstance(self.model.head, str) else None)
        self._note_ids(repo, head.id)
        self._holds(repo, head.id, self.model.at)
        for name, number in self.model.branches.items():
            self._holds(repo, repo.refs.read(f"refs/heads/{name}"), self.model.commits[number])

    def _holds(self, repo: Repository, commit_id: str | None, expected: Commit) -> None:
        assert commit_id is not None and commit_id == self.ids[expected.number]
        commit = repo.objects.commit(commit_id)
        assert commit.summary == expected.subject
        assert len(commit.parents) == len(expected.parents)
        items = trees.flatten(repo.objects, commit.tree)
        assert set(items) == set(expected.files)
        for path, item in items.items():
            self._equals(content_identity(repo.objects, item), repo.objects.blob(item.id), expected.files[path])

    @staticmethod
    def _equals(identity: tuple[int, bytes | None], blob: bytes, content: str) -> None:
        assert identity[0] == len(content)
        assert (identity[1] == digest(content.encode())) if identity[1] else (blob == content.encode())

    def _refuses(self, ours: Files, files: Files, conflicts: set[str]) -> bool:
        """Whether a merge is refused for what is not committed."""
        model = self.model
        if conflicts:
            changes = differing(ours, files) - conflicts
            lost = {p for p in model.staged() if p not in changes or model.stage.get(p) != files.get(p)}
            return bool(lost or conflicts & model.dirty() or model.blocked(ours, files))
        return bool(model.staged() & model.staged(files)) or bool(model.blocked(ours, files))

    def _names_blocked(self, ran: Ran, blocked: set[str]) -> None:
        assert all(f" {path}\n" in ran.err for path in blocked), ran

    def _id(self, commit: Commit) -> str:
        return self.ids[commit.number]

    def _note_ids(self, repo: Repository, commit_id: str | None) -> None:
        """Learn which ids the model's newest commits have."""
        commit = self.model.at
        while commit_id is not None and commit.number not in self.ids:
            self.ids[commit.number] = commit_id
            parents = repo.objects.commit(commit_id).parents
            commit_id = parents[0] if parents else None
            commit = self.model.commits[commit.parents[0]] if commit.parents else commit

    def _subject(self) -> str:
        self.count += 1
        return str(self.count)

    def teardown(self) -> None:
        self.world.check()
        assert not fsck(self.world.repo).findings
        shutil.rmtree(self.folder)


Machine.TestCase.settings = settings(
    max_examples=THOROUGH,
    stateful_step_count=20,
    deadline=None,
)
TestVerbs = Machine.TestCase
