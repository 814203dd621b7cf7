"""What is written is read as it was known at an instant, and nothing that was written is ever changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.errors import ConfigError, DataQualityError
from wsb_core.market.history import TABLES, HistoryStore, Whole, known_at_close
from wsb_core.market.history.schema import Kind

from .history import (
    FIRST,
    LAST,
    LATER,
    MONDAY,
    MUCH_LATER,
    TUESDAY,
    WEDNESDAY,
    a_snapshot,
    after_close,
    some_bars,
    some_rows,
)

CALL = "AAPL  240621C00190000"
PUT = "AAPL  240621P00190000"
NOON = datetime(2024, 5, 15, 16, tzinfo=UTC)


@lru_cache
def one_of_each() -> dict[str, pd.DataFrame]:
    return {
        "daily": some_bars({"AAPL": [100.0]}),
        "minute": some_bars({"AAPL": [100.0]}, at=pd.Timestamp("2024-05-13 14:31", tz="UTC")),
        "chain": a_snapshot(NOON, (CALL, 5.0, 5.2)),
        "iv": some_rows(("symbol", "session", "at", "iv"), ("AAPL", WEDNESDAY, NOON, 0.25)),
        "earnings": some_rows(("symbol", "day", "time"), ("AAPL", WEDNESDAY, "after_close")),
        "dividends": some_rows(("symbol", "ex_date", "amount"), ("AAPL", WEDNESDAY, 0.25)),
        "splits": some_rows(("symbol", "ex_date", "ratio"), ("AAPL", WEDNESDAY, 4.0)),
        "identity": some_rows(("instrument", "symbol", "first"), ("apple", "AAPL", date(2024, 2, 1))),
        "coverage": some_rows(("symbol", "of", "first", "last"), ("AAPL", "splits", MONDAY, WEDNESDAY)),
    }


def read(
    store: HistoryStore, as_of: datetime = MUCH_LATER, table: str = "daily", *symbols: str
) -> pd.DataFrame:
    return store.read(table, symbols or ("AAPL",), FIRST, LAST, as_of)


def closes(store: HistoryStore, as_of: datetime = MUCH_LATER, *symbols: str) -> list[float]:
    return list(read(store, as_of, "daily", *symbols)["close"])


def test_who_only_names_the_store_does_not_wait_for_pandas_or_pyarrow():
    code = "import sys, wsb_core.providers.replay; print({'pandas', 'pyarrow'} & set(sys.modules))"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "set()"


def test_there_is_an_example_of_every_table():
    assert one_of_each().keys() == TABLES.keys()


@pytest.mark.parametrize("table", TABLES)
def test_every_table_comes_back_with_its_documented_columns_and_dtypes(store: HistoryStore, table: str):
    dtypes = {
        Kind.TEXT: "str",
        Kind.DAY: "datetime64[ns]",
        Kind.INSTANT: "datetime64[us, UTC]",
        Kind.NUMBER: "float64",
        Kind.WHOLE: "int64",
        Kind.FLAG: "boolean",
    }

    added = store.write(table, one_of_each()[table], LATER)
    found = read(store, table=table)

    expected = {column.name: dtypes[column.kind] for column in TABLES[table].columns}
    assert {name: str(kind) for name, kind in found.dtypes.items()} == {
        **expected,
        "recorded_at": "datetime64[us, UTC]",
    }
    assert added == len(found) == 1
    for name, value in one_of_each()[table].iloc[0].items():
        assert found.iloc[0][name] == value, name


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_a_row_reads_as_one_with_none(store: HistoryStore, table: str):
    store.write(table, one_of_each()[table], LATER)

    whole, nothing = read(store, table=table), read(store, LATER - timedelta(seconds=1), table)

    assert len(nothing) == 0
    assert dict(nothing.dtypes) == dict(whole.dtypes)


def test_nothing_was_ever_written_reads_as_no_rows_and_nothing_covered(store: HistoryStore):
    assert read(store).empty
    assert store.covered("daily", "AAPL") == ()
    assert store.verify() == ()


def test_an_empty_frame_adds_nothing(store: HistoryStore):
    assert store.write("daily", some_bars().iloc[:0], LATER) == 0
    assert read(store).empty


def test_the_same_rows_again_change_no_byte(store: HistoryStore, tmp_path: Path):
    store.write("daily", some_bars(), LATER)
    before = {path: path.read_bytes() for path in tmp_path.glob("**/*.*")}

    added = store.write("daily", some_bars(source="other").sample(frac=1, random_state=1), MUCH_LATER)

    assert added == 0
    assert {path: path.read_bytes() for path in tmp_path.glob("**/*.*")} == before


def test_sessions_are_appended_one_after_the_other(store: HistoryStore):
    for day in range(3):
        store.write("daily", some_bars().iloc[[day]], after_close(MONDAY + timedelta(days=day)))

    assert closes(store) == [100.0, 101.0, 102.0]
    assert closes(store, after_close(TUESDAY)) == [100.0, 101.0]


def test_a_corrected_row_is_a_new_version_and_the_old_one_is_what_was_known_before(store: HistoryStore):
    store.write("daily", some_bars(), LATER)
    corrected = some_bars().assign(close=[100.0, 101.5, 102.0])

    added = store.write("daily", corrected, MUCH_LATER)

    assert added == 1
    assert closes(store, MUCH_LATER) == [100.0, 101.5, 102.0]
    assert closes(store, MUCH_LATER - timedelta(microseconds=1)) == [100.0, 101.0, 102.0]
    assert list(read(store)["recorded_at"]) == [LATER, MUCH_LATER, LATER]


def test_a_value_that_goes_back_to_what_it_was_is_a_version_too(store: HistoryStore):
    prices = (100.0, 99.0, 100.0)
    for day, price in enumerate(prices):
        store.write("daily", some_bars({"AAPL": [price]}), LATER + timedelta(days=day))

    assert [closes(store, LATER + timedelta(days=day)) for day in range(3)] == [[p] for p in prices]


def test_a_value_that_is_no_longer_given_is_a_version_too(store: HistoryStore):
    store.write("daily", some_bars({"AAPL": [100.0]}), LATER)

    added = store.write("daily", some_bars({"AAPL": [100.0]}, volume=np.nan), MUCH_LATER)
    again = store.write("daily", some_bars({"AAPL": [100.0]}, volume=np.nan), MUCH_LATER + timedelta(days=1))

    assert (added, again) == (1, 0)
    assert np.isnan(read(store)["volume"].item())


def test_two_values_of_one_row_at_one_instant_are_refused_and_nothing_of_the_write_is_kept(
    store: HistoryStore,
):
    store.write("daily", some_bars(), LATER)
    contradiction = some_bars({"AAPL": (100.0, 7.0), "AAA": (1.0, 2.0)})

    with pytest.raises(DataQualityError, match=r"daily: AAPL 2024-05-14 has two values .* later recorded_at"):
        store.write("daily", contradiction, LATER)

    assert closes(store) == [100.0, 101.0, 102.0]
    assert read(store, MUCH_LATER, "daily", "AAA").empty


def test_a_bar_recorded_at_its_close_is_unknown_a_moment_before(store: HistoryStore):
    store.write("daily", known_at_close(some_bars()))
    close = datetime(2024, 5, 14, 20, tzinfo=UTC)

    assert closes(store, close) == [100.0, 101.0]
    assert closes(store, close - timedelta(microseconds=1)) == [100.0]


def test_a_half_day_is_over_at_one(store: HistoryStore):
    half_day = some_bars({"AAPL": [100.0]}, first=date(2024, 11, 29))

    recorded = known_at_close(half_day)["recorded_at"].item()

    assert recorded == datetime(2024, 11, 29, 18, tzinfo=UTC)
    assert store.write("daily", half_day, recorded) == 1


def test_days_outside_the_span_and_other_symbols_are_not_read(store: HistoryStore):
    store.write("daily", some_bars({"AAPL": (1.0, 2.0, 3.0), "MSFT": (4.0, 5.0, 6.0)}), LATER)

    found = store.read("daily", ("MSFT",), TUESDAY, TUESDAY, LATER)

    assert found[["symbol", "close"]].to_numpy().tolist() == [["MSFT", 5.0]]


def test_rows_come_by_symbol_and_session_across_years(store: HistoryStore):
    frame = some_bars({"B": range(1, 11), "A": range(21, 31)}, first=date(2023, 12, 26))
    store.write("daily", frame.sample(frac=1, random_state=3), LATER)

    found = store.read("daily", ("B", "A"), date(2023, 1, 1), LAST, LATER)

    assert list(found["close"]) == [*range(21, 31), *range(1, 11)]


def test_a_snapshot_of_a_chain_keeps_what_was_not_quoted_empty(store: HistoryStore):
    store.write("chain", a_snapshot(NOON, (CALL, 5.0, 5.2), (PUT, np.nan, 0.05), standard=False), LATER)

    found = read(store, table="chain")

    assert list(found["occ_symbol"]) == [CALL, PUT]
    assert found["bid"].isna().tolist() == [False, True]
    assert found["iv"].isna().all()
    assert found["multiplier"].tolist() == [100, 100]
    assert found["standard"].tolist() == [False, False]


def test_announcements_ahead_are_read_before_their_day(store: HistoryStore):
    ahead = some_rows(("symbol", "day", "time"), ("AAPL", date(2024, 8, 1), "unknown"))
    store.write("earnings", ahead, LATER)

    assert len(read(store, LATER, "earnings")) == 1


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["A", "B"]), st.integers(0, 3), st.integers(1, 3)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 9),
)
def test_a_read_is_what_a_log_of_all_writes_says(writes: Sequence[tuple[int, str, int, int]], seen: int):
    """Versions as a dictionary would keep them: the last write up to the instant, for every row."""
    expected: dict[tuple[str, date], float] = {}
    with TemporaryDirectory() as folder:
        store = HistoryStore(folder)
        for step, (gap, symbol, day, close) in enumerate(writes):
            # Years apart, so that several files take part.
            session = date(2018 + day, 3, 1 + gap)
            frame = some_bars({symbol: [float(close)]}).assign(session=pd.Timestamp(session))
            store.write("daily", frame, LATER + timedelta(days=step))
            if step < seen:
                expected[symbol, session] = float(close)

        as_of = LATER + timedelta(days=seen - 1)
        found = store.read("daily", ("A", "B"), date(2018, 1, 1), LAST, as_of)

        keys = zip(found["symbol"], found["session"].dt.date, strict=True)
        assert dict(zip(keys, found["close"], strict=True)) == expected
        assert found[["symbol", "session"]].equals(
            found[["symbol", "session"]].sort_values(["symbol", "session"])
        )
        assert store.verify() == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": -1.0}, r"daily: close of AAPL 2024-05-13 is -1.0, not above 0"),
        ({"close": np.inf}, r"daily: close of AAPL 2024-05-13 is inf"),
        ({"close": np.nan}, r"daily: close of AAPL 2024-05-13 is nan"),
        ({"close": "100"}, r"daily: close is not number: '100' is text"),
        ({"session": pd.Timestamp("2024-05-13 10:00")}, r"session is not day: .* no time of day"),
        ({"session": pd.Timestamp("2024-05-13", tz="UTC")}, r"session is not day: .* no zone"),
        ({"session": 20240513}, r"session is not day"),
        ({"symbol": None}, r"symbol of .* not a value"),
        ({"symbol": "../x"}, r"symbol '../x' is no ticker"),
        ({"symbol": "aapl"}, r"symbol 'aapl' is no ticker"),
        ({"adj_close": 1.0}, r"daily: it has no columns adj_close; leave them out"),
    ],
)
def test_a_value_that_cannot_be_stored_is_named(store: HistoryStore, change: dict[str, object], message: str):
    with pytest.raises(DataQualityError, match=message):
        store.write("daily", some_bars().assign(**change), LATER)

    assert read(store).empty


def test_a_column_that_is_not_there_is_named(store: HistoryStore):
    with pytest.raises(DataQualityError, match="the frame has no column high"):
        store.write("daily", some_bars().drop(columns="high"), LATER)


def test_a_split_of_one_for_one_is_refused(store: HistoryStore):
    with pytest.raises(DataQualityError, match=r"ratio of AAPL 2024-05-13 is 1.0, not above 0 and not 1"):
        store.write("splits", some_rows(("symbol", "ex_date", "ratio"), ("AAPL", MONDAY, 1.0)), LATER)


def test_a_bar_in_progress_is_refused(store: HistoryStore):
    in_session = datetime(2024, 5, 15, 19, 59, tzinfo=UTC)

    with pytest.raises(DataQualityError, match=r"AAPL 2024-05-15 is complete at .*20:00.* in progress"):
        store.write("daily", some_bars(), in_session)


def test_a_minute_in_progress_is_refused(store: HistoryStore):
    minute = pd.Timestamp("2024-05-13 14:31", tz="UTC")
    frame = some_bars({"AAPL": [100.0]}, at=minute)

    with pytest.raises(DataQualityError, match="a bar in progress is not history"):
        store.write("minute", frame, minute.to_pydatetime() + timedelta(seconds=59))

    assert store.write("minute", frame, minute.to_pydatetime() + timedelta(seconds=60)) == 1


def test_a_quote_of_another_session_is_refused(store: HistoryStore):
    yesterday = a_snapshot(NOON, (CALL, 5.0, 5.2)).assign(session=pd.Timestamp(TUESDAY))

    with pytest.raises(DataQualityError, match="is not of session 2024-05-14"):
        store.write("chain", yesterday, LATER)


def test_instants_without_a_zone_are_refused(store: HistoryStore):
    with pytest.raises(ValueError, match="recorded_at must be timezone-aware"):
        store.write("daily", some_bars(), datetime(2024, 6, 3))
    with pytest.raises(ValueError, match="timezone-aware"):
        read(store, datetime(2024, 6, 3))
    with pytest.raises(DataQualityError, match="at is not instant: it has no time zone"):
        store.write(
            "chain", a_snapshot(NOON, (CALL, 5.0, 5.2)).assign(at=pd.Timestamp("2024-05-15 12:00")), LATER
        )


def test_when_a_row_was_recorded_is_said_exactly_once(store: HistoryStore):
    for frame, recorded_at in ((some_bars(), None), (known_at_close(some_bars()), LATER)):
        with pytest.raises(DataQualityError, match="give recorded_at once"):
            store.write("daily", frame, recorded_at)


def test_an_instant_may_be_of_any_zone(store: HistoryStore):
    store.write("daily", some_bars(), LATER.astimezone(ZoneInfo("Asia/Tokyo")))

    assert closes(store, LATER.astimezone(ZoneInfo("America/New_York"))) == [100.0, 101.0, 102.0]


def test_a_table_that_does_not_exist_is_named(store: HistoryStore):
    with pytest.raises(ConfigError, match=r"table must be one of daily, .* not 'bars'"):
        store.write("bars", some_bars(), LATER)


# Whole answers, and what is covered.

SOURCE = "test"


def announced(*days: date) -> pd.DataFrame:
    return some_rows(("symbol", "day", "time"), *(("AAPL", day, "after_close") for day in days))


def days_known(store: HistoryStore, as_of: datetime) -> list[date]:
    return list(read(store, as_of, "earnings")["day"].dt.date)


def test_a_date_that_moved_is_withdrawn_and_stays_what_was_known_before(store: HistoryStore):
    july, august = date(2024, 7, 25), date(2024, 8, 1)
    whole = Whole(("AAPL",), date(2024, 6, 1), LAST, SOURCE)
    store.write("earnings", announced(july), LATER, whole=whole)

    store.write("earnings", announced(august), MUCH_LATER, whole=whole)

    assert days_known(store, LATER) == [july]
    assert days_known(store, MUCH_LATER) == [august]


def test_a_withdrawn_row_may_come_back(store: HistoryStore):
    whole = Whole(("AAPL",), FIRST, LAST, SOURCE)
    for step, days in enumerate(([WEDNESDAY], [], [WEDNESDAY])):
        store.write("earnings", announced(*days), LATER + timedelta(days=step), whole=whole)

    known = [days_known(store, LATER + timedelta(days=step)) for step in range(3)]

    assert known == [[WEDNESDAY], [], [WEDNESDAY]]


def test_a_whole_answer_withdraws_nothing_of_others(store: HistoryStore):
    store.write("earnings", announced(MONDAY).assign(source="other"), LATER)
    store.write("earnings", announced(date(2024, 3, 1)), LATER)
    store.write("earnings", announced(TUESDAY).assign(symbol="MSFT"), LATER)

    store.write("earnings", announced(), MUCH_LATER, whole=Whole(("AAPL",), MONDAY, LAST, SOURCE))

    assert days_known(store, MUCH_LATER) == [date(2024, 3, 1), MONDAY]
    assert len(read(store, MUCH_LATER, "earnings", "MSFT")) == 1


def test_the_same_whole_answer_again_changes_nothing(store: HistoryStore, tmp_path: Path):
    whole = Whole(("AAPL",), FIRST, LAST, SOURCE)
    store.write("earnings", announced(MONDAY, TUESDAY), LATER)
    store.write("earnings", announced(MONDAY), LATER + timedelta(days=1), whole=whole)
    before = {path: path.read_bytes() for path in tmp_path.glob("**/*.*")}

    again = store.write("earnings", announced(MONDAY), MUCH_LATER, whole=whole)

    assert again == 0
    assert {path: path.read_bytes() for path in tmp_path.glob("**/*.*")} == before


def test_nothing_announced_is_covered_and_not_asked_is_not(store: HistoryStore):
    store.write("earnings", announced(), LATER, whole=Whole(("AAPL",), MONDAY, LAST, SOURCE))

    assert store.covered("earnings", "AAPL") == ((MONDAY, LAST),)
    assert store.covered("earnings", "AAPL", LATER - timedelta(seconds=1)) == ()
    assert store.covered("earnings", "MSFT") == ()
    assert store.covered("dividends", "AAPL") == ()


def test_answers_that_touch_cover_as_one(store: HistoryStore):
    for first, last in ((MONDAY, TUESDAY), (WEDNESDAY, LAST), (FIRST, date(2024, 5, 1))):
        store.write("earnings", announced(), LATER, whole=Whole(("AAPL",), first, last, SOURCE))

    assert store.covered("earnings", "AAPL") == ((FIRST, date(2024, 5, 1)), (MONDAY, LAST))


def test_bars_cover_the_sessions_they_are_of_and_a_hole_shows(store: HistoryStore):
    # Friday to Tuesday over a weekend and Memorial Day; Thursday has no bar.
    days = [date(2024, 5, 24), date(2024, 5, 28), date(2024, 5, 29), date(2024, 5, 31)]
    frame = some_bars({"AAPL": [1.0] * 4}).assign(session=pd.to_datetime(days))
    store.write("daily", frame, LATER)

    assert store.covered("daily", "AAPL") == ((days[0], days[2]), (days[3], days[3]))


def test_a_row_outside_the_answer_that_is_called_whole_is_refused(store: HistoryStore):
    with pytest.raises(DataQualityError, match=r"a whole answer of test from 2024-05-14 .* has 2024-05-13"):
        store.write("earnings", announced(MONDAY), LATER, whole=Whole(("AAPL",), TUESDAY, LAST, SOURCE))
    with pytest.raises(DataQualityError, match="has AAPL"):
        store.write("earnings", announced(MONDAY), LATER, whole=Whole(("MSFT",), FIRST, LAST, SOURCE))

    assert store.covered("earnings", "AAPL") == ()
