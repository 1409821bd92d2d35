"""Gates as JUnit XML, in the form that Jenkins, GitLab and GitHub's reporters read: a test case a gate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not (its production `Char`)."""


class Case(NamedTuple):
    """One test case; `failure` is None for one that passed."""

    name: str
    failure: str | None
    output: str = ""


def junit(suite: str, cases: Sequence[Case], properties: Sequence[tuple[str, str]] = ()) -> str:
    """The document, with its declaration. What XML cannot hold stands as an escape."""
    failures = sum(case.failure is not None for case in cases)
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name={_attribute(suite)} {counts} time="0">',
        f'  <testsuite name={_attribute(suite)} {counts} skipped="0" time="0">',
    ]
    if properties:
        rows = (f"      <property name={_attribute(k)} value={_attribute(v)}/>" for k, v in properties)
        lines += ["    <properties>", *rows, "    </properties>"]
    for case in cases:
        head = f'    <testcase classname={_attribute(suite)} name={_attribute(case.name)} time="0"'
        inside = []
        if case.failure is not None:
            message = f"message={_attribute(case.failure)}"
            inside.append(f'      <failure {message} type="gate">{_text(case.failure)}</failure>')
        if case.output:
            inside.append(f"      <system-out>{_text(case.output)}</system-out>")
        lines += [f"{head}>", *inside, "    </testcase>"] if inside else [f"{head}/>"]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def _clean(text: str) -> str:
    return _NO_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _text(text: str) -> str:
    return _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
