"""Whatever is changed behind the ledger's back, verify finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text

from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import price
from wsb_core.domain.orders import Effect, OrderState
from wsb_core.ledger import Ledger
from wsb_core.ledger.chain import GENESIS, chain_problems, digest

from .build import ACCOUNT, LONG_CALL, NOON, VERTICAL, Desk, approved, booked, executions

Tamper = Callable[[str], None]


@pytest.fixture
def tamper(ledger_url: str) -> Tamper:
    """Run a statement past the ledger."""

    def run(statement: str) -> None:
        engine = create_engine(ledger_url)
        with engine.begin() as connection:
            assert connection.execute(text(statement)).rowcount
        engine.dispose()

    return run


@pytest.fixture
def traded(desk: Desk) -> Ledger:
    """A ledger with an open vertical, a closed call and a fee, all in order."""
    desk.trade(VERTICAL, Effect.OPEN, 2, ["3.10", "1.05"])
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    desk.trade(LONG_CALL, Effect.CLOSE, 1, ["1.30"])
    desk.book(booked(ActivityKind.FEE, cash_="-0.13"))
    return desk.ledger


def test_a_ledger_left_alone_is_in_order(traded: Ledger):
    found = traded.verify()

    assert (found.ok, found.problems) == (True, ())
    assert found.rows_checked == len(traded.audit_log()) == found.head_seq
    assert found.cash == {ACCOUNT: Decimal("10000") - 410 + 30 - Decimal("0.13")}
    assert [p.structure for p in found.positions] == [VERTICAL]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE audit_log SET payload = '{}' WHERE kind = 'run_started'", "(run_started) was changed"),
        ("UPDATE audit_log SET kind = 'mark' WHERE kind = 'lease'", "(mark) was changed"),
        (
            "UPDATE audit_log SET at = prev.at FROM audit_log prev WHERE audit_log.seq = 6 AND prev.seq = 1",
            "row 6",
        ),
        ("DELETE FROM audit_log WHERE seq = 3", "row 3 is missing"),
        ("DELETE FROM audit_log WHERE seq > 9", "the audit log ends at row 9"),
        ("UPDATE audit_log SET seq = 1000 WHERE seq = 5", "row 5 is missing"),
        ("UPDATE orders SET filled = 1 WHERE quantity = 2", "with 1 units filled, its fills make 2"),
        ("DELETE FROM fills WHERE client_order_id IS NOT NULL", "its fills make 0"),
        ("UPDATE fills SET client_order_id = 'x', broker_order_id = 'y'", "belongs to no known order"),
        ("DELETE FROM cash_entries WHERE reference LIKE 'activity:%'", "cash entries add up to"),
    ],
)
def test_what_was_changed_is_found(traded: Ledger, tamper: Tamper, statement: str, complaint: str):
    tamper(statement)

    found = traded.verify()

    assert not found.ok
    assert any(complaint in problem for problem in found.problems)


def test_rows_that_changed_places_are_found(ledger: Ledger):
    for n in range(3):
        ledger.audit("note", {"n": n}, NOON + timedelta(seconds=n))
    entries = list(ledger.audit_log())
    entries[-1], entries[-2] = entries[-2], entries[-1]

    found = chain_problems(entries, entries[0].seq, entries[0].hash)

    assert any("does not follow the row before it" in problem for problem in found)


def test_a_row_rewritten_with_a_hash_of_its_own_breaks_the_next_one(traded: Ledger, tamper: Tamper):
    second = traded.audit_log()[1]
    forged = digest(second.prev_hash, second.seq, second.at, second.kind, "{}")
    tamper(f"UPDATE audit_log SET payload = '{{}}', hash = '{forged}' WHERE seq = 2")

    assert traded.verify().problems == ("audit row 3 does not follow the row before it",)


def test_the_chain_begins_at_the_beginning(ledger: Ledger):
    first = ledger.audit_log()[0]

    assert (first.seq, first.prev_hash, first.kind) == (1, GENESIS, "account_opened")


def test_an_order_told_filled_whose_fills_are_missing_is_found(desk: Desk):
    order = desk.intend(approved(LONG_CALL)).order
    desk.send(order.client_order_id)
    desk.told(order.client_order_id, OrderState.FILLED)
    before = desk.ledger.verify()
    desk.ledger.record_fills(ACCOUNT, executions(order, ["1.00"]), desk.tick())

    assert not before.ok
    assert desk.ledger.verify().ok


def test_what_fails_half_way_leaves_no_trace(desk: Desk):
    known = executions(approved(LONG_CALL).order, ["1.00"])
    desk.ledger.record_fills(ACCOUNT, known, desk.tick())
    before = desk.ledger.audit_log()
    new = executions(approved(LONG_CALL).order, ["2.00"])
    contradiction = replace(known[0], price=price("9"))

    with pytest.raises(LedgerError, match="told again"):
        desk.ledger.record_fills(ACCOUNT, (*new, contradiction), desk.tick())
    assert desk.ledger.fills(ACCOUNT) == known
    assert desk.ledger.audit_log() == before


def test_every_kind_of_change_is_in_the_chain(traded: Ledger):
    kinds = {entry.kind for entry in traded.audit_log()}

    assert kinds >= {"account_opened", "run_started", "lease", "intent", "order", "fill", "activity"}
