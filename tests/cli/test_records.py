"""What a commit records: from options, from `mvc.yaml`, from the environment, and from the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mvc.metadata.tree import EVERY_FILE
from tests.cli.world import Mvc, git

MVC_YAML = """\
params: params.yaml
metrics: [metrics.json, later/eval.json]
series: log.csv
tables: {confusion: matrix.csv}
datasets:
  train: data
  val: {uri: "hf://datasets/val", split: validation, licence: MIT}
tags: {task: ner, team: search}
base: hf://bert
"""


@pytest.fixture
def project(repo: Path) -> Path:
    """A project that declares all there is."""
    (repo / "mvc.yaml").write_text(MVC_YAML)
    (repo / "params.yaml").write_text("lr: 1e-4\nopt: {name: adam}\n'größe von.a b': 1\n")
    (repo / "metrics.json").write_text('{"acc": 0.9, "loss": NaN}')
    (repo / "log.csv").write_text("step,loss\n1,2.5\n2,1.5\n")
    (repo / "matrix.csv").write_text("is,a,b\na,1,2\n")
    (repo / "data").mkdir()
    (repo / "data" / "a,b=c@d").write_text("x")
    return repo


def shown(mvc: Mvc, folder: Path, revision: str = "HEAD") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mvc("show", "--json", revision, cwd=folder).out)["objects"][0]
    return found


def commit(mvc: Mvc, folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    mvc("add", ".", cwd=folder)
    return mvc("commit", "-m", "x", *arguments, cwd=folder, code=code, **environment).err


def test_a_bare_commit_finds_what_the_project_declares(mvc: Mvc, project: Path) -> None:
    told = commit(mvc, project)
    assert told.count("warning") == 1 and "mvc.yaml: line 2: metrics: later/eval.json is not there" in told
    found = shown(mvc, project)
    assert found["params"] == {"lr": 1e-4, "opt.name": "adam", "größe von.a b": 1}
    assert found["metrics"] == {"acc": 0.9, "loss": "NaN"}
    assert found["tables"] == {"confusion": {"columns": ["is", "a", "b"], "rows": [["a", 1, 2]]}}
    assert found["steps"] == 2 and found["tags"] == {"task": "ner", "team": "search"}
    train, val = found["datasets"]
    assert train["name"] == "train" and train["files"] == 1 and train["digest"].startswith("blake3:")
    assert (val["location"], val["split"], val["licence"]) == ("hf://datasets/val", "validation", "MIT")
    assert [base["location"] for base in found["bases"]] == ["hf://bert"]
    listing = git(project, "ls-tree", "--name-only", "HEAD:.mvcmeta").decode().split()
    assert set(listing) <= set(EVERY_FILE) and "links.yaml" not in listing
    assert git(project, "fsck", "--strict") == b"" and mvc("fsck", cwd=project).code == 0
    text = mvc("show", cwd=project).out
    for part in ("confusion  1 row: is, a, b", "steps  2", "task  ner", "[validation]", "MIT", "hf://bert"):
        assert part in text
    mvc("annotate", "-q", "--param", "restore_callback_states_from_checkpoint=false", cwd=project)
    assert "    restore_callback_states_from_checkpoint  false" in mvc("show", cwd=project).out, (
        "a long name is no part of it"
    )


def test_what_is_given_goes_before_it(mvc: Mvc, project: Path) -> None:
    (project / "data2").mkdir()
    (project / "other.csv").write_text("step,f1\n5,1\n")
    commit(
        mvc, project, "--param", "lr=2", "--metric", "acc@m.bin=.5", "--tag", "task=qa", "--dataset", "train=data2",
        "--dataset-split", "train=all", "--dataset-license", "train=CC-BY-4.0", "--series", "other.csv", "--base", "hf://x",
    )  # fmt: skip
    found = shown(mvc, project)
    assert found["params"]["lr"] == 2 and found["params"]["opt.name"] == "adam"
    assert found["metrics"] == {"acc": 0.9, "acc@m.bin": 0.5, "loss": "NaN"}
    assert found["tags"] == {"task": "qa", "team": "search"}
    train = found["datasets"][0]
    assert (train["location"], train["split"], train["licence"]) == ("data2", "all", "CC-BY-4.0")
    assert found["steps"] == 1 and [base["location"] for base in found["bases"]] == ["hf://bert", "hf://x"]
    (project / "b").write_text("b")
    commit(mvc, project, "--no-project")
    assert shown(mvc, project)["params"] == {} and shown(mvc, project)["tags"] == {}


def test_an_amended_commit_keeps_what_it_said(mvc: Mvc, project: Path) -> None:
    commit(mvc, project)
    (project / "metrics.json").write_text('{"acc": 0.1}')
    mvc("commit", "--amend", "-m", "y", "--metric", "f1=1", "--tag", "new=1", "--no-project", cwd=project)
    found = shown(mvc, project)
    assert found["metrics"] == {"acc": 0.9, "f1": 1, "loss": "NaN"} and found["steps"] == 2
    assert found["tags"] == {"new": "1", "task": "ner", "team": "search"} and len(found["datasets"]) == 2
    (project / "mvc.yaml").write_text("metrics: metrics.json\ntags: {task: qa}\nbase: HEAD\n")
    mvc("commit", "--amend", "-m", "z", cwd=project)
    found = shown(mvc, project)
    assert found["metrics"] == {"acc": 0.1, "f1": 1, "loss": "NaN"}
    assert found["environment"]["command"].endswith("new=1 --no-project")
    assert found["tags"] == {"new": "1", "task": "qa", "team": "search"}
    assert [base["location"] for base in found["bases"]] == ["hf://bert"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("mvc.yaml", "params: {x: y}\n", "mvc.yaml: line 1: 'params' takes a path"),
        ("mvc.yaml", "a: 1\na: 2\n", "mvc.yaml: line 2: 'a' stands twice"),
        ("params.yaml", "a: 1\nb: [\n", "params.yaml: line 3"),
        ("params.yaml", "a: 1\na: 2\n", "params.yaml: line 2: 'a' stands twice"),
        ("params.yaml", "a: !!python/object/apply:os.system [ls]\n", "params.yaml: line 1: the tag"),
        ("params.yaml", "a: " + "{a: " * 100 + "1" + "}" * 100 + "\n", "params.yaml: line 1: nested deeper"),
        ("metrics.json", '{"a": 1, "a": 2}', "metrics.json: 'a' stands twice"),
        ("log.csv", "step,a\n1,2\n2,x\n", "log.csv: line 3: 'a' is 'x', not a number"),
        ("matrix.csv", "a,b\n1\n", "matrix.csv: line 2: 1 cells"),
    ],
)
def test_what_cannot_be_read_refuses_the_commit(name: str, text: str, told: str, mvc: Mvc, project: Path) -> None:
    (project / name).write_text(text)
    err = commit(mvc, project, code=6)
    assert told in err and "--no-project leaves mvc.yaml alone" in err
    commit(mvc, project, "--no-project")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tag", "=x"], "--tag takes name=word"),
        (["--table", "x"], "--table takes NAME=FILE"),
        (["--dataset-split", "gone=x"], "there is no --dataset of this name"),
        (["--metric", "a=1e400"], "'1e400' is not a number"),
        (["--series", "a.txt"], "of which kind"),
        (["--base", "no such thing"], "is no revision here and no URI"),
    ],
)
def test_what_is_given_wrong(arguments: list[str], told: str, mvc: Mvc, repo: Path) -> None:
    (repo / "a").write_text("a")
    mvc("add", ".", cwd=repo)
    ran = mvc("commit", "-m", "x", *arguments, cwd=repo, code=None)
    assert ran.code in (2, 4) and told in ran.err


def test_links_of_the_run(mvc: Mvc, repo: Path) -> None:
    (repo / "a").write_text("a")
    run = {"WANDB_RUN_ID": "r1", "WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "SLURM_JOB_ID": "4711"}
    commit(mvc, repo, WANDB_API_KEY="f" * 40, **run)
    assert shown(mvc, repo)["links"] == {
        "slurm.job": "4711", "wandb.entity": "e", "wandb.project": "p", "wandb.run": "r1",
        "wandb.url": "https://wandb.ai/e/p/runs/r1",
    }  # fmt: skip
    (repo / "b").write_text("b")
    commit(mvc, repo, "--no-environment", **run)
    assert shown(mvc, repo)["links"] == {}


def test_a_card_is_checked_where_it_changes(mvc: Mvc, repo: Path) -> None:
    (repo / "sub").mkdir()
    (repo / "README.md").write_text("---\nlicense: mit\nlanguage: English\n---\n# x\n")
    (repo / "sub" / "README.md").write_text("# nothing to see\n")
    err = commit(mvc, repo, "--check-card", code=5)
    assert "README.md: line 3: language: 'English' is no code" in err
    err = commit(mvc, repo)
    assert "warning: README.md: line 3" in err and "sub" not in err
    card = shown(mvc, repo)["card"]
    assert card["front"]["license"] == "mit" and len(card["problems"]) == 1
    text = mvc("show", cwd=repo).out
    assert "card  README.md" in text and "license   mit" in text and "line 3: language" in text
    (repo / "b").write_text("b")
    assert "warning" not in commit(mvc, repo)
    (repo / "README.md").write_text("---\nlicense: mit\ntags: [" + "word, " * 15_000 + "x]\n---\n" + "text " * 20_000)
    assert "warning" not in commit(mvc, repo)
    assert shown(mvc, repo)["card"]["front"]["license"] == "mit"


def test_a_metric_of_a_file_that_is_not_there_is_told(mvc: Mvc, repo: Path) -> None:
    (repo / "dir").mkdir()
    (repo / "dir" / "m@2.bin").write_text("a")
    mvc("add", ".", cwd=repo)
    there = [f"--metric={name}=.5" for name in ("acc@dir/m@2.bin", "acc@dir", "recall@10", "mAP@0.5:0.95", "pass@k")]
    err = mvc("commit", "-m", "one", *there, "--metric=recall@10@dir/m@2.bin=.5", cwd=repo).err
    assert "warning" not in err
    assert "warning" not in mvc("annotate", *there, cwd=repo).err
    told = "warning: metrics.acc@nowhere: there is no 'nowhere' in this commit\n"
    assert told in mvc("annotate", "--metric", "acc@nowhere=.9", cwd=repo).err
    (repo / "b").write_text("b")
    mvc("add", ".", cwd=repo)
    assert told in mvc("commit", "-m", "two", "--metric", "acc@nowhere=.9", cwd=repo).err
    assert shown(mvc, repo)["metrics"] == {"acc@nowhere": 0.9}
