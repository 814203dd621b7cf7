"""Leases, halts, limits and arming."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from wsb_core.domain.errors import LeaseLost
from wsb_core.domain.ids import AccountId
from wsb_core.ledger import HaltKind, Ledger

from .build import ACCOUNT, DIP, LONG_CALL, NOON, RUN, WHEEL, approved

MINUTE = timedelta(minutes=1)


def test_a_lease_is_refused_while_another_holds_it(ledger: Ledger):
    ledger.acquire_lease(ACCOUNT, "one", NOON, MINUTE)

    with pytest.raises(LeaseLost, match=r"'one' holds the lease until 2026-01-14 17:01"):
        ledger.acquire_lease(ACCOUNT, "two", NOON, MINUTE)


def test_renewing_keeps_the_token_and_never_shortens_the_lease(ledger: Ledger):
    first = ledger.acquire_lease(ACCOUNT, "one", NOON, 10 * MINUTE)
    renewed = ledger.acquire_lease(ACCOUNT, "one", NOON + MINUTE, MINUTE)

    assert (renewed.token, renewed.expires_at) == (first.token, first.expires_at)


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
    again = ledger.set_halt(DIP, "pause", "again", "me", NOON + MINUTE)
    ledger.set_halt("*", "flatten", "kill", "me", NOON + MINUTE)

    assert again == first
    assert [h.kind for h in ledger.halts(DIP)] == [HaltKind.PAUSE, HaltKind.FLATTEN]
    assert [h.kind for h in ledger.halts(WHEEL)] == [HaltKind.FLATTEN]
    assert len(ledger.halts()) == 2
    assert ledger.clear_halt(DIP, "me", NOON + 2 * MINUTE) == 1
    assert [h.scope for h in ledger.halts()] == ["*"]


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
