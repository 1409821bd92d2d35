"""Giving a finished pack its name and its idx: pack fsync, rename, folder; then idx fsync, rename, folder."""

from __future__ import annotations

from collections.abc import Mapping

from mvc.store.files import StorePaths
from mvc.store.idxwrite import write_pack_idx
from mvc.store.intents import Claims
from mvc.store.packfile import PackBuilder
from mvc.store.records import Location


def seal(paths: StorePaths, pack: PackBuilder, records: Mapping[bytes, Location], claims: Claims) -> bytes:
    """Make a pack and its idx durable; returns the pack's id.

    `records` are those in the pack; what their `pack` says does not matter. A crash between pack and
    idx leaves a pack that no idx lists, which gc or a rebuild takes up.
    """
    pack_id = pack.finish()
    target = paths.pack(pack_id)
    while target.exists() and not claims.claim(pack_id, target):
        # A session that was killed has left the very same pack, and gc is about to remove it: ours needs another name.
        pack_id = pack.salt()
        target = paths.pack(pack_id)
    size = pack.size
    paths.check_folder(target.parent)
    pack.commit(target)
    claims.own(pack_id, target)
    if records:
        paths.check_folder(paths.idx)
        write_pack_idx(pack_id, size, records, paths.idx, paths.tmp)
    return pack_id
