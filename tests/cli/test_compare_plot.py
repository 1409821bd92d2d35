"""`compare` and `plot` as typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.world import Mvc


@pytest.fixture
def five(mvc: Mvc, repo: Path) -> Path:
    """Five commits: lr grows, accuracy rises, loss falls, latency grows; the third lacks latency."""
    for number in range(1, 6):
        (repo / "f").write_text(str(number))
        mvc("add", "f", cwd=repo)
        latency = () if number == 3 else ("--metric", f"latency_ms={40 + number}")
        values = ("--param", f"lr={number}e-5", "--param", "epochs=3", "--metric", f"eval.accuracy=0.9{number}")
        more = ("--metric", f"loss={1 / number}", "--no-environment", *latency)
        mvc(
            "commit",
            "-qm",
            f"run {number}",
            *values,
            *more,
            cwd=repo,
            MVC_DATE=f"@{1_790_000_000 + number * 86400} +0000",
        )
    mvc("tag", "v1", "HEAD~4", cwd=repo)
    return repo


def rows(found: dict[str, object]) -> dict[str, dict[str, object]]:
    listed = found["rows"]
    assert isinstance(listed, list)
    return {row["name"]: row for row in listed}


def test_values_side_by_side(mvc: Mvc, five: Path) -> None:
    found = json.loads(mvc("compare", "v1", "HEAD~2", "HEAD", "--json", cwd=five).out)
    assert [commit["summary"] for commit in found["commits"]] == ["run 1", "run 3", "run 5"]
    by_name = rows(found)
    assert by_name["epochs"]["differs"] is False and by_name["lr"]["values"] == [1e-5, 3e-5, 5e-5]
    assert by_name["eval.accuracy"]["best"] == [2] and by_name["loss"]["best"] == [2]
    assert by_name["latency_ms"] == {
        "section": "metrics",
        "name": "latency_ms",
        "differs": True,
        "values": [41, None, 45],
        "missing": [1],
        "best": [0],
        "deltas": [None, None, pytest.approx(4 / 41)],
    }


def test_the_table_marks_what_differs_and_what_is_best(mvc: Mvc, five: Path) -> None:
    lines = mvc("compare", "v1", "HEAD", cwd=five).lines
    assert re.fullmatch(r"≠ eval\.accuracy +0\.91 +0\.95 \(\+4\.4 %\) \*", lines[3])
    assert next(line for line in lines if "latency" in line).split()[:4] == ["≠", "latency_ms", "41", "*"]
    assert any(re.fullmatch(r"  epochs +3 +3", line) for line in lines)
    assert "epochs" not in mvc("compare", "v1", "HEAD", "-d", cwd=five).out
    assert {"accuracy"} == set(re.findall("accuracy|loss|lr", mvc("compare", "--only", "*.acc*", cwd=five).out))


def test_a_range_stands_for_its_commits_and_folds_to_the_terminal(mvc: Mvc, five: Path) -> None:
    ran = mvc("compare", "v1..HEAD", cwd=five, COLUMNS="60")
    assert max(map(len, ran.lines)) <= 60
    heads = [line.split() for line in ran.lines if re.fullmatch(r"( +[0-9a-f]{7})+", line)]
    assert (
        len(heads) > 1 and len({head[0] for head in heads}) == 1 and len({one for head in heads for one in head}) == 4
    )
    for revision in ("v1", "HEAD"):
        mvc("annotate", "-q", revision, "--param", f"model=sentence-transformers/all-MiniLM-L6-{revision}", cwd=five)
    ran = mvc("compare", "v1", "HEAD", cwd=five, COLUMNS="80")
    assert max(map(len, ran.lines)) <= 80 and re.search(r"≠ model +sentence-transformers/\S+… +sentence\S+…", ran.out)
    assert "all-MiniLM-L6-HEAD" in mvc("compare", "v1", "HEAD", cwd=five, COLUMNS="120").out


def test_which_way_is_better_may_be_said(mvc: Mvc, five: Path) -> None:
    def best(*options: str) -> object:
        return rows(json.loads(mvc("compare", "v1", "HEAD", "--json", *options, cwd=five).out))["loss"]["best"]

    assert best() == [1]
    assert best("--better", "loss=max") == [0]
    (five / "mvc.yaml").write_text("better:\n  'lo*': max\n")
    assert best() == [0]
    assert best("--better", "loss=min") == [1]
    assert "--better takes" in mvc("compare", "--better", "loss", cwd=five, code=2).err
    (five / "mvc.yaml").write_text("better:\n  loss: up\n")
    assert "mvc.yaml: line 1: 'better' takes" in mvc("compare", cwd=five, code=2).err


def test_markdown_and_html(mvc: Mvc, five: Path) -> None:
    text = mvc("compare", "v1", "HEAD", "--md", cwd=five).out
    assert "| ≠ loss | 1 | **0.2** (-80.0 %) |" in text
    ran = mvc("compare", "v1", "HEAD", "--html", "-o", "c.html", cwd=five)
    page = (five / "c.html").read_text()
    assert (
        "wrote" in ran.err
        and page.startswith("<!doctype html>")
        and '<td class="best">0.2<small>-80.0 %</small>' in page
    )


def test_no_name_is_markup(mvc: Mvc, repo: Path) -> None:
    for number in range(2):
        mvc("commit", "--allow-empty", "-qm", "<b>|x", "--metric", f"<i>|a`_*={number}", "--no-environment", cwd=repo)
    assert "<i>" not in mvc("compare", "--html", cwd=repo).out and "<b>" not in mvc("compare", "--html", cwd=repo).out
    line = mvc("compare", "--md", cwd=repo).lines[3]
    assert "<i>" not in line and line.startswith("| ≠ &lt;i&gt;\\|a\\`\\_\\* | 0 | **1**")
    assert mvc("compare", "HEAD~1", "HEAD", "--md", cwd=repo).lines[0] == "| | `HEAD~1` | `HEAD` |"


def test_what_is_infinite_is_never_the_best(mvc: Mvc, repo: Path) -> None:
    for value in ("0.5", "inf", "nan", "0.7"):
        mvc("commit", "--allow-empty", "-qm", "x", "--metric", f"f1={value}", "--no-environment", cwd=repo)
    (row,) = json.loads(mvc("compare", "HEAD~3", "HEAD~2", "HEAD~1", "HEAD", "--json", cwd=repo).out)["rows"]
    assert row["best"] == [3]


def test_what_cannot_be_compared(mvc: Mvc, five: Path) -> None:
    assert "'nope' is not a revision" in mvc("compare", "v1", "nope", cwd=five, code=4).err
    mvc("compare", "v1", "-o", ".", cwd=five, code=2)


def test_a_metric_over_commits(mvc: Mvc, five: Path) -> None:
    found = json.loads(mvc("plot", "loss", "eval.*", "--json", cwd=five).out)
    first, second = found["charts"]
    assert (first["title"], second["title"], first["x"]) == ("loss", "eval.accuracy", "commit")
    assert [point["y"] for point in first["lines"][0]["points"]] == [1, 0.5, 1 / 3, 0.25, 0.2]
    gap = json.loads(mvc("plot", "latency_ms", "--json", cwd=five).out)["charts"][0]["lines"][0]["points"]
    assert [point["x"] for point in gap] == [0, 1, 3, 4]
    text = mvc("plot", "loss", cwd=five).out
    assert "loss" in text and re.search(r"commit 0 is [0-9a-f]{7}, 4 is [0-9a-f]{7}", text)


def test_a_metric_over_time_and_over_a_param(mvc: Mvc, five: Path) -> None:
    found = json.loads(mvc("plot", "loss", "--by", "time", "--json", cwd=five).out)["charts"][0]
    assert found["x"] == "date" and found["lines"][0]["points"][0]["x"] == 1_790_086_400
    found = json.loads(mvc("plot", "loss", "--by", "lr", "--json", "--of", "v1..HEAD", cwd=five).out)["charts"][0]
    assert [point["x"] for point in found["lines"][0]["points"]] == [2e-5, 3e-5, 4e-5, 5e-5]


def test_a_series_is_drawn_by_its_steps(mvc: Mvc, repo: Path) -> None:
    (repo / "s.jsonl").write_text(
        "".join(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n" for step in range(50))
    )
    mvc(
        "commit", "--allow-empty", "-qm", "a", "--series", "s.jsonl", "--metric", "loss=1", "--no-environment", cwd=repo
    )
    mvc("commit", "--allow-empty", "-qm", "b", "--series", "s.jsonl", "--no-environment", cwd=repo)
    found = json.loads(mvc("plot", "loss", "--of", "HEAD~1", "--of", "HEAD", "--json", cwd=repo).out)["charts"][0]
    assert found["x"] == "step" and [line["name"] for line in found["lines"]] == ["HEAD~1", "HEAD"]
    assert len(found["lines"][0]["points"]) == 50
    smooth = json.loads(mvc("plot", "loss", "--smooth", ".9", "--json", cwd=repo).out)["charts"][0]["lines"][0][
        "points"
    ]
    assert smooth[0]["y"] == 1 and smooth[-1]["y"] > 1 / 50
    assert json.loads(mvc("plot", "loss", "--by", "commit", "--json", cwd=repo).out)["charts"][0]["x"] == "commit"


def test_pictures(mvc: Mvc, five: Path) -> None:
    pytest.importorskip("vl_convert")
    mvc("plot", "loss", "-o", "loss.svg", cwd=five)
    mvc("plot", "loss", "--dark", "-o", "dark.svg", cwd=five)
    assert "#0d1117" in (five / "dark.svg").read_text() and "#0d1117" not in (five / "loss.svg").read_text()
    assert "--together" in mvc("plot", "loss", "eval.*", "-o", "two.svg", cwd=five, code=2).err
    mvc("plot", "loss", "eval.*", "--together", "-o", "two.svg", cwd=five)
    mvc("plot", "loss", "eval.*", "-o", "both.html", cwd=five)
    assert 'id="chart1"' in (five / "both.html").read_text()


def test_what_cannot_be_drawn(mvc: Mvc, five: Path) -> None:
    ran = mvc("plot", "nope", cwd=five, code=4)
    assert "no metric of HEAD is named 'nope'" in ran.err and "eval.accuracy" in ran.err
    assert "neither .svg nor .html" in mvc("plot", "loss", "-o", "x.png", cwd=five, code=2).err
    assert "--smooth takes" in mvc("plot", "loss", "--smooth", "1", cwd=five, code=2).err
    mvc("plot", cwd=five, code=2)


def test_a_query_stands_for_what_it_finds(mvc: Mvc, five: Path) -> None:
    found = json.loads(mvc("compare", "metrics.loss < 0.3", "--json", cwd=five).out)
    assert [commit["summary"] for commit in found["commits"]] == ["run 4", "run 5"]
    ran = mvc("plot", "loss", "--by", "lr", "--of", "params.lr >= 2e-5 and metrics.loss > 0.22", "--json", cwd=five)
    assert [point["x"] for point in json.loads(ran.out)["charts"][0]["lines"][0]["points"]] == [2e-5, 3e-5, 4e-5]
    assert "no commit fulfils" in mvc("compare", "metrics.loss > 7", cwd=five, code=4).err
    mvc("compare", "metrics.loss >", cwd=five, code=2)
    assert len(json.loads(mvc("compare", "HEAD~2", "HEAD^", "HEAD~1^", "v1~0", "--json", cwd=five).out)["commits"]) == 4
