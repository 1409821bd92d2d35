"""What a query may ask about: sections of names, and the attributes of a commit."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mvc.lazy import load

Kind = Literal["id", "text", "words", "names", "branch", "person", "date", "number", "label"]
_CLOSE_MATCHES = "difflib:get_close_matches"
"""Loaded for a name that nobody has."""


class Attribute(NamedTuple):
    """`kind` says how it is compared; `also` are other names for it, MLflow's among them."""

    kind: Kind
    what: str
    also: tuple[str, ...] = ()


ATTRIBUTES: dict[str, Attribute] = {
    "id": Attribute("id", "the commit's id, which may be shortened", ("commit", "run_id")),
    "name": Attribute(
        "names", "branches, tags, aliases and runs that are at the commit, and `tags.name`", ("run_name",)
    ),
    "branch": Attribute("branch", "branches that hold the commit, fetched ones as origin/main", ("branches",)),
    "tag": Attribute("names", "Git tags at the commit", ("git_tag",)),
    "alias": Attribute("names", "aliases that stand for the commit", ("aliases", "stage")),
    "run": Attribute("names", "training runs that have the commit as a checkpoint", ("runs",)),
    "author": Attribute("person", "the author's name or address", ("user_id", "user", "email")),
    "date": Attribute("date", "when it was committed", ("time", "start_time", "end_time", "created")),
    "subject": Attribute("text", "the first paragraph of the message", ("title",)),
    "message": Attribute("text", "the whole message", ("description",)),
    "text": Attribute("words", "full text of message and card", ("words",)),
    "card": Attribute("words", "full text of the card, README.md", ("readme",)),
    "path": Attribute("label", "files that the commit added or changed", ("paths", "file")),
    "size": Attribute("number", "bytes of all its files", ("bytes",)),
    "parents": Attribute("number", "how many parents it has: a merge has several"),
    "dataset": Attribute("label", "the name of a dataset", ("datasets", "dataset.name")),
    "dataset.digest": Attribute("label", "its digest"),
    "dataset.location": Attribute("label", "its path or URI", ("dataset.uri", "dataset.path", "dataset.source")),
    "dataset.split": Attribute("label", "which part of it", ("dataset.context",)),
    "dataset.licence": Attribute("label", "its licence", ("dataset.license",)),
    "base": Attribute("label", "the commit or URI that it was fine-tuned from", ("bases", "base.commit")),
    "base.location": Attribute("label", "the URI of its base", ("base.uri",)),
    "base.path": Attribute("label", "the file of its base"),
}

_SECTIONS = {
    "params": ("params", "param", "parameters", "parameter"),
    "metrics": ("metrics", "metric"),
    "tags": ("tags", "tag"),
    "environment": ("environment", "env"),
    "links": ("links", "link"),
}
SECTION_OF = {name: section for section, names in _SECTIONS.items() for name in names}
ATTRIBUTE_PREFIXES = ("attributes", "attribute", "attr", "run")
ATTRIBUTE_OF = {name: one for one, attribute in ATTRIBUTES.items() for name in (one, *attribute.also)}

MILLISECONDS = ("start_time", "end_time", "created")
"""MLflow counts these in milliseconds since 1970."""


def near(name: str, known: list[str], most: int = 3) -> list[str]:
    """Those of `known` that somebody may have meant who typed `name`, the nearest first."""
    bare = name.casefold()
    if not bare:
        return []
    found = [one for one in known if one.casefold() == bare]
    found += [one for one in known if bare in one.casefold().replace("/", ".").split(".")]
    found += load(_CLOSE_MATCHES)(name, known, n=most, cutoff=0.7)
    if len(bare) > 2:
        found += sorted((one for one in known if one.casefold().startswith(bare)), key=len)
    return list(dict.fromkeys(one for one in found if one != name))[:most]
