"""Sources written by hand, byte for byte as the tools write them: importers are tested without the tools as well."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann Öther",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Con Mitter",
    "GIT_COMMITTER_EMAIL": "con@example.org",
    "LC_ALL": "C.UTF-8",
}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


def git(path: Path, *arguments: str, when: int = 1_700_000_000) -> str:
    """Run git there, with dates."""
    dates = {"GIT_AUTHOR_DATE": f"{when} +0530", "GIT_COMMITTER_DATE": f"{when + 60} -0200"}
    command = ["git", "-c", "init.defaultBranch=main", "-c", "filter.lfs.required=false", *arguments]
    done = subprocess.run(command, cwd=path, env=ENVIRONMENT | dates, capture_output=True, check=True)
    return done.stdout.decode().strip()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def noise(seed: int, size: int = 100_000) -> bytes:
    """Bytes that look like nothing."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


class DvcProject:
    """A Git project with DVC. `new`: the layout of version 3."""

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self.path, self._new, self._times = path, new, 0
        path.mkdir(parents=True)
        git(path, "init", "-q")
        put(path / ".dvc/config", "")
        put(path / ".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
        put(path / ".dvcignore", "# ignored\n")

    def cache(self, digest: str, data: bytes, folder: Path | None = None) -> Path:
        """Put a content where DVC looks for it."""
        top = folder or self.path / ".dvc/cache"
        place = (top / "files/md5" if self._new else top) / digest[:2] / digest[2:]
        put(place, data)
        return place

    def add(self, name: str, data: bytes, **more: object) -> str:
        """A file, as `dvc add` leaves it (but for the file itself)."""
        digest = md5(data)
        self.cache(digest, data)
        lines = [f"- md5: {digest}", f"  size: {len(data)}"]
        lines += ["  hash: md5"] if self._new else []
        lines += [f"  {key}: {json.dumps(value)}" for key, value in more.items()]
        lines += [f"  path: {name.rpartition('/')[2]}"]
        put(self.path / f"{name}.dvc", "outs:\n" + "\n".join(lines) + "\n")
        return digest

    def add_folder(self, name: str, files: Mapping[str, bytes]) -> str:
        """A folder, with its manifest."""
        rows = [{"md5": md5(data), "relpath": inner} for inner, data in sorted(files.items())]
        for data in files.values():
            self.cache(md5(data), data)
        manifest = json.dumps(rows, sort_keys=True).encode()
        digest = f"{md5(manifest)}.dir"
        self.cache(digest, manifest)
        size = sum(map(len, files.values()))
        tail = "  hash: md5\n" if self._new else ""
        text = f"outs:\n- md5: {digest}\n  size: {size}\n  nfiles: {len(files)}\n{tail}  path: {name}\n"
        put(self.path / f"{name}.dvc", text)
        return digest

    def commit(self, message: str, *arguments: str) -> str:
        """Commit all; returns the id."""
        self._times += 1
        git(self.path, "add", "-A")
        git(
            self.path,
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            message,
            *arguments,
            when=1_700_000_000 + self._times * 1000,
        )
        return git(self.path, "rev-parse", "HEAD")


class LfsProject:
    """A Git repository with pointers of Git LFS."""

    def __init__(self, path: Path) -> None:
        self.path, self._times = path, 0
        path.mkdir(parents=True)
        git(path, "init", "-q")
        put(path / ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")

    def add(self, name: str, data: bytes) -> str:
        digest = sha256(data)
        put(self.path / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest, data)
        put(self.path / name, LFS.format(digest, len(data)))
        return digest

    def commit(self, message: str, *arguments: str) -> str:
        self._times += 1
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "-m", message, *arguments, when=1_700_000_000 + self._times * 1000)
        return git(self.path, "rev-parse", "HEAD")


def hub_cache(top: Path, name: str, versions: Mapping[str, Mapping[str, bytes]], refs: Mapping[str, str]) -> Path:
    """A repository of the Hub's cache: commit -> files, ref -> commit. Small files are named as Git does."""
    folder = top / f"models--{name.replace('/', '--')}"
    for commit, files in versions.items():
        for path, data in files.items():
            plain = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            digest = sha256(data) if len(data) > 10_000 else plain
            put(folder / "blobs" / digest, data)
            place = folder / "snapshots" / commit / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(os.path.relpath(folder / "blobs" / digest, place.parent))
    for ref, commit in refs.items():
        put(folder / "refs" / ref, commit)
    return folder


def mlruns(top: Path, artifacts: Mapping[str, bytes]) -> Path:
    """A file store of MLflow with two runs, one of them deleted, and a registered model."""
    store = top / "mlruns"
    put(store / "0/meta.yaml", "experiment_id: '0'\nlifecycle_stage: active\nname: ner\n")
    run = store / "0/46bda08d72f841818bddaa05f013aa49"
    put(run / "meta.yaml", RUN.format(uri=f"file://{run}/artifacts", stage="active"))
    put(run / "params/lr", "0.01")
    put(run / "params/opt.name", "adam")
    put(run / "params/opt", "x")
    put(run / "metrics/val/loss", "1700000000100 1.0 0\n1700000000200 0.5 1\n1700000000300 0.25 2\n")
    put(run / "metrics/bad", "1700000000100 nan 0\nno value\n")
    put(run / "tags/task", "ner")
    put(run / "tags/mlflow.note.content", "What it was for.")
    put(run / "tags/mlflow.source.git.commit", "a" * 40)
    for path, data in artifacts.items():
        put(run / "artifacts" / path, data)
    gone = store / "0/00000000000000000000000000000000"
    put(gone / "meta.yaml", RUN.format(uri="", stage="deleted"))
    put(store / "models/ner-model/meta.yaml", "name: ner-model\n")
    put(store / "models/ner-model/version-1/meta.yaml", f"current_stage: Production\nrun_id: {run.name}\nversion: 1\n")
    put(store / "models/ner-model/aliases/champion", "1")
    return store


RUN = """artifact_uri: {uri}
end_time: 1700000100000
lifecycle_stage: {stage}
run_name: first run
start_time: 1700000000000
status: 3
user_id: ann
"""


def mlflow_database(path: Path, artifacts: Path) -> None:
    """The tables of MLflow's SQLite store that are read, with one run."""
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
        CREATE TABLE runs (run_uuid TEXT, name TEXT, user_id TEXT, status TEXT, start_time INTEGER, end_time INTEGER,
                           lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER);
        CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
        CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
        CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan INTEGER);
        CREATE TABLE model_versions (name TEXT, version INTEGER, run_id TEXT, current_stage TEXT);
        CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT);
        INSERT INTO experiments VALUES (1, 'ner', 'active');
        INSERT INTO params VALUES ('lr', '1e-05', 'r1');
        INSERT INTO tags VALUES ('task', 'ner', 'r1');
        INSERT INTO metrics VALUES ('loss', 1.5, 1700000000100, 'r1', 0, 0), ('loss', 0, 1700000000200, 'r1', 1, 1);
        INSERT INTO model_versions VALUES ('m', 3, 'r1', 'None');
        INSERT INTO registered_model_aliases VALUES ('champion', 3, 'm');
        """
    )
    row = ("r1", "a run", "ann@example.org", "FINISHED", 1700000000000, 1700000100000, "active", str(artifacts), 1)
    db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
