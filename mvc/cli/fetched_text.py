"""What a fetch brought, as text: shared by fetch, pull and `remote add -f`."""

from __future__ import annotations

from typing import Any

from mvc.cli.pushed_text import moved_line
from mvc.cli.ref_table import Row, kind_of, lines
from mvc.cli.ref_table import moved as moved_from
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.text import printable
from mvc.ops.fetch import Fetched
from mvc.sync.fetch import FetchedRef

_KINDS = {
    "branch": "[new branch]",
    "tag": "[new tag]",
    "alias": "[new alias]",
    "review": "[new review]",
    "reference": "[new ref]",
}


def tell_fetch(session: Session, fetched: Fetched, *, verbose: bool = False, moved: bool = True) -> bool:
    """Git's table, on stderr, and what was moved; returns whether any ref was rejected."""
    merged = {one.source for one in fetched.heads if one.merge}
    refs = sorted(fetched.result.refs, key=lambda ref: (ref.status != "pruned", ref.source not in merged))
    rows = [row for ref in refs if (row := _row(session, ref, verbose)) is not None]
    if rows:
        session.note(f"From {printable(fetched.url)}")
        for line in lines(session, rows, aligned=True):
            session.note(line)
    if moved and fetched.result.objects:
        session.note(f"received {human_bytes(fetched.result.bytes)} of history")
    if fetched.data is not None:
        session.note(moved_line(fetched.data.moved, fetched.data.size))
    return any(ref.status == "rejected" for ref in fetched.result.refs)


def fetch_json(fetched: Fetched) -> dict[str, Any]:
    """For `--json`."""
    result = fetched.result
    return {
        "remote": fetched.name or None,
        "url": fetched.url,
        "refs": [
            {
                "source": ref.source or None,
                "target": ref.target or None,
                "old": ref.old,
                "new": ref.new,
                "status": ref.status,
                "reason": ref.reason or None,
            }
            for ref in result.refs
        ],
        "objects": result.objects,
        "bytes": result.bytes,
        "bytes_of_chunks": fetched.data.moved if fetched.data is not None else 0,
        "bytes_of_model": fetched.data.size if fetched.data is not None else 0,
    }


def _row(session: Session, ref: FetchedRef, verbose: bool) -> Row | None:
    if not ref.target:
        return Row("*", kind_of(ref.source), ref.source, "FETCH_HEAD")
    if ref.status == "pruned":
        return Row("-", "[deleted]", "(none)", ref.target)
    if ref.status == "up-to-date":
        return Row("=", "[up to date]", ref.source, ref.target) if verbose else None
    if ref.status == "rejected":
        return Row("!", "[rejected]", ref.source, ref.target, ref.reason)
    if ref.status == "new" or ref.old is None:
        return Row("*", _KINDS[kind_of(ref.source)], ref.source, ref.target)
    if ref.source.startswith("refs/tags/"):
        return Row("t", "[tag update]", ref.source, ref.target)
    forced = ref.status == "forced"
    summary = moved_from(session, ref.old, ref.new or "", forced=forced)
    reason = (ref.reason or "forced update") if forced else ""
    return Row("+" if forced else " ", summary, ref.source, ref.target, reason)
