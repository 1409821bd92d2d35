"""opendal alone: puts files into a store, or reads them back, in objects of 8 MiB, 8 at a time.

python -m benchmarks.plain_transfer up|down URL FILE...      URL: a folder, or s3://bucket/prefix as mvc takes it

What mvc's push and pull are held against: the same stored bytes, with nothing looked for, checked or kept in order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import opendal

from mvc.backends.addresses import parse

_OBJECT = 8 * 1024 * 1024
_AT_ONCE = 8


def operator(url: str) -> Any:
    """opendal's operator on a folder, or on what mvc's own remotes would open."""
    if "://" not in url:
        return opendal.Operator("fs", root=url)
    address = parse(url, os.environ)
    return opendal.Operator(address.service, **address.options)


def parts(files: list[Path]) -> Iterator[tuple[str, Path, int]]:
    """(key, file, offset) of each object."""
    for number, file in enumerate(files):
        for offset in range(0, file.stat().st_size, _OBJECT):
            yield f"{number}-{offset}", file, offset


def main() -> int:
    way, url, *names = sys.argv[1:]
    store = operator(url)

    def up(part: tuple[str, Path, int]) -> None:
        key, file, offset = part
        with file.open("rb") as source:
            source.seek(offset)
            store.write(key, source.read(_OBJECT))

    def down(part: tuple[str, Path, int]) -> None:
        store.read(part[0])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(up if way == "up" else down, parts([Path(name) for name in names])):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
