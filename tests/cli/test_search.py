"""`mvc search` from the command line: tables, JSON, CSV, and errors that point at what is wrong."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.world import History, Mvc


@pytest.fixture
def runs(repo: Path, history: History) -> Path:
    """Three commits with params and metrics, on two branches."""
    last: tuple[int, ...] = ()
    for number, (rate, acc) in enumerate([("1.0e-05", "0.91"), ("2.0e-05", "0.95"), ("3.0e-05", ".nan")]):
        files = {
            ".mvcmeta/params.yaml": f"lr: {rate}\noptimizer:\n  name: adamw\n",
            ".mvcmeta/metrics.yaml": f"accuracy: {acc}\n",
            "model": str(number),
        }
        last = (history.commit(f'训练 run {number}\n\nmore, "quoted"\n', files, parents=last),)
        if number == 1:
            history.tag("v1", last[0])
    history.write()
    return repo


def test_a_table_for_people(mvc: Mvc, runs: Path) -> None:
    ran = mvc("search", "metrics.accuracy > 0.9", cwd=runs)
    assert [line.split()[-1] for line in ran.lines] == ["accuracy", "0.95", "0.91"]
    assert "v1" in ran.lines[1]
    ran = mvc("search", cwd=runs)
    assert len(ran.lines) == 4
    assert "main" in ran.lines[1]
    ran = mvc("search", "--columns", "subject,params.*", "--sort", "params.lr:asc", "-n", "1", cwd=runs)
    assert ran.lines == ["subject        lr  optimizer.name", "训练 run 0  1e-05  adamw"]
    assert "there are more" in ran.err
    ran = mvc("search", "nothing", "like", cwd=runs, code=2)
    ran = mvc("search", "nothing like this", cwd=runs, code=2)
    ran = mvc("search", "'nothing like this'", cwd=runs)
    assert (ran.out, ran.err) == ("", "nothing found among 3 commits\n")


def test_a_long_card_is_read_where_it_is_here(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    """More than 64 KiB, as where results of a benchmark stand in it: the file is chunked."""
    (repo / "README.md").write_text("---\nmodel_name: Bert XL\n---\n# 命名实体识别\n" + "figures 0.5\n" * 7000)
    mvc("add", "README.md", cwd=repo)
    mvc("commit", "-q", "-m", "card", "--no-environment", cwd=repo)
    found = mvc("search", "实体", "name = 'Bert XL' and card ~ figures", "--columns", "subject", cwd=repo)
    assert found.lines[1:] == ["card"]
    assert mvc("search", "card ~ opaque", cwd=repo).out == "", "the manifest is no card"
    mvc("push", "-q", str(tmp_path / "shared"), "main", cwd=repo)
    mvc("clone", "-q", "--no-checkout", str(tmp_path / "shared"), str(tmp_path / "bare"), cwd=tmp_path)
    assert mvc("search", "实体", cwd=tmp_path / "bare").out == "", "nothing is fetched for it"


def test_json_csv_and_ids(mvc: Mvc, runs: Path) -> None:
    found = json.loads(mvc("search", "训练", "--sort", "metrics.accuracy:desc", "--json", cwd=runs).out)
    assert found["schema"] == 1
    assert [one["metrics"]["accuracy"] for one in found["commits"]] == [0.95, 0.91, "NaN"]
    assert found["commits"][0]["names"] == {"tag": ["v1"]}
    assert found["commits"][0]["branches"] == ["main"]
    assert not found["more"]
    ids = mvc("search", "训练", "--sort", "metrics.accuracy:desc", "--ids", cwd=runs).lines
    assert ids == [one["id"] for one in found["commits"]]
    rows = list(csv.DictReader(io.StringIO(mvc("search", "--csv", "-n", "2", cwd=runs).out)))
    assert [row["metrics.accuracy"] for row in rows] == ["nan", "0.95"]
    assert rows[1]["params.optimizer.name"] == "adamw"
    columns = json.loads(mvc("search", "--json", "--columns", "metrics.*,date", "-n", "1", cwd=runs).out)["commits"][0]
    assert set(columns) == {"id", "metrics.accuracy", "date"}
    assert mvc("search", "--fields", cwd=runs).lines == ["metrics.accuracy", "params.lr", "params.optimizer.name"]


def test_a_wrong_query_points_at_the_character(mvc: Mvc, runs: Path) -> None:
    ran = mvc("search", "params.lr < 1 and metrics.acuracy > 0.9", cwd=runs, code=2)
    assert ran.err.splitlines() == [
        "error: no commit has metrics.acuracy",
        "         params.lr < 1 and metrics.acuracy > 0.9",
        "                           ^^^^^^^^^^^^^^^",
        "hint:  did you mean metrics.accuracy?",
    ]
    assert "did you mean metrics.accuracy?" in mvc("search", "accuracy > 0.9", cwd=runs, code=2).err
    ran = mvc("search", "训练 and (a", cwd=runs, code=2)
    assert ran.err.splitlines()[1:3] == ["         训练 and (a", "                  ^"]
    long = mvc("search", f"{'a ' * 300} and metrics.x >", cwd=runs, code=2).err.splitlines()
    assert max(map(len, long)) <= 110
    assert "^" in long[2]
    assert mvc("search", "--sort", "nonsense", cwd=runs, code=2)
    assert mvc("search", "--json", "--csv", cwd=runs, code=2)
    assert "no commit has metrics.f1" in mvc("search", "metrics.f1 > 0", cwd=runs).err


def test_a_direction_that_is_none_and_a_column_that_is_none(mvc: Mvc, runs: Path) -> None:
    ran = mvc("search", "--sort", "date,metrics.accuracy:down", cwd=runs, code=2)
    assert ran.err.splitlines() == [
        "error: 'down' is no direction to sort in",
        "         metrics.accuracy:down",
        "                          ^^^^",
        "hint:  metrics.accuracy:asc or metrics.accuracy:desc",
    ]
    assert "hint:  date:asc or date:desc" in mvc("search", "--sort", "date:down", cwd=runs, code=2).err
    for unknown in ("metrics.f1", "metrics.eval:f1"):
        assert f"no commit has {unknown}" in mvc("search", "--sort", unknown, cwd=runs).err
    assert "did you mean metrics.accuracy?" in mvc("search", "--columns", "id,acuracy", cwd=runs, code=2).err
    assert "hint:  mvc search --help lists them" in mvc("search", "--columns", "nope", cwd=runs, code=2).err


def test_a_metric_with_a_colon_in_its_name_is_sorted_by(mvc: Mvc, repo: Path, history: History) -> None:
    history.commit("one", {".mvcmeta/metrics.yaml": "eval:acc: 1\n", "a": "1"})
    history.write()
    ran = mvc("search", "--sort", "metrics.eval:acc", "--columns", "subject", cwd=repo)
    assert (ran.lines[1:], ran.err) == (["one"], "")


def test_no_rows_where_none_are_wanted(mvc: Mvc, runs: Path) -> None:
    ran = mvc("search", "--limit", "0", cwd=runs)
    assert (ran.out, ran.err) == ("", "there are more than none: --limit N, --all\n")
    assert json.loads(mvc("search", "--limit", "0", "--json", cwd=runs).out)["commits"] == []
    assert "nothing found" in mvc("search", "'not there'", "--limit", "0", cwd=runs).err


def test_in_an_empty_repository_and_in_none(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    assert "no commits yet" in mvc("search", "metrics.x > 1", cwd=repo).err
    assert json.loads(mvc("search", "--json", cwd=repo).out)["commits"] == []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mvc("search", cwd=elsewhere, code=3)


def test_the_branches_that_are_asked_for(mvc: Mvc, runs: Path, history: History) -> None:
    history.commit("apart", {"b": "1"}, ref="refs/heads/exp/1")
    history.write()
    assert len(mvc("search", "--ids", cwd=runs).lines) == 4
    assert len(mvc("search", "--branch", "exp/*", "--ids", cwd=runs).lines) == 1
    assert len(mvc("search", "--branch", "main", "--ids", "metrics.accuracy > 0", cwd=runs).lines) == 2


def test_it_starts_without_what_it_does_not_need(runs: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from mvc.cli.main import main; main(['search', 'metrics.accuracy > 0.9', '--json']); "
        "heavy = ('numpy', 'rich', 'yaml', 'zstandard', 'blake3'); "
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", program], cwd=runs, capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"
