from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from tests.builders import (
    AAPL,
    EXPIRY,
    SESSION,
    a_book,
    a_call,
    a_market,
    a_position,
    a_put,
    a_quote,
    a_report,
    an_open_order,
)
from wsb_core.domain.contracts import Right
from wsb_core.domain.events import ReportTime
from wsb_core.domain.orders import Effect, OrderState, Proposal
from wsb_core.domain.strategy import ChainWindow
from wsb_core.domain.structures import single
from wsb_core.strategies.wsb_dip_bot import (
    NAME,
    ORIGINAL,
    STRATEGY,
    Params,
    expectation,
    needs,
    notes,
    propose,
)

NEAR, FAR = date(2024, 6, 7), date(2024, 6, 21)  # 23 and 37 days


def test_buys_the_call_nearest_the_target_delta_at_its_mid():
    market = a_market(
        a_quote(a_call("104"), delta=0.39),
        a_quote(a_call("105"), delta=0.36, bid="3.95", ask="4.04"),
        a_quote(a_call("107"), delta=0.31),
    )

    [proposal] = propose(market, a_book(), Params())

    assert proposal.structure == single(a_call("105"))
    assert proposal.effect is Effect.OPEN
    assert proposal.quantity is None
    # The mid is 3.995; a limit on the penny pays no more than it.
    assert proposal.limit == Decimal("-3.99")


def test_takes_the_expiry_nearest_thirty_days_and_no_other():
    market = a_market(
        a_quote(a_call(expiry=NEAR), delta=0.35), a_quote(a_call(expiry=FAR), delta=0.35), a_quote(delta=0.31)
    )

    [proposal] = propose(market, a_book(), Params())

    assert proposal.structure.contracts[0].expiry == EXPIRY


def test_records_the_numbers_the_entry_stands_on():
    market = a_market(a_quote(), today={"open": 106, "high": 107, "low": 98.5, "close": 100, "volume": 9e7})

    [proposal] = propose(market, a_book(), Params())

    facts = proposal.facts
    assert (facts["variant"], facts["preset"]) == ("classic", "default")
    assert float(facts["dip_day_low"]) == 98.5
    assert float(facts["run"]) == pytest.approx(0.25, abs=1e-3)
    assert float(facts["dip"]) == pytest.approx(-0.06, abs=1e-3)
    assert float(facts["atr"]) > 0
    assert (facts["delta"], facts["iv"], facts["otm"]) == ("0.3500", "0.3500", "0.0500")
    assert float(facts["break_even_at_expiry"]) == pytest.approx((105 + 4) / 100 - 1)
    assert float(facts["break_even_move_per_day"]) == pytest.approx(0.06 / (0.35 * 100), abs=1e-5)
    assert (facts["quote_source"], facts["quote_feed"]) == ("builder", "realtime")


def test_the_atr_of_the_entry_leaves_the_dip_day_out():
    wild = {"open": 106, "high": 160, "low": 50, "close": 100, "volume": 9e7}

    [calm_day], [wild_day] = (propose(a_market(a_quote(), today=t), a_book(), Params()) for t in (None, wild))

    assert calm_day.facts["atr"] == wild_day.facts["atr"]


def test_what_the_vendor_did_not_give_is_on_record_as_unknown():
    [proposal] = propose(a_market(a_quote(theta=None, iv=None)), a_book(), Params())

    assert proposal.facts["iv"] == "unknown"
    assert proposal.facts["break_even_move_per_day"] == "unknown"


@pytest.mark.parametrize(
    ("rule", "value", "market"),
    [
        ("expiry", "none", a_market()),
        ("expiry", "none", a_market(a_quote(a_put()))),
        ("expiry", "none", a_market(a_quote(a_call(expiry=date(2024, 5, 24))))),
        ("expiry", "none", a_market(a_quote(a_call(expiry=date(2024, 7, 5))))),
        ("expiry", "none", a_market(a_quote(a_call(standard=False)))),
        ("expiry", "none", a_market(a_quote(a_call(multiplier=150)))),
        ("delta", "unknown", a_market(a_quote(delta=None))),
        ("delta", "0.29", a_market(a_quote(delta=0.29), a_quote(a_call("90"), delta=0.8))),
        ("relative_spread", "0.1", a_market(a_quote(bid="3.80", ask="4.20"))),
        ("relative_spread", "unknown", a_market(a_quote(bid=None))),
        ("relative_spread", "unknown", a_market(a_quote(ask=None))),
        ("relative_spread", "unknown", a_market(a_quote(bid="4.20", ask="4.00"))),
        ("open_interest", "unknown", a_market(a_quote(open_interest=None))),
        ("open_interest", "499", a_market(a_quote(open_interest=499))),
        ("option_volume", "unknown", a_market(a_quote(volume=None))),
        ("option_volume", "99", a_market(a_quote(volume=99))),
        ("earnings", "unknown", a_market(a_quote(), earnings=None)),
        ("earnings", "unknown", a_market(a_quote(), known_from=date(2024, 5, 14))),
        ("earnings", "2024-05-13 (during)", a_market(a_quote(), earnings=(date(2024, 5, 13),))),
        (
            "earnings",
            "2024-05-22 (during)",
            a_market(a_quote(), earnings=(date(2024, 8, 1), date(2024, 5, 22))),
        ),
        ("iv_percentile", "insufficient history", a_market(a_quote(), iv_percentile=None)),
        ("iv_percentile", "90.5", a_market(a_quote(), iv_percentile=90.5)),
        ("dip_day_low", "unknown", a_market(a_quote(), no_today=True)),
    ],
)
def test_each_gate_refuses_alone_and_says_what_it_saw(rule, value, market):
    [refusal] = propose(market, a_book(), Params())

    assert (refusal.stage, refusal.rule, refusal.value) == ("propose", rule, value)
    assert refusal.underlying == AAPL
    assert refusal.bound


@pytest.mark.parametrize("day", [date(2024, 5, 10), date(2024, 5, 23)], ids=["3 before", "6 after"])
def test_earnings_outside_the_window_do_not_matter(day):
    [proposal] = propose(a_market(a_quote(), earnings=(day,)), a_book(), Params())

    assert proposal.effect is Effect.OPEN


@pytest.mark.parametrize(
    ("report", "allowed"),
    [
        (a_report(date(2024, 5, 22), time=ReportTime.BEFORE_OPEN), False),
        (a_report(date(2024, 5, 22), time=ReportTime.AFTER_CLOSE), True),
        (a_report(date(2024, 5, 22), time=ReportTime.UNKNOWN), False),
        (a_report(date(2024, 5, 10), time=ReportTime.AFTER_CLOSE), False),
        (a_report(date(2024, 5, 10), time=ReportTime.UNKNOWN), False),
        (a_report(date(2024, 5, 10), time=ReportTime.BEFORE_OPEN), True),
        (a_report(date(2024, 5, 20), last=date(2024, 5, 24)), False),
    ],
    ids=str,
)
def test_a_report_counts_in_the_session_whose_prices_know_it_first(report, allowed):
    """The window of 2024-05-15 reaches from the 13th to the 22nd."""
    [found] = propose(a_market(a_quote(), earnings=(report,)), a_book(), Params())

    assert isinstance(found, Proposal) is allowed


@pytest.mark.parametrize(
    "book",
    [
        a_book(a_position(a_call("110"))),
        a_book(orders=[an_open_order()]),
        a_book(orders=[an_open_order(state=OrderState.UNKNOWN)]),
    ],
    ids=["held", "pending", "unknown"],
)
def test_a_name_that_is_held_or_may_be_is_left_alone(book):
    [refusal] = propose(a_market(a_quote()), book, Params())

    assert refusal.rule == "one_per_name"


def test_another_strategys_position_in_the_name_does_not_count():
    book = a_book(a_position(strategy="wheel"))

    [proposal] = propose(a_market(a_quote()), book, Params())

    assert proposal.effect is Effect.OPEN


def test_practice_may_enter_on_unknown_events_only_when_it_says_so():
    params = Params(allow_unknown_earnings=True, allow_unknown_iv_percentile=True)

    [proposal] = propose(a_market(a_quote(), earnings=None, iv_percentile=None), a_book(), params)

    assert proposal.facts["iv_percentile"] == "unknown"


def test_a_gate_that_is_switched_off_does_not_ask_for_the_number():
    params = Params(min_open_interest=0, min_volume=0)

    [proposal] = propose(a_market(a_quote(open_interest=None, volume=None)), a_book(), params)

    assert proposal.effect is Effect.OPEN


def test_original_takes_the_narrowest_spread_near_five_percent_out_of_the_money():
    market = a_market(
        a_quote(a_call("102"), bid="4.00", ask="4.01", delta=None),  # too near the money
        a_quote(a_call("104"), bid="3.80", ask="4.20", delta=None),
        a_quote(a_call("106"), bid="3.00", ask="3.10", delta=None),
        a_quote(a_call("108"), bid="2.00", ask="2.01", delta=None),  # too far
    )

    [proposal] = propose(market, a_book(), ORIGINAL)

    assert proposal.structure == single(a_call("106"))


@pytest.mark.parametrize(
    ("rule", "quote"),
    [
        ("strike", a_quote(a_call("101"))),
        ("option_volume", a_quote(volume=10)),
        ("bid", a_quote(bid="0.05", ask="0.06")),
        ("expiry", a_quote(a_call(expiry=NEAR))),
    ],
)
def test_originals_own_gates_refuse(rule, quote):
    [refusal] = propose(a_market(quote), a_book(), ORIGINAL)

    assert refusal.rule == rule


def test_asks_for_calls_in_its_window_and_bars_for_its_slowest_average():
    wanted = needs(Params())

    assert wanted.chain == ChainWindow(21, 45, (Right.CALL,))
    assert wanted.benchmark == "SPY"
    assert wanted.benchmark_bars >= 200
    # Wilder's smoothing has to forget its seed even where no long average asks for history.
    assert needs(Params(rsi_window=50)).bars >= 8 * 50
    assert needs(Params(atr_window=50)).bars >= 8 * 50


@pytest.mark.parametrize(
    "changes",
    [
        {"min_dte": 31},
        {"min_delta": 0.36},
        {"min_pullback": 0.2},
        {"half_multiple": 3.0},
        {"calm_target_multiple": 1.5},
        {"expiry_dte": 21, "min_dte": 21},
        {"stop_share": 1.0},
        {"max_iv_percentile": 101},
        {"no_such_parameter": 1},
    ],
)
def test_parameters_that_contradict_each_other_or_are_unknown_are_refused(changes):
    with pytest.raises(ValidationError):
        Params(**changes)


def test_every_parameter_explains_itself_in_the_form():
    schema = Params.model_json_schema()["properties"]

    assert [name for name, field in schema.items() if name != "preset" and "description" not in field] == []


def test_decides_from_twenty_five_to_ten_minutes_before_the_close():
    [slot] = STRATEGY.cadence.slots

    assert (slot.name, slot.minutes, slot.window.total_seconds()) == ("close-25m", -25, 900)
    assert STRATEGY.name == NAME == "wsb_dip_bot"


def test_expected_outcomes_are_shares_and_the_time_stop_dominates():
    odds = expectation(Params())

    assert odds.stopped + odds.target + odds.timed_out == pytest.approx(1)
    assert odds.timed_out > odds.stopped > odds.target > 0
    # |theta| / (delta spot) of a 35-delta call with 30 days at 35 %: phi(d1) vol / (2 sqrt(T) 365 delta).
    assert odds.break_even_per_day == pytest.approx(
        0.3704 * 0.35 / (2 * (30 / 365) ** 0.5 * 365 * 0.35), rel=1e-3
    )


def test_notes_put_the_expectation_in_words():
    assert "expected return is negative" in notes(Params())
    assert "time stop" in notes(Params())
    assert "time stop" not in notes(ORIGINAL)


def test_the_session_of_the_market_counts_the_days_to_expiry():
    later = replace(a_market(a_quote()), session=date(2024, 5, 29))

    [refusal] = propose(later, a_book(), Params())

    assert later.session > SESSION
    assert refusal.rule == "expiry"
