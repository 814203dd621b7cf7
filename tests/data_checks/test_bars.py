from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from data_checks import BarBounds, CheckFailed, check_bars
from data_checks import bars as module
from data_checks.bars import RULES, judge_bars
from data_checks.gate import digest
from wsb_core.domain.checks import CheckReport, Finding
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing

from .frames import AT, LOOKBACK, SESSION, bars, daily

TRADED = BarBounds(require_adjusted=False)
TEN = tuple(f"T{n}" for n in range(10))


def judged(frame: pd.DataFrame, **options: object) -> CheckReport:
    settings = {"session": SESSION, "lookback": LOOKBACK, "at": AT, **options}
    adjusted = settings.pop("adjusted", True)
    return judge_bars(bars(frame, adjusted=adjusted), **settings).report


def finding(report: CheckReport, name: str) -> Finding:
    [found] = [entry for entry in report.findings if entry.expectation == name]
    return found


def test_a_clean_frame_passes_whole() -> None:
    frame = daily(*TEN)

    checked = check_bars(bars(frame), session=SESSION, lookback=LOOKBACK, at=AT, benchmark=Underlying("T0"))

    assert [f.expectation for f in checked.report.findings if not f.passed] == []
    assert checked.report.quarantined == ()
    pd.testing.assert_frame_equal(checked.frame, frame)
    assert checked.proof.suite == "bars"
    assert checked.proof.digest == digest(checked.frame)


def _set(column: str, value: object) -> Callable[[pd.DataFrame, int], None]:
    def spoil(frame: pd.DataFrame, row: int) -> None:
        frame.loc[row, column] = value

    return spoil


def _scaled_from(row_offset: int, factor: float) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    def spoil(frame: pd.DataFrame, row: int) -> None:
        symbol = frame.at[row, "symbol"]
        rows = frame.index[(frame["symbol"] == symbol) & (frame.index >= row + row_offset)]
        frame.loc[rows, ["open", "high", "low", "close"]] *= factor

    return spoil


def _duplicate(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    return pd.concat([frame.loc[:row], frame.loc[row:]], ignore_index=True)


def _drop(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    return frame.drop(index=row)


def _swap(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    order = [*range(row), row + 1, row, *range(row + 2, len(frame))]
    return frame.iloc[order].reset_index(drop=True)


def _cut_tail(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    symbol = frame.at[row, "symbol"]
    last = frame.index[frame["symbol"] == symbol][-1]
    return frame.drop(index=last)


def _add_day(day: str) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    def spoil(frame: pd.DataFrame, row: int) -> pd.DataFrame:
        symbol = frame.at[row, "symbol"]
        extra = frame.loc[[row]].assign(session=pd.Timestamp(day))
        grown = pd.concat([frame, extra], ignore_index=True)
        return grown.sort_values(["symbol", "session"], ignore_index=True).pipe(
            lambda f: f[(f["symbol"] != symbol) | f["session"].notna()]
        )

    return spoil


def _freeze(frame: pd.DataFrame, row: int) -> None:
    frame.loc[row : row + 4, "close"] = frame.at[row, "close"]
    frame.loc[row : row + 4, "high"] = frame.at[row, "close"] * 1.05
    frame.loc[row : row + 4, "low"] = frame.at[row, "close"] * 0.95


SPOILED = [
    ("session_given", _set("session", pd.NaT)),
    ("open_given", _set("open", np.nan)),
    ("high_given", _set("high", np.inf)),
    ("low_given", _set("low", np.nan)),
    ("close_given", _set("close", np.nan)),
    ("volume_given", _set("volume", np.nan)),
    ("prices_positive", _set("low", 0.0)),
    ("prices_consistent", _set("low", 1000.0)),
    ("volume_not_negative", _set("volume", -1.0)),
    ("unique", _duplicate),
    ("in_order", _swap),
    ("session_trades", _add_day("2024-05-27")),
    ("session_trades", _add_day("2024-06-01")),
    ("no_future", _add_day("2024-07-01")),
    ("fresh", _cut_tail),
    ("complete", _drop),
    ("jumps_explained", _scaled_from(0, 0.5)),
    ("jumps_explained", _scaled_from(0, 3.0)),
    ("not_frozen", _freeze),
    ("liquid_volume", _set("volume", 0.0)),
]


@pytest.fixture(scope="module")
def spoiled() -> CheckReport:
    """One verdict on a clean ticker and, for each fault, a ticker that has this one fault."""
    frames = [daily("CLEAN")]
    for number, (_, spoil) in enumerate(SPOILED):
        frame = daily(f"S{number}")
        changed = spoil(frame, 50)
        frames.append(frame if changed is None else changed)
    return judged(pd.concat(frames, ignore_index=True), bounds=BarBounds(max_quarantined_share=0.96))


@pytest.mark.parametrize("number", range(len(SPOILED)), ids=[name for name, _ in SPOILED])
def test_each_fault_quarantines_its_ticker_by_name(spoiled: CheckReport, number: int) -> None:
    name, ticker = SPOILED[number][0], f"S{number}"

    assert {q.ticker: q.expectation for q in spoiled.quarantined}[ticker] == name
    assert not finding(spoiled, name).passed
    assert ticker in {example["symbol"] for example in finding(spoiled, name).examples}


def test_faults_of_others_leave_a_clean_ticker_in(spoiled: CheckReport) -> None:
    assert {q.ticker for q in spoiled.quarantined} == {f"S{n}" for n in range(len(SPOILED))}
    assert spoiled.passed
    assert spoiled.rows == len(daily("CLEAN"))


def test_every_rule_is_seen_to_fail() -> None:
    elsewhere = {"adjusted", "history_long_enough", "sources_agree", "volume_units_agree"}

    assert {rule.name for rule in RULES} == {name for name, _ in SPOILED} | elsewhere


def test_unadjusted_prices_fail_unless_they_are_asked_for() -> None:
    frame = daily(*TEN)

    refused = judged(frame, adjusted=False)
    wanted = judged(frame, adjusted=False, bounds=TRADED)

    assert not refused.passed
    assert {q.expectation for q in refused.quarantined} == {"adjusted"}
    assert wanted.passed


def test_a_short_history_is_a_warning_and_stays() -> None:
    frame = daily(*TEN)
    young = (frame["symbol"] != "T3") | (frame["session"] >= "2024-06-03")

    report = judged(frame[young])

    assert report.passed
    assert report.quarantined == ()
    assert not finding(report, "history_long_enough").passed
    assert finding(report, "history_long_enough").examples[0]["history"] == 19


def test_the_detail_of_an_unapplied_split_names_the_ratio() -> None:
    frame = daily(*TEN)
    _scaled_from(0, 1 / 7)(frame, int(frame.index[frame["symbol"] == "T3"][50]))

    [out] = judged(frame).quarantined

    assert "near 1/7" in out.detail
    assert "2024-05-13" in out.detail


@pytest.mark.parametrize(
    ("close", "turnover", "caught"),
    [(0.6, 1.0, True), (0.6, 6.0, False), (0.5, 4.0, True), (0.5, 6.0, False), (0.35, 6.0, True)],
    ids=["quiet", "news", "split on a busy day", "halved by news", "too far for any news"],
)
def test_turnover_tells_news_from_what_was_not_adjusted(close: float, turnover: float, caught: bool) -> None:
    frame = daily(*TEN)
    row = int(frame.index[frame["symbol"] == "T3"][50])
    _scaled_from(0, close)(frame, row)
    frame.loc[row, "volume"] *= turnover / close

    report = judged(frame)

    assert [q.ticker for q in report.quarantined] == ["T3"] * caught


@pytest.mark.parametrize(("column", "name"), [("close", "sources_agree"), ("volume", "volume_units_agree")])
def test_a_second_source_that_says_otherwise_takes_out_the_ticker(column: str, name: str) -> None:
    frame, other = daily(*TEN), daily(*TEN)
    other.loc[other["symbol"] == "T3", column] *= 7

    report = judged(frame, second=bars(other))

    assert {q.ticker: q.expectation for q in report.quarantined} == {"T3": name}


def test_a_second_source_that_lacks_a_name_says_nothing_against_it() -> None:
    assert judged(daily(*TEN), second=bars(daily(*TEN[:5]))).quarantined == ()


@pytest.mark.parametrize("factor", [0.5, None])
def test_a_declared_action_explains_the_jump_of_unadjusted_prices(factor: float | None) -> None:
    frame = daily(*TEN)
    row = int(frame.index[frame["symbol"] == "T3"][50])
    _scaled_from(0, 0.5)(frame, row)
    actions = {Underlying("T3"): {frame.at[row, "session"].date(): factor}}

    report = judged(frame, adjusted=False, bounds=TRADED, actions=actions)

    assert report.quarantined == ()


def test_a_declared_split_does_not_excuse_adjusted_prices_that_still_jump() -> None:
    frame = daily(*TEN)
    row = int(frame.index[frame["symbol"] == "T3"][50])
    _scaled_from(0, 0.5)(frame, row)
    actions = {Underlying("T3"): {frame.at[row, "session"].date(): 0.5}}

    report = judged(frame, actions=actions)

    assert [q.expectation for q in report.quarantined] == ["jumps_explained"]


def test_a_session_known_to_be_absent_is_no_hole() -> None:
    frame = daily(*TEN)
    frame = frame[frame["session"] != "2024-05-20"]

    silent = judged(frame)
    declared = judged(frame, known_gaps=[date(2024, 5, 20)])

    assert not silent.passed
    assert "2024-05-20" in silent.quarantined[0].detail
    assert declared.passed


def test_holes_before_the_look_back_do_not_count() -> None:
    frame = daily(*TEN)
    frame = frame[frame["session"] != "2024-03-06"]

    assert judged(frame).passed
    assert not judged(frame, lookback=82).passed


def test_quarantined_tickers_are_not_in_the_frame_that_goes_on() -> None:
    frame = daily(*TEN)
    frame.loc[frame["symbol"] == "T3", "close"] = np.nan

    checked = check_bars(bars(frame), session=SESSION, lookback=LOOKBACK, at=AT)

    assert set(checked.frame["symbol"]) == set(TEN) - {"T3"}
    assert checked.proof.rows == len(checked.frame)
    assert checked.proof.digest == digest(checked.frame)


def test_more_bad_tickers_than_allowed_fail_the_run() -> None:
    frame = daily(*TEN)
    frame.loc[frame["symbol"].isin(["T3", "T4"]), "close"] = np.nan

    with pytest.raises(CheckFailed, match=r"quarantined_share \(2 of 10") as caught:
        check_bars(bars(frame), session=SESSION, lookback=LOOKBACK, at=AT)

    assert [q.ticker for q in caught.value.report.quarantined] == ["T3", "T4"]


def test_a_bad_benchmark_fails_the_run_alone() -> None:
    frame = daily(*TEN)
    frame.loc[frame["symbol"] == "T3", "close"] = np.nan

    with pytest.raises(CheckFailed, match=r"indispensable_clean \(T3: close_given"):
        check_bars(bars(frame), session=SESSION, lookback=LOOKBACK, at=AT, benchmark=Underlying("T3"))


def test_a_benchmark_without_rows_fails_the_run() -> None:
    with pytest.raises(CheckFailed, match="SPY: no rows"):
        check_bars(bars(daily(*TEN)), session=SESSION, lookback=LOOKBACK, at=AT, benchmark=Underlying("SPY"))


def test_a_ticker_that_did_not_come_is_quarantined_with_the_reason() -> None:
    given = bars(daily(*TEN), missing=(Missing(Underlying("GONE"), "unknown symbol"),))

    report = judge_bars(
        given, session=SESSION, lookback=LOOKBACK, at=AT, universe=[Underlying("LOST")]
    ).report

    assert {(q.ticker, q.expectation) for q in report.quarantined} == {
        ("GONE", "rows_present"),
        ("LOST", "rows_present"),
    }
    assert "unknown symbol" in report.quarantined[0].detail
    assert not report.passed


def test_an_empty_frame_fails() -> None:
    report = judged(daily(*TEN).iloc[:0])

    assert [f.expectation for f in report.failures] == ["rows_present"]


def test_a_frame_of_nothing_but_gaps_fails() -> None:
    frame = daily(*TEN)
    frame[["open", "high", "low", "close", "volume"]] = np.nan

    report = judged(frame)

    assert "quarantined_share" in [f.expectation for f in report.failures]
    assert report.rows == 0


@pytest.mark.parametrize("column", module.COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    report = judged(daily(*TEN).drop(columns=column))

    assert finding(report, "columns_present").observed == f"missing {column}"
    assert not report.passed


def test_rows_without_a_symbol_fail_the_run() -> None:
    frame = daily(*TEN)
    frame.loc[5, "symbol"] = None

    assert [f.expectation for f in judged(frame).failures] == ["symbol_present"]


def test_sessions_with_a_zone_or_a_time_of_day_fail() -> None:
    frame = daily(*TEN)

    zoned = judged(frame.assign(session=frame["session"].dt.tz_localize("America/New_York")))
    timed = judged(frame.assign(session=frame["session"] + pd.Timedelta(hours=16)))

    assert {q.expectation for q in zoned.quarantined} == {"session_given"}
    assert {q.expectation for q in timed.quarantined} == {"session_given"}


def test_prices_given_as_text_that_is_no_number_are_missing_prices() -> None:
    frame = daily(*TEN).astype({"close": object})
    frame.loc[frame["symbol"] == "T3", "close"] = "n/a"

    assert [q.expectation for q in judged(frame).quarantined] == ["close_given"]


def test_an_illiquid_name_may_pass_a_session_without_volume() -> None:
    frame = daily(*TEN)
    frame.loc[frame["symbol"] == "T3", "volume"] = 100.0
    frame.loc[frame.index[frame["symbol"] == "T3"][50], "volume"] = 0.0

    assert judged(frame).quarantined == ()


def test_rounding_left_by_an_adjustment_is_no_fault() -> None:
    frame = daily(*TEN)
    frame.loc[5, "high"] = frame.at[5, "open"] * (1 - 1e-12)

    assert judged(frame).quarantined == ()


def test_a_source_may_be_allowed_prices_a_little_outside_the_range() -> None:
    frame = daily(*TEN)
    frame.loc[5, "high"] = frame.at[5, "open"] * 0.999

    assert [q.expectation for q in judged(frame).quarantined] == ["prices_consistent"]
    assert judged(frame, bounds=BarBounds(outside_range=0.002)).quarantined == ()


def test_the_callers_frame_is_left_as_it_was() -> None:
    frame = daily(*TEN)
    before = frame.copy(deep=True)

    given = bars(frame)
    checked = check_bars(given, session=SESSION, lookback=LOOKBACK, at=AT)
    frame.loc[0, "close"] = 1.0

    pd.testing.assert_frame_equal(frame.drop(index=0), before.drop(index=0))
    assert checked.frame.at[0, "close"] == before.at[0, "close"]
    assert digest(frame) != checked.proof.digest


def test_a_check_on_monday_wants_fridays_bar() -> None:
    given = replace(bars(daily(*TEN)))

    assert judge_bars(given, session=date(2024, 7, 1), lookback=LOOKBACK, at=AT).report.passed
    assert not judge_bars(given, session=date(2024, 7, 2), lookback=LOOKBACK, at=AT).report.passed
