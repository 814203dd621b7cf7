"""The table of recoveries: whole, consistent, and the same as its page."""

from __future__ import annotations

import pytest

from deployments import docs
from wsb_core.domain import errors
from wsb_core.domain.errors import (
    BadResponse,
    DataQualityError,
    InsufficientBuyingPower,
    LeaseLost,
    NotArmed,
    OrderRejected,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    ReconciliationBreak,
    WsbError,
)
from wsb_core.domain.halts import HaltKind
from wsb_core.execution.recovery import RECOVERY, Remedy, Trouble, classify

CLASSES = {
    DataQualityError: Trouble.DATA_FAILING,
    ProviderUnavailable: Trouble.BROKER_UNREACHABLE,
    BadResponse: Trouble.BROKER_UNREACHABLE,
    OutcomeUnknown: Trouble.OUTCOME_UNKNOWN,
    InsufficientBuyingPower: Trouble.BUYING_POWER,
    OrderRejected: Trouble.REFUSED_UNLISTED,
    ProviderRefused: Trouble.REFUSED_ACCOUNT,
    ReconciliationBreak: Trouble.RECONCILIATION_BREAK,
    NotArmed: Trouble.NOT_ALLOWED,
    LeaseLost: Trouble.NOT_ALLOWED,
}


def test_every_class_of_trouble_has_one_row_with_something_to_do() -> None:
    assert RECOVERY.keys() == set(Trouble)
    assert all(row.sign and row.do and row.severity in ("warning", "critical") for row in RECOVERY.values())


def test_every_remedy_is_used_and_halts_with_a_kind_that_exists() -> None:
    used = {row.remedy for row in RECOVERY.values()}

    assert used == set(Remedy)
    assert {remedy.halt for remedy in Remedy} - {None} <= {kind.value for kind in HaltKind}


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_has_its_class(error: type[WsbError]) -> None:
    assert classify(error("as it comes")) is CLASSES[error]


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), KeyError("y"), ValueError("z"), errors.LedgerError("l")]
)
def test_an_error_that_nobody_foresaw_halts_the_strategy(error: Exception) -> None:
    trouble = classify(error)

    assert trouble is Trouble.UNKNOWN_ERROR
    assert RECOVERY[trouble].remedy is Remedy.HALT_STRATEGY


def test_only_a_broker_that_cannot_be_reached_stops_exits() -> None:
    holds = [trouble for trouble, row in RECOVERY.items() if row.remedy is Remedy.HOLD]

    assert holds == [Trouble.BROKER_UNREACHABLE]


def test_nothing_that_stops_trading_is_told_as_less_than_critical() -> None:
    quiet = [trouble for trouble, row in RECOVERY.items() if row.remedy.halt and row.severity != "critical"]

    assert quiet == []


def test_the_page_of_recoveries_is_what_the_tables_say() -> None:
    written = docs.RECOVERY.read_text(encoding="utf-8")

    assert written == docs.render_recovery(), "stale: python -m deployments.docs"


def test_fm_61_reads_wait_longer_each_time_with_jitter_and_a_send_is_never_repeated() -> None:
    from tasks.retry import ONCE, READ

    waits = READ["retry_delay_seconds"](READ["retries"])

    assert waits == sorted(waits)
    assert waits[-1] > waits[0]
    assert READ["retry_jitter_factor"] > 0
    assert ONCE["retries"] == 0
