"""Prices are stored as traded, and adjusted on the way out for what was known and in effect."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.errors import ConfigError
from wsb_core.market.history import HistoryStore, Unadjustable, known_at_close

from .history import FIRST, LATER, MONDAY, TUESDAY, WEDNESDAY, after_close, some_bars, some_rows

LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)
SPLIT = ("symbol", "ex_date", "ratio")
DIVIDEND = ("symbol", "ex_date", "amount")


def read(store: HistoryStore, adjusted: str, as_of: datetime = LATER, **more: date) -> pd.DataFrame:
    span = {"first": FIRST, "last": as_of.date(), **more}
    return store.read("daily", ("AAPL",), span["first"], span["last"], as_of, adjusted=adjusted)


def closes(store: HistoryStore, adjusted: str, as_of: datetime = LATER) -> list[float]:
    return pytest.approx(list(read(store, adjusted, as_of)["close"]))


def test_a_split_changes_every_price_and_volume_before_its_day(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (400.0, 404.0, 102.0)})))
    store.write("splits", some_rows(SPLIT, ("AAPL", WEDNESDAY, 4.0)), after_close(MONDAY))

    found = read(store, "splits")

    assert list(found["close"]) == [100.0, 101.0, 102.0]
    assert list(found["high"]) == [100.25, 101.25, 103.0]
    assert list(found["volume"]) == [4000.0, 4000.0, 1000.0]
    assert closes(store, "all") == [100.0, 101.0, 102.0]
    assert closes(store, "raw") == [400.0, 404.0, 102.0]


def test_a_split_that_is_known_and_lies_ahead_changes_nothing_yet(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (400.0, 404.0, 102.0)})))
    store.write("splits", some_rows(SPLIT, ("AAPL", WEDNESDAY, 4.0)), after_close(MONDAY))
    morning = datetime(2024, 5, 15, 12, tzinfo=UTC)

    assert closes(store, "splits", after_close(TUESDAY)) == [400.0, 404.0]
    assert closes(store, "splits", morning) == [100.0, 101.0]


def test_a_split_that_was_recorded_late_is_not_in_what_was_known_before(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (400.0, 404.0, 102.0)})))
    store.write("splits", some_rows(SPLIT, ("AAPL", WEDNESDAY, 4.0)), LATER)

    assert closes(store, "splits", LATER - timedelta(seconds=1)) == [400.0, 404.0, 102.0]
    assert closes(store, "splits", LATER) == [100.0, 101.0, 102.0]


def test_a_dividend_lowers_prices_before_its_day_by_its_share_of_the_close(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (50.0, 100.0, 99.0)})))
    store.write("dividends", some_rows(DIVIDEND, ("AAPL", WEDNESDAY, 1.0)), LONG_AGO)

    found = read(store, "all")

    assert list(found["close"]) == pytest.approx([49.5, 99.0, 99.0])
    assert list(found["volume"]) == [1000.0] * 3
    assert closes(store, "splits") == [50.0, 100.0, 99.0]
    # What was paid is kept: 100 yesterday is 99 today and 1 in cash, so nothing was gained.
    assert found["close"].pct_change().iloc[-1] == pytest.approx(0.0)


def test_dividends_of_one_day_are_added_up(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (100.0, 100.0)})))
    two = some_rows((*DIVIDEND, "item"), ("AAPL", TUESDAY, 1.0, 1), ("AAPL", TUESDAY, 9.0, 2))
    store.write("dividends", two, LONG_AGO)

    assert closes(store, "all") == [90.0, 100.0]


def test_a_dividend_on_the_day_of_a_split_is_in_new_shares(store: HistoryStore):
    """100 before, two for one and 1 dollar on each new share: 49 after, and nothing was gained."""
    store.write("daily", known_at_close(some_bars({"AAPL": (100.0, 49.0)})))
    store.write("splits", some_rows(SPLIT, ("AAPL", TUESDAY, 2.0)), LONG_AGO)
    store.write("dividends", some_rows(DIVIDEND, ("AAPL", TUESDAY, 1.0)), LONG_AGO)

    assert closes(store, "all") == [49.0, 49.0]


def test_a_dividend_before_a_split_is_in_the_shares_of_its_day(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (100.0, 98.0, 49.0)})))
    store.write("dividends", some_rows(DIVIDEND, ("AAPL", TUESDAY, 2.0)), LONG_AGO)
    store.write("splits", some_rows(SPLIT, ("AAPL", WEDNESDAY, 2.0)), LONG_AGO)

    assert closes(store, "all") == [49.0, 49.0, 49.0]


def test_minutes_are_adjusted_by_the_daily_closes(store: HistoryStore):
    daily = some_bars({"AAPL": (100.0, 99.0)})
    store.write("daily", known_at_close(daily))
    stamps = pd.to_datetime(["2024-05-13 14:31", "2024-05-14 14:31"]).tz_localize("UTC")
    store.write("minute", daily.assign(at=stamps, close=[80.0, 99.5]), LATER)
    store.write("dividends", some_rows(DIVIDEND, ("AAPL", TUESDAY, 1.0)), LONG_AGO)

    found = store.read("minute", ("AAPL",), FIRST, WEDNESDAY, LATER, adjusted="all")

    assert list(found["close"]) == pytest.approx([79.2, 99.5])


@pytest.mark.parametrize(
    ("day", "amount", "message"),
    [
        (WEDNESDAY, 101.0, r"AAPL pays 101 on 2024-05-15, not less than its close before, 101"),
        (date(2024, 5, 31), 1.0, r"AAPL has no close in the ten days before its dividend of 2024-05-31"),
    ],
)
def test_a_dividend_that_contradicts_the_prices_or_has_none_is_refused_by_name(
    store: HistoryStore, day: date, amount: float, message: str
):
    store.write("daily", some_bars(), LATER)
    store.write("dividends", some_rows(DIVIDEND, ("AAPL", day, amount)), LONG_AGO)

    with pytest.raises(Unadjustable, match=message) as refused:
        read(store, "all")

    assert refused.value.reasons.keys() == {"AAPL"}
    assert closes(store, "splits") == [100.0, 101.0, 102.0]


def test_only_bars_are_adjusted(store: HistoryStore):
    with pytest.raises(ConfigError, match="iv has no adjustment"):
        store.read("iv", ("AAPL",), FIRST, WEDNESDAY, LATER, adjusted="all")


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.floats(20, 400), min_size=6, max_size=12),
    st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from([0.1, 0.5, 2.0, 7.0])),
        max_size=3,
        unique_by=lambda e: e[0],
    ),
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.01, 2)), max_size=3, unique_by=lambda e: e[0]),
    st.integers(0, 5),
)
def test_a_part_of_the_past_is_the_same_read_alone_and_days_without_an_event_keep_their_return(
    prices: list[float], splits: list[tuple[int, float]], dividends: list[tuple[int, float]], start: int
):
    bars = some_bars({"AAPL": prices})
    days = list(bars["session"])

    def dated(events: list[tuple[int, float]]) -> list[tuple[str, pd.Timestamp, float]]:
        return [("AAPL", days[at], value) for at, value in events if at < len(days)]

    with TemporaryDirectory() as folder:
        store = HistoryStore(folder)
        store.write("daily", bars, LATER)
        store.write("splits", some_rows(SPLIT, *dated(splits)), LATER)
        store.write("dividends", some_rows(DIVIDEND, *dated(dividends)), LATER)
        raw, whole = read(store, "raw"), read(store, "all")
        part = read(
            store,
            "all",
            first=days[start].date(),
            last=days[start + 1].date() if start < 5 else days[-1].date(),
        )

    eventful = {day for _, day, _ in dated(splits) + dated(dividends)}
    quiet = ~raw["session"].isin(eventful).to_numpy()
    returns = [frame["close"].pct_change().to_numpy()[quiet][1:] for frame in (raw, whole)]
    assert np.allclose(returns[0], returns[1], equal_nan=True)
    assert whole["close"].iloc[-1] == pytest.approx(raw["close"].iloc[-1])
    assert np.allclose(part["close"], whole["close"][whole["session"].isin(part["session"])])


# Real prices and events.


def test_the_example_of_the_method_comes_out(store: HistoryStore):
    """Microsoft in February 2003, worked out to the cent in Yahoo's "What is the adjusted close?"."""
    store.write("daily", some_bars({"AAPL": (46.99, 48.30, 24.96, 24.53)}, first=date(2003, 2, 13)), LATER)
    store.write("splits", some_rows(SPLIT, ("AAPL", date(2003, 2, 18), 2.0)), LATER)
    store.write("dividends", some_rows(DIVIDEND, ("AAPL", date(2003, 2, 19), 0.08)), LATER)

    found = read(store, "all", first=date(2003, 1, 1))

    assert list(found["close"].round(2)) == [23.42, 24.07, 24.88, 24.53]


def test_spy_of_2021_adjusted_here_is_what_a_vendor_adjusted(store: HistoryStore, shared: Path):
    """Tiingo reinvests at the close of the ex-date: that differs by 5 parts in 100,000 a dividend at most.
    Its history ends later, so that only changes can be compared."""
    given = pd.read_csv(shared / "data/equities/spy_daily_2021_divs.csv", parse_dates=["date"])
    given = given.rename(columns={"date": "session"}).assign(source="tiingo")
    columns = ["symbol", "session", "open", "high", "low", "close", "volume", "source"]
    paid = given[given["divCash"] > 0].rename(columns={"session": "ex_date", "divCash": "amount"})
    as_of = datetime(2021, 10, 1, tzinfo=UTC)
    store.write("daily", given[columns], as_of)
    store.write("dividends", paid[["symbol", "ex_date", "amount", "source"]], as_of)

    found = store.read("daily", ("SPY",), date(2021, 1, 1), as_of.date(), as_of, adjusted="all")

    assert len(paid) == 3
    for ours, theirs in (("close", "adjClose"), ("low", "adjLow")):
        ratio = found[ours].to_numpy() / given[theirs].to_numpy()
        assert np.ptp(ratio) / ratio.mean() < 1e-4


def test_apple_through_its_split_and_dividends_is_what_other_vendors_adjusted(
    store: HistoryStore, shared: Path
):
    """Traded prices and dividends of LEAN, adjusted as of the day after the last bar of Yahoo's panel."""
    folder = shared / "data/equities"
    bars = pd.read_parquet(folder / "lean_daily_unadjusted.parquet").query("symbol == 'AAPL'")
    factors = pd.read_csv(folder / "lean_factor_files.csv", parse_dates=["date"]).query("symbol == 'AAPL'")
    panel = pd.read_parquet(folder / "sp500_daily_2015_2019.parquet").query("symbol == 'AAPL'")
    # A row holds up to its date, the last session before an ex-date, with the close of that session.
    share = 1 - factors["price_factor"] / factors["price_factor"].shift(-1)
    turned = factors["split_factor"].shift(-1) / factors["split_factor"]
    ex_date = factors["date"] + pd.offsets.BusinessDay(1)
    known = pd.DataFrame({"symbol": "AAPL", "ex_date": ex_date, "source": "lean"})
    paid = known.assign(amount=share * factors["reference_price"])[share > 1e-9]
    splits = known.assign(ratio=turned)[(turned - 1).abs() > 1e-9]
    as_of = datetime(2019, 8, 1, 12, tzinfo=UTC)
    bars = bars[(bars["date"] >= "2013") & (bars["date"] < "2019-08")]
    store.write("daily", bars.rename(columns={"date": "session"}).assign(source="lean"), as_of)
    store.write("dividends", paid[paid["ex_date"] < "2030"], LONG_AGO)
    store.write("splits", splits, LONG_AGO)

    ours = store.read("daily", ("AAPL",), date(2013, 1, 2), as_of.date(), as_of, adjusted="all")
    split_only = store.read("daily", ("AAPL",), date(2013, 1, 2), as_of.date(), as_of, adjusted="splits")

    both = ours.merge(panel, left_on="session", right_on="date", suffixes=("", "_theirs"))
    assert len(both) > 1000
    ratio = both["close"] / both["adj_close"]
    assert np.ptp(ratio) / ratio.mean() < 2e-4
    # Seven for one in June 2014, as of 2019: the one of 2020 lies ahead.
    by_day = split_only.set_index("session")["close"]
    assert by_day["2014-06-06"] == pytest.approx(645.57 / 7, rel=1e-3)
    assert by_day["2019-07-31"] == pytest.approx(213.04, rel=1e-3)
