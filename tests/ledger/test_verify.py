"""Whatever is changed behind the ledger's back, verify finds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, delete, text, update
from sqlalchemy.exc import DatabaseError

from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.checks import CheckReport, Finding, Severity
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import AccountId, BrokerOrderId, cash, price
from wsb_core.domain.orders import Effect, OrderState
from wsb_core.ledger import Decided, Ledger, Outcome
from wsb_core.ledger.chain import GENESIS, chain_problems, digest
from wsb_core.ledger.retention import allow_deletes, guarded_tables
from wsb_core.ledger.rows import kept_tables, row_problems
from wsb_core.ledger.tables import FillRow
from wsb_core.ledger.verify import audit_entries

from .build import ACCOUNT, ACME, DAY, DIP, LONG_CALL, NOON, RUN, VERTICAL, Desk, approved, booked, executions

Tamper = Callable[[str], None]


@pytest.fixture
def tamper(ledger_url: str) -> Tamper:
    """Run a statement past the ledger, as somebody could who took its guards away first."""

    def run(statement: str) -> None:
        engine = create_engine(ledger_url)
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET session_replication_role = replica"))
            allow_deletes(connection)
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
    number, entry = next((n, e) for n, e in enumerate(traded.audit_log(), 1) if e.kind == "lease")
    forged = digest(entry.prev_hash, entry.seq, entry.at, entry.kind, "{}")
    tamper(f"UPDATE audit_log SET payload = '{{}}', hash = '{forged}' WHERE seq = {number}")

    assert traded.verify().problems == (f"audit row {number + 1} does not follow the row before it",)


@pytest.fixture
def full(desk: Desk, traded: Ledger) -> Ledger:
    """A ledger with a row at least in every table that counts."""
    order = traded.intents()[0].client_order_id
    traded.record_leg_ids(order, {VERTICAL.legs[0].instrument.symbol: BrokerOrderId("leg")}, desk.tick())
    finding = Finding("not empty", True, Severity.CRITICAL, "3 rows")
    traded.record_check(RUN, CheckReport("bars", "d1", desk.tick(), 3, (finding,)))
    decided = Decided(ACME, Outcome.REFUSED, stage="screen", rule="dip", value="1", bound="2")
    traded.record_decisions(RUN, session=DAY, strategy=DIP, slot="x", decisions=[decided], at=desk.tick())
    traded.record_inputs(RUN, {"panel": b"prices"}, desk.tick())
    traded.set_limits(None, {"daily_loss": Decimal("0.03")}, "me", desk.tick())
    traded.set_halt("*", "pause", "lunch", "me", desk.tick())
    traded.record_look(ACCOUNT, [{"rule": "daily_loss"}], desk.tick())
    traded.record_mark(ACCOUNT, cash("10000"), cash("9000"), desk.tick(), "open")
    traded.record_reconciliation(ACCOUNT, desk.tick(), True, ())
    traded.arm(ACCOUNT, NOON + timedelta(hours=1), "me", desk.tick())
    return traded


CHANGED = {
    "accounts": "opening_cash = '1'",
    "activities": "description = 'x'",
    "armings": "set_by = 'x'",
    "blobs": "recorded_at = opened_at FROM accounts",
    "cash_entries": "at = opened_at FROM accounts",
    "check_results": "rows = 2",
    "decisions": "rule = 'x'",
    "fills": "broker_order_id = 'x'",
    "halts": "reason = 'x'",
    "intents": "reason = 'x'",
    "looks": "readings = '[]'",
    "marks": "kind = 'close'",
    "order_events": "to_state = 'x'",
    "order_legs": "broker_order_id = 'x'",
    "orders": "effect = 'x'",
    "reconciliations": "breaks = '[1]'",
    "risk_limits": "set_by = 'x'",
    "run_inputs": "digest = 'x'",
    "runs": "code_version = 'x'",
    "strategies": "name = name || 'x'",
}
"""A change of one column, table by table."""


def complaints(problems: Sequence[str], what: str) -> set[str]:
    return {problem.split()[0] for problem in problems if problem.endswith(what)}


def test_a_row_of_any_table_that_counts_cannot_be_changed_unseen(full: Ledger, tamper: Tamper):
    before = full.verify()
    for table, change in CHANGED.items():
        tamper(f"UPDATE {table} SET {change}")

    found = stored_problems(full)
    assert (before.ok, before.problems) == (True, ())
    assert {table.name for table in kept_tables()} == set(CHANGED)
    assert complaints(found, "was changed since it was written") >= set(CHANGED) - {"strategies"}
    assert "strategies" in complaints(found, "was removed")


def test_a_row_of_any_table_that_counts_cannot_be_taken_away_unseen(full: Ledger, tamper: Tamper):
    for table in CHANGED:
        tamper(f"DELETE FROM {table}")

    assert complaints(stored_problems(full), "was removed") == set(CHANGED)


def stored_problems(ledger: Ledger) -> list[str]:
    """What does not fit the chain; a ledger in pieces cannot be added up any more."""
    with ledger._store.read() as session:
        return list(row_problems(session, audit_entries(session)))


def test_rows_that_changed_places_or_were_slipped_in_are_found(full: Ledger, tamper: Tamper):
    one, other = (fill.execution_id for fill in full.fills(ACCOUNT)[:2])
    for was, becomes in ((one, "between"), (other, one), ("between", other)):
        tamper(f"UPDATE fills SET execution_id = '{becomes}' WHERE execution_id = '{was}'")
    tamper("INSERT INTO strategies VALUES ('mine', (SELECT min(first_seen_at) FROM strategies))")

    found = full.verify().problems
    assert {f'fills ["{name}"]: was changed since it was written' for name in (one, other)} <= set(found)
    assert any(p.startswith('strategies ["mine"]') for p in found)


def test_bytes_that_were_changed_under_their_digest_are_found(full: Ledger, tamper: Tamper):
    tamper(
        "UPDATE blobs SET data = CAST('x' AS BLOB)"
        if "sqlite" in full._store.name
        else "UPDATE blobs SET data = 'x'"
    )

    assert any(problem.endswith("its bytes were changed") for problem in full.verify().problems)


def test_nothing_that_counts_can_be_deleted(full: Ledger, ledger_url: str):
    engine = create_engine(ledger_url)
    refused = set()
    for table in guarded_tables():
        with engine.connect() as connection, pytest.raises(DatabaseError, match="nothing is deleted"):
            connection.execute(text(f"DELETE FROM {table}"))
        refused.add(table)
    engine.dispose()

    assert refused == {*CHANGED, "audit_log", "audit_head"}


def test_the_ledger_itself_deletes_nothing_and_changes_rows_one_by_one(full: Ledger):
    with pytest.raises(LedgerError, match="none is deleted"), full._store.write(NOON) as tx:
        tx.session.execute(delete(FillRow))
    with pytest.raises(LedgerError, match="one by one"), full._store.write(NOON) as tx:
        tx.session.execute(update(FillRow).values(price=Decimal(1)))

    assert full.verify().ok


def test_a_ledger_from_before_rows_were_in_the_chain_takes_them_in_as_they_are(full: Ledger, tamper: Tamper):
    tamper("UPDATE audit_log SET kind = 'note' WHERE kind = 'rows'")
    tamper("DELETE FROM audit_log WHERE seq > 1")
    tamper("UPDATE audit_log SET kind = 'account_opened'")
    first = full.audit_log()[0]
    tamper(f"UPDATE audit_head SET seq = 1, hash = '{first.hash}'")
    full.upgrade()
    full.upgrade()

    assert [entry.kind for entry in full.audit_log()] == ["account_opened", "rows"]
    assert stored_problems(full) == []


def test_what_was_said_goes_into_the_chain_with_the_next_write_and_waits_when_that_fails(ledger: Ledger):
    ledger.say("exchange", {"call": "GET /v2/clock"}, NOON)
    before = len(ledger.audit_log())
    with pytest.raises(LedgerError, match="not in this ledger"):
        ledger.record_mark(AccountId("NOBODY"), cash("1"), cash("1"), NOON, "open")
    ledger.audit("note", {}, NOON)

    said, note = ledger.audit_log()[before:]
    assert (said.kind, note.kind) == ("exchange", "note")
    assert '"call":"GET /v2/clock"' in said.payload


def test_the_request_is_in_the_chain_before_it_leaves(desk: Desk):
    order = desk.intend(approved(VERTICAL)).order

    [request] = [entry for entry in desk.ledger.audit_log() if entry.kind == "intent"]
    assert f'"client_order_id":"{order.client_order_id}"' in request.payload
    assert "buy_to_open 1 ACME" in request.payload


def test_a_request_that_leaves_again_is_in_the_chain_again(desk: Desk):
    order = desk.intend(approved(VERTICAL)).order
    desk.lose(order.client_order_id)
    desk.send_again(order.client_order_id)

    [request] = [entry for entry in desk.ledger.audit_log() if entry.kind == "request"]
    assert f'"client_order_id":"{order.client_order_id}"' in request.payload


def test_the_chain_begins_at_the_beginning(ledger: Ledger):
    first = ledger.audit_log()[0]

    assert (first.seq, first.prev_hash, first.kind) == (1, GENESIS, "account_opened")


def test_an_order_told_filled_whose_fills_are_missing_is_found(desk: Desk):
    order = desk.intend(approved(LONG_CALL)).order
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
