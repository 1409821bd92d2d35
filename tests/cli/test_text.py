"""What the terminal gets to see: sizes, tables, bars, names, graphs."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.cli.bars import Bars
from mvc.cli.dates import git_date, iso_date, relative_date
from mvc.cli.graph import Graph
from mvc.cli.model_text import _fitted
from mvc.cli.sizes import counted, human_bytes, human_count, human_seconds, percent, stored_line
from mvc.cli.tables import table, text_width
from mvc.cli.text import one_line, printable, printable_path
from mvc.objects.model import Signature


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4_416_000, "4.4 MB"),
        (99_949_999, "99.9 MB"),
        (99_950_000, "100 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.0 GB"),
        (2_190_000_000, "2.2 GB"),
        (10**24, "1000000 EB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert human_bytes(count) == text


def test_numbers() -> None:
    assert [human_count(n) for n in (7, 999_999, 22_713_216, 7_240_000_000, 10**12)] == [
        "7",
        "999,999",
        "22.7 M",
        "7.24 B",
        "1 T",
    ]
    assert [percent(*pair) for pair in ((0, 0), (0, 9), (97, 1000), (1, 1), (3, 2))] == [
        "0 %",
        "0 %",
        "9.7 %",
        "100 %",
        "150 %",
    ]
    assert stored_line(4_400_000, 45_400_000) == "stored 4.4 MB for 45.4 MB (9.7 %)"
    assert (counted(1, "file"), counted(1200, "file"), counted(2, "entry", "entries")) == (
        "1 file",
        "1,200 files",
        "2 entries",
    )
    assert [human_seconds(s) for s in (0.4, 7, 67, 3723)] == ["0:00", "0:07", "1:07", "1:02:03"]


@given(st.text())
def test_nothing_printed_steers_a_terminal(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", printable(text))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", printable_path(text))


def test_escapes() -> None:
    assert one_line("'a\nb'\tc") == "'a\\nb'\\tc"
    assert printable("a\x1b[31mb\tc\n\x9b\u202e\udcff") == "a\\x1b[31mb\tc\n\\xc2\\x9b\\xe2\\x80\\xae\\xff"
    assert printable_path("plain ü/path.bin") == "plain ü/path.bin"
    assert printable_path('a"b\\c\n\x01\udcff') == '"a\\"b\\\\c\\n\\001\\377"'


def test_tables() -> None:
    rows = [["a", "1", "x"], ["日本", "1,000", ""], ["short"]]
    expected = ["name       n  rest", "a          1  x", "日本   1,000", "short"]
    assert table(rows, align="<>", header=["name", "n", "rest"]) == expected
    assert text_width("e\u0301日") == 3
    assert table([]) == []


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def bars(*, shown: bool = True, width: int = 100) -> tuple[Bars, Clock, io.StringIO, list[str]]:
    clock, stream, warnings = Clock(), io.StringIO(), []
    return Bars(stream, shown=shown, width=width, warn=warnings.append, clock=clock), clock, stream, warnings


def test_a_bar_shows_after_a_second_and_goes_again() -> None:
    bar, clock, stream, _ = bars()
    bar.begin("Adding", 2_000_000_000)
    clock.now = 0.9
    bar.advance(100_000_000)
    assert stream.getvalue() == ""
    clock.now = 1.0
    bar.advance(400_000_000)
    line = "Adding        ━━━━━━╺╺╺╺╺╺╺╺╺╺╺╺╺╺╺╺╺╺   25%  500 MB of 2.0 GB  500 MB/s  0:03 left"
    assert stream.getvalue() == f"\r{line}\x1b[K"
    clock.now = 1.05
    bar.advance(1)
    assert stream.getvalue() == f"\r{line}\x1b[K"  # ten times a second at most
    bar.end()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_bar_without_a_known_end() -> None:
    bar, clock, _, _ = bars()
    bar.begin("Scanning", unit="files")
    clock.now = 2.0
    bar.advance(5000)
    assert bar.line(2.0) == "Scanning      5,000 files  2,500 files/s"


def test_a_bar_never_breaks_the_line() -> None:
    bar, clock, stream, _ = bars(width=30)
    bar.begin("Adding", 100)
    clock.now = 5.0
    bar.advance(300)
    assert len(stream.getvalue().removeprefix("\r").removesuffix("\x1b[K")) == 29


def test_no_bar_but_warnings() -> None:
    bar, clock, stream, warnings = bars(shown=False)
    bar.begin("Adding", 100)
    clock.now = 9.0
    bar.advance(50)
    bar.warn("odd file")
    bar.end()
    assert stream.getvalue() == "" and warnings == ["odd file"]


def test_dates() -> None:
    who = Signature("a", "b", 1_767_265_200, 90)
    assert git_date(who) == "Thu Jan 1 12:30:00 2026 +0130"
    assert iso_date(who) == "2026-01-01T12:30:00+01:30"
    assert iso_date(Signature("a", "b", 0, -210)) == "1969-12-31T20:30:00-03:30"
    assert git_date(Signature("a", "b", 10**18, 0)).endswith("1970 +0000")
    ages = {0: "0 seconds ago", 59: "59 seconds ago", 60: "1 minute ago", 7200: "2 hours ago", 86400 * 3: "3 days ago"}
    assert {age: relative_date(10**9 - age, 10**9) for age in ages} == ages


def drawn(commits: list[tuple[str, str]]) -> list[str]:
    graph, lines = Graph(), []
    for commit, parents in commits:
        rows = graph.add(commit, parents.split())
        lines += [f"{rows.node} {commit}", *rows.moves]
    return lines


def test_a_graph_without_branches() -> None:
    assert drawn([("c", "b"), ("b", "a"), ("a", "")]) == ["* c", "* b", "* a"]


def test_a_graph_with_a_merge() -> None:
    assert drawn([("m", "b t"), ("t", "a"), ("b", "a"), ("a", "")]) == ["* m", "|\\", "| * t", "* | b", "|/", "* a"]


def test_a_graph_with_roots_and_tips() -> None:
    assert drawn([("t", "a"), ("o", ""), ("u", "a"), ("a", "")]) == ["* t", "| * o", "| * u", "|/", "* a"]


def test_a_graph_with_three_parents() -> None:
    expected = ["* m", "|\\", "| |\\", "| | * y", "| * | x", "| |/", "* | b", "|/", "* a"]
    assert drawn([("m", "b x y"), ("y", "a"), ("x", "a"), ("b", "a"), ("a", "")]) == expected


@given(st.lists(st.lists(st.integers(0, 40), max_size=3), min_size=1, max_size=40))
def test_any_graph_draws_each_commit_once_and_comes_to_its_end(shape: list[list[int]]) -> None:
    count = len(shape)
    commits = []
    for index in range(count):
        older = sorted({index + 1 + step % (count - index) for step in shape[index]} - {count})
        commits.append((f"c{index}", " ".join(f"c{parent}" for parent in older)))
    lines = drawn(commits)
    assert [line.split(" ")[-1] for line in lines if "*" in line] == [name for name, _ in commits]
    assert all(set(line.split("*")[0]) <= set("|/\\ ") for line in lines)
    graph = Graph()
    for commit, parents in commits:
        last = graph.add(commit, parents.split())
    assert last.rest == ""


def test_a_graph_as_git_draws_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    git("init", "-q", "-b", "main")
    for name in ("a", "b"):
        git("commit", "-q", "--allow-empty", "-m", name)
    git("checkout", "-q", "-b", "topic")
    git("commit", "-q", "--allow-empty", "-m", "t")
    git("checkout", "-q", "main")
    git("commit", "-q", "--allow-empty", "-m", "c")
    git("merge", "-q", "--no-ff", "-m", "m", "topic")
    git("checkout", "-q", "-b", "other", "main~2")
    git("commit", "-q", "--allow-empty", "-m", "o")
    lines = [line.rstrip() for line in git("log", "--graph", "--all", "--topo-order", "--format=%s").splitlines()]
    commits = [line.split("|") for line in git("log", "--all", "--topo-order", "--format=%H|%P|%s").splitlines()]
    names = {commit: name for commit, _, name in commits}
    mine = drawn([(name, " ".join(names[parent] for parent in parents.split())) for _, parents, name in commits])
    assert mine == [re.sub(r"^((?:[|*] ?)*\*)   (\w)$", r"\1 \2", line) for line in lines]  # git widens a merge's row


def test_a_table_of_tensors_fits_the_terminal() -> None:
    rows = [
        [
            "encoder.layer.10.attention.self.query.weight",
            "BF16",
            "384×384",
            "147,456",
            "295 kB",
            "100 kB",
            "33 %",
            "delta",
        ]
    ]
    whole = _fitted(rows, None)
    assert _fitted(rows, 200) == whole
    fitted = _fitted(rows, 95)
    assert max(map(len, fitted)) <= 95 and "…" in fitted[1] and fitted[1].split()[0].endswith("query.weight")
    assert _fitted(rows, 10)
