"""`mvc.yaml`, and links of a run, as they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.metadata.links import find_links
from mvc.metadata.project import DeclaredDataset, ProjectFile, parse_project, read_project

HERE = Path("mvc.yaml")


def test_all_of_it() -> None:
    found = parse_project(
        b"""
params: params.yaml
metrics: [m.json, "eval, new.json", m.json]
series: log.csv
tables: {confusion: c.csv}
datasets:
  train: "data/a,b=c"
  val: {path: data/v, digest: "blake3:00ff", split: validation, license: MIT}
  wiki:
    uri: hf://datasets/wiki
tags: {task: ner, n: 1, empty: }
base: [v1, "hf://bert"]
gates: ["acc > 0.9"]
aliases: {production: {gate: true}}
runs: {keep: 3}
""",
        HERE,
    )
    assert found.params == ("params.yaml",) and found.metrics == ("m.json", "eval, new.json")
    assert found.datasets == {
        "train": DeclaredDataset("data/a,b=c"),
        "val": DeclaredDataset("data/v@blake3:00ff", "validation", "MIT"),
        "wiki": DeclaredDataset("hf://datasets/wiki"),
    }
    assert found.base == ("v1", "hf://bert") and found.tags == {"task": "ner", "n": 1, "empty": None}
    assert found.sections["gates"] == ["acc > 0.9"] and found.lines["gates"] == 13
    assert found.problems == () and found


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    assert not read_project(tmp_path / "mvc.yaml") and read_project(tmp_path / "mvc.yaml") == ProjectFile()
    (tmp_path / "mvc.yaml").write_bytes(b"# nothing yet\n")
    assert read_project(tmp_path / "mvc.yaml").params == ()


def test_names_that_mean_nothing_are_told() -> None:
    found = parse_project(b"param: x\n\nzzz: 1\ndatasets:\n  a:\n    path: x\n    spilt: y\n", HERE)
    assert found.problems == (
        "mvc.yaml: line 1: 'param' means nothing here (is 'params' meant?)",
        "mvc.yaml: line 3: 'zzz' means nothing here",
        "mvc.yaml: line 7: 'spilt' means nothing here",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nparams: {x: y}\n", "line 2: 'params' takes a path"),
        ("params: [a, 5]\n", "line 1: 'params' takes a path"),
        ("tables: [a]\n", "line 1: 'tables' takes names"),
        ("tables:\n  a: 5\n", "line 2: the table 'a'"),
        ("datasets: x\n", "line 1: 'datasets' takes names"),
        ("datasets:\n  a: 5\n", "line 2: the dataset 'a'"),
        ("datasets:\n  a: {split: x}\n", "line 2: the dataset 'a' takes either"),
        ("datasets:\n  a: {path: x, uri: y}\n", "line 2: the dataset 'a' takes either"),
        ("datasets:\n  a:\n    path: x\n    split: [1]\n", "line 4: 'split' of the dataset"),
        ("tags:\n  a: [1]\n", "line 2: the tag 'a'"),
        ("card: [x]\n", "line 1: 'card'"),
        ("- a\n", "no names at its top"),
        ("a: 1\na: 2\n", "line 2: 'a' stands twice"),
        ("a: !!python/object:os.system x\n", "line 1: the tag"),
        ("a: [\n", "line 2: "),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, told: str) -> None:
    with pytest.raises(ParseError, match=r"^mvc\.yaml: ") as caught:
        parse_project(text.encode(), HERE)
    assert told in caught.value.message


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=100))
def test_anything_else_is_an_error_of_ours(data: bytes) -> None:
    for prefix in (b"", b"datasets:\n  a: ", b"params: "):
        try:
            parse_project(prefix + data, HERE)
        except ParseError as error:
            assert error.message.startswith("mvc.yaml")


def test_links() -> None:
    assert find_links({"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "MLFLOW_TRACKING_URI": "http://x"}) == {}
    found = find_links(
        {
            "WANDB_RUN_ID": "1a2b3c4d",
            "WANDB_PROJECT": "p",
            "WANDB_ENTITY": "e",
            "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
            "WANDB_BASE_URL": "https://user:secret@wandb.local/",
            "MLFLOW_RUN_ID": "f" * 32,
            "MLFLOW_EXPERIMENT_ID": "3",
            "MLFLOW_TRACKING_URI": "https://me:pw@mlflow.example/?token=abc",
            "MLFLOW_TRACKING_TOKEN": "geheim",
            "SLURM_JOB_ID": "4711",
            "SLURM_ARRAY_JOB_ID": "4700",
            "SLURM_ARRAY_TASK_ID": "11",
            "SLURM_CLUSTER_NAME": "big\x1b[0m",
        }
    )
    assert found["wandb.url"] == "https://wandb.local/e/p/runs/1a2b3c4d"
    assert found["mlflow.url"].endswith("/#/experiments/3/runs/" + "f" * 32)
    assert found["slurm.job"] == "4711" and found["slurm.array_task"] == "11" and found["slurm.cluster"] == "big[0m"
    for secret in ("secret", "pw@", "abc", "geheim", "0123456789abcdef0123"):
        assert not any(secret in value for value in found.values())
    default = find_links({"WANDB_RUN_ID": "r", "WANDB_PROJECT": "p", "WANDB_ENTITY": "e"})
    assert default["wandb.url"] == "https://wandb.ai/e/p/runs/r"
