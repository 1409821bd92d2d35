"""Model cards: README.md with YAML front matter, as on the Hub (https://huggingface.co/docs/hub/model-cards).

A card is a person's text. Whatever it holds it is read, and what is wrong with it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mvc.errors import ParseError
from mvc.lazy import load
from mvc.metadata.model import Flat
from mvc.metadata.values import flatten

NAME = "README.md"

MAX_BYTES = 4 * 1024 * 1024
"""Of a card that are looked at; the Hub takes no larger ones either."""

MAX_FRONT = 1024 * 1024
"""Of its front matter."""

MOST_PROBLEMS = 20

_YAML = "mvc.metadata.yaml12:read_marked"
_FENCE = re.compile(r"---[ \t]*(?:\r\n|\n|\r|\Z)")
_END = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*\Z|(?:code|multilingual)\Z")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\Z")
_NAME_ON_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?\Z")
_RELATIONS = ("adapter", "finetune", "merge", "quantized")
_BOMS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_NONE: Flat = MappingProxyType({})
_LISTS = ("datasets", "language", "metrics", "tags", "base_model", "license")


@dataclass(frozen=True, slots=True)
class Card:
    """A model card."""

    front: Flat
    """The front matter, names in groups joined by dots; lists are lists. Empty where there is none."""
    body: str
    """The text below."""
    problems: tuple[str, ...]
    """What is wrong with it: "line 3: ..."."""

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a field that takes one or several: `tags`, `datasets`, `base_model`."""
        value = self.front.get(name)
        found = value if isinstance(value, list) else [value]
        return tuple(str(one) for one in found if isinstance(one, (str, int, float)) and not isinstance(one, bool))

    @property
    def licence(self) -> str | None:
        """Its licence, by the Hub's name of it."""
        names = self.words("license")
        return names[0] if names else None


def read_card(data: bytes) -> Card:
    """The card that `data` is. Never raises: what cannot be read is among its problems."""
    problems: list[str] = []
    text = _decoded(data, problems)
    front, body, first = _split(text, problems)
    groups: Any = {}
    lines: Mapping[tuple[str, ...], int] = {}
    if front is not None:
        try:
            groups, lines = load(_YAML)(front)
            if not isinstance(groups, dict):
                problems.append(f"line {first}: the front matter has no names at its top")
                groups = {}
        except ParseError as error:
            problems.append(_moved(error.message, first - 1))
        except RecursionError:
            problems.append(f"line {first}: the front matter is nested too deep")
    for name, problem in _check(groups):
        line = lines.get((name,))
        problems.append(f"line {line + first - 1}: {problem}" if line else problem)
    try:
        flat = flatten(groups)
    except ParseError as error:
        problems.append(f"line {first}: {error.message}")
        flat = {}
    return Card(MappingProxyType(flat), body, tuple(problems[:MOST_PROBLEMS]))


def _decoded(data: bytes, problems: list[str]) -> str:
    if len(data) > MAX_BYTES:
        problems.append(f"larger than {MAX_BYTES >> 20} MiB: what is beyond is not read")
        data = data[:MAX_BYTES]
    codec = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    if codec is not None:
        problems.append(f"line 1: {codec.upper()}: the Hub reads UTF-8 alone")
        return data.decode(codec, "replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) < MAX_BYTES or error.start < MAX_BYTES - 4:
            line = data.count(b"\n", 0, error.start) + 1
            problems.append(f"line {line}: not UTF-8")
        return data.decode("utf-8-sig", "replace")


def _split(text: str, problems: list[str]) -> tuple[str | None, str, int]:
    """The front matter (None: there is none), the text below, and the line at which the first of them begins."""
    start = len(text) - len(text.lstrip())
    opened = _FENCE.match(text, start)
    if opened is None:
        return None, text, 1
    first = text.count("\n", 0, opened.end()) + 1
    closed = _END.search(text, opened.end())
    if closed is None:
        problems.append(f"line {first - 1}: the front matter has no end: a line of ---")
        return None, text, 1
    if closed.start() - opened.end() > MAX_FRONT:
        problems.append(f"line {first - 1}: the front matter is larger than {MAX_FRONT >> 20} MiB: not read")
        return None, text[closed.end() :].lstrip("\r\n"), 1
    return text[opened.end() : closed.start()], text[closed.end() :].lstrip("\r\n"), first


def _moved(message: str, by: int) -> str:
    """An error of the front matter, with the line of the file."""
    found = re.match(r"line (\d+): ", message)
    return f"line {int(found[1]) + by}: {message[found.end() :]}" if found else f"line {by + 1}: {message}"


def _check(groups: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it), by the Hub's rules."""
    for name in _LISTS:
        value = groups.get(name)
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            if isinstance(one, bool) or not isinstance(one, str):
                yield name, f"{name}: {_short(one)} is no word: put it in quotes"
            elif problem := _word_problem(name, one):
                yield name, problem
    yield from _single_words(groups)
    if "model-index" in groups:
        yield from (("model-index", problem) for problem in _index_problems(groups["model-index"]))


def _word_problem(name: str, word: str) -> str:
    if name == "language" and not _LANGUAGE.match(word):
        return f"language: '{_short(word)}' is no code of ISO 639, such as en, de, zh"
    if name == "license" and not _LICENCE.match(word):
        return f"license: '{_short(word)}' is not the name of one, such as apache-2.0, mit, other"
    if name in ("datasets", "base_model") and not _NAME_ON_HUB.match(word) and "://" not in word and "/" not in word:
        return f"{name}: '{_short(word)}' names nothing on the Hub"
    return "" if word.strip() else f"{name}: an empty word"


def _single_words(groups: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("pipeline_tag", "library_name", "license_name", "base_model_relation"):
        if name in groups and not isinstance(groups[name], str):
            yield name, f"{name}: {_short(groups[name])} is not one word"
    relation = groups.get("base_model_relation")
    if isinstance(relation, str) and relation not in _RELATIONS:
        yield "base_model_relation", f"base_model_relation: '{_short(relation)}' is none of {', '.join(_RELATIONS)}"
    if groups.get("license") == "other" and not groups.get("license_name"):
        yield "license", "license: other, but license_name does not say which"


def _index_problems(index: Any) -> Iterator[str]:
    """What is wrong with `model-index`: [{name, results: [{task, dataset, metrics: [{type, value}]}]}]."""
    if not isinstance(index, list) or not all(isinstance(model, dict) for model in index):
        yield "model-index: it has to be a list of groups"
        return
    for model in index:
        results = model.get("results")
        if not isinstance(model.get("name"), str):
            yield "model-index: a model without a name"
        if not isinstance(results, list):
            yield "model-index: a model without results"
            continue
        for result in results:
            yield from _result_problems(result)


def _result_problems(result: Any) -> Iterator[str]:
    if not isinstance(result, dict):
        yield "model-index: a result has to be a group"
        return
    for part, fields in (("task", ("type",)), ("dataset", ("type", "name"))):
        group = result.get(part)
        for field in fields:
            if not isinstance(group, dict) or not isinstance(group.get(field), str):
                yield f"model-index: a result without {part}.{field}"
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield "model-index: a result without metrics"
        return
    for metric in metrics:
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str) or "value" not in metric:
            yield "model-index: a metric without type and value"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "..."
