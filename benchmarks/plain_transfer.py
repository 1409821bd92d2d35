"""opendal alone: puts files into a store, reads them back or places them in a folder: objects of 8 MiB, 8 at a time.

python -m benchmarks.plain_transfer up|down URL FILE...      URL: a folder, s3://bucket/prefix as mvc takes it, or
python -m benchmarks.plain_transfer place URL FOLDER FILE... http://host:port (WebDAV's PUT and GET, bare_server.py)

What mvc's push and pull are held against: the same stored bytes, with nothing looked for, checked or kept in order.
`down` reads into memory and throws away; `place` puts each object that was read into a folder, also by opendal, whose
folders sync each file that is put: as a pull leaves what came on the disk.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import opendal

from mvc.backends.addresses import parse

_OBJECT = 8 * 1024 * 1024
_AT_ONCE = 8

Part = tuple[str, Path, int]
"""An object's key, the file that it is a part of, and where in it."""


def operator(url: str) -> Any:
    """opendal's operator on a folder, on what mvc's own remotes would open, or on a server that takes PUT."""
    if "://" not in url:
        return opendal.Operator("fs", root=url)
    if url.startswith("http://"):
        return opendal.Operator("webdav", endpoint=url)
    address = parse(url, os.environ)
    return opendal.Operator(address.service, **address.options)


def parts(files: list[Path]) -> Iterator[Part]:
    for number, file in enumerate(files):
        for offset in range(0, file.stat().st_size, _OBJECT):
            yield f"{number}-{offset}", file, offset


def main() -> int:
    way, url, *names = sys.argv[1:]
    store = operator(url)

    def up(part: Part) -> None:
        key, file, offset = part
        with file.open("rb") as source:
            source.seek(offset)
            store.write(key, source.read(_OBJECT))

    def down(part: Part) -> None:
        store.read(part[0])

    def place(part: Part) -> None:
        here.write(part[0], store.read(part[0]))

    ways: dict[str, Callable[[Part], None]] = {"up": up, "down": down, "place": place}
    if way == "place":
        here = operator(names.pop(0))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(ways[way], parts([Path(name) for name in names])):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
