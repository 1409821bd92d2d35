"""A command line without its secrets, for what gets recorded.

Nobody can recognise every secret. What is taken out: the value of an option or assignment
whose name speaks of one, the user part of URLs and the parts of their query that sign, and
words that have the form of a known kind of token. In doubt a value is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "***"

_WORD = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|tok(?:en)?s?|credentials?|creds?|auth(?:orization|orisation)?|bearer|"
    r"api[_-]?key|apikey|access[_-]?key(?:[_-]?id)?|private[_-]?key|signing[_-]?key|encryption[_-]?key|"
    r"account[_-]?key|license[_-]?key|secret[_-]?key|ssh[_-]?key|deploy[_-]?key|sas|sig|signature|cookie|session[_-]?id|dsn|"
    r"connection[_-]?string|webhook|pin|otp|key)"
)
_NAME = re.compile(rf"(?:^|[^a-z]){_WORD}(?:$|[^a-z])|^{_WORD}$|(?:password|secret|apikey|passwd|token)$", re.IGNORECASE)
_ENV = re.compile(r"^(?:[A-Z][A-Z0-9_]*)=", re.ASCII)
_HARMLESS = re.compile(
    r"(?:^|[^a-z])(?:pad|eos|bos|unk|mask|max|min|num|n|special|new|vocab)[_-](?:token|tok)|"
    r"(?:token|tok)(?:s|izer|ize)?[_-](?:len|length|count|limit|per|size|id|ids|type|types|path|name|dropout)|tokenizer|^tokens$|"
    r"(?:sort|primary|foreign|group|label|text|image|column)[_-]?key",
    re.IGNORECASE,
)
_URL_USER = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#\s@]*(?:@[^/?#\s@]*)*@")
_QUERY = re.compile(r"(?P<before>[?&;])(?P<name>[^=&;#\s]+)=(?P<value>[^&;#\s]*)")
_HEADER = re.compile(
    r"(?P<name>(?:proxy-)?authorization|x-api-key|x-auth-token|cookie|private-token)(?P<sep>\s*[:=]\s*).+", re.IGNORECASE
)
_SCHEME = re.compile(r"\b(?P<scheme>bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE)
_TOKENS = re.compile(
    r"hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|"
    r"glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}|"
    r"npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{32,}|r8_[A-Za-z0-9]{20,}|nvapi-[A-Za-z0-9_-]{20,}|"
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|mvc_[A-Za-z0-9]{16,}|-----BEGIN[^-]*PRIVATE KEY-----[\s\S]*"
)
_BLOB = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z0-9+_-]*[0-9])(?=[A-Za-z0-9+_-]*[A-Z])(?=[A-Za-z0-9+_-]*[a-z])[A-Za-z0-9+_-]{40,}={0,2}(?![A-Za-z0-9])")
_SHORT_PASSWORD = re.compile(r"^-p.+")
_PASSWORD_BY_P = ("mysql", "mysqldump", "mysqladmin", "sshpass", "mariadb")
_USER_OPTIONS = ("-u", "--user", "--proxy-user")


def without_secrets(arguments: Iterable[str]) -> list[str]:
    """The words of a command line, each secret replaced by "***"."""
    clean: list[str] = []
    hide_next = False
    program = ""
    for word in arguments:
        if not program:
            program = word.replace("\\", "/").rsplit("/", 1)[-1]
        option = word.startswith("-") and not _is_number(word)
        if hide_next and not option:
            clean.append(REDACTED)
            hide_next = False
            continue
        previous = clean[-1] if clean else ""
        if previous in _USER_OPTIONS and not option and ":" in word:
            clean.append(word.partition(":")[0] + ":" + REDACTED)
            continue
        if program in _PASSWORD_BY_P and _SHORT_PASSWORD.match(word):
            clean.append("-p" + REDACTED)
            continue
        hide_next = option and "=" not in word and speaks_of_secret(word)
        clean.append(_word(word))
    return clean


def speaks_of_secret(name: str) -> bool:
    """Whether the name of an option, variable or query field says that its value is a secret."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("-"))
    return _NAME.search(spaced) is not None and _HARMLESS.search(spaced) is None


def without_credentials(url: str) -> str:
    """A URL (or a text that holds some) without user, password and signing query fields."""

    def field(found: re.Match[str]) -> str:
        secret = speaks_of_secret(found["name"]) or found["name"].lower().startswith("x-amz-")
        return f"{found['before']}{found['name']}={REDACTED if secret else found['value']}"

    return _QUERY.sub(field, _URL_USER.sub(r"\g<scheme>", url))


def _word(word: str) -> str:
    name, assigned, value = word.partition("=")
    if assigned and value and _assigns(name) and speaks_of_secret(name):
        return f"{name}={REDACTED}"
    word = without_credentials(word)
    word = _HEADER.sub(rf"\g<name>\g<sep>{REDACTED}", word)
    word = _SCHEME.sub(rf"\g<scheme> {REDACTED}", word)
    word = _TOKENS.sub(REDACTED, word)
    if _looks_like_path(word):
        return word
    return _BLOB.sub(REDACTED, word)


def _assigns(name: str) -> bool:
    return re.fullmatch(r"-{0,2}[\w.+/-]+", name) is not None


def _looks_like_path(word: str) -> bool:
    return "/" in word or "\\" in word


def _is_number(word: str) -> bool:
    return re.fullmatch(r"-\d+(?:\.\d*)?(?:e-?\d+)?", word, re.IGNORECASE) is not None
