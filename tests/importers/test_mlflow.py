"""`mvc import mlflow`, from a folder and from a SQLite database. MLflow itself is not needed."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from mvc.errors import NotFound, ParseError, Refused
from mvc.importers.mlflow import MlflowSource
from mvc.metadata.model import Point
from mvc.ops.alias import list_aliases
from tests.importers.importing import Target
from tests.importers.making import RUN, mlflow_database, mlruns, noise, put

RUN_ID = "46bda08d72f841818bddaa05f013aa49"
REF = "refs/runs/first-run-46bda08d/2"


def test_a_run_becomes_a_commit(target: Target, tmp_path: Path) -> None:
    store = mlruns(tmp_path, {"model/weights.bin": noise(1), "note.txt": b"hi"})
    done = target.take(MlflowSource(store))
    assert done.new == 1
    run = target.commit(REF)
    assert run.message == "first run\n\nWhat it was for.\n"
    assert (run.author.name, run.author.time, run.committer.time) == ("ann", 1_700_000_000, 1_700_000_100)
    assert target.files(REF) == {"model/weights.bin": noise(1), "note.txt": b"hi"}
    known = target.known(REF)
    assert known.params == {"lr": 0.01, "opt.value": "x", "opt.name": "adam"}
    assert known.metrics["val/loss"] == 0.25
    assert math.isnan(known.metrics["bad"])
    assert known.series == (Point(0, {"val/loss": 1}), Point(1, {"val/loss": 0.5}), Point(2, {"val/loss": 0.25}))
    assert known.tags == {"experiment": "ner", "task": "ner", "run.name": "first run", "run.status": "finished"}
    assert known.links == {"mlflow.run": RUN_ID}
    assert known.environment == {"code.commit": "a" * 40}
    assert target.repo.refs.list("refs/tags/") == {"refs/tags/ner-model/v1": run.id}
    assert {one.name: one.target for one in list_aliases(target.repo)} == {
        "ner-model-champion": run.id,
        "ner-model-production": run.id,
    }
    assert target.repo.refs.read("refs/runs/first-run-46bda08d/summary") == run.id
    assert any("no value" in one for one in done.warnings)
    assert not target.take(MlflowSource(tmp_path)).refs
    target.check()


def test_a_run_that_went_on(target: Target, tmp_path: Path) -> None:
    store = mlruns(tmp_path, {"w.bin": noise(1)})
    target.take(MlflowSource(store))
    put(store / "0" / RUN_ID / "params/more", "7")
    done = target.take(MlflowSource(store))
    assert (done.new, done.contents) == (1, 0)
    assert target.known(REF).params["more"] == 7
    target.check()


def test_branches_and_prefix(target: Target, tmp_path: Path) -> None:
    store = mlruns(tmp_path, {"w.bin": noise(1)})
    done = target.take(MlflowSource(store, branches=True), prefix="old")
    assert [one.ref for one in done.refs] == [
        "refs/heads/old/ner/first-run-46bda08d",
        "refs/tags/old/ner-model/v1",
        "refs/aliases/old/ner-model-production",
        "refs/aliases/old/ner-model-champion",
    ]


def test_database(target: Target, tmp_path: Path) -> None:
    put(tmp_path / "mlartifacts/1/r1/artifacts/model.bin", noise(1))
    mlflow_database(tmp_path / "m.db", tmp_path / "mlartifacts/1/r1/artifacts")
    target.take(MlflowSource(tmp_path / "m.db"))
    ref = "refs/runs/a-run-r1/1"
    assert target.files(ref) == {"model.bin": noise(1)}
    known = target.known(ref)
    assert known.params == {"lr": 1e-05}
    assert math.isnan(known.metrics["loss"])
    assert [point.step for point in known.series] == [0, 1]
    assert target.commit("m/v3").id == target.commit(ref).id
    target.check()


def test_a_database_that_was_moved(target: Target, tmp_path: Path) -> None:
    put(tmp_path / "here/mlruns/1/r1/artifacts/model.bin", noise(1))
    mlflow_database(tmp_path / "here/m.db", Path("/somewhere/else/mlruns/1/r1/artifacts"))
    target.take(MlflowSource(tmp_path / "here/m.db"))
    assert target.files("m/v3") == {"model.bin": noise(1)}


def test_a_store_reads_no_folder_of_others(target: Target, tmp_path: Path) -> None:
    put(tmp_path / "secret/1/r1/artifacts/key", b"secret")
    for where in (tmp_path / "secret/1/r1/artifacts", Path("../secret/1/r1/artifacts"), Path("/"), Path(".")):
        folder = tmp_path / f"db{where.as_posix().count('/')}{len(str(where))}"
        folder.mkdir()
        mlflow_database(folder / "m.db", where)
        put(folder / "own.txt", b"own")
        (folder / "link").symlink_to(tmp_path / "secret")
        with MlflowCase(folder / "m.db") as source:
            found = source.snapshot(source.ids()[0]).files
            assert all(one.key.startswith("lost:") for one in found.values()), where
    with MlflowCase(folder / "m.db", artifacts=tmp_path / "secret") as source:
        assert source.ids()


class MlflowCase:
    """A source that is closed again."""

    def __init__(self, path: Path, **options: Path) -> None:
        self._source = MlflowSource(path, **options)  # type: ignore[arg-type]

    def __enter__(self) -> MlflowSource:
        return self._source

    def __exit__(self, *exc: object) -> None:
        self._source.close()


def test_links_among_artefacts_are_left_out(target: Target, tmp_path: Path) -> None:
    store = mlruns(tmp_path, {"w.bin": noise(1)})
    put(tmp_path / "secret", b"secret")
    (store / "0" / RUN_ID / "artifacts/link").symlink_to(tmp_path / "secret")
    (store / "0" / RUN_ID / "params/link").symlink_to(tmp_path / "secret")
    done = target.take(MlflowSource(store))
    assert list(target.files(REF)) == ["w.bin"]
    assert "link" not in target.known(REF).params
    assert any("link" in one for one in done.warnings)


def test_artefacts_elsewhere_are_named(target: Target, tmp_path: Path) -> None:
    mlflow_database(tmp_path / "m.db", tmp_path)
    with sqlite3.connect(tmp_path / "m.db") as db:
        db.execute("UPDATE runs SET artifact_uri = 's3://bucket/1/r1/artifacts'")
    with pytest.raises(Refused, match="'artifacts'"):
        target.take(MlflowSource(tmp_path / "m.db"))
    done = target.take(MlflowSource(tmp_path / "m.db"), allow_missing=True)
    assert done.missing == ("artifacts",)
    assert target.known("m/v3").params


def test_artefacts_outside_of_the_store_are_never_lost_in_silence(target: Target, tmp_path: Path) -> None:
    """An experiment's `artifact_location`: MLflow makes the usual folder all the same, and leaves it empty."""
    store = mlruns(tmp_path, {"w.bin": noise(1)})
    usual = store / "0" / RUN_ID / "artifacts"
    elsewhere = tmp_path / "art" / RUN_ID / "artifacts"
    elsewhere.parent.mkdir(parents=True)
    usual.rename(elsewhere)
    usual.mkdir()
    about = store / "0" / RUN_ID / "meta.yaml"
    lines = [line for line in about.read_text().splitlines() if not line.startswith("artifact_uri")]
    about.write_text("\n".join([*lines, f"artifact_uri: file://{elsewhere}"]) + "\n")
    with pytest.raises(Refused, match="'artifacts'") as refused:
        target.take(MlflowSource(store))
    assert "--artifacts" in (refused.value.hint or "") and "dvc" not in (refused.value.hint or "")
    target.take(MlflowSource(store, artifacts=tmp_path / "art"))
    assert target.files(REF) == {"w.bin": noise(1)}


@pytest.mark.parametrize(
    "meta", ["x: !!python/object:os.system {}", "- 1", "run_id: &a [*a]", "\xff", "{" * 3000, "a: 1\na: 2"]
)
def test_a_run_that_makes_no_sense_is_left_out(target: Target, tmp_path: Path, meta: str) -> None:
    store = mlruns(tmp_path, {"w.bin": noise(1)})
    put(store / "0/bad/meta.yaml", meta.encode("latin-1"))
    done = target.take(MlflowSource(store))
    assert done.new == 1
    assert any("the run bad is left out" in one for one in done.warnings)


def test_names_that_refs_cannot_have(target: Target, tmp_path: Path) -> None:
    store = mlruns(tmp_path, {})
    put(store / "0/r2/meta.yaml", RUN.format(uri="", stage="active").replace("first run", "'..~^:?*[\\ .lock'"))
    put(store / "0/r3/meta.yaml", RUN.format(uri="", stage="active").replace("first run", "'模型 übung/x'"))
    done = target.take(MlflowSource(store))
    assert done.new == 3
    assert "refs/runs/模型-übung-x-r3/0" in {one.ref for one in done.refs}


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        MlflowSource(tmp_path)
    put(tmp_path / "x.db", b"SQLite format 3\0" + b"\0" * 100)
    with pytest.raises(ParseError):
        MlflowSource(tmp_path / "x.db")
    sqlite3.connect(tmp_path / "y.db").executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    with pytest.raises(ParseError, match="no store of MLflow's"):
        MlflowSource(tmp_path / "y.db")


def test_a_long_series_is_thinned(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvc.importers.facts.MAX_BYTES", (1 << 20) + 50_000)
    monkeypatch.setattr("mvc.metadata.series.MAX_BYTES", 60_000)
    store = mlruns(tmp_path, {})
    lines = "".join(f"{1_700_000_000_000 + step} {step * 0.123456789} {step}\n" for step in range(2_000))
    put(store / "0" / RUN_ID / "metrics" / ("long" * 12), lines)
    target.take(MlflowSource(store))
    series = target.known("refs/runs/first-run-46bda08d/1999").series
    assert 100 < len(series) < 2_000
    assert any("th is taken" in one for one in target.heard.warnings)
