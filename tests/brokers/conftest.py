"""A scripted broker and wire bodies as the vendor writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.brokers.scripted import Reply, Scripted
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.domain.contracts import parse_occ
from wsb_core.domain.ids import AccountId, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, IntentKey, Order
from wsb_core.domain.structures import Structure, StructureLeg

ACCOUNT = AccountId("PA3TEST00001")
KEY, SECRET = "PKTESTKEY1234567", "s3cr3tS3cr3tS3cr3t"
PATIENT = 20.0
LONG, SHORT = "AAPL  241220C00200000", "AAPL  241220C00210000"


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()
    assert scripted.unscripted == []


@pytest.fixture
def broker(server: Scripted) -> AlpacaBroker:
    """A practice broker at the scripted server; the account is the configured one."""
    server.on("GET", "/v2/account", Reply(account_row()))
    return AlpacaBroker(ACCOUNT, "practice", server.url, KEY, SECRET, deadline_seconds=PATIENT)


@pytest.fixture
def broker_for(server: Scripted) -> Callable[[Reply], AlpacaBroker]:
    """Make a broker that waits a second where the reply will not come, and long where it will."""

    def make(reply: Reply) -> AlpacaBroker:
        server.on("GET", "/v2/account", Reply(account_row()))
        deadline = 1.0 if reply.fault in ("stall", "drip") else PATIENT
        return AlpacaBroker(ACCOUNT, "practice", server.url, KEY, SECRET, deadline_seconds=deadline)

    return make


def account_row(**changes: Any) -> dict[str, Any]:
    """As a paper account of 2026-10: without any day-trade field."""
    return {
        "id": "1d9eed04-be39-4e01-9b84-a48ac5bbafcf",
        "account_number": str(ACCOUNT),
        "status": "ACTIVE",
        "currency": "USD",
        "cash": "99876.5",
        "equity": "101234.56",
        "buying_power": "199753",
        "options_buying_power": "99876.5",
        "options_approved_level": 3,
        "options_trading_level": 3,
        "account_blocked": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "trade_suspended_by_user": False,
        **changes,
    }


def clock_row(now: str = "2024-12-10T11:15:00.123456789-05:00", **changes: Any) -> dict[str, Any]:
    return {
        "timestamp": now,
        "is_open": True,
        "next_open": "2024-12-11T09:30:00-05:00",
        "next_close": "2024-12-10T16:00:00-05:00",
        **changes,
    }


def key(underlying: str = "AAPL", attempt: int = 1) -> IntentKey:
    return IntentKey(
        ACCOUNT,
        StrategyName("wsb_dip_bot"),
        date(2024, 12, 10),
        "close-25m",
        Underlying(underlying),
        "open",
        attempt,
    )


def an_order(
    *legs: tuple[str, int], limit: str, effect: Effect = Effect.OPEN, quantity: int = 2, attempt: int = 1
) -> Order:
    """An order for OCC symbols with signed ratios at a signed limit."""
    structure = Structure(tuple(StructureLeg(parse_occ(symbol), ratio) for symbol, ratio in legs))
    return Order(key(structure.underlying, attempt), structure, effect, quantity, Price(Decimal(limit)))


def order_row(order_id: str = "o-1", client_order_id: str = "mine-1", **changes: Any) -> dict[str, Any]:
    """A working single option order."""
    return {
        "id": order_id,
        "client_order_id": client_order_id,
        "created_at": "2024-12-10T16:15:53.677230742Z",
        "updated_at": "2024-12-10T16:15:53.725139688Z",
        "submitted_at": "2024-12-10T16:15:53.684952901Z",
        "filled_at": None,
        "asset_class": "us_option",
        "symbol": "AAPL241220C00200000",
        "qty": "2",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "1.25",
        "status": "new",
        "extended_hours": False,
        "legs": None,
        "position_intent": "buy_to_open",
        **changes,
    }


def mleg_row(order_id: str = "p-1", client_order_id: str = "mine-2", **changes: Any) -> dict[str, Any]:
    """A filled debit vertical of two units: empty strings where the vendor writes them."""
    legs = [
        order_row(
            f"{order_id}-l{n}",
            f"generated-{n}",
            symbol=symbol,
            side=side,
            position_intent=f"{side}_to_open",
            ratio_qty="1",
            qty="2",
            filled_qty="2",
            filled_avg_price=price,
            order_class="mleg",
            type="",
            order_type="",
            limit_price=None,
            status="filled",
        )
        for n, (symbol, side, price) in enumerate(
            [("AAPL241220C00200000", "buy", "3.10"), ("AAPL241220C00210000", "sell", "1.85")]
        )
    ]
    row = order_row(order_id, client_order_id, symbol="", side="", asset_class="", asset_id="")
    row |= {"order_class": "mleg", "position_intent": None, "status": "filled", "filled_qty": "2"}
    return {**row, "filled_avg_price": "1.25", "legs": legs, **changes}
