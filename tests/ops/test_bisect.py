from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.ops.bisect_choice import candidates, choose, estimate_steps, weights
from tests.ops.world import World


@pytest.fixture
def history(world: World) -> World:
    """Ten commits c0 to c9; the file `loss` is bad from c6 on."""
    for number in range(10):
        world.commit(f"c{number}", loss="bad" if number >= 6 else "good", n=str(number))
    return world


def test_by_hand(history: World) -> None:
    first_bad = history.git("rev-parse", "HEAD~3")
    assert "waiting" in history.mvc("bisect", "start").out
    history.mvc("bisect", "bad")
    ran = history.mvc("bisect", "good", "HEAD~9")
    assert ran.out.startswith("Bisecting: 4 commits left to test after this (roughly 2 steps)")
    assert history.head() == history.git("rev-list", "--bisect", "main", "^main~9")
    for _ in range(10):
        verdict = history.read("loss")
        ran = history.mvc("bisect", verdict)
        if "first bad" in ran.out:
            break
    assert ran.out.startswith(f"{first_bad} is the first bad commit")
    assert "first bad commit" in history.mvc("bisect", "log").out
    history.mvc("bisect", "reset")
    assert history.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert history.read("n") == "9"
    assert history.git("for-each-ref", "refs/bisect") == ""
    assert "not bisecting" in history.mvc("bisect", "reset").err


def test_run(history: World) -> None:
    first_bad = history.git("rev-parse", "HEAD~3")
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    check = "import sys; sys.exit(open('loss').read() == 'bad')"
    ran = history.mvc("bisect", "run", sys.executable, "-c", check)
    assert f"{first_bad} is the first bad commit" in ran.out


def test_run_with_commits_that_cannot_be_tested(history: World) -> None:
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    check = "import sys; n = int(open('n').read()); sys.exit(125 if n in (4, 5, 6) else n > 6)"
    ran = history.mvc("bisect", "run", sys.executable, "-c", check, code=2)
    assert "could be any of" in ran.out


def test_a_command_that_fails_otherwise_stops_it(history: World) -> None:
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    history.mvc("bisect", "run", "no-such-command-here", code=2)
    ran = history.mvc("bisect", "run", sys.executable, "-c", "import os; os._exit(200)", code=5)
    assert "200" in ran.err


def test_a_command_that_cannot_be_run_judges_nothing(history: World) -> None:
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    before = history.head()
    ran = history.mvc("bisect", "run", "sh", "-c", "no-such-command-here", code=5)
    assert "can it be run?" in ran.err
    assert history.head() == before
    first_bad = history.git("rev-parse", "main~3")
    ran = history.mvc(
        "bisect", "run", sys.executable, "-c", "import sys; sys.exit(127 * (open('loss').read() == 'bad'))"
    )
    assert f"{first_bad} is the first bad commit" in ran.out


def test_skip(history: World) -> None:
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    before = history.head()
    history.mvc("bisect", "skip")
    assert history.head() != before


def test_uncommitted_work_in_the_way(history: World) -> None:
    history.write("n", "edited")
    assert "  n" in history.mvc("bisect", "start", "HEAD", "HEAD~9", code=5).err
    assert history.read("n") == "edited"
    history.mvc("restore", "n")
    history.mvc("bisect", "good", "HEAD~9")


def test_the_merge_base_is_tested_where_good_is_elsewhere(history: World) -> None:
    history.mvc("switch", "-c", "side", "HEAD~5")
    history.commit("side", side="1")
    history.mvc("switch", "main")
    ran = history.mvc("bisect", "start", "main", "side")
    assert "merge base" in ran.out
    assert history.read("n") == "4"
    history.mvc("bisect", "good")
    assert history.read("n") in ("6", "7")
    history.mvc("bisect", "reset")
    history.mvc("bisect", "start", "main~7", "main", code=5)


def test_git_reads_the_log(history: World) -> None:
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    assert history.git("bisect", "log").startswith("git bisect start")


def test_nothing_in_progress(history: World) -> None:
    history.mvc("bisect", "good", code=5)
    history.mvc("bisect", "log", code=5)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Commits "0" to "n-1", each with up to two earlier ones as parents."""
    count = draw(st.integers(2, 30))
    parents: dict[str, tuple[str, ...]] = {"0": ()}
    for number in range(1, count):
        few = draw(st.sets(st.integers(max(0, number - 5), number - 1), min_size=1, max_size=2))
        parents[str(number)] = tuple(map(str, sorted(few)))
    return parents


def ancestors(parents: dict[str, tuple[str, ...]], commit: str) -> set[str]:
    found = {commit}
    for parent in parents[commit]:
        found |= ancestors(parents, parent)
    return found


@given(graphs(), st.data())
def test_the_search_finds_the_first_bad_commit(parents: dict[str, tuple[str, ...]], data: st.DataObject) -> None:
    bad = str(len(parents) - 1)
    culprit = data.draw(st.sampled_from(sorted(ancestors(parents, bad))))
    good: set[str] = set()
    tests = 0
    while (choice := choose(parents, bad, good)).commit is not None:
        tests += 1
        if culprit in ancestors(parents, choice.commit):
            bad = choice.commit
        else:
            good.add(choice.commit)
        assert tests <= len(parents)
    assert choice.suspects == (culprit,)


@given(graphs())
def test_weights_count_reachable_suspects(parents: dict[str, tuple[str, ...]]) -> None:
    bad = str(len(parents) - 1)
    suspects = candidates(parents, bad, {"0"}) if bad != "0" else ["0"]
    inside = set(suspects)
    expected = {commit: len(ancestors(parents, commit) & inside) for commit in suspects}
    assert weights(parents, suspects) == expected


@given(graphs(), st.data())
def test_skipped_commits_are_not_chosen(parents: dict[str, tuple[str, ...]], data: st.DataObject) -> None:
    bad = str(len(parents) - 1)
    skipped = data.draw(st.sets(st.sampled_from(sorted(parents))))
    choice = choose(parents, bad, (), skipped)
    assert choice.commit not in skipped and choice.commit != bad
    if choice.commit is None:
        assert set(choice.suspects) - skipped <= {bad}


def test_a_line_takes_log2_steps() -> None:
    parents = {str(n): (str(n - 1),) if n else () for n in range(1024)}
    choice = choose(parents, "1023", {"0"})
    assert choice.commit == "511" and choice.steps == 9
    assert [estimate_steps(n) for n in (1, 2, 3, 4, 7, 8, 16)] == [0, 0, 1, 1, 2, 2, 3]


def test_reset_to_a_revision(history: World) -> None:
    goal = history.git("rev-parse", "HEAD~2")
    history.mvc("bisect", "start", "HEAD", "HEAD~9")
    history.mvc("bisect", "reset", "main~2")
    assert history.head() == goal and history.read("n") == "7"
