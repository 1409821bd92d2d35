"""Git's object formats: bytes to the values of `mvc.objects.model` and back. Pure.

Reading is as tolerant as Git's (odd time zones, other encodings, missing names); writing makes
only what `git fsck --strict` accepts. Format: Documentation/gitformat-*.txt of Git, "Git Objects"
in Pro Git, 10.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha1
from itertools import starmap

from mvc.errors import ParseError, UsageError
from mvc.objects.model import TREE, Commit, Kind, Signature, TagObject, TreeEntry

Buffer = bytes | bytearray | memoryview

KINDS: tuple[Kind, ...] = ("commit", "tree", "blob", "tag")

_HEADS: dict[Kind, bytes] = {kind: kind.encode() + b" %d\0" for kind in KINDS}
_SMALL = 16 * 1024
_SHA1 = sha1(usedforsecurity=False)
"""Copied, never fed: OpenSSL takes longer to find the function by its name than to hash a small file."""

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_SIGNATURE = re.compile(rb"^(.*?) ?<([^>]*)>(?: +(-?\d+)(?: ([+-]\d+))?)?", re.DOTALL)
_USUAL_COMMIT = re.compile(
    rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)"
    rb"author (([^\n<>]* <[^\n<>]*)> ([0-9]{1,18}) ([+-][0-9]{4}))\n"
    rb"committer (([^\n<>]* <[^\n<>]*)> ([0-9]{1,18}) ([+-][0-9]{4}))\n\n"
)
_ID = re.compile(r"[0-9a-f]{40}\Z")
_STRIP = " .,:;<>\"\\'\n\t\r" + "".join(map(chr, range(0x20)))


def object_id(kind: Kind, data: Buffer) -> str:
    """The id of an object: SHA-1 over "<kind> <size>\\0" and its content, as hex."""
    return raw_object_id(kind, data).hex()


def raw_object_id(kind: Kind, data: Buffer) -> bytes:
    """The id as 20 bytes."""
    head = _HEADS[kind] % len(data)
    h = _SHA1.copy()
    if len(data) < _SMALL:
        h.update(head + data)
    else:
        h.update(head)
        h.update(data)
    return h.digest()


def blob_id(data: Buffer) -> str:
    """The id that `data` has as a blob."""
    return object_id("blob", data)


def is_id(text: str) -> bool:
    """Whether `text` has the form of a whole id."""
    return _ID.match(text) is not None


# ---- trees


def parse_tree(data: bytes) -> list[TreeEntry]:
    """The entries of a tree, in its own order. Raises ParseError if a byte does not fit."""
    found = split_tree(data)
    modes = {mode: int(mode, 8) for mode in {entry[0] for entry in found}}
    try:
        return [TreeEntry(name.decode(), modes[mode], sha.hex()) for mode, name, sha in found]
    except UnicodeDecodeError:
        return [TreeEntry(name.decode("utf-8", "surrogateescape"), modes[mode], sha.hex()) for mode, name, sha in found]


def split_tree(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(mode in octal digits, name, id) of each entry, as they stand. Raises ParseError if a byte does not fit."""
    found: list[tuple[bytes, bytes, bytes]] = _ENTRY.findall(data)
    if sum([len(mode) + len(name) for mode, name, _ in found]) + 22 * len(found) != len(data):
        raise ParseError("a tree object is malformed")
    return found


def dump_tree(entries: Iterable[TreeEntry]) -> bytes:
    """A tree with these entries, sorted as Git sorts: by bytes, a folder as if its name ended in "/".

    Raises UsageError if a name is empty, holds "/" or NUL, or occurs twice.
    """
    rows: list[tuple[bytes, bytes]] = []
    names: set[bytes] = set()
    for name, mode, sha in entries:
        raw = name.encode("utf-8", "surrogateescape")
        if not raw or b"/" in raw or b"\0" in raw:
            raise UsageError(f"{name!r} cannot be a name in a tree")
        names.add(raw)
        key = raw + b"/" if mode == TREE else raw
        rows.append((key, b"%o %s\0%s" % (mode, raw, bytes.fromhex(sha))))
    if len(names) != len(rows):
        raise UsageError("a name occurs twice in a tree")
    rows.sort()
    return b"".join([row for _, row in rows])


# ---- signatures


def parse_signature(raw: bytes) -> Signature:
    """A signature line's value: `Name <email> seconds +hhmm`. What is missing becomes empty or zero."""
    match = _SIGNATURE.match(raw)
    if match is None:
        return Signature(_text(raw).strip(" "), "", 0, 0)
    name, email, seconds, zone = match.groups()
    return Signature(_text(name).strip(" "), _text(email), int(seconds or 0), _offset(zone))


def dump_signature(who: Signature) -> bytes:
    """A signature as Git writes it; characters that would break the line are dropped, as Git does."""
    zone = abs(who.offset_minutes)
    sign = "-" if who.offset_minutes < 0 else "+"
    name, email = _clean(who.name), _clean(who.email)
    return _bytes(f"{name} <{email}> {max(who.time, 0)} {sign}{zone // 60:02d}{zone % 60:02d}")


def _offset(zone: bytes | None) -> int:
    if zone is None or len(zone) > 7:
        return 0
    value = int(zone[1:])
    minutes = value // 100 * 60 + value % 100
    if minutes >= 24 * 60:
        return 0  # found in the wild ("+051800"), and no zone
    return -minutes if zone[:1] == b"-" else minutes


_usual_offset = lru_cache(maxsize=64)(_offset)


def _clean(text: str) -> str:
    return re.sub("[<>\n\0]", "", text).strip(_STRIP)


# ---- commits and tags


def parse_commit(commit_id: str, data: bytes) -> Commit:
    """A commit from its bytes. Raises ParseError where tree, author or committer are missing."""
    match = _USUAL_COMMIT.match(data)
    if match is None:
        return _parse_unusual_commit(commit_id, data)
    tree, block, by, who, seconds, zone, same, *committer_parts = match.groups()
    author = Signature(*_person(who), int(seconds), _usual_offset(zone))
    committer = author
    if same != by:
        who, seconds, zone = committer_parts
        committer = Signature(*_person(who), int(seconds), _usual_offset(zone))
    # "parent ", 40 digits, a newline: 48 bytes each.
    parents: tuple[str, ...] = (block[7:47].decode(),)
    if len(block) != 48:
        parents = tuple([block[at + 7 : at + 47].decode() for at in range(0, len(block), 48)])
    return Commit(commit_id, tree.decode(), parents, author, committer, _text(data[match.end() :]))


@lru_cache(maxsize=256)
def _person(who: bytes) -> tuple[str, str]:
    """Name and address; the same few people make all commits of a history."""
    name, _, email = who.partition(b" <")
    return _text(name).strip(" "), _text(email)


def _parse_unusual_commit(commit_id: str, data: bytes) -> Commit:
    """One with further headers (encoding, signature), odd time zones, or headers out of order."""
    head, message = _split(data)
    tree = ""
    parents: list[str] = []
    author = committer = None
    encoding = ""
    extra: list[tuple[str, str]] = []
    for key, value in head:
        if key == b"parent":
            parents.append(_hex(value))
        elif key == b"tree" and not tree:
            tree = _hex(value)
        elif key == b"author" and author is None:
            author = parse_signature(value)
        elif key == b"committer" and committer is None:
            committer = parse_signature(value)
        else:
            if key == b"encoding":
                encoding = _text(value)
            extra.append((_text(key), _text(value)))
    if not tree or author is None or committer is None:
        raise ParseError(f"commit {commit_id} lacks its tree, author or committer")
    text = _recode(message, encoding) if encoding else _text(message)
    if encoding:
        author, committer = (_recoded(who, encoding) for who in (author, committer))
    return Commit(commit_id, tree, tuple(parents), author, committer, text, tuple(extra))


def dump_commit(tree: str, parents: Sequence[str], author: Signature, committer: Signature, message: str) -> bytes:
    """The bytes of a new commit. The message gets one trailing newline if it lacks it."""
    lines = [b"tree " + tree.encode()]
    lines += [b"parent " + parent.encode() for parent in parents]
    lines += [b"author " + dump_signature(author), b"committer " + dump_signature(committer)]
    return b"\n".join(lines) + b"\n\n" + _message(message)


def parse_tag(tag_id: str, data: bytes) -> TagObject:
    """An annotated tag from its bytes. Raises ParseError where object, type or name are missing."""
    head, message = _split(data)
    fields = dict(reversed(head))
    kind = _text(fields.get(b"type", b""))
    for known in KINDS:
        if kind == known and b"object" in fields and b"tag" in fields:
            tagger = parse_signature(fields[b"tagger"]) if b"tagger" in fields else None
            return TagObject(tag_id, _hex(fields[b"object"]), known, _text(fields[b"tag"]), tagger, _text(message))
    raise ParseError(f"tag {tag_id} lacks its object, type or name")


def dump_tag(target: str, kind: Kind, name: str, tagger: Signature, message: str) -> bytes:
    """The bytes of a new annotated tag."""
    head = _bytes(f"object {target}\ntype {kind}\ntag {name}\n")
    return head + b"tagger " + dump_signature(tagger) + b"\n\n" + _message(message)


def _split(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers (continuation lines joined) and message."""
    head, _, message = data.partition(b"\n\n")
    if data.startswith(b"\n"):
        head, message = b"", data[1:]
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and fields:
            key, value = fields[-1]
            fields[-1] = (key, value + b"\n" + line[1:])
        else:
            key, _, value = line.partition(b" ")
            fields.append((key, value))
    return fields, message


def _hex(value: bytes) -> str:
    text = value.decode("ascii", "replace")
    if not is_id(text):
        raise ParseError("an object refers to something that is no object id")
    return text


def _message(message: str) -> bytes:
    data = _bytes(message).replace(b"\0", b"")
    return data if data.endswith(b"\n") or not data else data + b"\n"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _recode(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except (LookupError, ValueError):
        return _text(raw)


def _recoded(who: Signature, encoding: str) -> Signature:
    name, email = starmap(_recode, ((_bytes(text), encoding) for text in (who.name, who.email)))
    return Signature(name, email, who.time, who.offset_minutes)
