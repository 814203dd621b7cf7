"""Runs, checks, decisions, observations and alerts are kept as told and given back whole."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from wsb_core.domain.checks import CheckReport, Finding, Quarantined, Severity
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import RunId, cash
from wsb_core.ledger import Decided, Ledger, Outcome

from .build import ACCOUNT, ACME, DAY, DIP, NOON, RUN

MINUTE = timedelta(minutes=1)


def test_an_account_keeps_its_mode_and_its_opening_cash(ledger: Ledger):
    again = ledger.open_account(ACCOUNT, "practice", cash("1"), NOON)

    assert not again
    assert ledger.cash(ACCOUNT) == Decimal(10000)
    with pytest.raises(LedgerError, match="is a practice account in this ledger, not live"):
        ledger.open_account(ACCOUNT, "live", cash("10000"), NOON)


def test_a_run_is_started_once_and_ends_with_a_reason(ledger: Ledger):
    again = ledger.start_run(
        RUN,
        flow="other",
        strategy=None,
        session=None,
        slot=None,
        account=ACCOUNT,
        config_hash="",
        code_version="",
        at=NOON + MINUTE,
    )
    ledger.finish_run(RUN, "skipped", "market closed", NOON + MINUTE)

    [run] = ledger.runs(session=DAY, flow="run-strategy")
    assert not again
    assert (run.started_at, run.strategy, run.slot, run.config_hash) == (NOON, DIP, "close-25m", "c0ffee")
    assert (run.state, run.reason, run.finished_at) == ("skipped", "market closed", NOON + MINUTE)
    assert ledger.runs(session=date(2026, 1, 15)) == ()


def test_a_check_report_comes_back_whole(ledger: Ledger):
    report = CheckReport(
        suite="option_chain",
        digest="abc",
        checked_at=NOON,
        rows=120,
        findings=(
            Finding(
                "bid_below_ask", False, Severity.CRITICAL, "2 of 120", 2, ({"occ_symbol": "X", "bid": 1.5},)
            ),
            Finding("fresh", True, Severity.WARNING, "4 s"),
        ),
        quarantined=(Quarantined("ACME", "bid_below_ask", "2 rows"),),
    )
    recorded = [ledger.record_check(RUN, report) for _ in range(2)]

    [kept] = ledger.checks(DAY)
    assert recorded == [True, False]
    assert (kept.run_id, kept.report) == (RUN, report)
    assert not kept.report.passed


def test_a_decision_is_kept_once_a_run_with_its_numbers(ledger: Ledger):
    told = (
        Decided(ACME, Outcome.REFUSED, "screen", "rsi", "55.1", "< 30", "too high", {"rsi": "55.1"}),
        Decided(ACME, "selected", stage="review", rule="approved"),
    )
    new = [
        ledger.record_decisions(RUN, session=DAY, strategy=DIP, slot="close-25m", decisions=told, at=NOON)
        for _ in range(2)
    ]

    refused, selected = ledger.decisions(session=DAY, strategy=DIP)
    assert new == [2, 0]
    assert (refused.rule, refused.value, refused.bound, refused.facts) == (
        "rsi",
        "55.1",
        "< 30",
        {"rsi": "55.1"},
    )
    assert (refused.run_id, refused.session, refused.at) == (RUN, DAY, NOON)
    assert selected.outcome is Outcome.SELECTED


def test_a_decision_with_an_outcome_we_do_not_know_does_not_exist():
    with pytest.raises(ValueError, match="maybe"):
        Decided(ACME, "maybe", "screen")


def test_decisions_need_a_run(ledger: Ledger):
    with pytest.raises(LedgerError, match="start_run first"):
        ledger.record_decisions(RunId("ghost"), session=DAY, strategy=DIP, slot="x", decisions=(), at=NOON)


def test_provider_health_sums_up_the_last_calls(ledger: Ledger):
    never = ledger.provider_health("alpaca")
    for n, (ok, latency) in enumerate([(True, 100.0), (True, 300.0), (False, None), (False, 5000.0)]):
        ledger.record_provider("alpaca", ok, latency, "" if ok else f"timeout {n}", NOON + n * MINUTE)

    health = ledger.provider_health("alpaca")
    assert never is None
    assert health is not None
    assert (health.calls, health.consecutive_failures, health.error_rate) == (4, 2, 0.5)
    assert (health.last_ok_at, health.median_latency_ms, health.last_error) == (
        NOON + MINUTE,
        200.0,
        "timeout 3",
    )


def test_marks_answer_for_the_open_and_the_peak(ledger: Ledger):
    unknown = (ledger.equity_at_open(ACCOUNT, DAY), ledger.peak_equity(ACCOUNT))
    # Half past one in the morning in London is still the session before in New York.
    night = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
    for at, kind, equity in [
        (NOON, "open", "9900.50"),
        (NOON + MINUTE, "open", "9950"),
        (NOON + MINUTE, "intraday", "10100"),
        (night, "close", "9990"),
    ]:
        ledger.record_mark(ACCOUNT, cash(equity), cash("5000"), at, kind)

    assert unknown == (None, None)
    assert ledger.equity_at_open(ACCOUNT, DAY) == Decimal("9900.50")
    assert ledger.equity_at_open(ACCOUNT, DAY + timedelta(days=1)) is None
    assert ledger.peak_equity(ACCOUNT) == Decimal(10100)


def test_the_last_reconciliation_and_the_last_clean_one(ledger: Ledger):
    never = ledger.last_reconciliation(ACCOUNT)
    broken = [{"kind": "missing", "key": "ACME", "ours": "1", "theirs": "0"}]
    ledger.record_reconciliation(ACCOUNT, NOON, True, ())
    ledger.record_reconciliation(ACCOUNT, NOON + MINUTE, False, broken)

    last, clean = ledger.last_reconciliation(ACCOUNT), ledger.last_reconciliation(ACCOUNT, clean=True)
    assert never is None
    assert last is not None
    assert (last.clean, last.breaks) == (False, tuple(broken))
    assert clean is not None
    assert clean.at == NOON


def test_an_alert_key_is_used_once_ever(ledger: Ledger):
    queued = [ledger.enqueue_alert("run:1", "critical", "failed", "text", NOON) for _ in range(2)]
    [alert] = ledger.pending_alerts(NOON)
    ledger.mark_alert(alert.id, True, "", NOON)

    assert queued == [True, False]
    assert not ledger.enqueue_alert("run:1", "critical", "failed", "text", NOON + MINUTE)
    assert ledger.pending_alerts(NOON + 60 * MINUTE) == ()


def test_a_claimed_alert_is_nobody_elses_until_the_claim_runs_out(ledger: Ledger):
    ledger.enqueue_alert("a", "info", "t", "b", NOON)
    first = ledger.pending_alerts(NOON)

    assert len(first) == 1
    assert ledger.pending_alerts(NOON + timedelta(seconds=59)) == ()
    assert len(ledger.pending_alerts(NOON + MINUTE)) == 1


def test_a_failed_alert_waits_longer_each_time(ledger: Ledger):
    ledger.enqueue_alert("a", "info", "t", "b", NOON)
    waits, early, at = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600], [], NOON
    for seconds in waits:
        [alert] = ledger.pending_alerts(at)
        ledger.mark_alert(alert.id, False, "no route", at)
        early.append(ledger.pending_alerts(at + timedelta(seconds=seconds - 1)))
        at += timedelta(seconds=seconds)

    assert early == [()] * len(waits)
    assert [alert.attempts for alert in ledger.pending_alerts(at)] == [len(waits)]


def test_an_instant_in_any_zone_comes_back_as_the_same_instant_in_utc(ledger: Ledger):
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    at = datetime(2026, 3, 8, 7, 59, 59, 123456, tzinfo=kathmandu)
    ledger.set_halt("*", "pause", "drill", "me", at)

    [halt] = ledger.halts()
    assert (halt.at, halt.at.tzinfo) == (at, UTC)
    assert halt.at.microsecond == 123456


def test_a_naive_instant_is_refused(ledger: Ledger):
    with pytest.raises(ValueError, match="timezone-aware"):
        ledger.set_halt("*", "pause", "drill", "me", datetime(2026, 1, 14, 12))
    with pytest.raises(LedgerError, match="timezone-aware"):
        ledger.arm(ACCOUNT, datetime(2026, 1, 14, 12), "me", NOON)


@pytest.mark.parametrize(
    "text", ["0.1", "-12345678901234567890.0123456789", "1E+3", "0.0000000001", "100", "-0"]
)
def test_a_decimal_comes_back_to_the_last_digit(ledger: Ledger, text: str):
    ledger.set_limits(None, {"x": Decimal(text)}, "me", NOON)

    [found] = ledger.limits(None, NOON).values()
    assert found == Decimal(text)
    assert "E+" not in str(found)


@pytest.mark.parametrize("value", [Decimal("0.12345678901"), Decimal("NaN"), Decimal("1e20"), 0.5])
def test_a_number_that_cannot_be_kept_exactly_is_refused(ledger: Ledger, value: Decimal):
    with pytest.raises(LedgerError, match=r"stored number|takes a Decimal"):
        ledger.set_limits(None, {"x": value}, "me", NOON)

    assert ledger.limits(None, NOON) == {}
