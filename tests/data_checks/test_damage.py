"""Every kind of damage is caught by the expectation that is named for it, and clean tables pass whole."""

from __future__ import annotations

import pytest

from data_checks import SUITES
from wsb_core.domain.checks import Severity

from .benches import BENCHES, clean
from .damage import DAMAGES, Damage, failed, judged

TOLD_APART = {
    "account": {"cash_given", "buying_power_given", "equity_not_negative", "not_blocked"}
    | {"options_level_enough", "options_buying_power_given", "holdings_readable", "holdings_unique"},
    "bars": {"low_given", "adjusted", "history_long_enough"},
    "chain_history": {"session_given", "unique", "every_bid_and_iv_there", "last_inside_quotes"},
    "corporate_actions": {"kind_known", "ex_date_given", "special_known"},
    "earnings": set(),
    "iv_and_smile": {"forward_found", "iv_computed"},
    "option_chain": {"feed_good_enough", "spot_two_sided", "spot_fresh", "right_known", "strike_positive"}
    | {"iv_plausible", "bid_given", "not_locked"},
    "positions": {"standard_contract"},
    "quotes": {"not_locked"},
    "rates": {"day_given"},
    "universe": set(),
}
"""Rules that another kind than these shows to fail: in the suites' own tests, or on published data."""


@pytest.mark.parametrize("suite", BENCHES)
def test_a_clean_table_passes_whole(suite: str) -> None:
    verdict = BENCHES[suite].judge(clean(suite))

    assert failed(verdict) == set()
    assert verdict.report.quarantined == ()
    assert len(verdict.frame) == verdict.report.rows > 0


def test_there_is_a_bench_for_every_suite_and_enough_kinds_of_damage() -> None:
    kinds = {(entry.suite, entry.kind) for entry in DAMAGES}

    assert set(BENCHES) == set(SUITES) == {entry.suite for entry in DAMAGES}
    assert len(kinds) == len(DAMAGES) >= 60


@pytest.mark.parametrize("suite", SUITES)
def test_every_rule_has_damage_that_it_is_named_for(suite: str) -> None:
    rules = {rule.name for rule in SUITES[suite]}
    shown = {entry.caught_by for entry in DAMAGES if entry.suite == suite}

    assert rules - shown == TOLD_APART[suite]


@pytest.mark.parametrize("entry", DAMAGES, ids=lambda entry: f"{entry.suite}-{entry.kind}".replace(" ", "_"))
@pytest.mark.slow
def test_each_kind_of_damage_is_caught_by_the_expectation_named_for_it(entry: Damage) -> None:
    verdict = judged(entry)

    assert entry.caught_by in failed(verdict)


def test_a_warning_is_expected_only_where_nothing_wrong_is_traded_on() -> None:
    warnings = {
        (suite, rule.name)
        for suite, rules in SUITES.items()
        for rule in rules
        if rule.severity is Severity.WARNING
    }

    assert {(e.suite, e.caught_by) for e in DAMAGES} & warnings == {
        ("chain_history", "complete"),
        ("earnings", "time_known"),
        ("universe", "looked_at_lately"),
    }
