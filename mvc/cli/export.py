"""`mvc export`: parse, call `mvc.ops.export`, render."""

from __future__ import annotations

from pathlib import Path

import click

from mvc.cli.command import json_flag, noun, quiet_flag
from mvc.cli.outside import at
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable, printable_path
from mvc.ops.export import export_git, export_hub_cache, export_safetensors

_DEST = click.argument("dest", type=click.Path(path_type=Path))
_REVISIONS = click.argument("revisions", nargs=-1, metavar="[REV]...")


@noun()
def command(session: Session) -> None:
    """Write versions in the form of another tool.

    What is written is verified as it is read. The same export again writes only what is new, and a killed one goes on.
    """


@command.verb
@_DEST
@_REVISIONS
@quiet_flag
@json_flag
def dvc(session: Session, dest: Path, revisions: tuple[str, ...], as_json: bool) -> None:
    """A Git project with DVC: history, .dvc files, cache.

    REV are branches, tags or commits; none is all branches and tags.
    """
    _git(session, "dvc", dest, revisions, as_json, "git checkout && dvc checkout")


@command.verb
@_DEST
@_REVISIONS
@quiet_flag
@json_flag
def git_lfs(session: Session, dest: Path, revisions: tuple[str, ...], as_json: bool) -> None:
    """A Git repository with Git LFS: history, pointers, objects.

    REV are branches, tags or commits; none is all branches and tags.
    """
    _git(session, "git-lfs", dest, revisions, as_json, "git lfs install --local && git checkout")


@command.verb
@_DEST
@_REVISIONS
@click.option("--name", required=True, metavar="ORG/NAME", help="The model's name on the Hub.")
@quiet_flag
@json_flag
def hf_cache(session: Session, dest: Path, revisions: tuple[str, ...], name: str, as_json: bool) -> None:
    """A cache of the Hugging Face Hub, found by huggingface_hub without a network.

    DEST is the cache's folder (as HF_HUB_CACHE). REV are branches, tags or commits, HEAD if none is named.
    """
    done = export_hub_cache(session.repo(), at(session, dest), name, revisions, caller=session.caller(commits=False))
    if as_json:
        document = {"folder": str(done.folder), "refs": dict(done.snapshots), "contents": done.contents}
        session.emit_json("export", {**document, "bytes": done.size})
    elif not session.quiet:
        session.emit_text(f"wrote {counted(done.contents, 'content')}, {human_bytes(done.size)}, to {done.folder}")
        for ref, commit in done.snapshots.items():
            session.emit_text(f" {printable(ref)}  {commit[:10]}")


@command.verb
@_DEST
@click.argument("revision", default="HEAD")
@click.argument("paths", nargs=-1)
@click.option("--drop-shared", is_flag=True, help="Write tensors that share their bytes once, as save_model does.")
@quiet_flag
@json_flag
def safetensors(
    session: Session, dest: Path, revision: str, paths: tuple[str, ...], drop_shared: bool, as_json: bool
) -> None:
    """The weights of a version as .safetensors files, converted without unpickling.

    From PyTorch's zip files, distributed checkpoints, GGUF that is not quantised, .npy and .npz. PATHS: only these.
    """
    done = export_safetensors(
        session.repo(),
        at(session, dest),
        revision,
        paths,
        drop_shared=drop_shared,
        caller=session.caller(commits=False),
    )
    if as_json:
        rows = [
            {"source": f.source, "path": f.path, "tensors": f.tensors, "bytes": f.size, "shared": dict(f.shared)}
            for f in done.files
        ]
        session.emit_json("export", {"commit": done.commit, "files": rows})
    elif not session.quiet:
        for one in done.files:
            shared = f", {len(one.shared)} names share another's bytes" if one.shared else ""
            tensors = f"{counted(one.tensors, 'tensor')}, " if one.tensors else ""
            session.emit_text(f" {printable_path(one.path)}  {tensors}{human_bytes(one.size)}{shared}")


def _git(session: Session, kind: str, dest: Path, revisions: tuple[str, ...], as_json: bool, then: str) -> None:
    done = export_git(session.repo(), kind, at(session, dest), revisions, caller=session.caller(commits=False))
    if as_json:
        refs = [{"ref": ref, "old": old, "new": new} for ref, old, new in done.refs]
        document = {"commits": dict(done.commits), "new": done.new, "contents": done.contents, "bytes": done.size}
        session.emit_json("export", {**document, "refs": refs})
    elif not session.quiet:
        of = f"{counted(done.new, 'commit')} of {len(done.commits):,}"
        session.emit_text(f"wrote {of}: {counted(done.contents, 'content')}, {human_bytes(done.size)}")
        for ref, old, new in done.refs:
            sign = session.paint("new ", "green") if old is None else "now "
            session.emit_text(f" {sign} {printable(ref.removeprefix('refs/').removeprefix('heads/'))}  {new[:10]}")
        session.note(f"next: cd {dest} && {then}")
