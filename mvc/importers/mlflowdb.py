"""MLflow's SQLite store, opened read-only. Source: `mlflow/store/tracking/dbmodels/models.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mvc.errors import ParseError
from mvc.importers.mlflowruns import Alias, Measured, ModelVersion, Run, dataset

MAGIC = b"SQLite format 3\0"


class DatabaseStore:
    """The database at `path`. Raises ParseError if it is none, or not MLflow's."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._warn = warn
        try:
            self._db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            self._db.execute("PRAGMA query_only = ON")
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            kinds = self._db.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')")
            self._tables = {name for name, kind in kinds if kind == "table"}
        except sqlite3.Error as error:
            raise ParseError(f"{path} cannot be read as a SQLite database: {error}") from error
        if not {"experiments", "runs", "params", "metrics", "tags"} <= self._tables:
            raise ParseError(f"{path} is no store of MLflow's: it lacks the tables of runs")

    def run_ids(self) -> list[tuple[str, str]]:
        """(experiment's id, run's id), oldest first; without what was deleted."""
        rows = self._rows(
            "SELECT r.experiment_id, r.run_uuid FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id"
            " WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active' ORDER BY r.start_time, r.run_uuid"
        )
        return [(str(experiment), str(run)) for experiment, run in rows]

    def run(self, experiment: str, run_id: str) -> Run | None:
        row = self._rows(
            "SELECT e.name, r.name, r.status, r.user_id, r.start_time, r.end_time, r.artifact_uri"
            " FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id WHERE r.run_uuid = ?",
            run_id,
        )
        if not row:
            return None
        about, name, status, user, start, end, uri = row[0]
        run = Run(run_id, _text(about), _text(name), _text(status), _text(user), _whole(start), _whole(end))
        run.params = self._pairs("params", run_id)
        run.tags = self._pairs("tags", run_id)
        run.name = run.name or run.tags.get("mlflow.runName", "")
        run.measured = list(self._measured(run_id))
        run.artifacts = [("", _text(uri))]
        if "logged_models" in self._tables:
            logged = "SELECT name, artifact_location FROM logged_models WHERE source_run_id = ?"
            rows = self._rows(f"{logged} AND lifecycle_stage = 'active'", run_id)
            run.artifacts += [(_text(one), _text(place)) for one, place in rows]
        if {"inputs", "datasets"} <= self._tables:
            rows = self._rows(
                "SELECT d.name, d.digest, d.dataset_source FROM inputs i"
                " JOIN datasets d ON d.dataset_uuid = i.source_id"
                " WHERE i.destination_id = ? AND i.source_type = 'DATASET'",
                run_id,
            )
            run.datasets = [dataset(_text(one), _text(digest), _text(source)) for one, digest, source in rows]
        return run

    def model_versions(self) -> Iterator[ModelVersion]:
        if "model_versions" not in self._tables:
            return
        for model, version, run, stage in self._rows("SELECT name, version, run_id, current_stage FROM model_versions"):
            if isinstance(version, int) and run:
                yield ModelVersion(_text(model), version, _text(run), _text(stage) or None)

    def aliases(self) -> Iterator[Alias]:
        if "registered_model_aliases" not in self._tables:
            return
        for model, alias, version in self._rows("SELECT name, alias, version FROM registered_model_aliases"):
            if isinstance(version, int):
                yield Alias(_text(model), _text(alias), version)

    def close(self) -> None:
        self._db.close()

    def _measured(self, run_id: str) -> Iterator[Measured]:
        rows = "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp"
        for name, step, time, value, is_nan in self._rows(rows, run_id):
            if isinstance(value, int | float):
                yield Measured(_text(name), _signed(step), _whole(time), float("nan") if is_nan else float(value))

    def _pairs(self, table: str, run_id: str) -> dict[str, str]:
        rows = self._rows(f"SELECT key, value FROM {table} WHERE run_uuid = ?", run_id)
        return {_text(name): _text(value) for name, value in rows}

    def _rows(self, query: str, *values: str) -> Sequence[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise ParseError(f"MLflow's database cannot be read: {error}") from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _whole(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _signed(value: Any) -> int:
    return value if isinstance(value, int) else 0
