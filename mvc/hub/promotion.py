"""Aliases and reviews as a server takes them: they only grow, and a protected alias moves only where it may.

Who reviewed is whose token sent the review, which the server notes under `server/people/`: what a commit says of its
author anybody can write. The gates of a protected alias the server runs itself. docs/promotion.md says what that is
worth.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.backends.base import Backend
from mvc.errors import IntegrityError, NotFound, Refused, UsageError
from mvc.hub.changes import HEADS, TAGS, Changes
from mvc.hub.messages import Identity, Right
from mvc.hub.replies import Status
from mvc.hub.served import Served
from mvc.objects.aliases import Step, check_chain, contains, history
from mvc.objects.partial import FixedRefs
from mvc.objects.reader import ObjectReader
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.objects.reviews import Review, check_review, reviews_of
from mvc.ops.gate import run
from mvc.ops.gate_check import Outcome
from mvc.ops.gate_grammar import Gate
from mvc.ops.protection import Protection, document, lacking, parse_protections, person, standing
from mvc.settings import Settings
from mvc.sync import keys
from mvc.sync.remotelog import RemoteLog
from mvc.sync.state import State

PROTECTED = "server/aliases"
"""What the aliases of a repository ask for, as JSON."""

_PEOPLE = "server/people/"
_FORMAT = 1
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class _Looked:
    """The repository as it is to be, for gates."""

    objects: ObjectReader
    refs: FixedRefs
    settings: Settings


def check_names(objects: ObjectReader, changes: Changes, right: Right) -> dict[str, list[Step]]:
    """The steps that are new, of each alias, the newest first. Raises IntegrityError for a step or review that lies,
    or an alias that does not go on from where it is (an administrator may rewrite it); Refused for a review that is to
    change."""
    fresh: dict[str, list[Step]] = {}
    for ref, value in changes.new_refs.items():
        if ref.startswith(ALIASES):
            fresh[ref.removeprefix(ALIASES)] = check_chain(objects, value, ref.removeprefix(ALIASES))
        elif ref.startswith(REVIEWS):
            check_review(objects, ref, value)
    for ref, (old, new) in changes.moved_refs.items():
        if ref.startswith(REVIEWS):
            raise Refused(f"'{ref}' is a review, and never changes")
        if ref.startswith(ALIASES):
            name = ref.removeprefix(ALIASES)
            goes_on = right < Right.ADMIN or contains(objects, new, name, old)
            fresh[name] = check_chain(objects, new, name, old if goes_on else None)
    return fresh


def check_protected(
    served: Served,
    objects: ObjectReader,
    before: State,
    after: State,
    changes: Changes,
    fresh: dict[str, list[Step]],
    who: Identity,
    right: Right,
) -> None:
    """Raises Status where a protected alias is to move, and something that it asks for lacks (without a token: always,
    unless it is the owner of a pipe); and for a new branch or tag of its name, which would stand before it."""
    comers = {ref.partition("/")[2].partition("/")[2]: ref for ref in changes.new_refs if ref.startswith((HEADS, TAGS))}
    protections = read_protections(served.backend) if fresh or comers else {}
    for name in sorted(protections.keys() & comers.keys()):
        raise Status(422, f"'{comers[name]}' would stand before the alias '{name}', which is protected here")
    for name in sorted(protections.keys() & fresh.keys()):
        if not who.name and right < Right.ADMIN:
            raise Status(422, f"alias '{name}' is protected, and moves only for somebody with a token")
        move = _Move(served, objects, after, name, protections[name], who)
        move.check(before.refs.get(ALIASES + name), list(reversed(fresh[name])))


def note_people(served: Served, changes: Changes, fresh: dict[str, list[Step]], who: Identity) -> None:
    """Note whose token brings these steps and reviews, before anybody can see them."""
    if not who.name:
        return
    text = json.dumps({"format": _FORMAT, "who": who.name, "ns": time.time_ns()}).encode() + b"\n"
    ids = [step.id for steps in fresh.values() for step in steps]
    ids += [value for ref, value in changes.new_refs.items() if ref.startswith(REVIEWS)]
    for one in ids:
        served.backend.put(_PEOPLE + one, text)


def person_of(backend: Backend, object_id: str) -> tuple[str, int] | None:
    """(name of the token that brought a step or review, when: ns since 1970, by the server); None: none did."""
    try:
        noted = json.loads(backend.get(_PEOPLE + object_id, 0, 4096))
        return str(noted["who"]), int(noted["ns"])
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError):
        return None


def read_protections(backend: Backend) -> dict[str, Protection]:
    """What the aliases of a repository ask for. Raises IntegrityError for what makes no sense: then none may move."""
    try:
        text = backend.get(PROTECTED, 0, _LARGEST)
    except NotFound:
        return {}
    try:
        kept = json.loads(text)
        if kept["format"] != _FORMAT:
            raise ValueError
        return parse_protections(kept["aliases"], "the server's protection")
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise IntegrityError(
            "what protects the aliases here cannot be read; an administrator must repair it"
        ) from error


def stands(backend: Backend) -> bool:
    """Whether there is a repository."""
    try:
        return backend.size(keys.FORMAT) is not None
    except NotFound:
        return False


def shadow_of(backend: Backend, name: str) -> str | None:
    """The branch or tag of a repository that goes before an alias of this name; None: there is none."""
    try:
        refs = RemoteLog(backend, None, None).latest().refs
    except NotFound:
        return None
    return next((ref for ref in (TAGS + name, HEADS + name) if ref in refs), None)


def write_protections(backend: Backend, protections: dict[str, Protection]) -> None:
    """Keep them; servers over this store know at once."""
    kept = {"format": _FORMAT, "aliases": {name: document(one) for name, one in sorted(protections.items())}}
    backend.put(PROTECTED, json.dumps(kept, indent=1).encode() + b"\n")


class _Move:
    """Steps of one protected alias."""

    def __init__(
        self, served: Served, objects: ObjectReader, after: State, name: str, protection: Protection, who: Identity
    ) -> None:
        self._backend, self._objects, self._after = served.backend, objects, after
        self._name, self._protection, self._who = name, protection, who
        nowhere = Path(served.storage.memory) / "no-reflogs"
        self._looked = _Looked(objects, FixedRefs(after.refs, after.head, nowhere=nowhere), Settings())

    def check(self, tip: str | None, steps: Sequence[Step]) -> None:
        """`steps` are new, the oldest first; `tip` is the step that stands."""
        past = list(history(self._objects, tip, self._name)) if tip is not None else []
        stood = {step.target for step in past}
        now = past[0].target if past else None
        for step in steps:
            lacks = self._lacks(step, now, stood)
            if lacks:
                short = (step.target or step.id)[:7]
                hint = f"mvc approve {short} --for {self._name}, by somebody else, and mvc gate; then push again"
                if tip is not None:
                    ref = f"{ALIASES}{self._name}"
                    hint += f". To take it back: mvc fetch REMOTE +{ref}:{ref}"
                raise Status(422, f"alias '{self._name}' is protected, {short}: {'; '.join(lacks)}", hint=hint)
            now = step.target

    def _lacks(self, step: Step, now: str | None, stood: set[str | None]) -> tuple[str, ...]:
        target = step.target
        if target is None:
            return ("it cannot be removed",)
        found = standing((one for one in self._reviews() if one.target == target), self._by)
        if target in stood:  # it passed once, and may come back in a hurry: unless somebody has said no since
            return (f"{', '.join(found.rejected)} rejected it",) if found.rejected else ()

        def hold(gates: Sequence[Gate]) -> tuple[Outcome, ...]:
            parents = self._objects.commit(target).parents
            return run(self._looked, target, gates, now or (parents[0] if parents else None))

        return lacking(self._protection, found, self._who.name or person(step.who), hold)

    def _reviews(self) -> list[Review]:
        return list(reviews_of(self._objects, self._after.refs, self._name))

    def _by(self, one: Review) -> tuple[str, int]:
        """Whose a review is. Where tokens are used, only what a token brought counts."""
        noted = person_of(self._backend, one.id)
        if noted is not None:
            return noted
        return ("", 0) if self._who.name else (person(one.who), one.who.time)
