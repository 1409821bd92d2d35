"""Times as commands show them."""

from __future__ import annotations

import time
from functools import lru_cache

from mvc.objects.model import Signature

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TWO = tuple([f"{number:02d}" for number in range(60)])
_UNITS = (
    (365 * 86400, "year"),
    (30 * 86400, "month"),
    (7 * 86400, "week"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def git_date(who: Signature) -> str:
    """As Git's default: "Thu Jan 1 12:00:00 2026 +0100", in the signer's own zone."""
    day, second = divmod(who.time + 60 * who.offset_minutes, 86400)
    date, year = _day(day)
    minute, second = divmod(second if year else 0, 60)
    return f"{date} {_clock(minute)}:{_TWO[second]} {year or 1970} {_zone(who.offset_minutes, '')}"


@lru_cache(maxsize=24 * 60)
def _clock(minute: int) -> str:
    """ "12:05", of a minute of the day: to put figures together takes longer than all else of a date."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


@lru_cache(maxsize=64)
def _day(number: int) -> tuple[str, int]:
    """ "Thu Jan 1" and the year, of a day counted from 1970 (commits come many to a day); no year: out of range."""
    try:
        at = time.gmtime(86400 * number)
    except (OverflowError, ValueError, OSError):
        return "Thu Jan 1", 0
    return f"{_DAYS[at.tm_wday]} {_MONTHS[at.tm_mon - 1]} {at.tm_mday}", at.tm_year


def iso_date(who: Signature) -> str:
    """As in JSON: "2026-01-01T12:00:00+01:00"."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", _in_zone(who)) + _zone(who.offset_minutes, ":")


def relative_date(seconds: int, now: int) -> str:
    """ "3 days ago"."""
    age = max(now - seconds, 0)
    for length, unit in _UNITS:
        if age >= 2 * length or (unit == "minute" and age >= length):
            count = age // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return f"{age} seconds ago"


def _in_zone(who: Signature) -> time.struct_time:
    try:
        return time.gmtime(who.time + 60 * who.offset_minutes)
    except (OverflowError, ValueError, OSError):  # a date that nobody can have meant
        return time.gmtime(0)


@lru_cache(maxsize=64)
def _zone(east: int, colon: str) -> str:
    hours, minutes = divmod(abs(east), 60)
    return f"{'-' if east < 0 else '+'}{hours:02d}{colon}{minutes:02d}"
