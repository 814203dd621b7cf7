"""Whatever happens in whatever order, the books balance, and rebuild to the same from the rows alone."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.postgres import memory_folder
from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import BrokerOrderId, StrategyName, cash
from wsb_core.domain.orders import BrokerOrder, Effect, Fill, OrderState
from wsb_core.domain.structures import Structure
from wsb_core.ledger import Derived, KnownOrder, Ledger, OrderTerms, derive, open_ledger

from .build import (
    ACCOUNT,
    CONDOR,
    DAY,
    DIP,
    LONG_CALL,
    NOON,
    RUN,
    SHARES,
    SHORT_PUT,
    VERTICAL,
    WHEEL,
    Desk,
    approved,
    booked,
    executions,
)

OPENING = cash("10000")
STRUCTURES = (LONG_CALL, SHORT_PUT, VERTICAL, CONDOR, SHARES)

trades = st.lists(
    st.tuples(
        st.sampled_from([DIP, WHEEL]),
        st.sampled_from(STRUCTURES),
        st.integers(1, 5),
        st.integers(0, 5),
        st.integers(1, 400),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@dataclass
class Rows:
    orders: list[OrderTerms]
    fills: list[Fill]
    activities: list[Activity]
    units: Counter[tuple[StrategyName, Structure]]


def rows_of(wanted: list[tuple[StrategyName, Structure, int, int, int, bool]]) -> Rows:
    """Orders for some units, of which as many are filled; a close never takes more than is open."""
    rows = Rows([], [], [], Counter())
    for n, (strategy, structure, quantity, filled, cents, closing) in enumerate(wanted):
        key = (strategy, structure)
        effect = Effect.CLOSE if closing and rows.units[key] else Effect.OPEN
        if effect is Effect.CLOSE:
            quantity = min(quantity, rows.units[key])
        done = min(filled, quantity)
        order = approved(structure, effect, quantity, strategy=strategy, slot=f"s{n}").order
        rows.orders.append(
            OrderTerms(order.client_order_id, frozenset(), strategy, structure, effect, DAY, {}, "rule")
        )
        price = str(Decimal(cents) / 100)
        for unit in range(done):
            at = NOON + timedelta(minutes=n, seconds=unit)
            rows.fills += executions(order, [price] * len(structure.legs), 1, at=at)
        rows.units[key] += done if effect is Effect.OPEN else -done
    return rows


def rebuilt(rows: Rows) -> Derived:
    return derive(ACCOUNT, OPENING, rows.orders, rows.fills, rows.activities)


@settings(max_examples=40, deadline=None)
@given(trades, st.randoms(use_true_random=False))
def test_positions_are_what_was_filled_in_whatever_order_it_is_told(wanted, chance: random.Random):
    rows = rows_of(wanted)
    book = rebuilt(rows)
    for told in (rows.orders, rows.fills):
        chance.shuffle(told)
    again = rebuilt(rows)

    held = {(p.strategy, p.structure): p.quantity for p in book.positions}
    assert held == {key: units for key, units in rows.units.items() if units}
    assert book.unassigned == ()
    assert book.problems == ()
    assert again == book


@settings(max_examples=40, deadline=None)
@given(trades, st.booleans())
def test_every_dollar_is_in_a_closed_trade_or_an_open_position(wanted, expire: bool):
    rows = rows_of(wanted)
    last = NOON + timedelta(days=1)
    held = rebuilt(rows).holdings if expire else ()
    rows.activities = [
        booked(ActivityKind.EXPIRY, h.instrument, -h.quantity, at=last + timedelta(seconds=n))
        for n, h in enumerate(held)
        if isinstance(h.instrument, OptionContract)
    ]
    rows.activities.append(booked(ActivityKind.CASH, cash_="12.34", at=last))
    book = rebuilt(rows)

    closed = sum((trade.pnl for trade in book.trades), Decimal(0))
    opened = sum((position.cost for position in book.positions), Decimal(0))
    assert abs(book.cash - OPENING - Decimal("12.34") - closed - opened) < Decimal("0.0001")
    assert _net(book) == {h.instrument: h.quantity for h in book.holdings}


def _net(book: Derived) -> dict[object, Decimal]:
    total: Counter[object] = Counter()
    for position in book.positions:
        for leg in position.structure.legs:
            total[leg.instrument] += leg.ratio * position.quantity
    return {held: Decimal(quantity) for held, quantity in total.items() if quantity}


@settings(max_examples=4, deadline=None)
@given(trades, st.randoms(use_true_random=False))
def test_a_ledger_written_as_it_happens_equals_one_rebuilt_afterwards(
    migrated_file: Path, wanted, chance: random.Random
):
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        live = _opened(shutil.copy(migrated_file, Path(folder) / "live.db"))
        late = _opened(shutil.copy(migrated_file, Path(folder) / "late.db"))
        desk = Desk(live, live.acquire_lease(ACCOUNT, "one", NOON, timedelta(days=9)))
        _trade(desk, wanted)
        _copy(desk, late, chance)
        written, again, found = live.derived(ACCOUNT), late.derived(ACCOUNT), live.verify()
        live.close()
        late.close()

    assert found.problems == ()
    assert (again.holdings, again.cash) == (written.holdings, written.cash)
    assert [(p.structure, p.quantity, p.entry) for p in again.positions] == [
        (p.structure, p.quantity, p.entry) for p in written.positions
    ]


def _opened(path: str | Path) -> Ledger:
    ledger = open_ledger(f"sqlite:///{path}")
    ledger.open_account(ACCOUNT, "practice", OPENING, NOON)
    ledger.start_run(
        RUN,
        flow="f",
        strategy=None,
        session=DAY,
        slot=None,
        account=ACCOUNT,
        config_hash="",
        code_version="",
        at=NOON,
    )
    return ledger


def _trade(desk: Desk, wanted: list[tuple[StrategyName, Structure, int, int, int, bool]]) -> None:
    """Open or close as asked, filled in part or whole, cancelling the rest."""
    for n, (strategy, structure, quantity, filled, cents, closing) in enumerate(wanted):
        held = {(p.strategy, p.structure): p.quantity for p in desk.ledger.positions(ACCOUNT)}
        there = held.get((strategy, structure), 0) if closing else 0
        effect, size = (Effect.CLOSE, min(quantity, there)) if there else (Effect.OPEN, quantity)
        done = min(filled, size)
        order = desk.intend(approved(structure, effect, size, strategy=strategy, slot=f"s{n}")).order
        desk.told(order.client_order_id, OrderState.WORKING)
        if done:
            prices = [str(Decimal(cents) / 100)] * len(structure.legs)
            desk.ledger.record_fills(ACCOUNT, executions(order, prices, done, at=desk.tick()), desk.tick())
        desk.told(order.client_order_id, OrderState.FILLED if done == size else OrderState.CANCELED, done)


def _copy(desk: Desk, late: Ledger, chance: random.Random) -> None:
    """Tell another ledger the same orders and executions, the executions shuffled and twice."""
    lease = late.acquire_lease(ACCOUNT, "one", NOON, timedelta(days=9))
    fills = [*desk.ledger.fills(ACCOUNT), *desk.ledger.fills(ACCOUNT)]
    chance.shuffle(fills)
    for order in desk.ledger.orders(ACCOUNT):
        late.adopt_order(_as_told(order), account=ACCOUNT, strategy=order.strategy, at=lease.acquired_at)
    for fill in fills:
        late.record_fills(ACCOUNT, [fill], NOON)


def _as_told(order: KnownOrder) -> BrokerOrder:
    return BrokerOrder(
        broker_order_id=BrokerOrderId(str(order.broker_order_id)),
        client_order_id=order.client_order_id,
        state=order.state,
        raw_status=order.state.value,
        quantity=order.quantity,
        filled=order.filled,
        average=order.average,
        legs=order.legs,
        submitted_at=order.created_at,
        updated_at=order.updated_at,
    )
