"""Account, positions, orders, executions and booked rows as they are read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.brokers.conftest import ACCOUNT, account_row, clock_row, mleg_row, order_row
from tests.brokers.scripted import Reply, Scripted, Sent
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.brokers.alpaca_activities import KINDS, parse_activity
from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import Share, parse_occ
from wsb_core.domain.errors import BadResponse, NotArmed

T0 = datetime(2024, 12, 10, 15, 0, tzinfo=UTC)
CALL = parse_occ("AAPL241220C00200000")
K = ActivityKind


def test_fm_68_an_account_without_day_trade_fields_is_read(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row()))

    state = broker.account()

    assert (state.account, state.equity, state.cash) == (ACCOUNT, Decimal("101234.56"), Decimal("99876.5"))
    assert (state.options_buying_power, state.options_level, state.blocked) == (Decimal("99876.5"), 3, False)
    assert state.as_of == datetime(2024, 12, 10, 16, 15, 0, 123456, tzinfo=UTC)


def test_a_figure_the_broker_did_not_give_is_none(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row()))
    row = account_row(options_buying_power=None)
    del row["options_trading_level"]
    server.on("GET", "/v2/account", Reply(row))

    state = broker.account()

    assert (state.options_buying_power, state.options_level) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"account_blocked": True},
        {"trading_blocked": True},
        {"trade_suspended_by_user": True},
        {"status": "ACCOUNT_CLOSED_PENDING"},
    ],
)
def test_a_blocked_account_says_so(change: dict[str, Any], server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row()))
    server.on("GET", "/v2/account", Reply(account_row(**change)))

    assert broker.account().blocked


@pytest.mark.parametrize(
    "field", ["equity", "cash", "buying_power", "account_blocked", "status", "account_number"]
)
def test_an_account_without_a_figure_that_matters_is_unreadable(
    field: str, server: Scripted, broker: AlpacaBroker
) -> None:
    row = account_row()
    del row[field]
    server.on("GET", "/v2/account", Reply(row))

    with pytest.raises(BadResponse, match=field):
        broker.account()


def test_the_account_of_other_keys_is_not_read(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account", Reply(account_row(account_number="PA999")))

    with pytest.raises(NotArmed):
        broker.account()


def test_the_clock_needs_a_time_zone(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row("2024-12-10T11:15:00")))

    with pytest.raises(BadResponse, match="time zone"):
        broker.clock()


def test_a_half_day_closes_early_in_new_york_time(server: Scripted, broker: AlpacaBroker) -> None:
    rows = [{"date": "2024-11-29", "open": "09:30", "close": "13:00", "session_open": "0400"}]
    server.on("GET", "/v2/calendar", Reply(rows))

    session = broker.session(date(2024, 11, 29))

    assert session is not None
    assert session.half_day
    assert session.closes == datetime(2024, 11, 29, 13, tzinfo=NEW_YORK)


def test_a_day_the_broker_does_not_trade_has_no_session(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/calendar", Reply([{"date": "2024-11-29", "open": "09:30", "close": "13:00"}]))

    assert broker.session(date(2024, 11, 28)) is None


@pytest.mark.parametrize(
    ("quantity", "side", "held"),
    [("5", "long", "5"), ("-5", "short", "-5"), ("5", "short", "-5"), ("1.792161878", "long", "1.792161878")],
)
def test_fm_16_holdings_are_signed_and_exact(
    quantity: str, side: str, held: str, server: Scripted, broker: AlpacaBroker
) -> None:
    server.on(
        "GET", "/v2/positions", Reply([{"symbol": "AAPL241220C00200000", "qty": quantity, "side": side}])
    )

    [holding] = broker.holdings()

    assert (holding.instrument, holding.quantity) == (CALL, Decimal(held))


@pytest.mark.parametrize(
    "odd", [{"side": "long", "qty": "-5"}, {"side": "flat", "qty": "5"}, {"side": "long"}]
)
def test_a_holding_that_contradicts_itself_is_unreadable(
    odd: dict[str, str], server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/positions", Reply([{"symbol": "AAPL", **odd}]))

    with pytest.raises(BadResponse, match="AAPL"):
        broker.holdings()


def test_a_flat_account_is_empty_only_when_the_broker_says_so(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/positions", Reply([]))

    assert broker.holdings() == ()


def order_book(rows: list[dict[str, Any]], limit: int) -> Any:
    """The orders route: after is exclusive, oldest first, at most ``limit`` rows."""

    def answer(sent: Sent) -> Reply:
        after = datetime.fromisoformat(sent.query.get("after", "1970-01-01T00:00:00Z"))
        later = [row for row in rows if datetime.fromisoformat(row["submitted_at"]) > after]
        return Reply(later[:limit])

    return answer


def stamped(count: int, per_instant: int) -> list[dict[str, Any]]:
    instants = [T0 + timedelta(seconds=n // per_instant) for n in range(count)]
    return [order_row(f"o-{n:04}", f"c-{n}", submitted_at=at.isoformat()) for n, at in enumerate(instants)]


def test_orders_are_paged_through_ties_to_the_last(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/orders", order_book(stamped(1203, per_instant=7), limit=500))

    orders = broker.orders_since(T0)

    assert [order.broker_order_id for order in orders] == [f"o-{n:04}" for n in range(1203)]
    assert all(sent.query["nested"] == "true" for sent in server.sent)


def test_a_short_page_is_not_taken_for_the_last(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/orders", order_book(stamped(40, per_instant=1), limit=13))

    assert len(broker.orders_since(T0)) == 40


def test_orders_before_the_instant_are_left_out_and_those_at_it_kept(
    server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/orders", order_book(stamped(5, per_instant=1), limit=500))

    orders = broker.orders_since(T0 + timedelta(seconds=2))

    assert [order.client_order_id for order in orders] == ["c-2", "c-3", "c-4"]


def test_a_full_page_of_one_instant_cannot_be_paged_and_says_so(
    server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/orders", order_book(stamped(501, per_instant=501), limit=500))

    with pytest.raises(BadResponse, match="one instant"):
        broker.orders_since(T0)


def fill_row(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"2024121010{n:04}::f-{n}",
        "activity_type": "FILL",
        "transaction_time": (T0 + timedelta(seconds=n)).isoformat(),
        "type": "fill",
        "price": "3.10",
        "qty": "2",
        "side": "buy",
        "symbol": "AAPL241220C00200000",
        "leaves_qty": "0",
        "order_id": "p-1-l0",
        "cum_qty": "2",
        "order_status": "filled",
        **changes,
    }


def activity_book(rows: list[dict[str, Any]], size: int = 100) -> Any:
    """The activities route: page_token is the id of the last row seen."""

    def answer(sent: Sent) -> Reply:
        ids = [row["id"] for row in rows]
        start = ids.index(sent.query["page_token"]) + 1 if "page_token" in sent.query else 0
        return Reply(rows[start : start + size])

    return answer


def test_executions_of_legs_carry_the_client_id_of_the_whole_order(
    server: Scripted, broker: AlpacaBroker
) -> None:
    rows = [
        fill_row(0),
        fill_row(1, order_id="p-1-l1", side="sell", symbol="AAPL241220C00210000", price="1.85"),
        fill_row(2, order_id="liquidation", side="sell_short", symbol="AAPL", price="190", qty="100"),
    ]
    server.on("GET", "/v2/account/activities/FILL", activity_book(rows))
    server.on("GET", "/v2/orders", order_book([mleg_row(submitted_at=T0.isoformat())], limit=500))

    fills = broker.fills(T0)

    assert [fill.client_order_id for fill in fills] == ["mine-2", "mine-2", None]
    assert [fill.broker_order_id for fill in fills] == ["p-1-l0", "p-1-l1", "liquidation"]
    assert [fill.quantity for fill in fills] == [2, -2, -100]
    assert [fill.instrument for fill in fills] == [CALL, parse_occ("AAPL241220C00210000"), Share("AAPL")]
    assert fills[0].execution_id == rows[0]["id"]


def test_fm_07_executions_are_paged_to_the_end_and_start_at_the_instant(
    server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/account/activities/FILL", activity_book([fill_row(n) for n in range(250)]))
    server.on("GET", "/v2/orders", Reply([]))

    fills = broker.fills(T0 + timedelta(seconds=10))

    assert len(fills) == 240
    assert fills[0].at == T0 + timedelta(seconds=10)


def test_no_execution_asks_for_no_order(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account/activities/FILL", Reply([]))

    assert broker.fills(T0) == ()
    assert server.count("GET", "/v2/orders") == 0


def test_pages_that_never_end_are_an_error(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account/activities", Reply([fill_row(1)]))

    with pytest.raises(BadResponse, match="never end"):
        broker.activities(date(2024, 12, 10))


@pytest.mark.parametrize("odd", [{"side": "short"}, {"price": None}, {"qty": "two"}, {"order_id": None}])
def test_an_execution_that_cannot_be_read_is_an_error(
    odd: dict[str, Any], server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/account/activities/FILL", activity_book([fill_row(1, **odd)]))
    server.on("GET", "/v2/orders", Reply([]))

    with pytest.raises(BadResponse, match="f-1"):
        broker.fills(T0)


def booked(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"20241211000000000::{kind}",
        "activity_type": kind,
        "date": "2024-12-10",
        "created_at": "2024-12-11T08:20:00Z",
        "net_amount": "0",
        "description": "",
        "symbol": "AAPL241220C00200000",
        "qty": "-2",
        "status": "executed",
        "group_id": "g-1",
        **changes,
    }


@pytest.mark.parametrize(
    ("row", "kind", "quantity", "cash"),
    [
        (booked("OPEXP"), K.EXPIRY, "-2", "0"),
        (booked("OPEXC", qty="2"), K.EXERCISE, "-2", "0"),
        (booked("OPASN", qty="-2"), K.ASSIGNMENT, "2", "0"),
        (booked("OPTRD", symbol="AAPL", qty="200", net_amount="-40000"), K.OPTION_TRADE, "200", "-40000"),
        (booked("OPTRD", symbol="AAPL", qty="200", net_amount="40000"), K.OPTION_TRADE, "-200", "40000"),
        (booked("DIV", symbol="AAPL", qty="200", net_amount="50"), K.DIVIDEND, "0", "50"),
        (booked("FEE", symbol=None, qty=None, net_amount="-0.05"), K.FEE, "0", "-0.05"),
        (booked("CSD", symbol=None, qty=None, net_amount="1000"), K.CASH, "0", "1000"),
        (booked("SPLIT", symbol="AAPL", qty="30"), K.SPLIT, "30", "0"),
        (booked("OPCSH", symbol="SPXW260320C05900000", net_amount="1250"), K.EXPIRY, "-2", "1250"),
        (booked("OPCSH", symbol="AAPL1260320C00100000", net_amount="50"), K.CASH, "0", "50"),
        (booked("ZZZ", symbol="AAPL", qty="30", net_amount="7"), K.OTHER, "30", "7"),
        (booked("DIV", symbol="AAPL", net_amount="50", status="canceled"), K.OTHER, "0", "0"),
    ],
)
def test_fm_31_booked_rows_move_what_they_say(
    row: dict[str, Any], kind: ActivityKind, quantity: str, cash: str
) -> None:
    activity = parse_activity(row)

    assert (activity.kind, activity.quantity, activity.cash) == (kind, Decimal(quantity), Decimal(cash))
    assert (activity.raw_kind, activity.group) == (row["activity_type"], "g-1")
    assert activity.booked_on == date(2024, 12, 10)


def test_an_execution_moves_cash_by_its_multiplier_against_its_sign() -> None:
    bought, sold = parse_activity(fill_row(1)), parse_activity(fill_row(2, side="sell"))

    assert (bought.cash, sold.cash) == (Decimal(-620), Decimal(620))
    assert bought.broker_order_id == "p-1-l0"


@pytest.mark.parametrize("kind", ["DIV", "FEE", "CSD", "OPTRD"])
def test_a_row_that_moves_cash_has_to_say_how_much(kind: str) -> None:
    with pytest.raises(BadResponse, match="net_amount"):
        parse_activity(booked(kind, net_amount=None))


def test_activities_are_kept_from_the_day_on_oldest_first(server: Scripted, broker: AlpacaBroker) -> None:
    rows = [
        booked("OPEXP", date="2024-12-09", id="a"),
        booked("DIV", symbol="AAPL", date="2024-12-11", id="b"),
        fill_row(1),
    ]
    server.on("GET", "/v2/account/activities", activity_book(rows, size=2))

    activities = broker.activities(date(2024, 12, 10))

    assert [activity.raw_kind for activity in activities] == ["FILL", "DIV"]


def test_every_kind_is_one_the_vendor_has(shared: Any) -> None:
    import json

    spec = json.loads((shared / "wire/specs/alpaca-trading-api.json").read_text())

    assert KINDS.keys() <= set(spec["components"]["schemas"]["ActivityType"]["enum"])
