"""What the exchange tells in Polygon's words against the vendor's own schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_schema_validator import OAS30Validator

from tests.exchange.server.conftest import KEY
from tests.exchange.server.market import ny
from wsb_core.exchange.client import PracticeControl

Schema = dict[str, Any]
OPTION = "O:AAPL260320C00100000"
STOCKS = "/v2/snapshot/locale/us/markets/stocks/tickers"
CALLS = {
    "/v2/aggs/ticker/{stocksTicker}/range/{multiplier}/{timespan}/{from}/{to}": [
        "/v2/aggs/ticker/AAPL/range/1/day/2026-02-20/2026-03-02?limit=3",
        "/v2/aggs/ticker/AAPL/range/1/minute/2026-03-02/2026-03-02",
        "/v2/aggs/ticker/NOPE/range/1/day/2026-02-20/2026-03-02",
    ],
    "/v2/last/nbbo/{stocksTicker}": ["/v2/last/nbbo/AAPL"],
    STOCKS: [STOCKS, f"{STOCKS}?tickers=AAPL"],
    f"{STOCKS}/{{stocksTicker}}": [f"{STOCKS}/AAPL"],
    "/v3/snapshot/options/{underlyingAsset}": ["/v3/snapshot/options/AAPL?limit=250"],
    "/v3/snapshot/options/{underlyingAsset}/{optionContract}": [f"/v3/snapshot/options/AAPL/{OPTION}"],
    "/v3/reference/options/contracts": ["/v3/reference/options/contracts?underlying_ticker=AAPL"],
    "/v3/reference/options/contracts/{options_ticker}": [f"/v3/reference/options/contracts/{OPTION}"],
    "/v3/reference/dividends": ["/v3/reference/dividends?ticker=MSFT"],
    "/v3/reference/splits": ["/v3/reference/splits?ticker=SPY"],
    "/v3/reference/tickers/{ticker}": ["/v3/reference/tickers/AAPL"],
    "/v1/marketstatus/now": ["/v1/marketstatus/now"],
    "/v1/marketstatus/upcoming": ["/v1/marketstatus/upcoming"],
}


def day_of_a_contract_that_has_not_traded(document: Schema) -> None:
    """The day of a contract's snapshot may be an empty object, as the vendor tells one without a trade."""
    for path in CALLS:
        if path.startswith("/v3/snapshot/options/"):
            row = schema_of(document, path)["properties"]["results"]
            del row.get("items", row)["properties"]["day"]["required"]


def schema_of(document: Schema, path: str) -> Schema:
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    found: Schema = content["application/json"]["schema"]
    return found


@pytest.fixture(scope="module")
def document(shared: Path) -> Schema:
    found: Schema = json.loads((shared / "wire/specs/massive-rest-openapi.json").read_text())
    day_of_a_contract_that_has_not_traded(found)
    return found


def complaints(document: Schema, path: str, body: Any) -> list[str]:
    validator = OAS30Validator({**schema_of(document, path), "components": document["components"]})
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(body)]


@pytest.mark.parametrize("at", ["2026-03-02 10:00", "2026-03-02 18:00", "2026-03-05 09:00"])
def test_every_answer_fits_the_vendors_schema(
    at: str, document: Schema, url: str, control: PracticeControl
) -> None:
    control.advance_to(ny(at))
    key = {"Authorization": f"Bearer {KEY}"}

    replies = [
        (path, requests.get(url + call, headers=key, timeout=10)) for path in CALLS for call in CALLS[path]
    ]

    assert {reply.status_code for _, reply in replies} == {200}
    wrong = {reply.url: complaints(document, path, reply.json()) for path, reply in replies}
    assert {where: told for where, told in wrong.items() if told} == {}


def test_a_wrong_answer_is_noticed(document: Schema) -> None:
    assert complaints(document, "/v2/last/nbbo/{stocksTicker}", {"status": "OK"}) != []
