"""Reviews: that somebody approved or rejected a commit for an alias, or that a gate ran. docs/format/aliases.md.

Each is a commit of its own, whose one parent is the commit that was judged, under `refs/reviews/ALIAS/ID`: two who
review at once never get in each other's way, and none is changed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from mvc.errors import IntegrityError, ParseError
from mvc.objects import trailers
from mvc.objects.batch import ObjectBatch
from mvc.objects.encoding import is_id
from mvc.objects.model import Commit, Signature
from mvc.objects.reader import ObjectReader
from mvc.objects.refnames import REVIEWS

Verdict = Literal["approve", "reject", "gate-passed", "gate-failed"]

_KEYS = ("Review", "Verdict", "Target")
_VERDICTS: Mapping[str, Verdict] = {
    "approve": "approve",
    "reject": "reject",
    "gate-passed": "gate-passed",
    "gate-failed": "gate-failed",
}


class Review(NamedTuple):
    """One review: of the commit `target`, for `alias`."""

    id: str
    alias: str
    verdict: Verdict
    target: str
    who: Signature
    why: str

    @property
    def ref(self) -> str:
        """Where it stands."""
        return f"{REVIEWS}{self.alias}/{self.id}"


def write_review(batch: ObjectBatch, alias: str, verdict: Verdict, target: str, who: Signature, why: str = "") -> str:
    """Write a review; returns its id."""
    tree = batch.reader.commit(target).tree
    fields = {"Review": alias, "Verdict": verdict, "Target": target}
    message = trailers.compose(f"{verdict} {target[:7]} for {alias}", why, fields)
    return batch.commit(tree, [target], who, who, message)


def parse_review(commit: Commit, alias: str) -> Review:
    """A review from its commit. Raises ParseError unless all that it says goes together."""
    _, why, fields = trailers.split(commit.message, _KEYS)
    verdict = _VERDICTS.get(fields["Verdict"])
    if verdict is None:
        raise ParseError(f"'{fields['Verdict'][:40]}' is no verdict")
    if fields["Review"] != alias:
        raise ParseError("it is a review for another alias")
    if commit.parents != (fields["Target"],):
        raise ParseError("the commit that it claims to judge is not its parent")
    return Review(commit.id, alias, verdict, commit.parents[0], commit.committer, why)


def check_review(objects: ObjectReader, ref: str, value: str) -> Review:
    """The review that stands under a ref. Raises IntegrityError for one that lies, MissingObject."""
    alias, _, name = ref.removeprefix(REVIEWS).rpartition("/")
    try:
        if name != value or not is_id(name) or not alias:
            raise ParseError("its ref does not have its name")
        commit = objects.commit(value)
        if commit.tree != objects.commit(commit.parents[0] if commit.parents else value).tree:
            raise ParseError("it has not the files of the commit that it judges")
        return parse_review(commit, alias)
    except ParseError as error:
        raise IntegrityError(f"'{ref}' is no review: {error.message}") from error


def reviews_of(objects: ObjectReader, refs: Mapping[str, str], alias: str) -> Iterator[Review]:
    """All reviews for an alias among `refs`, in no order. What is none, or not here, is passed over."""
    prefix = f"{REVIEWS}{alias}/"
    for ref, value in refs.items():
        if ref.startswith(prefix) and ref == prefix + value and objects.contains(value):
            try:
                yield check_review(objects, ref, value)
            except IntegrityError:
                continue
