"""`mvc fsck`: parse, call `mvc.ops.fsck`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, verb
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import one_line, printable
from mvc.ops.fsck import MISSING, Finding, FsckResult, fsck, rebuild_idx

_DAMAGED = 6


@verb
@click.option("--connectivity-only", is_flag=True, help="Do not decode the chunks: only that all is there, unharmed.")
@click.option("--rebuild-idx", "rebuild", is_flag=True, help="Write the index of all packs anew, from the packs.")
@json_flag
def command(session: Session, connectivity_only: bool, rebuild: bool, as_json: bool) -> int | None:
    """Check every stored byte.

    Reads each object, pack, index, ref and stage. What is wrong is named with the files and commits
    that it touches; the exit code is 6 then.
    """
    repo = session.repo()
    left_out = rebuild_idx(repo, progress=session.progress) if rebuild else ()
    result = fsck(repo, connectivity_only=connectivity_only, progress=session.progress)
    if as_json:
        session.emit_json("fsck", _document(result, left_out))
    else:
        for finding in (*left_out, *result.findings):
            session.emit_text(_line(session, finding))
        session.note(_summary(result))
        if any(finding.message == MISSING for finding in result.findings):
            session.note("a remote that was removed may hold what is missing: mvc remote add NAME URL, then mvc fetch")
    return _DAMAGED if result.findings or left_out else None


def _line(session: Session, finding: Finding) -> str:
    text = f"{session.paint('error:', 'red bold')} {one_line(finding.what)}: {one_line(finding.message)}"
    return "\n".join([text, *(f"       touches {one_line(touched)}" for touched in finding.touches)])


def _summary(result: FsckResult) -> str:
    checked = f"checked {counted(result.objects, 'object')}, {counted(result.chunks, 'chunk')}"
    checked += f" ({human_bytes(result.raw_bytes)} of files)"
    for remote, count in result.promised.items():
        checked += f"; {counted(count, 'chunk')} not here, promised by {printable(remote)}"
    return f"{checked}: " + (counted(len(result.findings), "error") if result.findings else "all sound")


def _document(result: FsckResult, left_out: tuple[Finding, ...]) -> dict[str, object]:
    findings = [*left_out, *result.findings]
    return {
        "findings": [{"what": f.what, "message": f.message, "touches": list(f.touches)} for f in findings],
        "objects": result.objects,
        "chunks": result.chunks,
        "raw_bytes": result.raw_bytes,
        "dangling": list(result.dangling),
        "promised": dict(result.promised),
    }
