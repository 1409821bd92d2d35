"""`mvc bundle`: parse, call `mvc.ops.bundle`, render."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from mvc.cli.command import complete, json_flag, noun, quiet_flag
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable, printable_path
from mvc.errors import NotARepository, UsageError
from mvc.lazy import load
from mvc.repo.repository import Repository

if TYPE_CHECKING:
    from mvc.ops.bundle import BundleInfo, Unbundled
    from mvc.sync.bundle import Bundled

LATE = {
    "outside": "mvc.cli.outside:outside",
    "create": "mvc.ops.bundle:create_bundle",
    "info": "mvc.ops.bundle:bundle_info",
    "unbundle": "mvc.ops.bundle:unbundle",
}
_DAMAGED = 6
_LACKING = 1
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_FILE = click.argument("file", shell_complete=complete("files"))


@noun()
def command(session: Session) -> None:
    """Branches, with their history and models, in a file.

    For a machine without a network: carry the file there, then clone it, fetch from it, or unbundle it.
    """


@command.verb
@_FILE
@click.argument("refs", nargs=-1, metavar="[REF]...", shell_complete=complete("pushed"))
@click.option(
    "--since",
    metavar="REV",
    multiple=True,
    shell_complete=complete("revisions"),
    help="Leave out what REV reaches: whoever takes the bundle has it.",
)
@click.option("--split", metavar="SIZE", help="In parts of that size: FILE.001, FILE.002 (50G, 700M).")
@click.option("--aliases/--no-aliases", default=None, help="Aliases and reviews, too: so if no REF is named, or not.")
@json_flag
@quiet_flag
def create(
    session: Session,
    file: str,
    refs: tuple[str, ...],
    since: tuple[str, ...],
    split: str | None,
    aliases: bool | None,
    as_json: bool,
) -> None:
    """Write a bundle of REFs; of all branches, tags and aliases if none is named.

    What is not here comes from the remotes first.
    """
    caller = session.caller(commits=False)
    size = _size(split) if split is not None else 0
    done: Bundled = load(LATE["create"])(
        session.repo(), session.cwd / file, refs, since=since, split=size, aliases=aliases, caller=caller
    )
    if as_json:
        session.emit_json(
            "bundle",
            {
                "refs": dict(done.refs),
                "needs": list(done.needs),
                "objects": done.objects,
                "chunks": done.chunks,
                "bytes": done.bytes,
                "bytes_of_model": done.bytes_of_model,
                "parts": done.parts,
            },
        )
        return
    text = f"wrote {counted(len(done.refs), 'ref')}, {counted(done.objects, 'object')}, "
    text += f"{counted(done.chunks, 'chunk')}: {human_bytes(done.bytes)}"
    if done.bytes_of_model:
        text += f" for {human_bytes(done.bytes_of_model)} of model"
    session.note(text + (f", in {counted(done.parts, 'part')}" if split is not None else ""))


@command.verb
@_FILE
@json_flag
@quiet_flag
def verify(session: Session, file: str, as_json: bool) -> int | None:
    """Read every byte of a bundle, and tell whether what it counts on is here."""
    info: BundleInfo = load(LATE["info"])(session.cwd / file, _repo(session), read=True)
    if as_json:
        session.emit_json("bundle-verify", {**_document(info), "damage": list(info.damage)})
    else:
        for key in info.damage:
            session.emit_text(f"{session.paint('error:', 'red bold')} {key}: its bytes are not those that were written")
        _tell(session, info)
        if not info.damage and not info.missing:
            session.note(f"{printable_path(file)} is okay")
    return _DAMAGED if info.damage else _LACKING if info.missing else None


@command.verb
@_FILE
@json_flag
@quiet_flag
def list_heads(session: Session, file: str, as_json: bool) -> None:
    """The refs of a bundle."""
    info: BundleInfo = load(LATE["info"])(session.cwd / file, None)
    if as_json:
        session.emit_json("bundle-heads", _document(info))
        return
    for name, value in sorted(info.state.refs.items()):
        session.emit_text(f"{value} {printable_path(name)}")


@command.verb
@_FILE
@json_flag
@quiet_flag
def unbundle(session: Session, file: str, as_json: bool) -> None:
    """Take all of a bundle: history, every chunk, and its refs, as refs/bundles/....

    It may be repeated after any failure, and goes on where it was.
    """
    caller = session.caller(commits=False)
    done: Unbundled = load(LATE["unbundle"])(
        session.repo(), session.cwd / file, outside=load(LATE["outside"])(session), caller=caller
    )
    if as_json:
        rows = [{"source": ref.source, "ref": ref.target, "id": ref.new, "status": ref.status} for ref in done.refs]
        document = {"refs": rows, "notes": done.notes, "objects": done.objects, "chunks": done.chunks}
        session.emit_json("unbundle", document)
        return
    for ref in done.refs:
        why = f" ({ref.status}: {printable(ref.reason)})" if ref.reason else ""
        session.emit_text(f"{ref.new} {printable_path(ref.source)} -> {printable_path(ref.target)}{why}")
    if done.notes:
        session.note("annotations were joined with those that are here (refs/notes/mvc)")
    session.note(f"took {counted(done.objects, 'object')}, {counted(done.chunks, 'chunk')}: {human_bytes(done.bytes)}")


def _repo(session: Session) -> Repository | None:
    try:
        return session.repo()
    except NotARepository:
        return None


def _tell(session: Session, info: BundleInfo) -> None:
    session.emit_text(f"The bundle contains {counted(len(info.state.refs), 'ref')}, {human_bytes(info.bytes)}:")
    for name, value in sorted(info.state.refs.items()):
        session.emit_text(f"{value} {printable_path(name)}")
    if info.needs:
        session.emit_text(f"The bundle counts on {counted(len(info.needs), 'commit')}:")
        for one in info.needs:
            lacks = info.missing is not None and one in info.missing
            session.emit_text(f"{one}{' (not here)' if lacks else ''}")
    else:
        session.emit_text("The bundle records a complete history.")


def _document(info: BundleInfo) -> dict[str, object]:
    return {
        "refs": dict(info.state.refs),
        "head": info.state.head,
        "needs": list(info.needs),
        "missing": None if info.missing is None else list(info.missing),
        "bytes": info.bytes,
        "parts": info.parts,
    }


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?\s*([kKmMgGtT]?)(i?)[bB]?", text)
    if found is None:
        raise UsageError(f"'{printable(text)}' is no size", hint="--split 50G")
    unit = _UNITS[found[3].lower()]
    if found[4]:
        unit = {1: 1, 10**3: 1 << 10, 10**6: 1 << 20, 10**9: 1 << 30, 10**12: 1 << 40}[unit]
    return int(float(f"{found[1]}.{found[2] or 0}") * unit)
