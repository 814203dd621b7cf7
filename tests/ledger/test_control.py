"""Leases, halts, looks, limits and arming."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.errors import Halted, LeaseLost, NotArmed
from wsb_core.domain.ids import AccountId, cash
from wsb_core.domain.orders import Effect, OrderState
from wsb_core.ledger import HaltKind, HardHalt, Intent, Ledger

from .build import ACCOUNT, DAY, DIP, LONG_CALL, NOON, RUN, WHEEL, Desk, approved, booked

MINUTE = timedelta(minutes=1)


def test_a_lease_is_refused_while_another_holds_it(ledger: Ledger):
    ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)

    with pytest.raises(LeaseLost, match=r"'one' holds the lease until 2026-01-14 17:01"):
        ledger.acquire_lease(ACCOUNT, "two", NOON, MINUTE)


def test_renewing_keeps_the_token_and_never_shortens_the_lease(ledger: Ledger):
    first = ledger.acquire_lease(ACCOUNT, "one", NOON, 10 * MINUTE)
    renewed = ledger.acquire_lease(ACCOUNT, "one", NOON + MINUTE, MINUTE)

    assert (renewed.token, renewed.expires_at) == (first.token, first.expires_at)


def lost(ledger: Ledger, order: Intent) -> Intent:
    """The same order once nobody knows what became of its request."""
    ledger.move_order(order.client_order_id, OrderState.UNKNOWN, at=order.created_at, evidence={})
    return order


def test_the_token_of_a_takeover_fences_off_the_old_holder(ledger: Ledger):
    old = ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)
    new = ledger.acquire_lease(ACCOUNT, "two", NOON + MINUTE, MINUTE)
    wish = approved(LONG_CALL)

    assert new.token > old.token
    with pytest.raises(LeaseLost, match=r"'two' \(token 2\)"):
        ledger.record_intent(RUN, wish, lease=old, at=NOON + MINUTE)
    assert ledger.record_intent(RUN, wish, lease=new, at=NOON + MINUTE).created


def test_a_lease_that_comes_back_to_its_first_holder_has_a_newer_token(ledger: Ledger):
    first = ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)
    ledger.acquire_lease(ACCOUNT, "two", NOON + MINUTE, MINUTE)
    last = ledger.acquire_lease(ACCOUNT, "one", NOON + 2 * MINUTE, MINUTE)

    with pytest.raises(LeaseLost):
        ledger.record_intent(RUN, approved(LONG_CALL), lease=first, at=NOON + 2 * MINUTE)
    assert last.token == first.token + 2


def test_a_paused_holder_that_wakes_after_a_takeover_sends_nothing(ledger: Ledger):
    old = ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)
    order = lost(ledger, ledger.record_intent(RUN, approved(LONG_CALL), lease=old, at=NOON))
    new = ledger.acquire_lease(ACCOUNT, "two", NOON + MINUTE, MINUTE)

    with pytest.raises(LeaseLost, match=r"'two' \(token 2\) holds the trader lease, not 'one' \(token 1\)"):
        ledger.mark_sending(order.client_order_id, lease=old, at=NOON + MINUTE)
    assert ledger.intent(order.client_order_id).state is OrderState.UNKNOWN
    assert ledger.mark_sending(order.client_order_id, lease=new, at=NOON + MINUTE)


def test_a_lease_that_ran_out_sends_nothing_until_it_is_renewed(ledger: Ledger):
    lease = ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)
    order = lost(ledger, ledger.record_intent(RUN, approved(LONG_CALL), lease=lease, at=NOON))
    late = NOON + 2 * MINUTE

    with pytest.raises(LeaseLost, match="expired"):
        ledger.mark_sending(order.client_order_id, lease=lease, at=late)
    renewed = ledger.renew_lease(lease, late, MINUTE)
    assert (renewed.token, renewed.expires_at) == (lease.token, late + MINUTE)
    assert ledger.mark_sending(order.client_order_id, lease=lease, at=late)


def test_renewed_in_time_a_lease_outlives_its_first_end(ledger: Ledger):
    lease = ledger.acquire_lease(ACCOUNT, "one", NOON, 2 * MINUTE)
    ledger.renew_lease(lease, NOON + MINUTE, 2 * MINUTE)

    with pytest.raises(LeaseLost, match=r"'one' holds the lease until 2026-01-14 17:03"):
        ledger.acquire_lease(ACCOUNT, "two", NOON + 2.5 * MINUTE, MINUTE)


def test_a_lease_that_another_took_or_that_was_given_back_is_not_renewed(ledger: Ledger):
    first = ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)
    second = ledger.acquire_lease(ACCOUNT, "two", NOON + MINUTE, MINUTE)
    ledger.release_lease(second, NOON + MINUTE)

    for lost in (first, second):
        with pytest.raises(LeaseLost, match="nobody holds"):
            ledger.renew_lease(lost, NOON + MINUTE, MINUTE)


def test_a_released_lease_is_free_and_worthless(ledger: Ledger):
    lease = ledger.acquire_lease(ACCOUNT, "one", NOON, 10 * MINUTE)
    released = [ledger.release_lease(lease, NOON + MINUTE) for _ in range(2)]
    other = ledger.acquire_lease(ACCOUNT, "one", NOON + MINUTE, MINUTE)

    assert released == [True, False]
    assert other.token == lease.token + 1
    with pytest.raises(LeaseLost):
        ledger.record_intent(RUN, approved(LONG_CALL), lease=lease, at=NOON + MINUTE)


def test_a_lease_of_another_account_is_no_lease(ledger: Ledger):
    other = AccountId("PA2")
    ledger.open_account(other, "practice", Decimal(1), NOON)
    lease = ledger.acquire_lease(other, "one", NOON, MINUTE)

    with pytest.raises(LeaseLost, match="is for PA2"):
        ledger.record_intent(RUN, approved(LONG_CALL), lease=lease, at=NOON)


def test_a_halt_is_in_force_once_until_it_is_cleared(ledger: Ledger):
    first = ledger.set_halt(DIP, "pause", "drawdown", "risk", NOON)
    again = ledger.set_halt(DIP, "pause", "again", "risk", NOON + MINUTE)
    ledger.set_halt("*", "flatten", "kill", "me", NOON + MINUTE)

    assert again == first
    assert [h.kind for h in ledger.halts(DIP)] == [HaltKind.PAUSE, HaltKind.FLATTEN]
    assert [h.kind for h in ledger.halts(WHEEL)] == [HaltKind.FLATTEN]
    assert len(ledger.halts()) == 2
    assert ledger.clear_halt(DIP, "me", NOON + 2 * MINUTE) == 1
    assert [h.scope for h in ledger.halts()] == ["*"]


def test_halts_of_two_setters_stand_side_by_side_and_lifting_one_leaves_the_other(ledger: Ledger):
    ledger.set_halt("*", "reduce_only", "books", "reconcile", NOON)
    ledger.set_halt("*", "reduce_only", "loss", "risk.daily_loss_soft", NOON, hard=False)

    cleared = ledger.clear_halt("*", "risk.daily_loss_soft", NOON, set_by="risk.daily_loss_soft")

    assert cleared == 1
    assert [(h.by, h.reason) for h in ledger.halts()] == [("reconcile", "books")]


def test_lifting_one_kind_leaves_the_others(ledger: Ledger):
    for kind in ("hold", "pause"):
        ledger.set_halt("*", kind, "broker away", "recovery", NOON)

    assert ledger.clear_halt("*", "recovery", NOON, kind="hold") == 1
    assert [h.kind for h in ledger.halts()] == [HaltKind.PAUSE]


def test_a_hard_halt_is_lifted_only_with_a_reason_and_then_keeps_it(ledger: Ledger):
    ledger.set_halt("*", "pause", "fed day", "me", NOON)
    ledger.set_halt("*", "flatten", "loss", "risk.daily_loss_hard", NOON)

    with pytest.raises(HardHalt, match=r"flatten by risk.daily_loss_hard \(loss\)"):
        ledger.clear_halt("*", "ann", NOON + MINUTE, why="  ")
    assert len(ledger.halts()) == 2
    assert ledger.clear_halt("*", "ann", NOON + MINUTE, why="looked: a bad mark") == 2
    assert any("looked: a bad mark" in entry.payload for entry in ledger.audit_log())


@pytest.mark.parametrize(
    ("kind", "hard"), [("pause", False), ("hold", False), ("reduce_only", True), ("flatten", True)]
)
def test_which_halts_are_hard_unless_their_setter_says_otherwise(ledger: Ledger, kind: str, hard: bool):
    plain = ledger.set_halt("*", kind, "why", "one", NOON)
    other = ledger.set_halt("*", kind, "why", "two", NOON, hard=not hard)

    assert (plain.hard, other.hard) == (hard, not hard)


def test_a_soft_halt_that_is_set_again_as_a_hard_one_is_hard(ledger: Ledger):
    ledger.set_halt("*", "pause", "loss", "risk", NOON, hard=False)
    ledger.set_halt("*", "pause", "more loss", "risk", NOON, hard=True)

    with pytest.raises(HardHalt):
        ledger.clear_halt("*", "risk", NOON)


@pytest.mark.parametrize("kind", ["pause", "reduce_only", "flatten"])
def test_every_kind_of_halt_leaves_exits_free(desk: Desk, kind: str):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    desk.ledger.set_halt("*", kind, "stop", "me", desk.tick())

    close = desk.intend(approved(LONG_CALL, Effect.CLOSE, slot="exit"))
    desk.lose(close.client_order_id)

    assert close.created
    assert desk.send_again(close.client_order_id)
    with pytest.raises(Halted):
        desk.intend(approved(LONG_CALL, slot="later"))


def test_a_hold_stops_exits_too_the_first_time_and_again(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])
    close = desk.intend(approved(LONG_CALL, Effect.CLOSE, slot="exit"))
    desk.lose(close.client_order_id)
    desk.ledger.set_halt("*", "hold", "broker away", "recovery", desk.tick())

    with pytest.raises(Halted, match="every order is stopped by hold"):
        desk.send_again(close.client_order_id)
    with pytest.raises(Halted):
        desk.intend(approved(LONG_CALL, Effect.CLOSE, slot="exit-2"))


def test_looks_come_back_by_session_in_their_order(ledger: Ledger):
    readings = [{"rule": "daily_loss_soft", "scope": "*", "value": "0.01", "past": "no"}]
    for at in (NOON + MINUTE, NOON, NOON + timedelta(days=1)):
        ledger.record_look(ACCOUNT, readings, at)

    found = ledger.looks(ACCOUNT, DAY)

    assert [look.at for look in found] == [NOON, NOON + MINUTE]
    assert [dict(row) for row in found[0].readings] == readings


def test_money_taken_out_is_no_fall_from_the_peak_and_money_paid_in_none_of_the_height(desk: Desk):
    ledger, day = desk.ledger, timedelta(days=1)
    for number, equity in enumerate(["10000", "11000", "6000"]):
        ledger.record_mark(ACCOUNT, cash(equity), cash("1"), NOON + number * day, "intraday")

    desk.book(booked(ActivityKind.CASH, cash_="-5000", at=NOON + 2 * day))
    withdrawn = ledger.peak_equity(ACCOUNT)
    desk.book(booked(ActivityKind.CASH, cash_="2000", at=NOON + 3 * day))
    paid_in = ledger.peak_equity(ACCOUNT)

    assert (withdrawn, paid_in) == (cash("6000"), cash("8000"))


def test_a_halt_can_be_set_again_after_it_was_cleared(ledger: Ledger):
    for _ in range(2):
        ledger.set_halt("*", "pause", "drill", "me", NOON)
        ledger.clear_halt("*", "me", NOON)

    assert ledger.halts() == ()


@pytest.mark.parametrize(("scope", "kind"), [("", "pause"), ("*", "stop")])
def test_a_halt_nobody_would_look_for_is_refused(ledger: Ledger, scope: str, kind: str):
    with pytest.raises(ValueError):
        ledger.set_halt(scope, kind, "drill", "me", NOON)

    assert ledger.halts() == ()


def test_limits_are_those_of_their_time(ledger: Ledger):
    ledger.set_limits(None, {"max_risk": Decimal("0.02"), "max_open": Decimal(4)}, "me", NOON)
    ledger.set_limits(DIP, {"max_risk": Decimal("0.01")}, "me", NOON + MINUTE)
    ledger.set_limits(None, {"max_open": Decimal(3)}, "me", NOON + 2 * MINUTE)

    assert ledger.limits(DIP, NOON - MINUTE) == {}
    assert ledger.limits(DIP, NOON) == {"max_risk": Decimal("0.02"), "max_open": Decimal(4)}
    assert ledger.limits(DIP, NOON + 5 * MINUTE) == {"max_risk": Decimal("0.01"), "max_open": Decimal(3)}
    assert ledger.limits(WHEEL, NOON + 5 * MINUTE) == {"max_risk": Decimal("0.02"), "max_open": Decimal(3)}
    assert ledger.limits(None, NOON + MINUTE) == {"max_risk": Decimal("0.02"), "max_open": Decimal(4)}


def test_the_last_arming_counts(ledger: Ledger):
    before = ledger.armed_until(ACCOUNT)
    ledger.arm(ACCOUNT, NOON + 60 * MINUTE, "me", NOON)
    armed = ledger.armed_until(ACCOUNT)
    ledger.arm(ACCOUNT, NOON + MINUTE, "me", NOON + MINUTE)

    assert (before, armed) == (None, NOON + 60 * MINUTE)
    assert ledger.armed_until(ACCOUNT) == NOON + MINUTE


def live_desk(ledger: Ledger) -> Desk:
    account = AccountId("LIVE1")
    ledger.open_account(account, "live", cash("10000"), NOON)
    return Desk(ledger, ledger.acquire_lease(account, "worker-1", NOON, timedelta(days=1)))


def live_order():
    return approved(LONG_CALL, account=AccountId("LIVE1"))


def test_a_live_account_that_is_not_armed_records_no_order(ledger: Ledger):
    desk = live_desk(ledger)

    with pytest.raises(NotArmed, match="LIVE1 is not armed"):
        desk.intend(live_order())
    assert ledger.intents() == ()


def test_arming_that_ran_out_stops_the_second_send(ledger: Ledger):
    desk = live_desk(ledger)
    ledger.arm(AccountId("LIVE1"), NOON + MINUTE, "me", NOON)
    order = lost(ledger, desk.intend(live_order()))

    with pytest.raises(NotArmed):
        ledger.mark_sending(order.client_order_id, lease=desk.lease, at=NOON + MINUTE)
    assert ledger.intent(order.client_order_id).state is OrderState.UNKNOWN


def test_disarming_stops_the_next_send_and_arming_lets_it_out(ledger: Ledger):
    desk, account = live_desk(ledger), AccountId("LIVE1")
    ledger.arm(account, NOON + 60 * MINUTE, "me", NOON)
    order = lost(ledger, desk.intend(live_order())).client_order_id
    ledger.arm(account, NOON + MINUTE, "me", NOON + MINUTE)

    with pytest.raises(NotArmed):
        ledger.mark_sending(order, lease=desk.lease, at=NOON + MINUTE)
    ledger.arm(account, NOON + 60 * MINUTE, "me", NOON + MINUTE)
    assert ledger.mark_sending(order, lease=desk.lease, at=NOON + 2 * MINUTE)


def test_an_account_keeps_the_mode_it_came_in(ledger: Ledger):
    assert ledger.account_mode(ACCOUNT) == "practice"
    assert ledger.account_mode(AccountId("PA9")) is None
