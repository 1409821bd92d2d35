"""A command line without its secrets, for what gets recorded.

Nobody can recognise every secret. What is taken out: the value of an option or assignment
whose name speaks of one, the user part of URLs and the parts of their query that sign, and
words that have the form of a known kind of token. In doubt a value is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "***"

_SECRET_WORDS = (
    "pass|password|passwd|passphrase|passcode|pwd|pin|otp|secrets?|tokens?|tok|creds?|credentials?|auth|authori[sz]ation|"
    "bearer|keys?|apikey|sas|sig|signature|cookie|session|dsn|webhook"
)
_NAME = re.compile(rf"(?:^|[^a-z])(?:{_SECRET_WORDS})(?:$|[^a-z])|(?:password|passwd|secret|token|apikey)$")
_HARMLESS = re.compile(
    # Tokens of a vocabulary, and keys that are names: what machine learning calls so.
    r"(?:^|[^a-z])(?:pad|eos|bos|unk|mask|cls|sep|image|max|min|num|n|special|new|vocab|total|per)[^a-z]"
    r"(?:\w+[^a-z])?tok(?:en)?s?(?:$|[^a-z])"
    r"|tok(?:en)?s?[^a-z](?:len|length|count|limit|per|size|ids?|types?|dropout|budget|level|classification)"
    r"|(?:sort|primary|foreign|group|label|text|image|column|dict|cache|head|query|num|n|max)[^a-z]keys?(?:$|[^a-z])"
    r"|^keys$|^tokens$"
)

_URL_USER = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#\s@]*(?:@[^/?#\s@]*)*@")
_QUERY = re.compile(r"(?P<before>[?&;])(?P<name>[^=&;#\s]+)=(?P<value>[^&;#\s]*)")
_HEADER = re.compile(
    r"(?P<name>(?:proxy-)?authorization|x-api-key|x-auth-token|cookie|private-token)(?P<sep>\s*[:=]\s*).+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(?P<scheme>bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE)
_TOKEN_FORMS = (
    r"(?:hf|api_org|gh[pousr]|npm|r8|mvc)_[A-Za-z0-9]{16,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"(?:sk|rk|pk|glpat|nvapi|pypi)-[A-Za-z0-9_-]{16,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"ya29\.[A-Za-z0-9_-]{20,}",
    r"dop_v1_[a-f0-9]{32,}",
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"-----BEGIN[^-]*PRIVATE KEY-----[\s\S]*",
)
_TOKENS = re.compile("|".join(_TOKEN_FORMS))
_LONG_WORD = re.compile(r"[A-Za-z0-9+_-]{40,}={0,2}")
_ASSIGNED_NAME = re.compile(r"-{0,2}[\w.+/-]+\Z")
_NUMBER = re.compile(r"-\d+(?:\.\d*)?(?:e-?\d+)?\Z", re.IGNORECASE)
_PASSWORD_BY_P = {"mysql", "mysqldump", "mysqladmin", "sshpass", "mariadb"}
_USER_OPTIONS = {"-u", "--user", "--proxy-user"}
_MOST = 10_000  # characters of a word that are looked at: what follows is cut off


def without_secrets(arguments: Iterable[str]) -> list[str]:
    """The words of a command line, each secret replaced by "***"."""
    clean: list[str] = []
    program = ""
    hide = user = False
    for word in arguments:
        program = program or word.replace("\\", "/").rsplit("/", 1)[-1]
        option = word.startswith("-") and not _NUMBER.match(word)
        if hide and not option:
            clean.append(REDACTED)
        elif user and not option and ":" in word:
            clean.append(f"{word.partition(':')[0]}:{REDACTED}")
        elif program in _PASSWORD_BY_P and word.startswith("-p") and word != "-p":
            clean.append("-p" + REDACTED)
        else:
            clean.append(_word(word[:_MOST]))
        hide = option and "=" not in word and speaks_of_secret(word)
        user = word in _USER_OPTIONS
    return clean


def speaks_of_secret(name: str) -> bool:
    """Whether the name of an option, variable or query field says that its value is a secret."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("-")[:_MOST]).lower()
    return _NAME.search(spaced) is not None and _HARMLESS.search(spaced) is None


def without_credentials(url: str) -> str:
    """A URL (or a text that holds some) without user, password and signing query fields."""

    def field(found: re.Match[str]) -> str:
        secret = speaks_of_secret(found["name"]) or found["name"].lower().startswith("x-amz-")
        return f"{found['before']}{found['name']}={REDACTED if secret else found['value']}"

    return _QUERY.sub(field, _URL_USER.sub(r"\g<scheme>", url))


def _word(word: str) -> str:
    name, assigned, value = word.partition("=")
    if assigned and value and _ASSIGNED_NAME.match(name):
        if speaks_of_secret(name):
            return f"{name}={REDACTED}"
        # `--param api_key=...`, `--set env.TOKEN=...`, `--env=TOKEN=...`: an assignment inside.
        return f"{name}={_word(value)}"
    word = without_credentials(word)
    word = _HEADER.sub(rf"\g<name>\g<sep>{REDACTED}", word)
    word = _SCHEME.sub(rf"\g<scheme> {REDACTED}", word)
    word = _TOKENS.sub(REDACTED, word)
    return word if "/" in word or "\\" in word else _LONG_WORD.sub(_unless_plain, word)


def _unless_plain(found: re.Match[str]) -> str:
    """A long word of capitals, small letters and digits is taken for a secret; a hash in hex or a long name is not."""
    word = found[0]
    mixed = any(c.isupper() for c in word) and any(c.islower() for c in word) and any(c.isdigit() for c in word)
    return REDACTED if mixed else word
