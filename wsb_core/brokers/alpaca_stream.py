"""Alpaca's ``trade_updates``, read in a thread of its own: it only says "look now", REST is the truth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from alpaca.trading.stream import TradingStream

from wsb_core.domain.errors import WsbError
from wsb_core.domain.ids import BrokerOrderId, ClientOrderId, Price
from wsb_core.domain.orders import BrokerOrder, Fill
from wsb_core.vendors.alpaca_rows import Row, row_of, rows_of

from .alpaca_orders import parse_order

_LOG = logging.getLogger(__name__)
# At DEBUG the websocket library prints every frame, the one with the keys among them.
_FRAMES = logging.getLogger(f"{__name__}.frames")
_FRAMES.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class TradeUpdate:
    """One event: the order as it stood then, and the executions that were not told before.

    ``fills`` carry the stream's own execution ids, which are not those of the account's activities:
    they are for showing and for waking a read of ``Broker.fills``, never for the ledger.
    """

    event: str
    at: datetime
    order: BrokerOrder
    fills: tuple[Fill, ...]


class TradeUpdates:
    """A running stream. ``on_update`` gets each event once, in the stream's thread.

    ``on_gap`` gets a reason whenever events may have been missed: after every reconnect, on a message that
    cannot be read, when the callback itself failed, and when the broker refuses the credentials (which
    also ends the stream). After a gap, read orders and fills over REST: nothing is replayed.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        secret: str,
        on_update: Callable[[TradeUpdate], None],
        on_gap: Callable[[str], None],
    ) -> None:
        self._on_update, self._on_gap = on_update, on_gap
        self._seen: set[str] = set()
        self._stream = _Stream(key, secret, stream_url(base_url), on_gap)
        self._stream.subscribe_trade_updates(self._receive)
        self._thread = Thread(target=self._stream.run, name="trade-updates", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self, timeout: float = 10.0) -> None:
        """Close the stream and wait for its thread."""
        self._stream.close_from_outside()
        self._thread.join(timeout)

    async def _receive(self, message: Mapping[str, Any]) -> None:
        try:
            update = parse_update(message.get("data"), self._seen)
            self._seen.update(fill.execution_id for fill in update.fills)
            self._on_update(update)
        except WsbError as error:
            self._on_gap(f"unreadable event: {error}")
        except Exception as error:
            # The vendor's loop would log it and go on as if the event had been handled.
            _LOG.exception("trade update not handled")
            self._on_gap(f"event not handled: {type(error).__name__}: {error}")


class _Stream(TradingStream):  # type: ignore[misc]  # alpaca-py ships no types that mypy follows here
    def __init__(self, key: str, secret: str, url: str, on_gap: Callable[[str], None]) -> None:
        frames = {"ping_interval": 10, "ping_timeout": 30, "max_queue": 1024, "logger": _FRAMES}
        super().__init__(key, secret, raw_data=True, url_override=url, websocket_params=frames)
        self._on_gap = on_gap
        self._connected_before = False
        self._ended = False

    async def _start_ws(self) -> None:
        if self._ended:
            await self.stop_ws()
            return
        try:
            await super()._start_ws()
        except ValueError as error:
            # The vendor's loop would try wrong keys again for ever.
            await self.close()
            await self.stop_ws()
            self._on_gap(f"stream refused: {error}; check key and secret")
            return
        if self._connected_before:
            self._on_gap("reconnected")
        self._connected_before = True

    def close_from_outside(self) -> None:
        self._ended = True
        loop = self._loop
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(self._end(), loop)

    async def _end(self) -> None:
        await self.stop_ws()
        # Without this the loop notices only when its five-second wait for a message is over.
        await self.close()


def stream_url(base_url: str) -> str:
    """The stream that belongs to a trading host."""
    parts = urlsplit(base_url)
    return urlunsplit(("wss" if parts.scheme == "https" else "ws", parts.netloc, "/stream", "", ""))


def parse_update(data: Any, seen: Container[str] = frozenset()) -> TradeUpdate:
    """One ``trade_updates`` event; executions whose id is in ``seen`` are left out.

    Raises: BadResponse naming what cannot be read.
    """
    row = row_of("trade update", data, "event")
    order = parse_order(row.fields.get("order"))
    executions = _executions(row, order)
    return TradeUpdate(
        event=row.text("event"),
        at=row.optional_instant("timestamp") or row.instant("at"),
        order=order,
        fills=tuple(fill for fill in executions if fill.execution_id not in seen),
    )


def _executions(row: Row, order: BrokerOrder) -> tuple[Fill, ...]:
    if row.text("event") not in ("fill", "partial_fill"):
        return ()
    if row.optional_text("execution_id"):
        told = row_of("order", row.fields["order"])
        at = row.optional_instant("timestamp") or row.instant("at")
        return (_execution(row, told, order.client_order_id, at),)
    sides = {leg.text("id"): leg for leg in rows_of("leg", row.fields["order"].get("legs"), "id")}
    fills = []
    for leg in rows_of("execution", row.fields.get("legs"), "execution_id"):
        side = sides.get(leg.text("order_id"))
        if side is None:
            raise leg.bad("order_id", "one of the order's legs")
        fills.append(_execution(leg, side, order.client_order_id, leg.instant("timestamp")))
    return tuple(fills)


def _execution(row: Row, order: Row, name: ClientOrderId, at: datetime) -> Fill:
    quantity = abs(row.number("qty"))
    side = order.text("side")
    if side not in ("buy", "sell"):
        raise order.bad("side", "buy or sell")
    return Fill(
        execution_id=row.text("execution_id"),
        client_order_id=name,
        broker_order_id=BrokerOrderId(order.text("id")),
        instrument=order.instrument(),
        quantity=quantity if side == "buy" else -quantity,
        price=Price(row.number("price")),
        at=at,
    )
