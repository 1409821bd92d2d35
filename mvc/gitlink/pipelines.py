"""The pipelines that `mvc ci init` writes: text, so that each line and comment is as a person would have it.

No expression of the forge's stands inside of a script: what others may have named (a branch, a title) comes by the
environment, and a script runs in any shell as it stands.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Forge = Literal["github", "gitlab"]
FILES: Mapping[str, str] = {"github": ".github/workflows/mvc.yml", "gitlab": ".gitlab-ci.yml"}
"""Where each forge looks."""
_PLAIN = re.compile(r"(?:[a-zA-Z]|\.[a-z]|\./)[\w $\"'./=@+:-]*(?<!:)")
_AMBIGUOUS = re.compile(r": |^(?:true|false|yes|no|on|off|null|y|n)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What differs from project to project.

    `package`: what pip installs. `remote`: URL of mvc's remote; None: the one that mvc.lock names. `folder`: where
    mvc.lock lies, "" is the top. `weights`: the models are checked out, too. `gates`: in place of those of mvc.yaml.
    """

    package: str
    version: str
    remote: str | None = None
    folder: str = ""
    weights: bool = False
    gates: tuple[str, ...] = ()


def render(forge: Forge, pipeline: Pipeline) -> str:
    """The pipeline's file."""
    return (_github if forge == "github" else _gitlab)(pipeline)


def _sync(base: str, pipeline: Pipeline) -> str:
    # A cache that was taken back has the store, and not the files that were checked out from it.
    way = "--force" if pipeline.weights else "--history"
    remote = ' --remote "$MVC_REMOTE"' if pipeline.remote else ""
    return f'mvc hooks sync {way}{remote} --also "${base}"'


def _base(name: str) -> str:
    return f"base=$(git show \"${name}:./mvc.lock\" 2>/dev/null | sed -n 's/^commit //p' || true)"


def _gate(pipeline: Pipeline) -> str:
    gates = "".join(f" {shlex.quote(gate)}" for gate in pipeline.gates)
    return f'mvc gate HEAD ${{base:+--base "$base"}} --junit gate.xml --md gate.md{gates}'


def _install(pipeline: Pipeline) -> str:
    return f"python -m pip install --quiet {shlex.quote(pipeline.package)}"


def _text(value: str) -> str:
    """A YAML scalar that is that text whatever it holds: as it is, else as JSON, which is YAML."""
    plain = _PLAIN.fullmatch(value) and not _AMBIGUOUS.search(value) and not value.endswith(" ")
    return value if plain else json.dumps(value)


def _line(command: str) -> str:
    """A command as an item of a list, which people are to read."""
    text = _text(command)
    return text if text == command or "\n" in command else f"|\n      {command}"


def _at(folder: str, name: str) -> str:
    return os.path.join(folder, name).replace(os.sep, "/")


def _github(pipeline: Pipeline) -> str:
    where = (
        f"    defaults:\n      run:\n        working-directory: {_text(pipeline.folder)}\n" if pipeline.folder else ""
    )
    remote = f"      MVC_REMOTE: {_text(pipeline.remote)}\n" if pipeline.remote else ""
    lock, store, gate, report = (_at(pipeline.folder, name) for name in ("mvc.lock", ".mvc", "gate.xml", "report.md"))
    key = f"mvc-${{{{ hashFiles({_quoted(lock)}) }}}}"
    key = json.dumps(key) if re.search(r"[^\w ./-]", pipeline.folder) else key
    files = "models and their history" if pipeline.weights else "history of the models; no weights are needed"
    return f"""\
# Written by `mvc ci init github` (mvc {pipeline.version}); yours to change. mvc's docs/ci.md tells how it works.
name: models

on:
  pull_request:

permissions:
  contents: read
  pull-requests: write

concurrency:
  group: models-${{{{ github.ref }}}}
  cancel-in-progress: true

jobs:
  models:
    runs-on: ubuntu-latest
    timeout-minutes: 60
{where}    env:
{remote}      # A token that may read, where mvc's remote asks for one (Settings, Secrets and variables, Actions).
      MVC_TOKEN: ${{{{ secrets.MVC_TOKEN }}}}
      BASE_SHA: ${{{{ github.event.pull_request.base.sha }}}}
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install mvc
        run: {_text(_install(pipeline))}
      - name: No raw weights, no unsafe pickles in Git
        run: mvc hooks check HEAD
      - uses: actions/cache@v4
        with:
          path: {_text(store)}
          key: {key}
          restore-keys: mvc-
      # {files[0].upper()}{files[1:]}.
      - name: Bring what mvc.lock names
        run: {_text(_sync("BASE_SHA", pipeline))}
      - name: Gate
        run: |
          {_base("BASE_SHA")}
          {_gate(pipeline)}
      - name: Report
        if: ${{{{ !cancelled() }}}}
        run: |
          {_base("BASE_SHA")}
          mvc report "${{base:+$base..}}HEAD" -o report.md
          cat report.md >> "$GITHUB_STEP_SUMMARY"
      # Pull requests from forks have no right to; their report stands in the summary of the run.
      - name: Comment
        if: ${{{{ !cancelled() && github.event.pull_request.head.repo.full_name == github.repository }}}}
        continue-on-error: true
        env:
          GITHUB_TOKEN: ${{{{ github.token }}}}
        run: mvc ci comment report.md
      - uses: actions/upload-artifact@v4
        if: ${{{{ !cancelled() }}}}
        with:
          name: models
          path: |
            {gate}
            {report}
"""


def _gitlab(pipeline: Pipeline) -> str:
    remote = f"    MVC_REMOTE: {_text(pipeline.remote)}\n" if pipeline.remote else ""
    there = [f"cd {shlex.quote(pipeline.folder)}"] if pipeline.folder else []
    lock, store = _at(pipeline.folder, "mvc.lock"), _at(pipeline.folder, ".mvc/")
    gate, report = _at(pipeline.folder, "gate.xml"), _at(pipeline.folder, "report.md")
    script = [
        "mvc hooks check HEAD",
        *there,
        _sync("CI_MERGE_REQUEST_DIFF_BASE_SHA", pipeline),
        _base("CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        f"{_gate(pipeline)} || failed=$?",
        'mvc report "${base:+$base..}HEAD" -o report.md',
        "mvc ci comment report.md || echo 'the report was not posted; it is among the artifacts'",
        'exit "${failed:-0}"',
    ]
    lines = "\n".join(f"    - {_line(line)}" for line in script)
    return f"""\
# Written by `mvc ci init gitlab` (mvc {pipeline.version}); yours to change. mvc's docs/ci.md tells how it works.
# Variables to set (Settings, CI/CD): MVC_TOKEN, where mvc's remote asks for one, may read; GITLAB_TOKEN, a project
# access token with the scope api, posts the report. Without it CI_JOB_TOKEN is tried, which few projects let do that.
models:
  image: python:3.12
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  variables:
    GIT_DEPTH: "0"
{remote}  cache:
    key:
      prefix: mvc
      files:
        - {_text(lock)}
    paths:
      - {_text(store)}
  before_script:
    - {_text(_install(pipeline))}
  script:
{lines}
  artifacts:
    when: always
    paths:
      - {_text(report)}
    reports:
      junit: {_text(gate)}
"""


def _quoted(text: str) -> str:
    """A text in an expression of GitHub's."""
    return "'" + text.replace("'", "''") + "'"
