"""Orders in the vendor's words: what is sent, and what is read back."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.brokers.conftest import LONG, SHORT, an_order, key, mleg_row, order_row
from tests.brokers.scripted import Reply, Scripted
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.brokers.alpaca_orders import STATES, order_ids, order_request, parse_order, tick_limit
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.errors import BadResponse, OrderRejected, OutcomeUnknown
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.orders import Action, Effect, Order, OrderState
from wsb_core.domain.structures import Structure, StructureLeg, single

PUT_LONG, PUT_SHORT = "AAPL  241220P00180000", "AAPL  241220P00190000"


def sent_for(order: Order, server: Scripted, broker: AlpacaBroker) -> Any:
    server.on(
        "POST", "/v2/orders", lambda sent: Reply(order_row(client_order_id=sent.body["client_order_id"]))
    )
    broker.submit(order)
    return server.to("POST", "/v2/orders")[0].body


def test_a_long_call_is_a_day_limit_with_side_and_intent(server: Scripted, broker: AlpacaBroker) -> None:
    order = an_order((LONG, 1), limit="-1.25")

    body = sent_for(order, server, broker)

    assert body == {
        "symbol": "AAPL241220C00200000",
        "qty": 2,
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": 1.25,
        "client_order_id": order.client_order_id,
        "position_intent": "buy_to_open",
    }


@pytest.mark.parametrize(
    ("ratio", "effect", "limit", "side", "intent"),
    [
        (1, Effect.OPEN, "-1.25", "buy", "buy_to_open"),
        (1, Effect.CLOSE, "1.25", "sell", "sell_to_close"),
        (-1, Effect.OPEN, "1.25", "sell", "sell_to_open"),
        (-1, Effect.CLOSE, "-1.25", "buy", "buy_to_close"),
    ],
)
def test_fm_12_every_option_order_says_its_intent(
    ratio: int, effect: Effect, limit: str, side: str, intent: str
) -> None:
    body = order_request(an_order((LONG, ratio), limit=limit, effect=effect))

    assert (body["side"], body["position_intent"], body["limit_price"]) == (side, intent, 1.25)


def test_fm_26_a_credit_vertical_is_negative_on_the_wire() -> None:
    body = order_request(an_order((PUT_SHORT, -1), (PUT_LONG, 1), limit="1.20"))

    assert body["limit_price"] == -1.2
    assert body["order_class"] == "mleg"
    assert body["legs"] == [
        {"symbol": "AAPL241220P00190000", "ratio_qty": 1, "side": "sell", "position_intent": "sell_to_open"},
        {"symbol": "AAPL241220P00180000", "ratio_qty": 1, "side": "buy", "position_intent": "buy_to_open"},
    ]
    assert "symbol" not in body
    assert "side" not in body


def test_fm_26_a_debit_vertical_is_positive_on_the_wire() -> None:
    assert order_request(an_order((LONG, 1), (SHORT, -1), limit="-1.20"))["limit_price"] == 1.2


def test_an_even_roll_is_sent_at_a_plain_zero() -> None:
    body = order_request(an_order((LONG, 1), (SHORT, -1), limit="0.00"))

    assert json.dumps(body["limit_price"]) == "0.0"


def test_closing_a_credit_vertical_pays_and_closes_each_leg() -> None:
    body = order_request(an_order((PUT_SHORT, -1), (PUT_LONG, 1), limit="-0.40", effect=Effect.CLOSE))

    assert body["limit_price"] == 0.4
    assert [leg["position_intent"] for leg in body["legs"]] == ["buy_to_close", "sell_to_close"]


def test_shares_are_sent_by_side_and_whole_quantity() -> None:
    shares = Order(key(), single(Share(Underlying("AAPL"))), Effect.OPEN, 30, Price(Decimal("-190.05")))

    body = order_request(shares)

    assert (body["symbol"], body["side"], body["qty"], body["limit_price"]) == ("AAPL", "buy", 30, 190.05)
    assert "position_intent" not in body


limits = st.decimals(min_value="-99999", max_value="99999", places=5).filter(lambda limit: abs(limit) >= 1)


@settings(max_examples=200)
@given(limits)
def test_the_wire_never_carries_a_worse_limit_than_was_approved(limit: Decimal) -> None:
    effect = Effect.OPEN if limit < 0 else Effect.CLOSE
    body = order_request(an_order((LONG, 1), limit=str(limit), effect=effect))

    wire = Decimal(json.dumps(body["limit_price"]))
    signed = -wire if body["side"] == "buy" else wire
    tick = Decimal("0.01") if wire < 3 else Decimal("0.05")
    assert 0 <= signed - limit < Decimal("0.05")
    assert wire % tick == 0


def test_shares_below_a_dollar_have_the_finer_tick() -> None:
    cheap = Order(key("F"), single(Share(Underlying("F"))), Effect.OPEN, 1, Price(Decimal("-0.98765")))

    assert tick_limit(cheap) == Decimal("-0.9876")


@pytest.mark.parametrize(
    ("ratio", "effect", "limit"),
    [
        (1, Effect.OPEN, "1.25"),
        (1, Effect.OPEN, "-0.004"),
        (1, Effect.CLOSE, "-1.25"),
        (1, Effect.CLOSE, "0"),
        (-1, Effect.OPEN, "-1.25"),
    ],
)
def test_a_limit_of_the_wrong_sign_is_not_sent(ratio: int, effect: Effect, limit: str) -> None:
    with pytest.raises(OrderRejected, match="nothing was sent"):
        order_request(an_order((LONG, ratio), limit=limit, effect=effect))


def test_shares_and_options_are_not_one_order() -> None:
    share = StructureLeg(Share(Underlying("AAPL")), 100)
    call = StructureLeg(
        OptionContract("AAPL", date(2024, 12, 20), Right.CALL, Decimal(210), Underlying("AAPL")), -1
    )
    covered = Order(key(), Structure((share, call)), Effect.OPEN, 1, Price(Decimal("-188.00")))

    with pytest.raises(OrderRejected, match="one order each"):
        order_request(covered)


@pytest.mark.parametrize("symbol", ["AAPL1 241220C00200000", "SPXW  241220C05900000"])
def test_fm_39_adjusted_and_index_contracts_are_closed_and_never_opened(symbol: str) -> None:
    with pytest.raises(OrderRejected, match="nothing was sent"):
        order_request(an_order((symbol, 1), limit="-1.25"))

    assert order_request(an_order((symbol, 1), limit="1.25", effect=Effect.CLOSE))["side"] == "sell"


def test_a_condor_goes_as_one_order_of_four_legs(server: Scripted, broker: AlpacaBroker) -> None:
    condor = an_order((PUT_LONG, 1), (PUT_SHORT, -1), (LONG, -1), (SHORT, 1), limit="2.00")

    body = sent_for(condor, server, broker)

    assert len(body["legs"]) == 4
    assert server.count("POST", "/v2/orders") == 1


def test_the_account_is_verified_once_and_not_before_every_order(
    server: Scripted, broker: AlpacaBroker
) -> None:
    sent_for(an_order((LONG, 1), limit="-1.25"), server, broker)
    sent_for(an_order((LONG, 1), limit="-1.20", attempt=2), server, broker)

    assert server.count("GET", "/v2/account") == 1


def test_an_order_told_as_rejected_is_told_so(server: Scripted, broker: AlpacaBroker) -> None:
    order = an_order((LONG, 1), limit="-1.25")
    server.on(
        "POST", "/v2/orders", Reply(order_row(client_order_id=order.client_order_id, status="rejected"))
    )

    assert broker.submit(order).state is OrderState.REJECTED


def test_an_order_of_an_unknown_status_is_not_a_failed_submit(server: Scripted, broker: AlpacaBroker) -> None:
    order = an_order((LONG, 1), limit="-1.25")
    server.on(
        "POST", "/v2/orders", Reply(order_row(client_order_id=order.client_order_id, status="enchanted"))
    )

    told = broker.submit(order)

    assert (told.state, told.raw_status) == (OrderState.UNKNOWN, "enchanted")


def test_fm_24_an_order_told_without_its_legs_is_unknown(server: Scripted, broker: AlpacaBroker) -> None:
    order = an_order((LONG, 1), (SHORT, -1), limit="-1.25")
    server.on("POST", "/v2/orders", Reply(mleg_row(client_order_id=order.client_order_id, legs=None)))

    with pytest.raises(OutcomeUnknown, match="legs"):
        broker.submit(order)


def test_fm_08_every_status_of_the_vendor_has_a_state(shared: Path) -> None:
    spec = json.loads((shared / "wire/specs/alpaca-trading-api.json").read_text())

    assert set(spec["components"]["schemas"]["OrderStatus"]["enum"]) <= STATES.keys()


def test_fm_08_every_status_of_the_client_library_has_a_state() -> None:
    from alpaca.trading.enums import OrderStatus

    assert {status.value for status in OrderStatus} <= STATES.keys()


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("new", "0", OrderState.WORKING),
        ("pending_replace", "1", OrderState.PARTIALLY_FILLED),
        ("done_for_day", "0", OrderState.WORKING),
        ("done_for_day", "1", OrderState.PARTIALLY_FILLED),
        ("calculated", "2", OrderState.FILLED),
        ("partially_filled", "1", OrderState.PARTIALLY_FILLED),
        ("pending_cancel", "1", OrderState.PENDING_CANCEL),
        ("canceled", "1", OrderState.CANCELED),
        ("expired", "0", OrderState.EXPIRED),
        ("filled", "2", OrderState.FILLED),
    ],
)
def test_status_and_fills_make_the_state(status: str, filled: str, state: OrderState) -> None:
    order = parse_order(order_row(status=status, filled_qty=filled))

    assert (order.state, order.filled) == (state, int(filled))


@pytest.mark.parametrize(
    "odd",
    [
        {"qty": "1.5"},
        {"qty": None},
        {"qty": True},
        {"qty": "NaN"},
        {"filled_qty": "3"},
        {"filled_qty": "1", "status": "filled"},
        {"status": None},
        {"client_order_id": ""},
        {"submitted_at": "2024-12-10T16:15:53"},
        {"submitted_at": "yesterday"},
        {"symbol": None},
        {"position_intent": None},
        {"position_intent": "sell_to_mars"},
        {"order_class": "mleg", "symbol": "AAPL241220C00200000"},
        {"order_class": "mleg", "symbol": "", "legs": None},
        {"order_class": "mleg", "symbol": "", "legs": []},
    ],
)
def test_an_order_that_cannot_be_read_whole_is_an_error_naming_it(odd: dict[str, Any]) -> None:
    with pytest.raises(BadResponse, match="o-1"):
        parse_order(order_row(**odd))


def test_one_odd_row_makes_the_whole_list_unread(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/orders", Reply([order_row("o-1"), order_row("o-2", qty="0.5")]))

    with pytest.raises(BadResponse, match="o-2"):
        broker.open_orders()


def test_a_package_is_told_in_units_and_in_our_sign() -> None:
    order = parse_order(mleg_row())

    assert (order.quantity, order.filled, order.average) == (2, 2, Decimal("-1.25"))
    assert [(leg.action, leg.ratio) for leg in order.legs] == [
        (Action.BUY_TO_OPEN, 1),
        (Action.SELL_TO_OPEN, 1),
    ]
    assert order_ids(mleg_row()) == ("p-1", "p-1-l0", "p-1-l1")


def test_a_package_sold_for_a_credit_has_a_positive_average() -> None:
    assert parse_order(mleg_row(filled_avg_price="-0.85")).average == Decimal("0.85")


def test_a_leg_without_a_ratio_has_that_of_its_quantity() -> None:
    row = mleg_row()
    row["legs"][0] = {name: value for name, value in row["legs"][0].items() if name != "ratio_qty"}

    assert [leg.ratio for leg in parse_order(row).legs] == [1, 1]


@pytest.mark.parametrize(
    ("side", "average", "action"),
    [("buy", "-190.5", Action.BUY_TO_OPEN), ("sell", "190.5", Action.SELL_TO_CLOSE)],
)
def test_shares_without_an_intent_are_read_by_their_side(side: str, average: str, action: Action) -> None:
    order = parse_order(
        order_row(
            symbol="AAPL",
            side=side,
            position_intent=None,
            status="filled",
            filled_qty="2",
            filled_avg_price="190.5",
        )
    )

    assert (order.average, order.legs[0].action) == (Decimal(average), action)
