"""Real data without its known flaws raises no alarm: four years of 400 stocks, forty days of a full chain."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from data_checks.bars import BarBounds, judge_bars
from data_checks.gate import Checked
from wsb_core.domain import calendar

from . import real
from .frames import bars

FIRST, LAST = "2015-01-12", "2019-07-31"
WHOLLY_FLAWED = ("COL", "AET", "ANDV", "CSRA", "ESRX", "PX", "SCG", "SNI")
FLAWED_UNTIL = {"BHF": "2017-07-17", "UA": "2016-03-24", "DXC": "2018-06-04", "ARNC": "2016-12-23"}
FLAWED_FROM = {"CA": "2018-09-24", "EVHC": "2017-05-08"}
UNLISTED = {
    ("PFG", "2017-12-18"),
    ("PFG", "2018-06-08"),
    ("SBAC", "2017-01-17"),
    ("XEL", "2018-06-08"),
    ("BHF", "2017-07-26"),
    ("UA", "2016-03-28"),
    ("UA", "2016-03-29"),
    ("UA", "2016-04-04"),
}
"""Sessions without volume and with four equal prices in the midst of trading: faults that no list has."""
SPUN_OFF = {"VTR": {pd.Timestamp("2015-08-18").date(): None}}
"""A quarter of the company was given to its holders; the panel adjusts for splits alone."""
DELISTED = "TWX"


@pytest.fixture(scope="module")
def source(shared: Path) -> real.Source:
    return real.Source(shared / "data")


def _without_known_flaws(panel: pd.DataFrame) -> pd.DataFrame:
    flawed = panel["symbol"].isin(WHOLLY_FLAWED)
    flawed |= panel["session"] < pd.to_datetime(panel["symbol"].map(FLAWED_UNTIL))
    flawed |= panel["session"] >= pd.to_datetime(panel["symbol"].map(FLAWED_FROM))
    return panel[~flawed]


def _judged(frame: pd.DataFrame, last: str, **options: object) -> Checked:
    due = pd.Timestamp(last).date()
    lookback = len(calendar.sessions_between(pd.Timestamp(FIRST).date(), due))
    return judge_bars(
        bars(frame),
        session=calendar.shift(due, 1),
        lookback=lookback,
        at=real.AT,
        bounds=BarBounds(max_quarantined_share=1.0),
        **options,
    )


@pytest.mark.slow
def test_four_years_of_four_hundred_stocks_raise_no_alarm(source: real.Source) -> None:
    clean = _without_known_flaws(source.bars(real.PANEL))
    ended = clean["symbol"].isin([*FLAWED_FROM, DELISTED])

    verdict = _judged(clean[~ended], LAST, actions=SPUN_OFF)

    alarms = {
        (finding.expectation, example["symbol"], example["session"])
        for finding in verdict.report.findings
        for example in finding.examples
        if finding.expectation != "history_long_enough"
    }
    assert clean["symbol"].nunique() == 394
    assert alarms == {("liquid_volume", *row) for row in UNLISTED}
    assert {entry.ticker for entry in verdict.report.quarantined} == {name for name, _ in UNLISTED}
    assert verdict.report.rows > 430_000


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("CA", "2018-03-12", "2018-09-21"), ("EVHC", FIRST, "2017-05-05"), ("TWX", FIRST, "2018-06-14")],
)
def test_stocks_that_end_before_the_others_raise_no_alarm_until_then(
    source: real.Source, name: str, first: str, last: str
) -> None:
    rows = source.bars(real.PANEL, name)

    verdict = _judged(rows[rows["session"].between(first, last)], last)

    assert {f.expectation for f in verdict.report.findings if not f.passed} <= {"history_long_enough"}


def _days(source: real.Source) -> list[pd.Timestamp]:
    """All but the holiday and the day that was captured at its open."""
    flawed = pd.to_datetime(["2019-05-27", "2019-04-25"])
    return [day for day in source.table(real.SPX)["quote_date"].unique() if day not in flawed]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_forty_days_of_full_chains_raise_no_alarm(source: real.Source, part: int) -> None:
    days = _days(source)
    frame = source.table(real.SPX)
    lost = {}

    for day in days[part::5]:
        held = frame[frame["quote_date"] == day]
        settled = (held["root"] == "SPX") & (held["expiration"] == day)
        clean = real.without_stale_pairs(held[~settled])
        for judge in (real.judged_chain, real.judged_smile):
            verdict = judge(clean)
            lost[day, verdict.report.suite] = len(clean) - len(verdict.frame)
            assert verdict.report.passed

    assert len(days) == 40
    assert set(lost.values()) == {0}


@pytest.mark.slow
def test_stored_chains_raise_no_alarm_beside_the_known_flaws(source: real.Source) -> None:
    verdict = real.spx_history(source)

    kept = set(verdict.frame["session"])
    assert kept == set(_days(source))
    assert verdict.report.quarantined == ()
