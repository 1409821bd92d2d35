"""A history written anew without some files: `git filter-repo --invert-paths`, for purge.

Kept are messages, authors, committers, dates, encodings and unknown headers, byte for byte; what signs a commit or tag
goes, as it would sign something else. A commit that becomes empty, and was not, is left out, as filter-repo does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from mvc.objects import trees
from mvc.objects.aliases import is_step, judged
from mvc.objects.batch import ObjectBatch
from mvc.objects.encoding import dump_tree
from mvc.objects.model import EMPTY_TREE, SUBMODULE, TREE, Commit, TreeEntry
from mvc.objects.reader import ObjectReader

_SIGNED = re.compile(rb"-----BEGIN (?:PGP|SSH) SIGN.*", re.DOTALL)
_LINEAGE = "lineage.yaml"
_MOST_LINEAGE = 4 * 1024 * 1024
_BASE = re.compile(rb'^(\s*commit: )"?([0-9a-f]{40})"?[ \t]*$', re.MULTILINE)
"""Where `.mvcmeta/lineage.yaml` names a commit (docs/format/metadata.md)."""
_SIGNATURES = (b"gpgsig ", b"gpgsig-sha256 ", b"mergetag ")


class Rewriter:
    """Rewrites objects into a batch. What stays the same keeps its id. Deterministic: the same twice gives the same."""

    def __init__(
        self, objects: ObjectReader, batch: ObjectBatch, paths: Collection[str], blobs: Collection[str]
    ) -> None:
        """`paths`: files and folders that go, everywhere; `blobs`: contents that go, by id, wherever they stand."""
        self._objects, self._batch = objects, batch
        self._paths = frozenset(paths)
        self._folders = {path[: at + 1] for path in paths for at, letter in enumerate(path) if letter == "/"}
        self._blobs = frozenset(blobs)
        self._trees: dict[tuple[str, str], str | None] = {}
        self.commits: dict[str, str | None] = {}
        """Old id -> new id, for all commits that were looked at; None: it is gone, with all before it."""
        self.removed: dict[str, set[str]] = {}
        """Blob -> the paths at which it was taken out."""

    def run(self, tips: Iterable[str]) -> None:
        """Rewrite all commits that `tips` (commits) reach, parents first."""
        pending = list(tips)
        while pending:
            commit_id = pending[-1]
            if commit_id in self.commits:
                pending.pop()
                continue
            commit = self._objects.commit(commit_id)
            waiting = [one for one in (*commit.parents, *self._bases(commit.tree)) if one not in self.commits]
            if waiting:
                pending += waiting
                continue
            pending.pop()
            self.commits[commit_id] = self._commit(commit_id)

    def object(self, object_id: str) -> str | None:
        """What any object becomes that a ref names: commit, tag, tree or blob. None: it is gone."""
        kind = self._objects.kind(object_id)
        if kind == "commit":
            self.run([object_id])
            return self.commits[object_id]
        if kind == "tree":
            return self.tree(object_id, "")
        if kind == "blob":
            return None if object_id in self._blobs else object_id
        target = self._objects.tag(object_id).target
        new = self.object(target)
        if new == target or new is None:
            return object_id if new else None
        _, data = self._objects.raw(object_id)
        data = data.replace(f"object {target}".encode(), f"object {new}".encode(), 1)
        return self._batch.add("tag", _SIGNED.sub(b"", data))

    def _commit(self, commit_id: str) -> str | None:
        old = self._objects.commit(commit_id)
        if old.parents and judged(old) is not None:
            return self._step(old)
        tree = self._lineage(self.tree(old.tree, "") or EMPTY_TREE)
        mapped = [self.commits[one] for one in old.parents]
        parents = list(dict.fromkeys(one for one in mapped if one is not None))
        if tree == old.tree and parents == list(old.parents):
            return commit_id
        if self._became_empty(old.tree, old.parents, tree, parents):
            return parents[0] if parents else None
        if tree == EMPTY_TREE:
            if not parents and is_step(old):  # it took away an alias of which nothing is left
                return None
            self._batch.add("tree", b"")
        return self._batch.add("commit", self._rewritten(commit_id, tree, parents))

    def _bases(self, tree: str) -> list[str]:
        """The commits that a commit's model was made from, as its metadata names them, as far as they are here."""
        blob = self._lineage_blob(self._objects, tree)
        found = [] if blob is None else [found[2].decode() for found in _BASE.finditer(self._objects.blob(blob))]
        return [one for one in found if self._objects.contains(one) and self._objects.kind(one) == "commit"]

    def _lineage_blob(self, objects: ObjectReader, tree: str) -> str | None:
        folder = trees.metadata_tree(objects, tree)
        blob = None if folder is None else trees.files_in(objects, folder).get(_LINEAGE)
        return blob if blob is not None and objects.size(blob) <= _MOST_LINEAGE else None

    def _lineage(self, tree: str) -> str:
        """A tree whose metadata names the new ids of what its model was made from."""
        reader = self._batch.reader
        blob = None if tree == EMPTY_TREE else self._lineage_blob(reader, tree)
        if blob is None:
            return tree
        before = reader.blob(blob)
        after = _BASE.sub(self._renamed, before)
        if after == before:
            return tree
        folder = trees.metadata_tree(reader, tree) or EMPTY_TREE
        entries = [
            one._replace(id=self._batch.blob(after)) if one.name == _LINEAGE else one for one in reader.tree(folder)
        ]
        return trees.with_metadata(self._batch, tree, self._batch.tree(entries))

    def _renamed(self, found: re.Match[bytes]) -> bytes:
        new = self.commits.get(found[2].decode())
        if new is None:
            return found[0]
        # As `.mvcmeta/` is written: in quotes where it begins with a digit.
        return found[1] + (f'"{new}"' if new[0].isdigit() else new).encode()

    def _step(self, old: Commit) -> str | None:
        """A step of an alias, or a review: it names its target's new id, and has its tree. Without a target it goes."""
        target, new = old.parents[-1], self.commits[old.parents[-1]]
        before = self.commits[old.parents[0]] if len(old.parents) > 1 else None
        if new is None:
            return before
        parents = [one for one in (before, new) if one is not None]
        if parents == list(old.parents):
            return old.id
        data = self._rewritten(old.id, self._batch.reader.commit(new).tree, parents)
        head, line, tail = data.rpartition(b"Target: " + target.encode())
        return self._batch.add("commit", head + line.replace(target.encode(), new.encode()) + tail)

    def _became_empty(self, old_tree: str, old_parents: tuple[str, ...], tree: str, parents: list[str]) -> bool:
        """Whether a commit that changed something changes nothing any more."""
        if len(parents) > 1 or tree == old_tree:
            return False
        reader = self._batch.reader
        before = reader.commit(parents[0]).tree if parents else None
        if not trees.same_content(reader, before, tree):
            return False
        was = self._objects.commit(old_parents[0]).tree if old_parents else None
        return len(old_parents) > 1 or not trees.same_content(self._objects, was, old_tree)

    def _rewritten(self, commit_id: str, tree: str, parents: list[str]) -> bytes:
        """The commit's bytes with another tree and other parents."""
        _, data = self._objects.raw(commit_id)
        head, blank, message = data.partition(b"\n\n")
        lines = [b"tree " + tree.encode(), *(b"parent " + one.encode() for one in parents)]
        skipping = False
        for line in head.split(b"\n"):
            if line.startswith(b" "):
                if not skipping:
                    lines.append(line)
                continue
            skipping = line.startswith((b"tree ", b"parent ", *_SIGNATURES))
            if not skipping:
                lines.append(line)
        return b"\n".join(lines) + blank + message

    def tree(self, tree_id: str, prefix: str) -> str | None:
        """A tree without what goes; None if nothing is left of one that held something."""
        # Only below a folder on the way to a path that goes it matters where a tree stands.
        place = prefix if prefix == "" or prefix in self._folders else "?"
        known = self._trees.get((tree_id, place), "")
        if known != "":
            return known
        kept: list[TreeEntry] = []
        changed = False
        for entry in self._objects.tree(tree_id):
            new = self._entry(entry, prefix + entry.name)
            changed |= new != entry
            if new is not None:
                kept.append(new)
        found: str | None = tree_id
        if changed:
            found = self._batch.add("tree", dump_tree(kept)) if kept else None
        self._trees[tree_id, place] = found
        return found

    def _entry(self, entry: TreeEntry, path: str) -> TreeEntry | None:
        if path in self._paths:
            self._note(entry, path)
            return None
        if entry.mode == TREE:
            if not self._blobs and path + "/" not in self._folders:
                return entry
            tree = self.tree(entry.id, path + "/")
            return None if tree is None else entry._replace(id=tree)
        if entry.id in self._blobs and entry.mode != SUBMODULE:
            self.removed.setdefault(entry.id, set()).add(path)
            return None
        return entry

    def _note(self, entry: TreeEntry, path: str) -> None:
        if entry.mode == TREE:
            for name, item in trees.flatten(self._objects, entry.id, metadata=True).items():
                self.removed.setdefault(item.id, set()).add(f"{path}/{name}")
        elif entry.mode != SUBMODULE:
            self.removed.setdefault(entry.id, set()).add(path)
