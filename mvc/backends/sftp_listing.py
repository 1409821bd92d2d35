"""What lies in a folder behind SFTP and below it: several folders are asked for at once, for each costs round trips."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass

import asyncssh

from mvc.backends.base import Entry, is_key
from mvc.backends.sftp_line import Alive, Client

_DEEPEST = 16
_AT_ONCE = 16


async def listed(client: Client, root: str, prefix: str, after: str, alive: Alive) -> Sequence[Entry]:
    """The objects below `root` whose keys begin with `prefix` and come behind `after`, in any order."""
    wanted = _Wanted(root, prefix, after, asyncio.Semaphore(_AT_ONCE))
    return await _under(client, prefix[: prefix.rfind("/") + 1], wanted, alive)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which keys a listing is to have."""

    root: str
    prefix: str
    after: str
    turn: asyncio.Semaphore
    """How many folders are listed at once."""

    def has(self, key: str) -> bool:
        return key > self.after and key.startswith(self.prefix)

    def within(self, folder: str) -> bool:
        """Whether `folder`, which ends in "/", may hold any."""
        return (folder.startswith(self.prefix) or self.prefix.startswith(folder)) and (
            folder > self.after or self.after.startswith(folder)
        )


async def _under(client: Client, folder: str, wanted: _Wanted, alive: Alive, depth: int = 0) -> list[Entry]:
    """What is wanted of `folder` ("" or ending in "/") and below it."""
    try:
        async with wanted.turn:
            names = await client.readdir(f"{wanted.root}/{folder}")
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNotADirectory):
        return []
    alive()
    entries, below = [], []
    for found in names:
        key, attrs = folder + found.filename, found.attrs
        if not is_key(key):
            continue
        if stat.S_ISLNK(attrs.permissions or 0):
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                attrs = await client.stat(f"{wanted.root}/{key}")
        if stat.S_ISDIR(attrs.permissions or 0):
            if wanted.within(f"{key}/") and depth < _DEEPEST:
                below.append(_under(client, f"{key}/", wanted, alive, depth + 1))
        elif stat.S_ISREG(attrs.permissions or 0) and wanted.has(key):
            entries.append(Entry(key, int(attrs.size or 0), attrs.mtime))
    for more in await asyncio.gather(*below):
        entries += more
    return entries
