"""One order, whatever breaks between the ledger, the wire and the broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.execution.desk import LOOK_UP, MARKETABLE, POST, RESTING, Desk, approved, seat
from tests.flows.stage import ACCOUNT, DIP_BOT
from wsb_core.domain.errors import Halted, LeaseLost, OutcomeUnknown, ProviderUnavailable, Transient
from wsb_core.domain.orders import OrderState
from wsb_core.execution.submit import FRESH, IN_FLIGHT, resolve, submit_once

DUPLICATE = {"code": 40010001, "message": "client_order_id must be unique"}


def test_an_order_is_recorded_sent_once_and_filled(desk: Desk) -> None:
    order = approved(MARKETABLE)

    sent = submit_once(order, desk.sender)

    assert (sent.state, sent.filled) == (OrderState.FILLED, 2)
    assert desk.sends(order) == 1
    states = [event.to_state for event in desk.ledger.order_events(order.order.client_order_id)]
    assert states == [OrderState.SENDING, OrderState.FILLED]


def test_the_intent_is_committed_before_the_request_leaves(desk: Desk, monkeypatch) -> None:
    order, seen = approved(), []
    submit = desk.sender.broker.submit

    def look_first(one):
        seen.append(desk.intent(order).state)
        return submit(one)

    monkeypatch.setattr(desk.sender.broker, "submit", look_first)

    submit_once(order, desk.sender)

    assert seen == [OrderState.SENDING]


@pytest.mark.parametrize("kind", ["accept_then_status", "accept_then_drop", "truncate", "empty"])
@pytest.mark.parametrize(("limit", "state"), [(MARKETABLE, OrderState.FILLED), (RESTING, OrderState.WORKING)])
def test_fm_01_an_order_taken_without_a_readable_answer_is_looked_up_and_never_sent_again(
    desk: Desk, kind: str, limit: str, state: OrderState
) -> None:
    order = approved(limit)
    desk.control.fault(kind, **POST)

    sent = submit_once(order, desk.sender)

    assert sent.state is state
    assert sent.broker_order_id == desk.at_the_exchange()[0].broker_order_id
    assert desk.sends(order) == 1
    assert desk.ids() == [order.order.client_order_id]


@pytest.mark.parametrize("kind", ["drop", "html502", "ratelimit"])
def test_an_order_that_never_arrived_is_sent_again_under_its_id_once_every_look_up_denied_it(
    desk: Desk, kind: str
) -> None:
    order = approved()
    desk.control.fault(kind, **POST)

    sent = submit_once(order, desk.sender)

    states = [event.to_state for event in desk.ledger.order_events(order.order.client_order_id)]
    assert sent.state is OrderState.FILLED
    assert states.count(OrderState.SENDING) == 2
    assert desk.ids() == [order.order.client_order_id]


def test_an_order_is_sent_twice_at_most(desk: Desk) -> None:
    order = approved()
    desk.control.fault("drop", times=None, **POST)

    sent = submit_once(order, desk.sender)

    states = [event.to_state for event in desk.ledger.order_events(order.order.client_order_id)]
    assert sent.state is OrderState.UNKNOWN
    assert states.count(OrderState.SENDING) == 2
    assert desk.ids() == []


@pytest.mark.parametrize("look_up", ["status", "drop", "empty", "html502"])
def test_fm_04_while_the_broker_cannot_be_asked_the_order_stays_unknown_and_nothing_is_sent(
    desk: Desk, look_up: str
) -> None:
    order = approved()
    desk.control.fault("accept_then_status", **POST)
    desk.control.fault(look_up, times=None, **LOOK_UP)

    sent = submit_once(order, desk.sender)
    again = submit_once(order, desk.sender)

    assert (sent.state, again.state) == (OrderState.UNKNOWN, OrderState.UNKNOWN)
    assert desk.sends(order) == 1


def test_one_look_up_without_an_answer_is_enough_not_to_send_again(desk: Desk) -> None:
    order = approved()
    desk.control.fault("drop", **POST)
    desk.control.fault("status", nth=4, **LOOK_UP)

    sent = submit_once(order, desk.sender)

    assert sent.state is OrderState.UNKNOWN
    assert desk.ids() == []


def test_an_unknown_order_is_settled_by_the_next_sync_when_the_broker_answers_again(desk: Desk) -> None:
    order = approved()
    desk.control.fault("accept_then_status", **POST)
    desk.control.fault("status", times=None, **LOOK_UP)
    submit_once(order, desk.sender)
    desk.control.clear_faults()

    synced = desk.sync()

    assert desk.intent(order).state is OrderState.FILLED
    assert (synced.in_doubt, synced.adopted, synced.fills) == ((), (), 1)
    assert desk.sends(order) == 1


def test_an_order_the_broker_refuses_is_rejected_in_its_words_and_not_repeated(desk: Desk) -> None:
    order = approved()
    desk.control.fault(
        "status", status=422, body={"code": 42210000, "message": "options are resting"}, times=None, **POST
    )

    sent, again = submit_once(order, desk.sender), submit_once(order, desk.sender)

    last = desk.ledger.order_events(order.order.client_order_id)[-1]
    assert (sent.state, again.state) == (OrderState.REJECTED, OrderState.REJECTED)
    assert last.evidence["text"].endswith("options are resting")
    assert desk.control.state()["faults"][0]["fired"] == 1


def test_fm_03_a_duplicate_id_means_the_broker_has_it_and_is_looked_up(desk: Desk) -> None:
    order = approved(RESTING)
    desk.sender.broker.submit(order.order)

    sent = submit_once(order, desk.sender)

    assert sent.state is OrderState.WORKING
    assert desk.ids() == [order.order.client_order_id]


def test_a_duplicate_id_for_an_order_nobody_can_find_is_not_a_rejection(desk: Desk) -> None:
    order = approved()
    desk.control.fault("status", status=422, body=DUPLICATE, times=None, **POST)

    sent = submit_once(order, desk.sender)

    assert sent.state is OrderState.UNKNOWN


@pytest.mark.parametrize("limit", [MARKETABLE, RESTING])
def test_the_same_order_submitted_again_by_another_run_sends_nothing(desk: Desk, limit: str) -> None:
    order = approved(limit)
    first = submit_once(order, desk.sender)

    again = submit_once(order, desk.another_run())

    assert again.broker_order_id == first.broker_order_id
    assert desk.sends(order) == 1


def test_two_runs_that_submit_the_same_order_at_once_make_one_order(desk: Desk) -> None:
    order, runs = approved(RESTING), [desk.sender, desk.another_run()]

    with ThreadPoolExecutor(2) as pool:
        sent = list(pool.map(lambda run: submit_once(order, run), runs))

    assert desk.sends(order) == 1
    assert {one.state for one in sent} <= {OrderState.WORKING, OrderState.SENDING}
    assert desk.intent(order).state is OrderState.WORKING


def test_an_answer_that_is_lost_after_another_run_has_found_the_order_leaves_it_working(
    desk: Desk, monkeypatch
) -> None:
    order = approved(RESTING)
    submit = desk.sender.broker.submit

    def looked_up_meanwhile(one):
        submit(one)
        resolve(desk.intent(order), desk.sender, resend=False)
        raise OutcomeUnknown("the answer was lost")

    monkeypatch.setattr(desk.sender.broker, "submit", looked_up_meanwhile)

    sent = submit_once(order, desk.sender)

    assert sent.state is OrderState.WORKING
    assert desk.sends(order) == 1


def test_a_run_that_finds_the_order_on_its_way_waits_for_the_word_and_does_not_send(desk: Desk) -> None:
    order = approved()
    desk.ledger.record_intent(desk.sender.run_id, order, lease=desk.sender.lease, at=desk.control.now())

    sent = submit_once(order, desk.another_run())

    assert sent.state is OrderState.SENDING
    assert desk.sends(order) == 0


def test_an_order_whose_request_may_be_on_its_way_is_not_given_up_however_old_its_decision_is(
    desk: Desk,
) -> None:
    order, lease = approved(), desk.sender.lease
    desk.ledger.record_intent(desk.sender.run_id, order, lease=lease, at=desk.control.now())
    desk.control.advance(FRESH.total_seconds() + 1)
    assert desk.ledger.mark_sending(order.order.client_order_id, lease=lease, at=desk.control.now())

    desk.sync()
    on_its_way = desk.intent(order).state
    desk.control.advance(IN_FLIGHT.total_seconds())
    desk.sync()

    assert on_its_way is OrderState.SENDING
    assert desk.intent(order).state is OrderState.ABANDONED


def test_an_order_the_broker_never_had_is_given_up_once_its_decision_is_stale(desk: Desk) -> None:
    order = approved()
    desk.control.fault("drop", times=None, **POST)
    submit_once(order, desk.sender)
    desk.control.advance(FRESH.total_seconds())

    later = submit_once(order, desk.sender)

    assert later.state is OrderState.ABANDONED
    assert desk.ids() == []


def test_an_intent_that_was_never_sent_is_not_sent_when_its_decision_is_stale(desk: Desk) -> None:
    order = approved()
    desk.ledger.record_intent(desk.sender.run_id, order, lease=desk.sender.lease, at=desk.control.now())
    desk.control.advance(FRESH.total_seconds() + 1)

    later = submit_once(order, desk.sender)

    assert later.state is OrderState.ABANDONED
    assert desk.sends(order) == 0


def test_an_order_given_up_that_turns_up_at_the_broker_is_ours_again(desk: Desk) -> None:
    order = approved()
    desk.control.fault("drop", times=None, **POST)
    submit_once(order, desk.sender)
    desk.control.clear_faults()
    desk.control.advance(FRESH.total_seconds())
    desk.sync()
    given_up = desk.intent(order).state
    desk.sender.broker.submit(order.order)

    synced = desk.sync()

    assert given_up is OrderState.ABANDONED
    assert (desk.intent(order).state, desk.intent(order).filled) == (OrderState.FILLED, 2)
    assert synced.adopted == ()
    assert desk.ledger.holdings(ACCOUNT) == desk.sender.broker.holdings()
    assert desk.ledger.verify().ok


def test_a_working_order_that_the_broker_suddenly_denies_is_left_for_reconciliation(desk: Desk) -> None:
    order = approved(RESTING)
    submit_once(order, desk.sender)
    desk.control.advance(FRESH.total_seconds() + 1)
    desk.control.fault(
        "status", status=404, body={"code": 40410000, "message": "order not found"}, times=None, **LOOK_UP
    )

    desk.sync()

    assert desk.intent(order).state is OrderState.WORKING


def test_fm_18_a_halt_that_came_before_the_record_stops_the_order(desk: Desk) -> None:
    order = approved()
    desk.ledger.set_halt(DIP_BOT, "pause", "late news", "test", desk.control.now())

    with pytest.raises(Halted, match="late news"):
        submit_once(order, desk.sender)

    assert desk.ledger.intents() == ()
    assert desk.sends(order) == 0


def test_fm_18_a_halt_stops_the_order_that_would_have_been_sent_again(desk: Desk) -> None:
    order = approved()
    desk.control.fault("drop", **POST)
    desk.control.fault("status", status=503, times=4, **LOOK_UP)
    first = submit_once(order, desk.sender)
    desk.ledger.set_halt(DIP_BOT, "pause", "late news", "test", desk.control.now())

    with pytest.raises(Halted, match="late news"):
        submit_once(order, desk.sender)

    assert (first.state, desk.intent(order).state) == (OrderState.UNKNOWN, OrderState.UNKNOWN)
    assert desk.ids() == []


def test_a_trader_whose_lease_was_taken_over_sends_nothing(desk: Desk) -> None:
    first, second = approved(), approved(slot="open-30m")
    now = desk.control.now()
    desk.ledger.record_intent(desk.sender.run_id, first, lease=desk.sender.lease, at=now)
    desk.control.advance(timedelta(hours=1, seconds=1).total_seconds())
    seat(desk.url, desk.ledger, "run-2", holder="somebody else")

    with pytest.raises(LeaseLost, match="somebody else"):
        submit_once(second, desk.sender)
    with pytest.raises(LeaseLost, match="somebody else"):
        desk.ledger.mark_sending(first.order.client_order_id, lease=desk.sender.lease, at=desk.control.now())

    assert desk.control.state()["orders_received"] == 0


def test_an_account_that_cannot_be_read_stops_the_order_before_it_is_sent(desk: Desk) -> None:
    order = approved()
    desk.control.fault("status", status=503, method="GET", path="/v2/account$")

    with pytest.raises(ProviderUnavailable):
        submit_once(order, desk.sender)
    desk.control.advance(FRESH.total_seconds())
    desk.sync()

    assert desk.intent(order).state is OrderState.ABANDONED
    assert desk.sends(order) == 0


def test_a_sync_that_cannot_read_the_broker_whole_books_nothing(desk: Desk) -> None:
    submit_once(approved(), desk.sender)
    desk.control.fault("status", status=500, method="GET", path="/v2/account/activities")

    with pytest.raises(Transient):
        desk.sync()

    assert desk.ledger.fills(ACCOUNT) == ()
