"""A short campaign: seeds come out clean, each guard is missed when it is gone, a seed repeats itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest

from tests.campaign import over_http
from tests.campaign.books import an_empty_ledger
from tests.campaign.check import Found, Truth, reckon
from tests.campaign.days import Scene, run_seed
from tests.campaign.report import Tally
from tests.campaign.weakened import WEAKENED
from tests.campaign.world import Plan
from tests.conftest import ROOT
from tests.ledger.build import ACCOUNT, LONG_CALL, NOON
from wsb_core.domain.ids import cash
from wsb_core.ledger import open_ledger

SEEDS = range(8)
MOST = 12
"""Seeds after which a guard that is missing has to have been noticed."""


def test_orders_go_out_exactly_once_whatever_breaks_on_the_way() -> None:
    tally = Tally(start=SEEDS[0], mode="in process", database="sqlite")

    for seed in SEEDS:
        tally.add(run_seed(seed))

    assert tally.failing == {}
    assert tally.orders > len(SEEDS)
    assert tally.crashes > 3
    assert {"POST /orders", "mark_sending before", "move_order after"} & {step for step, _ in tally.by_step}


@pytest.mark.parametrize("name", WEAKENED)
def test_a_guard_that_is_taken_out_is_missed(name: str) -> None:
    guard = WEAKENED[name]

    with guard.weaken():
        noticed = next(
            (
                seed
                for seed in range(guard.start, guard.start + MOST)
                if run_seed(seed, scene=guard.scene).failed
            ),
            None,
        )

    assert noticed is not None


@pytest.mark.parametrize("name", WEAKENED)
def test_in_the_same_trouble_nothing_goes_wrong_while_the_guard_is_there(name: str) -> None:
    guard = WEAKENED[name]

    outcome = run_seed(guard.start, scene=guard.scene)

    assert (outcome.found, outcome.surprises) == (Found(), [])


_DIGEST = """
from tests.campaign.test_campaign import digest_of
print(digest_of(1))
"""


def digest_of(seed: int) -> str:
    """Of everything that happened in a seed, in order and with its instant."""
    return hashlib.sha256("\n".join(run_seed(seed, trace=True).trace).encode()).hexdigest()


def test_a_seed_reproduces_its_run_in_any_process() -> None:
    other = subprocess.run(
        [sys.executable, "-c", _DIGEST],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
    )

    assert other.stdout.strip() == digest_of(1)


def test_without_faults_nothing_is_refused_by_an_error() -> None:
    outcome = run_seed(2, scene=Scene(Plan()))

    assert outcome.found == Found()
    assert set(outcome.ends) <= {"done", "skipped"}


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_processes_that_are_killed_over_http_lose_and_repeat_nothing(database: str) -> None:
    outcome = over_http.run_seed(1, database)

    assert (outcome.found, outcome.surprises) == (Found(), [])
    assert outcome.crashes > 0


def test_the_reckoning_sees_what_the_ledger_does_not_have() -> None:
    contract = LONG_CALL.contracts[0]
    fills = Counter({(contract.symbol, Decimal(1), Decimal(1)): 1})
    truth = Truth((), fills, {contract: Decimal(1)}, Decimal(9_900))
    with an_empty_ledger() as url, open_ledger(url) as ledger:
        ledger.open_account(ACCOUNT, "practice", cash("10000"), NOON)
        found = reckon(truth, ledger, ACCOUNT, {}, None)

    assert found.lost == [f"1 x fill of 1 {contract.symbol} at 1 is not in the ledger"]
    assert found.books_differ == [
        f"{contract.symbol}: ledger None, exchange 1",
        "cash: ledger 10000, exchange 9900",
    ]
    assert found.unexplained == ["no reconciliation came to an end"]
