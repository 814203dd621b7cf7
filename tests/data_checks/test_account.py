from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from data_checks import CheckFailed, check_account
from data_checks.account import RULES, judge_account
from wsb_core.domain.contracts import Right, Share
from wsb_core.domain.ids import AccountId, Cash, Underlying
from wsb_core.domain.positions import AccountState, Holding

from .frames import AT, account, contract

OURS = AccountId("PA1")
SHARES = Holding(Share(Underlying("XYZ")), Decimal("100"))
SHORT_PUT = Holding(contract(90, Right.PUT, date(2024, 7, 19)), Decimal("-1"))


def failures(state: AccountState, *holdings: Holding, **options: object) -> list[str]:
    report = judge_account(state, holdings, **{"account": OURS, "at": AT, **options}).report
    return [finding.expectation for finding in report.failures]


def test_an_account_in_order_passes() -> None:
    checked = check_account(account(), [SHARES, SHORT_PUT], account=OURS, at=AT)

    assert checked.holdings == (SHARES, SHORT_PUT)
    assert checked.proof.suite == "account"
    assert checked.proof.rows == 1


def test_an_account_that_holds_nothing_passes() -> None:
    assert failures(account()) == []


SPOILED = [
    ("account_is_ours", {"account": AccountId("PA2")}),
    ("equity_given", {"equity": Cash(Decimal("NaN"))}),
    ("cash_given", {"cash": Cash(Decimal("Infinity"))}),
    ("buying_power_given", {"buying_power": Cash(Decimal("NaN"))}),
    ("equity_not_negative", {"equity": Cash(Decimal("-1"))}),
    ("buying_power_not_negative", {"buying_power": Cash(Decimal("-1"))}),
    ("not_blocked", {"blocked": True}),
    ("options_level_enough", {"options_level": 0}),
    ("options_level_enough", {"options_level": None}),
    ("options_buying_power_given", {"options_buying_power": None}),
    ("fresh", {"as_of": AT - timedelta(minutes=2)}),
    ("fresh", {"as_of": AT + timedelta(minutes=2)}),
]


@pytest.mark.parametrize(("name", "change"), SPOILED)
def test_each_fault_fails_by_name(name: str, change: dict[str, object]) -> None:
    assert name in failures(account(**change))


def test_a_debit_balance_is_no_fault() -> None:
    assert failures(account(cash=Cash(Decimal("-5000")))) == []


@pytest.mark.parametrize("quantity", ["0", "NaN"])
def test_a_holding_that_cannot_be_read_fails(quantity: str) -> None:
    assert failures(account(), Holding(SHARES.instrument, Decimal(quantity))) == ["holdings_readable"]


def test_an_instrument_listed_twice_fails() -> None:
    assert failures(account(), SHARES, SHARES) == ["holdings_unique"]


def test_every_rule_is_seen_to_fail() -> None:
    holdings = {"holdings_readable", "holdings_unique"}

    assert {rule.name for rule in RULES} == {name for name, _ in SPOILED} | holdings


def test_a_shares_only_account_needs_no_options_figures() -> None:
    state = account(options_level=None, options_buying_power=None)

    assert failures(state, min_options_level=0) == []


def test_the_failure_names_the_figure() -> None:
    with pytest.raises(CheckFailed, match="not_blocked") as caught:
        check_account(account(blocked=True), [], account=OURS, at=AT)

    [finding] = caught.value.report.failures
    assert finding.examples[0] == {"account": "PA1", "blocked": True}
