"""What a remote holds, and the entries of its log as text. docs/format/remote.md specifies them. Pure.

An entry has exactly one text: `parse` takes only what `dump` writes, within limits, as whoever may write to the
remote may write anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mvc.errors import ParseError, UnsupportedFormat
from mvc.hashing import digest
from mvc.objects.refnames import is_valid

FORMAT = 1
MAX_ENTRY = 64 * 1024 * 1024
"""Bytes of an entry: a quarter of a million packs. A reader refuses a longer one."""
MAX_SEQ = 10**12 - 1
NOTHING = "0" * 64
"""Stands for the hash of the entry before the first."""
_V = TypeVar("_V")
_MAX_SIZE = 2**62
_MAX_BY = 300
_END = len("end \n") + 64

_HEAD = re.compile(
    rb"mvc-txn 1\nseq ([1-9][0-9]{0,11})\nbefore ([0-9a-f]{64})\nnonce ([0-9a-f]{32})\n"
    rb"generation (0|[1-9][0-9]{0,11})\nat (0|[1-9][0-9]{0,11})\nby ([^\n\0]{0,1200})\nhead ([^\n\0]{0,1200})\n"
    rb"(?:base ([1-9][0-9]{0,11}) ([0-9a-f]{64})|snapshot)\n"
)
_ID = r"([0-9a-f]{40})"
_HASH = r"([0-9a-f]{64})"
_SIZE = r"([1-9][0-9]{0,18})"
_REF = re.compile(rf"([+-])ref {_ID} (.+)\Z")
_GIT = re.compile(rf"([+-])git {_ID} {_SIZE} {_SIZE}\Z")
_CHUNKS = re.compile(rf"([+-])chunks {_HASH} {_SIZE} {_HASH} {_SIZE}\Z")


@dataclass(frozen=True, slots=True, order=True)
class GitPack:
    """A live Git pack of the remote: 40 hex digits (its checksum), bytes of the pack, bytes of its idx."""

    id: str
    size: int
    idx_size: int


@dataclass(frozen=True, slots=True, order=True)
class ChunkPack:
    """A live pack of chunks: id (64 hex), bytes; the id (64 hex) and bytes of the idx that lists it."""

    id: str
    size: int
    idx_id: str
    idx_size: int


@dataclass(frozen=True, slots=True)
class State:
    """What a remote holds after entry `seq`; seq 0 is an empty remote that nobody has pushed to."""

    seq: int = 0
    generation: int = 0
    """Counts what took packs away (gc): who compared haves before it must do so again."""
    refs: Mapping[str, str] = field(default_factory=dict)
    """Full names ("refs/heads/main") -> object ids (40 hex)."""
    head: str = ""
    """The branch that HEAD names ("refs/heads/main"), whether or not it exists; "" if none was ever set."""
    git_packs: tuple[GitPack, ...] = ()
    """By id."""
    chunk_packs: tuple[ChunkPack, ...] = ()
    """By id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log. `base`: seq and hash of the snapshot that its changes are against; None: it is one."""

    state: State
    before: str
    """The hash (64 hex) of entry seq - 1, NOTHING for the first."""
    nonce: str
    """32 hex digits, so that no two pushes write the same bytes."""
    at: int
    """Seconds since 1970, by the pusher's clock: for people, nothing is decided by it."""
    by: str
    base: tuple[int, str] | None = None


def hash_of(text: bytes) -> str:
    """The hash that the next entry, and changes against a snapshot, name an entry by."""
    return digest(text).hex()


def base_of(text: bytes) -> tuple[int, str] | None:
    """The snapshot that an entry needs to be read, from its head alone. Raises ParseError, UnsupportedFormat."""
    match = _head(text)
    return (int(match[8]), match[9].decode()) if match[8] else None


def dump(entry: Entry, snapshot: State | None = None) -> bytes:
    """The text. `snapshot`: the state of `entry.base`."""
    state = entry.state
    by = re.sub(r"[\x00-\x1f\x7f]", " ", entry.by)[:_MAX_BY]
    lines = [
        f"mvc-txn {FORMAT}",
        f"seq {state.seq}",
        f"before {entry.before}",
        f"nonce {entry.nonce}",
        f"generation {state.generation}",
        f"at {entry.at}",
        f"by {by}",
        f"head {state.head}",
        f"base {entry.base[0]} {entry.base[1]}" if entry.base else "snapshot",
        *_changes(snapshot or State(), state),
        "",
    ]
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return text + b"end %s\n" % hash_of(text).encode()


def _changes(old: State, new: State) -> Iterator[str]:
    refs, git, chunks = (
        ({*a} - {*b}, {*b} - {*a})
        for a, b in (
            (old.refs.items(), new.refs.items()),
            (old.git_packs, new.git_packs),
            (old.chunk_packs, new.chunk_packs),
        )
    )
    for sign, number in (("-", 0), ("+", 1)):
        for name, value in sorted(refs[number]):
            yield f"{sign}ref {value} {name}"
        for git_pack in sorted(git[number]):
            yield f"{sign}git {git_pack.id} {git_pack.size} {git_pack.idx_size}"
        for pack in sorted(chunks[number]):
            yield f"{sign}chunks {pack.id} {pack.size} {pack.idx_id} {pack.idx_size}"


def check(text: bytes) -> re.Match[bytes]:
    """Hold an entry's text against the hash at its end; returns its head. Raises ParseError, UnsupportedFormat."""
    match = _head(text)
    end = len(text) - _END
    if end < match.end() or text[end:] != b"end %s\n" % hash_of(text[:end]).encode():
        raise ParseError("an entry of the remote's log is damaged or cut short")
    return match


def parse(text: bytes, snapshot: State | None = None) -> Entry:
    """An entry from its text; `snapshot` is the state of the entry that it names as base.

    Raises ParseError for anything that `dump` would not have written, UnsupportedFormat for a newer format.
    """
    match = check(text)
    end = len(text) - _END
    state = State(int(match[1]), int(match[4]), dict((snapshot or State()).refs), _decode(match[7]))
    base = (int(match[8]), match[9].decode()) if match[8] else None
    if (base is None) != (snapshot is None):
        raise ParseError("an entry of the remote's log goes with another snapshot")
    if state.head and not (state.head.startswith("refs/heads/") and is_valid(state.head)):
        raise ParseError("the remote's HEAD is no branch")
    state = _apply(state, snapshot or State(), _decode(text[match.end() : end]))
    entry = Entry(state, match[2].decode(), match[3].decode(), int(match[5]), _decode(match[6]), base)
    if dump(entry, snapshot) != text:
        raise ParseError("an entry of the remote's log is not in its one right form")
    return entry


def _apply(state: State, snapshot: State, body: str) -> State:
    refs = dict(snapshot.refs)
    git = {pack.id: pack for pack in snapshot.git_packs}
    chunks = {pack.id: pack for pack in snapshot.chunk_packs}
    for line in body.split("\n")[:-1]:
        if found := _REF.match(line):
            if not (found[3].startswith("refs/") and is_valid(found[3])):
                raise ParseError("the remote has a ref whose name is none")
            _change(refs, found[1], found[3], found[2])
        elif found := _GIT.match(line):
            _change(git, found[1], found[2], GitPack(found[2], _size(found[3]), _size(found[4])))
        elif found := _CHUNKS.match(line):
            pack = ChunkPack(found[2], _size(found[3]), found[4], _size(found[5]))
            _change(chunks, found[1], found[2], pack)
        else:
            raise ParseError("an entry of the remote's log has a line that makes no sense")
    return replace(state, refs=refs, git_packs=tuple(sorted(git.values())), chunk_packs=tuple(sorted(chunks.values())))


def _change(table: dict[str, _V], sign: str, key: str, value: _V) -> None:
    if sign == "+":
        if key in table:
            raise ParseError("the remote's log adds what is there")
        table[key] = value
    elif table.pop(key, None) != value:
        raise ParseError("the remote's log removes what is not there")


def _head(text: bytes) -> re.Match[bytes]:
    match = _HEAD.match(text)
    if match is not None:
        return match
    version = re.match(rb"mvc-txn ([1-9][0-9]{0,8})\n", text)
    if version is not None and int(version[1]) > FORMAT:
        raise UnsupportedFormat(
            f"the remote's log has format {int(version[1])}; this mvc knows {FORMAT}", hint="upgrade mvc"
        )
    raise ParseError("an entry of the remote's log does not begin as one")


def _size(digits: str) -> int:
    value = int(digits)
    if value > _MAX_SIZE:
        raise ParseError("a pack of the remote cannot be so large")
    return value


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
