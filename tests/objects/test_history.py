"""Walks, ancestry and revisions, on random histories, held against git."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import pytest

from mvc.errors import AmbiguousName, NotFound, UsageError
from mvc.objects import ancestry, revparse, trees
from mvc.objects.encoding import blob_id
from mvc.objects.model import FILE, Signature, TreeItem
from mvc.objects.refs import RefChange
from mvc.objects.walk import Selection, walk, walk_graph
from tests.objects.realgit import WHO, RealGit


class History:
    """A random history: merges, several roots, clocks that jump."""

    def __init__(self, path: Path, seed: int, size: int = 60) -> None:
        self.git = RealGit(path)
        self.chance = random.Random(seed)
        self.commits: list[str] = []
        skewed = seed % 3 == 2
        with self.git.objects.batch() as batch:
            for at in range(size):
                count = self.chance.choice([1, 1, 1, 1, 2, 2, 3]) if self.commits else 0
                if at == size // 2:
                    count = 0
                recent = self.commits[-8:]
                parents = self.chance.sample(recent, min(count, len(recent)))
                base = batch.reader.commit(parents[0]).tree if parents else None
                changes: dict[str, TreeItem | None] = {}
                for _ in range(self.chance.randrange(3)):
                    name = self.chance.choice(["a/x", "a/y", "b/c/z", "top"])
                    gone = self.chance.random() < 0.2
                    text = b"%d" % self.chance.randrange(4)
                    changes[name] = None if gone else TreeItem(FILE, batch.blob(text))
                tree = trees.update(batch, base, changes)
                jump = self.chance.randrange(-500, 500) if skewed else 0
                who = Signature(self.chance.choice(["Ann", "Bob"]), "x@y", 1_600_000_000 + at * 60 + jump, 0)
                self.commits.append(batch.commit(tree, parents, who, who, f"number {at}\n\nfix #{at % 7}"))
            batch.seal()
        self.git.refs.update([RefChange("HEAD", None, self.commits[-1])], message="x", author=WHO)
        self.skewed = skewed

    def pick(self) -> str:
        return self.chance.choice(self.commits)

    def listed(self, *arguments: str) -> list[str]:
        return self.git.run("rev-list", *arguments).split()


@pytest.fixture(scope="module", params=range(4))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("history") / "repo", request.param)


@pytest.fixture
def history(made: History) -> History:
    """Each test picks the same commits, whichever ran before it."""
    made.chance = random.Random(11)
    return made


def ids(history: History, **options: object) -> list[str]:
    return [commit.id for commit in walk(history.git.objects, Selection(**options))]  # type: ignore[arg-type]


def test_walk_by_date(history: History) -> None:
    for _ in range(6):
        tips = [history.pick(), history.pick()]
        assert ids(history, include=tips) == history.listed(*tips)
        assert ids(history, include=tips, first_parent=True) == history.listed("--first-parent", *tips)
        assert ids(history, include=tips, max_count=5, skip=3) == history.listed("-n5", "--skip=3", *tips)


def test_walk_with_exclusions(history: History) -> None:
    for _ in range(8):
        tip, without = history.pick(), [history.pick(), history.pick()]
        found = ids(history, include=[tip], exclude=without)
        assert sorted(found) == sorted(history.listed(tip, "--not", *without))
        if not history.skewed:
            assert found == history.listed(tip, "--not", *without)


def test_what_one_side_reaches_and_the_other_does_not(history: History) -> None:
    """However clocks lie."""
    objects = history.git.objects
    reached: dict[str, set[str]] = {}
    for commit in history.commits:
        reached[commit] = {commit}.union(*(reached[parent] for parent in objects.commit(commit).parents))
    for _ in range(60):
        one, two, three = history.pick(), history.pick(), history.pick()
        assert ancestry.only_in(objects, [one], [two, three]) == reached[one] - reached[two] - reached[three]
        ahead = len(reached[one] - reached[two]), len(reached[two] - reached[one])
        assert ancestry.ahead_behind(objects, one, two) == ahead
        assert ancestry.is_ancestor(objects, one, two) == (one in reached[two])


def test_walk_in_topological_order(history: History) -> None:
    tip = history.commits[-1]
    found = ids(history, include=[tip], order="topo")
    assert sorted(found) == sorted(history.listed(tip))
    if not history.skewed:
        assert found == history.listed("--topo-order", tip)
    place = {commit: at for at, commit in enumerate(found)}
    for commit in found:
        assert all(place[parent] > place[commit] for parent in history.git.objects.commit(commit).parents)


@pytest.mark.parametrize("paths", [["a"], ["a/x"], ["b/c", "top"], ["b/c/z"], ["none"]])
def test_walk_by_paths(history: History, paths: list[str]) -> None:
    tip = history.commits[-1]
    assert ids(history, include=[tip], paths=paths) == history.listed(tip, "--", *paths)


def test_walk_by_the_whole_tree(history: History) -> None:
    tip = history.commits[-1]
    assert ids(history, include=[tip], paths=[""]) == history.listed(tip, "--", ".")


def test_walk_by_words_and_times(history: History) -> None:
    tip = history.commits[-1]
    assert ids(history, include=[tip], author="^Ann") == history.listed("--author=^Ann", tip)
    assert ids(history, include=[tip], grep="fix #3$") == history.listed("--grep=fix #3$", tip)
    assert ids(history, include=[tip], merges=True) == history.listed("--merges", tip)
    assert ids(history, include=[tip], merges=False) == history.listed("--no-merges", tip)
    middle = 1_600_000_000 + 30 * 60
    assert ids(history, include=[tip], until=middle) == history.listed(f"--until={middle}", tip)
    if not history.skewed:
        assert ids(history, include=[tip], since=middle) == history.listed(f"--since={middle}", tip)
    with pytest.raises(UsageError):
        ids(history, include=[tip], author="(")
    assert ids(history, include=[tip], keep=lambda commit, _: commit.id == tip) == [tip]


def test_graph_parents_are_shown(history: History) -> None:
    tip = history.commits[-1]
    steps = list(walk_graph(history.git.objects, Selection(include=[tip])))
    for step in steps:
        assert step.parents == history.git.objects.commit(step.commit.id).parents
    some = list(walk_graph(history.git.objects, Selection(include=[tip], paths=["a"])))
    shown = {step.commit.id for step in some}
    assert shown == set(history.listed(tip, "--", "a"))
    for step in some:
        assert set(step.parents) <= shown - {step.commit.id}


def test_merge_bases(history: History) -> None:
    for _ in range(25):
        one, two = history.pick(), history.pick()
        expected = history.git.raw("merge-base", "--all", one, two, check=False).decode().split()
        assert sorted(ancestry.merge_bases(history.git.objects, one, [two])) == sorted(expected)
        assert (ancestry.merge_base(history.git.objects, one, two) is None) == (expected == [])
        assert ancestry.is_ancestor(history.git.objects, one, two) == (one in history.listed(two))


def test_ahead_behind(history: History) -> None:
    for _ in range(15):
        one, two = history.pick(), history.pick()
        if not history.skewed:
            counted = history.git.run("rev-list", "--left-right", "--count", f"{one}...{two}").split()
            assert ancestry.ahead_behind(history.git.objects, one, two) == (int(counted[0]), int(counted[1]))


def test_tree_diffs(history: History) -> None:
    for _ in range(10):
        one, two = history.pick(), history.pick()
        lines = history.git.run("diff-tree", "-r", "--no-renames", one, two)
        expected = []
        for line in lines.split("\n") if lines else ():
            head, path = line.split("\t")
            modes = head[1:].split()
            expected.append((path, modes[2].strip("0") or None, modes[3].strip("0") or None))
        objects = history.git.objects
        trees_of = [objects.commit(commit).tree for commit in (one, two)]
        found = [
            (change.path, change.old and change.old.id.strip("0"), change.new and change.new.id.strip("0"))
            for change in trees.diff(objects, *trees_of)
        ]
        assert found == expected


SPECS = [
    "HEAD", "@", "main", "heads/main", "refs/heads/main", "HEAD~", "HEAD~3", "HEAD^", "HEAD^^", "@~2^1~1", "HEAD^0",
    "HEAD^{commit}", "HEAD^{tree}", "HEAD^{}", "v1", "v1^{}", "v1^{tag}", "v1~1", "tags/v1", "main@{0}", "HEAD@{1}",
    "@{1}", "main@{2}", "@{-1}", "@{-2}", "HEAD@{2023-11-14 23:00:00 +0000}", "HEAD:a", "HEAD:", "HEAD~1:a/x",
    ":/number 7", "HEAD^{/number 11}", "v1:a", "both", "origin", "origin/main", "nothing", "HEAD~999", "HEAD^9",
    "HEAD@{99}", "HEAD:none", "v1^{blob}", "HEAD~x", "HEAD^{", "", "none@{1}", "FETCH_HEAD", "HEAD^{tree}~1",
    "main-3-g{short}", "{short}", "{full}",
]  # fmt: skip


def test_revisions_as_git_reads_them(history: History) -> None:
    git = history.git
    if git.refs.read("refs/tags/v1") is None:
        first, *_, last = history.listed("HEAD")
        git.run("tag", "-a", "-m", "x", "v1", history.commits[-4])
        git.run("branch", "both", history.commits[-5])
        git.run("tag", "both", history.commits[-6])
        git.run("update-ref", "refs/remotes/origin/main", first)
        git.run("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
        git.refs.update([RefChange("HEAD", first, last)], message="back", author=WHO)
        git.refs.update([RefChange("HEAD", last, first)], message="forth", author=WHO)
        git.refs.set_head("refs/heads/both", message="checkout: moving from main to both", author=WHO)
        git.refs.set_head("refs/heads/main", message="checkout: moving from both to main", author=WHO)
    short = git.run("rev-parse", "--short=12", "HEAD~1")
    for spec in SPECS:
        spec = spec.replace("{short}", short).replace("{full}", history.commits[3])
        expected = git.raw("rev-parse", "-q", "--verify", spec, check=False).decode().strip()
        try:
            found = revparse.resolve(git.objects, git.refs, spec)
        except (NotFound, UsageError):
            found = ""
        assert found == expected, spec


def test_ranges(history: History) -> None:
    git, (one, two) = history.git, (history.pick(), history.pick())
    for spec in (
        f"{one}..{two}",
        f"{one}...{two}",
        f"{one}..",
        f"..{two}",
        f"...{two}",
        f"^{one}",
        two,
        f"{two}^!",
        f"{two}^@",
    ):
        found = revparse.parse_range(git.objects, git.refs, spec)
        expected = sorted(git.run("rev-parse", spec).split())
        assert sorted([*found.include, *(f"^{x}" for x in found.exclude)]) == expected, spec
    found = revparse.parse_range(git.objects, git.refs, f"{one}..{two}")
    assert (found.left, found.right, found.symmetric) == (one, two, False)


def test_short_hashes(git: RealGit) -> None:
    names: dict[str, list[str]] = {}
    with git.objects.batch() as batch:
        for at in range(2000):
            name = batch.blob(b"%d" % at)
            names.setdefault(name[:4], []).append(name)
        batch.seal()
    clash = next(found for found in names.values() if len(found) > 1)
    with pytest.raises(AmbiguousName) as caught:
        revparse.resolve(git.objects, git.refs, clash[0][:4])
    assert clash[0][:12] in (caught.value.hint or "")
    for name in clash:
        short = revparse.abbreviate(git.objects, name, 4)
        assert revparse.resolve(git.objects, git.refs, short) == name
        assert git.run("rev-parse", short) == name
    with pytest.raises(NotFound):
        revparse.resolve_commit(git.objects, git.refs, clash[0])


def test_a_commit_is_meant_where_one_is_asked_for(git: RealGit) -> None:
    commit = git.commit()
    at = next(at for at in count() if blob_id(b"%d" % at)[:4] == commit[:4])
    with git.objects.batch() as batch:
        batch.blob(b"%d" % at)
        batch.seal()
    with pytest.raises(AmbiguousName):
        revparse.resolve(git.objects, git.refs, commit[:4])
    assert revparse.resolve_commit(git.objects, git.refs, commit[:4]) == commit
    assert revparse.resolve(git.objects, git.refs, commit[:4] + "^0") == commit


def test_hints(git: RealGit) -> None:
    with pytest.raises(NotFound, match="no commit yet"):
        revparse.resolve(git.objects, git.refs, "HEAD")
    git.refs.update([RefChange("HEAD", None, git.commit())], message="x", author=WHO)
    with pytest.raises(NotFound) as caught:
        revparse.resolve(git.objects, git.refs, "mian")
    assert caught.value.hint == "did you mean 'main'?"


@pytest.mark.parametrize(
    "spec",
    [
        f"HEAD~{'9' * 5000}",
        f"HEAD^{'9' * 5000}",
        f"@{{-{'9' * 5000}}}",
        ":/a{99999999999}",
        f":/{'(' * 5000}",
        "@" * 5000,
    ],
)
def test_what_cannot_be_counted_or_is_no_name(tmp_path: Path, spec: str) -> None:
    history = History(tmp_path / "repo", 0, size=3)
    with pytest.raises((NotFound, UsageError)):
        revparse.resolve(history.git.objects, history.git.refs, spec)
