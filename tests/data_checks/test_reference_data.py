"""The suites as a flow calls them: domain values in, what is left of them out, with the proof."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from data_checks import (
    ActionBounds,
    CheckFailed,
    EarningsBounds,
    QuoteBounds,
    RateBounds,
    UniverseBounds,
    check_actions,
    check_earnings,
    check_history,
    check_positions,
    check_quotes,
    check_rates,
    check_smiles,
    check_universe,
)
from data_checks.iv_and_smile import smile_frame
from data_checks.measures import days, on_session
from wsb_core.domain import calendar
from wsb_core.domain.contracts import ExerciseStyle, Right, Settlement, Share, parse_occ
from wsb_core.domain.events import CashDividend, EarningsDate, Renamed, Reorganised, ReportTime, Split, Yields
from wsb_core.domain.ids import Cash, Price, Underlying
from wsb_core.domain.ports import Missing
from wsb_core.domain.positions import Holding
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Quote
from wsb_core.universes import Universe, load_universe

from . import benches
from .frames import AT, FRESH, LAST, SESSION, contract, share_quote

A, B, C = Underlying("AA"), Underlying("BB"), Underlying("CC")
LIMITS = {"at": AT, "max_age_seconds": 30.0, "required_feed": FeedClass.REALTIME}
HALF = {"max_quarantined_share": 0.7}


def test_quotes_that_pass_are_those_that_were_read() -> None:
    given = {A: share_quote("50", A), B: Missing(B, "not covered"), C: share_quote("70", C)}
    crossed = Quote(Share(C), Price(Decimal("71")), Price(Decimal("70")), 1, 1, FRESH)

    checked = check_quotes(given, **LIMITS, bounds=QuoteBounds(**HALF))
    left = check_quotes({**given, C: crossed}, **LIMITS, bounds=QuoteBounds(**HALF))

    assert checked.quotes == {A: given[A], C: given[C]}
    assert {q.ticker: q.expectation for q in left.report.quarantined} == {B: "rows_present", C: "not_crossed"}
    assert set(left.quotes) == {A}


def test_a_fall_that_a_second_source_confirms_is_no_fault() -> None:
    quotes = {A: share_quote("50", A)}

    with pytest.raises(CheckFailed, match="quarantined"):
        check_quotes(quotes, **LIMITS, closes={A: 90.0})
    checked = check_quotes(quotes, **LIMITS, closes={A: 90.0}, second={A: share_quote("50.05", A)})

    assert checked.proof.suite == "quotes"


def _smile_chain() -> Chain:
    quotes = []
    for row in benches.smile().itertuples():
        listed = parse_occ(row.occ_symbol.replace("SPX ", "SPXW"))
        sides = [None if pd.isna(side) else Price(Decimal(f"{side:.2f}")) for side in (row.bid, row.ask)]
        quote = Quote(listed, *sides, 1, 1, FRESH)
        quotes.append(OptionQuote(quote, iv=row.iv, delta=row.delta))
    return Chain(Underlying("SPX"), tuple(quotes), FRESH)


def test_a_chain_comes_back_from_the_smile_check_without_the_contract_whose_volatility_is_wrong() -> None:
    name, given = Underlying("SPX"), _smile_chain()
    bad = given.quotes[20]
    spoiled = given.only([OptionQuote(q.quote, iv=2.5, delta=q.delta) if q is bad else q for q in given])

    whole = check_smiles({name: given}, {name: share_quote("100", name)}, at=AT)
    left = check_smiles({name: spoiled}, {name: share_quote("100", name)}, at=AT)

    assert whole.chains == {name: given}
    assert {q.contract for q in given} - {q.contract for q in left.chains[name]} == {bad.contract}
    assert left.report.passed


def test_the_smile_table_knows_how_each_contract_is_exercised_and_settled() -> None:
    monthly, weekly = parse_occ("SPX   240719C05000000"), parse_occ("SPXW  240719C05000000")
    quotes = tuple(OptionQuote(Quote(c, None, None, 0, 0, FRESH)) for c in (monthly, weekly))

    frame = smile_frame({Underlying("SPX"): Chain(Underlying("SPX"), quotes, FRESH)}, {})

    assert monthly.style is weekly.style is ExerciseStyle.EUROPEAN
    assert monthly.settlement is Settlement.AM
    assert list(frame["am_settled"]) == [True, False]
    assert list(frame["european"]) == [True, True]


def _reports(
    name: Underlying, *days_: date, time: ReportTime = ReportTime.AFTER_CLOSE
) -> tuple[EarningsDate, ...]:
    return tuple(EarningsDate(name, day, time, True, FRESH) for day in days_)


def test_a_company_that_announced_nothing_stays_and_one_that_is_not_covered_does_not() -> None:
    dates = {A: _reports(A, date(2024, 7, 30)), B: (), C: Missing(C, "not covered")}

    checked = check_earnings(dates, at=AT, bounds=EarningsBounds(**HALF))

    assert checked.dates == {A: dates[A], B: ()}
    assert [q.ticker for q in checked.report.quarantined] == [C]


def test_an_unknown_time_stays_unknown_and_is_a_warning() -> None:
    dates = {A: _reports(A, date(2024, 7, 30), time=ReportTime.UNKNOWN)}

    checked = check_earnings(dates, at=AT)

    assert checked.dates[A][0].time is ReportTime.UNKNOWN
    assert [f.expectation for f in checked.report.findings if not f.passed] == ["time_known"]


def test_a_day_on_which_two_sources_differ_takes_out_the_company() -> None:
    dates = {A: _reports(A, date(2024, 7, 30)), B: _reports(B, date(2024, 7, 31))}
    second = {A: _reports(A, date(2024, 7, 31)), B: Missing(B, "not covered")}

    checked = check_earnings(dates, at=AT, second=second, bounds=EarningsBounds(**HALF))

    assert {q.ticker: q.expectation for q in checked.report.quarantined} == {A: "sources_agree"}
    assert set(checked.dates) == {B}


def test_an_unconfirmed_day_may_be_a_holiday() -> None:
    guess = EarningsDate(A, date(2024, 7, 4), ReportTime.UNKNOWN, None, FRESH)

    assert check_earnings({A: (guess,)}, at=AT).dates == {A: (guess,)}


def test_actions_of_every_kind_pass_and_a_split_that_prices_do_not_show_fails() -> None:
    actions = {
        A: (Split(A, date(2024, 6, 10), Decimal(10), FRESH),),
        B: (
            CashDividend(B, date(2024, 6, 13), Price(Decimal("15")), None, True, FRESH),
            CashDividend(B, date(2024, 6, 13), Price(Decimal("0.5")), None, False, FRESH),
            Reorganised(B, date(2024, 6, 14), "spin-off", FRESH),
        ),
        C: (Renamed(C, Underlying("DD"), date(2024, 6, 3), FRESH),),
    }
    moved = {A: (1200.0, 121.0), B: (100.0, 99.0)}
    flat = {A: (121.0, 120.0)}

    checked = check_actions(actions, at=AT, closes=lambda name, day: moved.get(name, (None, None)))
    left = check_actions(
        actions, at=AT, closes=lambda name, day: flat.get(name, (None, None)), bounds=ActionBounds(**HALF)
    )

    assert checked.actions == actions
    assert {q.ticker: q.expectation for q in left.report.quarantined} == {A: "seen_in_prices"}


@pytest.mark.parametrize("ratio", ["2", "1.5", "0.1", "0.05", "7", "20", "1.25", "1.1", "0.3333333333"])
def test_ratios_that_splits_have_are_believed(ratio: str) -> None:
    given = {A: (Split(A, date(2024, 6, 10), Decimal(ratio), FRESH),)}

    assert check_actions(given, at=AT).actions == given


def test_yields_pass_whole_or_not_at_all() -> None:
    sessions = calendar.sessions_between(date(2024, 6, 24), LAST)
    good = [Yields(day, {1 / 12: 5.4, 10.0: 4.3 + 0.01 * n}, FRESH) for n, day in enumerate(sessions)]
    wanted = RateBounds(tenors=(1 / 12, 10.0))

    assert check_rates(good, at=AT, bounds=wanted).yields == tuple(good)
    with pytest.raises(CheckFailed, match="tenors_present"):
        check_rates(good, at=AT)
    with pytest.raises(CheckFailed, match="in_percent"):
        check_rates([Yields(y.day, {1 / 12: 0.054, 10.0: 0.043}, FRESH) for y in good], at=AT, bounds=wanted)


def test_a_universe_comes_back_without_what_ended_and_what_nobody_lists() -> None:
    universe = Universe("test", date(2024, 6, 3), (A, B, C, Underlying("BRK.B")))

    checked = check_universe(
        universe, at=AT, known={A, B, "BRK.B"}, ended={B: SESSION}, bounds=UniverseBounds(**HALF)
    )

    assert checked.tickers == (A, "BRK.B")
    assert {q.ticker: q.expectation for q in checked.report.quarantined} == {B: "not_ended", C: "known"}


def test_the_universe_that_is_shipped_is_well_formed() -> None:
    universe = load_universe("wsb_dip_bot")

    checked = check_universe(universe, at=AT + timedelta(days=3650), known=set(universe.tickers))

    assert checked.tickers == universe.tickers


PUT = contract(90, Right.PUT, date(2024, 7, 19))


def test_an_account_with_nothing_but_cash_has_positions_that_pass() -> None:
    assert check_positions([], Cash(Decimal("10")), at=AT, known=()).holdings == ()


def test_one_position_that_makes_no_sense_fails_them_all_by_name() -> None:
    held = [Holding(PUT, Decimal("-1.5")), Holding(Share(A), Decimal("0.25"))]

    with pytest.raises(CheckFailed, match="integral") as caught:
        check_positions(held, Cash(Decimal("10")), at=AT, known={PUT.symbol, A})

    [failed] = caught.value.report.failures
    assert failed.examples == ({"symbol": PUT.symbol, "quantity": -1.5},)


def test_a_position_on_the_other_side_than_the_ledger_has_fails() -> None:
    with pytest.raises(CheckFailed, match="sign_as_expected"):
        check_positions(
            [Holding(PUT, Decimal("1"))],
            Cash(Decimal("10")),
            at=AT,
            known={PUT.symbol},
            expected={PUT: Decimal("-1")},
        )


def test_cash_that_nobody_knows_fails() -> None:
    with pytest.raises(CheckFailed, match="quantity_given"):
        check_positions([], Cash(Decimal("NaN")), at=AT, known=())


def test_stored_sessions_come_back_without_the_faulty_one() -> None:
    held = benches.contracts()
    bad = (held["underlying"] == "XYZ") & (held["session"] == "2024-06-20")

    checked = check_history(held.assign(volume=held["volume"].mask(bad, 1)), at=AT)

    assert set(checked.sessions["ABC"]) - set(checked.sessions["XYZ"]) == {date(2024, 6, 20)}


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([20240701]),
        pd.Series(pd.to_datetime(["2024-07-01 09:30"])),
        pd.Series(pd.to_datetime(["2024-07-01"], utc=True)),
        pd.Series(["soon"]),
        pd.Series([None], dtype=object),
    ],
    ids=["number", "time of day", "zone", "text", "nothing"],
)
def test_a_day_that_could_be_another_is_no_day(column: pd.Series) -> None:
    assert list(days(column).isna()) == [True]


def test_days_are_read_from_dates_and_text() -> None:
    found = days(pd.Series(["2024-07-04", "2024-07-05"]))

    assert list(found) == [pd.Timestamp("2024-07-04"), pd.Timestamp("2024-07-05")]
    assert list(on_session(found)) == [False, True]
