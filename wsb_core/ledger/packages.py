"""From executions of legs to whole units of a structure: which order a fill is of, and what it completed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from wsb_core.domain.ids import ClientOrderId, StrategyName
from wsb_core.domain.orders import Effect, Fill
from wsb_core.domain.structures import Structure

from .held import ratios_of, symbol_of


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What deriving needs of an order. ``ids`` are all the ids its executions may be told under.

    Without a strategy, a structure or an effect it is a stranger's order: its fills change holdings
    and may close our positions, and open none.
    """

    client_order_id: ClientOrderId
    ids: frozenset[str]
    strategy: StrategyName | None
    structure: Structure | None
    effect: Effect | None
    session: date
    facts: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """Whole units of an order that its fills completed at ``at``; ``legs`` is the cash each leg moved."""

    order: OrderTerms
    units: int
    legs: Mapping[str, Decimal]
    at: datetime


@dataclass(frozen=True, slots=True)
class Packed:
    """All fills of an account, sorted into packages.

    ``strays`` are fills of no order with a strategy: of unknown orders (``orphans`` names them),
    of strangers' orders, or of a leg or side that the order does not have.
    """

    packages: tuple[Package, ...]
    strays: tuple[Fill, ...]
    orphans: tuple[str, ...]
    units: Mapping[ClientOrderId, int]
    partial: tuple[ClientOrderId, ...]
    """Orders with executions left over that complete no unit: a leg is missing, or was not told yet."""
    strategies: Mapping[str, StrategyName | None]
    """Whose each execution is."""


def fill_cash(fill: Fill) -> Decimal:
    """What one execution moved in the account: bought -, sold +, fees not counted."""
    return -fill.quantity * fill.price * fill.instrument.multiplier


def owners(orders: Iterable[OrderTerms]) -> Mapping[str, OrderTerms]:
    """Orders by every id their executions may carry, client order ids included."""
    found: dict[str, OrderTerms] = {}
    for order in orders:
        found[order.client_order_id] = order
        for broker_id in order.ids:
            found[broker_id] = order
    return found


def order_of(by_id: Mapping[str, OrderTerms], fill: Fill) -> OrderTerms | None:
    """The order that an execution is of; None when it is unknown here."""
    return by_id.get(fill.client_order_id or "") or by_id.get(fill.broker_order_id)


def pack(orders: Iterable[OrderTerms], fills: Sequence[Fill]) -> Packed:
    """Sort ``fills`` (any order) into whole units, each completed at the time of its last execution."""
    by_id = owners(orders)
    queues: dict[ClientOrderId, _Queues] = {}
    packages: list[Package] = []
    strays: list[Fill] = []
    orphans: list[str] = []
    units: dict[ClientOrderId, int] = defaultdict(int)
    strategies: dict[str, StrategyName | None] = {}
    for fill in sorted(fills, key=lambda f: (f.at, f.execution_id)):
        order = order_of(by_id, fill)
        strategies[fill.execution_id] = order.strategy if order else None
        if order is None:
            orphans.append(fill.execution_id)
        if order is None or order.strategy is None or order.structure is None or order.effect is None:
            strays.append(fill)
            continue
        queue = queues.get(order.client_order_id)
        if queue is None:
            queue = queues[order.client_order_id] = _Queues(order.structure, order.effect)
        if not queue.take(fill):
            strays.append(fill)
            continue
        done, legs = queue.complete()
        if done:
            packages.append(Package(order, done, legs, fill.at))
            units[order.client_order_id] += done
    partial = tuple(key for key, queue in queues.items() if queue.unfinished)
    return Packed(tuple(packages), tuple(strays), tuple(orphans), units, partial, strategies)


class _Queues:
    """Executions of one order's legs that wait for the other legs, oldest first."""

    def __init__(self, structure: Structure, effect: Effect) -> None:
        sign = 1 if effect is Effect.OPEN else -1
        self._signed = {symbol: sign * ratio for symbol, ratio in ratios_of(structure)}
        self._waiting: dict[str, list[tuple[Decimal, Decimal]]] = {symbol: [] for symbol in self._signed}

    @property
    def unfinished(self) -> bool:
        return any(self._waiting.values())

    def take(self, fill: Fill) -> bool:
        """Queue it; False when this order has no such leg or trades its other side."""
        symbol = symbol_of(fill.instrument)
        ratio = self._signed.get(symbol, 0)
        if ratio * fill.quantity <= 0:
            return False
        self._waiting[symbol].append((fill.quantity, fill_cash(fill)))
        return True

    def complete(self) -> tuple[int, Mapping[str, Decimal]]:
        """Whole units that can be formed now, taken out of the queues, with each leg's cash."""
        units = min(
            int(abs(sum((quantity for quantity, _ in self._waiting[symbol]), Decimal(0))) // abs(ratio))
            for symbol, ratio in self._signed.items()
        )
        if units == 0:
            return 0, {}
        return units, {
            symbol: self._pop(symbol, Decimal(ratio * units)) for symbol, ratio in self._signed.items()
        }

    def _pop(self, symbol: str, quantity: Decimal) -> Decimal:
        queue, cash = self._waiting[symbol], Decimal(0)
        while quantity:
            held, value = queue[0]
            if abs(held) <= abs(quantity):
                queue.pop(0)
                quantity -= held
                cash += value
            else:
                # One execution has one price, so its cash divides by quantity without a remainder.
                part = value / held * quantity
                queue[0] = (held - quantity, value - part)
                cash, quantity = cash + part, Decimal(0)
        return cash
