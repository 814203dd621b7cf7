"""Each kind of fault as the vendor's own clients meet it."""

from __future__ import annotations

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import OptionChainRequest, StockLatestQuoteRequest
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.exchange.server.conftest import KEY, SECRET, eventually
from tests.exchange.server.market import ny

HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
ORDERS = {"method": "POST", "path": "^/v2/orders$"}


def order(**more) -> MarketOrderRequest:
    return MarketOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day", **more)


def get(url: str, path: str, **query) -> requests.Response:
    return requests.get(url + path, query, headers=HEADERS, timeout=10)


def quote(url: str):
    client = StockHistoricalDataClient(KEY, SECRET, url_override=url)
    return client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]


def test_accepted_then_504_without_an_id_makes_the_client_buy_twice(trading, control):
    control.fault("accept_then_status", **ORDERS)

    trading.submit_order(order())

    assert trading.get_open_position("AAPL").qty == "2"
    assert control.state()["sends"] == {"": 2}
    assert control.state()["orders"] == 2


def test_accepted_then_504_with_an_id_is_told_as_a_duplicate_although_the_order_exists(trading, control):
    control.fault("accept_then_status", **ORDERS)

    with pytest.raises(APIError) as told:
        trading.submit_order(order(client_order_id="mine-1"))

    assert (told.value.status_code, told.value.message) == (422, "client_order_id must be unique")
    assert trading.get_order_by_client_id("mine-1").status.value == "filled"
    state = control.state()
    assert (state["orders"], state["orders_received"], state["orders_accepted"]) == (1, 2, 1)
    assert state["sends"] == {"mine-1": 2}


def test_accepted_then_dropped_leaves_an_order_nobody_was_told_of(trading, control):
    control.fault("accept_then_drop", **ORDERS)

    with pytest.raises(requests.ConnectionError):
        trading.submit_order(order(client_order_id="mine-1"))

    assert trading.get_order_by_client_id("mine-1").status.value == "filled"
    assert control.state()["orders_received"] == 1


def test_dropped_before_it_was_taken_leaves_nothing(trading, control):
    control.fault("drop", **ORDERS)

    with pytest.raises(requests.ConnectionError):
        trading.submit_order(order(client_order_id="mine-1"))
    with pytest.raises(APIError) as missing:
        trading.get_order_by_client_id("mine-1")

    assert missing.value.status_code == 404
    assert control.state()["sends"] == {"mine-1": 1}


def test_a_status_without_acting_is_what_was_ordered(trading, control):
    control.fault("status", status=500, body={"code": 1, "message": "boom"}, **ORDERS)

    with pytest.raises(APIError) as told:
        trading.submit_order(order())

    assert (told.value.status_code, told.value.message) == (500, "boom")
    assert control.state()["orders"] == 0


def test_an_order_is_taken_although_its_client_lost_patience(url, control):
    control.fault("stall", seconds=0.4, **ORDERS)
    body = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}

    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{url}/v2/orders", json=body, headers=HEADERS, timeout=0.1)

    eventually(lambda: control.state()["orders"] == 1)


def test_a_truncated_answer_cannot_be_read_although_the_order_was_taken(control, trading):
    control.fault("truncate", **ORDERS)

    with pytest.raises(requests.JSONDecodeError):
        trading.submit_order(order(client_order_id="mine-1"))

    assert trading.get_order_by_client_id("mine-1").symbol == "AAPL"


def test_an_empty_answer_is_a_200_without_a_body(url, control):
    control.fault("empty", path="/v2/positions")

    reply = get(url, "/v2/positions")

    assert (reply.status_code, reply.content) == (200, b"")


def test_a_gateways_error_page_is_html(url, control):
    control.fault("html502", path="/v2/account")

    reply = get(url, "/v2/account")

    assert (reply.status_code, reply.headers["Content-Type"].split(";")[0]) == (502, "text/html")


@pytest.mark.parametrize("headers", [True, False])
def test_too_many_requests_come_with_the_vendors_headers_or_without(url, control, headers):
    control.fault("ratelimit", path="/v2/account", headers=headers)

    reply = get(url, "/v2/account")

    assert reply.status_code == 429
    assert ("X-RateLimit-Remaining" in reply.headers) is headers


def test_the_client_sends_a_refused_order_four_times(trading, control):
    control.fault("ratelimit", times=None, **ORDERS)

    with pytest.raises(APIError):
        trading.submit_order(order(client_order_id="mine-1"))

    assert control.state()["sends"] == {"mine-1": 4}
    assert control.state()["orders_accepted"] == 0


def test_stale_quotes_keep_their_price_and_lose_their_age(url, control):
    control.fault("quotes_stale", path="/quotes/latest", seconds=600)

    assert quote(url).timestamp == ny("2026-03-02 09:50")


def test_crossed_quotes_reach_the_client(url, control):
    control.fault("quotes_crossed", path="/quotes/latest")

    crossed = quote(url)

    assert crossed.bid_price > crossed.ask_price


def test_zero_quotes_reach_the_client(url, control):
    control.fault("quotes_zero", path="/quotes/latest")

    assert (quote(url).bid_price, quote(url).ask_price) == (0, 100.31)


def test_absent_greeks_reach_the_client(url, control):
    control.fault("greeks_absent", path="/options/snapshots", times=None)
    client = OptionHistoricalDataClient(KEY, SECRET, url_override=url)

    chain = client.get_option_chain(OptionChainRequest(underlying_symbol="AAPL"))

    assert {(row.greeks, row.implied_volatility) for row in chain.values()} == {(None, None)}


def test_a_short_page_has_fewer_rows_than_asked_and_a_token_for_the_rest(url, control):
    control.fault("short_page", path="/options/contracts")
    asked = {"underlying_symbols": "AAPL", "limit": 10}

    first = get(url, "/v2/options/contracts", **asked).json()
    rest = get(url, "/v2/options/contracts", page_token=first["next_page_token"], **asked).json()

    assert len(first["option_contracts"]) == 5
    assert len(rest["option_contracts"]) == 10


def test_a_short_page_of_activities_is_short_of_its_own_size(url, control, trading):
    for _ in range(4):
        trading.submit_order(order())
    control.fault("short_page", path="/activities")

    assert len(get(url, "/v2/account/activities", page_size=4).json()) == 2


def test_a_repeated_token_brings_the_same_page_for_ever(url, control):
    control.fault("repeat_page_token", path="/options/contracts", times=None)
    asked = {"underlying_symbols": "AAPL", "limit": 8}
    token = get(url, "/v2/options/contracts", **asked).json()["next_page_token"]

    told = [get(url, "/v2/options/contracts", page_token=token, **asked).json() for _ in range(3)]

    assert {page["next_page_token"] for page in told} == {token}
    assert told[0] == told[1] == told[2]


def test_control_routes_are_beyond_every_fault(control):
    control.fault("drop", times=None)

    assert control.now() == ny("2026-03-02 10:00")
    assert control.state()["faults"][0]["seen"] == 0


def test_two_faults_on_one_request_both_show(url, control):
    control.fault("quotes_stale", path="/quotes/latest", seconds=600)
    control.fault("quotes_crossed", path="/quotes/latest")

    both = quote(url)

    assert both.timestamp == ny("2026-03-02 09:50")
    assert both.bid_price > both.ask_price


def test_faults_leave_a_refusal_as_it_is(url, control, trading):
    control.fault("quotes_zero", path="/v2/orders")

    with pytest.raises(APIError) as refused:
        trading.submit_order(
            LimitOrderRequest(symbol="NOPE", qty=1, side="buy", limit_price=1, time_in_force="day")
        )

    assert refused.value.status_code == 422
