"""The changes that bring a catalogue up to date: commits that came and went, refs that moved, what was annotated."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from mvc.catalogue.facts import FactReader
from mvc.catalogue.gather import gathered
from mvc.catalogue.refresh import Refreshed, Stale
from mvc.catalogue.schema import get, put
from mvc.catalogue.scopes import Parents, Ref, moved, numbers, packed, ref_of, unpacked
from mvc.catalogue.values import clean
from mvc.catalogue.writer import Writer
from mvc.errors import MvcError
from mvc.metadata.annotations import read_annotations
from mvc.metadata.model import NOTES
from mvc.objects import trees
from mvc.objects.aliases import target_of
from mvc.progress import Progress
from mvc.repo.repository import Repository

_FEW = 1024
"""So few commits that go are always taken out one by one."""
_MOST_MISSING = 100
"""Commits that cannot be read, and are looked for again."""

_MOST_TAGS = 32
_SPARE = 10_000
"""Numbers that may be unused before so many more than there are commits make a rebuild worth while."""


class Changes:
    """One transaction's."""

    def __init__(self, db: sqlite3.Connection, repo: Repository, progress: Progress, fresh: bool) -> None:
        self._db = db
        self._repo = repo
        self._objects = repo.objects
        self._progress = progress
        self._fresh = fresh
        self._writer = Writer(db, fresh=fresh)
        self._numbers: dict[str, int] = {}
        self._unreadable: set[str] = set()
        self._next = int(get(db, "next") or 1)

    def run(self, refs: dict[str, str]) -> Refreshed:
        """Make the catalogue say what these refs lead to. Raises Stale."""
        shallow = " ".join(sorted(self._objects.shallow))
        if not self._fresh and (get(self._db, "shallow") or "") != shallow:
            raise Stale("history was made shallow, or deeper")
        put(self._db, "shallow", shallow)
        known = {name: (target, no) for name, target, no in self._db.execute("SELECT name, target, no FROM ref")}
        names = {clean(name): name for name in refs}
        changed = [name for shown, name in names.items() if known.get(shown, ("",))[0] != refs[name]]
        gone = [shown for shown in known if shown not in names]
        tips = {name: commit for name in changed if name != NOTES and (commit := self._commit_of(name, refs[name]))}
        added = self._add(list(dict.fromkeys(tips.values())))
        self._write_refs(refs, changed, gone, tips)
        removed = self._follow(changed, gone)
        self._annotate(refs, changed, gone, known)
        self._writer.flush()
        count = self._db.execute("SELECT count(*) FROM entry").fetchone()[0]
        if not self._fresh and self._next > 4 * count + _SPARE:
            raise Stale("most numbers are unused")
        if removed:  # names that nobody uses any more are no help to who mistypes one
            unused = "SELECT id FROM name WHERE NOT EXISTS (SELECT 1 FROM value WHERE value.name = name.id)"
            self._db.execute(f"DELETE FROM name WHERE id IN ({unused})")
        missing = [*(get(self._db, "unreadable") or "").split(), *sorted(self._unreadable)][:_MOST_MISSING]
        put(self._db, "unreadable", " ".join(dict.fromkeys(missing)))
        put(self._db, "next", str(self._next))
        put(self._db, "count", str(count))
        return Refreshed(added, removed, True)

    # -- commits

    def _commit_of(self, name: str, target: str) -> str | None:
        """The commit that a ref stands for; None for one that stands for no commit, or cannot be read."""
        kind = ref_of(name)
        try:
            if kind is not None and kind.field == "alias":
                return target_of(self._objects, target, kind.short)
            for _ in range(_MOST_TAGS):
                what = self._objects.kind(target)
                if what == "commit":
                    return target
                if what != "tag":
                    return None
                target = self._objects.tag(target).target
        except MvcError:
            # An alias that was removed, or lies; a tag whose object is not here: it names nothing.
            return None
        return None

    def _number(self, commit_id: str) -> int | None:
        found = self._numbers.get(commit_id)
        if found is None and not self._fresh:
            row = self._db.execute("SELECT no FROM entry WHERE id = ?", (bytes.fromhex(commit_id),)).fetchone()
            if row is not None:
                found = self._numbers[commit_id] = row[0]
        return found

    def _add(self, tips: list[str]) -> int:
        order = self._discover([tip for tip in tips if self._number(tip) is None])
        if not order:
            return 0
        cards = FactReader(self._objects, read_annotations(self._objects, self._repo.refs), {})
        sizes: dict[int, int | None] = {}
        self._progress.begin("Cataloguing", len(order), "commits")
        try:
            for commit, facts in gathered(self._objects, self._repo.refs, order, self._noted_tags()):
                parents = [no for one in commit.parents if (no := self._number(one)) is not None]
                first = self._number(commit.parents[0]) if commit.parents else None
                before = 0 if first is None else self._size(first, sizes)
                card = None if facts.card is None else self._card(facts.card, cards)
                no, self._next = self._next, self._next + 1
                size = sizes[no] = None if facts.grown is None or before is None else before + facts.grown
                self._writer.add(no, commit, parents, facts, size, card)
                self._numbers[commit.id] = no
                self._progress.advance(1)
        finally:
            self._progress.end()
        return len(order)

    def _size(self, no: int, sizes: dict[int, int | None]) -> int | None:
        """The bytes of a commit that is catalogued."""
        if no not in sizes:
            sizes[no] = self._db.execute("SELECT size FROM entry WHERE no = ?", (no,)).fetchone()[0]
        return sizes[no]

    def _card(self, blob: str, reader: FactReader) -> int:
        row = self._db.execute("SELECT id FROM card WHERE blob = ?", (blob,)).fetchone()
        return row[0] if row is not None else self._writer.card(blob, *reader.card_words(blob, self._repo))

    def _discover(self, tips: list[str]) -> list[str]:
        """The commits that are not catalogued, parents before children."""
        parents: dict[str, tuple[str, ...]] = {}
        stack = list(tips)
        while stack:
            one = stack.pop()
            if one in parents or one in self._unreadable:
                continue
            try:
                above = self._objects.commit(one).parents
            except MvcError:
                self._unreadable.add(one)
                continue
            parents[one] = tuple(parent for parent in above if self._number(parent) is None)
            stack += parents[one]
        return list(_in_order(parents, tips))

    # -- refs

    def _write_refs(self, refs: dict[str, str], changed: list[str], gone: list[str], tips: dict[str, str]) -> None:
        self._db.executemany("DELETE FROM ref WHERE name = ?", [(name,) for name in gone])
        rows = []
        for name in changed:
            kind = ref_of(name) or Ref("notes", "", "notes")
            short = clean(kind.short)
            no = self._number(tips[name]) if name in tips else None
            rows.append((clean(name), refs[name], kind.field, short, short.casefold(), no))
        self._db.executemany("INSERT OR REPLACE INTO ref VALUES (?,?,?,?,?,?)", rows)

    def _follow(self, changed: list[str], gone: list[str]) -> int:
        """Bring the sets of commits up to date, and drop the commits that none of them holds any more."""
        touched = {kind.scope: kind for name in (*changed, *gone) if (kind := ref_of(name)) is not None}
        parents = Parents(self._db)
        lost = 0
        for scope, kind in touched.items():
            row = self._db.execute("SELECT tips, bits FROM scope WHERE name = ?", (clean(scope),)).fetchone()
            before, bits = (list(map(int, row[0].split())), unpacked(row[1])) if row is not None else ([], 0)
            after = self._tips(scope, kind)
            if not after:
                self._db.execute("DELETE FROM scope WHERE name = ?", (clean(scope),))
                lost |= bits
                continue
            now = moved(parents, bits, before, after)
            lost |= bits & ~now
            short = clean(kind.short)
            is_branch = kind.field == "branch"
            named = (kind.field, short, short.casefold()) if is_branch else (None, None, None)
            row = (clean(scope), *named, " ".join(map(str, after)), packed(now))
            self._db.execute("INSERT OR REPLACE INTO scope VALUES (?,?,?,?,?,?)", row)
        return self._drop(lost) if lost else 0

    def _tips(self, scope: str, kind: Ref) -> list[int]:
        where, what = ("name = ?", clean(scope)) if kind.field == "branch" else ("field = ?", kind.field)
        rows = self._db.execute(f"SELECT DISTINCT no FROM ref WHERE {where} AND no IS NOT NULL ORDER BY no", (what,))
        return [no for (no,) in rows]

    def _drop(self, lost: int) -> int:
        for (data,) in self._db.execute("SELECT bits FROM scope"):
            lost &= ~unpacked(data)
        if not lost:
            return 0
        count = lost.bit_count()
        if 2 * count > self._db.execute("SELECT count(*) FROM entry").fetchone()[0] and count > _FEW:
            raise Stale("most commits went")
        self._writer.remove(numbers(lost))
        return count

    # -- annotations

    def _noted_tags(self) -> dict[str, list[str]]:
        """Annotated tags by the commit that they stand for."""
        found: dict[str, list[str]] = {}
        for name, target in self._repo.refs.list("refs/tags/").items():
            commit = self._commit_of(name, target)
            if commit is not None and commit != target:
                found.setdefault(commit, []).append(target)
        return found

    def _annotate(
        self, refs: dict[str, str], changed: list[str], gone: list[str], known: Mapping[str, tuple[str, int | None]]
    ) -> None:
        """Read the values of commits anew of which something was said, or unsaid, since."""
        if self._fresh:
            return
        before, after = known.get(NOTES, (None,))[0], refs.get(NOTES)
        if before is None and after is None:
            return
        commits = set(self._noted(before, after)) if before != after else set()
        for name in (*changed, *gone):  # a tag that has a note came, or went
            if name.startswith("refs/tags/"):
                commits |= {no for no in (known.get(clean(name), ("", None))[1], self._tagged(name)) if no is not None}
        if not commits:
            return
        reader = FactReader(self._objects, read_annotations(self._objects, self._repo.refs), self._noted_tags())
        for no in sorted(commits):
            row = self._db.execute("SELECT id FROM entry WHERE no = ?", (no,)).fetchone()
            if row is not None:
                self._writer.remove_values(no)
                self._writer.add_values(no, reader.values(self._objects.commit(row[0].hex())))
        self._writer.flush()

    def _tagged(self, name: str) -> int | None:
        row = self._db.execute("SELECT no FROM ref WHERE name = ?", (clean(name),)).fetchone()
        return None if row is None else row[0]

    def _noted(self, before: str | None, after: str | None) -> Iterator[int]:
        """The numbers of commits whose notes differ."""
        try:
            old = None if before is None else self._objects.peel(before, "tree")
        except MvcError as error:
            raise Stale("the notes before are gone") from error
        new = None if after is None else self._objects.peel(after, "tree")
        for path, _, _ in trees.diff(self._objects, old, new):
            object_id = path.replace("/", "")
            try:
                raw = bytes.fromhex(object_id)
            except ValueError:
                continue
            row = self._db.execute("SELECT no FROM entry WHERE id = ?", (raw,)).fetchone()
            if row is None:  # perhaps a tag's
                row = self._db.execute(
                    "SELECT no FROM ref WHERE target = ? AND no IS NOT NULL", (object_id,)
                ).fetchone()
            if row is not None:
                yield row[0]


def _in_order(parents: Mapping[str, tuple[str, ...]], tips: list[str]) -> Iterator[str]:
    """Parents before children, one line of development after another."""
    done: set[str] = set()
    for tip in tips:
        stack = [(tip, iter(parents.get(tip, ())))] if tip in parents and tip not in done else []
        if stack:
            done.add(tip)
        while stack:
            one, rest = stack[-1]
            for parent in rest:
                if parent in parents and parent not in done:
                    done.add(parent)
                    stack.append((parent, iter(parents[parent])))
                    break
            else:
                yield one
                stack.pop()
