"""Exercise and assignment before expiry, dividends and splits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from wsb_core.domain.contracts import OptionContract, Right, Share, parse_occ
from wsb_core.domain.ids import Cash, Price, Underlying
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import CorporateAction, RowKind, Status, TradeEvent

from .conftest import (
    C100,
    C100_JULY,
    C105,
    P95,
    P100,
    P100_JULY,
    SHARE,
    XYZ,
    a_feed,
    an_exchange,
    booked,
    buy,
    cover,
    holdings,
    ny,
    order,
    refusal,
    sell,
    write,
)
from .hand_feed import HandFeed

LIFE = (RowKind.OPEXC, RowKind.OPASN, RowKind.OPTRD)
TUESDAY = date(2024, 6, 11)


def test_a_long_call_can_be_exercised_early(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 10), "104.99", "105.01", 1_000)
    exchange.submit(buy(C100, 2, "1.60"))
    exchange.exercise(C100)
    after = holdings(exchange)
    rows = booked(exchange, *LIFE)

    assert after == {SHARE: 200}
    assert [(row.kind, row.quantity, row.net_amount) for row in rows] == [
        (RowKind.OPEXC, -2, 0),
        (RowKind.OPTRD, 200, -20_000),
    ]
    assert rows[0].group == rows[1].group


def test_a_long_put_is_exercised_against_shares_that_are_held(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 10), "89.99", "90.01", 1_000)
    exchange.submit(buy(P95, limit="0.50"))
    no = refusal(lambda: exchange.exercise(P95))
    exchange.submit(buy(SHARE, 100, "90.01"))
    exchange.exercise(P95)

    assert (no.status, no.message) == (403, "insufficient cash, buying power or deliverable")
    assert holdings(exchange) == {}


def test_exercise_is_refused_where_it_cannot_be_done(feed: HandFeed, exchange: Exchange) -> None:
    flat = refusal(lambda: exchange.exercise(C100))
    exchange.submit(buy(C105, limit="0.50"))
    exchange.submit(write(P95, limit="0.40"))
    out_of_the_money = refusal(lambda: exchange.exercise(C105))
    short = refusal(lambda: exchange.exercise(P95))
    feed.put(SHARE, ny(10, 11), "106.99", "107.01", 1_000)
    exchange.advance(ny(10, 16, 1))
    late = refusal(lambda: exchange.exercise(C105))

    assert flat.message == "no available position for the specified contract"
    assert "out of the money" in out_of_the_money.message
    assert (short.code, short.message) == (40310001, "cannot exercise short position")
    assert "not accepted after market close" in late.message


def test_european_options_are_neither_exercised_nor_assigned_early() -> None:
    index, contract = Underlying("SPX"), parse_occ("SPXW  240621C05000000")
    feed = a_feed()
    feed.put(Share(index), ny(3, 9, 30), "5049.00", "5051.00")
    feed.put(contract, ny(3, 9, 30), "60.00", "61.00")
    exchange = an_exchange(feed)
    exchange.submit(buy(contract, limit="61.00"))

    assert "European-style" in refusal(lambda: exchange.exercise(contract)).message


def test_exercise_needs_the_cash() -> None:
    feed = a_feed()
    feed.put(SHARE, ny(10, 10), "104.99", "105.01", 1_000)
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(9_000)))
    exchange.submit(buy(C100, limit="1.60"))

    assert refusal(lambda: exchange.exercise(C100)).message.startswith("insufficient cash")


def test_a_long_leg_that_covers_a_short_one_cannot_be_exercised_away(
    feed: HandFeed, exchange: Exchange
) -> None:
    feed.put(SHARE, ny(10, 10), "109.99", "110.01", 1_000)
    exchange.submit(order((C100, Action.BUY_TO_OPEN), (C105, Action.SELL_TO_OPEN), limit="1.20"))
    exchange.exercise(C100)

    # The shares that arrive cover the short call in place of the long one.
    assert holdings(exchange) == {C105: -1, SHARE: 100}


def test_part_of_a_short_position_is_assigned_early_without_an_event(exchange: Exchange) -> None:
    exchange.submit(write(P100, 5, "1.45"))
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    exchange.assign(P100, 2)
    after = holdings(exchange)
    rows = booked(exchange, *LIFE)[:2]

    assert events == []
    assert after == {P100: -3, SHARE: 200}
    assert [(row.kind, row.quantity, row.net_amount) for row in rows] == [
        (RowKind.OPASN, 2, 0),
        (RowKind.OPTRD, 200, -20_000),
    ]
    assert rows[0].group == rows[1].group


def test_an_early_assignment_of_a_spreads_short_call_leaves_short_shares(exchange: Exchange) -> None:
    exchange.submit(order((C100, Action.SELL_TO_OPEN), (C105, Action.BUY_TO_OPEN), limit="-1.00"))
    exchange.assign(C100, 1)

    assert holdings(exchange) == {C105: 1, SHARE: -100}
    assert exchange.account().cash == 100_000 + 100 + 10_000 - Decimal("0.06")


def test_an_assignment_cancels_orders_that_would_close_what_is_gone(exchange: Exchange) -> None:
    exchange.submit(write(P100, 5, "1.45"))
    row = exchange.submit(cover(P100, 5, "1.00"))
    exchange.assign(P100, 1)

    after = exchange.order(row.id)
    assert after is not None
    assert after.status is Status.CANCELED


def test_shares_under_a_later_covered_call_are_not_put_away_at_expiry(
    feed: HandFeed, exchange: Exchange
) -> None:
    exchange.submit(buy(SHARE, 100, "100.01"))
    exchange.submit(write(C100_JULY, limit="3.90"))
    exchange.submit(buy(P95, limit="0.50"))
    feed.put(P95, ny(14, 12), None, "5.05")
    feed.closes[XYZ, date(2024, 6, 14)] = "90"
    exchange.advance(ny(14, 18))

    assert holdings(exchange) == {SHARE: 100, C100_JULY: -1}


@pytest.mark.parametrize(("quantity", "status"), [(0, 422), (6, 422)])
def test_no_more_is_assigned_than_is_short(exchange: Exchange, quantity: int, status: int) -> None:
    exchange.submit(write(P100, 5, "1.45"))

    assert refusal(lambda: exchange.assign(P100, quantity)).status == status


def test_only_short_positions_are_assigned(exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))

    assert refusal(lambda: exchange.assign(C100, 1)).status == 404


@pytest.mark.parametrize(("side", "cash"), [(1, "50.00"), (-1, "-50.00")])
def test_a_dividend_is_received_on_long_shares_and_owed_on_short_ones(side: int, cash: str) -> None:
    feed = a_feed()
    feed.act(CorporateAction(XYZ, TUESDAY, dividend=Price(Decimal("0.50"))))
    exchange = an_exchange(feed)
    exchange.submit(buy(SHARE, 100, "100.01") if side > 0 else write(SHARE, 100, "99.99"))
    rows = booked(exchange, RowKind.DIV)

    assert [(row.net_amount, row.quantity, row.booked_on) for row in rows] == [(Decimal(cash), 0, TUESDAY)]
    assert rows[0].at < ny(11, 9, 30)


def test_shares_bought_on_the_ex_date_get_no_dividend(feed: HandFeed, exchange: Exchange) -> None:
    feed.act(CorporateAction(XYZ, date(2024, 6, 10), dividend=Price(Decimal("0.50"))))
    exchange.submit(buy(SHARE, 100, "100.01"))

    assert booked(exchange, RowKind.DIV) == []


def test_an_action_dated_on_a_weekend_takes_effect_at_the_next_open(
    feed: HandFeed, exchange: Exchange
) -> None:
    feed.act(CorporateAction(XYZ, date(2024, 6, 15), dividend=Price(Decimal("0.50"))))
    exchange.submit(buy(SHARE, 100, "100.01"))

    assert [row.booked_on for row in booked(exchange, RowKind.DIV)] == [date(2024, 6, 17)]


def test_a_whole_split_multiplies_and_divides(feed: HandFeed, exchange: Exchange) -> None:
    feed.act(CorporateAction(XYZ, TUESDAY, ratio=Decimal(2)))
    exchange.submit(buy(SHARE, 100, "100.01"))
    exchange.submit(buy(C100_JULY, 3, "4.10"))
    exchange.submit(write(P100_JULY, 1, "3.80"))
    cash = exchange.account().cash
    exchange.advance(ny(11, 9))

    averages = {row.instrument: (row.quantity, row.average) for row in exchange.positions()}
    half_call = OptionContract("XYZ", date(2024, 7, 19), Right.CALL, Decimal(50), XYZ)
    half_put = OptionContract("XYZ", date(2024, 7, 19), Right.PUT, Decimal(50), XYZ)
    assert averages == {
        SHARE: (200, Decimal("50.005")),
        half_call: (6, Decimal("2.05")),
        half_put: (-2, Decimal("1.90")),
    }
    assert exchange.account().cash == cash


def test_a_split_in_another_ratio_leaves_a_non_standard_contract_that_can_be_closed(
    feed: HandFeed, exchange: Exchange
) -> None:
    feed.act(CorporateAction(XYZ, TUESDAY, ratio=Decimal("1.5")))
    odd = OptionContract(
        "XYZ1", date(2024, 7, 19), Right.CALL, Decimal("66.67"), XYZ, multiplier=150, standard=False
    )
    feed.put(odd, ny(11, 9, 30), "2.70", "2.80")
    exchange.submit(buy(C100_JULY, 3, "4.10"))
    exchange.advance(ny(11, 10))
    held = holdings(exchange)
    # On the wire only the symbol is known, not what the contract delivers.
    row = exchange.submit(sell(parse_occ(odd.occ_symbol), 3, "2.70"))

    assert held == {odd: 3}
    assert row.status is Status.FILLED
    assert exchange.activities()[-2].net_amount == 3 * 150 * Decimal("2.70")


def test_a_split_cancels_resting_orders_of_the_old_prices(feed: HandFeed, exchange: Exchange) -> None:
    feed.act(CorporateAction(XYZ, TUESDAY, ratio=Decimal(2)))
    row = exchange.submit(buy(SHARE, 5, "95.00", gtc=True))
    exchange.advance(ny(11, 9))

    after = exchange.order(row.id)
    assert after is not None
    assert after.status is Status.CANCELED


def test_do_not_exercise_follows_its_contract_through_a_split(feed: HandFeed, exchange: Exchange) -> None:
    feed.act(CorporateAction(XYZ, TUESDAY, ratio=Decimal(2)))
    feed.put(SHARE, ny(11, 9, 30), "59.99", "60.01", 1_000)
    exchange.submit(buy(C100, limit="1.60"))
    exchange.do_not_exercise(C100)
    exchange.advance(ny(14, 18))

    assert holdings(exchange) == {}
    assert exchange.account().cash == 100_000 - 160 - Decimal("0.03")
