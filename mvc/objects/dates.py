"""Dates as people type them, by the rules of Git's `approxidate` (its date.c): 2026-01-01, "2 weeks ago", yesterday.

As in Git, a date without a time of day has the present one, and "3 days" means "3 days ago".
Unlike Git, a word that means nothing is an error, not "now", and "monday" is the last one.
Times without a zone are local.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from mvc.errors import UsageError

_MONTH_NAMES = "january february march april may june july august september october november december"
_DAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday"
_NUMBER_NAMES = "zero one two three four five six seven eight nine ten"
_MONTHS = _MONTH_NAMES.split()
_DAYS = _DAY_NAMES.split()
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_NAMES.split())}
_NUMBERS |= {"last": 1, "a": 1, "an": 1}
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "fortnight": 14 * 86400}
_HOURS = {"midnight": 0, "noon": 12, "tea": 17}
_FILLERS = {"ago", "at", "on", "of", "the", "and", "st", "nd", "rd", "th", "t", "in", "past", "this"}
_ZONES = {"z": 0, "utc": 0, "gmt": 0}

_EXACT = re.compile(
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    r"(?:(?:\s*T\s*|\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[-+]\d{2}:?\d{2})?\Z",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"@?(?P<seconds>\d{9,12}|(?<=@)\d{1,12})(?:\s+[-+]\d{4})?\Z")
_TRAILING_ZONE = re.compile(r"(?:(?<=\d)|\s)(Z|UTC|GMT|(?:(?<=\s)|(?<=:\d\d))[-+]\d{2}:?\d{2})\s*\Z", re.IGNORECASE)
"""Behind a time or a space only: the last part of 2026-01-31 is none."""
_TOKEN = re.compile(
    r"(?P<clock>\d{1,2}:\d{2}(?::\d{2})?)(?:\.\d+)?|(?P<iso>\d{4}[-/.]\d{1,2}[-/.]\d{1,2})"
    r"|(?P<slashed>\d{1,2}/\d{1,2}/\d{2,4})|(?P<dotted>\d{1,2}\.\d{1,2}\.\d{4})"
    r"|(?P<zone>(?<=\d)\s[-+]\d{4}\b)|(?P<number>\d+)|(?P<word>[A-Za-z]+)|(?P<odd>[^\s.,/_-])"
)


def parse_date(text: str, now: int | None = None) -> int:
    """The time that `text` names, in seconds since 1970; `now` stands in for the present. Raises UsageError."""
    present = int(time.time()) if now is None else now
    text = text.strip()
    if found := _EPOCH.match(text):
        return int(found["seconds"])
    exact = _EXACT.match(text)
    try:
        return _exact(exact, present) if exact else _Approximate(present).read(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"'{text}' is not a date", hint='as in: 2026-01-31, "2026-01-31 12:00", yesterday, "2 weeks ago"'
        ) from error


def parse_moment(text: str, now: int | None = None) -> tuple[int, int]:
    """As `parse_date`, with the zone that stands at its end, in minutes east of UTC; else the local one then."""
    moment = parse_date(text, now)
    zone = _TRAILING_ZONE.search(text)
    if zone:
        return moment, _zone(zone[1]) or 0
    return moment, (time.localtime(moment).tm_gmtoff or 0) // 60


def _exact(found: re.Match[str], now: int) -> int:
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if found["hour"] is None:
        hour, minute, second = time.localtime(now)[3:6]
    else:
        hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    return _seconds(year, month, day, hour, minute, second, _zone(found["zone"]))


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: int | None) -> int:
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 25 and minute < 60 and second <= 60):
        raise ValueError("out of range")
    if zone is None:
        return int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))
    # Not calendar.timegm: that module takes longer to load than all of this one.
    start = datetime(year, month, 1, tzinfo=timezone(timedelta(minutes=zone)))
    return int((start + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)).timestamp())


def _zone(text: str | None) -> int | None:
    """Minutes east of UTC; None where no zone is given."""
    if text is None:
        return None
    text = text.strip().lower()
    if text in _ZONES:
        return _ZONES[text]
    digits = text[1:].replace(":", "")
    return (1 if text[0] == "+" else -1) * (int(digits[:2]) * 60 + int(digits[2:]))


class _Approximate:
    """Reads word by word, and moves a broken-down local time that begins at the present."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._year, self._month, self._day, self._hour, self._minute, self._second = time.localtime(now)[:6]
        self._number: int | None = None
        self._day_set = self._month_set = False
        self._zone: int | None = None

    def read(self, text: str) -> int:
        known = False
        for kind, token in _tokens(text):
            known = True
            getattr(self, f"_on_{kind}")(token.lower())
        if not known:
            raise ValueError("nothing in it")
        self._settle_number()
        return self._time()

    def _time(self) -> int:
        return _seconds(self._year, self._month, self._day, self._hour, self._minute, self._second, self._zone)

    def _back(self, seconds: int) -> None:
        """Move back by so many seconds."""
        moved = time.localtime(self._time() - seconds)
        self._year, self._month, self._day, self._hour, self._minute, self._second = moved[:6]

    def _on_clock(self, token: str) -> None:
        self._settle_number()
        parts = [int(part) for part in token.split(":")]
        self._hour, self._minute, self._second = parts[0], parts[1], parts[2] if len(parts) > 2 else 0

    def _on_iso(self, token: str) -> None:
        self._set_date(*(int(part) for part in re.split(r"[-/.]", token)))

    def _on_slashed(self, token: str) -> None:
        month, day, year = (int(part) for part in token.split("/"))
        if month > 12 >= day:  # American order, unless it cannot be
            month, day = day, month
        self._set_date(year if year > 99 else year + (1900 if year > 69 else 2000), month, day)

    def _on_dotted(self, token: str) -> None:
        day, month, year = (int(part) for part in token.split("."))
        self._set_date(year, month, day)

    def _set_date(self, year: int, month: int, day: int) -> None:
        self._year, self._month, self._day = year, month, day
        self._day_set = self._month_set = True

    def _on_zone(self, token: str) -> None:
        self._zone = _zone(token)

    def _on_number(self, token: str) -> None:
        self._settle_number()
        self._number = int(token)

    def _on_odd(self, token: str) -> None:
        raise ValueError(token)

    def _settle_number(self) -> None:
        """A number that no word followed is a day, a month or a year, whichever it can be first."""
        number, self._number = self._number, None
        if number is None:
            return
        if not self._day_set and 1 <= number <= 31:
            self._day, self._day_set = number, True
        elif not self._month_set and 1 <= number <= 12:
            self._month, self._month_set = number, True
        elif 1969 < number < 2100:
            self._year = number
        else:
            raise ValueError(number)

    def _on_word(self, word: str) -> None:
        unit = word.removesuffix("s")
        if word in _FILLERS or word in ("now", "today"):
            return
        if word in ("am", "pm") and self._number is not None:
            self._twelve_hours(word)
        elif word in ("am", "pm"):
            self._hour = self._hour % 12 + (12 if word == "pm" else 0)
        elif word == "never":
            self._year, self._month, self._day, self._hour, self._minute, self._second = 1970, 1, 1, 0, 0, 0
            self._zone = 0
        elif word == "yesterday":
            self._back(86400)
        elif word in _HOURS:
            if word != "midnight" and self._hour < _HOURS[word]:
                self._back(86400)
            self._hour, self._minute, self._second = _HOURS[word], 0, 0
        elif word in _NUMBERS:
            self._number = _NUMBERS[word]
        elif unit in _UNITS:
            self._back(_UNITS[unit] * self._take_number())
        elif unit == "month":
            self._months_back(self._take_number())
        elif unit == "year":
            self._year -= self._take_number()
        elif word in _ZONES:
            self._zone = _ZONES[word]
        else:
            self._name(word)

    def _twelve_hours(self, word: str) -> None:
        hour = self._take_number()
        self._hour, self._minute, self._second = hour % 12 + (12 if word == "pm" else 0), 0, 0

    def _take_number(self) -> int:
        number, self._number = self._number, None
        return 0 if number is None else number

    def _months_back(self, count: int) -> None:
        month = self._year * 12 + self._month - 1 - count
        self._year, self._month = month // 12, month % 12 + 1

    def _name(self, word: str) -> None:
        """A month or a day of the week, in full or by three letters or more."""
        for index, name in enumerate(_MONTHS):
            if len(word) > 2 and name.startswith(word):
                self._month, self._month_set = index + 1, True
                return
        for index, name in enumerate(_DAYS):
            if len(word) > 2 and name.startswith(word.removesuffix("s")):
                self._weekday(index)
                return
        raise ValueError(word)

    def _weekday(self, wanted: int) -> None:
        """Back to the last such day; "2 fridays" counts from there. It waits where the day itself follows or stands."""
        if self._day_set or self._month_set:
            return
        weeks = max(self._take_number(), 1) - 1
        days = time.localtime(self._time()).tm_wday - wanted
        if days <= 0:
            weeks += 1
        self._back(86400 * (days + 7 * weeks))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(text):
        assert found.lastgroup is not None
        yield found.lastgroup, found[0]
