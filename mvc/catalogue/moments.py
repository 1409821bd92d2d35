"""Dates in a query: a day is all of it, a moment a second."""

from __future__ import annotations

import re
import time

from mvc.errors import UsageError
from mvc.objects.dates import parse_date

_DAY = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?\Z", re.ASCII)
_MILLISECONDS = 100_000_000_000
"""A number from here on counts milliseconds, as MLflow does: in seconds it would be the year 5138."""
_LARGEST = 2**62


def bounds(moment: int | float | str, now: int | None = None) -> tuple[int, int]:
    """The first and the last second of a year, a month, a day, a moment ("2 weeks ago"). Raises UsageError."""
    if isinstance(moment, str):
        return _of_text(moment.strip(), now)
    if moment != moment or abs(moment) >= _LARGEST:
        raise UsageError(f"{moment} is not a date", hint="2026-01-31")
    if 1900 <= moment <= 2200:
        return _calendar(int(moment), None, None)
    second = int(moment // 1000 if abs(moment) >= _MILLISECONDS else moment)
    return second, second


def _of_text(text: str, now: int | None) -> tuple[int, int]:
    found = _DAY.match(text)
    if found is not None:
        return _calendar(int(found[1]), int(found[2]) if found[2] else None, int(found[3]) if found[3] else None)
    if text.lower() in ("today", "yesterday"):
        year, month, day = time.localtime(now)[:3]
        return _calendar(year, month, day - (text.lower() == "yesterday"), checked=False)
    moment = parse_date(text, now)
    if not -_LARGEST < moment < _LARGEST:
        raise UsageError(f"'{text}' is not a date", hint="2026-01-31")
    return moment, moment


def _calendar(year: int, month: int | None, day: int | None, *, checked: bool = True) -> tuple[int, int]:
    if checked and not (1 <= (month or 1) <= 12 and 1 <= (day or 1) <= 31):
        raise UsageError(f"{year}-{month}-{day} is not a date", hint="2026-01-31")
    if day is not None:
        after = (year, month or 1, day + 1)
    else:
        after = (year, month + 1, 1) if month is not None else (year + 1, 1, 1)
    return _second(year, month or 1, 1 if day is None else day), _second(*after) - 1


def _second(year: int, month: int, day: int) -> int:
    try:
        return int(time.mktime((year, month, day, 0, 0, 0, 0, 0, -1)))  # it carries days and months over
    except (OverflowError, ValueError) as error:
        raise UsageError(f"{year} is not a year", hint="2026-01-31") from error
