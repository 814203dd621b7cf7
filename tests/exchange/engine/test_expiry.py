"""What becomes of positions on the day their contracts end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from wsb_core.domain.contracts import OptionContract, Right, Share, parse_occ
from wsb_core.domain.ids import Cash, Underlying
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.hours import last_trading_session
from wsb_core.exchange.model import ActivityRow, RowKind, Status, TradeEvent

from .conftest import (
    C90,
    C100,
    C105,
    C110,
    FRIDAY,
    P90,
    P95,
    P100,
    SHARE,
    XYZ,
    a_feed,
    an_exchange,
    booked,
    buy,
    holdings,
    ny,
    order,
    refusal,
    write,
)
from .hand_feed import HandFeed

LIFE = (RowKind.OPEXP, RowKind.OPEXC, RowKind.OPASN, RowKind.OPTRD, RowKind.OPCSH)
BTO, STO = Action.BUY_TO_OPEN, Action.SELL_TO_OPEN


def expire(exchange: Exchange, feed: HandFeed, close: str) -> list[ActivityRow]:
    """Pass Friday with an official close of ``close`` and return what was booked for it."""
    feed.closes[XYZ, FRIDAY] = close
    exchange.advance(ny(14, 18))
    return booked(exchange, *LIFE)


def brief(rows: list[ActivityRow]) -> list[tuple[RowKind, object, Decimal, Decimal]]:
    return [(row.kind, row.instrument, row.quantity, row.net_amount) for row in rows]


def test_a_long_call_in_the_money_is_exercised(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(buy(C100, 2, "1.60"))
    rows = expire(exchange, feed, "100.01")

    assert brief(rows) == [(RowKind.OPEXC, C100, -2, 0), (RowKind.OPTRD, SHARE, 200, -20_000)]
    assert rows[0].group == rows[1].group is not None
    assert rows[1].price == 100
    assert holdings(exchange) == {SHARE: 200}
    assert exchange.positions()[0].average == 100


def test_a_long_call_at_the_money_expires_worthless(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(buy(C100, 2, "1.60"))
    rows = expire(exchange, feed, "100")

    assert brief(rows) == [(RowKind.OPEXP, C100, -2, 0)]
    assert holdings(exchange) == {}
    assert exchange.account().equity == 100_000 - 320 - Decimal("0.06")


def test_the_official_close_decides_and_not_the_last_quote(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(14, 15, 59), "104.99", "105.01", 100)
    exchange.submit(buy(C100, limit="1.60"))

    assert [row.kind for row in expire(exchange, feed, "99.50")] == [RowKind.OPEXP]


def test_a_short_put_in_the_money_is_assigned(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(write(P95, 2, "0.40"))
    rows = expire(exchange, feed, "94")

    assert brief(rows) == [(RowKind.OPASN, P95, 2, 0), (RowKind.OPTRD, SHARE, 200, -19_000)]
    assert holdings(exchange) == {SHARE: 200}


def test_a_covered_call_in_the_money_gives_its_shares_away(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(buy(SHARE, 100, "100.01"))
    exchange.submit(write(C105, limit="0.40"))
    rows = expire(exchange, feed, "107")

    assert brief(rows) == [(RowKind.OPASN, C105, 1, 0), (RowKind.OPTRD, SHARE, -100, 10_500)]
    assert holdings(exchange) == {}
    assert exchange.account().cash == 100_000 - 10_001 + 40 - Decimal("0.03") + 10_500


def test_a_short_option_out_of_the_money_expires(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(write(P95, 2, "0.40"))

    assert brief(expire(exchange, feed, "95")) == [(RowKind.OPEXP, P95, 2, 0)]


def test_a_spread_through_both_strikes_ends_in_its_width(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(order((P100, STO), (P95, BTO), limit="-0.95"))
    rows = expire(exchange, feed, "80")

    assert [row.kind for row in rows] == [RowKind.OPASN, RowKind.OPTRD, RowKind.OPEXC, RowKind.OPTRD]
    assert holdings(exchange) == {}
    assert exchange.account().cash == 100_000 + 95 - 500 - Decimal("0.06")


def test_a_spread_is_settled_even_by_an_account_that_could_not_buy_the_shares(feed: HandFeed) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(1_000)))
    exchange.submit(order((P100, STO), (P95, BTO), limit="-0.95"))
    expire(exchange, feed, "80")

    assert holdings(exchange) == {}
    assert exchange.account().cash == 1_000 + 95 - 500 - Decimal("0.06")


def test_a_debit_call_spread_through_both_strikes_pays_its_width_without_cash(feed: HandFeed) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(200)))
    exchange.submit(order((C100, BTO), (C105, STO), limit="1.20"))
    feed.put(SHARE, ny(14, 10), "109.99", "110.01", 1_000)
    expire(exchange, feed, "110")

    assert holdings(exchange) == {}
    assert exchange.account().cash == 200 - 120 + 500 - Decimal("0.06")


def test_all_legs_of_a_condor_settle_on_one_print(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(order((P90, BTO), (P95, STO), (C105, STO), (C110, BTO), limit="-0.30"))
    rows = expire(exchange, feed, "112")

    assert sorted(row.kind for row in rows) == sorted(
        [RowKind.OPASN, RowKind.OPTRD, RowKind.OPEXC, RowKind.OPTRD, RowKind.OPEXP, RowKind.OPEXP]
    )
    assert holdings(exchange) == {}


def test_a_put_is_exercised_first_because_it_brings_the_cash_a_call_needs(feed: HandFeed) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(10_500)))
    exchange.submit(buy(SHARE, 100, "100.01"))
    exchange.submit(buy(P100, limit="1.55"))
    exchange.submit(buy(C90, limit="1.20"))
    feed.put(P100, ny(14, 12), None, "5.05")
    feed.put(C90, ny(14, 12), None, "5.05")
    rows = expire(exchange, feed, "95")

    assert [row.kind for row in rows] == [RowKind.OPEXC, RowKind.OPTRD] * 2
    assert [row.instrument for row in rows] == [P100, SHARE, C90, SHARE]
    assert holdings(exchange) == {SHARE: 100}


def test_do_not_exercise_is_honoured(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    exchange.do_not_exercise(C100)

    assert brief(expire(exchange, feed, "103")) == [(RowKind.OPEXP, C100, -1, 0)]


def test_do_not_exercise_is_taken_until_half_an_hour_after_the_close(exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    exchange.advance(ny(14, 16, 30))
    exchange.do_not_exercise(C100)
    exchange.advance(ny(14, 16, 31))

    assert refusal(lambda: exchange.do_not_exercise(C100)).status == 403


def test_do_not_exercise_needs_a_long_position(exchange: Exchange) -> None:
    flat = refusal(lambda: exchange.do_not_exercise(C100))
    exchange.submit(write(P95, limit="0.40"))
    short = refusal(lambda: exchange.do_not_exercise(P95))

    assert (flat.status, flat.code) == (403, 40310000)
    assert flat.message == "no available position for the specified contract"
    assert (short.status, short.code) == (403, 40310001)
    assert short.message == "cannot submit DNE for short position"


def test_a_long_call_without_the_cash_is_sold_by_the_broker_in_the_last_hour(feed: HandFeed) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(1_000)))
    feed.put(SHARE, ny(14, 12), "102.99", "103.01", 1_000)
    feed.put(C100, ny(14, 12), "2.95", "3.05")
    exchange.submit(buy(C100, 2, "1.60"))
    mine = len(exchange.orders())
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    expire(exchange, feed, "103")

    sold = exchange.orders()[-1]
    assert len(exchange.orders()) == mine + 1
    assert (sold.status, sold.filled_at, sold.average) == (Status.FILLED, ny(14, 15, 15), Decimal("2.95"))
    assert sold.legs[0].action is Action.SELL_TO_CLOSE
    assert [event.event for event in events] == ["new", "fill"]
    assert holdings(exchange) == {}


def test_a_spread_between_its_strikes_that_cannot_be_exercised_is_closed_short_leg_first(
    feed: HandFeed,
) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(1_000)))
    feed.put(SHARE, ny(14, 12), "102.99", "103.01", 1_000)
    exchange.submit(order((C100, BTO), (C105, STO), limit="1.20"))
    exchange.advance(ny(14, 15, 15))

    assert [row.legs[0].action for row in exchange.orders()[1:]] == [
        Action.BUY_TO_CLOSE,
        Action.SELL_TO_CLOSE,
    ]
    assert holdings(exchange) == {}


def test_cash_that_is_enough_for_one_exercise_is_not_promised_twice(feed: HandFeed) -> None:
    abc = Underlying("ABC")
    other = OptionContract("ABC", FRIDAY, Right.CALL, Decimal(100), abc)
    feed.put(Share(abc), ny(3, 9, 30), "102.99", "103.01", 1_000)
    feed.put(other, ny(3, 9, 30), "2.95", "3.05")
    feed.put(SHARE, ny(14, 12), "102.99", "103.01", 1_000)
    feed.put(C100, ny(14, 12), "2.95", "3.05")
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(10_600)))
    exchange.submit(buy(other, limit="3.05"))
    exchange.submit(buy(C100, limit="1.60"))
    exchange.advance(ny(14, 15, 15))
    sold = holdings(exchange)
    exchange.advance(ny(14, 18))

    assert sold == {other: 1}
    assert holdings(exchange) == {Share(abc): 100}


def test_the_brokers_sale_cancels_the_holders_own_order(feed: HandFeed) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(1_000)))
    feed.put(SHARE, ny(14, 12), "102.99", "103.01", 1_000)
    feed.put(C100, ny(14, 12), "2.95", "3.05")
    exchange.submit(buy(C100, 2, "1.60"))
    exchange.advance(ny(14, 10))
    mine = exchange.submit(order((C100, Action.SELL_TO_CLOSE), quantity=2, limit="9.00"))
    exchange.advance(ny(14, 15, 15))

    after = exchange.order(mine.id)
    assert after is not None
    assert after.status is Status.CANCELED
    assert holdings(exchange) == {}


def test_a_long_put_without_shares_is_sold_and_never_exercised(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(14, 12), "89.99", "90.01", 1_000)
    feed.put(P95, ny(14, 12), "4.95", "5.05")
    exchange.submit(buy(P95, limit="0.50"))
    rows = expire(exchange, feed, "90")

    assert rows == []
    assert exchange.account().cash == 100_000 - 50 + 495 - Decimal("0.06")


def test_a_long_put_without_shares_that_nobody_bids_for_expires(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(14, 12), "89.99", "90.01", 1_000)
    feed.put(P95, ny(14, 12), None, "5.05")
    exchange.submit(buy(P95, limit="0.50"))

    assert brief(expire(exchange, feed, "90")) == [(RowKind.OPEXP, P95, -1, 0)]


def test_a_short_put_whose_long_leg_is_out_of_the_money_is_bought_back_when_it_cannot_be_carried(
    feed: HandFeed,
) -> None:
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(1_000)))
    feed.put(SHARE, ny(14, 12), "96.99", "97.01", 1_000)
    feed.put(P100, ny(14, 12), "2.95", "3.05")
    exchange.submit(order((P100, STO), (P95, BTO), limit="-0.95"))
    rows = expire(exchange, feed, "97")

    assert brief(rows) == [(RowKind.OPEXP, P95, -1, 0)]
    assert exchange.account().cash == 1_000 + 95 - 305 - Decimal("0.09")


def test_an_exercise_at_settlement_sees_what_the_one_before_has_spent(feed: HandFeed) -> None:
    abc = Underlying("ABC")
    other = OptionContract("ABC", FRIDAY, Right.CALL, Decimal(100), abc)
    feed.put(Share(abc), ny(3, 9, 30), "99.99", "100.01", 1_000)
    feed.put(other, ny(3, 9, 30), "1.50", "1.60")
    feed.closes[abc, FRIDAY] = feed.closes[XYZ, FRIDAY] = "103"
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(10_600)))
    exchange.submit(buy(other, limit="1.60"))
    exchange.submit(buy(C100, limit="1.60"))
    exchange.advance(ny(14, 18))

    # Both came into the money after the last hour: there is cash for the first by name only.
    assert holdings(exchange) == {Share(abc): 100}
    assert exchange.account().cash == 10_600 - 320 - 10_000 - Decimal("0.06")


def test_the_broker_leaves_alone_what_the_account_can_carry(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(14, 12), "96.99", "97.01", 1_000)
    exchange.submit(write(P100, limit="1.45"))
    exchange.advance(ny(14, 16))

    assert len(exchange.orders()) == 1


def test_expiry_and_assignment_are_silent_on_the_stream_and_change_the_position_the_same_day(
    feed: HandFeed, exchange: Exchange
) -> None:
    exchange.submit(write(P95, limit="0.40"))
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    feed.closes[XYZ, FRIDAY] = "94"
    exchange.advance(ny(14, 18))

    assert events == []
    assert holdings(exchange) == {SHARE: 100}
    assert {row.kind for row in exchange.activities()} == {RowKind.FILL, RowKind.FEE}
    exchange.advance(datetime(2024, 6, 15, 8, 20, tzinfo=UTC))
    assert {row.kind for row in exchange.activities()} >= {RowKind.OPASN, RowKind.OPTRD}


def test_a_day_without_a_bar_settles_at_the_close_before(feed: HandFeed, exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    feed.closes[XYZ, date(2024, 6, 13)] = "101"
    feed._sessions = tuple(day for day in feed._sessions if day != FRIDAY)
    exchange.advance(ny(14, 18))

    assert holdings(exchange) == {SHARE: 100}


SPX = Underlying("SPX")
SPX_AM = parse_occ("SPX   240621C05000000")
SPX_PM = parse_occ("SPXW  240621C05000000")
SPX_PUT = parse_occ("SPXW  240621P05100000")


def an_index() -> HandFeed:
    feed = a_feed()
    feed.put(Share(SPX), ny(3, 9, 30), "5049.00", "5051.00", 100)
    for contract in (SPX_AM, SPX_PM, SPX_PUT):
        feed.put(contract, ny(3, 9, 30), "60.00", "61.00")
    return feed


@pytest.mark.parametrize("contract", [SPX_AM, SPX_PM])
def test_index_options_settle_in_cash(contract: OptionContract) -> None:
    feed = an_index()
    exchange = an_exchange(feed)
    feed.opens[SPX, date(2024, 6, 21)] = "5020"
    feed.closes[SPX, date(2024, 6, 21)] = "5030"
    exchange.submit(buy(contract, 2, "61.00"))
    exchange.advance(ny(21, 18))
    rows = booked(exchange, *LIFE)

    at_open = contract.root == "SPX"
    assert brief(rows) == [(RowKind.OPCSH, contract, -2, 4_000 if at_open else 6_000)]
    assert rows[0].at == (ny(21, 9, 30) if at_open else ny(21, 18))
    assert holdings(exchange) == {}


def test_a_short_index_option_pays_at_settlement() -> None:
    feed = an_index()
    exchange = an_exchange(feed, starting_cash=Cash(Decimal(1_000_000)))
    feed.closes[SPX, date(2024, 6, 21)] = "5030"
    exchange.submit(write(SPX_PUT, limit="60.00"))
    exchange.advance(ny(21, 18))

    assert exchange.account().cash == 1_000_000 + 6_000 - 7_000 - Decimal("0.03")


def test_a_morning_settled_contract_trades_for_the_last_time_the_day_before() -> None:
    exchange = an_exchange(an_index())
    exchange.advance(ny(20, 16, 1))

    assert refusal(lambda: exchange.submit(buy(SPX_AM, limit="61.00"))).message.endswith("is expired")
    assert exchange.submit(buy(SPX_PM, limit="61.00")).status is Status.ACCEPTED


def test_a_contract_dated_on_a_holiday_ends_the_session_before() -> None:
    good_friday = OptionContract("XYZ", date(2024, 3, 29), Right.CALL, Decimal(100), XYZ)

    assert last_trading_session(good_friday) == date(2024, 3, 28)
