"""Intents and orders: recorded before anything is sent, moved only by evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, bindparam, or_, select
from sqlalchemy.orm import Session

from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import (
    AccountId,
    BrokerOrderId,
    Cash,
    ClientOrderId,
    Price,
    RunId,
    StrategyName,
    Underlying,
)
from wsb_core.domain.orders import (
    ApprovedOrder,
    BrokerOrder,
    Effect,
    IntentKey,
    Order,
    OrderLeg,
    OrderState,
    require_legal,
)
from wsb_core.domain.positions import OpenOrder
from wsb_core.domain.structures import Structure, StructureLeg

from .books import derived, orders_of, require_account
from .codec import pack_legs, pack_structure, unpack_legs, unpack_structure
from .control import require_armed, require_lease, require_no_halt
from .held import ratios_of
from .journal import require_run, require_strategy
from .records import DuplicateOrder, Intent, KnownOrder, Lease, OrderEvent, ReduceOnlyViolation
from .store import Tx
from .tables import IntentRow, OrderEventRow, OrderLegRow, OrderRow

_AVERAGE = Decimal("1e-8")
MAY_WORK = tuple(state.value for state in OrderState if state.may_work)
AT_THE_BROKER = tuple(name for name in MAY_WORK if name not in (OrderState.SENDING, OrderState.UNKNOWN))
SENT_LONG_AGO = timedelta(seconds=60)
"""Longer than any one request can take: a sender that has not answered by then is gone."""
# Asked on the way of every order, so made once.
_orders, _intents_ = OrderRow.__table__, IntentRow.__table__
_KNOWN = select(_intents_.c.client_order_id).where(_intents_.c.client_order_id == bindparam("known"))
_TWIN = (
    select(_orders.c.client_order_id)
    .join(_intents_, _intents_.c.client_order_id == _orders.c.client_order_id)
    .where(
        _orders.c.account == bindparam("account"),
        _orders.c.strategy == bindparam("strategy"),
        _orders.c.structure_symbol == bindparam("structure"),
        _orders.c.effect == bindparam("effect"),
        _orders.c.client_order_id != bindparam("own"),
        _orders.c.state.in_(MAY_WORK),
    )
    .order_by(_orders.c.created_at)
    .limit(1)
)


def record_intent(tx: Tx, run_id: RunId, approved: ApprovedOrder, lease: Lease) -> Intent:
    order = approved.order
    if tx.session.connection().execute(_KNOWN, {"known": order.client_order_id}).first() is not None:
        return intent(tx.session, order.client_order_id)
    require_run(tx.session, run_id)
    require_lease(tx, order.key.account, lease)
    require_armed(tx, order.key.account)
    require_no_halt(tx.session, order.key.strategy, order.effect)
    twin = _working_twin(tx.session, order)
    if twin is not None:
        return twin
    if order.effect is Effect.CLOSE:
        _require_reduction(tx.session, order)
    require_strategy(tx, order.key.strategy)
    _insert_intent(tx, run_id, approved)
    tx.audit(
        "intent",
        {
            **_request(order, lease),
            "run_id": run_id,
            "structure": order.structure.symbol,
            "effect": order.effect,
            "reason": approved.reason,
        },
    )
    return Intent(
        order=order,
        state=OrderState.SENDING,
        created=True,
        broker_order_id=None,
        filled=0,
        average=None,
        created_at=tx.at,
        updated_at=tx.at,
        max_loss=approved.review.max_loss,
        run_id=run_id,
        reason=approved.reason,
        facts=approved.facts,
    )


def _request(order: Order, lease: Lease) -> Mapping[str, object]:
    """What is about to be sent, as it goes into the chain."""
    return {
        "client_order_id": order.client_order_id,
        "lease": lease.token,
        "quantity": order.quantity,
        "limit": order.limit,
        "legs": [f"{leg.action} {leg.ratio} {leg.instrument.symbol}" for leg in order.legs],
    }


def _insert_intent(tx: Tx, run_id: RunId, approved: ApprovedOrder) -> None:
    order, key, review = approved.order, approved.order.key, approved.review
    tx.session.add(
        OrderRow(
            client_order_id=order.client_order_id,
            account=key.account,
            strategy=key.strategy,
            structure_symbol=order.structure.symbol,
            effect=order.effect.value,
            legs=pack_legs(order.legs),
            quantity=order.quantity,
            state=OrderState.SENDING.value,
            filled=0,
            adopted=False,
            created_at=tx.at,
            updated_at=tx.at,
        )
    )
    tx.session.flush()
    tx.session.add(
        IntentRow(
            client_order_id=order.client_order_id,
            account=key.account,
            strategy=key.strategy,
            session=key.session,
            slot=key.slot,
            underlying=key.underlying,
            action=key.action,
            attempt=key.attempt,
            run_id=run_id,
            structure=pack_structure(order.structure),
            effect=order.effect.value,
            quantity=order.quantity,
            limit=order.limit,
            may_cross=order.may_cross,
            max_loss=review.max_loss,
            reason=approved.reason,
            facts=dict(approved.facts),
            rulings=[[r.rule, r.passed, r.value, r.bound] for r in review.rulings],
            reviewed_at=review.reviewed_at,
            created_at=tx.at,
        )
    )
    _event(tx, order.client_order_id, None, OrderState.SENDING, {})


def mark_sending(tx: Tx, client_order_id: ClientOrderId, lease: Lease) -> bool:
    row = _row(tx.session, client_order_id)
    held = intent(tx.session, client_order_id)
    order = held.order
    require_lease(tx, order.key.account, lease)
    if held.state is OrderState.SENDING and tx.at - held.updated_at >= SENT_LONG_AGO:
        evidence = {"error": "the run that was sending it ended before it had an answer"}
        _apply(tx, row, OrderState.UNKNOWN, evidence, None, None, None)
    elif held.state is not OrderState.UNKNOWN:
        return False
    require_armed(tx, order.key.account)
    require_no_halt(tx.session, order.key.strategy, order.effect)
    twin = _working_twin(tx.session, order)
    if twin is not None:
        raise DuplicateOrder(
            f"{client_order_id}: {twin.client_order_id} is {twin.state} on the same structure: settle that"
        )
    if order.effect is Effect.CLOSE:
        _require_reduction(tx.session, order)
    _apply(tx, row, OrderState.SENDING, {}, None, None, None)
    tx.audit("request", _request(order, lease))
    return True


def move_order(
    tx: Tx,
    client_order_id: ClientOrderId,
    state: OrderState,
    evidence: Mapping[str, str],
    broker_order_id: BrokerOrderId | None,
    filled: int | None,
    average: Price | None,
) -> bool:
    row = _row(tx.session, client_order_id)
    now = OrderState(row.state)
    if state is OrderState.FILLED and filled is None:
        filled = row.quantity
    if average is not None:
        # An average is the broker's own division; money is counted from fills.
        average = Price(average.quantize(_AVERAGE))
    news = (
        state is not now
        or (broker_order_id is not None and broker_order_id != row.broker_order_id)
        or (filled is not None and filled != row.filled)
        or (average is not None and average != row.average)
    )
    if not news:
        return False
    ignored = _why_ignored(row, now, filled)
    if ignored is not None:
        _event(tx, client_order_id, now, state, evidence, filled, average, ignored)
        tx.audit(
            "order_event_ignored",
            {"client_order_id": client_order_id, "told": state, "filled": filled, "why": ignored},
        )
        return False
    if state is not now:
        require_legal(now, state)
    if filled is not None and filled > row.quantity:
        raise LedgerError(f"{client_order_id}: {filled} units filled of an order for {row.quantity}")
    if state is OrderState.FILLED and filled != row.quantity:
        raise LedgerError(f"{client_order_id}: told filled with {filled} of {row.quantity} units")
    _apply(tx, row, state, evidence, broker_order_id, filled, average)
    return True


def _why_ignored(row: OrderRow, now: OrderState, filled: int | None) -> str | None:
    if now.terminal and now is not OrderState.ABANDONED:
        return f"the order is {now} already"
    if filled is not None and filled < row.filled:
        return f"older than what is known: {row.filled} units were filled"
    return None


def _apply(
    tx: Tx,
    row: OrderRow,
    state: OrderState,
    evidence: Mapping[str, str],
    broker_order_id: BrokerOrderId | None,
    filled: int | None,
    average: Price | None,
) -> None:
    now = OrderState(row.state)
    row.state, row.updated_at = state.value, tx.at
    if broker_order_id is not None:
        row.broker_order_id = broker_order_id
    if filled is not None:
        row.filled = filled
    if average is not None:
        row.average = average
    client_order_id = ClientOrderId(row.client_order_id)
    _event(tx, client_order_id, now, state, evidence, filled, average)
    tx.audit(
        "order",
        {
            "client_order_id": client_order_id,
            "from": now,
            "to": state,
            "filled": row.filled,
            "average": row.average,
            "broker_order_id": row.broker_order_id,
            "evidence": dict(evidence),
        },
    )


def _event(
    tx: Tx,
    client_order_id: ClientOrderId,
    before: OrderState | None,
    after: OrderState,
    evidence: Mapping[str, str],
    filled: int | None = None,
    average: Price | None = None,
    ignored: str | None = None,
) -> None:
    tx.session.add(
        OrderEventRow(
            client_order_id=client_order_id,
            at=tx.at,
            from_state=None if before is None else before.value,
            to_state=after.value,
            evidence=dict(evidence),
            filled=filled,
            average=average,
            ignored=ignored,
        )
    )


def record_leg_ids(tx: Tx, client_order_id: ClientOrderId, legs: Mapping[str, BrokerOrderId]) -> None:
    row = _row(tx.session, client_order_id)
    known = {
        leg.symbol: leg.broker_order_id
        for leg in tx.session.scalars(select(OrderLegRow).filter_by(client_order_id=client_order_id))
    }
    symbols = {leg.instrument.symbol for leg in unpack_legs(row.legs)}
    fresh: dict[str, str] = {}
    for symbol, broker_order_id in legs.items():
        if symbol not in symbols:
            raise LedgerError(f"{client_order_id}: has no leg {symbol!r}, only {sorted(symbols)}")
        if known.get(symbol, broker_order_id) != broker_order_id:
            raise LedgerError(
                f"{client_order_id}: leg {symbol} is {known[symbol]} at the broker, not {broker_order_id}"
            )
        if symbol not in known:
            fresh[symbol] = broker_order_id
    for symbol, leg_id in fresh.items():
        tx.session.add(
            OrderLegRow(
                account=row.account, client_order_id=client_order_id, symbol=symbol, broker_order_id=leg_id
            )
        )
    if fresh:
        tx.audit("leg_ids", {"client_order_id": client_order_id, "legs": fresh})


def adopt_order(tx: Tx, found: BrokerOrder, account: AccountId, strategy: StrategyName | None) -> bool:
    require_account(tx.session, account)
    known = tx.session.get(OrderRow, found.client_order_id)
    if known is not None:
        _refresh_adopted(tx, known, found)
        return False
    if strategy is not None:
        require_strategy(tx, strategy)
    structure, effect = read_legs(found.legs)
    tx.session.add(
        OrderRow(
            client_order_id=found.client_order_id,
            account=account,
            strategy=strategy,
            structure_symbol=None if structure is None else structure.symbol,
            effect=None if effect is None else effect.value,
            legs=pack_legs(found.legs),
            quantity=found.quantity,
            state=found.state.value,
            broker_order_id=found.broker_order_id,
            filled=found.filled,
            average=None if found.average is None else found.average.quantize(_AVERAGE),
            adopted=True,
            created_at=found.submitted_at,
            updated_at=tx.at,
        )
    )
    tx.session.flush()
    _event(tx, found.client_order_id, None, found.state, {"raw_status": found.raw_status}, found.filled)
    tx.audit(
        "order_adopted",
        {
            "client_order_id": found.client_order_id,
            "broker_order_id": found.broker_order_id,
            "strategy": strategy,
            "state": found.state,
            "legs": [f"{leg.action} {leg.ratio} {leg.instrument.symbol}" for leg in found.legs],
        },
    )
    return True


def _refresh_adopted(tx: Tx, row: OrderRow, found: BrokerOrder) -> None:
    """A stranger's order goes where the broker says; ours are moved by move_order alone."""
    average = None if found.average is None else Price(found.average.quantize(_AVERAGE))
    told = (found.state.value, found.filled, average, found.broker_order_id)
    settled = OrderState(row.state).terminal or found.filled < row.filled
    if row.adopted and not settled and told != (row.state, row.filled, row.average, row.broker_order_id):
        evidence = {"raw_status": found.raw_status}
        _apply(tx, row, found.state, evidence, found.broker_order_id, found.filled, average)


def read_legs(legs: Sequence[OrderLeg]) -> tuple[Structure | None, Effect | None]:
    """The structure that ``legs`` open or close; None when they are none we know, or do both."""
    opening = {leg.action.value.endswith("_to_open") for leg in legs}
    if len(opening) != 1:
        return None, None
    effect = Effect.OPEN if opening.pop() else Effect.CLOSE
    sign = 1 if effect is Effect.OPEN else -1
    try:
        structure = Structure(
            tuple(
                StructureLeg(leg.instrument, sign * (leg.ratio if leg.action.is_buy else -leg.ratio))
                for leg in legs
            )
        )
    except ValueError:
        return None, effect
    return structure, effect


def attempts(session: Session, key: IntentKey) -> tuple[Intent, ...]:
    found = _intents(
        session,
        [
            IntentRow.account == key.account,
            IntentRow.strategy == key.strategy,
            IntentRow.session == key.session,
            IntentRow.slot == key.slot,
            IntentRow.underlying == key.underlying,
            IntentRow.action == key.action,
        ],
    )
    return tuple(sorted(found, key=lambda one: one.order.key.attempt))


def open_orders(session: Session, account: AccountId) -> tuple[OpenOrder, ...]:
    return tuple(
        OpenOrder(
            client_order_id=one.client_order_id,
            strategy=one.order.key.strategy,
            structure=one.order.structure,
            opening=one.order.effect is Effect.OPEN,
            quantity=one.order.quantity - one.filled,
            state=one.state,
            max_loss=one.max_loss,
        )
        for one in open_intents(session, account)
        if one.order.quantity > one.filled
    )


def _working_twin(session: Session, order: Order) -> Intent | None:
    """Another order of this strategy for the same structure and effect that works or may be working."""
    asked = {
        "account": order.key.account,
        "strategy": order.key.strategy,
        "structure": order.structure.symbol,
        "effect": order.effect.value,
        "own": order.client_order_id,
    }
    first = session.connection().execute(_TWIN, asked).first()
    return None if first is None else intent(session, ClientOrderId(first[0]))


def _require_reduction(session: Session, order: Order) -> None:
    """A close may take no more units than are held and not already being closed, told filled or not."""
    key = order.key
    book = derived(session, key.account)
    own = [p for p in book.positions if p.strategy == key.strategy]
    same = [p for p in own if p.structure.symbol == order.structure.symbol]
    held = sum(position.quantity for position in same)
    # What is left of a broken structure may be being closed leg by leg, under other names.
    remnant = any(position.opened_quantity is None for position in same)
    legs = {symbol for symbol, _ in ratios_of(order.structure)}
    for row in session.scalars(
        select(OrderRow).where(
            OrderRow.account == key.account,
            OrderRow.strategy == key.strategy,
            or_(*(OrderRow.structure_symbol.contains(symbol, autoescape=True) for symbol in legs)),
            OrderRow.effect == Effect.CLOSE.value,
            OrderRow.client_order_id != order.client_order_id,
        )
    ):
        # Units that were told filled and whose executions are not here yet are gone already.
        expected = row.quantity if OrderState(row.state).may_work else row.filled
        coming = max(0, expected - book.units.get(ClientOrderId(row.client_order_id), 0))
        if row.structure_symbol == order.structure.symbol:
            held -= coming
        elif remnant and coming:
            there = sum(p.quantity for p in own if p.structure.symbol == row.structure_symbol)
            held -= _shared(order, row, max(0, coming - there))
    if order.quantity > held:
        raise ReduceOnlyViolation(
            f"{order.client_order_id}: closes {order.quantity} units of {order.structure.symbol}, "
            f"only {max(held, 0)} are held and not being closed: look at the positions again"
        )


def _shared(order: Order, other: OrderRow, units: int) -> int:
    """Units of ``order`` that cannot be had once ``units`` of ``other`` have taken the legs they share."""
    mine = dict(ratios_of(order.structure))
    taken = [
        -(-units * leg.ratio // abs(mine[leg.instrument.symbol]))
        for leg in unpack_legs(other.legs)
        if leg.instrument.symbol in mine
    ]
    return max(taken, default=0)


def intent(session: Session, client_order_id: ClientOrderId) -> Intent:
    found = find_intent(session, client_order_id)
    if found is None:
        raise LedgerError(f"{client_order_id}: no intent is recorded under this id")
    return found


def find_intent(session: Session, client_order_id: ClientOrderId) -> Intent | None:
    return next(iter(_intents(session, [IntentRow.client_order_id == client_order_id])), None)


def open_intents(session: Session, account: AccountId) -> tuple[Intent, ...]:
    return _intents(session, [IntentRow.account == account, OrderRow.state.in_(MAY_WORK)])


def working(session: Session, account: AccountId) -> frozenset[ClientOrderId]:
    found = session.scalars(
        select(OrderRow.client_order_id).where(OrderRow.account == account, OrderRow.state.in_(AT_THE_BROKER))
    )
    return frozenset(map(ClientOrderId, found))


def intents(session: Session, day: date | None, strategy: StrategyName | None) -> tuple[Intent, ...]:
    where = [] if day is None else [IntentRow.session == day]
    if strategy is not None:
        where.append(IntentRow.strategy == strategy)
    return _intents(session, where)


def _intents(session: Session, where: Sequence[ColumnElement[bool]]) -> tuple[Intent, ...]:
    rows = session.execute(
        select(IntentRow, OrderRow)
        .join(OrderRow, OrderRow.client_order_id == IntentRow.client_order_id)
        .where(*where)
        .order_by(IntentRow.created_at, IntentRow.client_order_id)
    ).all()
    return tuple(_intent(row, order) for row, order in rows)


def _intent(row: IntentRow, order: OrderRow) -> Intent:
    key = IntentKey(
        account=AccountId(row.account),
        strategy=StrategyName(row.strategy),
        session=row.session,
        slot=row.slot,
        underlying=Underlying(row.underlying),
        action=row.action,
        attempt=row.attempt,
    )
    return Intent(
        order=Order(
            key=key,
            structure=unpack_structure(row.structure),
            effect=Effect(row.effect),
            quantity=row.quantity,
            limit=Price(row.limit),
            may_cross=row.may_cross,
        ),
        state=OrderState(order.state),
        created=False,
        broker_order_id=None if order.broker_order_id is None else BrokerOrderId(order.broker_order_id),
        filled=order.filled,
        average=None if order.average is None else Price(order.average),
        created_at=row.created_at,
        updated_at=order.updated_at,
        max_loss=Cash(row.max_loss),
        run_id=RunId(row.run_id),
        reason=row.reason,
        facts=row.facts,
    )


def known_orders(session: Session, account: AccountId, adopted: bool | None) -> tuple[KnownOrder, ...]:
    return tuple(o for o in orders_of(session, account) if adopted is None or o.adopted is adopted)


def order_events(session: Session, client_order_id: ClientOrderId) -> tuple[OrderEvent, ...]:
    rows = session.scalars(
        select(OrderEventRow).filter_by(client_order_id=client_order_id).order_by(OrderEventRow.id)
    )
    return tuple(
        OrderEvent(
            client_order_id=client_order_id,
            at=row.at,
            from_state=None if row.from_state is None else OrderState(row.from_state),
            to_state=OrderState(row.to_state),
            evidence=row.evidence,
            filled=row.filled,
            average=None if row.average is None else Price(row.average),
            ignored=row.ignored,
        )
        for row in rows
    )


def _row(session: Session, client_order_id: ClientOrderId) -> OrderRow:
    row = session.get(OrderRow, client_order_id)
    if row is None:
        raise LedgerError(f"{client_order_id}: no order is recorded under this id")
    return row
