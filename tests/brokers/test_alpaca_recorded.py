"""Bodies that the vendor's own repositories published: read, or refused for a reason that is named here."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.conftest import KEY, SECRET, clock_row
from tests.brokers.scripted import Reply, Scripted
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.brokers.alpaca_activities import parse_activity
from wsb_core.brokers.alpaca_orders import order_ids, parse_order
from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.errors import BadResponse
from wsb_core.domain.ids import AccountId
from wsb_core.domain.orders import Action, OrderState


def body_of(shared: Path, name: str) -> Any:
    return json.loads((shared / "wire" / f"{name}.json").read_text())["body"]


def test_the_recorded_account_is_read_day_trade_fields_or_not(shared: Path, server: Scripted) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row()))
    server.on(
        "GET", "/v2/account", Reply(body_of(shared, "alpaca-trading/specexample.get_v2_account.200.example"))
    )

    state = AlpacaBroker(AccountId("PALPACA_123"), "practice", server.url, KEY, SECRET).account()

    assert (state.equity, state.options_buying_power) == (Decimal("123346.11"), Decimal("122716.305"))
    assert (state.options_level, state.blocked) == (2, False)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("limit_order.1", Action.BUY_TO_OPEN),
        ("market_order.1", Action.BUY_TO_OPEN),
        ("order_position_intent.2", Action.SELL_TO_OPEN),
    ],
)
def test_recorded_orders_are_read_though_their_numbers_are_no_strings(
    name: str, action: Action, shared: Path
) -> None:
    order = parse_order(body_of(shared, f"alpaca-trading/py.order_routes.{name}"))

    assert (order.state, order.quantity, order.filled) == (OrderState.WORKING, 1, 0)
    assert order.legs[0].action is action


def test_the_recorded_multi_leg_order_is_read_in_units(shared: Path) -> None:
    body = body_of(shared, "alpaca-trading/specexample.component.MultilegOptionsOrderResponse")

    order = parse_order(body)

    assert (order.state, order.filled, order.average) == (OrderState.FILLED, 1, Decimal("-1.28"))
    assert [(leg.action, leg.ratio) for leg in order.legs] == [
        (Action.BUY_TO_OPEN, 3),
        (Action.SELL_TO_OPEN, 1),
    ]
    assert len(order_ids(body)) == 3


def test_an_order_by_amount_is_refused_because_it_has_no_quantity(shared: Path) -> None:
    with pytest.raises(BadResponse, match="qty is None"):
        parse_order(body_of(shared, "alpaca-trading/specexample.component.IPOOrderResponse"))


def test_a_recorded_fractional_order_is_refused_because_it_is_not_whole(shared: Path) -> None:
    [crypto, *_] = body_of(shared, "alpaca-trading/py.position_routes.close_all_positions.1")

    with pytest.raises(BadResponse, match=r"qty is '0\.0283'"):
        parse_order(crypto["body"])


@pytest.mark.parametrize(
    "name",
    [
        "alpaca-trading/py.position_routes.get_all_positions.1",
        "alpaca-broker/py.trading_routes.get_all_positions_for_account.1",
    ],
)
def test_recorded_positions_are_read(name: str, shared: Path, server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/positions", Reply(body_of(shared, name)))

    assert [(holding.instrument.symbol, holding.quantity) for holding in broker.holdings()] == [("AAPL", 5)]


def test_recorded_executions_are_read_exactly(shared: Path) -> None:
    name = "py.account_activities_routes.get_activities_for_account_max_items_and_single_request_date.1"
    rows = body_of(shared, f"alpaca-broker/{name}")

    activities = [parse_activity(row) for row in rows]

    assert {activity.kind for activity in activities} == {ActivityKind.FILL}
    assert activities[0].quantity == Decimal("1.792161878")
    assert activities[0].cash == -Decimal("1.792161878") * Decimal("2907.15")
