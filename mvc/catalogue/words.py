"""Text as words for full-text search, in any script.

Latin and its like: letters and digits in a row are a word, case and accents left aside. Chinese, Japanese and Korean
(and Thai, Lao, Khmer, Burmese, which leave no blanks between words either) are indexed as pairs of characters,
"模型训练" as 模型 型训 训练 练: so each part of a text of one character or more is found, and nothing else is. SQLite's
own tokenizers do not do it: `unicode61` takes a whole sentence for a word, `trigram` finds no word of two characters.
An emoji is a word by itself.

SQLite gets the words apart by blanks, and its tokenizer `ascii` leaves them as they are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

MAX_TEXT = 256 * 1024
"""Characters of one text that are indexed."""

_ASCII = re.compile(r"[a-z0-9]+")
_DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u30ff\u3100-\u318f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b2ff\U00020000-\U0003ffff"
)
_SYMBOL = "\u2190-\u2bff\u3200-\u33ff\U0001f000-\U0001faff"
_PART = (
    f"(?P<dense>[{_DENSE}]+)|(?P<symbol>[{_SYMBOL}])"
    f"|(?P<word>(?:(?![{_DENSE}{_SYMBOL}])[^\\W_]|(?<=\\w)[\u0300-\u036f\u0900-\u0dff])+)"
)
_ACCENTED = "[\u00c0-\u024f\u0370-\u052f\u1e00-\u1fff]"


class Phrase(NamedTuple):
    """Words in a row; with `begins`, the last is only how a word begins."""

    words: tuple[str, ...]
    begins: bool


def indexed(text: str) -> str:
    """The words of a text, apart by blanks, for the index."""
    text = text[:MAX_TEXT]
    if text.isascii():
        return text.lower()  # the tokenizer takes it apart in the same way
    return " ".join(_words(text))


def phrase(text: str) -> Phrase | None:
    """What to look for: a phrase that the words of every text with `text` in it hold. None where there is no word in
    it.

    A star at the end stands for any end of the last word.
    """
    text = text.strip()
    begins = text.endswith("*")
    parts = _parts(text.rstrip("*"))
    if not parts:
        return None
    words: list[str] = []
    for kind, part in parts[:-1]:
        words += _pairs(part) if kind == "dense" else [part]
    kind, last = parts[-1]
    if kind != "dense":
        return Phrase((*words, last), begins)
    # Text may go on behind the last character: then it begins a pair.
    return Phrase((*words, *(_pairs(last)[:-1] if len(last) > 1 else [last])), begins or len(last) == 1)


def match_of(wanted: Phrase) -> str:
    """The phrase in FTS5's query language. Words hold letters, digits and symbols alone: no quote."""
    return f'"{" ".join(wanted.words)}"{" *" if wanted.begins else ""}'


def plain_glob(wanted: Phrase) -> str:
    """The phrase as a glob for the plain text that stands in for FTS5 where SQLite was built without."""
    return f"* {' '.join(wanted.words)}{'' if wanted.begins else ' '}*"


def plain_text(text: str) -> str:
    """As `indexed`, for `plain_glob`."""
    return f" {' '.join(_words(text[:MAX_TEXT]))} "


def _words(text: str) -> list[str]:
    found: list[str] = []
    for kind, part in _parts(text):
        found += _pairs(part) if kind == "dense" else [part]
    return found


def _parts(text: str) -> list[tuple[str, str]]:
    if text.isascii():
        return [("word", word) for word in _ASCII.findall(text.lower())]
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = _pattern(_ACCENTED).sub(lambda found: _bare(found[0]), text)
    return [(found.lastgroup or "", found[0]) for found in _pattern(_PART).finditer(text)]


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)  # takes 10 ms: most searches do without


@lru_cache(maxsize=1024)
def _bare(letter: str) -> str:
    """A letter without its accents: "é" as "e"."""
    return "".join(c for c in unicodedata.normalize("NFD", letter) if not unicodedata.combining(c))


def _pairs(run: str) -> list[str]:
    return [*(run[i : i + 2] for i in range(len(run) - 1)), run[-1]]
