"""Reconciling a large account by a process that has never read its ledger: news taken over, compared."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, RunId, StrategyName, Underlying, cash, price
from wsb_core.domain.orders import BrokerOrder, Effect, Fill, IntentKey, Order, OrderState
from wsb_core.domain.positions import AccountState, Holding
from wsb_core.domain.structures import single
from wsb_core.ledger import Ledger, codec, held, open_ledger, tables
from wsb_core.reconcile.compare import Verdict, compare
from wsb_core.reconcile.sync import sync, views

from .harness import Figure, Job, medians

ACCOUNT, STRATEGY = AccountId("BENCH"), StrategyName("bench")
DAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 17, 0, tzinfo=UTC)
OPENS, CLOSES, NEW = 15_000, 5_000, 500
"""Orders: 10,000 positions stay; with two executions an opening and four a closing 50,000 fills."""


def contract(number: int) -> OptionContract:
    name = f"S{number % 500:03d}"
    right = Right.CALL if number % 2 else Right.PUT
    expiry = date(2027, 1, 15) + timedelta(days=7 * (number // 5000))
    return OptionContract(name, expiry, right, Decimal(10 + number // 500), Underlying(name))


@dataclass(frozen=True)
class Account:
    """A ledger on disk, and what the broker says: ``NEW`` executions more than the ledger has."""

    folder: Path
    holdings: tuple[Holding, ...]
    cash: Cash
    orders: tuple[BrokerOrder, ...]
    fills: tuple[Fill, ...]

    def fresh(self) -> Ledger:
        """The ledger as a new process finds it."""
        copy = self.folder / "copy.db"
        shutil.copy(self.folder / "ledger.db", copy)
        for memo in (
            codec.read_instrument,
            codec.read_structure,
            held.symbol_of,
            held.ratios_of,
            held.name_of,
        ):
            memo.cache_clear()
        return open_ledger(f"sqlite:///{copy}")


@lru_cache
def account() -> Account:
    folder = Path(tempfile.mkdtemp(prefix="wsb-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rows: dict[str, list[dict[str, Any]]] = {"orders": [], "intents": [], "fills": []}
    for number in range(OPENS):
        _order(rows, number, Effect.OPEN, 2, NOON + timedelta(seconds=number))
    for number in range(CLOSES):
        _order(rows, number, Effect.CLOSE, 4, NOON + timedelta(seconds=OPENS + number))
    told, fills = _told(rows), _fills(rows)
    with open_ledger(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        ledger.init()
        ledger.open_account(ACCOUNT, "practice", cash(10_000_000), NOON)
        ledger.start_run(
            RunId("bench"),
            flow="bench",
            strategy=STRATEGY,
            session=DAY,
            slot="x",
            account=ACCOUNT,
            config_hash="",
            code_version="",
            at=NOON,
        )
        with ledger._store.writer.begin() as connection:
            connection.execute(insert(tables.OrderRow.__table__), rows["orders"])
            connection.execute(insert(tables.IntentRow.__table__), rows["intents"])
            connection.execute(insert(tables.FillRow.__table__), rows["fills"])
        ledger.record_fills(ACCOUNT, fills[-2 * NEW : -NEW], NOON)
        before = ledger.balance(ACCOUNT)
    quantity = {holding.instrument: holding.quantity for holding in before.holdings}
    paid = Decimal(before.cash)
    for fill in fills[-NEW:]:
        quantity[fill.instrument] = quantity.get(fill.instrument, Decimal(0)) + fill.quantity
        paid -= fill.quantity * fill.price * fill.instrument.multiplier
    held_now = tuple(Holding(instrument, amount) for instrument, amount in quantity.items() if amount)
    return Account(folder, held_now, Cash(paid), told[-NEW:], fills[-2 * NEW :])


def _order(
    rows: dict[str, list[dict[str, Any]]], number: int, effect: Effect, parts: int, at: datetime
) -> None:
    structure = single(contract(number))
    action = "open" if effect is Effect.OPEN else f"close {structure.symbol}"
    key = IntentKey(ACCOUNT, STRATEGY, DAY, f"slot-{number}", structure.underlying, action)
    order = Order(key, structure, effect, 4, price("-1.00" if effect is Effect.OPEN else "1.00"))
    name = order.client_order_id
    common = {
        "client_order_id": name,
        "account": ACCOUNT,
        "strategy": STRATEGY,
        "effect": effect.value,
        "quantity": 4,
    }
    rows["orders"].append(
        common
        | {
            "structure_symbol": structure.symbol,
            "legs": codec.pack_legs(order.legs),
            "state": "filled",
            "broker_order_id": f"b-{name}",
            "filled": 4,
            "adopted": False,
            "created_at": at,
            "updated_at": at,
        }
    )
    rows["intents"].append(
        common
        | {
            "session": DAY,
            "slot": key.slot,
            "underlying": key.underlying,
            "action": action,
            "attempt": 1,
            "run_id": "bench",
            "structure": codec.pack_structure(structure),
            "limit": order.limit,
            "may_cross": False,
            "max_loss": Decimal(100),
            "reason": "bench",
            "facts": {},
            "rulings": [],
            "reviewed_at": at,
            "created_at": at,
        }
    )
    sign = 1 if effect is Effect.OPEN else -1
    for part in range(parts):
        rows["fills"].append(
            {
                "execution_id": f"x-{name}-{part}",
                "account": ACCOUNT,
                "client_order_id": name,
                "broker_order_id": f"b-{name}",
                "instrument": codec.pack_instrument(structure.legs[0].instrument),
                "quantity": Decimal(sign * 4 // parts),
                "price": Decimal("1.05"),
                "at": at + timedelta(milliseconds=part),
                "recorded_at": at,
            }
        )


def _told(rows: dict[str, list[dict[str, Any]]]) -> tuple[BrokerOrder, ...]:
    return tuple(
        BrokerOrder(
            BrokerOrderId(row["broker_order_id"]),
            row["client_order_id"],
            OrderState.FILLED,
            "filled",
            4,
            4,
            None,
            codec.unpack_legs(row["legs"]),
            row["created_at"],
            row["created_at"],
        )
        for row in rows["orders"]
    )


def _fills(rows: dict[str, list[dict[str, Any]]]) -> tuple[Fill, ...]:
    """The newest ones, the last ``NEW`` of them taken out of what goes into the ledger."""
    newest = rows["fills"][-2 * NEW :]
    del rows["fills"][-2 * NEW :]
    return tuple(
        Fill(
            row["execution_id"],
            row["client_order_id"],
            BrokerOrderId(row["broker_order_id"]),
            codec.unpack_instrument(row["instrument"]),
            row["quantity"],
            price(row["price"]),
            row["at"],
        )
        for row in newest
    )


class Told:
    """The broker's answers, ready."""

    def __init__(self, of: Account) -> None:
        self._of = of

    def orders_since(self, since: datetime) -> tuple[BrokerOrder, ...]:
        return self._of.orders

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        return ()

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        return self._of.fills

    def activities(self, since: date) -> tuple[Any, ...]:
        return ()

    def holdings(self) -> tuple[Holding, ...]:
        return self._of.holdings

    def account(self) -> AccountState:
        return AccountState(ACCOUNT, Cash(Decimal(10**7)), self._of.cash, self._of.cash, None, 3, False, NOON)


def reconciled() -> Verdict:
    """A whole reconciliation by a process that has read nothing yet."""
    known = account()
    with known.fresh() as ledger:
        broker: Any = Told(known)
        sync(broker, ledger, account=ACCOUNT, since=NOON, at=NOON, settle=lambda intent: intent)
        ours, theirs = views(broker, ledger, ACCOUNT)
        verdict = compare(ours, theirs, today=DAY, after_close=False)
        assert not verdict.breaks, verdict.breaks[:3]
        assert len(theirs.holdings) >= 10_000 - NEW
    return verdict


def positions() -> int:
    """Every position with its entry, strategy and facts, by a process that has read nothing yet."""
    with account().fresh() as ledger:
        return len(ledger.positions(ACCOUNT))


def again() -> Any:
    """The same asked a second time, after something else was written."""
    with account().fresh() as ledger:
        ledger.positions(ACCOUNT)
        ledger.audit("note", {}, NOON)
        return medians(lambda: ledger.positions(ACCOUNT), rounds=5)[0]


def measure() -> Sequence[Figure]:
    whole, book = medians(reconciled, rounds=5)[0], medians(positions, rounds=3)[0]
    return [
        Figure(whole, f"news of {NEW} executions, both sides compared", at_most=2.0),
        Figure(book, "positions rebuilt, which a difference or an order needs"),
        Figure(again(), "positions asked again"),
    ]


JOBS = (Job("reconcile: 10,000 positions, 50,000 fills", "s", "<= 2 s", measure, account),)
