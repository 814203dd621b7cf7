from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.builders import AAPL, ACCOUNT, AS_OF, DIP_BOT, a_call
from wsb_core.domain.checks import CheckReport, Finding, Passed, Severity
from wsb_core.domain.errors import DataQualityError
from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.orders import (
    LEGAL_MOVES,
    ApprovedOrder,
    Effect,
    IntentKey,
    Order,
    OrderState,
    Review,
    Ruling,
    require_legal,
)
from wsb_core.domain.structures import single

KEY = IntentKey(ACCOUNT, DIP_BOT, date(2024, 5, 15), "close-25m", AAPL, "open")
OK = Ruling("budget", True, "400", "1000")


def an_order(effect: Effect = Effect.OPEN, quantity: int = 2, limit: str = "-4.00") -> Order:
    return Order(KEY, single(a_call()), effect, quantity, Price(Decimal(limit)))


def a_review(*rulings: Ruling, order: Order | None = None) -> Review:
    return Review(order or an_order(), AS_OF, rulings, Cash(Decimal(800)))


def test_the_client_order_id_depends_on_the_decision_and_on_nothing_else():
    again = IntentKey(ACCOUNT, DIP_BOT, date(2024, 5, 15), "close-25m", AAPL, "open")

    assert again.client_order_id == KEY.client_order_id
    assert re.fullmatch(r"[a-z0-9-]{1,48}", KEY.client_order_id)


@pytest.mark.parametrize(
    "change", [{"session": date(2024, 5, 16)}, {"slot": "open"}, {"action": "close x"}, {"attempt": 2}]
)
def test_another_decision_or_attempt_has_another_id(change):
    assert replace(KEY, **change).client_order_id != KEY.client_order_id


def test_nothing_but_a_review_that_passed_makes_an_approved_order():
    refused = Ruling("buying_power", False, "100", "800")

    with pytest.raises(ValueError, match="buying_power"):
        a_review(OK, refused).approve("dip", {})
    with pytest.raises(ValueError, match="no risk rule"):
        a_review().approve("dip", {})
    with pytest.raises(TypeError, match=r"Review\.approve"):
        ApprovedOrder(an_order(), a_review(OK), "dip", {}, object())


def test_nothing_but_a_report_without_failures_makes_a_proof():
    good = Finding("row_count", True, Severity.CRITICAL, "3")
    bad = Finding("bid_le_ask", False, Severity.CRITICAL, "1 row")
    minor = Finding("volume", False, Severity.WARNING, "1 row")

    def report(*findings: Finding) -> CheckReport:
        return CheckReport("bars", "digest", AS_OF, 3, findings)

    assert report(good, minor).proof().suite == "bars"
    with pytest.raises(DataQualityError, match="bid_le_ask"):
        report(good, bad).proof()
    with pytest.raises(DataQualityError, match="no expectation"):
        report().proof()
    with pytest.raises(TypeError, match="proof"):
        Passed("bars", "digest", AS_OF, 3, object())


def test_an_approved_entry_may_be_sent_at_a_better_price_or_smaller_and_never_at_a_worse_one():
    approved = a_review(OK).approve("dip", {})

    better = approved.at(Price(Decimal("-3.90")), attempt=2, quantity=1)

    assert (better.order.limit, better.order.quantity, better.order.key.attempt) == (Decimal("-3.90"), 1, 2)
    with pytest.raises(ValueError, match="worse"):
        approved.at(Price(Decimal("-4.01")), attempt=2)
    with pytest.raises(ValueError, match="more than the approved"):
        approved.at(Price(Decimal("-3.90")), attempt=2, quantity=3)


def test_an_approved_exit_may_be_sent_at_any_price():
    approved = a_review(OK, order=an_order(Effect.CLOSE, limit="4.00")).approve("stop", {})

    assert approved.at(Price(Decimal("0.05")), attempt=2).order.limit == Decimal("0.05")


@pytest.mark.parametrize("state", OrderState)
def test_settled_states_have_no_moves_except_that_the_brokers_evidence_revives_what_was_given_up(state):
    may_move = bool(LEGAL_MOVES[state])

    assert may_move == (not state.terminal or state is OrderState.ABANDONED)


def test_only_an_order_that_nobody_knows_of_goes_back_to_being_sent():
    assert [state for state in OrderState if OrderState.SENDING in LEGAL_MOVES[state]] == [OrderState.UNKNOWN]
    with pytest.raises(ValueError, match="cannot go from filled to working"):
        require_legal(OrderState.FILLED, OrderState.WORKING)
