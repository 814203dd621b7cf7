"""An order is recorded once, sent once, moved only by evidence, and never closes what is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from wsb_core.domain.errors import Halted, LeaseLost, LedgerError, Terminal
from wsb_core.domain.ids import BrokerOrderId, ClientOrderId, RunId, StrategyName, cash, price
from wsb_core.domain.orders import Action, BrokerOrder, Effect, OrderLeg, OrderState
from wsb_core.domain.positions import Holding
from wsb_core.ledger import DuplicateOrder, Ledger, ReduceOnlyViolation

from .build import (
    ACCOUNT,
    CONDOR,
    DAY,
    DIP,
    LONG_CALL,
    NOON,
    RUN,
    VERTICAL,
    WHEEL,
    Desk,
    approved,
    call,
    executions,
)

MINUTE = timedelta(minutes=1)


def test_an_intent_comes_back_as_the_order_it_was(desk: Desk):
    wish = approved(CONDOR, quantity=3, limit="1.425", max_loss="1071.75")

    made = desk.intend(wish)
    found = desk.ledger.intent(wish.order.client_order_id)

    assert made.created
    assert found == replace(made, created=False)
    assert found.order == wish.order
    assert (found.state, found.max_loss, found.run_id) == (OrderState.SENDING, cash("1071.75"), RUN)
    assert (found.reason, found.facts) == ("because", {"low": "97.25"})


def test_recording_the_same_key_again_gives_back_what_exists(desk: Desk):
    wish = approved(LONG_CALL)
    desk.intend(wish)

    again = desk.intend(approved(VERTICAL, quantity=2))

    assert not again.created
    assert again.order == wish.order
    assert len(desk.ledger.intents()) == 1


def test_a_known_key_comes_back_even_when_nothing_may_be_recorded_any_more(desk: Desk):
    wish = approved(LONG_CALL)
    desk.intend(wish)
    desk.ledger.set_halt("*", "pause", "drill", "me", desk.tick())
    gone = replace(desk.lease, token=desk.lease.token + 1)

    again = desk.ledger.record_intent(RUN, wish, lease=gone, at=desk.tick())

    assert not again.created


def test_fm_02_a_second_order_for_a_structure_that_may_be_working_is_the_first_one(desk: Desk):
    first = desk.intend(approved(LONG_CALL, slot="morning"))
    desk.told(first.client_order_id, OrderState.UNKNOWN)

    second = desk.intend(approved(LONG_CALL, slot="evening"))

    assert (second.client_order_id, second.created) == (first.client_order_id, False)


def test_an_order_given_up_and_found_again_is_not_sent_beside_its_successor(desk: Desk):
    first = desk.intend(approved(LONG_CALL, slot="morning"))
    desk.told(first.client_order_id, OrderState.ABANDONED)
    second = desk.intend(approved(LONG_CALL, slot="evening"))
    desk.lose(second.client_order_id)
    desk.told(first.client_order_id, OrderState.WORKING)

    with pytest.raises(DuplicateOrder, match=first.client_order_id):
        desk.send_again(second.client_order_id)


def test_an_order_that_was_just_recorded_is_its_senders_and_nobody_elses(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id

    assert not desk.send_again(order_id)


def test_a_lost_order_leaves_once_more_however_often_it_is_asked(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    desk.lose(order_id)

    answers = [desk.send_again(order_id) for _ in range(3)]

    assert answers == [True, False, False]


def test_an_unknown_order_may_be_sent_again_and_an_abandoned_one_may_not(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    desk.told(order_id, OrderState.UNKNOWN)
    unknown = desk.ledger.mark_sending(order_id, lease=desk.lease, at=desk.tick())
    desk.told(order_id, OrderState.ABANDONED)
    abandoned = desk.ledger.mark_sending(order_id, lease=desk.lease, at=desk.tick())

    assert (unknown, abandoned) == (True, False)


def test_an_order_whose_sender_died_may_be_sent_by_another_after_a_minute(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    early = desk.ledger.mark_sending(order_id, lease=desk.lease, at=desk.tick(58))
    late = desk.ledger.mark_sending(order_id, lease=desk.lease, at=desk.tick(2))

    states = [event.to_state for event in desk.ledger.order_events(order_id)]
    assert (early, late) == (False, True)
    assert states == [OrderState.SENDING, OrderState.UNKNOWN, OrderState.SENDING]


@pytest.mark.parametrize(
    ("scope", "kind"), [("*", "pause"), (DIP, "pause"), ("*", "reduce_only"), ("*", "flatten")]
)
def test_every_halt_stops_entries_and_none_stops_exits(desk: Desk, scope: str, kind: str):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    lost = desk.intend(approved(VERTICAL, slot="lost"))
    desk.lose(lost.client_order_id)
    desk.ledger.set_halt(scope, kind, "drill", "me", desk.tick())
    desk.trade(LONG_CALL, Effect.CLOSE, 1, ["2.00"])

    assert desk.ledger.positions(ACCOUNT) == ()
    with pytest.raises(Halted, match="drill"):
        desk.intend(approved(CONDOR))
    with pytest.raises(Halted, match="drill"):
        desk.send_again(lost.client_order_id)


def test_a_halt_of_one_strategy_leaves_another_free(desk: Desk):
    desk.ledger.set_halt(DIP, "pause", "drill", "me", desk.tick())

    assert desk.intend(approved(LONG_CALL, strategy=WHEEL)).created


def test_a_cleared_halt_stops_nothing(desk: Desk):
    desk.ledger.set_halt("*", "pause", "drill", "me", desk.tick())
    cleared = desk.ledger.clear_halt("*", "me", desk.tick())

    assert cleared == 1
    assert desk.intend(approved(LONG_CALL)).created


def test_without_the_lease_nothing_is_recorded_or_sent(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    late = desk.lease.expires_at

    with pytest.raises(LeaseLost, match="expired"):
        desk.ledger.mark_sending(order_id, lease=desk.lease, at=late)
    with pytest.raises(LeaseLost, match="expired"):
        desk.ledger.record_intent(RUN, approved(VERTICAL, slot="x"), lease=desk.lease, at=late)


def test_a_run_that_was_not_started_records_nothing(desk: Desk):
    with pytest.raises(LedgerError, match="start_run first"):
        desk.ledger.record_intent(RunId("ghost"), approved(LONG_CALL), lease=desk.lease, at=desk.tick())

    assert desk.ledger.intents() == ()


def test_a_close_of_more_than_is_held_is_refused(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])

    with pytest.raises(ReduceOnlyViolation, match="only 2 are held") as refused:
        desk.intend(approved(LONG_CALL, Effect.CLOSE, 3))
    assert isinstance(refused.value, Terminal)
    assert isinstance(refused.value, ValueError)


def test_fm_46_a_close_takes_no_units_of_another_strategy(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"], strategy=WHEEL)

    with pytest.raises(ReduceOnlyViolation):
        desk.intend(approved(LONG_CALL, Effect.CLOSE, 1, strategy=DIP))


def test_a_close_that_was_told_filled_cannot_be_repeated_before_its_fills_arrive(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    closing = desk.intend(approved(LONG_CALL, Effect.CLOSE, 1, slot="a"))
    desk.told(closing.client_order_id, OrderState.FILLED)

    with pytest.raises(ReduceOnlyViolation):
        desk.intend(approved(LONG_CALL, Effect.CLOSE, 1, slot="b"))


def test_a_lost_close_is_not_sent_again_when_another_closed_the_unit(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    first = desk.intend(approved(LONG_CALL, Effect.CLOSE, 1, slot="a"))
    desk.told(first.client_order_id, OrderState.ABANDONED)
    second = desk.intend(approved(LONG_CALL, Effect.CLOSE, 1, slot="b"))
    desk.lose(second.client_order_id)
    desk.told(first.client_order_id, OrderState.FILLED)

    with pytest.raises(ReduceOnlyViolation):
        desk.send_again(second.client_order_id)


def test_the_attempts_of_a_decision_come_in_their_order_and_leave_others_out(desk: Desk):
    wish = approved(LONG_CALL, quantity=3)
    first = desk.intend(wish)
    desk.told(first.client_order_id, OrderState.CANCELED, filled=1)
    desk.intend(wish.at(price("-1.00"), 2, 2))
    desk.intend(approved(VERTICAL, slot="another"))

    made = desk.ledger.attempts(wish.order.key)

    assert [(each.order.key.attempt, each.state, each.filled) for each in made] == [
        (1, OrderState.CANCELED, 1),
        (2, OrderState.SENDING, 0),
    ]


def test_an_illegal_move_is_refused(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    desk.told(order_id, OrderState.WORKING)

    with pytest.raises(ValueError, match="working to unknown"):
        desk.told(order_id, OrderState.UNKNOWN)
    assert desk.ledger.intent(order_id).state is OrderState.WORKING


def test_the_same_word_twice_changes_nothing(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    first = desk.told(order_id, OrderState.WORKING)
    rows = len(desk.ledger.audit_log())

    second = desk.told(order_id, OrderState.WORKING)

    assert (first, second) == (True, False)
    assert len(desk.ledger.audit_log()) == rows


def test_fm_05_a_word_after_the_last_is_kept_and_ignored(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    desk.told(order_id, OrderState.CANCELED, filled=0)

    changed = desk.told(order_id, OrderState.WORKING)

    last = desk.ledger.order_events(order_id)[-1]
    assert not changed
    assert (desk.ledger.intent(order_id).state, last.ignored) == (
        OrderState.CANCELED,
        "the order is canceled already",
    )
    assert "order_event_ignored" in {entry.kind for entry in desk.ledger.audit_log()[-2:]}


def test_fm_42_an_older_count_of_fills_does_not_replace_a_newer_one(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL, quantity=3)).client_order_id
    desk.told(order_id, OrderState.PARTIALLY_FILLED, filled=2)

    changed = desk.told(order_id, OrderState.PARTIALLY_FILLED, filled=1)

    assert not changed
    assert desk.ledger.intent(order_id).filled == 2


def test_an_abandoned_order_that_turns_up_counts(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    desk.told(order_id, OrderState.UNKNOWN)
    desk.told(order_id, OrderState.ABANDONED)
    desk.told(order_id, OrderState.WORKING)

    [found] = desk.ledger.open_intents(ACCOUNT)
    assert (found.client_order_id, found.state) == (order_id, OrderState.WORKING)


def test_more_fills_than_the_order_asked_for_are_a_contradiction(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id

    with pytest.raises(LedgerError, match="2 units filled of an order for 1"):
        desk.told(order_id, OrderState.PARTIALLY_FILLED, filled=2)


def test_fm_05_the_same_fill_three_times_counts_once(desk: Desk):
    order = desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    fills = desk.ledger.fills(ACCOUNT)

    again = desk.ledger.record_fills(ACCOUNT, (*fills, *fills), desk.tick())

    assert again == 0
    assert [fill.client_order_id for fill in desk.ledger.fills(ACCOUNT)] == [order.client_order_id]


def test_the_same_execution_at_another_price_is_a_contradiction(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    [fill] = desk.ledger.fills(ACCOUNT)

    with pytest.raises(LedgerError, match="told again"):
        desk.ledger.record_fills(ACCOUNT, [replace(fill, price=price("1.01"))], desk.tick())


def test_an_open_order_counts_what_is_left_of_it(desk: Desk):
    order = desk.intend(approved(VERTICAL, quantity=4, max_loss="840")).order
    desk.told(order.client_order_id, OrderState.PARTIALLY_FILLED, filled=1)

    [left] = desk.ledger.open_orders(ACCOUNT)
    assert (left.quantity, left.max_loss, left.opening) == (3, Decimal(840), True)


def a_strangers_order(state: OrderState, filled: int, action: Action = Action.SELL_TO_CLOSE) -> BrokerOrder:
    return BrokerOrder(
        broker_order_id=BrokerOrderId("s-1"),
        client_order_id=ClientOrderId("typed-by-hand"),
        state=state,
        raw_status=state.value,
        quantity=1,
        filled=filled,
        average=price("1.50") if filled else None,
        legs=(OrderLeg(call(100), action, 1),),
        submitted_at=NOON,
        updated_at=NOON,
    )


def test_a_strangers_order_is_flagged_and_followed(desk: Desk):
    working, done = a_strangers_order(OrderState.WORKING, 0), a_strangers_order(OrderState.FILLED, 1)
    new = [desk.ledger.adopt_order(each, account=ACCOUNT, at=desk.tick()) for each in (working, done)]

    [order] = desk.ledger.orders(ACCOUNT, adopted=True)
    assert new == [True, False]
    assert (order.state, order.filled, order.strategy) == (OrderState.FILLED, 1, None)
    assert (order.structure, order.effect) == (LONG_CALL, Effect.CLOSE)
    assert desk.ledger.orders(ACCOUNT, adopted=False) == ()


def test_a_strangers_close_closes_our_position(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    desk.ledger.adopt_order(a_strangers_order(OrderState.FILLED, 1), account=ACCOUNT, at=desk.tick())
    sale = executions(
        approved(LONG_CALL, Effect.CLOSE).order, ["1.50"], at=desk.tick(), broker_order_id="s-1"
    )
    desk.ledger.record_fills(ACCOUNT, sale, desk.tick())

    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (trade.pnl, trade.exit_rule) == (Decimal(50), "manual")
    assert desk.ledger.positions(ACCOUNT) == ()
    assert desk.ledger.verify().ok


def test_a_strangers_opening_is_held_and_is_no_strategys_position(desk: Desk):
    order = a_strangers_order(OrderState.FILLED, 1, Action.BUY_TO_OPEN)
    desk.ledger.adopt_order(order, account=ACCOUNT, at=desk.tick())
    bought = executions(approved(LONG_CALL).order, ["1.50"], broker_order_id="s-1")
    desk.ledger.record_fills(ACCOUNT, bought, desk.tick())

    book = desk.ledger.derived(ACCOUNT)
    assert book.positions == ()
    assert book.unassigned == (Holding(call(100), Decimal(1)),)


def test_an_adopted_order_with_a_strategy_is_its_position(desk: Desk):
    order = a_strangers_order(OrderState.FILLED, 1, Action.BUY_TO_OPEN)
    desk.ledger.adopt_order(order, account=ACCOUNT, strategy=StrategyName("leaps"), at=desk.tick())
    bought = executions(approved(LONG_CALL).order, ["1.50"], broker_order_id="s-1")
    desk.ledger.record_fills(ACCOUNT, bought, desk.tick())

    [position] = desk.ledger.positions(ACCOUNT)
    assert (position.strategy, position.opened_session) == ("leaps", DAY)


def test_a_leg_id_is_kept_once_and_never_changed(desk: Desk):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    ids = {call(100).symbol: BrokerOrderId("leg-1")}
    desk.ledger.record_leg_ids(order_id, ids, desk.tick())
    desk.ledger.record_leg_ids(order_id, ids, desk.tick())

    with pytest.raises(LedgerError, match="leg-1 at the broker"):
        desk.ledger.record_leg_ids(order_id, {call(100).symbol: BrokerOrderId("leg-2")}, desk.tick())
    with pytest.raises(LedgerError, match="has no leg"):
        desk.ledger.record_leg_ids(order_id, {"XYZ": BrokerOrderId("leg-3")}, desk.tick())


def test_an_unknown_order_cannot_be_moved(ledger: Ledger):
    with pytest.raises(LedgerError, match="no order is recorded"):
        ledger.move_order(ClientOrderId("ghost"), OrderState.FILLED, at=NOON, evidence={})
