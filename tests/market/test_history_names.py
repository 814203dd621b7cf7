"""A ticker is the company that had it on the day that is looked from, under all of its tickers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from wsb_core.domain.errors import DataQualityError
from wsb_core.market.history import HistoryStore, Whole, known_at_close

from .history import LATER, some_bars, some_rows

LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)
BEFORE = datetime(2021, 12, 1, tzinfo=UTC)
ANNOUNCED = datetime(2022, 6, 1, tzinfo=UTC)
AFTER = datetime(2023, 1, 3, tzinfo=UTC)
COLUMNS = ("instrument", "symbol", "first", "last")
LISTED = date(2012, 5, 18)
LAST_AS_FB, FIRST_AS_META = date(2022, 6, 8), date(2022, 6, 9)


def identity(*rows: tuple[str, str, date, date | None]) -> pd.DataFrame:
    return some_rows(COLUMNS, *rows)


@pytest.fixture
def facebook(store: HistoryStore) -> HistoryStore:
    """Facebook became META; a fund had been META until January of that year."""
    store.write("identity", identity(("facebook", "FB", LISTED, None)), LONG_AGO)
    store.write("identity", identity(("a fund", "META", date(2021, 6, 30), None)), LONG_AGO)
    changed = [
        ("a fund", "META", date(2021, 6, 30), date(2022, 1, 28)),
        ("a fund", "METV", date(2022, 1, 31), None),
        ("facebook", "FB", LISTED, LAST_AS_FB),
        ("facebook", "META", FIRST_AS_META, None),
    ]
    store.write("identity", identity(*changed), ANNOUNCED)
    for frame in (
        some_bars({"FB": (310.0, 311.0), "META": (14.0, 15.0)}, first=date(2021, 11, 29)),
        some_bars({"METV": (12.0,)}, first=date(2022, 1, 31)),
        some_bars({"FB": (195.0, 196.0)}, first=date(2022, 6, 7)),
        some_bars({"META": (184.0, 185.0)}, first=FIRST_AS_META),
    ):
        store.write("daily", known_at_close(frame))
    return store


def closes(store: HistoryStore, symbol: str, as_of: datetime) -> list[float]:
    found = store.read("daily", (symbol,), date(1998, 1, 1), date(2023, 12, 31), as_of)
    assert set(found["symbol"]) <= {symbol}
    return list(found["close"])


@pytest.mark.parametrize(
    ("symbol", "as_of", "expected"),
    [
        ("META", BEFORE, [14.0, 15.0]),
        ("FB", BEFORE, [310.0, 311.0]),
        ("META", AFTER, [310.0, 311.0, 195.0, 196.0, 184.0, 185.0]),
        ("METV", AFTER, [14.0, 15.0, 12.0]),
        ("FB", AFTER, []),
    ],
)
def test_a_ticker_is_read_as_the_company_that_has_it(
    facebook: HistoryStore, symbol: str, as_of: datetime, expected: list[float]
):
    assert closes(facebook, symbol, as_of) == expected


def test_a_change_that_was_announced_and_lies_ahead_does_not_rename_yet(facebook: HistoryStore):
    day_before = datetime(2022, 6, 8, 22, tzinfo=UTC)

    assert closes(facebook, "FB", day_before) == [310.0, 311.0, 195.0, 196.0]
    assert closes(facebook, "META", day_before) == []


def test_bars_that_a_vendor_gives_under_todays_ticker_are_kept_under_that_of_their_day(
    facebook: HistoryStore,
):
    vendor = some_bars({"META": (190.0, 195.0, 196.0, 184.0)}, first=date(2022, 6, 6))

    added = facebook.write("daily", vendor, AFTER, called_on=AFTER.date())

    # Three of the four were there already, under the old and the new name.
    assert added == 1
    assert closes(facebook, "META", AFTER) == [310.0, 311.0, 190.0, 195.0, 196.0, 184.0, 185.0]


def test_a_whole_answer_under_todays_ticker_withdraws_rows_under_the_old_one_alone(facebook: HistoryStore):
    vendor = some_bars({"META": (195.0, 196.0, 184.0)}, first=date(2022, 6, 7))
    whole = Whole(("META",), date(2021, 1, 1), date(2022, 12, 31), "test")

    facebook.write("daily", vendor, AFTER, whole=whole, called_on=AFTER.date())

    assert closes(facebook, "META", AFTER) == [195.0, 196.0, 184.0]
    assert closes(facebook, "METV", AFTER) == [14.0, 15.0, 12.0]
    assert facebook.covered("daily", "META", AFTER) == ((date(2021, 1, 1), date(2022, 12, 31)),)


def test_rows_before_a_company_had_any_ticker_are_refused(facebook: HistoryStore):
    early = some_bars({"META": (1.0,)}, first=date(2012, 5, 17))

    with pytest.raises(
        DataQualityError, match=r"the company called META on 2023-01-03 has no ticker on 2012-05"
    ):
        facebook.write("daily", early, AFTER, called_on=AFTER.date())


def test_a_dividend_announced_under_the_old_ticker_and_again_under_the_new_one_counts_once(
    facebook: HistoryStore,
):
    columns = ("symbol", "ex_date", "amount")
    facebook.write("dividends", some_rows(columns, ("FB", date(2022, 7, 1), 0.5)), ANNOUNCED)
    facebook.write("dividends", some_rows(columns, ("META", date(2022, 7, 1), 0.6)), AFTER)

    found = facebook.read("dividends", ("META",), date(2022, 1, 1), date(2022, 12, 31), AFTER)

    assert list(found["amount"]) == [0.6]


def test_a_dividend_announced_under_the_old_ticker_for_a_day_after_the_change_is_found(
    facebook: HistoryStore,
):
    row = some_rows(("symbol", "ex_date", "amount"), ("FB", date(2022, 7, 1), 0.5))
    facebook.write("dividends", row, ANNOUNCED)

    found = facebook.read("dividends", ("META",), date(2022, 1, 1), date(2022, 12, 31), AFTER)

    assert found[["symbol", "amount"]].to_numpy().tolist() == [["META", 0.5]]


@pytest.mark.parametrize(
    "row",
    [
        ("another", "FB", date(2020, 1, 1), None),
        ("facebook", "THEF", date(2013, 1, 1), date(2013, 2, 1)),
        ("another", "X", date(2013, 1, 1), date(2012, 1, 1)),
    ],
)
def test_an_identity_that_contradicts_another_is_refused(
    store: HistoryStore, row: tuple[str, str, date, date | None]
):
    store.write("identity", identity(("facebook", "FB", LISTED, None)), LONG_AGO)

    with pytest.raises(DataQualityError, match=r"identity: .* (overlap|ends before it begins)"):
        store.write("identity", identity(row), LATER)

    assert [str(span) for span in store.names().of_symbol("FB")] == [
        "FB of facebook from 2012-05-18 to 9999-12-31"
    ]


# Real changes.


def lean_identity(shared: Path) -> pd.DataFrame:
    """Spans out of LEAN's map files, which give the last day of every ticker; first comes the listing."""
    changes = pd.read_csv(shared / "data/equities/lean_map_files.csv", dtype=str, keep_default_na=False)
    rows = []
    for instrument, group in changes.groupby("permanent_symbol"):
        days = pd.to_datetime(group["date"])
        spans = pd.DataFrame({"symbol": group["ticker"].str.upper(), "last": days}).iloc[1:]
        spans["first"] = [days.iloc[0], *(spans["last"].iloc[:-1] + pd.Timedelta(days=1))]
        rows.append(spans.assign(instrument=instrument, source="lean"))
    frame = pd.concat(rows)
    return frame.assign(last=frame["last"].where(frame["last"] < "2050"))


def test_real_recycled_tickers_are_one_company_each(store: HistoryStore, shared: Path):
    bars = pd.read_parquet(shared / "data/equities/lean_daily_unadjusted.parquet")
    bars = bars[bars["symbol"].isin(["WM", "WMI", "UW", "GOOGL", "GOOCV"])]
    store.write("identity", lean_identity(shared), LONG_AGO)
    as_of = datetime(2021, 4, 1, tzinfo=UTC)
    store.write("daily", bars.rename(columns={"date": "session"}).assign(source="lean"), as_of)

    raw = bars[bars["symbol"] == "WM"]["close"]
    waste = store.read("daily", ("WM",), date(1998, 1, 1), date(2021, 3, 31), as_of)

    # Under its ticker alone the series runs through Washington Mutual, which went to 0.16.
    assert raw.min() < 1
    assert waste["close"].min() > 10
    assert len(waste) == 135 + 2780 + (waste["session"] > "2009-08-04").sum()
    assert waste["close"].pct_change().abs().max() < 0.45


@pytest.mark.parametrize(
    ("symbol", "day", "trail"),
    [
        ("QQQQ", date(2008, 1, 2), ["QQQ", "QQQQ", "QQQ"]),
        ("QQQ", date(2008, 1, 2), []),
        ("QQQ", date(2012, 1, 3), ["QQQ", "QQQQ", "QQQ"]),
        ("GOOG", date(2014, 4, 2), ["GOOG", "GOOGL"]),
        ("GOOG", date(2014, 4, 3), ["GOOCV", "GOOG"]),
        ("TWX", date(2000, 6, 1), ["TWX"]),
        ("TWX", date(2010, 6, 1), ["AOL", "TWX"]),
        ("FB", date(2001, 1, 2), ["FB"]),
        ("VXX", date(2018, 6, 1), ["VXX"]),
        ("VXX", date(2020, 6, 1), ["VXXB", "VXX"]),
    ],
)
def test_real_tickers_on_their_days(
    store: HistoryStore, shared: Path, symbol: str, day: date, trail: list[str]
):
    store.write("identity", lean_identity(shared), LONG_AGO)

    found = store.names().trail(symbol, day)

    assert [span.symbol for span in found] == trail
