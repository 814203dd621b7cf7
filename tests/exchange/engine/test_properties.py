"""What holds whatever is sent: the books add up, orders end once, packages stay balanced."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.margin import intrinsic
from wsb_core.exchange.model import (
    CorporateAction,
    Execution,
    OrderRequest,
    OrderRow,
    OrderType,
    PositionRow,
    Reject,
    RequestLeg,
    RowKind,
    Settings,
    Status,
    TimeInForce,
    TradeEvent,
)

from .conftest import C100, C100_JULY, C105, C110, P90, P95, P100, P100_JULY, SHARE, XYZ, ny
from .hand_feed import HandFeed

CONTRACTS = (C100, C105, C110, P100, P95, P90, C100_JULY, P100_JULY)
START = ny(10, 9, 45)
CLOSING = (Action.BUY_TO_CLOSE, Action.SELL_TO_CLOSE)


@lru_cache(maxsize=4)
def a_restless_feed(seed: int) -> HandFeed:
    """Two weeks in which the share wanders and sizes are small; every tenth option quote is bad."""
    rng = random.Random(seed)
    feed = HandFeed(date(2024, 6, 3), date(2024, 7, 31))
    cents = 10_000
    at = ny(10, 9, 30)
    while at < ny(22, 16):
        cents = max(8_000, min(12_000, cents + rng.randint(-120, 120)))
        spot = Decimal(cents) / 100
        feed.put(SHARE, at, str(spot - Decimal("0.01")), str(spot + Decimal("0.01")), rng.randint(20, 300))
        for contract in CONTRACTS:
            premium = max(Decimal("0.05"), intrinsic(contract, spot) + Decimal(rng.randint(5, 200)) / 100)
            bid = str(premium) if rng.random() > 0.1 else None
            feed.put(contract, at, bid, str(premium + Decimal("0.10")), rng.randint(0, 6))
        at += timedelta(hours=1)
    feed.act(CorporateAction(XYZ, date(2024, 6, 12), dividend=Price(Decimal("0.37"))))
    return feed


legs = st.lists(
    st.tuples(st.sampled_from(CONTRACTS), st.booleans(), st.integers(1, 2)),
    min_size=2,
    max_size=4,
    unique_by=lambda leg: leg[0],
)
prices = st.integers(-300, 800).map(lambda cents: Price(Decimal(cents) / 100))
spreads = st.sampled_from(
    [
        [(P100, False, 1), (P95, True, 1)],
        [(P100, False, 2), (P90, True, 2 + 1)],
        [(C100, False, 1), (C105, True, 1)],
        [(C100, True, 1), (C105, False, 1)],
        [(P90, True, 1), (P95, False, 1), (C105, False, 1), (C110, True, 1)],
        [(C100, False, 1), (C100_JULY, True, 1)],
        [(P95, True, 1), (P100_JULY, False, 1)],
    ]
)
packages = st.tuples(st.just("package"), st.one_of(spreads, legs), st.integers(1, 5), prices)
singles = st.tuples(
    st.just("single"),
    st.sampled_from((*CONTRACTS, SHARE)),
    st.booleans(),
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(1, 12_000)),
)
moves = st.one_of(
    packages,
    singles,
    singles,
    st.tuples(st.just("advance"), st.sampled_from([1, 7, 45, 240, 1_440, 2_880])),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("replace"), st.integers(0, 9), st.integers(1, 900)),
    st.tuples(
        st.just("close"), st.integers(0, 9), st.integers(1, 6), st.one_of(st.none(), st.integers(1, 900))
    ),
    st.tuples(st.sampled_from(["assign", "exercise", "decline"]), st.integers(0, 9)),
)


class Watch:
    """An exchange under random orders, with everything it told on the way."""

    def __init__(self, seed: int) -> None:
        self.settings = Settings(
            starting_cash=Cash(Decimal(30_000)), partial_fill_every=3, option_gtc=True, multileg_replace=True
        )
        self.exchange = Exchange(a_restless_feed(seed), START, self.settings)
        self.executions: list[Execution] = []
        self.ended: dict[str, OrderRow] = {}
        self.exchange.subscribe(self.hear)

    def hear(self, event: TradeEvent) -> None:
        self.executions.extend(event.executions)

    def make(self, move: tuple[Any, ...]) -> None:
        before = self.exchange.standing().requirement.uncovered
        day = self.exchange.now.date()
        with suppress(Reject):
            getattr(self, move[0])(*move[1:])
        # Only an assignment takes cover away, be it by hand or at expiry.
        assigned = move[0] == "assign" or day <= C100.expiry <= self.exchange.now.date()
        assert assigned or self.exchange.standing().requirement.uncovered <= before

    def package(self, chosen: list[tuple[OptionContract, bool, int]], quantity: int, limit: Price) -> None:
        request_legs = tuple(RequestLeg(contract, is_buy, ratio) for contract, is_buy, ratio in chosen)
        self.submit(OrderRequest(request_legs, Decimal(quantity), OrderType.LIMIT, limit=limit))

    def single(self, instrument: Instrument, is_buy: bool, quantity: int, cents: int | None) -> None:
        scale = 1 if instrument == SHARE else 10
        self.submit(
            OrderRequest(
                legs=(RequestLeg(instrument, is_buy, 1),),
                quantity=Decimal(quantity * (15 if instrument == SHARE else 1)),
                type=OrderType.MARKET if cents is None else OrderType.LIMIT,
                time_in_force=TimeInForce.DAY if quantity % 2 else TimeInForce.GTC,
                limit=None if cents is None else Price(Decimal(max(1, cents // scale)) / 100),
            )
        )

    def submit(self, request: OrderRequest) -> None:
        before = self.exchange.standing()
        self.exchange.submit(request)
        after = self.exchange.standing()
        figure = "excess" if request.legs[0].instrument == SHARE else "cash_free"
        assert getattr(after, figure) >= min(Decimal(0), getattr(before, figure))

    def advance(self, minutes: int) -> None:
        self.exchange.advance(self.exchange.now + timedelta(minutes=minutes))

    def cancel(self, index: int) -> None:
        self.exchange.cancel(self.pick(index))

    def replace(self, index: int, cents: int) -> None:
        self.exchange.replace(self.pick(index), limit=Price(Decimal(cents) / 100))

    def close(self, index: int, quantity: int, cents: int | None) -> None:
        held = self.position(index)
        if held is not None:
            self.single(held.instrument, held.quantity < 0, quantity, cents)

    def assign(self, index: int) -> None:
        self.instruct(self.position(index, short=True), lambda contract: self.exchange.assign(contract, 1))

    def exercise(self, index: int) -> None:
        self.instruct(self.position(index), self.exchange.exercise)

    def decline(self, index: int) -> None:
        self.instruct(self.position(index), self.exchange.do_not_exercise)

    def instruct(self, held: PositionRow | None, instruction: Callable[[OptionContract], None]) -> None:
        if held is not None and isinstance(held.instrument, OptionContract):
            instruction(held.instrument)

    def position(self, index: int, *, short: bool = False) -> PositionRow | None:
        positions = [row for row in self.exchange.positions() if row.quantity < 0 or not short]
        return positions[index % len(positions)] if positions else None

    def pick(self, index: int) -> str:
        orders = self.exchange.orders()
        return orders[-1 - index % len(orders)].id if orders else "none"

    def check_orders(self) -> None:
        orders = self.exchange.orders()
        held: dict[Instrument, Decimal] = defaultdict(Decimal)
        for row in orders:
            assert 0 <= row.filled <= row.request.quantity
            assert all(leg.filled == leg.ratio * row.filled for leg in row.legs)
            assert self.ended.get(row.id, row) == row
            if not row.status.open:
                self.ended[row.id] = row
                continue
            for leg in row.legs:
                # What is not routed yet is looked at again at the open.
                if leg.action in CLOSING and row.status is not Status.ACCEPTED:
                    held[leg.instrument] += leg.ratio * (row.request.quantity - row.filled)
        positions = {row.instrument: row for row in self.exchange.positions()}
        for instrument, quantity in held.items():
            assert quantity <= abs(positions[instrument].quantity)
        assert all(row.available >= 0 for row in positions.values())

    def check_books(self) -> None:
        """Cash and positions are what executions, fees and booked rows make them, exactly."""
        self.exchange.advance(self.exchange.now + timedelta(days=2))
        rows = [row for row in self.exchange.activities() if row.kind is not RowKind.FILL]
        cash = Decimal(self.settings.starting_cash)
        quantities: dict[Instrument, Decimal] = defaultdict(Decimal)
        for execution in self.executions:
            cash -= execution.quantity * execution.price * execution.instrument.multiplier
            quantities[execution.instrument] += execution.quantity
        for row in rows:
            cash += row.net_amount
            if row.instrument is not None:
                quantities[row.instrument] += row.quantity
        assert self.exchange.account().cash == cash
        assert {row.instrument: row.quantity for row in self.exchange.positions()} == {
            instrument: quantity for instrument, quantity in quantities.items() if quantity
        }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 3), st.lists(moves, min_size=5, max_size=40))
def test_the_books_add_up_and_orders_end_once_under_random_trading(
    seed: int, script: list[tuple[Any, ...]]
) -> None:
    watch = Watch(seed)
    for move in script:
        watch.make(move)
        watch.check_orders()

    watch.exchange.advance(max(watch.exchange.now, ny(22, 12)))
    watch.check_books()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 3), st.lists(moves, min_size=5, max_size=20))
def test_the_same_script_gives_the_same_orders_rows_and_account(
    seed: int, script: list[tuple[Any, ...]]
) -> None:
    ends = []
    for _ in range(2):
        watch = Watch(seed)
        for move in script:
            watch.make(move)
        ends.append((watch.exchange.orders(), watch.exchange.activities(), watch.exchange.account()))

    assert ends[0] == ends[1]
