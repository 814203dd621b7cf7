"""Every answer of every route against the vendor's own OpenAPI documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.exchange.server.conftest import KEY, SECRET
from tests.exchange.server.market import SmallMarket, ny
from tests.wire.schemas import PATCHES, Contract, nameless
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.server import account, options, orders, reference, stocks
from wsb_core.exchange.server.app import build_app
from wsb_core.exchange.server.streams import OPTION_PATHS, STOCK_PATHS, TRADING_PATH

CALL, HIGHER, PUT = "AAPL260313C00100000", "AAPL260313C00105000", "AAPL260306P00080000"
LATER = "AAPL260320C00100000"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
ORDER = {"time_in_force": "day", "type": "limit"}
LEGS = [
    {"symbol": CALL, "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
    {"symbol": HIGHER, "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
]
MLEG = ORDER | {"order_class": "mleg", "qty": "2", "limit_price": "0.60", "legs": LEGS}
SHARES = {"symbol": "AAPL", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
RESTING = ORDER | {"symbol": "MSFT", "qty": "1", "side": "buy", "limit_price": "50"}


@dataclass
class Desk:
    """A server with an account that has traded, and the ids one can ask it for."""

    url: str
    known: dict[str, str]

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
        where = self.url + path.format(**self.known)
        return requests.request(method, where, json=body, headers=headers, timeout=10)


@pytest.fixture
def desk(url: str) -> Desk:
    """A week after its first trades: fills, an expiry, a dividend to come, and open orders of each kind."""
    made = Desk(url, {})
    put = ORDER | {"symbol": PUT, "qty": "1", "side": "buy", "limit_price": "1"}
    for body in (SHARES, MLEG, put, RESTING):
        assert made.call("POST", "/v2/orders", body).status_code == 200
    PracticeControl(url).advance_to(ny("2026-03-09 10:00"))
    made.call("POST", "/v2/orders", RESTING | {"client_order_id": "resting"})
    made.call("POST", "/v2/orders", MLEG | {"limit_price": "0.01", "client_order_id": "spread"})
    for name in ("resting", "spread"):
        found = made.call("GET", f"{BY_CLIENT_ID}?client_order_id={name}").json()
        made.known[name] = found["id"]
    made.known["leg"] = found["legs"][0]["id"]
    made.known["asset"] = made.call("GET", "/v2/assets/AAPL").json()["id"]
    made.known["activity"] = made.call("GET", "/v2/account/activities").json()[0]["id"]
    return made


# method, the vendor's path, the request, the status that is expected, and a body to send
CALLS: tuple[tuple[str, str, str, int, Any], ...] = (
    ("GET", "/v2/account", "/v2/account", 200, None),
    ("GET", "/v2/account/configurations", "/v2/account/configurations", 200, None),
    ("PATCH", "/v2/account/configurations", "/v2/account/configurations", 200, {"suspend_trade": True}),
    ("GET", "/v2/account/activities", "/v2/account/activities", 200, None),
    ("GET", "/v2/account/activities", "/v2/account/activities?page_token={activity}", 200, None),
    ("GET", "/v2/account/activities", "/v2/account/activities?category=non_trade_activity", 200, None),
    ("GET", "/v2/account/activities/{}", "/v2/account/activities/FILL?date=2026-03-02", 200, None),
    ("GET", "/v2/account/activities/{}", "/v2/account/activities/OPEXP", 200, None),
    ("GET", "/v2/account/activities/{}", "/v2/account/activities/FEE", 200, None),
    ("GET", "/v2/account/portfolio/history", "/v2/account/portfolio/history?cashflow_types=FEE", 200, None),
    ("GET", "/v2/clock", "/v2/clock", 200, None),
    ("GET", "/v2/calendar", "/v2/calendar?start=2026-11-20&end=2026-12-31", 200, None),
    ("GET", "/v2/assets", "/v2/assets?status=active&asset_class=us_equity", 200, None),
    ("GET", "/v2/assets/{}", "/v2/assets/AAPL", 200, None),
    ("GET", "/v2/assets/{}", "/v2/assets/{asset}", 200, None),
    ("GET", "/v2/assets/{}", "/v2/assets/NOPE", 404, None),
    ("GET", "/v2/options/contracts", "/v2/options/contracts?underlying_symbols=AAPL", 200, None),
    ("GET", "/v2/options/contracts", "/v2/options/contracts?show_deliverables=true&limit=5", 200, None),
    ("GET", "/v2/options/contracts/{}", f"/v2/options/contracts/{CALL}", 200, None),
    ("GET", "/v2/options/contracts/{}", "/v2/options/contracts/AAPL260313C00101000", 404, None),
    ("GET", "/v2/positions", "/v2/positions", 200, None),
    ("GET", "/v2/positions/{}", f"/v2/positions/{HIGHER}", 200, None),
    ("GET", "/v2/positions/{}", "/v2/positions/MSFT", 404, None),
    ("DELETE", "/v2/positions/{}", "/v2/positions/AAPL?qty=3", 200, None),
    ("DELETE", "/v2/positions", "/v2/positions", 207, None),
    ("DELETE", "/v2/positions", "/v2/positions?cancel_orders=true", 207, None),
    ("POST", "/v2/positions/{}/exercise", f"/v2/positions/{CALL}/exercise", 200, None),
    ("POST", "/v2/positions/{}/exercise", f"/v2/positions/{LATER}/exercise", 403, None),
    ("POST", "/v2/positions/{}/do-not-exercise", f"/v2/positions/{CALL}/do-not-exercise", 200, None),
    ("POST", "/v2/positions/{}/do-not-exercise", f"/v2/positions/{HIGHER}/do-not-exercise", 403, None),
    ("POST", "/v2/orders", "/v2/orders", 200, SHARES),
    ("POST", "/v2/orders", "/v2/orders", 200, MLEG),
    ("POST", "/v2/orders", "/v2/orders", 200, RESTING | {"limit_price": 40.5, "qty": 2}),
    ("POST", "/v2/orders", "/v2/orders", 403, SHARES | {"qty": "1000000"}),
    ("POST", "/v2/orders", "/v2/orders", 422, RESTING | {"client_order_id": "resting"}),
    ("GET", "/v2/orders", "/v2/orders?status=all&limit=500", 200, None),
    ("GET", "/v2/orders", "/v2/orders?status=all&nested=True", 200, None),
    ("GET", "/v2/orders", "/v2/orders?status=closed&symbols=MSFT", 200, None),
    ("GET", "/v2/orders/{}", "/v2/orders/{spread}?nested=true", 200, None),
    ("GET", "/v2/orders/{}", "/v2/orders/{leg}", 200, None),
    ("GET", "/v2/orders/{}", "/v2/orders/00000000-0000-0000-0000-000000000000", 404, None),
    (
        "GET",
        "/v2/orders:by_client_order_id",
        "/v2/orders:by_client_order_id?client_order_id=spread",
        200,
        None,
    ),
    ("GET", "/v2/orders:by_client_order_id", "/v2/orders:by_client_order_id?client_order_id=x", 404, None),
    ("PATCH", "/v2/orders/{}", "/v2/orders/{resting}", 200, {"limit_price": "51"}),
    ("PATCH", "/v2/orders/{}", "/v2/orders/{spread}", 403, {"limit_price": "0.02"}),
    ("DELETE", "/v2/orders/{}", "/v2/orders/{resting}", 204, None),
    ("DELETE", "/v2/orders", "/v2/orders", 207, None),
    ("GET", "/v2/stocks/bars", "/v2/stocks/bars?symbols=AAPL,SPY&timeframe=1Day&start=2026-02-02", 200, None),
    ("GET", "/v2/stocks/bars", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min", 200, None),
    ("GET", "/v2/stocks/bars/latest", "/v2/stocks/bars/latest?symbols=AAPL", 200, None),
    ("GET", "/v2/stocks/quotes/latest", "/v2/stocks/quotes/latest?symbols=AAPL", 200, None),
    ("GET", "/v2/stocks/trades/latest", "/v2/stocks/trades/latest?symbols=AAPL", 200, None),
    ("GET", "/v2/stocks/snapshots", "/v2/stocks/snapshots?symbols=AAPL,MSFT", 200, None),
    ("GET", "/v2/stocks/snapshots", "/v2/stocks/snapshots", 400, None),
    ("GET", "/v1beta1/options/snapshots/{}", "/v1beta1/options/snapshots/AAPL", 200, None),
    ("GET", "/v1beta1/options/snapshots", f"/v1beta1/options/snapshots?symbols={CALL},{LATER}", 200, None),
    ("GET", "/v1beta1/options/quotes/latest", f"/v1beta1/options/quotes/latest?symbols={CALL}", 200, None),
    ("GET", "/v1/corporate-actions", "/v1/corporate-actions?start=2026-03-01&end=2026-04-01", 200, None),
    ("GET", "/v1beta1/news", "/v1beta1/news?symbols=AAPL", 200, None),
)
READ = ("GET", 200)
# Statuses the vendor's pages and captures show where its documents are silent.
UNDOCUMENTED = {
    ("GET", "/v2/positions/{}", 404),
    ("GET", "/v2/orders/{}", 404),
    ("GET", BY_CLIENT_ID, 404),
    ("PATCH", "/v2/orders/{}", 403),
}


@pytest.mark.parametrize(
    ("method", "path", "request_path", "status", "body"),
    CALLS,
    ids=[f"{call[0]} {call[2].split('?')[0]} {call[3]} {n}" for n, call in enumerate(CALLS)],
)
def test_the_answer_fits_the_vendors_schema(contract, desk, method, path, request_path, status, body):
    reply = desk.call(method, request_path, body)

    assert reply.status_code == status, reply.text
    assert complaints(contract, method, path, reply) == []


@pytest.mark.parametrize("when", ["2026-03-09 20:00", "2026-03-13 15:59", "2026-03-14 12:00"])
def test_reads_fit_the_schema_out_of_session_and_on_the_last_day_too(contract, desk, when):
    PracticeControl(desk.url).advance_to(ny(when))
    reads = [
        (path, request) for method, path, request, status, _ in CALLS if (method, status) == ("GET", 200)
    ]

    replies = [(path, request, desk.call("GET", request)) for path, request in reads]
    found = {request: complaints(contract, "GET", path, reply) for path, request, reply in replies}

    # After its last day a contract and the position in it are gone.
    gone = {request for _, request, reply in replies if reply.status_code == 404}
    assert {request: wrong for request, wrong in found.items() if wrong} == {}
    assert gone <= {f"/v2/options/contracts/{CALL}", f"/v2/positions/{HIGHER}"}
    assert all(reply.status_code in (200, 404) for _, _, reply in replies)


def complaints(contract: Contract, method: str, path: str, reply: requests.Response) -> list[str]:
    """What the vendor's documents find wrong; a status they do not describe must be on the list."""
    status = reply.status_code
    if contract.has_schema(method, path, status):
        return contract.complaints(method, path, status, reply.json())
    known = contract.documents_status(method, path, status) or (method, path, status) in UNDOCUMENTED
    shaped = not reply.content or "message" in reply.json()
    return (
        [] if known and shaped else [f"{status} is not documented, or its body has no message: {reply.text}"]
    )


def test_every_route_is_the_vendors_and_is_checked(contract):
    app = build_app(Exchange(SmallMarket(), ny("2026-03-02 10:00")))
    streams = {TRADING_PATH, *STOCK_PATHS, *OPTION_PATHS}
    # The other vendors' routes are checked against schemas of their own, or have none.
    brokers = {module.__name__ for module in (account, options, orders, reference, stocks)}
    routes = {
        (route.method, nameless(route.resource.canonical))
        for route in app.router.routes()
        if route.method != "HEAD"
        and not route.resource.canonical.startswith("/control/")
        and route.resource.canonical not in streams
        and route.handler.__module__ in brokers
    }

    assert routes <= contract.operations()
    assert routes == {(method, path) for method, path, *_ in CALLS}


@pytest.mark.parametrize(
    ("patch", "request_path"),
    list(
        zip(
            PATCHES,
            (
                "/v2/orders?status=all&nested=True",
                f"/v2/options/contracts/{CALL}",
                "/v2/positions",
                "/v2/account/activities/FILL?date=2026-03-02",
            ),
            strict=True,
        )
    ),
    ids=[patch.__name__ for patch in PATCHES],
)
def test_every_relaxation_of_the_schema_is_needed(shared, desk, patch, request_path):
    """So that the list can only get shorter."""
    strict = Contract(shared / "wire" / "specs", tuple(one for one in PATCHES if one is not patch))
    # Of the calls on one path the last is the one that provokes a refusal.
    method, path, _, status, body = [call for call in CALLS if call[2] == request_path][-1]

    reply = desk.call(method, request_path, body)

    assert reply.status_code == status
    assert complaints(strict, method, path, reply)


def wrong_answers() -> Iterator[tuple[str, Callable[[dict[str, Any]], object]]]:
    yield "a number where money is a string", lambda body: body.update(cash=100000.0)
    yield "a status the vendor does not know", lambda body: body.update(status="FINE")
    yield "a missing id", lambda body: body.pop("id")
    yield "a level as a string", lambda body: body.update(options_trading_level="3")


@pytest.mark.parametrize(("name", "spoil"), list(wrong_answers()), ids=[name for name, _ in wrong_answers()])
def test_a_spoilt_answer_is_noticed(contract, desk, name, spoil):
    body = desk.call("GET", "/v2/account").json()

    spoil(body)

    assert contract.complaints("GET", "/v2/account", 200, body)


def recorded(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(folder.read_text())["body"]
    return found


def test_the_vendors_own_example_of_a_spread_passes_with_the_relaxations_only(contract, shared):
    folder = shared / "wire"
    example = recorded(folder / "alpaca-trading" / "specexample.component.MultilegOptionsOrderResponse.json")
    strict = Contract(folder / "specs", ())

    assert contract.complaints("POST", "/v2/orders", 200, example) == []
    assert strict.complaints("POST", "/v2/orders", 200, example)


def test_a_spread_has_the_same_fields_as_the_vendors_example(shared, desk):
    example = recorded(
        shared / "wire" / "alpaca-trading" / "specexample.component.MultilegOptionsOrderResponse.json"
    )

    told = desk.call("POST", "/v2/orders", MLEG).json()

    assert set(example) <= set(told)
    assert set(example["legs"][0]) <= set(told["legs"][0])
