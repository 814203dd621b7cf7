"""One calendar of reports out of several sources, and what changed in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_report
from wsb_core.domain.calendar import shift
from wsb_core.domain.events import Announcement, EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Events, FeedClass, Provenance
from wsb_core.market.earnings import ONE_REPORT, ChangeKind, announcements, changes, rows_of
from wsb_core.market.events import StoredCalendar
from wsb_core.market.history import HistoryStore, Whole
from wsb_core.providers.packaged_earnings import packaged_dates

AAPL, MSFT = Underlying("AAPL"), Underlying("MSFT")
MAY_2 = date(2024, 5, 2)
BEFORE, DURING, AFTER, UNKNOWN = (
    ReportTime.BEFORE_OPEN,
    ReportTime.DURING,
    ReportTime.AFTER_CLOSE,
    ReportTime.UNKNOWN,
)


def told(
    day: date,
    time: ReportTime = AFTER,
    *,
    source: str = "one",
    confirmed: bool | None = None,
    underlying: Underlying = AAPL,
) -> EarningsDate:
    seen = datetime(2024, 4, 1, tzinfo=UTC)
    return EarningsDate(underlying, day, time, confirmed, Provenance(source, FeedClass.DELAYED, seen))


def test_two_sources_that_agree_make_one_certain_announcement() -> None:
    [found] = announcements([told(MAY_2), told(MAY_2, source="other", confirmed=True)])

    assert (found.first, found.last, found.time, found.confirmed) == (MAY_2, MAY_2, AFTER, True)
    assert found.sources == ("one", "other")
    assert found.certain


@pytest.mark.parametrize(
    "second",
    [
        [],
        [told(date(2024, 5, 4), source="other")],
        [told(MAY_2, BEFORE, source="other")],
        [told(MAY_2, source="other", confirmed=False)],
    ],
    ids=["one source", "two days apart", "other time", "not confirmed"],
)
def test_an_announcement_is_uncertain(second: list[EarningsDate]) -> None:
    [found] = announcements([told(MAY_2), *second])

    assert not found.certain


def test_sources_that_differ_span_all_their_days() -> None:
    [found] = announcements([told(date(2024, 5, 3)), told(date(2024, 4, 30), source="other")])

    assert (found.first, found.last) == (date(2024, 4, 30), date(2024, 5, 3))
    assert found.reactions == (date(2024, 5, 1), date(2024, 5, 6))


def test_a_time_that_only_one_source_knows_is_taken() -> None:
    [found] = announcements([told(MAY_2, UNKNOWN), told(MAY_2, BEFORE, source="other")])

    assert found.time is BEFORE


def test_quarters_and_companies_are_kept_apart() -> None:
    dates = [told(MAY_2), told(date(2024, 8, 1)), told(MAY_2, underlying=MSFT)]

    assert [(one.underlying, one.first) for one in announcements(dates)] == [
        (AAPL, MAY_2),
        (AAPL, date(2024, 8, 1)),
        (MSFT, MAY_2),
    ]


@pytest.mark.parametrize(
    ("day", "time", "reactions"),
    [
        (MAY_2, BEFORE, (MAY_2, MAY_2)),
        (MAY_2, DURING, (MAY_2, MAY_2)),
        (MAY_2, AFTER, (date(2024, 5, 3), date(2024, 5, 3))),
        (MAY_2, UNKNOWN, (MAY_2, date(2024, 5, 3))),
        (date(2024, 5, 3), AFTER, (date(2024, 5, 6), date(2024, 5, 6))),
        (date(2024, 5, 4), BEFORE, (date(2024, 5, 6), date(2024, 5, 6))),
        (date(2024, 7, 3), AFTER, (date(2024, 7, 5), date(2024, 7, 5))),
    ],
    ids=["before open", "during", "after close", "unknown", "Friday evening", "Saturday", "half day"],
)
def test_prices_react_in_the_first_session_that_can_know(
    day: date, time: ReportTime, reactions: tuple[date, date]
) -> None:
    assert a_report(day, time=time).reactions == reactions


days = st.dates(date(2020, 1, 1), date(2023, 12, 31))
times = st.sampled_from(ReportTime)
rows = st.lists(st.builds(told, days, times, source=st.sampled_from(["one", "other"])), max_size=12)


@given(rows)
def test_every_day_that_was_told_lies_in_an_announcement_that_spans_one_report(
    dates: list[EarningsDate],
) -> None:
    found = announcements(dates)

    assert all(any(one.first <= told.day <= one.last for one in found) for told in dates)
    assert all(one.last - one.first <= ONE_REPORT for one in found)
    assert all(earlier.last < later.first for earlier, later in pairwise(found))


@given(rows)
def test_a_calendar_compared_with_itself_has_no_changes(dates: list[EarningsDate]) -> None:
    found = announcements(dates)

    assert changes(found, found, date.min) == ()


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (a_report(date(2024, 5, 9), time=AFTER), ChangeKind.MOVED),
        (a_report(MAY_2, time=BEFORE), ChangeKind.RETIMED),
        (a_report(MAY_2, time=AFTER, confirmed=False), ChangeKind.DOUBTED),
    ],
    ids=str,
)
def test_a_report_that_is_not_what_was_planned_on_is_a_change_that_matters(
    now: Announcement, kind: ChangeKind
) -> None:
    before = a_report(MAY_2, time=AFTER)

    [change] = changes([before], [now], MAY_2)

    assert (change.kind, change.before, change.now, change.matters) == (kind, before, now, True)


def test_a_confirmation_is_told_and_upsets_no_plan() -> None:
    [change] = changes([a_report(MAY_2, confirmed=None)], [a_report(MAY_2, confirmed=True)], MAY_2)

    assert change.kind is ChangeKind.CONFIRMED
    assert not change.matters


def test_reports_come_and_go() -> None:
    found = changes([a_report(MAY_2, "AAPL")], [a_report(MAY_2, "MSFT")], MAY_2)

    assert [(change.kind, change.underlying) for change in found] == [
        (ChangeKind.GONE, AAPL),
        (ChangeKind.NEW, MSFT),
    ]


def test_what_is_over_is_not_compared() -> None:
    assert changes([a_report(MAY_2)], [], date(2024, 5, 3)) == ()


READ_AT = datetime(2023, 4, 28, 11, tzinfo=UTC)


@pytest.fixture
def calendar(tmp_path: Path) -> HistoryStore:
    """Read on 2023-04-28: AAPL reports on May 4, MSFT does not before August."""
    store = HistoryStore(tmp_path)
    whole = Whole(("AAPL", "MSFT"), READ_AT.date(), date(2023, 7, 27), "one")
    store.write("earnings", rows_of([told(date(2023, 5, 4))], "one"), READ_AT, whole=whole)
    return store


def events(store: HistoryStore, name: Underlying, on: date, hours: int = 4) -> Events:
    return StoredCalendar(store, lambda: READ_AT + timedelta(hours=hours)).events(name, on)


def test_a_calendar_tells_what_is_announced_and_what_is_not(calendar: HistoryStore) -> None:
    on = READ_AT.date()

    assert [one.first for one in events(calendar, AAPL, on).earnings or ()] == [date(2023, 5, 4)]
    assert events(calendar, MSFT, on).earnings == ()
    assert events(calendar, MSFT, on).since == on


def test_a_name_that_no_source_covers_is_unknown(calendar: HistoryStore) -> None:
    assert events(calendar, Underlying("GONE"), READ_AT.date()).earnings is None


def test_an_old_calendar_and_one_that_ends_too_soon_say_nothing(calendar: HistoryStore) -> None:
    assert events(calendar, AAPL, READ_AT.date(), hours=25).earnings is None
    assert events(calendar, AAPL, date(2023, 7, 1)).earnings is None


def test_a_date_that_the_source_took_back_is_gone(calendar: HistoryStore) -> None:
    later = READ_AT + timedelta(hours=2)
    whole = Whole(("AAPL",), READ_AT.date(), date(2023, 7, 27), "one")
    calendar.write("earnings", rows_of([told(date(2023, 5, 9))], "one"), later, whole=whole)

    before, after = (events(calendar, AAPL, READ_AT.date(), hours=h).earnings for h in (1, 3))

    assert [one.first for one in before or ()] == [date(2023, 5, 4)]
    assert [one.first for one in after or ()] == [date(2023, 5, 9)]


@pytest.fixture(scope="module")
def moves(shared: Path) -> pd.DataFrame:
    """Absolute daily moves of real shares, in units of each one's usual move."""
    path = shared / "data" / "equities" / "sp500_daily_2015_2019.parquet"
    if not path.exists():
        pytest.skip("needs the daily panel (WSB_SHARED)")
    panel = pd.read_parquet(path)
    move = np.log(panel.pivot_table(index="date", columns="symbol", values="close")).diff().abs()
    return move / move.median()


@pytest.mark.parametrize("time", [BEFORE, AFTER])
def test_real_prices_move_in_the_session_that_knows_first_and_not_before(
    moves: pd.DataFrame, time: ReportTime
) -> None:
    pytest.importorskip("HistoricalEarningsData")
    first, last = moves.index[10].date(), moves.index[-10].date()
    reports = [
        one
        for one in announcements(packaged_dates())
        if one.time is time and one.underlying in moves and first <= one.first <= last
    ]

    knows = [moves.at[pd.Timestamp(one.reactions[0]), one.underlying] for one in reports]
    before = [moves.at[pd.Timestamp(shift(one.reactions[0], -1)), one.underlying] for one in reports]

    assert len(reports) > 300
    assert np.nanmedian(knows) > 2.5
    assert np.nanmedian(before) < 1.4
