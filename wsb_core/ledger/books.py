"""Fills and activities in, the account as derived from them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, ClientOrderId, Price, StrategyName
from wsb_core.domain.orders import Effect, Fill, OrderState
from wsb_core.domain.structures import Structure, StructureLeg

from .codec import pack_instrument, unpack_instrument, unpack_legs
from .packages import OrderTerms, fill_cash
from .positions import Derived, derive
from .records import KnownOrder
from .store import Tx
from .tables import AccountRow, ActivityRow, CashEntryRow, FillRow, IntentRow, OrderLegRow, OrderRow


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


def opened_at(session: Session, account: AccountId) -> datetime | None:
    row = session.get(AccountRow, account)
    return None if row is None else row.opened_at


def require_account(session: Session, account: AccountId) -> AccountRow:
    row = session.get(AccountRow, account)
    if row is None:
        raise LedgerError(f"account {account}: is not in this ledger: open_account first")
    return row


def record_fills(tx: Tx, account: AccountId, fills: Sequence[Fill]) -> int:
    require_account(tx.session, account)
    known = {
        row.execution_id: row
        for row in tx.session.scalars(
            select(FillRow).where(FillRow.execution_id.in_([fill.execution_id for fill in fills]))
        )
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
    known = set(
        tx.session.scalars(
            select(ActivityRow.activity_id).where(
                ActivityRow.account == account, ActivityRow.activity_id.in_(ids)
            )
        )
    )
    new = 0
    for activity in activities:
        # Fills are recorded as fills: as activities they would count twice.
        if activity.kind is ActivityKind.FILL or activity.activity_id in known:
            continue
        known.add(activity.activity_id)
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


def fills_of(session: Session, account: AccountId) -> tuple[Fill, ...]:
    """Executions, oldest first."""
    rows = session.scalars(
        select(FillRow).where(FillRow.account == account).order_by(FillRow.at, FillRow.execution_id)
    )
    return tuple(
        Fill(
            execution_id=row.execution_id,
            client_order_id=None if row.client_order_id is None else ClientOrderId(row.client_order_id),
            broker_order_id=BrokerOrderId(row.broker_order_id),
            instrument=unpack_instrument(row.instrument),
            quantity=row.quantity,
            price=Price(row.price),
            at=row.at,
        )
        for row in rows
    )


def activities_of(session: Session, account: AccountId) -> tuple[Activity, ...]:
    """Booked rows, oldest first."""
    rows = session.scalars(
        select(ActivityRow)
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
            instrument=None if row.instrument is None else unpack_instrument(row.instrument),
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
    structure = None
    if row.structure_symbol is not None:
        sign = 1 if effect is Effect.OPEN else -1
        structure = Structure(
            tuple(
                StructureLeg(leg.instrument, sign * (leg.ratio if leg.action.is_buy else -leg.ratio))
                for leg in legs
            )
        )
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


def derived(session: Session, account: AccountId) -> Derived:
    """The account rebuilt from its fills and activities."""
    row = require_account(session, account)
    return derive(
        account,
        Cash(row.opening_cash),
        _terms(session, account),
        fills_of(session, account),
        activities_of(session, account),
    )


def _terms(session: Session, account: AccountId) -> tuple[OrderTerms, ...]:
    ids: dict[str, set[str]] = defaultdict(set)
    for leg in session.scalars(select(OrderLegRow).where(OrderLegRow.account == account)):
        ids[leg.client_order_id].add(leg.broker_order_id)
    intents = {
        row.client_order_id: row
        for row in session.scalars(select(IntentRow).where(IntentRow.account == account))
    }
    terms = []
    for order in orders_of(session, account):
        intent = intents.get(order.client_order_id)
        own = set() if order.broker_order_id is None else {str(order.broker_order_id)}
        terms.append(
            OrderTerms(
                client_order_id=order.client_order_id,
                ids=frozenset(own | ids[order.client_order_id]),
                strategy=order.strategy,
                structure=order.structure,
                effect=order.effect,
                session=order.created_at.astimezone(NEW_YORK).date() if intent is None else intent.session,
                facts={} if intent is None else intent.facts,
                reason="adopted" if intent is None else intent.reason,
            )
        )
    return tuple(terms)
