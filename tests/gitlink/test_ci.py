"""The pipelines that `mvc ci init` writes: each of their steps is run in a shell, as written."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mvc import __version__
from mvc.errors import NetworkError, RemoteRefused, UsageError
from mvc.gitlink.comments import MARKER, find_thread, post
from mvc.gitlink.pipelines import Pipeline, render
from tests.gitlink.forge import Forge, running
from tests.gitlink.project import ROOT, Outer, new_project


@pytest.fixture
def forge() -> Iterator[Forge]:
    with running() as made:
        yield made


class Runner:
    """A machine of the forge's: `python` and `mvc` on its path, a checkout of the merge request."""

    def __init__(self, tmp_path: Path, outer: Outer) -> None:
        bin_dir = tmp_path / "bin"
        bin_dir.mkdir()
        for name, command in (("python", ""), ("mvc", " -P -m mvc")):
            path = bin_dir / name
            path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{command} "$@"\n')
            path.chmod(0o755)
        self.outer = Outer(tmp_path / "checkout", outer.home, f"{bin_dir}:{outer.path}")
        outer.git("clone", "-q", str(outer.top), str(self.outer.top))
        self.environment = {"PYTHONPATH": str(ROOT), "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        try:
            importlib.metadata.version("mvc-models")
        except importlib.metadata.PackageNotFoundError:
            # Run from a source tree: pip is told that this is the package.
            told = tmp_path / "told" / f"mvc_models-{__version__}.dist-info"
            told.mkdir(parents=True)
            (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mvc-models\nVersion: {__version__}\n")
            self.environment["PYTHONPATH"] += f":{told.parent}"

    def run(self, script: str, cwd: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """As GitHub runs a step: a file, by `bash -e`."""
        path = self.outer.home / "step.sh"
        path.write_text(script)
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", str(path)],
            cwd=self.outer.top / cwd,
            env={**self.outer.environment, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def project(tmp_path: Path, gates: str) -> tuple[Outer, str]:
    """A Git project whose branch `tuned` changes its model; and the Git commit of main."""
    outer = new_project(tmp_path)
    outer.mvc("remote", "add", "origin", str(tmp_path / "models"))
    outer.write(mvc__yaml=gates)
    for branch, accuracy in (("main", "0.90"), ("tuned", "0.93")):
        if branch != "main":
            outer.git("checkout", "-q", "-b", branch)
        outer.write(model__bin=branch * 20_000)
        outer.mvc("add", "model.bin")
        outer.mvc("commit", "-q", "-m", branch, "--metric", f"accuracy={accuracy}", "--no-environment")
        outer.git("add", "-A")
        outer.git("commit", "-q", "-m", branch)
        outer.mvc("push", "-q", "origin", branch)
    return outer, outer.git("rev-parse", "main").out.strip()


def scripts(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The steps of GitHub's job that run something."""
    job = yaml.safe_load(text)["jobs"]["models"]
    return [(step.get("name", ""), step) for step in job["steps"] if "run" in step]


def test_each_step_of_githubs(tmp_path: Path, forge: Forge) -> None:
    outer, base = project(tmp_path, "gates: [accuracy >= 0.92]\n")
    outer.mvc("ci", "init", "github")
    text = (outer.top / ".github/workflows/mvc.yml").read_text()
    outer.git("add", "-A")
    outer.git("commit", "-q", "-m", "ci")
    runner = Runner(tmp_path, outer)
    runner.outer.git("checkout", "-q", "--detach", "HEAD")
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}')
    job = yaml.safe_load(text)["jobs"]["models"]
    given = {"BASE_SHA": base, "MVC_REMOTE": job["env"]["MVC_REMOTE"], "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    given |= {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "team/bert", "GITHUB_API_URL": forge.url}
    given |= {"GITHUB_EVENT_PATH": str(event), "GITHUB_TOKEN": "secret"}
    done = {name: runner.run(step["run"], **given) for name, step in scripts(text)}
    assert {name: one.returncode for name, one in done.items()} == dict.fromkeys(done, 0), done
    assert [*done][-3:] == ["Gate", "Report", "Comment"] and len(done) == 6
    assert not (runner.outer.top / "model.bin").exists(), "gates need no weights"
    assert "accuracy" in (runner.outer.top / "gate.xml").read_text()
    (comment,) = forge.comments
    assert comment["body"].startswith(MARKER) and "0.93" in comment["body"] and "0.9" in comment["body"]
    assert (tmp_path / "summary").read_text() == comment["body"]
    # A worse model: the gate fails, the report says so in the same comment.
    runner.outer.write(mvc__yaml="gates: [accuracy >= 0.99]\n")
    again = {name: runner.run(step["run"], **given) for name, step in scripts(text)[-3:]}
    failed = {name for name, one in again.items() if one.returncode}
    assert failed == {"Gate"} and again["Gate"].returncode == 1, again
    assert (
        len(forge.comments) == 1
        and forge.comments[0]["body"] == (tmp_path / "summary").read_text()[len(comment["body"]) :]
    )
    # An expression of GitHub's in a script would be put into the shell as text.
    assert all("${{" not in step["run"] for _, step in scripts(text))


def test_each_line_of_gitlabs(tmp_path: Path, forge: Forge) -> None:
    outer, base = project(tmp_path, "gates: [accuracy >= 0.92]\n")
    outer.mvc("ci", "init", "gitlab", "--weights")
    text = (outer.top / ".gitlab-ci.yml").read_text()
    runner = Runner(tmp_path, outer)
    runner.outer.git("checkout", "-q", "--detach", "HEAD")
    job = yaml.safe_load(text)["models"]
    given = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "MVC_REMOTE": job["variables"]["MVC_REMOTE"], "GITLAB_CI": "true"}
    given |= {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_PROJECT_ID": "42",
        "CI_API_V4_URL": f"{forge.url}/api/v4",
        "CI_JOB_TOKEN": "secret",
    }
    # GitLab puts all lines into one shell.
    script = "\n".join([*job["before_script"], *job["script"]])
    ran = runner.run(script, **given)
    assert ran.returncode == 0, ran
    assert (runner.outer.top / "model.bin").read_text().startswith("tuned")
    assert len(forge.comments) == 1 and forge.asked[-1].startswith("POST")
    # The cache brings .mvc back, the checkout is new; the gate fails, and no token lets it say so.
    (runner.outer.top / "model.bin").unlink()
    runner.outer.write(mvc__yaml="gates: [accuracy >= 0.99]\n")
    forge.token = "other"
    ran = runner.run(script, **given)
    assert ran.returncode == 1 and "was not posted" in ran.stdout, ran
    assert (runner.outer.top / "model.bin").exists() and (runner.outer.top / "gate.xml").exists()


def test_a_base_without_models_and_a_folder(tmp_path: Path) -> None:
    """The first pull request that brings mvc has nothing to compare with."""
    outer = new_project(tmp_path)
    base = outer.git("rev-parse", "HEAD").out.strip()
    deep = outer.at(outer.top / "mo dels")
    deep.top.mkdir()
    (outer.top / ".mvc").rename(deep.top / ".mvc")
    deep.mvc("remote", "add", "origin", str(tmp_path / "models"))
    deep.write(weights__bin="x" * 70_000)
    deep.mvc("add", "weights.bin")
    deep.mvc("commit", "-q", "-m", "m", "--no-environment")
    deep.mvc("push", "-q", "origin", "main")
    outer.git("add", "-A")
    outer.git("commit", "-q", "-m", "m")
    assert "no gates yet" in outer.mvc("ci", "init", "github").err
    text = (outer.top / ".github/workflows/mvc.yml").read_text()
    job = yaml.safe_load(text)["jobs"]["models"]
    folder = job["defaults"]["run"]["working-directory"]
    runner = Runner(tmp_path, outer)
    given = {"BASE_SHA": base, "MVC_REMOTE": job["env"]["MVC_REMOTE"], "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    steps = [(name, step) for name, step in scripts(text) if name not in ("Install mvc", "Comment")]
    done = {name: runner.run(step["run"], folder, **given) for name, step in steps}
    bad = {name for name, one in done.items() if one.returncode}
    assert bad <= {"Gate"} and "tensors" in done["Gate"].stdout, done
    assert (tmp_path / "summary").read_text().startswith(MARKER)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    outer = new_project(tmp_path)
    outer.write(**{"__gitlab-ci__yml": "mine: {}\n"})
    assert "--force" in outer.mvc("ci", "init", "gitlab", code=5).err
    assert (outer.top / ".gitlab-ci.yml").read_text() == "mine: {}\n"
    outer.mvc("ci", "init", "gitlab", "--output", "ci/models.yml")
    assert "models:" in (outer.top / "ci/models.yml").read_text()
    ran = outer.mvc("ci", "init", "gitlab", "--force", "--remote", "https://token@models.example.org/bert")
    assert (
        "https://models.example.org/bert" in (outer.top / ".gitlab-ci.yml").read_text()
        and "cannot reach" not in ran.err
    )
    assert outer.mvc("ci", "init", "github", "-o", "-").out.startswith("# Written by")
    assert outer.mvc("ci", "init", "jenkins", code=2).code == 2


ODD = Pipeline("a b @ 'x'", "1", 'https://x/"a": {b}\n# ${{ c }}', 'it\'s: a "folder"', True, ("a >= 'b'", "é: c"))


@pytest.mark.parametrize("pipeline", [Pipeline("mvc-models==1", "1"), ODD], ids=["plain", "odd"])
def test_they_follow_the_forges_schemas(pipeline: Pipeline, tmp_path: Path) -> None:
    github, gitlab = (yaml.safe_load(render(forge, pipeline)) for forge in ("github", "gitlab"))
    assert (github["jobs"]["models"]["env"].get("MVC_REMOTE"), gitlab["models"]["variables"].get("MVC_REMOTE")) == (
        pipeline.remote,
        pipeline.remote,
    )
    assert all(isinstance(line, str) for line in gitlab["models"]["script"])
    check = pytest.importorskip("check_jsonschema")
    assert check
    for forge, schema in (("github", "github-workflows"), ("gitlab", "gitlab-ci")):
        path = tmp_path / f"{forge}.yml"
        path.write_text(render(forge, pipeline))  # type: ignore[arg-type]
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


# -- comments


def github(forge: Forge, **more: str) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "team/bert",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_API_URL": forge.url,
        "GITHUB_TOKEN": "secret",
        **more,
    }


def test_a_comment_is_found_again_among_many(forge: Forge) -> None:
    forge.comments = [{"id": n, "body": f"{n}", "user": {"type": "User"}} for n in range(1, 151)]
    forge.comments[3]["body"] = f"{MARKER}\nsomebody quotes it"
    thread = find_thread(github(forge))
    first = post(thread, "one", pause=0)
    assert not first.updated and forge.comments[-1]["body"] == f"{MARKER}\none"
    forge.broken = 2
    second = post(thread, f"{MARKER}\ntwo" + "x" * 100_000, pause=0)
    assert (second.updated, second.id) == (True, first.id)
    assert len(forge.comments[-1]["body"]) == 65_536 and "left out" in forge.comments[-1]["body"]
    assert forge.comments[3]["body"].endswith("quotes it")


def test_what_a_forge_may_answer(forge: Forge) -> None:
    with pytest.raises(RemoteRefused, match="401"):
        post(find_thread(github(forge, GITHUB_TOKEN="wrong")), "x", pause=0)
    forge.broken = 3
    with pytest.raises(NetworkError, match="502"):
        post(find_thread(github(forge)), "x", pause=0)
    with pytest.raises(NetworkError, match="302"):
        post(find_thread(github(forge, GITHUB_API_URL=forge.url + "/moved")), "x", pause=0)
    for environment in ({}, github(forge, GITHUB_REF="refs/heads/main"), github(forge, GITHUB_TOKEN="")):
        with pytest.raises(UsageError):
            find_thread(environment)
    with pytest.raises(UsageError):
        find_thread({"GITLAB_CI": "true", "CI_PROJECT_ID": "42"})
    with pytest.raises(NetworkError):
        post(find_thread(github(forge, GITHUB_API_URL="http://127.0.0.1:1")), "x", pause=0)


def test_the_command(forge: Forge, tmp_path: Path) -> None:
    outer = Outer(tmp_path, tmp_path)
    outer.write(report__md="# fine\n")
    environment = {"GITLAB_CI": "1", "CI_MERGE_REQUEST_IID": "7", "CI_PROJECT_ID": "42", "GITLAB_TOKEN": "secret"}
    environment["CI_API_V4_URL"] = f"{forge.url}/api/v4"
    assert "written" in outer.mvc("ci", "comment", "report.md", **environment).err
    assert json.loads(outer.mvc("ci", "comment", "report.md", "--json", **environment).out)["updated"] is True
    assert forge.asked[-1] == "PUT /api/v4/projects/42/merge_requests/7/notes/1"
    assert "there is no x.md" in outer.mvc("ci", "comment", "x.md", code=4, **environment).err
    assert outer.mvc("ci", "comment", "report.md", code=2).err
