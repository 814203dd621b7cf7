"""Fills and activities in, the account as derived from them out."""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Text, bindparam, select, type_coerce
from sqlalchemy.orm import Session

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import Instrument
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, ClientOrderId, Price, StrategyName
from wsb_core.domain.orders import Effect, Fill, OrderState
from wsb_core.domain.positions import Holding

from .codec import pack_instrument, read_instrument, read_structure, structure_of, unpack_legs
from .held import symbol_of
from .packages import OrderTerms, fill_cash, order_of, owners
from .positions import Derived, derive
from .records import KnownOrder
from .store import Tx
from .tables import (
    AccountRow,
    ActivityRow,
    AuditHeadRow,
    AuditRow,
    CashEntryRow,
    FillRow,
    IntentRow,
    OrderLegRow,
    OrderRow,
)
from .types import exact, fitted

_accounts = AccountRow.__table__
_ACCOUNT = select(_accounts).where(_accounts.c.account == bindparam("of"))
_BATCH = 10_000
"""Values in one IN list: SQLite takes 32,766 at most."""


def open_account(tx: Tx, account: AccountId, mode: str, opening_cash: Cash) -> bool:
    row = tx.session.get(AccountRow, account)
    if row is not None:
        if row.mode != mode:
            raise LedgerError(
                f"account {account}: is a {row.mode} account in this ledger, not {mode}: use another ledger"
            )
        return False
    tx.session.add(AccountRow(account=account, mode=mode, opening_cash=opening_cash, opened_at=tx.at))
    tx.session.flush()
    _post(tx, account, "opening", opening_cash)
    tx.audit("account_opened", {"account": account, "mode": mode, "opening_cash": opening_cash})
    return True


def account_mode(session: Session, account: AccountId) -> str | None:
    row = _account(session, account)
    return None if row is None else row.mode


def opened_at(session: Session, account: AccountId) -> datetime | None:
    row = _account(session, account)
    return None if row is None else row.opened_at


def require_account(session: Session, account: AccountId) -> Row[Any]:
    """Its mode, opening cash and when it was opened; LedgerError when it is not in this ledger."""
    row = _account(session, account)
    if row is None:
        raise LedgerError(f"account {account}: is not in this ledger: open_account first")
    return row


def _account(session: Session, account: AccountId) -> Row[Any] | None:
    # Asked by almost every call: as a plain statement it takes an eighth of the time.
    return session.connection().execute(_ACCOUNT, {"of": account}).first()


def record_fills(tx: Tx, account: AccountId, fills: Sequence[Fill]) -> int:
    require_account(tx.session, account)
    known = {
        row.execution_id: row
        for some in _batches([fill.execution_id for fill in fills])
        for row in tx.session.scalars(select(FillRow).where(FillRow.execution_id.in_(some)))
    }
    new = 0
    for fill in fills:
        if fill.execution_id in known:
            _require_same(known[fill.execution_id], account, fill)
            continue
        row = _fill_row(tx, account, fill)
        known[fill.execution_id] = row
        tx.session.add(row)
        _post(tx, account, f"fill:{fill.execution_id}", fill_cash(fill))
        tx.audit(
            "fill",
            {
                "execution_id": fill.execution_id,
                "client_order_id": fill.client_order_id,
                "broker_order_id": fill.broker_order_id,
                "symbol": fill.instrument.symbol,
                "quantity": fill.quantity,
                "price": fill.price,
                "at": fill.at,
            },
        )
        new += 1
    return new


def _fill_row(tx: Tx, account: AccountId, fill: Fill) -> FillRow:
    return FillRow(
        execution_id=fill.execution_id,
        account=account,
        client_order_id=fill.client_order_id,
        broker_order_id=fill.broker_order_id,
        instrument=pack_instrument(fill.instrument),
        quantity=fill.quantity,
        price=fill.price,
        at=fill.at,
        recorded_at=tx.at,
    )


def _require_same(row: FillRow, account: AccountId, fill: Fill) -> None:
    """A repeated execution is the same one, or the ledger and the broker contradict each other."""
    stored = (row.account, row.instrument["underlying"], row.quantity, row.price)
    if stored != (account, fill.instrument.underlying, fill.quantity, fill.price):
        raise LedgerError(
            f"fill {fill.execution_id}: told again as {fill.quantity} at {fill.price} of {account}, "
            f"recorded as {row.quantity} at {row.price} of {row.account}: ask the broker which is right"
        )


def record_activities(tx: Tx, account: AccountId, activities: Sequence[Activity]) -> int:
    require_account(tx.session, account)
    ids = [row.activity_id for row in activities]
    known = {
        found
        for some in _batches(ids)
        for found in tx.session.scalars(
            select(ActivityRow.activity_id).where(
                ActivityRow.account == account, ActivityRow.activity_id.in_(some)
            )
        )
    }
    new = 0
    for activity in activities:
        # Fills are recorded as fills: as activities they would count twice.
        if activity.kind is ActivityKind.FILL or activity.activity_id in known:
            continue
        known.add(activity.activity_id)
        activity = _fitted(activity)
        tx.session.add(_activity_row(tx, account, activity))
        if activity.cash:
            _post(tx, account, f"activity:{activity.activity_id}", activity.cash)
        tx.audit(
            "activity",
            {
                "activity_id": activity.activity_id,
                "kind": activity.kind,
                "raw_kind": activity.raw_kind,
                "symbol": None if activity.instrument is None else activity.instrument.symbol,
                "quantity": activity.quantity,
                "price": activity.price,
                "cash": activity.cash,
                "booked_on": activity.booked_on,
            },
        )
        new += 1
    return new


def _fitted(activity: Activity) -> Activity:
    price = None if activity.price is None else Price(fitted(activity.price))
    return replace(activity, price=price, cash=Cash(fitted(activity.cash)))


def _activity_row(tx: Tx, account: AccountId, activity: Activity) -> ActivityRow:
    return ActivityRow(
        account=account,
        activity_id=activity.activity_id,
        kind=activity.kind.value,
        raw_kind=activity.raw_kind,
        at=activity.at,
        booked_on=activity.booked_on,
        instrument=None if activity.instrument is None else pack_instrument(activity.instrument),
        quantity=activity.quantity,
        price=activity.price,
        cash=activity.cash,
        broker_order_id=activity.broker_order_id,
        group=activity.group,
        description=activity.description,
        recorded_at=tx.at,
    )


def _post(tx: Tx, account: AccountId, reference: str, amount: Decimal) -> None:
    tx.session.add(CashEntryRow(account=account, reference=reference, at=tx.at, amount=amount))


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))


def fills_of(session: Session, account: AccountId) -> tuple[Fill, ...]:
    """Executions, oldest first."""
    rows = session.execute(
        select(
            FillRow.execution_id,
            FillRow.client_order_id,
            FillRow.broker_order_id,
            type_coerce(FillRow.instrument, Text),
            FillRow.quantity,
            FillRow.price,
            FillRow.at,
        )
        .where(FillRow.account == account)
        .order_by(FillRow.at, FillRow.execution_id)
    )
    return tuple(
        Fill(
            execution_id=execution_id,
            client_order_id=None if client_id is None else ClientOrderId(client_id),
            broker_order_id=BrokerOrderId(broker_id),
            instrument=read_instrument(instrument),
            quantity=quantity,
            price=Price(price),
            at=at,
        )
        for execution_id, client_id, broker_id, instrument, quantity, price, at in rows
    )


def activities_of(session: Session, account: AccountId) -> tuple[Activity, ...]:
    """Booked rows, oldest first."""
    rows = session.execute(
        select(
            ActivityRow.activity_id,
            ActivityRow.kind,
            ActivityRow.raw_kind,
            ActivityRow.at,
            ActivityRow.booked_on,
            type_coerce(ActivityRow.instrument, Text).label("text"),
            ActivityRow.quantity,
            ActivityRow.price,
            ActivityRow.cash,
            ActivityRow.broker_order_id,
            ActivityRow.group,
            ActivityRow.description,
        )
        .where(ActivityRow.account == account)
        .order_by(ActivityRow.at, ActivityRow.activity_id)
    )
    return tuple(
        Activity(
            activity_id=row.activity_id,
            kind=ActivityKind(row.kind),
            raw_kind=row.raw_kind,
            at=row.at,
            booked_on=row.booked_on,
            instrument=None if row.text is None else read_instrument(row.text),
            quantity=row.quantity,
            price=None if row.price is None else Price(row.price),
            cash=Cash(row.cash),
            broker_order_id=None if row.broker_order_id is None else BrokerOrderId(row.broker_order_id),
            group=row.group,
            description=row.description,
        )
        for row in rows
    )


def orders_of(session: Session, account: AccountId) -> tuple[KnownOrder, ...]:
    """Every order of the account, ours and adopted, oldest first."""
    rows = session.scalars(
        select(OrderRow)
        .where(OrderRow.account == account)
        .order_by(OrderRow.created_at, OrderRow.client_order_id)
    )
    return tuple(_known(row) for row in rows)


def _known(row: OrderRow) -> KnownOrder:
    legs = unpack_legs(row.legs)
    effect = None if row.effect is None else Effect(row.effect)
    structure = None if row.structure_symbol is None else structure_of(legs, effect)
    return KnownOrder(
        client_order_id=ClientOrderId(row.client_order_id),
        account=AccountId(row.account),
        strategy=None if row.strategy is None else StrategyName(row.strategy),
        structure=structure,
        effect=effect,
        legs=legs,
        quantity=row.quantity,
        state=OrderState(row.state),
        broker_order_id=None if row.broker_order_id is None else BrokerOrderId(row.broker_order_id),
        filled=row.filled,
        average=None if row.average is None else Price(row.average),
        adopted=row.adopted,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds and its cash, added up from its rows without asking whose anything is."""

    holdings: tuple[Holding, ...]
    cash: Cash


def balance(session: Session, account: AccountId) -> Balance:
    """Signed quantity of every instrument, by symbol, and cash: what reconciling needs, in one pass."""
    opening = require_account(session, account).opening_cash
    fills = session.execute(
        select(type_coerce(FillRow.instrument, Text), FillRow.quantity, FillRow.price).where(
            FillRow.account == account
        )
    ).all()
    booked = session.execute(
        select(type_coerce(ActivityRow.instrument, Text), ActivityRow.quantity, ActivityRow.cash).where(
            ActivityRow.account == account
        )
    ).all()
    quantity: dict[str, Decimal] = defaultdict(Decimal)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for text, amount, price in fills:
        quantity[text] += amount
        paid[text] += amount * price
    for text, amount, _ in booked:
        if text is not None and amount:
            quantity[text] += amount
    cash = opening - sum((paid[text] * read_instrument(text).multiplier for text in paid), Decimal(0))
    cash += sum((moved for _, _, moved in booked), Decimal(0))
    return Balance(_by_symbol(quantity), Cash(exact(cash)))


def _by_symbol(quantity: Mapping[str, Decimal]) -> tuple[Holding, ...]:
    held: dict[str, Holding] = {}
    for text, amount in quantity.items():
        instrument = read_instrument(text)
        symbol = symbol_of(instrument)
        before = held[symbol].quantity if symbol in held else Decimal(0)
        held[symbol] = Holding(held[symbol].instrument if symbol in held else instrument, before + amount)
    return tuple(
        Holding(one.instrument, exact(one.quantity)) for _, one in sorted(held.items()) if one.quantity
    )


@dataclass(frozen=True, slots=True)
class Unbooked:
    """What an order's fills moved that were told by its state and not yet by executions."""

    order: ClientOrderId
    moves: Mapping[Instrument, Decimal]
    cash: Decimal


class DerivedCache:
    """What was derived last, and up to which row of the chain; one for each open ledger.

    It is good while that row is in the chain and nothing after it changed what deriving reads: so a
    change by any process is seen, and a transaction that was rolled back leaves nothing behind.
    """

    CHANGES = ("account_opened", "fill", "activity")
    NAMES_ORDERS = ("intent", "order", "order_adopted", "leg_ids")
    """Say whose an execution is; they matter while there is one of an unknown order."""

    def __init__(self) -> None:
        self._last: dict[AccountId, tuple[int, str, Derived]] = {}

    def find(self, session: Session, account: AccountId) -> Derived | None:
        seq, digest, book = self._last.get(account, (0, "", None))
        if book is None or session.scalar(select(AuditRow.hash).where(AuditRow.seq == seq)) != digest:
            return None
        kinds = self.CHANGES + (self.NAMES_ORDERS if book.orphans else ())
        since = select(AuditRow.seq).where(AuditRow.seq > seq, AuditRow.kind.in_(kinds)).limit(1)
        if session.scalar(since) is not None:
            return None
        self.keep(session, account, book)
        return book

    def keep(self, session: Session, account: AccountId, book: Derived) -> None:
        head = session.scalar(select(AuditHeadRow))
        if head is not None and head.seq:
            self._last[account] = (head.seq, head.hash, book)


def derived(session: Session, account: AccountId) -> Derived:
    """The account as its fills and activities make it; rebuilt only when there is something new."""
    cache: DerivedCache = session.info["derived"]
    book = cache.find(session, account)
    if book is None:
        book = rebuilt(session, account)
        cache.keep(session, account, book)
    return book


def rebuilt(session: Session, account: AccountId) -> Derived:
    """The account rebuilt from its fills and activities, now."""
    row = require_account(session, account)
    with _uncollected():
        return derive(
            account,
            Cash(row.opening_cash),
            _terms(session, account),
            fills_of(session, account),
            activities_of(session, account),
        )


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is looked for meanwhile: a million objects that all stay made it take twice as long."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _terms(session: Session, account: AccountId) -> tuple[OrderTerms, ...]:
    ids: dict[str, set[str]] = defaultdict(set)
    for order_id, leg_id in session.execute(
        select(OrderLegRow.client_order_id, OrderLegRow.broker_order_id).where(OrderLegRow.account == account)
    ):
        ids[order_id].add(leg_id)
    rows = session.execute(
        select(
            OrderRow.client_order_id,
            OrderRow.broker_order_id,
            OrderRow.strategy,
            OrderRow.structure_symbol,
            OrderRow.effect,
            type_coerce(OrderRow.legs, Text),
            OrderRow.created_at,
            IntentRow.session,
            type_coerce(IntentRow.facts, Text),
            IntentRow.reason,
        )
        .outerjoin(IntentRow, IntentRow.client_order_id == OrderRow.client_order_id)
        .where(OrderRow.account == account)
        .order_by(OrderRow.created_at, OrderRow.client_order_id)
    )
    terms = []
    for order_id, broker_id, strategy, symbol, effect, legs, created_at, day, facts, reason in rows:
        own = {broker_id} if broker_id is not None else set()
        terms.append(
            OrderTerms(
                client_order_id=ClientOrderId(order_id),
                ids=frozenset(own | ids[order_id] if order_id in ids else own),
                strategy=None if strategy is None else StrategyName(strategy),
                structure=None if symbol is None else read_structure(legs, effect),
                effect=None if effect is None else Effect(effect),
                session=created_at.astimezone(NEW_YORK).date() if day is None else day,
                facts={} if facts is None else json.loads(facts),
                reason="adopted" if reason is None else reason,
            )
        )
    return tuple(terms)


def known_states(
    session: Session, account: AccountId, ids: Sequence[ClientOrderId]
) -> Mapping[ClientOrderId, tuple[OrderState, bool]]:
    """State of each of ``ids`` that is known here, and whether it was adopted."""
    return {
        ClientOrderId(order_id): (OrderState(state), adopted)
        for some in _batches(ids)
        for order_id, state, adopted in session.execute(
            select(OrderRow.client_order_id, OrderRow.state, OrderRow.adopted).where(
                OrderRow.account == account, OrderRow.client_order_id.in_(some)
            )
        )
    }


def unbooked(session: Session, account: AccountId) -> tuple[Unbooked, ...]:
    """What orders were told filled beyond what their executions moved, leg by leg and in cash."""
    units = derived(session, account).units
    rows = session.scalars(
        select(OrderRow).where(
            OrderRow.account == account, OrderRow.filled > 0, OrderRow.structure_symbol.is_not(None)
        )
    )
    told = {row.client_order_id: row for row in rows}
    told = {name: row for name, row in told.items() if row.filled > units.get(ClientOrderId(name), 0)}
    if not told:
        return ()
    by_id, here = owners(_terms(session, account)), defaultdict[str, list[Fill]](list)
    for fill in fills_of(session, account):
        order = order_of(by_id, fill)
        if order is not None and order.client_order_id in told:
            here[order.client_order_id].append(fill)
    return tuple(_unbooked(_known(row), here[name]) for name, row in told.items())


def _unbooked(order: KnownOrder, fills: Sequence[Fill]) -> Unbooked:
    size = 1 if order.structure is None else order.structure.multiplier
    cash = Decimal(0) if order.average is None else order.average * size * order.filled
    moves = {
        leg.instrument: Decimal(order.filled * leg.ratio * (1 if leg.action.is_buy else -1))
        for leg in order.legs
    }
    for fill in fills:
        moves[fill.instrument] = moves.get(fill.instrument, Decimal(0)) - fill.quantity
        cash -= fill_cash(fill)
    return Unbooked(order.client_order_id, {i: by for i, by in moves.items() if by}, exact(cash))
