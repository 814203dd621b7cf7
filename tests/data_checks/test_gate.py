from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import data_checks
from data_checks import SUITES, CheckFailed, as_markdown, as_table
from data_checks.gate import EXAMPLES, Rule, Suite, check, digest
from wsb_core.domain.checks import CheckReport, Severity

from .frames import AT

SUITE = Suite(
    "numbers",
    ("name", "x"),
    ("name",),
    lambda frame: frame,
    (
        Rule("x_given", "x is there", lambda f: f["x"].notna(), ("x",)),
        Rule("x_positive", "x is above zero", lambda f: f["x"] > 0, ("x",)),
        Rule("x_small", "x is at most ten", lambda f: f["x"] <= 10, ("x",), Severity.WARNING),
    ),
)


def numbers(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"name": [f"n{i}" for i in range(len(values))], "x": list(values)})


def report(frame: pd.DataFrame) -> CheckReport:
    return check(frame, SUITE, at=AT).report


def test_importing_the_checks_does_not_import_great_expectations() -> None:
    code = "import sys, data_checks; print('great_expectations' in sys.modules or 'pandas' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.strip() == "False"


def test_the_registry_lists_every_suite() -> None:
    folder = Path(data_checks.__file__).parent
    helpers = {"__init__", "gate", "artifact", "measures"}

    assert set(SUITES) == {path.stem for path in folder.glob("*.py")} - helpers
    assert all(len({rule.name for rule in rules}) == len(rules) for rules in SUITES.values())


def test_a_warning_lets_the_data_through_and_shows() -> None:
    found = report(numbers(1, 11))

    [finding] = [f for f in found.findings if not f.passed]
    assert (finding.expectation, finding.severity, finding.bad_rows) == ("x_small", Severity.WARNING, 1)
    assert found.passed


def test_without_a_ticker_a_critical_fault_fails_with_its_rows() -> None:
    verdict = check(numbers(1, -2, 3), SUITE, at=AT)

    with pytest.raises(CheckFailed, match="x_positive") as caught:
        verdict.proof()

    [failed] = caught.value.report.failures
    assert failed.examples == ({"name": "n1", "x": -2.0},)


def test_examples_are_capped_and_the_count_is_not() -> None:
    found = report(numbers(*([-1.0] * 50)))

    [failed] = found.failures
    assert failed.bad_rows == 50
    assert len(failed.examples) == EXAMPLES


def test_a_row_that_cannot_be_judged_is_a_bad_row() -> None:
    assert [f.expectation for f in report(numbers(1, np.nan)).failures] == ["x_given", "x_positive"]


def test_an_expectation_that_raises_is_reported_with_its_message() -> None:
    lacking = check(numbers(1).drop(columns="name"), SUITE, at=AT, key="name")

    [raised] = [f for f in lacking.report.failures if f.expectation == "name_present"]
    assert raised.observed.startswith("could not be evaluated: ")
    assert '"name"' in raised.observed


def test_the_digest_follows_content_order_names_and_types() -> None:
    frame = numbers(1, 2, 3)

    changed = [
        frame.assign(x=[1, 2, 3.0000001]),
        frame.iloc[::-1],
        frame.rename(columns={"x": "y"}),
        frame.astype({"x": "float32"}),
        frame.iloc[:2],
    ]

    assert digest(frame) == digest(frame.set_axis([7, 8, 9]))
    assert digest(frame) not in [digest(other) for other in changed]
    assert len({digest(other) for other in changed}) == len(changed)


def test_a_frame_that_is_changed_while_it_is_checked_does_not_change_what_passed() -> None:
    frame = numbers(1, 2, 3)

    def meddle(measured: pd.DataFrame) -> pd.DataFrame:
        frame.loc[1, "x"] = -5
        return measured

    verdict = check(frame, replace(SUITE, measure=meddle), at=AT)

    assert list(verdict.frame["x"]) == [1, 2, 3]
    assert verdict.proof().digest == digest(numbers(1, 2, 3)) != digest(frame)


def test_the_instant_must_have_a_zone() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        check(numbers(1), SUITE, at=datetime(2024, 7, 1))


def test_concurrent_checks_each_get_their_own_verdict() -> None:
    frames = [numbers(*([1.0] * 20), *([-1.0] * (n % 4))) for n in range(24)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(report, frames))

    assert [sum(f.bad_rows or 0 for f in r.failures) for r in found] == [n % 4 for n in range(24)]


def test_the_artifact_says_what_failed_on_which_rows_and_who_is_out() -> None:
    frame = numbers(1, -2, 3)
    frame.loc[1, "name"] = "a|b"

    verdict = check(frame, SUITE, at=AT, key="name", max_quarantined=0.2)
    text, table = as_markdown(verdict.report), as_table(verdict.report)

    assert text.startswith("## Data check `numbers`: FAILED")
    assert "| quarantined_share | failed | critical | 1 of 3 quarantined" in text
    assert "- name=a\\|b, x=-2" in text
    assert "| a\\|b | x_positive | x is above zero: x -2 |" in text
    assert {"expectation": "x_given", "verdict": "passed"}.items() <= table[3].items()
    assert table[-1]["verdict"] == "quarantined"
    assert all(type(value) is str for row in table for value in row.values())
