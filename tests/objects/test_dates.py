"""Dates as people type them, held against what real git makes of them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import UsageError
from mvc.objects.dates import parse_date, parse_moment

AS_GIT = """
2026-01-01 | 2026.01.01 | 2026/1/2 | 2026-01-01 12:34:56 | 2026-01-01 12:34 | 2026-01-01T12:34:56Z
2026-01-01T12:34:56+01:00 | 2026-01-01 12:34:56 +0530 | Thu, 07 Apr 2005 22:13:13 +0200 | Fri Jun 4 15:46:55 2010
Jan 5 | 5 Jan 2026 | Jan 5 2026 | January 5, 2026 | 01/02/2026 | 13/02/2026 | 3.2.2026
@1700000000 | 1700000000 | 1700000000 +0000
now | today | yesterday | noon | midnight | tea | noon yesterday | yesterday noon | yesterday 12:30 | 12:00 | never
2 weeks ago | 2.weeks.ago | 3 days | 10.day.ago | 1 week 2 days ago | 90 minutes ago | 3 hours ago | 30 seconds ago
one year ago | 18 months ago | last month | last week | last year | last friday | last tuesday noon | 2 fridays ago
6am | 6pm yesterday | 6am yesterday | 5 minutes ago at noon
"""
WORDS = "1 2 31 99 2026 12:00 ago day weeks month year noon pm jan monday last / - . :"
CASES = [case.strip() for line in AS_GIT.strip().splitlines() for case in line.split("|")]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")  # no summer time: there git's own arithmetic is an hour off
    time.tzset()


def git_date(text: str) -> int:
    command = ["git", "rev-parse", f"--since={text}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent, env={**os.environ, "TZ": "UTC"}
    )
    return int(done.stdout.strip().removeprefix("--max-age="))


@pytest.mark.parametrize("text", CASES)
def test_as_git_understands_it(text: str) -> None:
    before = int(time.time())
    expected = git_date(text)
    after = int(time.time())  # somewhere between the two git has looked at its clock
    assert any(abs(parse_date(text, now) - expected) <= 1 for now in range(before, after + 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xyz",
        "2026-13-01",
        "2026-02-32",
        "25:61",
        "12 foos ago",
        "HEAD~2",
        "2026-01-01x",
        "#",
        "99999999999999999999",
    ],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(UsageError, match="is not a date"):
        parse_date(text)


def test_days_of_the_week_lie_in_the_past() -> None:
    saturday = 1_795_228_200  # 2026-11-21 02:30 UTC
    days = {"monday": 16, "tue": 17, "friday": 20, "last friday": 20, "2 fridays ago": 13}
    for text, day in days.items():
        assert time.gmtime(parse_date(text, saturday))[:3] == (2026, 11, day), text
    assert time.gmtime(parse_date("saturday", saturday))[:3] == (2026, 11, 14)


def test_months_and_years_that_lack_the_day_go_on() -> None:
    end_of_march = 1_774_958_400  # 2026-03-31 12:00 UTC
    assert time.gmtime(parse_date("last month", end_of_march))[:3] == (2026, 3, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@1700000000 +0000", (1_700_000_000, 0)),
        ("1700000000 -0130", (1_700_000_000, -90)),
        ("2026-01-01 12:00 +01:00", (1_767_265_200, 60)),
        ("2026-01-01T12:00:00Z", (1_767_268_800, 0)),
        ("2026-01-01 12:00:00+0530", (1_767_249_000, 330)),
    ],
)
def test_a_moment_has_its_zone(text: str, expected: tuple[int, int]) -> None:
    assert parse_moment(text) == expected


def test_a_moment_without_a_zone_is_local() -> None:
    moment, offset = parse_moment("2026-07-01 12:00")
    assert offset * 60 == time.localtime(moment).tm_gmtoff
    assert parse_moment("2026-01-31", moment)[1] * 60 == time.localtime(parse_moment("2026-01-31", moment)[0]).tm_gmtoff


def test_zones() -> None:
    assert parse_date("2026-01-01 00:00 -0130") - parse_date("2026-01-01 00:00Z") == 5400


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_a_clear_error(text: str) -> None:
    try:
        assert isinstance(parse_date(text), int)
    except UsageError as error:
        assert error.hint


@given(st.lists(st.sampled_from(WORDS.split()), max_size=8))
def test_date_like_text_is_a_date_or_a_clear_error(words: list[str]) -> None:
    try:
        assert isinstance(parse_date(" ".join(words)), int)
    except UsageError as error:
        assert "is not a date" in error.message
