"""The vendor's own trading client against the server."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, PositionIntent, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOptionContractsRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
    ReplaceOrderRequest,
)

from tests.exchange.server.conftest import KEY, SECRET
from tests.exchange.server.market import AAPL, SmallMarket, ny
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import CorporateAction
from wsb_core.exchange.server import ServerThread

CALL, HIGHER_CALL = "AAPL260313C00100000", "AAPL260313C00105000"
# At 10:00 AAPL is at 100.30; eleven days out a call struck at 100 is 0.30 + 0.50 + 0.22 = 1.02 in the middle.
ASK, BID = Decimal("1.07"), Decimal("0.97")


def buy_call(limit: float = 1.07, qty: int = 1, **more) -> LimitOrderRequest:
    return LimitOrderRequest(
        symbol=CALL,
        qty=qty,
        side=OrderSide.BUY,
        limit_price=limit,
        time_in_force=TimeInForce.DAY,
        position_intent=PositionIntent.BUY_TO_OPEN,
        **more,
    )


def vertical(limit: float, **more) -> LimitOrderRequest:
    legs = [
        OptionLegRequest(symbol=CALL, ratio_qty=1, side="buy", position_intent="buy_to_open"),
        OptionLegRequest(symbol=HIGHER_CALL, ratio_qty=1, side="sell", position_intent="sell_to_open"),
    ]
    return LimitOrderRequest(
        qty=2, limit_price=limit, time_in_force="day", order_class="mleg", legs=legs, **more
    )


def buy_shares(symbol: str = "AAPL", qty: int = 10, **more) -> MarketOrderRequest:
    return MarketOrderRequest(symbol=symbol, qty=qty, side="buy", time_in_force="day", **more)


def test_an_account_starts_with_its_cash_and_option_level_three(trading):
    account = trading.get_account()

    assert (account.cash, account.equity, account.options_trading_level) == ("100000", "100000", 3)
    assert account.status.value == "ACTIVE"


def test_requests_without_the_right_keys_are_unauthorized(url):
    wrong = TradingClient(KEY, "wrong", url_override=url)

    with pytest.raises(APIError) as refused:
        wrong.get_account()

    assert refused.value.status_code == 401


def test_a_marketable_limit_order_fills_at_the_quote_and_becomes_a_position(trading):
    order = trading.submit_order(buy_call(limit=1.10, qty=2, client_order_id="mine-1"))

    again = trading.get_order_by_client_id("mine-1")
    position = trading.get_open_position(CALL)

    assert order.id == again.id
    assert (again.status, again.filled_qty, Decimal(again.filled_avg_price)) == (OrderStatus.FILLED, "2", ASK)
    assert (position.qty, Decimal(position.avg_entry_price), position.side.value) == ("2", ASK, "long")


def test_a_short_position_has_a_negative_quantity(trading):
    trading.submit_order(buy_shares(qty=100))
    trading.submit_order(
        LimitOrderRequest(
            symbol=CALL,
            qty=1,
            side="sell",
            limit_price=0.97,
            time_in_force="day",
            position_intent="sell_to_open",
        )
    )

    position = trading.get_open_position(CALL)

    assert (position.qty, position.side.value) == ("-1", "short")
    assert Decimal(position.cost_basis) == -97


def test_a_spread_comes_back_with_empty_strings_and_legs_of_their_own(raw):
    order = raw.submit_order(vertical(limit=0.60))

    assert [order[name] for name in ("symbol", "side", "asset_id", "asset_class")] == [""] * 4
    assert order["order_class"] == "mleg"
    assert [leg["symbol"] for leg in order["legs"]] == [CALL, HIGHER_CALL]
    assert [(leg["qty"], leg["ratio_qty"], leg["type"], leg["limit_price"]) for leg in order["legs"]] == [
        ("2", "1", "", None)
    ] * 2
    assert len({order["id"], *(leg["id"] for leg in order["legs"])}) == 3


def test_a_filled_spread_nets_to_the_difference_of_its_legs_premiums(trading):
    placed = trading.submit_order(vertical(limit=0.60))

    order = trading.get_order_by_id(placed.id, GetOrderByIdRequest(nested=True))
    premiums = [Decimal(leg.filled_avg_price) for leg in order.legs]

    assert order.status is OrderStatus.FILLED
    assert Decimal(order.filled_avg_price) == premiums[0] - premiums[1]
    assert [leg.filled_qty for leg in order.legs] == ["2", "2"]


def test_lists_hold_legs_side_by_side_unless_asked_nested(trading):
    trading.submit_order(vertical(limit=0.60))

    flat = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL))
    nested = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True))

    assert [len(order.legs or []) for order in flat] == [0, 0, 0]
    assert [len(order.legs or []) for order in nested] == [2]


def test_a_resting_order_is_listed_open_until_it_is_cancelled(trading):
    order = trading.submit_order(buy_call(limit=0.50))
    before = [row.id for row in trading.get_orders()]

    trading.cancel_order_by_id(order.id)

    assert before == [order.id]
    assert trading.get_orders() == []
    assert trading.get_order_by_id(order.id).status is OrderStatus.CANCELED


def test_order_lists_are_newest_first_and_bounded_by_exclusive_times(trading, control):
    first = trading.submit_order(buy_call(limit=0.50))
    control.advance(60)
    second = trading.submit_order(buy_call(limit=0.51))

    everything = trading.get_orders(GetOrdersRequest(status="all"))
    later = trading.get_orders(GetOrdersRequest(status="all", after=first.submitted_at))
    earlier = trading.get_orders(GetOrdersRequest(status="all", until=second.submitted_at))
    limited = trading.get_orders(GetOrdersRequest(status="all", direction="asc", limit=1))

    assert [row.id for row in everything] == [second.id, first.id]
    assert [row.id for row in later] == [second.id]
    assert [row.id for row in earlier] == [first.id]
    assert [row.id for row in limited] == [first.id]


def test_order_lists_can_be_narrowed_to_a_symbol(trading):
    trading.submit_order(buy_shares("MSFT"))
    trading.submit_order(buy_shares("AAPL"))

    found = trading.get_orders(GetOrdersRequest(status="all", symbols=["MSFT"]))

    assert [row.symbol for row in found] == ["MSFT"]


def test_a_replaced_order_has_a_new_id_and_points_back(trading):
    order = trading.submit_order(buy_call(limit=0.50))

    made = trading.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=0.60))
    old = trading.get_order_by_id(order.id)

    assert made.id != order.id
    assert (old.status, str(old.replaced_by)) == (OrderStatus.REPLACED, str(made.id))
    assert (str(made.replaces), Decimal(made.limit_price)) == (str(order.id), Decimal("0.6"))


def test_a_used_client_order_id_is_refused_in_the_vendors_words(trading):
    trading.submit_order(buy_call(client_order_id="mine-1"))

    with pytest.raises(APIError) as refused:
        trading.submit_order(buy_call(client_order_id="mine-1"))

    assert (refused.value.status_code, refused.value.code) == (422, 40010001)
    assert refused.value.message == "client_order_id must be unique"


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"symbol": "NOPE"}, 422, "not found"),
        ({"qty": "0"}, 422, "qty"),
        ({"qty": "1.5"}, 422, "integer"),
        ({"qty": "many"}, 422, "not a number"),
        ({"side": "hold"}, 422, "side"),
        ({"side": "sell"}, 422, "intent mismatch"),
        ({"type": "trailing_stop"}, 422, "type"),
        ({"time_in_force": "fok"}, 422, "option time_in_force"),
        ({"extended_hours": True}, 422, "extended hours"),
        ({"notional": "100"}, 422, "notional"),
        ({"order_class": "bracket"}, 422, "order_class"),
        ({"client_order_id": "x" * 129}, 422, "128"),
        ({"order_class": "mleg"}, 422, "legs are required"),
    ],
)
def test_an_order_that_cannot_be_taken_is_refused_with_a_reason(raw, control, change, status, text):
    order = {
        "symbol": CALL, "qty": "1", "side": "buy", "type": "limit", "limit_price": "1.07",
        "time_in_force": "day", "position_intent": "buy_to_open",
    }  # fmt: skip

    with pytest.raises(APIError) as refused:
        raw.post("/orders", order | change)

    assert refused.value.status_code == status
    assert text in refused.value.message
    assert control.state()["orders"] == 0


def test_numbers_are_taken_as_strings_too(raw):
    told = raw.post(
        "/orders",
        {"symbol": "AAPL", "qty": "3", "side": "buy", "type": "market", "time_in_force": "day"},
    )

    assert told["qty"] == "3"


def test_a_body_that_is_no_json_is_a_bad_request(url, raw):
    reply = requests.post(f"{url}/v2/orders", data="{", headers=raw._get_default_headers(), timeout=5)

    assert reply.status_code == 400


def test_closing_a_position_sends_the_opposite_order(trading):
    trading.submit_order(buy_shares(qty=10))

    order = trading.close_position("AAPL", ClosePositionRequest(percentage="50"))

    assert (order.side.value, order.qty) == ("sell", "5")
    assert trading.get_open_position("AAPL").qty == "5"


def test_closing_everything_reports_each_position(trading):
    trading.submit_order(buy_shares("AAPL"))
    trading.submit_order(buy_shares("MSFT"))

    told = trading.close_all_positions(cancel_orders=True)

    assert sorted((row.symbol, row.status) for row in told) == [("AAPL", 200), ("MSFT", 200)]
    assert trading.get_all_positions() == []


def test_what_cannot_be_closed_carries_the_refusal(raw):
    raw.submit_order(buy_shares(qty=10))
    raw.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=10, side="sell", limit_price=150, time_in_force="day")
    )

    [told] = raw.close_all_positions(cancel_orders=False)

    assert told["status"] == 403
    assert "insufficient qty" in told["body"]["message"]


def test_a_position_can_be_asked_for_by_its_asset_id(trading):
    trading.submit_order(buy_call())
    known = trading.get_open_position(CALL)

    found = trading.get_open_position(known.asset_id)

    assert found.symbol == CALL


def test_a_flat_symbol_has_no_position(trading):
    with pytest.raises(APIError) as missing:
        trading.get_open_position("AAPL")

    assert (missing.value.status_code, missing.value.code) == (404, 40410000)


def test_cancelling_everything_reports_each_order(trading):
    order = trading.submit_order(buy_call(limit=0.50))

    told = trading.cancel_orders()

    assert [(str(row.id), row.status) for row in told] == [(str(order.id), 200)]


def test_the_clock_has_new_yorks_offset_and_the_next_close(raw):
    clock = raw.get_clock()

    assert clock == {
        "timestamp": "2026-03-02T10:00:00-05:00",
        "is_open": True,
        "next_open": "2026-03-03T09:30:00-05:00",
        "next_close": "2026-03-02T16:00:00-05:00",
    }


def test_on_a_weekend_the_clock_names_monday(trading, control):
    control.advance_to(ny("2026-03-07 12:00"))

    clock = trading.get_clock()

    assert not clock.is_open
    assert (clock.next_open.day, clock.next_close.day) == (9, 9)


def test_the_calendar_knows_half_days_and_holidays(trading):
    days = trading.get_calendar(GetCalendarRequest(start=date(2026, 11, 25), end=date(2026, 11, 27)))

    assert [(day.date.day, day.close.hour) for day in days] == [(25, 16), (27, 13)]


def test_contracts_beyond_the_coming_weekend_need_an_upper_bound(trading):
    without = trading.get_option_contracts(GetOptionContractsRequest(underlying_symbols=["AAPL"]))
    bounded = trading.get_option_contracts(
        GetOptionContractsRequest(underlying_symbols=["AAPL"], expiration_date_lte=date(2026, 3, 13))
    )

    assert {row.expiration_date for row in without.option_contracts} == {date(2026, 3, 6)}
    assert {row.expiration_date for row in bounded.option_contracts} == {date(2026, 3, 6), date(2026, 3, 13)}


def test_contracts_come_in_pages_that_together_are_the_whole(raw):
    asked = {"underlying_symbols": "AAPL,MSFT", "expiration_date_lte": "2026-12-31", "limit": 50}
    pages, token = [], None
    while token is not None or not pages:
        answer = raw.get("/options/contracts", asked | ({"page_token": token} if token else {}))
        pages.append(answer["option_contracts"])
        token = answer["next_page_token"]
    symbols = [row["symbol"] for page in pages for row in page]

    assert [len(page) for page in pages] == [50, 50, 44]
    assert len(set(symbols)) == 144
    assert pages[0][0]["multiplier"] == "100"
    assert pages[0][0]["open_interest"] == "1000"


def test_contracts_can_be_narrowed_by_side_and_strike(trading):
    found = trading.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["AAPL"], type="put", strike_price_gte="95", strike_price_lte="100"
        )
    )

    assert [row.symbol for row in found.option_contracts] == ["AAPL260306P00095000", "AAPL260306P00100000"]


def test_one_contract_is_found_by_symbol_and_by_id(trading):
    contract = trading.get_option_contract(CALL)

    again = trading.get_option_contract(contract.id)

    assert (contract.symbol, again.symbol, contract.strike_price) == (CALL, CALL, 100.0)


def test_assets_tell_which_have_options(raw):
    told = raw.get_all_assets()

    assert [row["symbol"] for row in told] == ["AAPL", "MSFT", "SPY"]
    assert raw.get_asset("AAPL")["attributes"] == ["has_options"]


def test_activities_hold_the_fill_with_the_legs_order_id(raw):
    placed = raw.submit_order(vertical(limit=0.60))

    rows = raw.get("/account/activities", {"activity_types": "FILL", "direction": "asc"})

    assert [row["order_id"] for row in rows] == [leg["id"] for leg in placed["legs"]]
    assert [(row["side"], row["qty"], row["type"]) for row in rows] == [
        ("buy", "2", "fill"),
        ("sell", "2", "fill"),
    ]


def test_activities_page_by_the_last_id_seen(raw):
    for _ in range(3):
        raw.submit_order(buy_shares(qty=1))
    everything = raw.get("/account/activities/FILL", {"direction": "asc"})

    page = raw.get("/account/activities/FILL", {"direction": "asc", "page_size": 2})
    rest = raw.get("/account/activities/FILL", {"direction": "asc", "page_token": page[-1]["id"]})

    assert len(everything) == 3
    assert [row["id"] for row in page + rest] == [row["id"] for row in everything]


def test_expiry_shows_in_the_activities_the_next_morning_only(raw, control):
    raw.submit_order(
        LimitOrderRequest(
            symbol="AAPL260306P00090000", qty=1, side="buy", limit_price=0.7, time_in_force="day"
        )
    )
    control.advance_to(ny("2026-03-06 20:00"))
    positions = raw.get_all_positions()
    same_day = raw.get("/account/activities/OPEXP")
    control.advance_to(ny("2026-03-09 10:00"))

    next_day = raw.get("/account/activities/OPEXP")

    assert positions == []
    assert same_day == []
    assert [(row["symbol"], row["date"]) for row in next_day] == [("AAPL260306P00090000", "2026-03-06")]


def test_history_notes_equity_at_every_close_the_clock_passes(raw, control):
    raw.submit_order(buy_shares(qty=10))
    control.advance_to(ny("2026-03-04 12:00"))

    told = raw.get("/account/portfolio/history", {"timeframe": "1D"})

    assert len(told["timestamp"]) == 4
    # Ten shares bought at 100.31 are at 103.90 at each close and at 101.50 at noon.
    assert [round(equity - 100_000, 2) for equity in told["equity"]] == [0.0, 35.9, 35.9, 11.9]
    assert [round(gain, 2) for gain in told["profit_loss"]] == [0.0, 35.9, 0.0, -24.0]


def test_a_suspended_account_takes_no_orders_until_it_is_released(raw):
    raw.patch("/account/configurations", {"suspend_trade": True})

    with pytest.raises(APIError) as refused:
        raw.submit_order(buy_shares())
    raw.patch("/account/configurations", {"suspend_trade": False})
    taken = raw.submit_order(buy_shares())

    assert refused.value.status_code == 403
    assert taken["symbol"] == "AAPL"


def test_a_configuration_that_is_fixed_is_not_silently_kept(raw):
    with pytest.raises(APIError) as refused:
        raw.patch("/account/configurations", {"no_shorting": True})

    assert "no_shorting" in refused.value.message


def test_exercising_a_call_turns_it_into_shares(trading):
    trading.submit_order(buy_call())

    trading.exercise_options_position(CALL)

    assert [(row.symbol, row.qty) for row in trading.get_all_positions()] == [("AAPL", "100")]


def test_a_call_told_not_to_be_exercised_expires(raw, control):
    raw.submit_order(
        LimitOrderRequest(symbol="AAPL260306C00100000", qty=1, side="buy", limit_price=2, time_in_force="day")
    )

    raw.post("/positions/AAPL260306C00100000/do-not-exercise")
    control.advance_to(ny("2026-03-09 10:00"))

    assert raw.get_all_positions() == []


def test_a_contract_that_a_split_adjusted_is_found_by_its_new_symbol(raw, control):
    raw.submit_order(
        LimitOrderRequest(symbol="SPY260320C00105000", qty=1, side="buy", limit_price=3, time_in_force="day")
    )
    control.advance_to(ny("2026-03-17 10:00"))
    [told] = raw.get_all_positions()

    found = raw.get(f"/positions/{told['symbol']}")

    assert (told["symbol"], told["qty"]) == ("SPY260320C00052500", "2")
    assert found == told


class OddSplit(SmallMarket):
    """AAPL splits three for two, which leaves its options adjusted: 150 shares each, under a new root."""

    def corporate_actions(self, underlying, first, last):
        found = CorporateAction(AAPL, date(2026, 3, 4), ratio=Decimal("1.5"))
        return (found,) if underlying == AAPL and first <= found.ex_date <= last else ()


def test_an_adjusted_contract_is_known_by_its_new_symbol():
    with ServerThread(Exchange(OddSplit(), ny("2026-03-02 10:00"))) as url:
        raw = TradingClient(KEY, SECRET, url_override=url, raw_data=True)
        raw.submit_order(buy_call())
        PracticeControl(url).advance_to(ny("2026-03-04 10:00"))
        [adjusted] = raw.get_all_positions()

        raw.post(f"/positions/{adjusted['symbol']}/do-not-exercise")
        PracticeControl(url).advance_to(ny("2026-03-16 10:00"))
        left = raw.get_all_positions()

    assert adjusted["symbol"].startswith("AAPL1")
    assert left == []


def test_a_misspelt_filter_is_no_filter_as_with_the_vendor(raw):
    raw.submit_order(buy_shares())

    assert len(raw.get("/orders", {"status": "all", "simbols": "MSFT"})) == 1


def test_an_unreadable_filter_is_refused(raw):
    with pytest.raises(APIError) as refused:
        raw.get("/orders", {"limit": "lots"})

    assert refused.value.status_code == 422
