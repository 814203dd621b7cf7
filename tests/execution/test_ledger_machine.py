"""Whatever legal thing happens in whatever order, the books balance and agree with the exchange."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.campaign.books import WatchedLedger, an_empty_ledger
from tests.campaign.market import ABC, XYZ, SeededFeed, a_structure, market_of
from tests.campaign.wire import broker_over
from tests.campaign.world import Plan, World
from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.errors import WsbError
from wsb_core.domain.ids import CENT, AccountId, Cash, RunId, StrategyName
from wsb_core.domain.orders import ApprovedOrder, Effect, IntentKey, Order, OrderState, Review, Ruling
from wsb_core.domain.structures import Structure
from wsb_core.exchange.hours import session_at
from wsb_core.exchange.model import Reject
from wsb_core.execution.submit import Sender, cancel_and_confirm, refresh, resolve, submit_once
from wsb_core.execution.ticket import package_quote
from wsb_core.ledger import books
from wsb_core.reconcile.sync import sync

ACCOUNT, DESK, RUN = AccountId("PRACTICE"), StrategyName("drill"), RunId("machine")
DAY = date(2024, 6, 11)
START = datetime(2024, 6, 11, 14, 0, tzinfo=UTC)
CASH = Cash(Decimal(200_000))
WORKING = (OrderState.WORKING, OrderState.PARTIALLY_FILLED)


class Clock:
    """The world's time; a sleep moves it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return self._world.now

    def sleep(self, seconds: float) -> None:
        self._world.pass_time(seconds)


class LedgerMachine(RuleBasedStateMachine):
    """A desk on the practice exchange, through the real adapter and the real ledger."""

    @initialize(seed=st.integers(0, 20))
    def begin(self, seed: int) -> None:
        self.open = ExitStack()
        self.url = self.open.enter_context(an_empty_ledger())
        self.draw = Random(seed)
        self.world = World(seed, START, SeededFeed(seed, DAY), CASH, Plan())
        self.broker = broker_over(self.world, ACCOUNT)
        self.slots = 0
        self.deposited = Decimal(0)
        self.ledger = WatchedLedger(self.url, self.world)
        self.ledger.open_account(ACCOUNT, "practice", CASH, self.world.now)
        self.ledger.start_run(
            RUN,
            flow="machine",
            strategy=DESK,
            session=DAY,
            slot="-",
            account=ACCOUNT,
            config_hash="c",
            code_version="v",
            at=self.world.now,
        )
        self._sit_down()

    def _sit_down(self) -> None:
        lease = self.ledger.acquire_lease(ACCOUNT, "machine", self.world.now, timedelta(days=90))
        self.desk = Sender(RUN, self.broker, self.ledger, lease, Clock(self.world))

    # --- what the desk does -------------------------------------------------------------------

    @rule(name=st.sampled_from((XYZ, ABC)), quantity=st.integers(1, 6), crossing=st.booleans())
    def intend_and_send_an_entry(self, name: str, quantity: int, crossing: bool) -> None:
        structure = a_structure(self.draw, name, self.world.now.date())
        self._send(structure, Effect.OPEN, quantity, crossing)

    @rule(pick=st.integers(0, 9), part=st.integers(1, 6), crossing=st.booleans())
    def intend_and_send_an_exit(self, pick: int, part: int, crossing: bool) -> None:
        held = self.ledger.positions(ACCOUNT)
        if held:
            position = held[pick % len(held)]
            self._send(position.structure, Effect.CLOSE, min(part, position.quantity), crossing)

    @rule(name=st.sampled_from((XYZ, ABC)))
    def intend_and_leave_it_at_that(self, name: str) -> None:
        structure = a_structure(self.draw, name, self.world.now.date())
        approved = self._approved(structure, Effect.OPEN, 1, crossing=False)
        if approved is not None:
            self.ledger.record_intent(RUN, approved, lease=self.desk.lease, at=self.world.now)

    @rule(pick=st.integers(0, 9))
    def cancel(self, pick: int) -> None:
        working = [one for one in self.ledger.open_intents(ACCOUNT) if one.state in WORKING]
        if working:
            cancel_and_confirm(working[pick % len(working)], self.desk)

    @rule()
    def look_at_every_working_order(self) -> None:
        for one in self.ledger.open_intents(ACCOUNT):
            if one.state in WORKING:
                refresh(one, self.desk)

    @rule()
    def reconcile(self) -> None:
        self._sync()

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = WatchedLedger(self.url, self.world)
        self._sit_down()

    # --- what the market and the broker do ----------------------------------------------------

    @rule(minutes=st.sampled_from((1, 3, 20, 120)))
    def time_passes_and_orders_fill_in_part_or_whole(self, minutes: int) -> None:
        self.world.advance(self.world.now + timedelta(minutes=minutes))

    @rule()
    def a_day_passes_and_what_is_due_expires(self) -> None:
        self.world.advance(self.world.now + timedelta(days=1))

    @rule(pick=st.integers(0, 9), quantity=st.integers(1, 3))
    def the_broker_assigns(self, pick: int, quantity: int) -> None:
        held = [(row.instrument, row.quantity) for row in self.world.exchange.positions()]
        short = [i for i, n in held if isinstance(i, OptionContract) and n < 0]
        if short:
            with suppress(Reject):
                self.world.exchange.assign(short[pick % len(short)], quantity)

    @precondition(lambda self: self.deposited < 3000)
    @rule(dollars=st.integers(-500, 1000).filter(bool))
    def cash_comes_or_goes(self, dollars: int) -> None:
        self.deposited += abs(dollars)
        self.world.exchange.deposit(Cash(Decimal(dollars)))

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def cash_is_the_opening_and_what_was_booked_and_holdings_are_what_was_traded(self) -> None:
        if not hasattr(self, "ledger"):
            return
        cash, held = Decimal(CASH), defaultdict[Instrument, Decimal](Decimal)
        for fill in self.ledger.fills(ACCOUNT):
            cash -= fill.quantity * fill.price * fill.instrument.multiplier
            held[fill.instrument] += fill.quantity
        for row in self.ledger.activities(ACCOUNT):
            cash += row.cash
            if row.instrument is not None:
                held[row.instrument] += row.quantity

        book = self.ledger.derived(ACCOUNT)

        assert book.cash == cash
        assert {one.instrument: one.quantity for one in book.holdings} == {i: n for i, n in held.items() if n}

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.world.advance(self.world.now + timedelta(days=2))
        for _ in range(2):
            self._sync()
        book, exchange = self.ledger.derived(ACCOUNT), self.world.exchange
        checked = self.ledger.verify()
        try:
            assert {one.instrument: one.quantity for one in book.holdings} == {
                row.instrument: row.quantity for row in exchange.positions()
            }
            assert book.cash == exchange.account().cash
            assert checked.problems == ()
            assert not [one for one in self.ledger.open_intents(ACCOUNT) if one.state not in WORKING]
        finally:
            self.ledger.close()
            self.open.close()

    # --- the small print ----------------------------------------------------------------------

    def _send(self, structure: Structure, effect: Effect, quantity: int, crossing: bool) -> None:
        approved = self._approved(structure, effect, quantity, crossing)
        if approved is None:
            return
        # Refused by the ledger (more than is held, a twin at work): nothing was sent, and that is legal.
        with suppress(WsbError):
            submit_once(approved, self.desk)

    def _approved(
        self, structure: Structure, effect: Effect, quantity: int, crossing: bool
    ) -> ApprovedOrder | None:
        if session_at(self.world.now) is None:
            return None
        market = market_of(self.world.feed, structure, self.world.now)
        package = package_quote(market, structure, effect) if market else None
        if package is None:
            return None
        limit = (package.touch if crossing else package.mid).quantize(Decimal("0.01"))
        self.slots += 1
        action = "open" if effect is Effect.OPEN else f"close {structure.symbol}"
        key = IntentKey(ACCOUNT, DESK, DAY, f"slot-{self.slots}", structure.underlying, action)
        order = Order(key, structure, effect, quantity, limit)
        review = Review(order, self.world.now, (Ruling("size", True, "1", "9"),), Cash(Decimal(100)))
        return review.approve("because", {})

    def _sync(self) -> None:
        sync(
            self.broker,
            self.ledger,
            account=ACCOUNT,
            since=START,
            at=self.world.now,
            settle=lambda intent: resolve(intent, self.desk, resend=False),
        )


QUICK = settings(
    max_examples=12,
    stateful_step_count=16,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = QUICK


def _all_but_the_first(record: Callable[..., int]) -> Callable[..., int]:
    return lambda tx, account, rows: record(tx, account, rows[1:])


def _a_cent_too_much(record: Callable[..., int]) -> Callable[..., int]:
    def booked(tx: Any, account: Any, rows: Sequence[Any]) -> int:
        return record(tx, account, [replace(row, cash=row.cash + CENT) if row.cash else row for row in rows])

    return booked


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        ("record_fills", _all_but_the_first),
        ("record_activities", _all_but_the_first),
        ("record_activities", _a_cent_too_much),
    ],
)
def test_a_booking_that_is_wrong_does_not_get_past_the_machine(
    monkeypatch: pytest.MonkeyPatch, function: str, wrong: Callable[..., Any]
) -> None:
    monkeypatch.setattr(books, function, wrong(getattr(books, function)))

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            LedgerMachine,
            settings=settings(
                QUICK, max_examples=40, phases=[Phase.generate], derandomize=True, database=None
            ),
        )
