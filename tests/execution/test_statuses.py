"""Every status of the vendor, told of an order in every state that the ledger knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest

from tests.builders import ACCOUNT, AS_OF, DIP_BOT, SESSION, a_call, a_key, a_proposal
from tests.execution.scripted import ManualClock, ScriptedBroker
from tests.flows.stage import sqlite_url
from wsb_core.brokers import rules_of
from wsb_core.brokers.alpaca_orders import STATES
from wsb_core.domain.ids import BrokerOrderId, Cash, Price, RunId
from wsb_core.domain.orders import BrokerOrder, Effect, Order, OrderState, Review, Ruling
from wsb_core.execution.recovery import Trouble
from wsb_core.execution.submit import Sender, note, resolve
from wsb_core.ledger import Intent, Ledger, open_ledger

QUANTITY = 4
PATHS: dict[OrderState, tuple[OrderState, ...]] = {
    OrderState.SENDING: (),
    OrderState.UNKNOWN: (OrderState.UNKNOWN,),
    OrderState.WORKING: (OrderState.WORKING,),
    OrderState.PARTIALLY_FILLED: (OrderState.PARTIALLY_FILLED,),
    OrderState.PENDING_CANCEL: (OrderState.WORKING, OrderState.PENDING_CANCEL),
    OrderState.FILLED: (OrderState.FILLED,),
    OrderState.CANCELED: (OrderState.CANCELED,),
    OrderState.EXPIRED: (OrderState.EXPIRED,),
    OrderState.REJECTED: (OrderState.REJECTED,),
    OrderState.REPLACED: (OrderState.REPLACED,),
    OrderState.ABANDONED: (OrderState.ABANDONED,),
}
"""How an order that is being sent comes to each state."""
STRANGE = "enchanted"


def broker_id(order: Order) -> BrokerOrderId:
    return BrokerOrderId(f"b-{order.client_order_id}")


@dataclass
class Bench:
    ledger: Ledger
    sender: Sender
    told: list[tuple[Trouble, str]]
    slots: Iterator[int]

    def intent_in(self, state: OrderState) -> Intent:
        """An order of its own decision, brought to ``state``."""
        proposal = a_proposal(a_call(strike=str(100 + next(self.slots))), limit="-4.00")
        order = Order(a_key(proposal), proposal.structure, Effect.OPEN, QUANTITY, Price(Decimal("-4.00")))
        order = replace(order, key=replace(order.key, slot=f"s{next(self.slots)}"))
        review = Review(order, AS_OF, (Ruling("size", True, "4", "4"),), Cash(Decimal(1600)))
        approved = review.approve("dip", {})
        name, at = order.client_order_id, self.sender.clock.now()
        self.ledger.record_intent(RunId("run-1"), approved, lease=self.sender.lease, at=at)
        for step in PATHS[state]:
            known = None if step in (OrderState.UNKNOWN, OrderState.ABANDONED) else broker_id(order)
            filled = 2 if step is OrderState.PARTIALLY_FILLED else None
            self.ledger.move_order(name, step, at=at, evidence={}, broker_order_id=known, filled=filled)
        return self.ledger.intent(name)

    def tell(self, intent: Intent, status: str, state: OrderState, filled: int) -> Intent:
        order, now = intent.order, self.sender.clock.now()
        legs, average = order.legs, Price(Decimal("-4.00")) if filled else None
        found = BrokerOrder(
            broker_id(order), order.client_order_id, state, status, QUANTITY, filled, average, legs, now, now
        )
        return note(found, intent, self.sender)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("statuses")
    with open_ledger(sqlite_url(folder)) as ledger:
        ledger.init()
        clock = ManualClock()
        ledger.open_account(ACCOUNT, "practice", Cash(Decimal(100_000)), AS_OF)
        ledger.start_run(
            RunId("run-1"),
            flow="test",
            strategy=DIP_BOT,
            session=SESSION,
            slot="close-25m",
            account=ACCOUNT,
            config_hash="c",
            code_version="v",
            at=AS_OF,
        )
        lease = ledger.acquire_lease(ACCOUNT, "tests", AS_OF, timedelta(hours=1))
        told: list[tuple[Trouble, str]] = []
        sender = Sender(
            "run-1",
            ScriptedBroker(clock, ()),
            ledger,
            lease,
            clock,
            rules_of("alpaca"),
            lambda trouble, order, what: told.append((trouble, what)),
        )
        yield Bench(ledger, sender, told, count())


@pytest.fixture(autouse=True)
def nothing_told(bench: Bench) -> None:
    bench.told.clear()


def filled_for(status: str, state: OrderState) -> int:
    full = QUANTITY if STATES.get(status) is OrderState.FILLED else 0
    part = 2 if OrderState.PARTIALLY_FILLED in (state, STATES.get(status)) else 0
    return full or part


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("status", [*STATES, STRANGE])
def test_fm_08_any_status_told_of_an_order_in_any_state_is_followed_or_reported_and_never_raises(
    bench: Bench, status: str, state: OrderState
) -> None:
    before = bench.intent_in(state)
    filled = filled_for(status, state)

    after = bench.tell(before, status, STATES.get(status, OrderState.UNKNOWN), filled)

    told = {trouble for trouble, _ in bench.told}
    final = before.state.terminal and before.state is not OrderState.ABANDONED
    followed = after.state is STATES.get(status)
    assert followed or final or told or not after.state.terminal
    assert not (final and after.state is not before.state)
    assert (Trouble.UNKNOWN_STATUS in told) == (status == STRANGE)


@pytest.mark.parametrize("state", [state for state in PATHS if not state.terminal])
def test_fm_08_an_unknown_status_leaves_the_order_where_it_blocks_another(
    bench: Bench, state: OrderState
) -> None:
    before = bench.intent_in(state)

    after = bench.tell(before, STRANGE, OrderState.UNKNOWN, before.filled)

    assert after.state.may_work
    assert after.broker_order_id == broker_id(before.order)
    assert bench.told == [(Trouble.UNKNOWN_STATUS, f"status '{STRANGE}' of an order that is {before.state}")]


def test_an_order_given_up_that_turns_up_in_an_unknown_status_may_work_again(bench: Bench) -> None:
    after = bench.tell(bench.intent_in(OrderState.ABANDONED), STRANGE, OrderState.UNKNOWN, 0)

    assert after.state is OrderState.WORKING


@pytest.mark.parametrize("state", [OrderState.PARTIALLY_FILLED, OrderState.PENDING_CANCEL])
def test_an_order_refused_after_it_worked_is_off_keeps_its_fills_and_is_reported(
    bench: Bench, state: OrderState
) -> None:
    before = bench.intent_in(state)

    after = bench.tell(before, "rejected", OrderState.REJECTED, before.filled)

    assert (after.state, after.filled) == (OrderState.CANCELED, before.filled)
    assert [trouble for trouble, _ in bench.told] == [Trouble.ILLEGAL_MOVE]


def test_a_fill_told_after_the_cancel_was_final_is_reported_and_moves_nothing(bench: Bench) -> None:
    before = bench.intent_in(OrderState.CANCELED)

    after = bench.tell(before, "filled", OrderState.FILLED, QUANTITY)

    assert after.state is OrderState.CANCELED
    assert [trouble for trouble, _ in bench.told] == [Trouble.ILLEGAL_MOVE]


def test_fm_42_an_old_answer_after_the_last_word_is_neither_followed_nor_reported(bench: Bench) -> None:
    before = bench.intent_in(OrderState.FILLED)

    after = bench.tell(before, "new", OrderState.WORKING, 0)

    assert (after.state, bench.told) == (OrderState.FILLED, [])


def test_more_units_filled_than_were_ordered_are_reported_and_move_nothing(bench: Bench) -> None:
    before = bench.intent_in(OrderState.WORKING)

    after = bench.tell(before, "partially_filled", OrderState.PARTIALLY_FILLED, QUANTITY + 1)

    assert (after.state, after.filled) == (OrderState.WORKING, 0)
    assert [trouble for trouble, _ in bench.told] == [Trouble.ILLEGAL_MOVE]


def test_an_order_the_broker_acknowledged_in_an_unknown_status_and_denies_later_is_not_sent_again(
    bench: Bench,
) -> None:
    before = bench.intent_in(OrderState.SENDING)
    acknowledged = bench.tell(before, STRANGE, OrderState.UNKNOWN, 0)

    after = resolve(acknowledged, bench.sender, resend=True)

    assert after.state is OrderState.UNKNOWN
    assert bench.sender.broker.sent == []
