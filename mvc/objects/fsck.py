"""Checking the Git side: objects, trees, refs, reflogs. Chunks are the store's; `mvc.ops.fsck` joins the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from pathlib import Path

from mvc.errors import MvcError, ParseError
from mvc.lazy import load
from mvc.objects import encoding, loose, paths, reflog
from mvc.objects.database import Objects
from mvc.objects.model import FILE, METADATA_DIR, TREE, Kind
from mvc.objects.pack import Pack
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.objects.refs import Refs
from mvc.progress import SILENT, Progress

_READ = 1024 * 1024
_CHAIN, _REVIEW = "mvc.objects.aliases:check_chain", "mvc.objects.reviews:check_review"
"""Loaded where there are aliases, reviews."""

METADATA_FILES = frozenset(
    (
        "datasets.yaml",
        "environment.yaml",
        "lineage.yaml",
        "links.yaml",
        "metrics.yaml",
        "params.yaml",
        "series.jsonl",
        "tables.yaml",
        "tags.yaml",
    )
)
"""The closed list of what `.mvcmeta/` may hold."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: `what` it is about (an object id, a ref, a pack's file name), one line why, and a path
    and a commit that it touches, as far as known."""

    what: str
    message: str
    path: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class ObjectReport:
    """The problems found, and how many objects were read; `dangling` are ids that nothing reaches."""

    problems: tuple[Problem, ...]
    objects: int
    dangling: tuple[str, ...]


def check(
    objects: Objects,
    refs: Refs,
    *,
    extra_tips: tuple[str, ...] = (),
    on_blob: Callable[[Reached], None] | None = None,
    progress: Progress = SILENT,
) -> ObjectReport:
    """Read and verify every object and pack, the guard of every tree, all refs and reflogs, and that all that
    refs, reflogs and `extra_tips` (stage, stash, operations under way) reach is there.

    `on_blob` is called for each reachable blob, with its path and commit: the caller looks whether
    it is a manifest, and whether its chunks are there. Never raises for damage.
    """
    run = _Check(objects, refs, progress)
    run.packs()
    run.loose_objects()
    run.links(list(extra_tips), on_blob)
    return ObjectReport(tuple(run.problems), run.count, tuple(sorted(run.dangling)))


class _Check:
    def __init__(self, objects: Objects, refs: Refs, progress: Progress) -> None:
        self._objects = objects
        self._refs = refs
        self._progress = progress
        self._present: set[str] = set()
        self._bad: set[str] = set()
        self._kinds: dict[str, Kind] = {}
        self._with_metadata: dict[str, str] = {}
        """The trees that have an entry `.mvcmeta`, and so are fit for a root alone: id -> that entry's id."""
        self._blind = False
        """An index cannot be used at all, so that nothing can be looked up."""
        self.problems: list[Problem] = []
        self.dangling: set[str] = set()
        self.count = 0

    def _tell(self, what: str, message: str, path: str = "", commit: str = "") -> None:
        self.problems.append(Problem(what, message, path, commit))

    # ---- every stored byte

    def packs(self) -> None:
        """All packs: the checksums of pack and index, then each object."""
        self._objects.reload()
        for pack in self._objects.packs.packs():
            try:
                rows = self._pack(pack)
            except MvcError as error:
                self._tell(pack.idx_path.name, error.message)
                self._blind |= not pack.opens()
                continue
            self._progress.begin(f"Checking {pack.path.name}", len(rows), "objects")
            for raw_id, offset in rows:
                self._object(raw_id.hex(), partial(pack.read, offset, self._from_elsewhere), pack.path.name)
                self._progress.advance(1)
            self._progress.end()

    def _pack(self, pack: Pack) -> list[tuple[bytes, int]]:
        digest = sha1(usedforsecurity=False)
        file = pack.file()
        at, end = 0, file.stat().st_size - 20
        while at < end:
            part = file.read_at(at, min(_READ, end - at))
            digest.update(part)
            at += len(part)
        trailer = file.read_at(end, 20)
        if digest.digest() != trailer:
            self._tell(pack.path.name, "the pack is damaged: its checksum does not fit")
        head = file.read_at(0, 12)
        pack.index.verify()
        if pack.index.pack_checksum() != trailer:
            self._tell(pack.idx_path.name, "the index is for another pack")
        if head[:8] != b"PACK\0\0\0\x02" or int.from_bytes(head[8:12]) != pack.index.count:
            self._tell(pack.path.name, "the pack's head is damaged")
        return [(raw_id, offset) for raw_id, _, offset, _ in pack.spans()]

    def _from_elsewhere(self, raw_id: bytes) -> tuple[Kind, bytes]:
        return self._objects.raw(raw_id.hex())

    def loose_objects(self) -> None:
        """All loose objects."""
        folder = self._objects.objects_dir
        for name in loose.ids(folder):
            self._object(name, partial(_read_loose, folder, name), f"{name[:2]}/{name[2:]}")

    def _object(self, object_id: str, read: Callable[[], tuple[Kind, bytes]], place: str) -> None:
        self.count += 1
        self._present.add(object_id)
        try:
            kind, data = read()
            if encoding.object_id(kind, data) != object_id:
                raise ParseError("its bytes do not have its hash")
            self._kinds[object_id] = kind
            self._form(object_id, kind, data)
        except FileNotFoundError:
            self._present.discard(object_id)
        except MvcError as error:
            self._bad.add(object_id)
            self._tell(object_id, f"damaged in {place}: {error.message}")

    def _form(self, object_id: str, kind: Kind, data: bytes) -> None:
        """What an object must be, beyond having its hash. Raises MvcError."""
        if kind == "commit":
            encoding.parse_commit(object_id, data)
        elif kind == "tag":
            encoding.parse_tag(object_id, data)
        elif kind == "tree":
            entries = encoding.parse_tree(data)
            paths.check_entries(entries, root=True)
            for name, _, entry_id in entries:
                if name == METADATA_DIR:
                    self._with_metadata[object_id] = entry_id
            if encoding.dump_tree(entries) != data:
                raise ParseError("the tree's entries are out of order")

    # ---- how they hang together

    def links(self, extra_tips: list[str], on_blob: Callable[[Reached], None] | None) -> None:
        """Refs, reflogs, and everything that they reach."""
        if self._blind:
            self._tell("objects", "what refs reach was not checked, as a pack's index cannot be used")
            return
        for tree in set(self._with_metadata.values()):
            self._metadata(tree)
        tips = [*self._refs_and_logs(), *extra_tips]
        seen: set[str] = set()
        self._progress.begin("Checking connectivity", len(self._present), "objects")
        for reached in walk_objects(self._objects, tips, seen=seen, on_error=self._broken):
            self._progress.advance(1)
            if reached.kind == "blob":
                self._blob(reached, on_blob)
            elif reached.kind == "tree":
                self._place(reached)
        self._progress.end()
        self.dangling = self._present - seen

    def _broken(self, wanted: Reached, error: MvcError) -> None:
        self._tell(wanted.id, error.message, wanted.path, wanted.commit)

    def _blob(self, reached: Reached, on_blob: Callable[[Reached], None] | None) -> None:
        if reached.id in self._bad:
            self._tell(reached.id, "the damaged object is this file", reached.path, reached.commit)
        elif reached.id not in self._present and not self._objects.contains(reached.id):
            self._tell(reached.id, "is missing", reached.path, reached.commit)
        elif self._kinds.get(reached.id, "blob") != "blob":
            self._tell(reached.id, f"is a {self._kinds[reached.id]}, not a blob", reached.path, reached.commit)
        elif on_blob is not None:
            on_blob(reached)

    def _metadata(self, tree: str) -> None:
        """`.mvcmeta/` holds a closed list of files."""
        if tree in self._present and tree not in self._bad:
            for name, mode, _ in self._objects.tree(tree):
                if mode != FILE or name not in METADATA_FILES:
                    self._tell(tree, f"{name!r} does not belong there", METADATA_DIR)

    def _place(self, reached: Reached) -> None:
        """What depends on where a tree is: `.mvcmeta` is at the root alone."""
        if not self._with_metadata:
            return
        for name, mode, object_id in self._objects.tree(reached.id):
            if mode == TREE and object_id in self._with_metadata:
                path = f"{reached.path}/{name}" if reached.path else name
                self._tell(object_id, f"{METADATA_DIR} is not at the root", path, reached.commit)

    # ---- refs

    def _refs_and_logs(self) -> Iterator[str]:
        try:
            packed = self._refs.packed()
        except MvcError as error:
            self._tell("packed-refs", error.message)
            packed = {}
        for name in sorted({*self._refs.loose_names(), *packed, "HEAD"}):
            yield from self._ref(name)
        for name in self._refs.logged():
            yield from self._log(name)

    def _ref(self, name: str) -> Iterator[str]:
        try:
            content = self._refs.content(name)
            if content is None:
                self._tell(name, "does not exist")
                return
            value = self._refs.read(name)
        except MvcError as error:
            self._tell(name, error.message)
            return
        if name == "HEAD" and content.startswith("ref: ") and not content.startswith("ref: refs/heads/"):
            self._tell(name, f"points to {content[5:]}, which is no branch")
        if value is None:
            if name != "HEAD":
                self._tell(name, "points to a ref that does not exist")
        elif not self._objects.contains(value):
            self._tell(name, f"points to {value}, which is missing")
        else:
            if name.startswith("refs/heads/") and self._kinds.get(value, "commit") != "commit":
                self._tell(name, f"points to {value}, which is a {self._kinds[value]}")
            self._stepped(name, value)
            yield value

    def _stepped(self, name: str, value: str) -> None:
        """An alias's chain, a review: that they keep their rules."""
        try:
            if name.startswith(ALIASES):
                load(_CHAIN)(self._objects, value, name.removeprefix(ALIASES))
            elif name.startswith(REVIEWS):
                load(_REVIEW)(self._objects, name, value)
        except MvcError as error:
            self._tell(name, error.message)

    def _log(self, name: str) -> Iterator[str]:
        path = self._refs.reflog_path(name)
        count = reflog.malformed(path)
        if count:
            self._tell(f"reflog of {name}", f"has {count} lines that are no entries")
        for entry in reflog.read(path):
            for value in (entry.old, entry.new):
                if value is not None and not self._objects.contains(value):
                    self._tell(f"reflog of {name}", f"refers to {value}, which is missing")
                elif value is not None:
                    yield value


def _read_loose(folder: Path, object_id: str) -> tuple[Kind, bytes]:
    found = loose.read(folder, object_id)
    if found is None:
        raise FileNotFoundError
    return found
