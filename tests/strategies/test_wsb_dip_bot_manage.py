from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from tests.builders import SESSION, a_call, a_market, a_position, a_put, a_quote, a_report, at
from wsb_core.domain.events import Announcement, ReportTime
from wsb_core.domain.strategy import Close, Hold
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.strategies.wsb_dip_bot import ORIGINAL, Params, manage

NEXT, SECOND, THIRD = date(2024, 5, 16), date(2024, 5, 17), date(2024, 5, 20)
FACTS = {"dip_day_low": "99.00", "atr": "2.00", "realised_vol": "0.40"}  # sold on a close below 98


def held(quantity: int = 2, opened_quantity: int | None = 2, **facts: str):
    return a_position(quantity=quantity, opened_quantity=opened_quantity, **{**FACTS, **facts})


def seen(
    bid: str = "4.00",
    *,
    delta: float | None = 0.35,
    spot: str = "100",
    session: date = NEXT,
    when: datetime | None = None,
    last_close: float = 100.0,
    earnings: tuple[Announcement, ...] | None = (),
):
    """The market at noon of the session after entry unless told otherwise; the ask is a nickel above."""
    ask = f"{float(bid) + 0.05:.2f}"
    noon = when or at(session, 12)
    closes = [*np.full(260, 100.0), last_close]
    return a_market(
        a_quote(bid=bid, ask=ask, delta=delta),
        spot=spot,
        session=session,
        as_of=noon,
        closes=closes,
        earnings=earnings,
    )


def test_holds_and_names_the_nearest_exit_with_its_numbers():
    decision = manage(held(), seen("4.00", spot="99"), Params())

    assert decision == Hold(
        "nearest dip_low at 98.00, spot 99.00; bid 4.00 is 1.00 of 4.00; delta 0.35; "
        "time stop 2024-05-17 15 minutes before the close"
    )


def test_half_the_premium_gone_at_the_bid_stops_after_a_second_look():
    decision = manage(held(), seen("2.00"), Params())

    assert decision == Close(
        "premium_stop", "bid 2.00 is 0.50 of 4.00 <= 0.5", urgent=True, confirm=timedelta(seconds=30)
    )


@pytest.mark.parametrize(
    ("rule", "quantity", "market"),
    [
        ("target", None, seen("12.00")),
        ("delta", None, seen("6.00", delta=0.60)),
        ("half", 1, seen("8.00")),
        ("dip_low", None, seen(last_close=97.9)),
        ("dip_low", None, seen(spot="97.9", when=at(NEXT, 15, 45))),
        ("time_stop", None, seen(session=SECOND, when=at(SECOND, 15, 45))),
        ("time_stop", None, seen(session=THIRD, when=at(THIRD, 9, 35))),
        ("expiry", None, seen(session=date(2024, 6, 13))),
    ],
    ids=["target", "delta", "half", "closed below", "near close below", "due", "overdue", "expiry"],
)
def test_each_exit_fires(rule, quantity, market):
    params = Params(hold_sessions=None) if rule == "expiry" else Params()

    decision = manage(held(), market, params)

    assert isinstance(decision, Close)
    assert (decision.rule, decision.quantity) == (rule, quantity)
    assert decision.detail


@pytest.mark.parametrize(
    "market",
    [
        seen("2.01"),
        seen("7.99"),
        seen("6.00", delta=0.59),
        seen("6.00", delta=None),
        seen(last_close=98.0),
        seen(spot="97.9", when=at(NEXT, 15, 44)),
        seen(session=NEXT, when=at(NEXT, 15, 59)),
        seen(session=SECOND, when=at(SECOND, 15, 44)),
    ],
    ids=[
        "above the stop",
        "below twice",
        "delta just under",
        "delta unknown",
        "closed on the level",
        "below at midday",
        "first session",
        "second session too early",
    ],
)
def test_just_short_of_an_exit_it_holds(market):
    assert isinstance(manage(held(), market, Params()), Hold)


@pytest.mark.parametrize(
    ("rule", "market"),
    [
        ("premium_stop", seen("1.00", delta=0.70, last_close=90.0, session=SECOND, when=at(SECOND, 15, 50))),
        ("target", seen("12.00", delta=0.90, last_close=90.0, session=SECOND, when=at(SECOND, 15, 50))),
        ("delta", seen("8.50", delta=0.70, last_close=90.0, session=SECOND, when=at(SECOND, 15, 50))),
        ("half", seen("8.50", last_close=90.0, session=SECOND, when=at(SECOND, 15, 50))),
        ("dip_low", seen("4.00", last_close=90.0, session=SECOND, when=at(SECOND, 15, 50))),
    ],
)
def test_of_several_exits_the_cards_order_decides(rule, market):
    decision = manage(held(), market, Params())

    assert isinstance(decision, Close)
    assert decision.rule == rule


@pytest.mark.parametrize(
    ("position", "expected"),
    [(held(3, 3), 1), (held(5, 5), 2), (held(1, 1), None), (held(1, 2), None), (held(2, 5), None)],
    ids=["three", "five", "one", "half went", "more than half went"],
)
def test_half_is_sold_once_and_only_when_there_are_two(position, expected):
    decision = manage(position, seen("8.00"), Params())

    assert getattr(decision, "quantity", None) == expected
    assert isinstance(decision, Hold) is (expected is None)


def test_half_is_not_sold_when_it_is_not_known_what_was_opened():
    assert isinstance(manage(held(2, None), seen("8.00"), Params()), Hold)


def test_delta_may_sell_half_and_then_lets_the_rest_run():
    params = Params(delta_exit_half=True)

    first = manage(held(4, 4), seen("6.00", delta=0.65), params)
    after = manage(held(2, 4), seen("6.00", delta=0.65), params)

    assert isinstance(first, Close)
    assert (first.rule, first.quantity) == ("delta_half", 2)
    assert isinstance(after, Hold)


def test_on_a_half_day_the_time_stop_comes_fifteen_minutes_before_its_close():
    half_day = date(2024, 7, 3)  # closes at 13:00
    position = replace(
        held(), opened_session=date(2024, 7, 1), structure=single(a_call(expiry=date(2024, 8, 2)))
    )
    quote = a_quote(a_call(expiry=date(2024, 8, 2)))

    early, due = (
        manage(position, a_market(quote, session=half_day, as_of=at(half_day, 12, minute)), Params())
        for minute in (44, 45)
    )

    assert isinstance(early, Hold)
    assert isinstance(due, Close)
    assert due.rule == "time_stop"


@pytest.mark.parametrize(
    "quote",
    [
        a_quote(bid=None, ask="0.05"),
        a_quote(bid="4.00", ask=None),
        a_quote(bid="4.10", ask="4.00"),
        a_quote(a_call("110")),
    ],
    ids=["no bid", "no ask", "crossed", "not in the chain"],
)
def test_without_a_valid_quote_nothing_is_decided_and_the_contract_is_named(quote):
    late = a_market(quote, session=THIRD, as_of=at(THIRD, 15, 50))

    decision = manage(held(), late, Params())

    assert isinstance(decision, Hold)
    assert "no valid quote for AAPL  240614C00105000" in decision.nearest


def test_the_dip_days_low_is_read_from_the_bars_when_the_entry_did_not_record_it():
    # Ranges of 1 % around 100 make an ATR of 1 and, on the dip day, a low of 99.5: the level is 99.0.
    position = a_position(quantity=2)

    above, below = (
        manage(position, seen(spot=spot, when=at(NEXT, 15, 50)), Params()) for spot in ("99.10", "98.90")
    )

    assert isinstance(above, Hold)
    assert isinstance(below, Close)
    assert below.rule == "dip_low"
    assert below.detail == "98.90 near the close < 99.00"


def test_a_close_before_the_entry_sells_nothing():
    market = seen(session=SESSION, when=at(SESSION, 15, 50), last_close=90.0)

    assert isinstance(manage(held(), market, Params()), Hold)


def test_a_level_that_cannot_be_known_is_said_not_to_be_watched():
    market = seen()
    bare = replace(market, bars=pd.DataFrame())

    decision = manage(a_position(quantity=2), bare, Params())

    assert isinstance(decision, Hold)
    assert "dip_low not watched" in decision.nearest


def test_exits_work_without_bars():
    bare = replace(seen("4.00", spot="97", when=at(NEXT, 15, 50)), bars=pd.DataFrame())

    decision = manage(held(), bare, Params())

    assert isinstance(decision, Close)
    assert decision.rule == "dip_low"


def test_on_the_day_of_entry_the_low_so_far_is_the_dip_days_low():
    today = {"open": 106.0, "high": 107.0, "low": 99.5, "close": 98.0, "volume": 9e7}
    quiet = [100.0] * 260
    market = a_market(
        a_quote(), spot="98", session=SESSION, as_of=at(SESSION, 15, 50), today=today, closes=quiet
    )

    decision = manage(a_position(quantity=2), market, Params())

    assert isinstance(decision, Close)
    assert decision.detail == "98.00 near the close < 99.00"


@pytest.mark.parametrize(
    ("vol", "bid", "rule"),
    [
        ("0.25", "10.00", "target"),
        ("0.40", "10.00", None),
        ("0.40", "12.00", "target"),
        (None, "10.00", None),
    ],
    ids=["calm 2.5x", "wild not yet", "wild 3x", "unknown is not calm"],
)
def test_originals_target_is_nearer_while_volatility_is_low(vol, bid, rule):
    facts = {} if vol is None else {"realised_vol": vol}

    decision = manage(a_position(quantity=2, **facts), seen(bid), ORIGINAL)

    assert getattr(decision, "rule", None) == rule


@pytest.mark.parametrize(
    ("bid", "day", "rule"),
    [
        ("4.79", date(2024, 6, 7), "decay"),
        ("4.80", date(2024, 6, 7), None),
        ("4.00", date(2024, 6, 6), None),
        ("4.80", date(2024, 6, 13), "expiry"),
    ],
    ids=["seven days, little profit", "profit runs on", "eight days", "last days"],
)
def test_original_sells_in_the_last_week_unless_it_has_made_a_fifth(bid, day, rule):
    decision = manage(held(), seen(bid, session=day), ORIGINAL)

    assert getattr(decision, "rule", None) == rule


def test_original_ignores_sessions_and_the_dip_days_low():
    market = seen("4.00", spot="90", last_close=90.0, session=THIRD, when=at(THIRD, 15, 50))

    assert isinstance(manage(held(), market, ORIGINAL), Hold)


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (a_position(entry="4.00"), "must be a debit"),
        (a_position(Structure((StructureLeg(a_call(), -1),)), entry="4.00"), "single long calls only"),
        (
            a_position(Structure((StructureLeg(a_call(), 1), StructureLeg(a_call("110"), -1)))),
            "single long calls only",
        ),
        (a_position(a_put()), "single long calls only"),
    ],
    ids=["credit", "short", "spread", "put"],
)
def test_a_position_that_is_not_its_own_kind_is_an_error(position, message):
    with pytest.raises(ValueError, match=message):
        manage(position, seen(), Params())


AT_THE_CLOSE = at(NEXT, 15, 45)


@pytest.mark.parametrize(
    "report",
    [
        a_report(NEXT, time=ReportTime.AFTER_CLOSE),
        a_report(SECOND, time=ReportTime.BEFORE_OPEN),
        a_report(SECOND, time=ReportTime.UNKNOWN),
        a_report(NEXT, last=THIRD),
    ],
    ids=str,
)
def test_a_report_moved_into_the_holding_time_is_sold_before(report):
    decision = manage(held(), seen(when=AT_THE_CLOSE, earnings=(report,)), Params())

    assert isinstance(decision, Close)
    assert decision.rule == "earnings"


@pytest.mark.parametrize(
    ("report", "when", "params"),
    [
        (a_report(NEXT, time=ReportTime.AFTER_CLOSE), at(NEXT, 12), Params()),
        (a_report(SECOND, time=ReportTime.AFTER_CLOSE), AT_THE_CLOSE, Params()),
        (a_report(NEXT, time=ReportTime.BEFORE_OPEN), AT_THE_CLOSE, Params()),
        (
            a_report(NEXT, time=ReportTime.AFTER_CLOSE),
            AT_THE_CLOSE,
            Params(sell_before_earnings=False),
        ),
    ],
    ids=["not near the close yet", "after the time stop", "already out", "switched off"],
)
def test_a_report_that_the_call_does_not_live_through_is_no_reason_to_sell(report, when, params):
    assert isinstance(manage(held(), seen(when=when, earnings=(report,)), params), Hold)


def test_an_unknown_report_date_sells_nothing():
    assert isinstance(manage(held(), seen(when=AT_THE_CLOSE, earnings=None), Params()), Hold)
