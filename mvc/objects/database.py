"""The objects of a repository: Git's loose objects and packs, as `git` itself reads and writes them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mvc import fsio
from mvc.errors import IntegrityError, UsageError
from mvc.lazy import load
from mvc.objects import loose, packset
from mvc.objects.encoding import is_id, raw_object_id
from mvc.objects.model import EMPTY_TREE, Kind
from mvc.objects.pack import Pack
from mvc.objects.packindex import common_digits
from mvc.objects.packset import PATIENCE, PackSet
from mvc.objects.reader import ObjectReader, missing
from mvc.objects.shallow import read_shallow, write_shallow

if TYPE_CHECKING:
    from mvc.objects.batch import ObjectBatch
    from mvc.objects.packwriter import PackWriter
    from mvc.objects.prefixes import Prefixes

SHORTEST_PREFIX = 4

WRITING = {
    "batch": "mvc.objects.batch:ObjectBatch",
    "pack": "mvc.objects.packwriter:PackWriter",
    "consolidate": "mvc.objects.repack:consolidate",
}
"""Loaded when something is to be written: commands that only read start faster without."""

PREFIXES = "mvc.objects.prefixes:Prefixes"
"""Loaded to abbreviate ids."""

MANY_PACKS = 16
"""So many packs of one label may stand before the small ones are merged."""


class Objects(ObjectReader):
    """All objects below one `objects/` folder (and its `info/alternates`).

    Safe to use from several threads. A miss reloads the list of packs once, so that what
    another process packed meanwhile is found.
    """

    def __init__(self, objects_dir: Path, *, tmp_dir: Path | None = None, mapped: bool = True) -> None:
        """`tmp_dir` (on the same file system) takes what is being written: default `<objects_dir>/../tmp`.

        `mapped=False` reads pack indexes whole instead of mapping them (network file systems).
        """
        super().__init__()
        self.objects_dir = objects_dir
        self.tmp_dir = tmp_dir if tmp_dir is not None else objects_dir.parent / "tmp"
        self.packs = PackSet(objects_dir / "pack", mapped=mapped)
        self._folders = [objects_dir, *packset.alternates(objects_dir)]
        self._loose_folders: dict[Path, frozenset[str]] | None = None
        self._sets = [self.packs, *(PackSet(other / "pack", mapped=mapped) for other in self._folders[1:])]
        self._shallow: frozenset[str] | None = None
        self._prefixes: Prefixes | None = None

    # ---- reading

    @property
    def shallow(self) -> frozenset[str]:
        """The commits at which a shallow history ends, as read when first asked for, or after `reload`."""
        if self._shallow is None:
            self._shallow = read_shallow(self.objects_dir.parent)
        return self._shallow

    def change_shallow(self, add: Collection[str], remove: Collection[str]) -> None:
        """Let the history end at other commits, too, or no more at these. The caller keeps others from doing so."""
        git_dir = self.objects_dir.parent
        try:
            before = read_shallow(git_dir)
        except IntegrityError:
            before = frozenset()
        write_shallow(git_dir, (before - frozenset(remove)) | frozenset(add))
        self._shallow = None

    def raw(self, object_id: str) -> tuple[Kind, bytes]:
        """The kind and the content of an object, verified against its id."""
        raw_id = _raw_id(object_id)
        for _ in range(PATIENCE):
            at = self.packs.find(raw_id)
            if at is None and len(self._sets) > 1:
                at = self._packed(raw_id)
            try:
                if at is not None:
                    kind, data = at[0].read(at[1], self._external)
                elif (found := self._loose_object(object_id)) is not None:
                    kind, data = found
                elif self._find(object_id) is None:
                    break
                else:
                    continue  # it came this moment
            except FileNotFoundError:
                # It moved to another pack since it was found.
                self.reload()
                continue
            if raw_object_id(kind, data) != raw_id:
                raise IntegrityError(f"object {object_id} is damaged in {_place(at, object_id)}", hint="mvc fsck")
            return kind, data
        if object_id == EMPTY_TREE:
            return "tree", b""
        raise missing(object_id)

    def _loose_object(self, object_id: str) -> tuple[Kind, bytes] | None:
        """The kind and content of a loose object. (Opened without asking whether it is there before.)"""
        for folder in self._folders:
            found = loose.read(folder, object_id)
            if found is not None:
                return found
        return None

    def _external(self, raw_id: bytes) -> tuple[Kind, bytes]:
        return self.raw(raw_id.hex())

    def kind(self, object_id: str) -> Kind:
        """What an object is, by its header alone (not verified)."""
        return self._head(object_id)[0]

    def size(self, object_id: str) -> int:
        """The length of an object's content in bytes, by its header alone (not verified)."""
        return self._head(object_id)[1]

    def _head(self, object_id: str) -> tuple[Kind, int]:
        for _ in range(PATIENCE):
            where = self._find(object_id)
            if where is None:
                break
            try:
                if isinstance(where, tuple):
                    return where[0].head(where[1], self._external)
                found = loose.head(where, object_id)
            except FileNotFoundError:
                found = None
            if found is not None:
                return found
            self.reload()
        if object_id == EMPTY_TREE:
            return "tree", 0
        raise missing(object_id)

    def blob_within(self, blob_id: str, most: int) -> bytes | None:
        """As `ObjectReader`'s. A small one in a pack is read at once, without asking for its size before."""
        raw_id = _raw_id(blob_id)
        where = self.packs.find(raw_id)
        if where is not None:
            try:
                found = where[0].read_small(where[1], most)
            except FileNotFoundError:  # it moved to another pack
                found = None
            if found is not None and raw_object_id(*found) == raw_id and found[0] == "blob":
                return found[1]
        elif len(self._sets) == 1 and most >= loose.SMALL:
            loose_one = loose.read_small(self.objects_dir, blob_id)
            if loose_one is not None and raw_object_id(*loose_one) == raw_id and loose_one[0] == "blob":
                return loose_one[1]
        return super().blob_within(blob_id, most)

    def contains(self, object_id: str) -> bool:
        """Whether the object is there (unread, so possibly damaged)."""
        return self._find(object_id) is not None or object_id == EMPTY_TREE

    def _find(self, object_id: str) -> tuple[Pack, int] | Path | None:
        """Where an object is: in a pack, or loose in a folder. A miss lists the packs once more."""
        raw_id = _raw_id(object_id)
        if (found := self._packed(raw_id)) is not None:
            return found
        for folder in self._folders:
            if os.path.exists(loose.path_of(folder, object_id)):
                return folder
        for packs in self._sets:
            packs.reload()  # whether that changed the list says nothing: another thread may just have done it
            if (found := packs.find(raw_id)) is not None:
                return found
        return None

    def _packed(self, raw_id: bytes) -> tuple[Pack, int] | None:
        for packs in self._sets:
            if (found := packs.find(raw_id)) is not None:
                return found
        return None

    def reload(self) -> None:
        """List the packs again."""
        self._shallow = None
        self._loose_folders = None
        self._prefixes = None
        for packs in self._sets:
            packs.reload()

    def resolve_prefix(self, prefix: str) -> tuple[str, ...]:
        """All ids that begin with these hex digits (at least 4), sorted; empty if there is none."""
        prefix = prefix.lower()
        if len(prefix) < SHORTEST_PREFIX or not is_id(prefix.ljust(40, "0")):
            return ()
        found = self._with_prefix(prefix)
        if not found:
            self.reload()
            found = self._with_prefix(prefix)
        return tuple(sorted(found))

    def _with_prefix(self, prefix: str) -> set[str]:
        found: set[str] = set()
        for packs in self._sets:
            for pack in packs.packs():
                with contextlib.suppress(FileNotFoundError):
                    found.update(pack.index.with_prefix(prefix))
        for folder in self._folders:
            found.update(loose.ids(folder, prefix))
        return found

    def shortest_prefix(self, object_id: str) -> int:
        """How many digits name this object alone (as far as packs and folders are listed by now)."""
        raw_id = bytes.fromhex(object_id)
        most = 0
        for packs in self._sets:
            for pack in packs.packs():
                with contextlib.suppress(FileNotFoundError):
                    most = max(most, pack.index.shared_digits(raw_id))
        if self._loose_folders is None:
            self._loose_folders = {folder: frozenset(loose.folders(folder)) for folder in self._folders}
        for folder, present in self._loose_folders.items():
            if object_id[:2] in present:
                for other in loose.beside(folder, object_id):
                    most = max(most, common_digits(raw_id, bytes.fromhex(other)))
        return most + 1

    def alone(self, object_id: str) -> bool:
        """Whether seven digits name this object alone, as `shortest_prefix` would find out; False also where that is
        not known, as few were asked for so far."""
        if self._prefixes is None:
            self._prefixes = load(PREFIXES)()
        indexes = (pack.index for packs in self._sets for pack in packs.packs())
        try:
            return self._prefixes.alone(object_id, indexes, self._folders)
        except FileNotFoundError:  # a pack went
            return False

    def ids(self) -> Iterator[str]:
        """The id of every object here (and in alternates), each once, in no order."""
        self.reload()
        seen: set[bytes] = set()
        for packs in self._sets:
            for pack in packs.packs():
                for raw_id in pack.index.ids():
                    if raw_id not in seen:
                        seen.add(raw_id)
                        yield raw_id.hex()
        for folder in self._folders:
            for name in loose.ids(folder):
                if bytes.fromhex(name) not in seen:
                    seen.add(bytes.fromhex(name))
                    yield name

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        for packs in self._sets:
            packs.close()

    # ---- writing

    def batch(self, *, keep: str | None = None) -> ObjectBatch:
        """Begin to write objects that become visible together, as one pack.

        With `keep` (a label such as "stage main": who needs it), the pack carries a `.keep` file,
        so that no `git gc`, not even `--prune=now`, takes what no ref reaches yet; objects that
        exist, but in no pack with this label, are written again, for the same reason.
        """
        made: ObjectBatch = load(WRITING["batch"])(self, self, keep)
        return made

    def new_pack(self) -> PackWriter:
        """Begin a pack (for a batch)."""
        made: PackWriter = load(WRITING["pack"])(self.packs.pack_dir, self.tmp_dir)
        return made

    def known(self, keep: str | None) -> Callable[[bytes], bool]:
        """A test whether an object (by its 20 bytes) need not be written for a batch with this label."""
        self.packs.reload()
        if keep is not None:
            mine = [name for name, label in self.packs.labels().items() if label == keep]
            kept = [pack for pack in self.packs.packs() if pack.name in mine]
            if not kept:
                return lambda raw_id: False
            return lambda raw_id: any(pack.find(raw_id) is not None for pack in kept)
        return _Known(self._sets, self._folders)

    def sealed(self, idx_path: Path, keep: str | None) -> None:
        """A new pack is visible (from a batch). Now and then small packs are merged."""
        self.packs.add(idx_path)
        if len(self.packs.packs()) > MANY_PACKS:
            load(WRITING["consolidate"])(self.packs, self.tmp_dir, keep, at_most=MANY_PACKS)

    def kept(self) -> dict[str, str]:
        """The packs that mvc keeps: pack name -> label."""
        return {name: label for name, label in self.packs.labels().items() if label is not None}

    def drop_keep(self, label: str) -> int:
        """Drop the `.keep` of all packs with this label, and return how many.

        Call it when a ref reaches all that was staged under the label; packs of others stay kept.
        """
        names = [name for name, other in self.kept().items() if other == label]
        for name in names:
            fsio.unlink(self.packs.pack_dir / f"{name}.keep", missing_ok=True)
        if names:
            fsio.fsync_dir(self.packs.pack_dir)
        return len(names)


def _raw_id(object_id: str) -> bytes:
    """The 20 bytes of an id. Raises UsageError if it is none: it could lead anywhere."""
    try:
        raw_id = bytes.fromhex(object_id)
    except ValueError:
        raw_id = b""
    if len(raw_id) != 20 or raw_id.hex() != object_id:
        raise UsageError(f"{object_id!r} is no object id")
    return raw_id


class _Known:
    """Whether an object is there already. What is, is made to look young, as Git does it: a `gc` that
    runs at this moment must not take what we are about to refer to."""

    def __init__(self, sets: list[PackSet], folders: list[Path]) -> None:
        self._sets = sets
        # Loose objects are few where mvc writes: most folders are not there, and then nothing is asked.
        self._loose = {folder: set(loose.folders(folder)) for folder in folders}
        self._young: set[str] = set()

    def __call__(self, raw_id: bytes) -> bool:
        for packs in self._sets:
            found = packs.find(raw_id)
            if found is not None and self._freshen(os.fspath(found[0].path), found[0].idx_path):
                return True
        object_id = raw_id.hex()
        for folder, present in self._loose.items():
            if object_id[:2] in present:
                path = loose.path_of(folder, object_id)
                if os.path.exists(path) and self._freshen(path):
                    return True
        return False

    def _freshen(self, path: str, needed: Path | None = None) -> bool:
        """Make a file young; False if it, or then `needed`, is gone (see mvc.objects.repack)."""
        if path in self._young:
            return True
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        except PermissionError:
            pass  # another user's: only its owner prunes it
        if needed is not None and not needed.exists():
            return False
        self._young.add(path)
        return True


def _place(at: tuple[Pack, int] | None, object_id: str) -> str:
    if at is not None:
        return f"{at[0].path.name} at {at[1]}"
    return f"{object_id[:2]}/{object_id[2:]}"
