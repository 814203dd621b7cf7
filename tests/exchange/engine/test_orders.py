"""What the exchange takes and what it refuses, in the vendor's codes and words."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import Underlying
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import OrderRequest, OrderType, RequestLeg, Status

from .conftest import (
    C100,
    C100_JULY,
    C105,
    C110,
    P90,
    P95,
    P100,
    SHARE,
    a_feed,
    an_exchange,
    buy,
    call,
    cover,
    ny,
    order,
    refusal,
    sell,
    write,
)
from .hand_feed import HandFeed


def said(exchange: Exchange, request: OrderRequest) -> tuple[int, int, str]:
    no = refusal(lambda: exchange.submit(request))
    return no.status, no.code, no.message


def test_a_client_order_id_is_taken_once_for_ever(exchange: Exchange) -> None:
    first = exchange.submit(buy(C100, limit="1.00", cid="mine"))
    exchange.cancel(first.id)
    exchange.advance(ny(11, 10))

    assert said(exchange, buy(C105, limit="0.10", cid="mine")) == (
        422,
        40010001,
        "client_order_id must be unique",
    )
    assert len(exchange.orders()) == 1


def test_an_omitted_client_order_id_is_generated(exchange: Exchange) -> None:
    row = exchange.submit(buy(C100, limit="1.00"))

    found = exchange.order_by_client_id(row.client_order_id)
    assert found == row


def test_a_client_order_id_of_more_than_128_characters_is_refused(exchange: Exchange) -> None:
    assert said(exchange, buy(C100, limit="1.00", cid="x" * 129))[:2] == (422, 40010001)


def test_a_leg_is_found_by_its_own_ids(exchange: Exchange) -> None:
    row = exchange.submit(order((P100, Action.SELL_TO_OPEN), (P95, Action.BUY_TO_OPEN), limit="-2.00"))

    assert exchange.order(row.legs[1].id) == row
    assert exchange.order_by_client_id(row.legs[1].client_order_id) == row
    assert row.id not in {leg.id for leg in row.legs}


def test_what_is_handed_out_does_not_change_afterwards(exchange: Exchange) -> None:
    row = exchange.submit(buy(C100, limit="1.00"))
    exchange.cancel(row.id)

    assert row.status is Status.NEW


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (buy(C100, "1.5", "1.60"), "qty must be integer"),
        (buy(C100, 0, "1.60"), "qty must be > 0"),
        (buy(C100, limit="1.605"), "sub-penny increment"),
        (buy(SHARE, limit="99.999"), "sub-penny increment"),
        (buy(C100, limit="-1.60"), "limit_price must be > 0"),
        (buy(C100, limit="1.60", gtc=True), "invalid option time_in_force"),
        (buy(C100, stop="2.00"), "invalid order type for options trading"),
        (buy(call("104"), limit="1.00"), 'asset "XYZ240614C00104000" not found'),
        (buy(Share(Underlying("NONE")), limit="1.00"), 'asset "NONE" not found'),
        (buy(call("100", date(2024, 6, 7)), limit="1.00"), "is expired"),
        (sell(C100, limit="1.50"), "position intent mismatch, inferred: sell_to_open, specified: sell_to"),
        (cover(C100, limit="1.60"), "position intent mismatch, inferred: buy_to_open, specified: buy_to"),
    ],
)
def test_a_wrong_order_is_refused_with_422(exchange: Exchange, request_: OrderRequest, words: str) -> None:
    status, code, message = said(exchange, request_)

    assert (status, code) == (422, 42210000)
    assert words in message


def test_a_limit_order_without_a_limit_is_refused(exchange: Exchange) -> None:
    legs = (RequestLeg(C100, True, 1, None),)

    message = said(exchange, OrderRequest(legs, Decimal(1), OrderType.LIMIT))[2]
    assert message == "limit price is required"


@pytest.mark.parametrize(
    ("legs", "words"),
    [
        (
            [(C100, Action.BUY_TO_OPEN, 2), (C105, Action.SELL_TO_OPEN, 2)],
            "leg ratio quantities should be relatively prime: GCD[2 2] = 2",
        ),
        ([(C100, Action.BUY_TO_OPEN), (SHARE, Action.SELL_TO_OPEN)], "equity legs are not supported"),
        ([(C100, Action.BUY_TO_OPEN), (C100, Action.SELL_TO_OPEN)], "leg symbols must be distinct"),
        (
            [
                (C100, Action.BUY_TO_OPEN),
                (
                    OptionContract("ABC", C100.expiry, Right.CALL, Decimal(5), Underlying("ABC")),
                    Action.SELL_TO_OPEN,
                ),
            ],
            "underlying asset mismatch",
        ),
        ([(c, Action.BUY_TO_OPEN) for c in (C100, C105, C110, P100, P95)], "between 2 and 4 legs"),
    ],
)
def test_a_multi_leg_order_of_the_wrong_shape_is_refused(
    exchange: Exchange, legs: list[tuple[OptionContract, Action]], words: str
) -> None:
    status, code, message = said(exchange, order(*legs, limit="1.00"))

    assert (status, code) == (422, 42210000)
    assert words in message


def test_the_position_intent_is_inferred_when_it_is_not_said(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 2, "1.60"))

    unsaid = OrderRequest((RequestLeg(C100, False, 1, None),), Decimal(1), OrderType.LIMIT, limit=C100.strike)
    row = exchange.submit(unsaid)
    assert row.legs[0].action is Action.SELL_TO_CLOSE


@pytest.mark.parametrize(
    "legs",
    [
        [(P95, Action.SELL_TO_OPEN), (C105, Action.SELL_TO_OPEN)],
        [(C100_JULY, Action.SELL_TO_OPEN), (C100, Action.BUY_TO_OPEN)],
        [(P95, Action.SELL_TO_OPEN, 2), (P90, Action.BUY_TO_OPEN, 1)],
    ],
    ids=["strangle", "reverse calendar", "ratio spread that cash would secure"],
)
def test_a_short_leg_that_the_order_does_not_cover_is_refused(
    exchange: Exchange, legs: list[tuple[OptionContract, Action]]
) -> None:
    assert said(exchange, order(*legs, limit="-0.10")) == (
        403,
        40310000,
        "account not eligible to trade uncovered option contracts",
    )


def test_a_naked_call_is_refused(exchange: Exchange) -> None:
    assert said(exchange, write(C105, limit="0.40"))[2] == (
        "account not eligible to trade uncovered option contracts"
    )


def test_the_long_leg_of_a_call_spread_cannot_be_sold_alone(exchange: Exchange) -> None:
    exchange.submit(order((C100, Action.SELL_TO_OPEN), (C105, Action.BUY_TO_OPEN), limit="-1.00"))

    assert said(exchange, sell(C105, limit="0.40"))[2] == (
        "account not eligible to trade uncovered option contracts"
    )


@pytest.mark.parametrize(
    ("level", "request_", "words"),
    [
        (0, buy(C100, limit="1.60"), "account not authorized to trade options"),
        (1, buy(C100, limit="1.60"), "account not eligible to trade long option contracts"),
        (2, order((C100, Action.BUY_TO_OPEN), (C105, Action.SELL_TO_OPEN), limit="1.20"), "trade spreads"),
    ],
)
def test_the_option_level_is_enforced(level: int, request_: OrderRequest, words: str) -> None:
    exchange = an_exchange(a_feed(), options_level=level)

    status, code, message = said(exchange, request_)

    assert (status, code) == (403, 40310000)
    assert words in message


def test_level_one_may_sell_cash_secured_puts_and_level_two_may_buy() -> None:
    one, two = an_exchange(a_feed(), options_level=1), an_exchange(a_feed(), options_level=2)

    assert one.submit(write(P95, limit="0.40")).status is Status.FILLED
    assert two.submit(buy(C100, limit="1.60")).status is Status.FILLED


def test_market_orders_for_options_are_for_session_hours_only(feed: HandFeed) -> None:
    exchange = Exchange(feed, ny(10, 9, 0))

    assert said(exchange, buy(C100))[2] == "options market orders are only allowed during market hours"


def test_an_order_against_ones_own_resting_order_is_a_wash_trade(exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    resting = exchange.submit(buy(C100, limit="1.20"))

    no = refusal(lambda: exchange.submit(sell(C100, limit="1.80")))
    assert (no.status, no.code) == (403, 40310000)
    assert "potential wash trade detected" in no.message
    assert no.extras["existing_order_id"] == resting.id


def test_a_closing_order_may_take_only_what_no_other_order_holds(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 3, "1.60"))
    exchange.submit(sell(C100, 2, "2.00"))

    no = refusal(lambda: exchange.submit(sell(C100, 2, "2.10")))
    assert (no.status, no.code) == (403, 40310000)
    assert no.message == "insufficient qty available for order (requested: 2, available: 1)"
    assert no.extras == {
        "available": "1",
        "existing_qty": "3",
        "held_for_orders": "2",
        "symbol": "XYZ240614C00100000",
    }


def test_a_cancelled_close_gives_its_quantity_back(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 3, "1.60"))
    resting = exchange.submit(sell(C100, 3, "2.00"))
    exchange.cancel(resting.id)

    assert exchange.submit(sell(C100, 3, "1.50")).status is Status.FILLED


def test_selling_more_shares_than_are_held_is_refused_and_not_a_short_sale(exchange: Exchange) -> None:
    exchange.submit(buy(SHARE, 10, "100.01"))

    assert "requested: 11, available: 10" in said(exchange, sell(SHARE, 11, "99.99"))[2]


def test_shares_under_a_short_call_are_not_available(exchange: Exchange) -> None:
    exchange.submit(buy(SHARE, 150, "100.01"))
    exchange.submit(write(C105, limit="0.40"))

    assert "requested: 51, available: 50" in said(exchange, sell(SHARE, 51, "99.99"))[2]
    assert exchange.submit(sell(SHARE, 50, "99.99")).status is Status.FILLED


def test_shares_under_a_resting_covered_call_order_are_not_available_either(exchange: Exchange) -> None:
    exchange.submit(buy(SHARE, 100, "100.01"))
    exchange.submit(write(C105, limit="0.90"))

    assert "requested: 1, available: 0" in said(exchange, sell(SHARE, 1, "99.99"))[2]


def test_a_covered_call_needs_its_shares(exchange: Exchange) -> None:
    exchange.submit(buy(SHARE, 199, "100.01"))

    assert said(exchange, write(C105, 2, "0.40"))[2] == (
        "insufficient underlying qty available for covered call (required: 200, available: 199)"
    )
    assert exchange.submit(write(C105, 1, "0.40")).status is Status.FILLED


def test_contracts_expiring_today_may_be_opened_until_half_an_hour_before_the_close(
    exchange: Exchange,
) -> None:
    exchange.advance(ny(14, 15, 29))

    assert exchange.submit(buy(C105, limit="0.50")).status is Status.FILLED


def test_contracts_expiring_today_may_only_be_closed_in_the_last_half_hour(exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    exchange.advance(ny(14, 15, 30))

    assert said(exchange, buy(C105, limit="0.50")) == (
        422,
        42210000,
        'contract "XYZ240614C00105000" expires soon, unable to open new positions',
    )
    assert exchange.submit(sell(C100, limit="1.50")).status is Status.FILLED


def test_an_expired_contract_is_refused_after_its_last_close(exchange: Exchange) -> None:
    exchange.advance(ny(14, 16, 1))

    assert said(exchange, buy(C105, limit="0.50"))[2] == 'asset "XYZ240614C00105000" is expired'


def test_an_adjusted_contract_cannot_be_opened(exchange: Exchange) -> None:
    odd = OptionContract("XYZ1", C100.expiry, Right.CALL, Decimal(100), Underlying("XYZ"), standard=False)

    assert "is not tradable" in said(exchange, buy(odd, limit="1.00"))[2]


def test_a_credit_order_with_the_wrong_sign_is_accepted(exchange: Exchange) -> None:
    # The vendor does not check the sign: +0.50 offers to pay for what should bring in.
    row = exchange.submit(order((P100, Action.SELL_TO_OPEN), (P95, Action.BUY_TO_OPEN), limit="0.50"))

    assert row.status is Status.FILLED
    assert row.average == Decimal("-0.95")


def test_two_exchanges_of_one_seed_are_the_same_in_every_id() -> None:
    runs = []
    for _ in range(2):
        exchange = an_exchange(a_feed())
        exchange.submit(buy(C100, 2, "1.60"))
        exchange.submit(write(P90, limit="0.20"))
        exchange.advance(ny(17, 12))
        runs.append((exchange.orders(), exchange.activities(), exchange.account()))

    assert runs[0] == runs[1]


def test_ids_are_uuids_of_version_four(exchange: Exchange) -> None:
    row = exchange.submit(buy(C100, limit="1.60"))

    assert row.id[14] == "4"
    assert len(row.id) == 36
