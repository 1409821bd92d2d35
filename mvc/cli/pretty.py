"""`--format` of `log` and `show`: a commit in the user's own words, with Git's placeholders.

Those of git-log(1), "PRETTY FORMATS", but for signatures, trailers, notes and padding. What is none stays as it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from mvc.cli.colours import CODES
from mvc.cli.dates import git_date, iso_date, relative_date
from mvc.cli.names import decorated, plain_names, short_id
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.objects.model import Commit, Signature
from mvc.ops.names import Decoration

NAMED = {
    "oneline": "tformat:%C(yellow)%H%Creset%C(auto)%d%Creset %s",
    "short": "format:%C(yellow)commit %H%Creset%C(auto)%d%nAuthor: %an <%ae>%n%n    %s%n",
    "reference": "tformat:%C(auto)%h (%s, %as)",
}
"""Git's names for formats that placeholders can say."""

_PART = re.compile(
    r"%(?:x[0-9a-fA-F]{2}|C\([^)]*\)|C(?:red|green|blue|reset)|[ac](?:[neltdDriIs]|N|E|L)|[HhTtPpsfbBdDn%meN])",
    re.DOTALL,
)
_DASHES = re.compile(r"[^A-Za-z0-9._]+")


class Pretty:
    """A format, once looked at. `ends`: each commit ends its line (`tformat:`); else line ends stand between them."""

    def __init__(self, text: str) -> None:
        """Raises UsageError for a word that is no format."""
        text = NAMED.get(text, text)
        kind, colon, rest = text.partition(":")
        if colon and kind in ("format", "tformat"):
            self.ends, self._text = kind == "tformat", rest
        elif "%" in text or not text:
            self.ends, self._text = True, text
        else:
            known = ", ".join(("medium", *NAMED))
            raise UsageError(f"'{text}' is no format", hint=f"--format='%H %s', or one of: {known}")
        self.says_nothing = not self._text
        self.decorates = re.search(r"%[dD]", self._text) is not None

    def __call__(self, session: Session, commit: Commit, names: Sequence[Decoration]) -> str:
        """The commit, in lines without the last one's end."""
        return _PART.sub(lambda found: _said(session, commit, names, found[0][1:]), self._text)

    def with_files(self, lines: list[str], files: list[str]) -> list[str]:
        """The commit's lines, and below them those of the files that it changed."""
        if not self.ends:
            return [*lines, *files, ""]
        return [*lines, "", *files] if lines else files


def _said(session: Session, commit: Commit, names: Sequence[Decoration], what: str) -> str:
    if what[0] == "x":
        return chr(int(what[1:], 16))
    if what[0] == "C":
        return _colour(session, what[1:].strip("()"))
    if what[0] in "ac":
        return _who(commit.author if what[0] == "a" else commit.committer, what[1])
    if what in "dD":
        return decorated(session, names) if what == "d" else plain_names(names)
    return _OF_COMMIT[what](session, commit)


def _who(who: Signature, what: str) -> str:
    return printable(_OF_PERSON[what.lower() if what in "NEL" else what](who))


def _body(commit: Commit) -> str:
    """What stands behind the first paragraph."""
    return commit.message.strip("\n").partition("\n\n")[2].lstrip("\n")


def _as_file_name(message: str) -> str:
    """Its first line, of letters, digits, dots, dashes and "_" alone."""
    first = message.lstrip("\n").partition("\n")[0]
    return re.sub(r"\.+", ".", _DASHES.sub("-", first)).lstrip("-").rstrip(".-")


def _lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _short_ids(session: Session, ids: Sequence[str]) -> str:
    return " ".join(short_id(session, one) for one in ids)


_OF_COMMIT: dict[str, Callable[[Session, Commit], str]] = {
    "H": lambda _, commit: commit.id,
    "h": lambda session, commit: short_id(session, commit.id),
    "T": lambda _, commit: commit.tree,
    "t": lambda session, commit: short_id(session, commit.tree),
    "P": lambda _, commit: " ".join(commit.parents),
    "p": lambda session, commit: _short_ids(session, commit.parents),
    "s": lambda _, commit: printable(commit.summary),
    "f": lambda _, commit: _as_file_name(commit.message),
    "b": lambda _, commit: f"{_lines(body)}\n" if (body := _body(commit)) else "",
    "B": lambda _, commit: f"{_lines(whole)}\n" if (whole := commit.message.strip("\n")) else "",
    "n": lambda *_: "\n",
    "%": lambda *_: "%",
    "m": lambda *_: ">",
    "e": lambda *_: "",
    "N": lambda *_: "",
}
_OF_PERSON: dict[str, Callable[[Signature], str]] = {
    "n": lambda who: who.name,
    "e": lambda who: who.email,
    "l": lambda who: who.email.partition("@")[0],
    "t": lambda who: str(who.time),
    "d": git_date,
    "D": lambda who: _mail_date(git_date(who)),
    "r": lambda who: relative_date(who.time, int(time.time())),
    "i": lambda who: _spaced(iso_date(who)),
    "I": iso_date,
    "s": lambda who: iso_date(who)[:10],
}


def _mail_date(text: str) -> str:
    """ "Thu Jan 1 12:00:00 2026 +0100" as "Thu, 1 Jan 2026 12:00:00 +0100"."""
    weekday, month, day, clock, year, zone = text.split(" ")
    return f"{weekday}, {day} {month} {year} {clock} {zone}"


def _spaced(text: str) -> str:
    """ "2026-01-01T12:00:00+01:00" as "2026-01-01 12:00:00 +0100"."""
    return f"{text[:10]} {text[11:19]} {text[19:22]}{text[23:]}"


def _colour(session: Session, words: str) -> str:
    """The escape sequence that begins a colour, where colours are on; what is no colour of ours is none."""
    if session.paint("x", "bold") == "x":
        return ""
    codes = [CODES.get(word, "0" if word == "reset" else "") for word in words.split()]
    return f"\x1b[{';'.join(filter(None, codes))}m" if any(codes) else ""
