"""`mvc ci`: parse, call `mvc.gitlink.pipelines` and `mvc.gitlink.comments`, render."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mvc import __version__, fsio
from mvc.cli.command import json_flag, noun, quiet_flag
from mvc.cli.session import Session
from mvc.cli.text import printable, printable_path
from mvc.errors import NotFound, Refused
from mvc.gitlink.pipelines import FILES, Forge, Pipeline, render
from mvc.lazy import load

LATE = {
    "project": "mvc.gitlink.outer:find_project",
    "folders": "mvc.gitlink.outer:lock_folders",
    "lock": "mvc.gitlink.lockfile:read_lock",
    "without": "mvc.gitlink.lockfile:without_credentials",
    "read_project": "mvc.metadata.project:read_project",
    "is_path": "mvc.ops.connect:is_path",
    "thread": "mvc.gitlink.comments:find_thread",
    "post": "mvc.gitlink.comments:post",
}
"""Each verb loads what it needs."""

_TENSORS = (".safetensors", ".gguf", ".pt", ".pth", ".bin", ".onnx", ".npz", ".ckpt")


@noun()
def command(session: Session) -> None:
    """Pipelines that check models, and report.

    The pipeline looks at what a pull request changes in models: gates, a report as a comment, no weights in Git.
    """


@command.verb
@click.argument("forge", type=click.Choice(list(FILES)), metavar="github|gitlab")
@click.option("-f", "--force", is_flag=True, help="Replace a file that stands there.")
@click.option("-o", "--output", metavar="FILE", help="Write there; - is stdout. [where the forge looks]")
@click.option("--weights", is_flag=True, help="Check the models out, too; gates and report do without.")
@click.option("--package", metavar="SPEC", help="What pip installs. [mvc-models, of this version]")
@click.option("--remote", metavar="URL", help="mvc's remote. [as it is here, else as mvc.lock says]")
@quiet_flag
def init(
    session: Session,
    forge: Forge,
    force: bool,
    output: str | None,
    weights: bool,
    package: str | None,
    remote: str | None,
) -> None:
    """Write a pipeline into the Git project."""
    project = load(LATE["project"])(session.cwd)
    top: Path = project.require_top()
    folders: list[str] = load(LATE["folders"])(project)
    folder = folders[0] if folders else ""
    url = load(LATE["without"])(remote) if remote else _remote(session, top / folder)
    gates = _gates(top / folder)
    pipeline = Pipeline(package or f"mvc-models=={__version__}", __version__, url, folder, weights, gates)
    text = render(forge, pipeline)
    if output == "-":
        session.emit_text(text, end="")
        return
    path = session.cwd / output if output else top / FILES[forge]
    if path.exists() and not force:
        hint = "--force replaces it; or write beside it, and include that: --output FILE"
        raise Refused(f"{path} stands already", hint=hint)
    fsio.make_dirs(path.parent)
    fsio.write_atomic(path, text.encode(), sync=False)
    session.note(f"wrote {printable_path(str(path))}; commit it with Git")
    if gates:
        session.note(f"mvc.yaml has no gates yet: the pipeline asks for {gates[0]}")
    if url is None or load(LATE["is_path"])(url):
        session.warn("a runner cannot reach mvc's remote: --remote URL says where the models are")


@command.verb
@click.argument("file", type=click.Path())
@quiet_flag
@json_flag
def comment(session: Session, file: str, as_json: bool) -> None:
    """Post FILE (Markdown; - is stdin) to the pull or merge request that CI runs for.

    The comment that stands there from before is updated. GITHUB_TOKEN, or GITLAB_TOKEN or CI_JOB_TOKEN, must permit it.
    """
    text = sys.stdin.read() if file == "-" else _read(session.cwd / file)
    done: Any = load(LATE["post"])(load(LATE["thread"])(session.environment), text)
    if as_json:
        session.emit_json("ci-comment", {"id": done.id, "url": done.url, "updated": done.updated})
    else:
        session.note(f"comment {'updated' if done.updated else 'written'}: {printable(done.url) or done.id}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path.name}", hint="mvc report A..B -o report.md makes one") from error


def _remote(session: Session, folder: Path) -> str | None:
    """As mvc's config says, else as mvc.lock does; without credentials."""
    here = session.at(folder).setting("remote.origin.url")
    lock = load(LATE["lock"])(folder)
    url: str | None = here or (lock.remote if lock is not None else None)
    return load(LATE["without"])(url) if url else None


def _gates(folder: Path) -> tuple[str, ...]:
    """None where mvc.yaml has some; else one that fits the models."""
    if (folder / "mvc.yaml").is_file() and load(LATE["read_project"])(folder / "mvc.yaml").sections.get("gates"):
        return ()
    lock = load(LATE["lock"])(folder)
    has_tensors = lock is not None and any(one.path.lower().endswith(_TENSORS) for one in lock.files)
    return ("tensors.nan = 0",) if has_tensors else ("files >= 1",)
