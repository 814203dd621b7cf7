"""The schedule of macro releases: what stood on it when, and where it ends."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.calendar import NEW_YORK, is_session, shift
from wsb_core.domain.errors import ConfigError
from wsb_core.market.macro import (
    MacroCalendar,
    Release,
    ReleaseKind,
    Unknown,
    packaged_calendar,
    read_calendar,
)

FOMC, CPI, JOBS = ReleaseKind.FOMC, ReleaseKind.CPI, ReleaseKind.JOBS


def at(text: str) -> datetime:
    """New York time."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def days(found: tuple[Release, ...] | Unknown) -> list[str]:
    assert isinstance(found, tuple)
    return [f"{one.kind} {one.at:%Y-%m-%d %H:%M}" for one in found]


@pytest.fixture(scope="module")
def calendar() -> MacroCalendar:
    return packaged_calendar()


def test_a_release_between_two_instants_is_found_at_its_new_york_time(calendar: MacroCalendar) -> None:
    found = calendar.releases(at("2026-12-08T10:30"), at("2026-12-10T09:30"))

    assert days(found) == ["fomc 2026-12-09 14:00", "cpi 2026-12-10 08:30"]
    assert isinstance(found, tuple)
    assert found[0].at == datetime(2026, 12, 9, 19, tzinfo=UTC)


def test_one_that_is_out_already_is_no_event_any_more(calendar: MacroCalendar) -> None:
    assert calendar.clear_of([JOBS], at("2026-12-04T08:31"), at("2026-12-04T16:00")).clear
    assert not calendar.clear_of([JOBS], at("2026-12-04T08:30"), at("2026-12-04T16:00")).clear


def test_the_reason_names_what_is_in_the_way(calendar: MacroCalendar) -> None:
    first, last = at("2026-12-03T10:30"), at("2026-12-04T09:30")

    blocked, clear = calendar.clear_of(ReleaseKind, first, last), calendar.clear_of([FOMC, CPI], first, last)

    assert (blocked.clear, blocked.reason) == (False, "jobs 2026-12-04 08:30")
    assert (clear.clear, clear.reason) == (True, "no fomc, cpi up to 2026-12-04 09:30")


@pytest.mark.parametrize(
    ("kinds", "first", "last", "why"),
    [
        (
            [CPI],
            "2026-12-31T10:00",
            "2027-01-04T09:30",
            "the schedule of cpi is from 2010-01-01 to 2026-12-31",
        ),
        ([JOBS], "2009-12-31T10:00", "2010-01-04T09:30", "the schedule of jobs is from 2010-01-01 to"),
        (
            [FOMC],
            "2028-01-26T10:00",
            "2028-01-27T10:00",
            "the schedule of fomc is from 2010-01-01 to 2028-01-26",
        ),
    ],
)
def test_outside_the_span_nothing_is_known_and_that_is_an_event(
    calendar: MacroCalendar, kinds: list[ReleaseKind], first: str, last: str, why: str
) -> None:
    found = calendar.releases(at(first), at(last), kinds)
    verdict = calendar.clear_of(kinds, at(first), at(last))

    assert isinstance(found, Unknown)
    assert found.reason.startswith(why)
    assert (verdict.clear, verdict.reason) == (False, found.reason)


def test_one_kind_that_is_unknown_makes_all_of_them_unknown(calendar: MacroCalendar) -> None:
    first, last = at("2027-01-04T10:00"), at("2027-01-05T10:00")

    assert calendar.clear_of([FOMC], first, last).clear
    assert not calendar.clear_of([FOMC, JOBS], first, last).clear
    assert not MacroCalendar((), {}).clear_of([FOMC], first, last).clear


@pytest.mark.parametrize(
    ("on", "kind", "until", "seen"),
    [
        ("2020-03-13T10:30", FOMC, "2020-03-20T16:00", ["fomc 2020-03-18 14:00"]),
        ("2020-03-16T10:30", FOMC, "2020-03-20T16:00", []),
        ("2013-10-15T10:30", JOBS, "2013-11-08T16:00", ["jobs 2013-11-01 08:30"]),
        ("2013-10-18T10:30", JOBS, "2013-11-08T16:00", ["jobs 2013-10-22 08:30", "jobs 2013-11-08 08:30"]),
        ("2025-10-09T10:30", CPI, "2025-10-31T16:00", ["cpi 2025-10-15 08:30"]),
        ("2025-10-13T10:30", CPI, "2025-10-31T16:00", ["cpi 2025-10-24 08:30"]),
        ("2026-02-03T10:30", CPI, "2026-02-13T16:00", ["cpi 2026-02-11 08:30"]),
        ("2026-02-05T10:30", CPI, "2026-02-13T16:00", ["cpi 2026-02-13 08:30"]),
    ],
)
def test_the_schedule_is_read_as_it_stood(
    calendar: MacroCalendar, on: str, kind: ReleaseKind, until: str, seen: list[str]
) -> None:
    assert days(calendar.releases(at(on), at(until), [kind])) == seen


def test_statements_came_at_other_times_before_march_2013(calendar: MacroCalendar) -> None:
    """12:30 with a press conference and 14:15 without; 14:00 from 20 March 2013 on (Reuters, 2013-03-13)."""
    times = {one.at.date(): f"{one.at:%H:%M}" for one in calendar.scheduled if one.kind is FOMC}

    assert times[date(2011, 4, 27)] == times[date(2012, 12, 12)] == "12:30"
    assert times[date(2010, 1, 27)] == times[date(2013, 1, 30)] == "14:15"
    assert {clock for day, clock in times.items() if day >= date(2013, 3, 20)} == {"14:00"}


def test_every_year_has_its_eight_meetings_and_twelve_of_each_report(calendar: MacroCalendar) -> None:
    """But for the autumn of 2025, when the reports of October were cancelled."""
    held = Counter((one.kind, one.at.year) for one in calendar.scheduled if one.withdrawn is None)

    assert {year: held[FOMC, year] for year in range(2010, 2028)} == {
        year: 7 if year == 2020 else 8 for year in range(2010, 2028)
    }
    for kind in (CPI, JOBS):
        assert {year: held[kind, year] for year in range(2010, 2027)} == {
            year: 11 if year == 2025 else 12 for year in range(2010, 2027)
        }


def test_the_dates_have_the_shape_that_the_agencies_give_them(calendar: MacroCalendar) -> None:
    jobs = [one.at.date() for one in calendar.scheduled if one.kind is JOBS]
    prices = [one.at.date() for one in calendar.scheduled if one.kind is CPI]
    meetings = [one.at.date() for one in calendar.scheduled if one.kind is FOMC]
    odd_jobs = [str(day) for day in jobs if day.weekday() != 4]

    assert all(day.weekday() in (1, 2, 3, 4) and 10 <= day.day <= 30 for day in prices)
    assert all(day.weekday() in (1, 2, 3) for day in meetings)
    assert odd_jobs == [
        "2013-10-22",
        "2014-07-03",
        "2015-07-02",
        "2020-07-02",
        "2025-07-03",
        "2025-11-20",
        "2025-12-16",
        "2026-02-11",
        "2026-07-02",
    ]
    assert all(one.at.time() == time(8, 30) for one in calendar.scheduled if one.kind is not FOMC)


def test_releases_fall_on_trading_days_save_those_of_good_fridays(calendar: MacroCalendar) -> None:
    closed = [one for one in calendar.scheduled if one.at.year < 2027 and not is_session(one.at.date())]

    assert {one.kind for one in closed} == {JOBS, CPI}
    assert {one.at.month for one in closed} <= {4}
    assert all(is_session(one.at.date() + timedelta(days=3)) for one in closed)


instants = st.datetimes(datetime(2010, 1, 2), datetime(2026, 12, 20)).map(lambda one: one.replace(tzinfo=UTC))


@given(first=instants, sessions=st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_what_is_clear_has_no_release_and_what_is_not_names_one(first: datetime, sessions: int) -> None:
    calendar = packaged_calendar()
    last = datetime.combine(shift(first.date(), sessions), time(23, 30), UTC) + timedelta(days=1)

    found = calendar.releases(first, last)
    verdict = calendar.clear_of(ReleaseKind, first, last)

    assert isinstance(found, tuple)
    assert verdict.clear == (not found)
    assert all(first <= one.at <= last for one in found)


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        (datetime(2024, 5, 1), at("2024-05-02"), "first must be timezone-aware"),
        (at("2024-05-02"), at("2024-05-01"), "last must not be before first"),
    ],
)
def test_instants_that_make_no_time_are_refused(
    calendar: MacroCalendar, first: datetime, last: datetime, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        calendar.releases(first, last)


SPANS = "kind,first,last\nfomc,2024-01-01,2024-12-31\n"
HEADING = "kind,day,time,announced,withdrawn,source,checked_on\n"
GOOD = "fomc,2024-05-01,14:00,,,fed,2024-01-02\n"


@pytest.mark.parametrize(
    ("releases", "spans", "told"),
    [
        (
            HEADING + "fed,2024-05-01,14:00,,,fed,2024-01-02\n",
            SPANS,
            r"r\.csv: line 2: kind is 'fed'; it is one of",
        ),
        (HEADING + GOOD + GOOD, SPANS, r"line 3: day is '2024-05-01'; this fomc release is listed already"),
        (
            HEADING + GOOD.replace("2024-05-01", "2025-05-01"),
            SPANS,
            r"line 2: day is .*outside the span of fomc",
        ),
        (
            HEADING + GOOD.replace("14:00", "2 pm"),
            SPANS,
            r"line 2: time is '2 pm'; write New York time as 08:30",
        ),
        (HEADING + GOOD.replace("14:00", "14:00Z"), SPANS, r"line 2: time is '14:00Z'; write New York time"),
        (HEADING + GOOD.replace("fed,", ","), SPANS, r"line 2: source is ''; fill it in"),
        (
            HEADING + GOOD.replace(",,,", ",2024-05-02,,"),
            SPANS,
            r"line 2: announced is '2024-05-02'; it cannot be after the day of the release",
        ),
        (
            HEADING + GOOD,
            SPANS + "fomc,2025-01-01,2025-12-31\n",
            r"s\.csv: line 3: kind is 'fomc'; it has a span",
        ),
        (HEADING + GOOD, SPANS.replace("2024-12-31", "2023-12-31"), r"s\.csv: line 2: last is '2023-12-31'"),
        (
            HEADING + GOOD,
            SPANS + "cpi,2024-01-01,2024-12-31\n",
            r"cpi has a span and .*r\.csv no release of it",
        ),
    ],
)
def test_a_wrong_line_is_named_with_its_value_and_the_remedy(
    tmp_path: Path, releases: str, spans: str, told: str
) -> None:
    (tmp_path / "r.csv").write_text(releases)
    (tmp_path / "s.csv").write_text(spans)

    with pytest.raises(ConfigError, match=told):
        read_calendar(tmp_path / "r.csv", tmp_path / "s.csv")
