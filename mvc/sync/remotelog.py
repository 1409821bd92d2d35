"""The log of a remote without a server: `txn/<seq>`, each written once (docs/format/remote.md).

What was last seen is kept in a folder: the raw entries, so that they pass the same checks again. With it the newest
state costs two small requests when nothing came: entry seq + 1, which is not there, and the head of entry seq,
which tells that the remote is still the one that was seen.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from mvc import fsio
from mvc.backends.base import Backend
from mvc.errors import IntegrityError, MvcError, NotFound, ParseError, RemoteUnavailable, UnsupportedFormat
from mvc.hashing import chunk_namer
from mvc.settings import ChunkNaming
from mvc.sync import keys
from mvc.sync.state import MAX_ENTRY, MAX_SEQ, NOTHING, Entry, State, base_of, dump, hash_of, parse

_HEAD = 512
"""So many bytes of an entry tell it from every other: its nonce is among them."""
_FAR = 16
"""Who is so many entries behind asks for the newest instead of reading on."""
_SMALL = 16 * 1024
_SHARE = 8
"""Changes are written until they take more than _SMALL and this part of their snapshot."""
TRIMMED = b"mvc-trimmed 1\n"
"""What gc leaves of an entry that nobody needs: the number stays taken, so nobody can write another there."""
_TRIES = 5
_FORMAT = re.compile(rb"mvc-remote ([1-9][0-9]{0,8})\n")
_FORMAT_1 = re.compile(rb"mvc-remote 1\n(naming (?:plain|keyed [0-9a-f]{32}))\n")


class _Trimmed(Exception):
    """An entry was trimmed: whoever wanted it looks at an older state than there is."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """An entry that was read: its state and text, and the snapshot that it rests on (None: it is one)."""

    state: State
    text: bytes
    snapshot: _Seen | None

    @property
    def base(self) -> _Seen:
        return self.snapshot or self


class RemoteLog:
    """Reads and appends entries. Not thread-safe."""

    def __init__(self, backend: Backend, memory: Path | None, naming: ChunkNaming | None) -> None:
        """`memory`: a folder of this remote's own. `naming`: None takes any (who reads no chunks by it).

        Reads what is remembered, and nothing of the remote.
        """
        self._backend = backend
        self._memory = memory
        self._naming = naming
        known = memory is not None and remembered_url(memory) == backend.url
        self._seen = _seen_in(memory) if known and memory is not None else None

    def remembered(self) -> State | None:
        """The state as last seen; None if nothing ever was."""
        return self._seen.state if self._seen is not None else None

    def latest(self, *, create: bool = False) -> State:
        """The newest state. A remote that nobody has pushed to raises NotFound, or with `create` is made ready.

        One that held something when it was last seen, and holds nothing now, is no new one: also with `create` that
        raises NotFound. Raises UnsupportedFormat, IntegrityError for a log that does not hold together, NetworkError,
        AuthError.
        """
        try:
            found = self._newest(create)
        except ParseError as error:
            raise IntegrityError(f"{self._backend.url}: {error.message}") from error
        except NotFound as error:
            if self._seen is None:
                raise
            raise self._gone(self._seen) from error
        if found is None:
            if self._seen is not None:
                raise self._gone(self._seen)
            return State()
        self._remember(found)
        return found.state

    def _gone(self, seen: _Seen) -> NotFound:
        """A disk that is not mounted, a bucket that was emptied: whoever pushes there anew should know."""
        return NotFound(
            f"{self._backend.url} is empty, or not there; it held {len(seen.state.refs)} refs when it was last seen",
            hint=f"if it is to begin anew, forget what it was: rm -r '{self._memory}'",
        )

    def floor(self) -> int:
        """The number of the oldest entry that is needed to read the newest, as `latest` gave it; 0: there is none."""
        return self._seen.base.state.seq if self._seen is not None else 0

    def append(self, after: State, *, by: str, at: int | None = None, snapshot: bool = False) -> bool:
        """Publish `after` as the entry behind the state that `latest` gave last; False if another came first.

        `snapshot`: as one, however little changed.

        The seq of `after` does not matter. Raises RemoteUnavailable where it cannot be told what happened.
        """
        seen = self._seen
        seq = (seen.state.seq if seen else 0) + 1
        if seq > MAX_SEQ:
            raise IntegrityError(f"the log of {self._backend.url} is full")
        entry = Entry(
            replace(after, seq=seq),
            before=hash_of(seen.text) if seen else NOTHING,
            nonce=os.urandom(16).hex(),
            at=int(time.time()) if at is None else at,
            by=by,
        )
        base = seen.base if seen and not snapshot else None
        text = b""
        if base is not None:
            entry = replace(entry, base=(base.state.seq, hash_of(base.text)))
            text = dump(entry, base.state)
            if len(text) > max(_SMALL, len(base.text) // _SHARE):
                base, entry = None, replace(entry, base=None)
        if base is None:
            text = dump(entry)
        if len(text) > MAX_ENTRY:
            raise IntegrityError(f"the log of {self._backend.url} would have an entry that nobody reads")
        return self._write(_Seen(entry.state, text, base))

    def offered(self, text: bytes) -> State:
        """The state after an entry that somebody wants to append behind the one that `latest` gave last.

        Nothing but its form, and that it follows, is checked. Raises ParseError, UnsupportedFormat.
        """
        return self._offered(text).state

    def append_offered(self, text: bytes) -> bool:
        """Publish what was `offered`; False if another entry came first. Raises as `offered` and `append` do."""
        return self._write(self._offered(text))

    def _offered(self, text: bytes) -> _Seen:
        seen = self._seen
        try:
            made = self._seen_as((seen.state.seq if seen else 0) + 1, text, seen)
        except _Trimmed:
            raise ParseError("the entry rests on a snapshot that is gone") from None
        if text.split(b"\n", 3)[2] != b"before " + (hash_of(seen.text) if seen else NOTHING).encode():
            raise ParseError("the entry does not follow the newest one of the log")
        return made

    def _write(self, made: _Seen) -> bool:
        if not self._publish(keys.entry(made.state.seq), made.text):
            return False
        self._remember(made)
        with contextlib.suppress(MvcError):  # a hint: who reads finds the entry without it
            self._backend.put(keys.LATEST, b"%d\n" % made.state.seq)
        return True

    def _publish(self, key: str, text: bytes) -> bool:
        """Write an entry. What stands there may be ours, if an answer was lost: the nonce tells."""
        try:
            if self._backend.put_if_absent(key, text):
                return True
        except RemoteUnavailable:
            # It may have been written or not, and if not, it may yet be: so only a sight of it decides.
            if self._get(key) != text:
                raise
            return True
        return self._get(key) == text

    # ---- the remote's format

    def format_text(self) -> bytes:
        """What stands in `mvc-remote` of a remote whose chunks are named as here."""
        return self._format_text(self._naming or ChunkNaming())

    def _format_text(self, naming: ChunkNaming) -> bytes:
        if naming.key is None:
            return b"mvc-remote 1\nnaming plain\n"
        # Who has another key would name the same chunks otherwise; this tells without telling the key.
        return b"mvc-remote 1\nnaming keyed %s\n" % chunk_namer(naming)(b"mvc-remote")[:16].hex().encode()

    def _check_format(self, create: bool) -> None:
        found = self._get(keys.FORMAT, 4096)
        if self._naming is None:
            wanted = found if found is not None and format_of(found) is not None else b""
        else:
            wanted = self._format_text(self._naming)
        if found is None and create:
            if self._backend.put_if_absent(keys.FORMAT, wanted):
                return
            found = self._get(keys.FORMAT, 4096)
        if found is None:
            raise NotFound(
                f"there is no mvc remote at {self._backend.url}", hint="check the URL; the first push makes one"
            )
        if found == wanted:
            return
        version = _FORMAT.match(found)
        if version is None:
            raise IntegrityError(f"{self._backend.url} is no mvc remote: its '{keys.FORMAT}' is something else")
        if int(version[1]) > 1:
            raise UnsupportedFormat(
                f"{self._backend.url} has format {int(version[1])}; this mvc knows up to 1", hint="upgrade mvc"
            )
        if format_of(found) is not None:
            raise UnsupportedFormat(
                f"{self._backend.url} names its chunks by another key than this repository",
                hint="mvc.chunkKey must be the same on both sides",
            )
        raise UnsupportedFormat(f"{self._backend.url} uses what this mvc does not know", hint="upgrade mvc")

    # ---- finding the newest entry

    def _newest(self, create: bool) -> _Seen | None:
        seen = self._seen
        for _ in range(_TRIES):
            try:
                found = self._forward(seen) if seen is not None else None
                if found is None:
                    self._check_format(create and self._seen is None)
                    found = self._cold()
                return found
            except _Trimmed:
                seen = None
        raise IntegrityError(f"the log of {self._backend.url} is trimmed up to its end")

    def _forward(self, seen: _Seen) -> _Seen | None:
        """The newest entry behind a known one; None if the remote is no longer what was seen."""
        for _ in range(_FAR):
            found = self._read(seen.state.seq + 1, seen)
            if found is None:
                return seen if self._stands(seen) else None
            if found.text.split(b"\n", 3)[2] != b"before " + hash_of(seen.text).encode():
                return None
            seen = found
        return self._behind_hint(self.hinted(), seen)

    def _stands(self, seen: _Seen) -> bool:
        return self._get(keys.entry(seen.state.seq), _HEAD) == seen.text[:_HEAD]

    def _cold(self) -> _Seen | None:
        hint = self.hinted()
        try:
            found = self._behind_hint(hint, None)
        except _Trimmed:
            found = None
        if found is None:
            # No hint, or one to an entry that is gone or trimmed.
            last = 0
            for listed in self._backend.list(keys.LOG):
                number = listed.key.removeprefix(keys.LOG)
                if re.fullmatch("[0-9]{12}", number):
                    last = max(last, int(number))
            found = self._read(last, None) if last else None
            if found is None and hint:
                # It was written behind the entry that it names: this is no remote that nobody has pushed to.
                raise IntegrityError(f"{self._backend.url}: entry {hint} of the log is gone, and all others")
        return found

    def _behind_hint(self, number: int, seen: _Seen | None) -> _Seen | None:
        """From the hinted number on, if that leads further than `seen`, else from `seen`."""
        if number > (seen.state.seq if seen is not None else 0):
            seen = self._read(number, seen) or seen
        while seen is not None:
            following = self._read(seen.state.seq + 1, seen)
            if following is None:
                break
            seen = following
        return seen

    def hinted(self) -> int:
        """The entry that `latest` names, 0 if none."""
        hint = self._get(keys.LATEST, 32)
        return int(hint) if hint is not None and re.fullmatch(rb"[1-9][0-9]{0,11}\n", hint) else 0

    def _read(self, seq: int, near: _Seen | None) -> _Seen | None:
        """The entry of that number, or None. `near`: one whose snapshot is likely the same."""
        text = self._get(keys.entry(seq), MAX_ENTRY + 1)
        if text is None:
            return None
        if text == TRIMMED:
            raise _Trimmed
        return self._seen_as(seq, text, near)

    def _seen_as(self, seq: int, text: bytes, near: _Seen | None) -> _Seen:
        """The entry of that number from its text."""
        if len(text) > MAX_ENTRY:
            raise ParseError(f"entry {seq} of the log is too long")
        wanted = base_of(text)
        snapshot: _Seen | None = None
        if wanted is not None:
            if wanted[0] >= seq:
                raise ParseError(f"entry {seq} of the log rests on one that is not before it")
            for known in (near, near.snapshot if near else None):
                if known is not None and known.snapshot is None and known.state.seq == wanted[0]:
                    snapshot = known
            if snapshot is None:
                snapshot = self._snapshot(wanted[0])
            if hash_of(snapshot.text) != wanted[1]:
                raise ParseError(f"entry {seq} of the log rests on another snapshot than the one that is there")
        entry = parse(text, snapshot.state if snapshot else None)
        if entry.state.seq != seq:
            raise ParseError(f"entry {seq} of the log says that it is {entry.state.seq}")
        return _Seen(entry.state, text, snapshot)

    def _snapshot(self, seq: int) -> _Seen:
        text = self._get(keys.entry(seq), MAX_ENTRY + 1)
        if text == TRIMMED:
            raise _Trimmed
        if text is None or len(text) > MAX_ENTRY or base_of(text) is not None:
            raise ParseError(f"snapshot {seq} of the log is not there")
        return _Seen(parse(text).state, text, None)

    def _get(self, key: str, length: int | None = None) -> bytes | None:
        try:
            return self._backend.get(key, 0, length)
        except NotFound:
            return None

    # ---- memory

    def _remember(self, seen: _Seen) -> None:
        before, self._seen = self._seen, seen
        if self._memory is None or (before is not None and before.text == seen.text):
            return
        fsio.make_dirs(self._memory)
        if remembered_url(self._memory) != self._backend.url:
            # What is of another remote goes first: it must not come to stand under the new URL.
            fsio.unlink(self._memory / "entry", missing_ok=True)
            address = self._backend.url.encode("utf-8", "surrogateescape")
            fsio.write_atomic(self._memory / "url", address, sync=False)
        held = before.snapshot if before is not None else None
        if seen.snapshot is not None and (held is None or held.text != seen.snapshot.text):
            fsio.write_atomic(self._memory / "snapshot", seen.snapshot.text, sync=False)
        fsio.write_atomic(self._memory / "entry", seen.text, sync=False)


def format_of(text: bytes) -> str | None:
    """How a remote of format 1 names its chunks ("naming plain", "naming keyed ..."); None: it is no such remote."""
    found = _FORMAT_1.fullmatch(text)
    return found[1].decode() if found else None


def remembered_state(memory: Path) -> State | None:
    """The state as last seen, from the folder of a remote's memory alone."""
    seen = _seen_in(memory)
    return seen.state if seen is not None else None


def remembered_texts(memory: Path) -> list[tuple[int, bytes]]:
    """The newest entry as last seen, and the snapshot that it rests on, byte for byte: (number, text) of each."""
    seen = _seen_in(memory)
    every = [] if seen is None else [one for one in (seen, seen.snapshot) if one is not None]
    return [(one.state.seq, one.text) for one in every]


def remembered_url(memory: Path) -> str:
    """The URL that the memory is of, "" if it is of none."""
    return (_load(memory / "url") or b"").decode("utf-8", "surrogateescape")


def _seen_in(memory: Path) -> _Seen | None:
    """What does not fit together (a crash between two files) counts as nothing."""
    text = _load(memory / "entry")
    if text is None:
        return None
    try:
        base = base_of(text)
        if base is None:
            return _Seen(parse(text).state, text, None)
        beneath = _load(memory / "snapshot")
        if beneath is None or hash_of(beneath) != base[1]:
            return None
        snapshot = _Seen(parse(beneath).state, beneath, None)
        return _Seen(parse(text, snapshot.state).state, text, snapshot)
    except (ParseError, UnsupportedFormat):
        return None


def _load(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
