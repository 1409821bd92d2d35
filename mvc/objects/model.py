"""The values of Git's object model, as mvc uses them: immutable, and no file touched.

They are NamedTuples and not dataclasses: a dataclass takes a millisecond to define, and the first
screen of `log` has 150 of them in all.

Ids are 40 lowercase hex digits. Text that is not UTF-8 comes through as surrogate escapes
(PEP 383), so that it goes back out byte for byte.
"""

from __future__ import annotations

import stat
from typing import Literal, NamedTuple

Kind = Literal["commit", "tree", "blob", "tag"]

FILE = 0o100644
EXEC = 0o100755
LINK = 0o120000
TREE = 0o40000
SUBMODULE = 0o160000
"""What Git calls a gitlink. mvc never writes one, and refuses it in a tree."""

METADATA_DIR = ".mvcmeta"
"""The root folder with a commit's metadata."""

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The id of the tree without entries; it is readable everywhere, stored or not."""


class Signature(NamedTuple):
    """Who did something, and when: `time` in seconds since 1970 (UTC), `offset_minutes` east of UTC."""

    name: str
    email: str
    time: int
    offset_minutes: int = 0

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class Commit(NamedTuple):
    """A commit. `message` keeps its trailing newline; `extra` holds headers that mvc does not know (`gpgsig`, ...)."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def summary(self) -> str:
        """The first paragraph of the message, on one line (as `git log --oneline`)."""
        return " ".join(self.message.lstrip("\n").split("\n\n", 1)[0].split("\n")).strip()


class TagObject(NamedTuple):
    """An annotated tag: `target` is the id it points to, `kind` what that is. Very old tags have no tagger."""

    id: str
    target: str
    kind: Kind
    name: str
    tagger: Signature | None
    message: str


class TreeEntry(NamedTuple):
    """One name in a folder. (A NamedTuple, for 100,000 of them are made in a `status`.)"""

    name: str
    mode: int
    id: str


class TreeItem(NamedTuple):
    """What stands at a path: its mode and the id of its object. Two items are the same when they are equal."""

    mode: int
    id: str


def is_tree(mode: int) -> bool:
    """Whether `mode` is a folder's."""
    return stat.S_IFMT(mode) == TREE


def is_link(mode: int) -> bool:
    """Whether `mode` is a symbolic link's."""
    return stat.S_IFMT(mode) == LINK


def is_file(mode: int) -> bool:
    """Whether `mode` is a regular file's (executable or not)."""
    return stat.S_IFMT(mode) == stat.S_IFREG
