"""How `mvc store` shows what is in the shared store."""

from __future__ import annotations

from typing import Any

from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import table
from mvc.cli.text import printable_path
from mvc.ops.shared_store import Listed
from mvc.store.room import PackUse

_SPANS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


def listed_lines(found: Listed, now: float, *, with_packs: bool) -> list[str]:
    """The store, its spaces, with `with_packs` its packs, and the repositories."""
    size = human_bytes(found.size)
    limit = f"{size} of {human_bytes(found.limit)}" if found.limit else f"{size}, without a limit"
    lines = [f"{printable_path(str(found.path))}: {limit}"]
    rows = []
    for space in found.spaces:
        chunks = sum(pack.chunks for pack in space.packs)
        used = ago(space.packs[0].used_ns, now) if space.packs else ""
        packs = counted(len(space.packs), "pack")
        rows.append([space.name, counted(chunks, "chunk"), packs, human_bytes(space.size), used])
    lines += table(rows, align="<>>><")
    if with_packs:
        lines += [pack_line(pack, now) for space in found.spaces for pack in space.packs]
    for one in found.repositories:
        lines.append(f"{printable_path(str(one.path))}{'  (gone)' if one.is_gone else ''}")
    return lines


def pack_line(pack: PackUse, now: float) -> str:
    """A pack, when it was used, and how large it is."""
    chunks = counted(pack.chunks, "chunk")
    return f"{human_bytes(pack.size):>9}  {chunks:>12}  {pack.id.hex()[:16]}  {ago(pack.used_ns, now)}"


def listed_json(found: Listed) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "size": found.size,
        "limit": found.limit,
        "spaces": [
            {"name": space.name, "size": space.size, "packs": [pack_json(pack) for pack in space.packs]}
            for space in found.spaces
        ],
        "repositories": [
            {"path": str(one.path), "space": one.space, "uid": one.uid, "gone": one.is_gone}
            for one in found.repositories
        ],
    }


def pack_json(pack: PackUse) -> dict[str, Any]:
    """`used`: seconds since 1970."""
    return {"id": pack.id.hex(), "size": pack.size, "chunks": pack.chunks, "used": pack.used_ns / 1e9}


def ago(used_ns: int, now: float) -> str:
    """ "used 3 hours ago"."""
    seconds = max(0.0, now - used_ns / 1e9)
    for size, word in _SPANS:
        if seconds >= size:
            return f"used {counted(int(seconds / size), word)} ago"
    return "used just now"
