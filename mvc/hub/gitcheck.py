"""The Git objects of a repository as a server knows them: verified, in a database of its own, and those that come.

The store holds one Git pack a push. Here all of them lie in one set of objects that is made from the packs, may be
thrown away, and answers what a push asks: is this a commit, does it come after that one, is all there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mvc.errors import IntegrityError, MissingObject, NotFound
from mvc.hub.served import Served
from mvc.objects.database import Objects
from mvc.objects.packindex import Row, dump_index
from mvc.objects.receive import Incoming
from mvc.sync import keys
from mvc.sync.absorbed import Absorbed
from mvc.sync.state import GitPack, State

MAX_OBJECTS = 1 << 20
"""Of one Git pack: what is known of each is held in memory while it is looked at."""
_LARGEST = 64 * 1024 * 1024
"""Of one Git object: the manifest of a model of a terabyte has some megabytes."""
_LEAST_TOTAL = 256 * 1024 * 1024
_MOST_RATIO = 64
"""A Git pack may unpack to so much, and to so many times its size: text gains three, trees nothing. A few bytes of
deltas could make a server unpack for days."""


def index_of(served: Served, path: Path, checksum: bytes) -> bytes:
    """The idx of a Git pack whose bytes are those of its name, once each of its objects was found well-formed.

    Its deltas may rest on nothing but what it holds itself. Raises IntegrityError, UnsafePath.
    """
    rows: list[Row] = []
    total = _LEAST_TOTAL + _MOST_RATIO * path.stat().st_size
    with opened(served, "none") as nothing, Incoming(nothing, largest=_LARGEST, total=total) as incoming:
        try:
            incoming.take(path, most=MAX_OBJECTS, listed=rows.append)
        except MissingObject as error:
            raise IntegrityError(f"a delta rests on what the Git pack does not hold: {error.message}") from error
    if len({row[0] for row in rows}) != len(rows):
        raise IntegrityError("the Git pack holds an object twice")
    return dump_index(rows, checksum)


@contextlib.contextmanager
def opened(served: Served, name: str = "git") -> Iterator[Objects]:
    """The server's own database ("none": one that stays empty), closed at the end of the `with` block."""
    objects = Objects(served.own(f"{name}/objects"), tmp_dir=served.own("tmp"))
    try:
        yield objects
    finally:
        objects.close()


def follow(served: Served, objects: Objects, state: State, *, again: bool = False) -> None:
    """Take over what the state's Git packs hold and the database has not (`again`: all). Raises IntegrityError."""
    absorbed = Absorbed(served.own("git"))
    known = set() if again else absorbed.ids()
    lacking = [pack for pack in state.git_packs if pack.id not in known]
    if not lacking:
        return
    with Incoming(objects) as incoming:
        take(served, incoming, lacking)
        incoming.seal()
    absorbed.add(state, [pack.id for pack in lacking])


def take(served: Served, incoming: Incoming, packs: Iterable[GitPack]) -> None:
    """Read packs of the store. Raises IntegrityError for one that is not there, or not what it must be."""
    for pack in packs:
        try:
            with served.readable(keys.git_pack(pack.id), pack.size) as path:
                incoming.take(path, most=MAX_OBJECTS)
        except (NotFound, MissingObject) as error:
            raise IntegrityError(f"Git pack {pack.id}: {error.message}") from error


def keep(served: Served, incoming: Incoming, state: State, packs: Sequence[GitPack]) -> None:
    """An entry lists them: their objects are the database's from now on."""
    incoming.seal()
    if packs:
        Absorbed(served.own("git")).add(state, [pack.id for pack in packs])
