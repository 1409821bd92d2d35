"""Which chunks are there, and where: answered in batches, so that nobody has to bring all idx to ask for a few."""

from __future__ import annotations

from collections.abc import Iterable

from mvc.errors import ParseError
from mvc.hub.messages import Request, Response
from mvc.hub.replies import Status, plain, unprocessable
from mvc.hub.served import Served
from mvc.hub.uploads import read_body
from mvc.store.records import NAME_SIZE, Location
from mvc.sync import places
from mvc.sync.remoteindex import RemoteIndex


def have(served: Served, request: Request) -> Response:
    """One byte a name. Raises Status."""
    names, index, headers = _asked(served, request)
    return plain(200, places.dump_depths([index.depth(name) for name in names]), headers=headers)


def locate(served: Served, request: Request) -> Response:
    """Places, with those of the bases. Raises Status."""
    names, index, headers = _asked(served, request)
    found = _closure(index, names)
    return plain(200, places.dump(names, found, index.sizes), headers=headers)


def _asked(served: Served, request: Request) -> tuple[list[bytes], RemoteIndex, dict[str, str]]:
    if request.length is None:
        raise Status(411, "a body without a length is not taken")
    if request.length > served.limits.names * NAME_SIZE:
        raise Status(413, f"one question is about {served.limits.names} names")
    served.naming()
    try:
        names = places.split_names(read_body(request), served.limits.names)
    except ParseError as error:
        raise unprocessable(error) from error
    least = request.query.get("seq", "0")
    listed = served.listed(least=int(least) if least.isdecimal() and len(least) <= 12 else 0)
    state = listed.state
    headers = {"mvc-seq": str(state.seq), "mvc-generation": str(state.generation)}
    return names, served.index(state), headers


def _closure(index: RemoteIndex, names: Iterable[bytes]) -> dict[bytes, Location]:
    """The least deep copy of each that is there, and of all that it rests on."""
    found: dict[bytes, Location] = {}
    added = 0
    wanted = set(names)
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        copies = index.copies(name)
        if not copies:
            continue
        if name not in wanted:
            added += 1
            if added > places.MAX_ADDED:
                break
        found[name] = copies[0]
        pending += copies[0].bases
    return found
