"""How values and constants compare: what the catalogue stores of a value, and the rules in one place.

A stored value has a number, a text, or both:

| value | number | text |
|---|---|---|
| whole number of 64 bits, float | itself | |
| larger whole number | the nearest float | `n`: its digits |
| NaN | | `n`: nan |
| words | that which they read as, if they do ("1e-3") | `s`: the words |
| true, false, null | | `b`, `z` |
| list | | `j`: as JSON |

So a number without quotes compares with numbers, and with words that read as one (as MLflow keeps all params);
exactly, whole numbers with floats, too. Words compare with words, by code points; in quotes, what reads as a number
is found as number, too.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from mvc.catalogue.syntax import SECTIONS
from mvc.lazy import load
from mvc.metadata.model import CommitMetadata
from mvc.metadata.values import scalar

LARGEST = 2**63
_JSON = "json:{}"
"""Loaded for lists alone."""

TRUE, FALSE, NULL = 1, 2, 3
"""Texts that every catalogue has under these ids. Ids below 0 are of kind `n`."""
FIRST_WORDS = 4


class Stored(NamedTuple):
    """As in the table above. `kind` is None where there is no text."""

    number: int | float | None
    kind: str | None = None
    text: str = ""


class Values(NamedTuple):
    """All values of a commit, as they are stored. Commits that have the same names share the tuple of names."""

    names: tuple[tuple[str, str], ...]
    """(section, name)"""
    numbers: tuple[int | float | None, ...]
    """Of each name."""
    texts: tuple[tuple[int, str, str], ...]
    """Of those that have one: which of the names it is, kind, text."""


_names: dict[tuple[tuple[str, ...], ...], tuple[tuple[str, str], ...]] = {}
_MOST_NAMES = 256


def values_of(metadata: CommitMetadata) -> Values:
    """The values of a commit."""
    sections = metadata.params, metadata.metrics, metadata.tags, metadata.environment, metadata.links
    key = tuple([tuple(section) for section in sections])
    names = _names.get(key)
    if names is None:
        names = tuple((title, name) for title, own in zip(SECTIONS, key, strict=True) for name in own)
        if len(_names) >= _MOST_NAMES:
            _names.clear()
        _names[key] = names
    numbers = [value for section in sections for value in section.values()]
    texts = []
    for at, value in enumerate(numbers):
        if type(value) is not float or value != value:  # nearly all metrics are plain floats
            numbers[at], kind, text = stored(value)
            if kind is not None:
                texts.append((at, kind, text))
    return Values(names, tuple(numbers), tuple(texts))


def clean(text: str) -> str:
    """Text as SQLite takes it: bytes that were no UTF-8, and NUL, become U+FFFD."""
    if text.isascii() or text.isprintable():
        return text.replace("\0", "\ufffd")
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


def stored(value: Any) -> Stored:
    """What the catalogue keeps of a value."""
    kind = type(value)
    if kind is float:
        return Stored(value) if value == value else Stored(None, "n", "nan")
    if kind is int:
        return _whole(value)
    if kind is str:
        number = reads_as(value)
        return Stored(number, "s", clean(value))
    if kind is bool:
        return Stored(None, "b", "true" if value else "false")
    if value is None:
        return Stored(None, "z", "null")
    return Stored(None, "j", clean(load(_JSON.format("dumps"))(value, ensure_ascii=False, default=str)))


def reads_as(text: str) -> int | float | None:
    """The number that words read as, as stored; None for other words, and for NaN."""
    if not text or not (text[0] in "+-." or "0" <= text[0] <= "9"):
        return None
    found = scalar(text)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return comparable(found)


def comparable(number: int | float) -> int | float | None:
    """A number as it is compared: whole ones beyond 64 bits as the nearest float. None for NaN."""
    if isinstance(number, int):
        return _whole(number).number
    return None if math.isnan(number) else number


def value_of(number: int | float | None, kind: str | None, text: str) -> Any:
    """The value that was stored so."""
    if kind is None:
        return number
    if kind == "s":
        return text
    if kind == "b":
        return text == "true"
    if kind == "z":
        return None
    if kind == "n":
        return math.nan if text == "nan" else int(text)
    try:
        return load(_JSON.format("loads"))(text)
    except (ValueError, RecursionError):
        return text


def number_text(number: int | float) -> str:
    """A number as it is matched by patterns."""
    return repr(number)


def _whole(value: int) -> Stored:
    if -LARGEST <= value < LARGEST:
        return Stored(value)
    try:
        return Stored(float(value), "n", str(value))
    except (OverflowError, ValueError):  # of hundreds of digits; of thousands
        return Stored(math.inf if value > 0 else -math.inf)
