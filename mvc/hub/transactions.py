"""POST txn: an entry of the log, verified before anybody can see it."""

from __future__ import annotations

import contextlib
import re

from mvc.errors import IntegrityError, MissingObject, MvcError, NotFound, ParseError, Refused, UsageError
from mvc.hub import gitcheck
from mvc.hub.changes import Changes, between
from mvc.hub.chunkcheck import Decoding, forget
from mvc.hub.messages import Identity, Request, Response, Right
from mvc.hub.newchunks import check_chunks
from mvc.hub.newobjects import check_files, check_history, right_for_moves
from mvc.hub.replies import Status, plain, unprocessable
from mvc.hub.served import Served
from mvc.hub.uploads import read_body
from mvc.lazy import load
from mvc.objects.database import Objects
from mvc.objects.receive import Incoming
from mvc.sync import keys
from mvc.sync.state import State

PROMOTION = {
    "names": "mvc.hub.promotion:check_names",
    "protected": "mvc.hub.promotion:check_protected",
    "note": "mvc.hub.promotion:note_people",
}
"""Loaded when an alias or review comes: it takes all that gates need."""

_SEQ = re.compile(rb"mvc-txn [1-9][0-9]{0,8}\nseq ([1-9][0-9]{0,11})\n")
_MINE = (IntegrityError, ParseError, UsageError, Refused, NotFound)
"""What is wrong with an entry, or with what it lists."""


def append_entry(served: Served, request: Request, right: Right) -> Response:
    """Raises Status for one that is not taken."""
    if request.length is None:
        raise Status(411, "a body without a length is not taken")
    if request.length > served.limits.entry:
        raise Status(413, f"an entry may have {served.limits.entry} bytes")
    served.naming()
    text = read_body(request)
    found = _SEQ.match(text)
    if found is None:
        raise Status(422, "this is no entry of a log")
    served.require_writable()
    with served.txn_lock:
        return _append(served, text, int(found[1]), right, request.identity)


def _append(served: Served, text: bytes, seq: int, right: Right, who: Identity) -> Response:
    before = served.listed(fresh=True).state
    if seq <= before.seq:
        return _late(served, text, seq, before)
    try:
        with served.guarded() as log:
            after = log.offered(text)
        changes = between(before, after)
    except MvcError as error:
        if isinstance(error, _MINE):
            raise unprocessable(error) from error
        raise
    _require(right, changes.least_right())
    with gitcheck.opened(served) as objects:
        return _verified(served, objects, text, before, after, changes, right, who)


def _verified(
    served: Served,
    objects: Objects,
    text: bytes,
    before: State,
    after: State,
    changes: Changes,
    right: Right,
    who: Identity,
) -> Response:
    gitcheck.follow(served, objects, before)
    try:
        chunks = check_chunks(served, before, after, changes)
        try:
            incoming = _take(served, objects, before, changes)
        except MissingObject:
            if not served.may_repair():
                raise
            gitcheck.follow(served, objects, before, again=True)
            incoming = _take(served, objects, before, changes)
    except _MINE as error:
        raise unprocessable(error) from error
    with incoming:
        _require(right, right_for_moves(incoming, changes))
        try:
            _check_files(incoming, before, changes, chunks)
            if changes.touches_names:
                _check_promotion(served, incoming, before, after, changes, right, who)
        except _MINE as error:
            raise unprocessable(error) from error
        with served.guarded() as log:
            known = log.remembered()
            done = (known.seq if known is not None else 0) == before.seq and log.append_offered(text)
        if not done:
            return _late(served, text, after.seq, served.listed(fresh=True).state)
        with contextlib.suppress(MvcError, OSError):  # what is not kept is read from the packs again
            gitcheck.keep(served, incoming, after, changes.git_packs)
    with contextlib.suppress(MvcError, OSError):  # the entry stands, and that is what is told
        forget(served, [pack.id for pack in changes.chunk_packs])
    return plain(201, headers={"mvc-newest": str(after.seq)})


def _take(served: Served, objects: Objects, before: State, changes: Changes) -> Incoming:
    """The new objects, connected; to be used as a `with` block."""
    for pack in changes.git_packs:
        sizes = served.backend.size(keys.git_pack(pack.id)), served.backend.size(keys.git_idx(pack.id))
        if sizes != (pack.size, pack.idx_size):
            raise IntegrityError(f"Git pack {pack.id} or its idx is not there, or has another size")
    incoming = Incoming(objects)
    try:
        gitcheck.take(served, incoming, changes.git_packs)
        check_history(incoming, before, changes)
    except BaseException:
        incoming.__exit__(None, None, None)
        raise
    return incoming


def _check_files(incoming: Incoming, before: State, changes: Changes, chunks: Decoding) -> None:
    have = [value for value in set(before.refs.values()) if incoming.contains(value)]
    check_files(incoming, changes.tips, have, chunks)


def _check_promotion(
    served: Served, incoming: Incoming, before: State, after: State, changes: Changes, right: Right, who: Identity
) -> None:
    fresh = load(PROMOTION["names"])(incoming, changes, right)
    load(PROMOTION["protected"])(served, incoming, before, after, changes, fresh, who, right)
    load(PROMOTION["note"])(served, changes, fresh, who)


def _late(served: Served, text: bytes, seq: int, newest: State) -> Response:
    """Another came first, or this one did, and its answer was lost."""
    try:
        standing = served.backend.get(keys.entry(seq), 0, len(text) + 1)
    except NotFound:
        standing = b""
    if standing == text:
        return plain(200, headers={"mvc-newest": str(newest.seq)})
    raise Status(409, "another entry came first", mvc_newest=str(newest.seq))


def _require(right: Right, needed: Right) -> None:
    if right < needed:
        what = {Right.WRITE: "rewrite, move tags or delete", Right.ADMIN: "delete aliases or reviews"}.get(
            needed, "add"
        )
        raise Status(403, f"this token may not {what} here", hint=f"it takes the right '{needed.name.lower()}'")
