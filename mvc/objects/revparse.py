"""Revisions: from what a person types to an object id (gitrevisions(7))."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mvc.errors import AmbiguousName, IntegrityError, NotFound, UsageError
from mvc.lazy import load
from mvc.objects import ancestry, reflog, refnames, trees, walk
from mvc.objects.database import SHORTEST_PREFIX, Objects
from mvc.objects.encoding import KINDS, is_id
from mvc.objects.model import Kind
from mvc.objects.refs import Refs

_HEX = re.compile(r"[0-9a-fA-F]{4,40}\Z")
_STEP = re.compile(r"\^\{([^}]*)\}|\^(-?[0-9]{0,9})|~([0-9]{0,9})|@\{([^}]*)\}")
_DESCRIBED = re.compile(r".+-[0-9]+-g([0-9a-f]{4,40})\Z")
_PLACES = (
    "{}",
    "refs/{}",
    "refs/tags/{}",
    "refs/heads/{}",
    "refs/aliases/{}",
    "refs/remotes/{}",
    "refs/remotes/{}/HEAD",
)
"""Git's order, with mvc's aliases behind tags and branches: a name that Git knows means what it means to Git."""
_DATE = "mvc.objects.dates:parse_date"
"""Loaded for `@{yesterday}` alone."""

_CONFIG, _UPSTREAM = "mvc.objects.config:Config", "mvc.objects.upstream:require_{}"
"""Loaded for `@{upstream}` and `@{push}` alone."""

_ALIAS = "mvc.objects.aliases:{}"
"""Loaded where a name is an alias."""

_KNOWN = 7
"""Digits of which it is known at once whether they name one object alone (`Objects.alone`)."""

_CLOSEST = "difflib:get_close_matches"
"""Loaded for the hint of an error alone."""


class Range(NamedTuple):
    """Commits reachable from `include` and not from `exclude`. `symmetric`: it was written `A...B`.

    `left` and `right` are the two ends as commits, for `diff` (for a single revision `left` is None).
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    left: str | None
    right: str
    symmetric: bool = False


def resolve(objects: Objects, refs: Refs, spec: str) -> str:
    """The id of the object that `spec` names: any kind, as it stands (a tag is not peeled).

    Names, short hashes, HEAD, `@`, `~n`, `^n`, `^{commit}`, `^{tree}`, `^{}`, `^{/text}`, `@{n}`, `@{date}`,
    `@{-n}`, `:/text`, `REV:PATH`. Raises NotFound (its hint has near names) or AmbiguousName.
    """
    return _Resolver(objects, refs).resolve(spec)


def resolve_commit(objects: Objects, refs: Refs, spec: str) -> str:
    """As `resolve`, peeled to a commit; among several objects with a short hash the commit is meant.

    Raises NotFound if it is none.
    """
    return _Resolver(objects, refs).resolve(spec, "commit")


def resolve_tree(objects: Objects, refs: Refs, spec: str) -> str:
    """As `resolve`, peeled to a tree."""
    return _Resolver(objects, refs).resolve(spec, "tree")


def resolve_ref(refs: Refs, name: str) -> str | None:
    """The full name of the ref that `name` stands for, or None.

    By Git's order: refs/, tags, heads, (aliases,) remotes.
    """
    for place in _PLACES:
        ref = place.format(name)
        if refnames.is_valid(ref) and refs.read(ref) is not None:
            return ref
    return None


def upstream_ref(refs: Refs, spec: str) -> str | None:
    """The full name of the ref that `[BRANCH]@{upstream}`, `@{u}` or `@{push}` stands for (it need not exist);
    None for any other spec. Raises NotFound where the branch has no upstream."""
    name, at, inner = spec.rpartition("@{")
    what = {"u}": "upstream", "upstream}": "upstream", "push}": "push"}.get(inner.lower())
    if not at or what is None:
        return None
    branch = refs.head().branch if name in {"", "@", "HEAD"} else f"refs/heads/{name}"
    if branch is None:
        raise NotFound("HEAD does not point to a branch")
    if name not in {"", "@", "HEAD"} and refs.read(branch) is None:
        raise NotFound(f"no such branch: '{name}'", hint="mvc branch")
    found: str = load(_UPSTREAM.format(what))(load(_CONFIG)(refs.common_dir / "config"), branch)
    return found


def previous_branch(refs: Refs, count: int) -> str:
    """`@{-count}`: what HEAD was on before the last `count` switches: a branch's short name, or an id.

    Raises NotFound if HEAD was not moved so often.
    """
    left = count
    for entry in reflog.read(refs.reflog_path("HEAD")):
        if entry.message.startswith("checkout: moving from "):
            left -= 1
            if left == 0:
                return entry.message.removeprefix("checkout: moving from ").partition(" to ")[0]
    were = "nothing was" if count == 1 else f"fewer than {count} branches were"
    raise NotFound(f"{were} checked out before", hint="mvc reflog")


def split_path(spec: str) -> tuple[str, str | None]:
    """`REV:PATH` as (REV, PATH); (spec, None) if there is no path."""
    depth = 0
    for at, char in enumerate(spec):
        depth += (char == "{") - (char == "}")
        if char == ":" and depth <= 0 and at > 0:
            return spec[:at], spec[at + 1 :]
    return spec, None


def parse_range(objects: Objects, refs: Refs, spec: str) -> Range:
    """`A..B`, `A...B`, `A`, `^A` (an exclusion alone), `A^!`, `A^@`, with an end left out for HEAD.

    All ends are commits. Raises NotFound, AmbiguousName.
    """
    for dots in ("...", ".."):
        before, found, after = spec.partition(dots)
        if found and ":" not in before:
            left = resolve_commit(objects, refs, before or "HEAD")
            right = resolve_commit(objects, refs, after or "HEAD")
            if dots == "..":
                return Range((right,), (left,), left, right)
            return Range((left, right), tuple(ancestry.merge_bases(objects, left, [right])), left, right, True)
    if spec.startswith("^") and len(spec) > 1:
        excluded = resolve_commit(objects, refs, spec[1:])
        return Range((), (excluded,), None, excluded)
    if spec.endswith(("^!", "^@")) and len(spec) > 2:
        commit = resolve_commit(objects, refs, spec[:-2])
        parents = objects.commit(commit).parents
        if spec.endswith("!"):
            return Range((commit,), parents, parents[0] if parents else None, commit)
        return Range(parents, (), None, commit)
    commit = resolve_commit(objects, refs, spec)
    return Range((commit,), (), None, commit)


def abbreviate(objects: Objects, object_id: str, length: int = 7) -> str:
    """The shortest prefix of at least `length` digits that names this object alone."""
    if length >= _KNOWN and objects.alone(object_id):
        return object_id[:length]
    return object_id[: max(length, objects.shortest_prefix(object_id), SHORTEST_PREFIX)]


class _Resolver:
    def __init__(self, objects: Objects, refs: Refs) -> None:
        self._objects = objects
        self._refs = refs

    def resolve(self, spec: str, to: Kind | None = None) -> str:
        """The object, peeled to `to` if that is given."""
        try:
            revision, path = split_path(spec)
            if path is not None:
                found = self._path(spec, revision, path)
            elif spec.startswith(":/"):
                found = self._by_message(self._refs.list().values(), spec[2:], spec)
            else:
                found = self._revision(spec, to)
        except IntegrityError as error:
            if not self._is_kind_error(error):
                raise
            raise NotFound(f"'{spec}': {error.message}") from error
        return found if to is None else self._peel(found, to, spec)

    def _is_kind_error(self, error: IntegrityError) -> bool:
        return type(error) is IntegrityError and ", not a " in error.message

    def _peel(self, object_id: str, to: Kind, spec: str) -> str:
        objects = self._objects
        kind = objects.kind(object_id)
        while kind == "tag" and to != "tag":
            object_id = objects.tag(object_id).target
            kind = objects.kind(object_id)
        if kind == "commit" and to == "tree":
            return objects.commit(object_id).tree
        if kind != to:
            raise NotFound(f"'{spec}' is a {kind}, not a {to}")
        return object_id

    def _path(self, spec: str, revision: str, path: str) -> str:
        tree = self.resolve(revision, "tree")
        item = trees.entry_at(self._objects, tree, path.removeprefix("./"))
        if item is None:
            raise NotFound(f"'{path}' is not in '{revision}'", hint=f"mvc show '{revision}:' lists what is there")
        return item.id

    def _revision(self, spec: str, to: Kind | None) -> str:
        ends = [at for mark in ("^", "~", "@{") if (at := spec.find(mark)) >= 0]
        name, at = (spec[: min(ends)], min(ends)) if ends else (spec, len(spec))
        if spec.startswith("@{", at):
            found, at = self._logged(spec, name, at)
        else:
            found = self._name(spec, name, "commit" if ends or to == "commit" else to)
        while at < len(spec):
            match = _STEP.match(spec, at)
            if match is None or match[4] is not None:
                raise _unknown(spec, "")
            found = self._step(spec, found, match)
            at = match.end()
        return found

    def _step(self, spec: str, object_id: str, match: re.Match[str]) -> str:
        braces, caret, tilde, _ = match.groups()
        if braces is not None:
            return self._braces(spec, object_id, braces)
        commit = self._peel(object_id, "commit", spec)
        if tilde is not None:
            for _ in range(int(tilde or 1)):
                commit = self._parent(spec, commit, 1)
            return commit
        if caret is not None and caret.startswith("-"):
            raise UsageError(f"'{spec}' is a range, not a revision")
        number = int(caret or 1)
        return commit if number == 0 else self._parent(spec, commit, number)

    def _parent(self, spec: str, commit: str, number: int) -> str:
        parents = self._objects.commit(commit).parents
        if number > len(parents):
            has = f"has {len(parents)} parents" if parents else "is the first commit"
            raise NotFound(f"'{spec}' does not exist: {commit[:7]} {has}")
        return parents[number - 1]

    def _braces(self, spec: str, object_id: str, inner: str) -> str:
        if inner.startswith("/"):
            return self._by_message([self._peel(object_id, "commit", spec)], inner[1:], spec)
        if inner == "object":
            return object_id
        for kind in KINDS:
            if inner == kind:
                return self._peel(object_id, kind, spec)
        if inner:
            raise UsageError(f"'{spec}': no object is a {inner!r}")
        while self._objects.kind(object_id) == "tag":
            object_id = self._objects.tag(object_id).target
        return object_id

    # ---- names

    def _name(self, spec: str, name: str, to: Kind | None) -> str:
        if name in {"@", "HEAD"}:
            return self._head(spec)
        if is_id(name.lower()):
            if not self._objects.contains(name.lower()):
                raise NotFound(f"there is no object {name}")
            return name.lower()
        ref = resolve_ref(self._refs, name) if name else None
        if ref is not None:
            value = self._refs.read(ref) or ""
            return self._target(ref, value) if ref.startswith(refnames.ALIASES) and ref != name else value
        described = _DESCRIBED.match(name)
        digits = described[1] if described else name
        if _HEX.match(digits):
            found = self._objects.resolve_prefix(digits)
            if len(found) > 1:
                found = self._likely(found, to) or found
            if len(found) > 1:
                some = ", ".join(f"{one[:12]} ({self._objects.kind(one)})" for one in found[:4])
                raise AmbiguousName(f"'{name}' fits {len(found)} objects", hint=f"one of: {some}")
            if found:
                return found[0]
        raise _unknown(spec, self._near(name))

    def _target(self, ref: str, step: str) -> str:
        """What an alias stands for; its full name alone means the step, as it does to Git."""
        found: str = load(_ALIAS.format("target_of"))(self._objects, step, ref.removeprefix(refnames.ALIASES))
        return found

    def _head(self, spec: str) -> str:
        head = self._refs.head()
        if head.id is None:
            raise NotFound(f"'{spec}' does not exist: there is no commit yet", hint="mvc commit")
        return head.id

    def _likely(self, found: tuple[str, ...], to: Kind | None) -> tuple[str, ...]:
        """Those that can be meant where a commit (or tree) is asked for."""
        fits = {"commit": ("commit", "tag"), "tree": ("tree", "commit", "tag")}.get(to or "", ())
        return tuple(one for one in found if self._objects.kind(one) in fits)

    def _near(self, name: str) -> str:
        names = [refnames.short(ref) for ref in self._refs.list()] + ["HEAD"]
        near = load(_CLOSEST)(name, names, 3, 0.6)
        return f"did you mean {' or '.join(map(repr, near))}?" if near else ""

    # ---- reflogs, messages

    def _logged(self, spec: str, name: str, at: int) -> tuple[str, int]:
        """`NAME@{...}`; returns the id, and where the spec goes on."""
        end = spec.find("}", at)
        inner = spec[at + 2 : end]
        if end < 0 or not inner:
            raise _unknown(spec, "")
        if re.fullmatch("-[0-9]{1,9}", inner) and not name:
            return self._name(spec, previous_branch(self._refs, int(inner[1:])), "commit"), end + 1
        if (ref := upstream_ref(self._refs, spec[: end + 1])) is not None:
            return self._upstream(ref), end + 1
        ref = self._log_of(spec, name)
        if ref.startswith(refnames.ALIASES) and ref != name:
            return self._step_of(spec, ref, inner), end + 1
        entries = reflog.read(self._refs.reflog_path(ref))
        if inner.isascii() and inner.isdigit() and len(inner) < 9:
            return self._nth(spec, ref, entries, int(inner)), end + 1
        when = load(_DATE)(inner)
        for entry in entries:
            if entry.who.time <= when and entry.new is not None:
                return entry.new, end + 1
        oldest = (entries[-1].old or entries[-1].new) if entries else None
        if oldest is None:
            raise NotFound(f"'{spec}': {ref} has no reflog")
        return oldest, end + 1

    def _upstream(self, ref: str) -> str:
        found = self._refs.read(ref)
        if found is None:
            raise NotFound(f"the upstream branch '{refnames.short(ref)}' is gone", hint="mvc branch --unset-upstream")
        return found

    def _log_of(self, spec: str, name: str) -> str:
        if not name or name == "@":
            return (self._refs.symbolic("HEAD") if not name else None) or "HEAD"
        ref = resolve_ref(self._refs, name)
        if ref is None:
            raise _unknown(spec, self._near(name))
        return ref

    def _step_of(self, spec: str, ref: str, inner: str) -> str:
        """`ALIAS@{n}` and `ALIAS@{date}` go by the alias's own steps, which are the same in every clone."""
        name, tip = ref.removeprefix(refnames.ALIASES), self._refs.read(ref) or ""
        if inner.isascii() and inner.isdigit() and len(inner) < 9:
            step = load(_ALIAS.format("step_back"))(self._objects, tip, name, int(inner))
        else:
            step = load(_ALIAS.format("step_at"))(self._objects, tip, name, load(_DATE)(inner))
        if step is None or step.target is None:
            raise NotFound(f"'{spec}': '{name}' stood for nothing then", hint=f"mvc alias log {name}")
        target: str = step.target
        return target

    def _nth(self, spec: str, ref: str, entries: list[reflog.ReflogEntry], number: int) -> str:
        if number == 0 and (now := self._refs.read(ref)) is not None:
            return now
        found = entries[number].new if number < len(entries) else None
        if found is None and number == len(entries) and entries:
            found = entries[-1].old
        if found is None:
            raise NotFound(f"'{spec}': the reflog of {refnames.short(ref)} has only {len(entries)} entries")
        return found

    def _by_message(self, tips: Iterable[str], text: str, spec: str) -> str:
        try:
            pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"'{text}' is not a regular expression") from error
        commits = [tip for tip in (self._commit_or_none(tip) for tip in tips) if tip]
        for commit in walk.walk(self._objects, walk.Selection(include=commits)):
            if pattern.search(commit.message):
                return commit.id
        raise NotFound(f"'{spec}': no commit's message matches")

    def _commit_or_none(self, tip: str) -> str | None:
        try:
            return self._objects.peel(tip, "commit")
        except IntegrityError:
            return None


def _unknown(spec: str, hint: str) -> NotFound:
    return NotFound(f"'{spec}' is not a revision", hint=hint or "mvc log, mvc branch and mvc tag show what there is")
