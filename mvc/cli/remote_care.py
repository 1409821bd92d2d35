"""`mvc remote gc` and `mvc remote fsck`: call `mvc.ops.remote_care`, render."""

from __future__ import annotations

import re
import time

from mvc.cli.outside import outside
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.objects.dates import parse_date
from mvc.ops.remote_care import Collected, RemoteChecked, remote_fsck, remote_gc
from mvc.sync.remotefsck import RemoteFsck

_DAMAGED = 6
_DAY = 86400.0


def gc(session: Session, name: str | None, prune: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """`mvc remote gc`."""
    days = prune_days(prune)
    if days == 0 and not dry_run:
        session.confirm("What no branch or tag there needs is deleted for good. Go on?", yes=yes)
    caller = session.caller(commits=False)
    done = remote_gc(
        session.repo(), name, prune_after_days=days, dry_run=dry_run, outside=outside(session), caller=caller
    )
    if as_json:
        session.emit_json("remote-gc", _gc_json(done, dry_run))
        return
    if dry_run or session.verbose:
        for file in done.result.files:
            path = printable_path(file.path) if file.path else "(a file without a name)"
            session.emit_text(f"{human_bytes(file.stored):>9}  of {human_bytes(file.raw):>8}  {path}")
        for key, size in done.result.swept.deleted:
            session.emit_text(f"{human_bytes(size):>9}  {key}")
    for line in _gc_lines(done, dry_run):
        session.note(line)


def prune_days(text: str | None) -> float | None:
    """Days before now: "now", "3d", or a date as Git reads it."""
    if text is None:
        return None
    if text == "now":
        return 0.0
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?d", text):
        return float(text[:-1])
    return max(0.0, (time.time() - parse_date(text)) / _DAY)


def _gc_lines(done: Collected, dry_run: bool) -> list[str]:
    result, swept = done.result, done.result.swept
    would = "would drop" if dry_run else "dropped"
    lines = [
        f"{would} {counted(result.chunks, 'chunk')} ({human_bytes(result.chunk_bytes)}) and "
        f"{counted(result.objects, 'object')} that nothing there needs; "
        f"{counted(result.packs_before, 'pack')} of chunks -> {result.packs_after}, "
        f"{counted(result.git_packs_before, 'Git pack')} -> {result.git_packs_after}"
    ]
    freed = sum(size for _, size in swept.deleted)
    line = f"{'would delete' if dry_run else 'deleted'} {counted(len(swept.deleted), 'file')}, {human_bytes(freed)}"
    if swept.trimmed:
        line += f"; trimmed {counted(swept.trimmed, 'entry', 'entries')} of the log"
    if swept.waiting:
        line += f"; {counted(swept.waiting, 'more file')}, {human_bytes(swept.waiting_bytes)}, "
        line += "while others push" if swept.writers and not done.days else f"{done.days:g} days after it was needed"
    return [*lines, line]


def _gc_json(done: Collected, dry_run: bool) -> dict[str, object]:
    result, swept = done.result, done.result.swept
    return {
        "url": done.url,
        "dry_run": dry_run,
        "files": [{"path": file.path, "raw": file.raw, "stored": file.stored} for file in result.files],
        "chunks": result.chunks,
        "chunk_bytes": result.chunk_bytes,
        "objects": result.objects,
        "packs": {"before": result.packs_before, "after": result.packs_after},
        "git_packs": {"before": result.git_packs_before, "after": result.git_packs_after},
        "idx": {"before": result.idx_before, "after": result.idx_after},
        "sent": result.sent,
        "deleted": [{"key": key, "bytes": size} for key, size in swept.deleted],
        "waiting": {"files": swept.waiting, "bytes": swept.waiting_bytes},
        "writers": swept.writers,
        "trimmed": swept.trimmed,
        "seq": result.seq,
    }


def fsck(
    session: Session,
    name: str | None,
    connectivity_only: bool,
    repair: bool,
    drop_refs: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """`mvc remote fsck`."""
    if drop_refs and not repair:
        raise UsageError("--drop-refs goes with --repair")
    if drop_refs:
        session.confirm("Branches and tags there that cannot be made whole are deleted. Go on?", yes=yes)
    done = remote_fsck(
        session.repo(),
        name,
        connectivity_only=connectivity_only,
        mend=repair,
        drop_refs=drop_refs,
        outside=outside(session),
        caller=session.caller(commits=False),
    )
    if as_json:
        session.emit_json("remote-fsck", _fsck_json(done))
    else:
        for finding in done.before.findings:
            text = f"{session.paint('error:', 'red bold')} {printable(finding.what)}: {printable(finding.message)}"
            session.emit_text("\n".join([text, *(f"       touches {printable(one)}" for one in finding.touches)]))
        for key in done.restored:
            session.note(f"put back, as it is remembered here: {printable(key)}")
        if done.repaired is not None:
            session.note(_mended(done))
        session.note(_summary(done.left))
    return _DAMAGED if done.left.findings else None


def _mended(done: RemoteChecked) -> str:
    assert done.repaired is not None
    fixed = done.repaired
    text = f"repaired: {counted(fixed.chunks, 'chunk')} and {counted(fixed.objects, 'object')} put again, "
    text += f"{counted(fixed.copied, 'chunk')} copied out of damaged packs"
    if fixed.dropped_refs:
        text += f"; dropped {', '.join(printable(ref) for ref in fixed.dropped_refs)}"
    if fixed.lost:
        text += f"; {counted(len(fixed.lost), 'chunk')} neither there nor here"
    return text


def _summary(found: RemoteFsck) -> str:
    text = f"checked {counted(found.entries, 'entry', 'entries')} of the log, {counted(found.objects, 'object')}, "
    text += f"{counted(found.chunks, 'chunk')} ({human_bytes(found.raw_bytes)} of files)"
    if found.unlisted:
        text += f"; {counted(found.unlisted, 'file')} ({human_bytes(found.unlisted_bytes)}) that gc will delete"
    return f"{text}: " + (counted(len(found.findings), "error") if found.findings else "all sound")


def _fsck_json(done: RemoteChecked) -> dict[str, object]:
    def told(found: RemoteFsck) -> list[dict[str, object]]:
        return [{"what": f.what, "message": f.message, "touches": list(f.touches)} for f in found.findings]

    left, fixed = done.left, done.repaired
    return {
        "url": done.url,
        "findings": told(done.before),
        "left": told(left),
        "restored": list(done.restored),
        "repaired": None
        if fixed is None
        else {
            "chunks": fixed.chunks,
            "copied": fixed.copied,
            "objects": fixed.objects,
            "dropped_refs": list(fixed.dropped_refs),
            "lost": [name.hex() for name in fixed.lost],
        },
        "entries": left.entries,
        "objects": left.objects,
        "chunks": left.chunks,
        "raw_bytes": left.raw_bytes,
        "unlisted": left.unlisted,
        "unlisted_bytes": left.unlisted_bytes,
    }
