"""What is expected of a share's dividends, and when nothing can be said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.events import CashDividend, Split
from wsb_core.domain.ids import Underlying, price
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.market.dividends import Cadence, Forecast, ForecastStatus, forecast_dividends
from wsb_core.pricing.american_discrete import Dividend, american_discrete

AAPL = Underlying("AAPL")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
APPLE = ("2023-02-10", "2023-05-12", "2023-08-11", "2023-11-10")
"""Apple's ex-dates of 2023: 0.23, then 0.24."""
UNEVEN = ("2023-03-16", "2023-06-15", "2023-09-14", "2023-11-30")
"""Made: 91, 91 and 77 days apart, as where the last of a year is brought forward."""


def paid(
    day: date | str,
    amount: str = "0.24",
    *,
    special: bool | None = False,
    known: datetime = LONG_AGO,
    source: str = "one",
) -> CashDividend:
    when = date.fromisoformat(day) if isinstance(day, str) else day
    return CashDividend(
        AAPL, when, price(amount), None, special, Provenance(source, FeedClass.DELAYED, known)
    )


def split(day: str, ratio: str) -> Split:
    return Split(
        AAPL, date.fromisoformat(day), Decimal(ratio), Provenance("one", FeedClass.DELAYED, LONG_AGO)
    )


def on(day: str, hour: int = 15) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=NEW_YORK)


def expected(rows: list[CashDividend], at: str, until: str, **more: object) -> Forecast:
    return forecast_dividends(AAPL, rows, on(at), date.fromisoformat(until), **more)  # type: ignore[arg-type]


def dates(found: Forecast) -> list[str]:
    return [str(each.ex_date) for each in found.dividends]


def test_a_year_of_quarters_is_expected_again_on_the_same_weekdays_at_the_last_amount() -> None:
    """Apple went ex on 9 February, 10 May, 12 August and 8 November 2024."""
    found = expected([paid(APPLE[0], "0.23"), *map(paid, APPLE[1:])], "2023-11-20", "2024-11-30")

    assert found.status is ForecastStatus.EXPECTED
    assert found.cadence is Cadence.QUARTERLY
    assert dates(found) == ["2024-02-09", "2024-05-10", "2024-08-09", "2024-11-08"]
    assert {(each.amount, each.announced) for each in found.dividends} == {(Decimal("0.24"), False)}


def test_uneven_quarters_are_expected_as_uneven() -> None:
    found = expected([*map(paid, UNEVEN)], "2023-12-15", "2024-12-31")

    assert dates(found) == ["2024-03-14", "2024-06-13", "2024-09-12", "2024-11-28"]


@pytest.mark.parametrize(
    ("days", "cadence", "ahead"),
    [
        ("2024-02-29 2024-03-28 2024-04-30", Cadence.MONTHLY, ["2024-05-30", "2024-07-01"]),
        ("2023-05-10 2023-11-09 2024-05-09", Cadence.HALF_YEARLY, ["2024-11-07"]),
        ("2022-04-14 2023-04-13 2024-04-11", Cadence.YEARLY, ["2025-04-10"]),
    ],
)
def test_other_cadences_are_told_apart(days: str, cadence: Cadence, ahead: list[str]) -> None:
    found = expected([*map(paid, days.split())], "2024-05-20", "2025-05-01")

    assert (found.status, found.cadence) == (ForecastStatus.EXPECTED, cadence)
    assert dates(found)[: len(ahead)] == ahead


def test_what_is_announced_stands_in_for_the_forecast_and_carries_its_amount_on() -> None:
    rows = [*map(paid, APPLE), paid("2024-02-12", "0.26")]

    found = expected(rows, "2024-01-20", "2024-06-30")

    assert [(str(each.ex_date), each.amount, each.announced) for each in found.dividends] == [
        ("2024-02-12", Decimal("0.26"), True),
        ("2024-05-10", Decimal("0.26"), False),
    ]
    assert found.next == found.dividends[0]


def test_an_announcement_is_not_known_before_it_was_made() -> None:
    rows = [*map(paid, APPLE), paid("2024-02-12", "0.26", known=datetime(2024, 2, 1, 22, tzinfo=UTC))]

    before, after = expected(rows, "2024-02-01", "2024-03-31"), expected(rows, "2024-02-02", "2024-03-31")

    assert (dates(before), before.dividends[0].announced) == (["2024-02-09"], False)
    assert (dates(after), after.dividends[0].announced) == (["2024-02-12"], True)


def test_special_dividends_are_left_out_and_mentioned() -> None:
    rows = [*map(paid, APPLE), paid("2023-09-01", "5", special=True), paid("2024-01-15", "3", special=True)]

    found = expected(rows, "2023-11-20", "2024-03-31")

    assert dates(found) == ["2024-02-09"]
    assert found.dividends[0].amount == Decimal("0.24")
    assert found.reasons[1:] == ("special dividend of 3 on 2024-01-15 left out",)


def test_one_that_is_a_little_late_is_expected_tomorrow() -> None:
    found = expected([*map(paid, APPLE)], "2024-03-01", "2024-06-30")

    assert dates(found) == ["2024-03-04", "2024-05-10"]
    assert "due about 2024-02-09 and not announced yet" in found.reasons[0]


def test_one_that_is_late_by_more_than_half_a_period_makes_the_rest_unknown_and_not_zero() -> None:
    rows = [*map(paid, APPLE)]

    late, too_late = expected(rows, "2024-03-25", "2024-12-31"), expected(rows, "2024-03-27", "2024-12-31")

    assert late.status is ForecastStatus.EXPECTED
    assert too_late.status is ForecastStatus.UNKNOWN
    assert (too_late.dividends, too_late.next, too_late.schedule) == ((), None, None)
    assert too_late.reasons[0].startswith("due about 2024-02-09 and not seen by 2024-03-27: cut")


def test_a_skipped_dividend_leaves_no_cadence() -> None:
    found = expected([*map(paid, (*APPLE[:2], *APPLE[3:]))], "2023-11-20", "2024-12-31")

    assert found.status is ForecastStatus.UNKNOWN
    assert found.reasons[0] == "no cadence in 2023-02-10, 2023-05-12, 2023-11-10"


def test_two_dividends_are_too_few_and_an_announced_one_is_still_told() -> None:
    found = expected([paid("2024-02-21"), paid("2024-06-14", "0.50")], "2024-06-01", "2024-12-31")

    assert found.status is ForecastStatus.UNKNOWN
    assert found.schedule is None
    assert dates(found) == ["2024-06-14"]


def test_no_history_is_unknown_unless_it_is_known_to_be_whole() -> None:
    unknown = expected([], "2024-05-01", "2024-12-31")
    short = expected([], "2024-05-01", "2024-12-31", whole_from=date(2023, 1, 1))
    none = expected([], "2024-05-01", "2024-12-31", whole_from=date(2022, 5, 2))

    assert [each.status for each in (unknown, short, none)] == [
        ForecastStatus.UNKNOWN,
        ForecastStatus.UNKNOWN,
        ForecastStatus.NONE,
    ]
    assert (unknown.schedule, none.schedule) == (None, ())
    assert short.reasons == ("no dividend known, and the history is whole from 2023-01-01 only",)


def test_amounts_are_in_shares_of_today() -> None:
    """Apple's 0.82 before its split of 4 for 1 on 2020-08-31 are 0.205 after it."""
    rows = [
        *(paid(day, "0.77") for day in ("2019-11-07", "2020-02-07")),
        *(paid(day, "0.82") for day in ("2020-05-08", "2020-08-07")),
        paid("2020-11-06", "0.205"),
    ]

    before = expected(rows[:4], "2020-08-28", "2020-11-30", splits=[split("2020-08-31", "4")])
    after = expected(rows[:4], "2020-09-01", "2020-11-30", splits=[split("2020-08-31", "4")])
    announced = expected(rows, "2020-08-28", "2020-11-30", splits=[split("2020-08-31", "4")])

    assert [found.dividends[0].amount for found in (before, after, announced)] == [
        Decimal("0.82"),
        Decimal("0.205"),
        Decimal("0.820"),
    ]


def test_two_sources_of_one_dividend_do_not_double_it_and_two_items_of_one_source_do_add_up() -> None:
    rows = [*map(paid, APPLE), paid("2024-02-09", source="one"), paid("2024-02-09", source="other")]
    parts = [*map(paid, APPLE), paid("2024-02-09", "0.10"), paid("2024-02-09", "0.14")]

    assert expected(rows, "2024-02-01", "2024-02-29").dividends[0].amount == Decimal("0.24")
    assert expected(parts, "2024-02-01", "2024-02-29").dividends[0].amount == Decimal("0.24")


def test_other_companies_are_not_mixed_in() -> None:
    other = CashDividend(
        Underlying("KO"), date(2024, 1, 5), price("9"), None, False, paid(APPLE[0]).provenance
    )

    assert dates(expected([*map(paid, APPLE), other], "2023-11-20", "2024-02-29")) == ["2024-02-09"]


def test_the_schedule_counts_to_the_open_of_the_ex_date_and_prices_a_call() -> None:
    found = expected([*map(paid, APPLE)], "2024-02-08", "2024-03-31")

    hours = timedelta(hours=18, minutes=30) / timedelta(days=365)
    assert found.schedule == (Dividend(pytest.approx(hours), 0.24),)
    priced = american_discrete(110.0, 100.0, 30 / 365, 0.0, found.schedule, 0.10, True)
    assert float(priced.price) >= 10.0


def test_a_dividend_that_has_gone_ex_today_is_behind_us() -> None:
    found = expected([*map(paid, APPLE), paid("2024-02-09")], "2024-02-09", "2024-03-31")

    assert found.schedule == ()
    assert found.status is ForecastStatus.EXPECTED


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="at must be timezone-aware"):
        forecast_dividends(AAPL, [], datetime(2024, 5, 1), date(2024, 12, 31))


@given(
    start=st.dates(date(2015, 1, 1), date(2020, 12, 31)),
    cadence=st.sampled_from(Cadence),
    off=st.lists(st.integers(-4, 4), min_size=14, max_size=14),
    waited=st.integers(0, 40),
)
@settings(max_examples=150, deadline=None)
def test_expected_dividends_come_in_order_on_weekdays_within_the_horizon_once_a_period(
    start: date, cadence: Cadence, off: list[int], waited: int
) -> None:
    days = [start + n * cadence.period + timedelta(days=shift) for n, shift in enumerate(off)]
    at = datetime.combine(days[-1], datetime.min.time(), NEW_YORK) + min(
        timedelta(days=waited), cadence.period / 4
    )
    until = at.date() + timedelta(days=730)

    found = forecast_dividends(AAPL, [paid(day) for day in days], at, until)

    ahead = [each.ex_date for each in found.dividends]
    assert found.status is ForecastStatus.EXPECTED
    assert found.cadence is cadence
    assert ahead == sorted(set(ahead))
    assert all(at.date() < day <= until and day.weekday() < 5 for day in ahead)
    assert abs(len(ahead) - 2 * cadence.a_year) <= 1
    assert all(years > 0 for years, _ in found.schedule or ())
